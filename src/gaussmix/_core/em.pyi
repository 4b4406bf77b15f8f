from collections.abc import Callable
from typing import Any

from numpy import float64
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gaussmix._core.mstep import MStep
from gaussmix._core.parameters import Parameters
from gaussmix._core.statistics import Statistics

@disjoint_base
class Moments:
    def __init__(self, taken: Callable[[NDArray[float64]], Statistics]) -> None: ...
    def maximize(self, reference: NDArray[float64], step: MStep, parameters: Parameters) -> int: ...

@disjoint_base
class Ascent(Moments):
    def __init__(self, passes: Any, start: Parameters, step: MStep, tol: float, previous: float) -> None: ...
    @property
    def current(self) -> Parameters: ...
    @property
    def following(self) -> Parameters: ...
    @property
    def converged(self) -> bool: ...
    @property
    def collapsed(self) -> int: ...
    def run(self, iterations: int) -> list[float]: ...

from collections.abc import Callable

from typing_extensions import disjoint_base

from gaussmix._core.densities import Densities
from gaussmix._core.mstep import MStep
from gaussmix._core.parameters import Parameters
from gaussmix._core.passes import Passes

def maximize(passes: Passes, about: Densities, step: MStep, parameters: Parameters) -> int: ...

@disjoint_base
class Objective: ...

@disjoint_base
class Posterior(Objective):
    def __init__(self, log_prior: Callable[[Parameters], float]) -> None: ...

@disjoint_base
class EM:
    def __init__(self, passes: Passes, start: Parameters, step: MStep, tol: float, previous: float,
                 objective: Objective | None = None) -> None: ...
    @property
    def current(self) -> Parameters: ...
    @property
    def following(self) -> Parameters: ...
    @property
    def converged(self) -> bool: ...
    @property
    def collapsed(self) -> int: ...
    def run(self, iterations: int) -> list[float]: ...

from collections.abc import Callable

from numpy import float64
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gaussmix._core.densities import Densities
from gaussmix._core.estep import Block, EStep
from gaussmix._core.statistics import Statistics

@disjoint_base
class Passes:
    estep: EStep
    def __init__(self, estep: EStep, at_once: int = 1) -> None: ...
    @property
    def total(self) -> Statistics: ...
    @property
    def at_once(self) -> int: ...
    def sum(self, densities: Densities, about: Densities | None = None) -> Statistics: ...
    def sum_blocks(self, densities: Densities, about: Densities | None) -> None: ...
    def row(self, n: int) -> NDArray[float64]: ...

@disjoint_base
class OneBlock(Passes):
    def __init__(
        self,
        block: Block,
        estep: EStep,
        at_once: int = 1,
        limit: float = ...,
        widened: Callable[[Densities], Block] | None = None,
    ) -> None: ...

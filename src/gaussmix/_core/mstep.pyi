from typing import Self

from numpy.typing import ArrayLike
from typing_extensions import disjoint_base

from gaussmix._core.parameters import Parameters
from gaussmix._core.statistics import Statistics

@disjoint_base
class MStep:
    def __new__(cls, added: ArrayLike) -> Self: ...
    @property
    def n_features(self) -> int: ...
    def maximize(self, statistics: Statistics, parameters: Parameters) -> int: ...
    def regularize(self, parameters: Parameters) -> int: ...

class SphericalMStep(MStep): ...

from collections.abc import Sequence
from typing import Self

from numpy import float64, int32, intp
from numpy.typing import ArrayLike, NDArray
from typing_extensions import disjoint_base

from gaussmix._core.densities import Kind
from gaussmix._core.estep import EStep
from gaussmix._core.passes import Passes

class Distances(EStep): ...

@disjoint_base
class Nearest(Distances):
    def __new__(
        cls, kind: Kind, n_components: int, n_features: int, size: int, labels: NDArray[int32], moved: NDArray[intp]
    ) -> Self: ...

@disjoint_base
class Potentials(Distances):
    def __new__(cls, kind: Kind, n_components: int, n_features: int, size: int, closest: NDArray[float64]) -> Self: ...

@disjoint_base
class Closest(Distances):
    def __new__(
        cls, kind: Kind, n_components: int, n_features: int, size: int, closest: NDArray[float64], masses: NDArray[float64]
    ) -> Self: ...

@disjoint_base
class Lloyd:
    def __new__(cls, passes: Passes, centres: ArrayLike, moved: NDArray[intp], tol: float) -> Self: ...
    @property
    def passes(self) -> Passes: ...
    @property
    def centres(self) -> NDArray[float64]: ...
    @property
    def inertia(self) -> float: ...
    @property
    def n_iter(self) -> int: ...
    @property
    def ended(self) -> bool: ...
    @property
    def starved(self) -> bool: ...
    def run(self, iterations: int) -> None: ...

@disjoint_base
class Seeding:
    def __new__(
        cls,
        potentials: Passes,
        closest: Passes,
        weights: NDArray[float64] | None,
        ends: Sequence[int],
        distances: NDArray[float64],
        masses: NDArray[float64],
    ) -> Self: ...
    def choose(self, uniform: NDArray[float64]) -> list[int]: ...

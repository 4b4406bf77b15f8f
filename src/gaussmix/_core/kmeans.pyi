from typing import Any, Self

from numpy import float64, int32
from numpy.typing import ArrayLike, NDArray
from typing_extensions import disjoint_base

from gaussmix._core.estep import Rows, Workspace

@disjoint_base
class Centres:
    def __new__(cls, points: ArrayLike, size: int) -> Self: ...
    @property
    def n_components(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    def check(self, x: Rows, weights: NDArray[float64] | None, work: Workspace) -> None: ...
    def nearest(
        self,
        x: Rows,
        weights: NDArray[float64] | None,
        labels: NDArray[int32],
        first: NDArray[float64],
        weight: NDArray[float64],
        work: Workspace,
    ) -> tuple[float, int]: ...
    def potentials(
        self,
        x: Rows,
        weights: NDArray[float64] | None,
        closest: NDArray[float64],
        potential: NDArray[float64],
        work: Workspace,
    ) -> None: ...
    def approach(
        self, x: Rows, weights: NDArray[float64] | None, closest: NDArray[float64], work: Workspace
    ) -> float: ...

@disjoint_base
class Lloyd:
    def __new__(cls, distances: Any, centres: ArrayLike, labels: NDArray[int32], tol: float) -> Self: ...
    @property
    def points(self) -> NDArray[float64]: ...
    @property
    def centres(self) -> NDArray[float64]: ...
    @property
    def weight(self) -> NDArray[float64]: ...
    @property
    def inertia(self) -> float: ...
    @property
    def n_iter(self) -> int: ...
    @property
    def ended(self) -> bool: ...
    @property
    def bereft(self) -> bool: ...
    def run(self, iterations: int) -> None: ...

@disjoint_base
class Seeding:
    def __new__(cls, distances: Any, n_candidates: int) -> Self: ...
    def choose(self, uniform: NDArray[float64]) -> list[int]: ...

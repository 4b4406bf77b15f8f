from typing import Self

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

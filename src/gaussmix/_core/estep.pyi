from typing import Final, Self, TypeVar

from numpy import float32, float64, int32
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gaussmix._core.parameters import Kind, Parameters
from gaussmix._core.statistics import Statistics

_Real = TypeVar("_Real", float32, float64)

TILE: Final[int]
ISA: Final[str]

def instruction_sets() -> list[str]: ...
def chosen_instruction_set() -> str: ...
def exp2_and_log(numbers: NDArray[_Real]) -> tuple[NDArray[_Real], NDArray[_Real]]: ...

@disjoint_base
class Rows:
    def __new__(cls, x: NDArray[float32] | NDArray[float64]) -> Self: ...

@disjoint_base
class Workspace:
    def __new__(cls, n_components: int, n_features: int, size: int) -> Self: ...
    @property
    def n_components(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def spared(self) -> float: ...

@disjoint_base
class Pass:
    def __new__(cls, kind: Kind, n_components: int, n_features: int, size: int) -> Self: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def n_components(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def size(self) -> int: ...
    def prepare(self, parameters: Parameters, reference: NDArray[float64] | None = None) -> None: ...
    def expect(self, x: Rows, weights: NDArray[float64] | None, statistics: Statistics, work: Workspace) -> None: ...
    def allot(
        self,
        x: Rows,
        weights: NDArray[float64] | None,
        labels: NDArray[int32] | None,
        responsibilities: NDArray[float64] | None,
        statistics: Statistics,
        work: Workspace,
    ) -> None: ...
    def evaluate(
        self,
        x: Rows,
        log_p: NDArray[float64] | None,
        responsibilities: NDArray[float64] | None,
        labels: NDArray[int32] | None,
        work: Workspace,
    ) -> None: ...
    def check(
        self, x: Rows, weights: NDArray[float64] | None, statistics: Statistics | None, work: Workspace
    ) -> None: ...

"""Data as blocks of rows. A block is so large that the work on it takes a few milliseconds."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import TILE, Block, Rows

# Where blocks begin and end depends on N, D and K alone. Their sums are added in block order, and so have the same bits for any
# number of threads. The work of a block is counted in operations, of which a core does 2e10 to 4e10 a second. An exponential, with
# the operations around it, counts as a hundred. There are enough blocks to share among threads, and each ends soon enough for
# Ctrl-C. A block is so large that two costs do not matter beside its work: that of Python, which is tens of microseconds for each
# block, and that of adding its Statistics, which are K D² numbers. Where there are many components, each is responsible for few of
# a block's rows. It needs enough of them to make an update of its second moments worthwhile.
EXPONENTIAL = 100
MANY_BLOCKS = 16
FEWEST_OPERATIONS = 5e7
MOST_OPERATIONS = 3e8
FEWEST_TILES = 4
FEWEST_TILES_OF_MANY = 12
MOST_ROWS = 341 * TILE
MOST_RESPONSIBILITIES = 2**20  # in one block, where they are given or returned

# A compiled loop over a single block returns to Python after passes with this many operations in all, which take some ten
# milliseconds. A pass over a few rows costs more than its operations, so that the number of passes is limited too.
OPERATIONS_AT_ONCE = 2e8
MOST_AT_ONCE = 1000

# Squares of float64 residuals up to this size can be added over any number of rows. float32 data are worked on in float32 as long as
# all squares and their inverses stay well inside its range: those of the data's spread, of the means, and of the standard
# deviations, as the factors are inverses of the latter.
LARGEST = 1e145
SINGLE_RANGE = (2.0**-40, 2.0**40)
LARGEST_SINGLE = 2.0**45
# Sums of weights whose largest lies between these stay inside float32's range.
WEIGHT_RANGE = (2.0**-20, 2.0**20)


def operations_of_row(n_features: int, n_components: int) -> float:
    """Return the work of an E step over one row: the density and the second moments of each component."""
    return n_components * (2.0 * n_features * (n_features + 1) + EXPONENTIAL)


def operations_of_distances(n_features: int, n_points: int) -> float:
    """Return the work of computing the distances of a row to some points and finding the least: half that of an exponential."""
    return n_points * (3.0 * n_features + EXPONENTIAL / 2)


def block_bounds(n_rows: int, n_features: int, n_components: int,
                 operations: Callable[[int, int], float] = operations_of_row) -> list[tuple[int, int]]:
    """
    Return where blocks begin and end.

    Parameters
    ----------
    n_rows, n_features, n_components : int
        N, D and K. The result depends on nothing else.
    operations : callable
        Returns the work of one row for D and K.

    Returns
    -------
    list of (int, int)
        Half-open ranges of rows, in order. Their lengths are equal to within a tile. Those in the last quarter of the rows are a
        quarter as long, so that no thread has to wait long for the last block of another.

    Examples
    --------
    >>> block_bounds(272, 2, 2)
    [(0, 272)]
    """
    row = operations(n_features, n_components)
    wanted = min(max(n_rows * row / MANY_BLOCKS, FEWEST_OPERATIONS), MOST_OPERATIONS)
    fewest = TILE * min(max(n_components // 16, FEWEST_TILES), FEWEST_TILES_OF_MANY)
    most = int(max(min(wanted / row, MOST_RESPONSIBILITIES / n_components, MOST_ROWS), fewest))
    n_blocks = max(1, -(-n_rows // most))
    tiles = -(-n_rows // (n_blocks * TILE))
    step = max(tiles, 1) * TILE
    short = max(step // (4 * TILE) * TILE, min(fewest, step))
    last_quarter = (n_blocks - n_blocks // 4) * step
    starts = [*range(0, min(last_quarter, n_rows), step), *range(last_quarter, n_rows, short)]
    return list(zip(starts, [*starts[1:], n_rows]))


_Piece = TypeVar("_Piece")  # what a source returns and can make a block of


class Observations(Protocol[_Piece]):
    """
    The observations, in the form that an engine reads. They come in pieces, in the same order in each pass, and a block can be
    made of each piece.

    Attributes
    ----------
    n_features : int
        D.
    size : int
        Bytes of the number type that the loops work in.
    limit : float
        Densities with a number as large need a wider type.
    at_once : int
        How many passes a compiled loop may make before it has to listen to Ctrl-C.
    """

    @property
    def n_features(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def limit(self) -> float: ...
    @property
    def at_once(self) -> int: ...

    def pieces(self) -> Iterable[_Piece]:
        """
        Return the pieces of one pass, in order. They are drawn one after the other, and so should cost little.

        Where the result has a length (a range, a list), it must be the same in each pass.
        """

    def block(self, piece: _Piece) -> Block:
        """Return the block of one piece. Several threads may ask for different blocks at the same time."""

    def row(self, n: int) -> NDArray[Any]:
        """Return row n, shape (D,), for callers that need single rows."""

    def widen_for(self, densities: Densities) -> None:
        """Switch to float64 for good where the present type cannot hold these densities."""


class Counted(Observations[_Piece], Protocol):
    """
    Observations that have been counted, which is what a fit needs.

    Attributes
    ----------
    n_rows : int
        N.
    dtype : dtype
        The number type that the loops work in.
    scale : float
        The factor that turns the weights that the loops read into those that were given.
    total_weight : float
        The sum of the weights that were given, or N.
    n_positive : int
        How many weights are positive.
    """

    @property
    def n_rows(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def scale(self) -> float: ...
    @property
    def total_weight(self) -> float: ...
    @property
    def n_positive(self) -> int: ...

    def is_constant(self, feature: int) -> bool:
        """Whether a feature has the same value in all rows that have weight."""

    def with_labels(self, labels: NDArray[np.int32]) -> Self:
        """Return the same rows with other labels, shape (N,)."""

    def work_in(self, dtype: DTypeLike) -> None:
        """Let the loops work in a number type."""


class NumberType:
    """
    The number type that the loops over some rows work in.

    Attributes
    ----------
    dtype : dtype
    size : int
        Bytes of a number.
    limit : float
        Densities with a number as large need a wider type.
    """

    def work_in(self, dtype: DTypeLike) -> None:
        """Let the loops work in a number type."""
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.size = self.dtype.itemsize
        self.limit = LARGEST_SINGLE if self.size == 4 else np.inf

    def widen_for(self, densities: Densities) -> None:
        """Switch to float64 for good where float32 cannot hold these densities."""
        if self.size == 4 and not densities.largest() < self.limit:
            self.work_in(np.float64)


class Blocks(NumberType):
    """
    A two-dimensional array and its sample weights as blocks of rows.

    Parameters
    ----------
    X : ndarray, shape (N, D)
        Any real dtype and strides. The array is read in place. A block is copied only where its numbers have another type or are
        not next to each other, and only when its turn comes.
    n_components : int
        K, on which the size of the blocks depends.
    row_weights : ndarray, shape (N,), float64, optional
        Sample weights w_n, ones by default.
    labels : ndarray, shape (N,), int32, optional
        A component for each row.
    dtype : dtype, optional
        The number type to work in; by default float32 for float32 data that are well inside its range, else float64.
    scale : float, optional
        What weights are divided by; by default what brings the largest of them into range.

    Attributes
    ----------
    bounds : list of (int, int)
        Where blocks begin and end. The pieces are the numbers of the blocks.
    row_weights : ndarray, shape (N,), float64, or None
        The weights that the loops read. Very large or small ones are rescaled, as only their proportions matter to the loops.
    scale : float
        The factor that turns `row_weights` back into the weights that were given.
    total_weight : float
        The sum of the weights that were given, or N.
    n_positive : int
        How many weights are positive.
    size : int
        Bytes of the number type that the loops work in.
    limit : float
        Densities with a number as large need a wider type.
    at_once : int
        How many passes a compiled loop may make before it has to listen to Ctrl-C.
    """

    def __init__(self, X: NDArray[Any], n_components: int, row_weights: NDArray[np.float64] | None = None,
                 labels: NDArray[np.int32] | None = None, *, dtype: DTypeLike | None = None, scale: float | None = None) -> None:
        self.X = X
        self.labels = labels
        self.n_rows, self.n_features = X.shape
        self.row_weights: NDArray[np.float64] | None = None
        self.scale = 1.0
        if row_weights is not None:
            self.row_weights, self.scale = balanced(row_weights) if scale is None else (row_weights / scale, scale)
        self.total_weight = float(self.n_rows) if row_weights is None else sum_of_weights(row_weights)
        self.n_positive = self.n_rows if row_weights is None else int(np.count_nonzero(row_weights))
        self._cut(operations_of_row, n_components)
        if dtype is None:
            dtype = np.float32 if X.dtype == np.float32 and fits_single(*_extremes(X, self.bounds)) else np.float64
        self.work_in(dtype)

    def for_distances(self, n_points: int) -> Self:
        """Return the same rows in blocks that suit passes over their distances to this many points."""
        other = copy.copy(self)
        other._cut(operations_of_distances, n_points)
        other.work_in(self.dtype)
        return other

    def with_labels(self, labels: NDArray[np.int32]) -> Self:
        """Return the same rows with other labels."""
        other = copy.copy(self)
        other.labels = labels
        other.work_in(self.dtype)
        return other

    def with_rows(self, X: NDArray[Any]) -> Self:
        """Return other rows, as many and of the same type, in the same blocks."""
        other = copy.copy(self)
        other.X = X
        other.work_in(self.dtype)
        return other

    def sample(self, n_rows: int, rng: np.random.Generator, n_components: int) -> Self:
        """Return some of the rows with weight, drawn without replacement, with their weights; all of them where there are fewer."""
        alive = np.arange(self.n_rows) if self.row_weights is None else np.flatnonzero(self.row_weights > 0)
        chosen = np.sort(rng.choice(alive, min(n_rows, len(alive)), replace=False, shuffle=False))
        return type(self)(self.X[chosen], n_components, None if self.row_weights is None else self.row_weights[chosen] * self.scale)

    def _cut(self, operations: Callable[[int, int], float], n_components: int) -> None:
        self.bounds = block_bounds(self.n_rows, self.n_features, n_components, operations)
        # Factorizing a D × D covariance is the work of less than D rows.
        work = (self.n_rows + self.n_features) * operations(self.n_features, n_components)
        self.at_once = int(min(max(OPERATIONS_AT_ONCE / work, 1), MOST_AT_ONCE))

    def __len__(self) -> int:
        return len(self.bounds)

    def pieces(self) -> range:
        """Return the numbers of the blocks."""
        return range(len(self.bounds))

    def work_in(self, dtype: DTypeLike) -> None:
        """See `NumberType.work_in`. The blocks are made anew."""
        super().work_in(dtype)
        self._blocks: list[Block | None] = [None] * len(self.bounds)

    def row(self, n: int) -> NDArray[Any]:
        """Return row n in its original type."""
        row: NDArray[Any] = self.X[n]
        return row

    def is_constant(self, feature: int) -> bool:
        """Whether a feature has the same value in all rows that have weight."""
        values = self.X[:, feature] if self.row_weights is None else self.X[self.row_weights > 0, feature]
        return not (values != values[0]).any()

    def block(self, index: int) -> Block:
        """Return block `index` in the form that the compiled loops read."""
        kept = self._blocks[index]
        if kept is not None:
            return kept
        start, stop = self.bounds[index]
        rows = self.X[start:stop]
        readable = is_readable(rows, self.dtype)
        block = Block(Rows(rows if readable else np.require(rows, self.dtype, ["C", "A"])), _part(self.row_weights, start, stop),
                      _part(self.labels, start, stop), index, start)
        if readable:  # a copy would need as much memory as the rows again
            self._blocks[index] = block
        return block


def is_readable(rows: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether the compiled loops can read rows in place as numbers of a type."""
    return rows.dtype == dtype and rows.flags.aligned and (rows.strides[1] == dtype.itemsize or rows.shape[1] == 1)


def _part(array: NDArray[Any] | None, start: int, stop: int) -> NDArray[Any] | None:
    return None if array is None else array[start:stop]


def balanced(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """
    Multiply weights by a power of two that keeps their sums in range, also in float32. Only their proportions matter.

    Returns
    -------
    weights : ndarray, shape (N,)
    scale : float
        The factor that turns the result back into the weights that were given.
    """
    scale = weight_scale(float(weights.max()))
    if scale == 1:
        return weights, 1.0
    scaled: NDArray[np.float64] = np.ldexp(weights, 1 - int(np.frexp(scale)[1]))
    return scaled, scale


def weight_scale(largest: float) -> float:
    """Return the power of two by which `balanced` divides weights, the largest of which is given."""
    if WEIGHT_RANGE[0] < largest < WEIGHT_RANGE[1]:
        return 1.0
    return math.ldexp(1.0, min(int(np.frexp(largest)[1]), np.finfo(np.float64).maxexp - 1))


def sum_of_weights(weights: NDArray[np.float64]) -> float:
    """Return Σ_n w_n, or the largest float64 number where the sum exceeds it."""
    with np.errstate(over="ignore"):
        return float(min(weights.sum(), np.finfo(np.float64).max))


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return Σ_n w_n v_n / Σ_n w_n over the rows with weight, for weights of any scale."""
    weights, _ = balanced(weights)
    alive = weights > 0
    return float((values[alive] * weights[alive]).sum() / weights.sum())


def fits_single(low: NDArray[np.floating[Any]], high: NDArray[np.floating[Any]]) -> bool:
    """Whether the squares of all residuals of float32 data with these extremes stay well inside float32's range."""
    smallest, largest = SINGLE_RANGE
    spread = high.astype(np.float64) - low
    return bool(np.all(np.maximum(np.abs(low), np.abs(high)) < largest) and np.all((spread == 0) | (spread > smallest)))


def _extremes(X: NDArray[np.float32], bounds: list[tuple[int, int]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The least and the largest value of each feature."""
    low, high = np.full(X.shape[1], np.inf, X.dtype), np.full(X.shape[1], -np.inf, X.dtype)
    for part in (X[start:stop] for start, stop in bounds):
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    return low, high

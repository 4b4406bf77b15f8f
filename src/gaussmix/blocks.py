"""Data as blocks of rows: what a user brings, checked, and cut so that a block is a few milliseconds' work."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import TILE, Block, Rows

# A block is cut by N, D and K alone, so that the sums (in block order) have the same bits for any number of threads. Its work is
# counted in operations, of which a core does 2e10 to 4e10 a second; an exponential and what goes with it counts as a hundred.
# Blocks are many enough to share among threads, but large enough that Python's part (tens of microseconds a block) and the
# adding of their Statistics (K D² numbers, so a floor of some hundred rows) are lost in them, and small enough for Ctrl-C. Of many
# components each answers for few rows; a block must hold enough for an update of its second moments.
EXPONENTIAL = 100
MANY_BLOCKS = 16
FEWEST_OPERATIONS = 5e7
MOST_OPERATIONS = 3e8
FEWEST_TILES = 4
FEWEST_TILES_OF_MANY = 12
MOST_ROWS = 341 * TILE
MOST_RESPONSIBILITIES = 2**20  # of one block, where they are given or asked for

# A loop over a single block returns to Python after some ten milliseconds; passes over a few rows take more than their operations.
OPERATIONS_AT_ONCE = 2e8
MOST_AT_ONCE = 1000

# Squares of float64 residuals up to this size can be added over any number of rows. float32 is worked on in float32 while
# all squares and their inverses stay well inside its range: those of the data's spread, of the means, and of the standard
# deviations, whose inverses the factors are.
LARGEST = 1e145
SINGLE_RANGE = (2.0**-40, 2.0**40)
LARGEST_SINGLE = 2.0**45


def operations_of_row(n_features: int, n_components: int) -> float:
    """The work of an E step over one row: each component's density and second moments."""
    return n_components * (2.0 * n_features * (n_features + 1) + EXPONENTIAL)


def operations_of_distances(n_features: int, n_points: int) -> float:
    """The work of measuring the distances of one row to some points, and of finding the least; that is half an exponential's."""
    return n_points * (3.0 * n_features + EXPONENTIAL / 2)


def block_bounds(n_rows: int, n_features: int, n_components: int,
                 operations: Callable[[int, int], float] = operations_of_row) -> list[tuple[int, int]]:
    """
    Where blocks begin and end.

    Parameters
    ----------
    n_rows, n_features, n_components : int
        N, D and K; nothing else decides.
    operations : callable
        From D and K to the work that a row is.

    Returns
    -------
    list of (int, int)
        Half-open ranges of rows, in order; of equal length up to a tile, but those of the last quarter a quarter as long, so that
        no thread has to wait long for another one's last block.

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


class Blocks:
    """
    A two-dimensional array and its sample weights as blocks of rows.

    Parameters
    ----------
    X : ndarray, shape (N, D)
        Any real dtype and strides. It is read where it lies; only a block whose numbers are of another type or
        not side by side is copied, when its turn comes.
    n_components : int
        K, for the size of the blocks.
    weights : ndarray, shape (N,), float64, optional
        Sample weights, ones by default.
    labels : ndarray, shape (N,), int32, optional
        A component for each row.

    Attributes
    ----------
    bounds : list of (int, int)
    weights : ndarray, shape (N,), float64, or None
        As the loops read them: rescaled where they are very large or small, as only their proportions count there.
    total_weight : float
        What the weights sum to as they were given, or N.
    n_positive : int
        How many of them are positive.
    size : int
        Bytes of the number type that the loops work in.
    limit : float
        Densities with a number as large need a wider type.
    at_once : int
        How many passes a compiled loop may make before it has to listen to Ctrl-C.
    """

    def __init__(self, X: NDArray[Any], n_components: int, weights: NDArray[np.float64] | None = None,
                 labels: NDArray[np.int32] | None = None) -> None:
        self.X = X
        self.labels = labels
        self.n_rows, self.n_features = X.shape
        self.weights = None if weights is None else balanced(weights)
        self.total_weight = float(self.n_rows) if weights is None else sum_of_weights(weights)
        self.n_positive = self.n_rows if weights is None else int(np.count_nonzero(weights))
        self._cut(operations_of_row, n_components)
        self._work_in(np.float32 if X.dtype == np.float32 and fits_single(X, self.bounds) else np.float64)

    def for_distances(self, n_points: int) -> Self:
        """The same rows, cut for passes that measure their distances to so many points."""
        other = copy.copy(self)
        other._cut(operations_of_distances, n_points)
        other._work_in(self.dtype)
        return other

    def with_labels(self, labels: NDArray[np.int32]) -> Self:
        """The same rows, with other labels."""
        other = copy.copy(self)
        other.labels = labels
        other._work_in(self.dtype)
        return other

    def _cut(self, operations: Callable[[int, int], float], n_components: int) -> None:
        self.bounds = block_bounds(self.n_rows, self.n_features, n_components, operations)
        # Factorizing a D × D covariance is the work of less than D rows.
        work = (self.n_rows + self.n_features) * operations(self.n_features, n_components)
        self.at_once = int(min(max(OPERATIONS_AT_ONCE / work, 1), MOST_AT_ONCE))

    def __len__(self) -> int:
        return len(self.bounds)

    def _work_in(self, dtype: DTypeLike) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.size = self.dtype.itemsize
        self.limit = LARGEST_SINGLE if self.size == 4 else np.inf
        self._blocks: list[Block | None] = [None] * len(self.bounds)

    def widen_for(self, densities: Densities) -> None:
        """Work in float64 from now on where float32 cannot hold these densities."""
        if self.size == 4 and not densities.largest() < self.limit:
            self._work_in(np.float64)

    def block(self, index: int) -> Block:
        """Block `index` as the compiled loops read it."""
        kept = self._blocks[index]
        if kept is not None:
            return kept
        start, stop = self.bounds[index]
        rows = self.X[start:stop]
        readable = rows.dtype == self.dtype and rows.flags.aligned and (rows.strides[1] == self.size or self.n_features == 1)
        block = Block(Rows(rows if readable else np.require(rows, self.dtype, ["C", "A"])), _part(self.weights, start, stop),
                      _part(self.labels, start, stop), index, start)
        if readable:  # a copy would need as much memory as the rows again
            self._blocks[index] = block
        return block


def _part(array: NDArray[Any] | None, start: int, stop: int) -> NDArray[Any] | None:
    return None if array is None else array[start:stop]


def balanced(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights times a power of two that keeps their sums, in float32 too, inside the range; only their proportions count."""
    if 2.0**-20 < weights.max() < 2.0**20:
        return weights
    scaled: NDArray[np.float64] = np.ldexp(weights, -np.frexp(weights.max())[1])
    return scaled


def sum_of_weights(weights: NDArray[np.float64]) -> float:
    """Σ_n w_n, or the largest number where they sum to more."""
    with np.errstate(over="ignore"):
        return float(min(weights.sum(), np.finfo(np.float64).max))


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Σ_n w_n v_n / Σ_n w_n over the rows with weight, whatever the scale of the weights."""
    weights = balanced(weights)
    alive = weights > 0
    return float((values[alive] * weights[alive]).sum() / weights.sum())


def fits_single(X: NDArray[np.float32], bounds: list[tuple[int, int]]) -> bool:
    """Whether the squares of all residuals of float32 data stay well inside float32's range."""
    smallest, largest = SINGLE_RANGE
    if not bounds:
        return True
    low, high = X[: bounds[0][1]].min(axis=0), X[: bounds[0][1]].max(axis=0)
    for start, stop in bounds[1:]:
        low, high = np.minimum(low, X[start:stop].min(axis=0)), np.maximum(high, X[start:stop].max(axis=0))
    spread = high.astype(np.float64) - low
    return bool(np.all(np.maximum(np.abs(low), np.abs(high)) < largest) and np.all((spread == 0) | (spread > smallest)))


def as_table(X: Any, *, name: str = "X") -> tuple[NDArray[Any], list[str] | None]:
    """
    What a user calls data, as a two-dimensional real array and the names of its columns.

    Parameters
    ----------
    X : array_like or DataFrame, shape (N, D)
        NumPy arrays and memory maps are taken as they are; tables of pandas, polars and pyarrow give their columns.
    name : str
        What the errors call it.

    Returns
    -------
    array : ndarray, shape (N, D)
        float32, float64, or an integer or boolean type, which is converted a block at a time.
    columns : list of str or None
        The names, where the table has names that are all strings.

    Raises
    ------
    ValueError
        Where X is not two-dimensional, or not real numbers.
    TypeError
        For sparse matrices, masked arrays, lazy tables, and what is neither a number nor text that may be read as one.

    Examples
    --------
    >>> as_table([[1, 2], [3, 4]])[0].shape
    (2, 2)
    """
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, and masked entries have no value here: fill them, or drop their rows")
    if hasattr(X, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix, but dense data is needed: pass {name}.toarray()")
    if type(X).__name__ == "LazyFrame":
        raise TypeError(f"{name} is a lazy table, which has no values yet: pass {name}.collect()")
    columns = _column_names(X)
    array = _plain_array(X, name) if columns is None or isinstance(X, np.ndarray) else _table_array(X, columns, name)
    if array.dtype.kind == "O" and any(isinstance(value, (complex, np.complexfloating)) for value in array.flat):
        raise TypeError(f"Complex data not supported: {name} must be real")
    if array.dtype.kind in "OSU":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name} must hold numbers only, but {_first_wrong(array)}: {error}") from None
        except OverflowError:
            raise ValueError(f"{name} must hold numbers within the range of double precision, but {_first_wrong(array)}") from None
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} must be real")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array for {name}, got {array.ndim}D array of shape {array.shape} instead: one row a sample, "
            f"one column a feature. Reshape your data with {name}.reshape(-1, 1) if it has a single feature or "
            f"{name}.reshape(1, -1) if it is a single sample.")
    return array, _checked_names(columns, name)


def _plain_array(X: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(X)
    except ValueError:
        lengths = [len(row) if hasattr(row, "__len__") else 1 for row in X]
        row = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
        wrong = "its entries are lists" if row is None else f"row {row} has {lengths[row]} values and row 0 has {lengths[0]}"
        raise ValueError(f"{name} must be a table whose rows are all of one length, but {wrong}") from None


def _first_wrong(array: NDArray[Any], column: object = None) -> str:
    """Where the first entry is that is no number; of a column of a table with its name."""
    for place, value in np.ndenumerate(array):
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            where = f" at row {place[0]}, column {place[1]}" if len(place) == 2 else f" at index {place}" if place else ""
            where = where if column is None else f" at row {place[0]}, column {column!r}"
            return f"{'holds' if place else 'is'} {shown(value.item() if isinstance(value, np.generic) else value)}{where}"
    return "does not"


def shown(value: object) -> str:
    """A value as an error shows it, on one line."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:
        return "a whole number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def _column_names(X: Any) -> list[Any] | None:
    """The names of a table's columns: pyarrow's are `column_names`, the others' `columns`."""
    names = getattr(X, "column_names", None)
    if not isinstance(names, list):  # a pandas table may have a column of that name
        names = getattr(X, "columns", None)
    return None if names is None or callable(names) else list(names)


def _checked_names(columns: list[Any] | None, name: str) -> list[str] | None:
    kinds = sorted({type(column).__qualname__ for column in columns or ()})
    if len(kinds) > 1 and "str" in kinds:
        raise TypeError("Feature names are only supported if all input features have string names, but "
                        f"{name} has {kinds} as feature name / column name types: make them all strings")
    return list(map(str, columns or ())) if kinds == ["str"] else None


def _table_array(X: Any, columns: list[Any], name: str) -> NDArray[Any]:
    """The columns of a pandas, polars or pyarrow table side by side; missing values become NaN."""
    if hasattr(X, "to_numpy"):
        array: NDArray[Any] = X.to_numpy()
        if array.dtype.kind in "fiub":
            return array
    series = [X.iloc[:, i] if hasattr(X, "iloc") else X.column(i) if hasattr(X, "column_names") else X[column]
              for i, column in enumerate(columns)]
    arrays = [_column_array(one, column, name) for one, column in zip(series, columns)]
    return np.column_stack(arrays) if arrays else np.empty((len(X), 0))


def _column_array(series: Any, column: object, name: str) -> NDArray[Any]:
    arrow = type(series).__module__.startswith("pyarrow")
    array: NDArray[Any] = series.to_numpy(zero_copy_only=False) if arrow else series.to_numpy()
    if array.dtype.kind == "O":  # booleans among numbers, or missing values of a nullable type
        present = np.array([value is not None and str(value) != "<NA>" and value == value for value in array], dtype=bool)
        try:
            numbers = np.full(array.shape, np.nan)
            numbers[present] = array[present].astype(np.float64)
            array = numbers
        except (TypeError, ValueError):
            pass
        except OverflowError:
            raise ValueError(f"{name} must hold numbers within the range of double precision, but "
                             f"{_first_wrong(array, column)}") from None
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} must be real, but column {column!r} is complex")
    if array.dtype.kind not in "fiub":
        kind = series.dtype if hasattr(series, "dtype") else series.type
        wrong = ValueError if array.dtype.kind in "OSUT" else TypeError  # text might have been numbers
        raise wrong(f"{name} must hold numbers only, but column {column!r} holds {kind}: leave it out or code it as numbers")
    return array


def check_names(columns: list[str] | None, fitted: Iterable[str] | None, owner: str, stacklevel: int) -> None:
    """
    Compare the column names of new data with those of the fit, as scikit-learn does.

    Parameters
    ----------
    columns, fitted : sequence of str or None
        The names of the new data's columns and those of the fit.
    owner : str
        The class that was fitted.
    stacklevel : int
        How many calls up, from here, the user's is, for the warning.

    Raises
    ------
    ValueError
        Where both have names and they differ.

    Warns
    -----
    UserWarning
        Where only one of them has names.
    """
    fitted = None if fitted is None else list(fitted)
    if columns == fitted:
        return
    if fitted is None:
        warnings.warn(f"X has feature names, but {owner} was fitted without feature names", stacklevel=stacklevel)
    elif columns is None:
        warnings.warn(f"X does not have valid feature names, but {owner} was fitted with feature names", stacklevel=stacklevel)
    else:
        message = "The feature names should match those that were passed during fit.\n"
        for what, names in (("Feature names unseen at fit time", set(columns) - set(fitted)),
                            ("Feature names seen at fit time, yet now missing", set(fitted) - set(columns))):
            if names:
                message += f"{what}:\n" + "".join(f"- {name}\n" for name in sorted(names)[:5]) + "- ...\n" * (len(names) > 5)
        if set(columns) == set(fitted):
            message += "Feature names must be in the same order as they were in fit.\n"
        raise ValueError(message)


def check_finite(X: NDArray[Any], *, name: str = "X", largest: float = np.inf) -> None:
    """
    Raise ValueError naming the row and column of the first number that is NaN, infinite or larger than `largest`.

    Parameters
    ----------
    X : ndarray, shape (N, D)
    name : str
    largest : float
    """
    if X.dtype.kind in "iub":
        return
    if X.dtype.itemsize > 8:  # a wider type, whose numbers become float64
        largest = min(largest, np.finfo(np.float64).max)
    for start, stop in block_bounds(X.shape[0], X.shape[1], 1):
        block = X[start:stop]
        if not block.size:
            continue
        # Not by a dot product: BLAS would start threads of its own, which outnumber the CPUs and do not survive a fork.
        with np.errstate(invalid="ignore", over="ignore"):
            low, high = float(block.min()), float(block.max())
            if -largest <= low and high <= largest and math.isfinite(high - low):
                continue
            bad = ~(np.abs(block) <= largest) | ~np.isfinite(block)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            value = block[row, column]
            what = "NaN" if np.isnan(value) else "infinity" if np.isinf(value) else f"a value too large ({value:g})"
            raise ValueError(f"Input {name} contains {what} at row {start + row}, column {column}; "
                             f"all values must be finite{'' if largest == np.inf else f' and below {largest:g}'}")


def as_reals(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """
    Numbers of any type as the compiled loops read them.

    Parameters
    ----------
    values : array_like
    name : str
        What the error calls them.

    Returns
    -------
    ndarray, float64
        Contiguous and aligned. What float64 cannot hold is infinite.

    Raises
    ------
    TypeError
        Where they are not all real numbers.

    Examples
    --------
    >>> as_reals([1, 2], name="lengths")
    array([1., 2.])
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise TypeError(f"{name} must be an array of real numbers, not lists of different lengths") from None
    if array.dtype.kind not in "fiubOSU":
        raise TypeError(f"{name} must be real numbers, not {array.dtype}")
    try:
        with np.errstate(over="ignore"):
            return np.require(array, np.float64, ["C", "A"]).reshape(array.shape)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be real numbers, but {_first_wrong(array)}") from None


def as_weights(weights: ArrayLike | None, n_rows: int) -> NDArray[np.float64] | None:
    """
    Sample weights as a float64 array.

    Parameters
    ----------
    weights : array_like, shape (N,), or None
        None for ones; a number for the same weight everywhere.
    n_rows : int
        N.

    Returns
    -------
    ndarray, shape (N,), or None

    Raises
    ------
    ValueError
        Where they are of another shape, negative, not finite, or all zero.
    TypeError
        For masked arrays.
    """
    if weights is None:
        return None
    if isinstance(weights, np.ma.MaskedArray):
        raise TypeError("sample_weight is a masked array, and masked entries have no value here: fill them, with 0 to leave rows out")
    try:
        array = as_reals(weights, name="sample_weight")
    except TypeError as error:
        raise ValueError(str(error)) from None
    if array.ndim == 0:
        array = np.full(n_rows, float(array))
    if array.shape != (n_rows,):
        raise ValueError(f"sample_weight must be of shape ({n_rows},), one weight a row, not {array.shape}")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"sample_weight[{row}] is {array[row]}; weights must be finite")
    if (array < 0).any():
        row = int(np.flatnonzero(array < 0)[0])
        raise ValueError(f"sample_weight[{row}] is {array[row]}; weights must not be negative")
    if not array.any():
        raise ValueError("sample_weight is zero for every row; at least one weight must be positive")
    return array

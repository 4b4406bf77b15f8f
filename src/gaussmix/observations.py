"""Checks of what a user passes: a table of numbers, the names of its columns, and sample weights."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.estep import Rows
from gaussmix.blocks import block_bounds, is_readable

__all__ = ["as_reals", "as_table", "as_weights", "check_finite", "check_names", "shown"]


def as_table(X: Any, *, name: str = "X") -> tuple[NDArray[Any], list[str] | None]:
    """
    Convert data to a two-dimensional real array and the names of its columns.

    Parameters
    ----------
    X : array_like or DataFrame, shape (N, D)
        NumPy arrays and memory maps are taken as they are; tables of pandas, polars and pyarrow give their columns.
    name : str
        What the errors call X.

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
    if isinstance(X, type):
        raise TypeError(f"{name} is the class {X.__name__}, where rows are needed: pass an object of it")
    if type(X).__module__.partition(".")[0].startswith("dask") and hasattr(X, "columns"):
        raise TypeError(f"{name} is a DataFrame of Dask, where rows in memory are needed: pass {name}.compute()")
    if hasattr(X, "mapInArrow"):
        raise TypeError(f"{name} is a DataFrame of Spark, where rows in memory are needed: pass {name}.toPandas()")
    if callable(getattr(X, "blocks", None)) and hasattr(X, "state"):
        raise TypeError(f"{name} is a source, where rows in memory are needed: read some of its blocks first")
    if isinstance(X, (str, os.PathLike)):
        raise TypeError(f"{name} is a path, where rows in memory are needed: read the file first")
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
        called = name if name.isidentifier() else "X"
        raise ValueError(
            f"Expected 2D array for {name}, got {array.ndim}D array of shape {array.shape} instead: one row a sample, "
            f"one column a feature. Reshape your data with {called}.reshape(-1, 1) if it has a single feature or "
            f"{called}.reshape(1, -1) if it is a single sample.")
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
    """Return the place of the first entry that is not a number, with the name of its column if there is one."""
    for place, value in np.ndenumerate(array):
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            where = f" at row {place[0]}, column {place[1]}" if len(place) == 2 else f" at index {place}" if place else ""
            where = where if column is None else f" at row {place[0]}, column {column!r}"
            return f"{'holds' if place else 'is'} {shown(value.item() if isinstance(value, np.generic) else value)}{where}"
    return "does not"


def shown(value: object) -> str:
    """Return a value on one line, as an error shows it."""
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
    for column, kind in zip(columns, getattr(X, "dtypes", ())):
        if hasattr(kind, "is_nested") and (kind.is_nested() or kind.is_temporal()):  # which polars would spread out, or count
            raise TypeError(f"{name} must hold numbers only, but column {column!r} holds {kind}: leave it out or code it as numbers")
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
    if array.ndim != 1 or array.dtype.kind == "O" and any(isinstance(value, (list, tuple, dict, np.ndarray)) for value in array):
        raise TypeError(f"{name} must hold numbers only, but column {column!r} holds several values a row: make a column of each")
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
        if block.dtype in (np.float32, np.float64) and is_readable(block, block.dtype):
            if Rows(block).within(min(largest, np.finfo(np.float64).max)):  # NumPy would let go of the GIL more than once
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
    Convert numbers of any type to the form that the compiled loops read.

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

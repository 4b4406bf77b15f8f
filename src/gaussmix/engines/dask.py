"""Dask: the partitions of its arrays and tables, where a cluster of Dask, or its local scheduler, keeps them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from gaussmix.blocks import weight_scale
from gaussmix.engines.cluster import FAN, add_parts, as_part
from gaussmix.observations import as_weights
from gaussmix.sources.source import SourceError
from gaussmix.statistics import Statistics

__all__ = ["DaskParts", "check_table", "is_dask", "lazily", "lazy_mean"]

_Result = TypeVar("_Result")


def _dask() -> Any:
    """The library, whose types are incomplete."""
    import dask.array

    return dask


def is_dask(X: object) -> bool:
    """Whether X is an array or a table of Dask."""
    return type(X).__module__.partition(".")[0] in ("dask", "dask_expr") and hasattr(X, "to_delayed")


def check_table(X: Any) -> None:
    """
    Raise where a collection of Dask is no table.

    Raises
    ------
    TypeError
    ValueError
    """
    if not hasattr(X, "shape"):
        raise TypeError(f"X must be an array or a DataFrame of Dask, not a {type(X).__name__}")
    if len(X.shape) != 2:
        raise ValueError(f"Expected 2D array for X, got {len(X.shape)}D dask {type(X).__name__} instead: one row a sample, one column a "
                         "feature")


def _checked_weights(weights: Any) -> Any:
    """Weights as a collection of Dask, whose numbers are still unknown."""
    if len(weights.shape) != 1 or weights.dtype.kind not in "fiub":
        raise ValueError(f"sample_weight must be one number a row, not {weights.dtype} in {len(weights.shape)} dimensions")
    return weights


class DaskParts:
    """
    The partitions of an array or a table of Dask.

    Where a `distributed.Client` is active, they are computed once and stay on its workers; a partition whose worker dies is computed
    again elsewhere. Otherwise they are computed in each pass, by Dask's scheduler in this process.

    Parameters
    ----------
    X : dask Array or DataFrame, shape (N, D)
    weights : dask Array or Series, or array_like, shape (N,), optional
    """

    def __init__(self, X: Any, weights: Any = None) -> None:
        check_table(X)
        self.name = f"dask {type(X).__name__}"
        columns = getattr(X, "columns", None)
        names = None if columns is None else list(columns)
        self.columns = names if names and all(isinstance(name, str) for name in names) else None
        self.n_features = int(X.shape[1])
        if columns is None:
            X = X.rechunk({1: -1})
        rows = np.ravel(np.array(X.to_delayed(), dtype=object)).tolist()
        beside = self._weights_beside(X, weights, len(rows))
        made = [_dask().delayed(as_part, pure=False)(part, weight) for part, weight in zip(rows, beside)]
        self._parts = list(_dask().persist(*made)) if _client() is not None else made

    def _weights_beside(self, X: Any, weights: Any, n_parts: int) -> list[Any]:
        """The weights of each partition."""
        if weights is None:
            return [None] * n_parts
        if is_dask(weights):
            parts = np.ravel(np.array(_checked_weights(weights).to_delayed(), dtype=object)).tolist()
            if len(parts) != n_parts:
                raise ValueError(f"sample_weight must have as many partitions as X, {n_parts}, not {len(parts)}: repartition one of them")
            return parts
        lengths = [size for size in X.chunks[0]] if hasattr(X, "chunks") else list(X.map_partitions(len).compute())
        if any(size != size for size in lengths):
            raise ValueError("the chunks of X have unknown sizes, so that sample_weight must be a dask array, or their sizes be computed "
                             "before, by X.compute_chunk_sizes()")
        return np.split(cast(NDArray[np.float64], as_weights(weights, sum(lengths))), np.cumsum(lengths)[:-1])

    def _computed(self, *results: Any) -> tuple[Any, ...]:
        try:
            found: tuple[Any, ...] = _dask().compute(*results)
            return found
        except (MemoryError, SourceError):
            raise
        except Exception as error:
            what = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise SourceError(self.name, f"a partition could not be computed: {type(error).__name__}: {what}") from error

    def _tasks(self, function: Callable[..., Any], shared: tuple[Any, ...]) -> list[Any]:
        sent = [_dask().delayed(one, name=f"gaussmix-{uuid.uuid4().hex}", traverse=False) for one in shared]
        task = _dask().delayed(_on_part, pure=False)
        return [task(function, number, part, *sent) for number, part in enumerate(self._parts)]

    def each(self, function: Callable[..., _Result], *shared: Any) -> list[_Result]:
        """See `Parts.each`."""
        return list(self._computed(*self._tasks(function, shared)))

    def added(self, function: Callable[..., Statistics], *shared: Any) -> Statistics:
        """See `Parts.added`."""
        add = _dask().delayed(add_parts, pure=False)
        tree = self._tasks(function, shared)
        while len(tree) > 1:
            tree = [add(tree[start:start + FAN]) for start in range(0, len(tree), FAN)]
        found: Statistics = self._computed(tree[0])[0]
        return found


def _on_part(function: Callable[..., _Result], number: int, part: tuple[Any, Any], *shared: Any) -> _Result:
    return function(number, *part, *shared)


def _client() -> Any:
    """The client of a cluster, where one is active."""
    try:
        from distributed import get_client
    except ImportError:
        return None
    try:
        return get_client()
    except ValueError:
        return None


def lazily(X: Any, function: Callable[[Any], Any], columns: list[str], wide: bool, dtype: np.dtype[Any]) -> Any:
    """
    Answer a question for every row, when Dask is asked for the result.

    Parameters
    ----------
    X : dask Array or DataFrame, shape (N, D)
    function : callable
        From the rows of a partition to an array with one answer a row, or with K answers.
    columns : list of str
        The names of the answers.
    wide : bool
        Whether there are K answers a row.
    dtype : dtype

    Returns
    -------
    dask Array, or Series or DataFrame where X is a DataFrame
    """
    if not hasattr(X, "columns"):
        X = X.rechunk({1: -1})
        if wide:
            return X.map_blocks(function, dtype=dtype, chunks=(X.chunks[0], (len(columns),)))
        return X.map_blocks(function, dtype=dtype, drop_axis=1)
    import pandas

    def answered(table: Any) -> Any:
        answers = function(table)
        return pandas.DataFrame(answers, table.index, columns) if wide else pandas.Series(answers, table.index, name=columns[0])

    meta = pandas.DataFrame({name: np.empty(0, dtype) for name in columns}) if wide else pandas.Series(np.empty(0, dtype), name=columns[0])
    return X.map_partitions(answered, meta=meta)


def lazy_mean(values: Any, weights: Any) -> tuple[float, float]:
    """
    Compute the weighted mean of a collection of Dask, and the sum of the weights.

    Parameters
    ----------
    values : dask Array or Series, shape (N,)
    weights : dask Array or Series, or array_like, shape (N,), or None

    Returns
    -------
    mean, total : float
    """
    known = not (weights is None or is_dask(weights))  # then the weights are here, and are cut as the rows are
    values = values.to_dask_array(lengths=True if known else None) if hasattr(values, "to_dask_array") else values
    if known:
        if any(size != size for size in values.chunks[0]):
            values = values.compute_chunk_sizes()
        weights = _dask().array.from_array(as_weights(weights, len(values)), chunks=values.chunks)
    elif weights is None:
        total, n_rows = _dask().compute(values.sum(), values.map_blocks(np.ones_like, dtype=np.float64).sum())
        if not n_rows:
            raise ValueError("X has no rows")
        return float(total / n_rows), float(n_rows)
    else:
        weights = _checked_weights(weights.to_dask_array() if hasattr(weights, "to_dask_array") else weights)
    if weights.numblocks != values.numblocks:
        raise ValueError(f"sample_weight must have as many partitions as X, {values.numblocks[0]}, not {weights.numblocks[0]}: repartition "
                         "one of them")
    found, = _dask().compute([_dask().delayed(_seen)(part) for part in weights.to_delayed()])
    if any(wrong for _, wrong in found):
        raise ValueError("sample_weight must be finite and not negative in every row")
    largest = max(one for one, _ in found)
    if not largest:
        raise ValueError("sample_weight is zero for every row; at least one weight must be positive")
    scale = weight_scale(largest)  # so that sums of very large or small weights stay in range
    scaled = weights / scale
    total, weight = _dask().compute((values * scaled).sum(), scaled.sum())
    return float(total / weight), float(min(weight * scale, np.finfo(np.float64).max))


def _seen(weights: NDArray[Any]) -> tuple[float, bool]:
    """The largest weight of a partition, and whether it has some that cannot be used."""
    return float(weights.max(initial=0.0)), not bool(((weights >= 0) & np.isfinite(weights)).all())

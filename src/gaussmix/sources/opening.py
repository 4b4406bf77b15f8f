"""From what a user passes as X to the source that it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from gaussmix.delimited import Dialect, refuse_dialect
from gaussmix.observations import shown
from gaussmix.sources.arrays import NpyFiles, Sliced
from gaussmix.sources.arrow import PARQUET, Columns, Scanned, csv_files, dataset_rows, lazy_table, parquet_files, record_batches
from gaussmix.sources.iterables import Iterated, is_iterable_of_blocks
from gaussmix.sources.source import Source
from gaussmix.tables import Choice, by_name

__all__ = ["is_source", "open_file", "open_like", "open_source", "paths_of"]

PROTOCOLS = ("__array_interface__", "__array_namespace__", "__cuda_array_interface__", "__dlpack__", "tocsr", "dask")


def is_source(X: object) -> bool:
    """
    Whether X is a source, whose rows are read a block at a time, and not a table in memory.

    Parameters
    ----------
    X : object

    Returns
    -------
    bool

    Examples
    --------
    >>> is_source("rows.parquet"), is_source(["a.npy", "b.npy"]), is_source([[1.0], [2.0]])
    (True, True, False)
    """
    return (isinstance(X, (Source, np.memmap, os.PathLike, str)) or _are_paths(X) or _is_sliced(X) or _arrow_kind(X) is not None
            or _is_lazy(X) or is_iterable_of_blocks(X))


def open_source(X: Any, *, columns: Sequence[str] | None = None, filter: Any = None, sample_weight: str | None = None,
                labels: str | None = None, responsibilities: Sequence[str] | None = None) -> Source:
    """
    Open what need not be in memory: files, memory maps, datasets, lazy tables, and what can be iterated anew.

    `GaussianMixture.fit` and its other methods call this themselves. Call it to choose columns or rows.

    Parameters
    ----------
    X : path, list of path, memory map, pyarrow Dataset or RecordBatchReader, polars LazyFrame, HDF5 or zarr dataset, iterable, or Source
        A path ends in `.npy`, `.parquet` (or is a folder of Parquet files); any other file is read as CSV, compressed by gzip or not.
        A RecordBatchReader can be read only once, so that its rows are kept in a temporary file.
    columns : list of str, optional
        The features. By default all columns that are not named below. Only for files and tables whose columns have names.
    filter : pyarrow.compute.Expression, optional
        Which rows to take, for Parquet and CSV files and pyarrow datasets. It may name any column.
    sample_weight : str, optional
        The column with the sample weights.
    labels : str, optional
        The column with the components that rows begin with, under init_params="labels".
    responsibilities : list of str, optional
        The K columns with the responsibilities that EM begins with, under init_params="responsibilities".

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        Where X is no source, or can be iterated only once, or another argument is of another type.
    OSError
        Where a file cannot be opened.
    ValueError
        Where a file is not what its name says, or has not the columns that are named.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from gaussmix.sources import open_source
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("height,mass,seen\\n1,2,3\\n4,5,1\\n")
    ...     source = open_source(path, columns=["mass"], sample_weight="seen")
    ...     block = next(source.blocks())
    >>> block.rows.tolist(), block.sample_weight.tolist()
    ([[2.0], [5.0]], [3.0, 1.0])
    """
    for name, names in (("columns", columns), ("responsibilities", responsibilities)):
        if names is not None and (isinstance(names, str) or not np.iterable(names) or not all(isinstance(one, str) for one in names)):
            raise TypeError(f"{name} must be a list of names, not {names!r}")
    if filter is not None and type(filter).__name__ != "Expression":
        raise TypeError(f"filter must be an expression of pyarrow, such as pyarrow.compute.field('mass') > 3, not {shown(filter)}")
    roles = Columns(None if columns is None else by_name(list(columns)), sample_weight, labels,
                    None if responsibilities is None else list(responsibilities))
    plain = columns is None and filter is None and sample_weight is None and labels is None and responsibilities is None
    paths = paths_of(X)
    if paths:
        return _opened_files(paths, roles, filter, plain)
    kind = _arrow_kind(X)
    if kind == "Dataset":
        return dataset_rows(X, "pyarrow dataset", roles, filter)
    if filter is not None:
        raise ValueError("filter is for Parquet and CSV files and pyarrow datasets: filter other rows before they come here")
    if kind == "RecordBatchReader":
        return record_batches(X, roles)
    if _is_lazy(X):
        return lazy_table(X, roles)
    if not plain:
        raise ValueError(f"columns can be chosen in files and tables that name them, not in {type(X).__name__}: give its rows as RowBlock")
    if isinstance(X, Source):
        return _checked(X)
    if isinstance(X, np.memmap) or _is_sliced(X):
        return Sliced(X)
    if is_iterable_of_blocks(X):
        return Iterated(X)
    raise TypeError(f"X must be a path, a list of paths, a memory map, a dataset, or an iterable of arrays of rows, not {type(X).__name__}")


def _checked(source: Source) -> Source:
    """A source of a user, whose attributes are what they should be."""
    kind, width = type(source).__name__, getattr(source, "n_features", None)
    if not isinstance(width, (int, np.integer)) or isinstance(width, bool):
        raise TypeError(f"{kind} must set n_features, the width of its blocks, to a whole number")
    columns, n_rows = source.columns, source.n_rows
    if columns is not None and not (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
        raise TypeError(f"{kind} must set columns to a list of names or to None, not to {shown(columns)}")
    if columns is not None and len(columns) != width:
        raise ValueError(f"{kind} has n_features = {width}, but columns of {len(columns)} names")
    if n_rows is not None and (not isinstance(n_rows, (int, np.integer)) or isinstance(n_rows, bool)):
        raise TypeError(f"{kind} must set n_rows to a whole number, or to None where it is not known, not to {shown(n_rows)}")
    return source


def _opened_files(paths: list[str], roles: Columns, condition: Any, plain: bool) -> Source:
    for path in paths:
        os.stat(path)  # which names a file that does not exist
        if not (os.path.isfile(path) or os.path.isdir(path)):
            raise ValueError(f"{path}: is not an ordinary file, so that it cannot be read anew in every pass: read it into memory first")
    ending = {_ending(path) for path in paths}
    if len(ending) > 1:
        raise ValueError(f"all files of a source must be of one kind, not of {len(ending)}: {', '.join(paths[:4])}")
    kind = ending.pop()
    if kind == "parquet":
        return parquet_files(paths, roles, condition)
    if kind == "csv":
        return csv_files(paths, roles, condition)
    if not plain:
        raise ValueError(f"{paths[0]}: the columns of .npy files have no names: leave out columns and filter, or give a Source")
    return NpyFiles(paths)


def _ending(path: str) -> str:
    if os.path.isdir(path) or path.lower().endswith(PARQUET):
        return "parquet"
    return "npy" if path.lower().endswith(".npy") else "csv"


def open_file(path: str, choose: Choice, dialect: Dialect) -> Scanned | NpyFiles:
    """
    Open a file, or a folder of Parquet files, whose columns are chosen as on the command line.

    Parameters
    ----------
    path : str
    choose : Choice
    dialect : Dialect
        What is known of the layout of CSV.

    Returns
    -------
    Source
        Its `positions` are those of the chosen columns.
    """
    kind = _ending(path)
    if kind != "csv":
        refuse_dialect(path, dialect)
    if kind == "npy":
        return NpyFiles([path], choose)
    roles = Columns(choose)
    return parquet_files([path], roles) if kind == "parquet" else csv_files([path], roles, dialect=dialect)


def paths_of(X: object) -> list[str]:
    """
    The paths that X is, or a list of; none where it is something else.

    Parameters
    ----------
    X : object

    Returns
    -------
    list of str
    """
    return [os.fsdecode(one) for one in ([X] if isinstance(X, (str, os.PathLike)) else X if _are_paths(X) else [])]


def _are_paths(X: object) -> TypeGuard[Sequence[str | os.PathLike[str]]]:
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(isinstance(one, (str, os.PathLike)) for one in X)


def _is_sliced(X: object) -> bool:
    """Whether X has a shape, a type and slices, but is no array that NumPy could take as it is: a dataset of HDF5 or zarr."""
    return (not isinstance(X, np.ndarray) and isinstance(getattr(X, "shape", None), tuple) and hasattr(X, "dtype")
            and hasattr(X, "__getitem__") and not any(hasattr(type(X), name) for name in PROTOCOLS) and not hasattr(X, "columns"))


def _arrow_kind(X: object) -> str | None:
    """"Dataset" or "RecordBatchReader" for these objects of pyarrow."""
    if not type(X).__module__.startswith("pyarrow"):
        return None
    names = {one.__name__ for one in type(X).__mro__}
    return next((name for name in ("Dataset", "RecordBatchReader") if name in names), None)


def _is_lazy(X: object) -> bool:
    return type(X).__name__ == "LazyFrame" and type(X).__module__.startswith("polars")


def open_like(X: Any, names: list[str] | None) -> Source:
    """
    Open a source for a model that knows the names of its features: of files and tables with names, these columns are taken.

    Parameters
    ----------
    X : object
        As for `open_source`.
    names : list of str or None

    Returns
    -------
    Source
    """
    named = any(_ending(path) != "npy" for path in paths_of(X)) or _arrow_kind(X) is not None or _is_lazy(X)
    return open_source(X, columns=names if named else None)

"""Data in files: CSV, Parquet and .npy. Errors of reading say where; files are written as a whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gaussmix.delimited import Dialect, read_delimited, refuse_dialect
from gaussmix.outputs import check_output, whole_file
from gaussmix.tables import (
    STANDARD_STREAM, Choice, DataFileError, Table, check_values, chosen_columns, every_column,
    refuse_words, shown)

__all__ = ["check_table_output", "read_table", "table_writer", "write_csv"]

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".npy")
ROWS_AT_ONCE = 10_000


def read_table(path: str, choose: Choice = every_column, largest: float = sys.float_info.max, dialect: Dialect = Dialect()) -> Table:
    """
    Read a file of numbers. Its suffix decides the format: `.npy`, `.parquet`, or CSV for any other, compressed by gzip or not.

    Parameters
    ----------
    path : str
        "-" is standard input, which holds CSV.
    choose : Choice, optional
        Chooses the columns and their order. By default all columns are read.
    largest : float
        Larger numbers are errors.
    dialect : Dialect, optional
        What is known of the layout of a CSV file. The rest is detected.

    Returns
    -------
    Table
        Where all columns of a `.npy` file are chosen, it is mapped into memory instead of being read.

    Raises
    ------
    OSError
        Where the file cannot be read.
    DataFileError
        Where the file cannot be used. The message names the file, and the line (or row, from 1) and the column if there are any.
    """
    read = {".npy": _read_npy, ".parquet": _read_parquet}.get(_suffix(path))
    if read is not None:
        refuse_dialect(path, dialect)
    if path != STANDARD_STREAM and os.path.exists(path):
        if not os.path.isfile(path):  # a pipe could not be read twice
            raise DataFileError(f"{path}: is a {'folder' if os.path.isdir(path) else 'pipe or device'}, not a file")
        if os.path.getsize(path) == 0:
            raise DataFileError(f"{path}: is empty")
    return read_delimited(path, choose, largest, dialect) if read is None else read(path, choose, largest)


def _suffix(path: str) -> str:
    root, suffix = os.path.splitext(path.lower())
    return os.path.splitext(root)[1] + suffix if suffix == ".gz" else suffix


def _pyarrow_parquet(path: str, to: str = "reading") -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataFileError(f"{path}: {to} this kind of file needs pyarrow: pip install 'gaussmix[cli]'") from None
    return parquet


# .npy

def _read_npy(path: str, choose: Choice, largest: float) -> Table:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the Python literal of the header, and about huge shapes
            values: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged header can raise nearly anything
        raise DataFileError(f"{path}: is not a .npy file of numbers, or is damaged: {_first_line(error)}") from None
    if values.dtype.kind not in "fiub":
        raise DataFileError(f"{path}: must hold real numbers, not {values.dtype}")
    if values.ndim == 1:
        values = values.reshape(-1, 1)
    if values.ndim != 2 or 0 in values.shape:
        raise DataFileError(f"{path}: must hold an array of shape (rows, columns), not {values.shape}")
    chosen = chosen_columns(path, None, values.shape[1], choose)
    if chosen != list(range(values.shape[1])):
        values = values[:, chosen]
    check_values(path, values, None, chosen, largest)
    return Table(values, None, [position + 1 for position in chosen])


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


# Parquet

def _read_parquet(path: str, choose: Choice, largest: float) -> Table:
    parquet = _pyarrow_parquet(path)
    try:
        with open(path, "rb") as file:
            source = parquet.ParquetFile(file)
            names = source.schema_arrow.names
            chosen = chosen_columns(path, names, len(names), choose)
            wanted = [names[position] for position in chosen]
            table = source.read(columns=wanted).select(wanted)
    except (DataFileError, MemoryError):
        raise
    except Exception as error:  # so can a damaged Parquet file
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise DataFileError(f"{path}: is not a Parquet file, or is damaged: {_first_line(error)}") from None
    if 0 in table.shape:
        raise DataFileError(f"{path}: holds no rows")
    refuse_words(path, list(zip(chosen, table.schema)))
    single = all(str(kind) == "float" for kind in table.schema.types)
    values: NDArray[Any] = np.empty(table.shape, np.float32 if single else np.float64)
    for index, name in enumerate(wanted):
        values[:, index] = _parquet_column(path, name, table.column(name))
    check_values(path, values, names, chosen, largest)
    return Table(values, wanted, [position + 1 for position in chosen])


def _parquet_column(path: str, name: str, column: Any) -> NDArray[Any]:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataFileError(f"{path}: row {row + 1}, column {shown(name)}: the value is missing")
    numbers: NDArray[Any] = column.cast("float64").to_numpy() if str(column.type).startswith("decimal") else column.to_numpy()
    return numbers


# Writing

def check_table_output(path: str) -> None:
    """
    Raise where `table_writer` could not write a file. This is called before the work whose result the file will hold.

    Parameters
    ----------
    path : str

    Raises
    ------
    OSError
    DataFileError
        Where files with this suffix cannot be written, or need a package that is not installed.
    """
    check_output(path)
    if _suffix(path) not in SUFFIXES:
        raise DataFileError(f"{path}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if _suffix(path) == ".parquet":
        _pyarrow_parquet(path, "writing")


Write = Callable[[Sequence[NDArray[Any]]], None]


@contextmanager
def table_writer(path: str, columns: list[str] | None) -> Iterator[Write]:
    """
    A function that writes rows to a file, which takes its name only when all have been written.

    Parameters
    ----------
    path : str
        The suffix decides the format.
    columns : list of str or None
        Names for CSV and Parquet. Without names CSV has no header, and the columns of Parquet are called x1, x2 …

    Yields
    ------
    callable
        It takes a list of arrays, of shape (n,) or (n, D), whose columns stand side by side; a `.npy` file holds them in one array. It is
        called once for each part of the rows. All parts have the same columns.

    Raises
    ------
    OSError
    DataFileError
    """
    check_table_output(path)
    writer = {".npy": _npy_writer, ".parquet": _parquet_writer, ".csv.gz": _packed_csv_writer}.get(_suffix(path), _csv_writer)
    with whole_file(path) as file, writer(file, columns) as write:
        yield write


@contextmanager
def _npy_writer(file: IO[bytes], columns: list[str] | None) -> Iterator[Write]:
    """The header, which comes first, tells the number of rows: it is written again at the end, where NumPy leaves room for that."""
    header: dict[str, Any] = {}

    def write(arrays: Sequence[NDArray[Any]]) -> None:
        rows = arrays[0] if len(arrays) == 1 else np.column_stack(arrays)
        if not header:
            header.update(descr=np.lib.format.dtype_to_descr(rows.dtype), fortran_order=False, shape=(0, *rows.shape[1:]))
            np.lib.format.write_array_header_1_0(file, header)
        header["shape"] = (header["shape"][0] + len(rows), *rows.shape[1:])
        file.write(np.ascontiguousarray(rows).data)

    yield write
    if header:
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header)


@contextmanager
def _csv_writer(file: IO[bytes] | gzip.GzipFile, columns: list[str] | None) -> Iterator[Write]:
    names = columns
    with io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True) as text:
        def write(arrays: Sequence[NDArray[Any]]) -> None:
            nonlocal names
            write_csv(text, names, arrays)
            names = None

        yield write


@contextmanager
def _packed_csv_writer(file: IO[bytes], columns: list[str] | None) -> Iterator[Write]:
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed, _csv_writer(packed, columns) as write:
        yield write  # the same table is the same file


@contextmanager
def _parquet_writer(file: IO[bytes], columns: list[str] | None) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    with ExitStack() as opened:
        writer: Any = None

        def write(arrays: Sequence[NDArray[Any]]) -> None:
            nonlocal writer
            vectors = [vector for array in arrays for vector in ([array] if array.ndim == 1 else array.T)]
            names = columns or [f"x{index + 1}" for index in range(len(vectors))]
            table = pyarrow.table(dict(zip(names, map(np.ascontiguousarray, vectors))))
            if writer is None:
                writer = opened.enter_context(parquet.ParquetWriter(file, table.schema))
            writer.write_table(table)

        yield write


def write_csv(file: IO[str], columns: list[str] | None, arrays: Sequence[NDArray[Any]]) -> None:
    """
    Write columns as CSV. Every number is written as the shortest decimal that is read back as the same bits.

    Parameters
    ----------
    file : text file object
    columns : list of str or None
    arrays : list of ndarray, shape (N,) or (N, D)
    """
    writer = csv.writer(file, lineterminator="\n")
    if columns is not None:
        writer.writerow(columns)
    for start in range(0, len(arrays[0]), ROWS_AT_ONCE):
        parts = [array[start:start + ROWS_AT_ONCE].tolist() for array in arrays]
        rows = ([cell for part in row for cell in (part if isinstance(part, list) else [part])] for row in zip(*parts))
        writer.writerows(rows)

"""Data in files: CSV, Parquet and .npy, read with errors that say where, and written whole or not at all."""

import csv
import io
import os
import re
from array import array
from dataclasses import dataclass

import numpy as np

from gaussmix.blocks import block_bounds
from gaussmix.outputs import check_output, whole_file

__all__ = ["DataFileError", "Table", "check_table_output", "read_table", "write_csv", "write_table"]

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none"}
SUFFIXES = (".csv", ".parquet", ".npy")
ROWS_AT_ONCE = 10_000


class DataFileError(ValueError):
    """A data file cannot be used. The message begins with its name."""


@dataclass(frozen=True)
class Table:
    """
    Numbers with the names of their columns.

    Attributes
    ----------
    values : ndarray, shape (N, D)
        All finite.
    columns : list of str or None
        None where the file has no names.
    """

    values: np.ndarray
    columns: list | None


def read_table(path, columns=None, largest=np.finfo(np.float64).max):
    """
    Read a file of numbers, as its suffix says: `.npy`, `.parquet`, and CSV for every other.

    Parameters
    ----------
    path : str
    columns : list of str, optional
        Which columns, in which order, where the file has names; all by default.
    largest : float
        Numbers beyond it are errors.

    Returns
    -------
    Table
        A `.npy` file is mapped into memory, not read.

    Raises
    ------
    OSError
        Where the file cannot be read.
    DataFileError
        Naming the file, and line (or row, counted from 1) and column where there is one.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe could not be read twice
        raise DataFileError(f"{path}: is a {'folder' if os.path.isdir(path) else 'pipe or device'}, not a file")
    if os.path.exists(path) and os.path.getsize(path) == 0:
        raise DataFileError(f"{path}: is empty")
    read = {".npy": _read_npy, ".parquet": _read_parquet}.get(_suffix(path), _read_csv)
    return read(path, columns, largest)


def _suffix(path):
    return os.path.splitext(path)[1].lower()


def _chosen(path, names, columns):
    """The positions of the wanted columns."""
    for column in columns or ():
        if column not in names:
            raise DataFileError(f"{path}: has no column {column!r}; its columns are {', '.join(map(repr, names))}")
    return list(range(len(names))) if columns is None else [names.index(column) for column in columns]


def _check_names(path, names, line):
    for index, name in enumerate(names):
        if not name:
            raise DataFileError(f"{path}{line}: column {index + 1} has no name")
        if name in names[:index]:
            raise DataFileError(f"{path}{line}: two columns have the name {name!r}")


def _fault(value, largest):
    """What is wrong with a number, or None."""
    if np.isnan(value):
        return "the value is missing (NaN)"
    if np.isinf(value):
        return "the value is infinite"
    return None if abs(float(value)) <= largest else f"the value {value:g} is too large; the largest is {largest:g}"


def _first_fault(values, largest):
    """Row and column of the first number that is NaN, infinite or too large, or None."""
    if values.dtype.kind in "iub":
        return None
    limit = min(largest, float(np.finfo(values.dtype).max))  # no narrower type can hold a wider one's largest number
    for start, stop in block_bounds(*values.shape, 1):
        bad = ~(np.abs(values[start:stop]) <= limit)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            return int(start + row), int(column)
    return None


def _check_values(path, values, names, largest):
    fault = _first_fault(values, largest)
    if fault is not None:
        row, column = fault
        raise DataFileError(f"{path}: row {row + 1}, column {_label(names, column)}: {_fault(values[fault], largest)}")


def _label(names, column):
    return column + 1 if names is None else repr(names[column])


def _pyarrow(module, path, to="reading"):
    try:
        return __import__(f"pyarrow.{module}", fromlist=[module])
    except ImportError:
        raise DataFileError(f"{path}: {to} this kind of file needs pyarrow: pip install 'gaussmix[cli]'") from None


# .npy

def _read_npy(path, columns, largest):
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataFileError(f"{path}: is not a .npy file of numbers, or is damaged: {_first_line(error)}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise DataFileError(f"{path}: must hold real numbers, not {getattr(values, 'dtype', 'several arrays')}")
    if values.ndim == 1:
        values = values.reshape(-1, 1)
    if values.ndim != 2 or 0 in values.shape:
        raise DataFileError(f"{path}: must hold an array of shape (rows, columns), not {values.shape}")
    _check_values(path, values, None, largest)
    return Table(values, None)


def _first_line(error):
    return str(error).strip().split("\n")[0]


# Parquet

def _read_parquet(path, columns, largest):
    parquet = _pyarrow("parquet", path)
    try:
        with open(path, "rb") as file:
            source = parquet.ParquetFile(file)
            names = source.schema_arrow.names
            _check_names(path, names, "")
            wanted = [names[index] for index in _chosen(path, names, columns)]
            table = source.read(columns=wanted).select(wanted)
    except DataFileError:
        raise
    except (ValueError, OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise DataFileError(f"{path}: is not a Parquet file, or is damaged: {_first_line(error)}") from None
    if 0 in table.shape:
        raise DataFileError(f"{path}: holds no rows")
    single = all(str(kind) == "float" for kind in table.schema.types)
    values = np.empty(table.shape, np.float32 if single else np.float64)
    for index, name in enumerate(wanted):
        values[:, index] = _parquet_column(path, name, table.column(name))
    _check_values(path, values, wanted, largest)
    return Table(values, wanted)


def _parquet_column(path, name, column):
    kind = str(column.type)
    if not re.match(r"u?int\d|float|halffloat|double|bool|decimal", kind):
        raise DataFileError(f"{path}: column {name!r} does not hold numbers, but {kind}")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataFileError(f"{path}: row {row + 1}, column {name!r}: the value is missing")
    return column.cast("float64").to_numpy() if kind.startswith("decimal") else column.to_numpy()


# CSV

def _read_csv(path, columns, largest):
    pyarrow_csv = _pyarrow("csv", path)
    header, width, first_line, skipped = _csv_layout(path)
    chosen = _chosen(path, header, columns) if header is not None else list(range(width))
    values = _read_csv_fast(pyarrow_csv, path, width, chosen, skipped)
    if values is None or _first_fault(values, largest) is not None:
        values = _read_csv_cells(path, header, width, first_line, chosen, skipped, largest)
    if not len(values):
        raise DataFileError(f"{path}: holds no rows below its header")
    return Table(values, None if header is None else [header[index] for index in chosen])


def _csv_layout(path):
    """The header (or None), the number of columns, the first line that is not blank, and how many lines to skip."""
    for line, last, fields in _csv_rows(path):
        fields = [field.strip() for field in fields]
        if all(NUMBER.fullmatch(field) or INFINITE.fullmatch(field) or field.lower() in MISSING for field in fields):
            return None, len(fields), line, 0
        _check_names(path, fields, f": line {line}")
        return fields, len(fields), line, last
    raise DataFileError(f"{path}: is empty")


def _csv_rows(path):
    """First and last line, from 1, and fields of every row that is not blank."""
    last = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for fields in reader:
                if fields:
                    yield last + 1, reader.line_num, fields
                last = reader.line_num
    except csv.Error as error:
        raise DataFileError(f"{path}: line {last + 1}: {error}") from None
    except UnicodeDecodeError:
        raise DataFileError(f"{path}: line {_undecodable_line(path)} is not UTF-8 text") from None


def _undecodable_line(path):
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number


def _read_csv_fast(pyarrow_csv, path, width, chosen, skipped):
    """The chosen columns as pyarrow reads them, or None where it finds anything that is not a number."""
    names = [str(index) for index in range(width)]
    wanted = [names[index] for index in chosen]
    try:
        table = pyarrow_csv.read_csv(
            path, read_options=pyarrow_csv.ReadOptions(column_names=names, skip_rows=skipped),
            convert_options=pyarrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, "float64"), include_columns=wanted, null_values=[""]))
    except ValueError:  # ArrowInvalid
        return None
    values = np.empty(table.shape)
    for index, column in enumerate(table.columns):
        if column.null_count:
            return None
        values[:, index] = column.to_numpy()
    return values


def _read_csv_cells(path, header, width, first_line, chosen, skipped, largest):
    """The same cell by cell: it names the first that is not a number, and reads the odd file that pyarrow does not."""
    numbers = array("d")
    for line, last, fields in _csv_rows(path):
        if last <= skipped:
            continue
        if len(fields) != width:
            found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            raise DataFileError(f"{path}: line {line} has {found}, but line {first_line} has {width}")
        for column in chosen:
            fault, value = _parsed(fields[column].strip(), largest)
            if fault:
                raise DataFileError(f"{path}: line {line}, column {_label(header, column)}: {fault}")
            numbers.append(value)
    return np.array(numbers).reshape(-1, len(chosen))


def _parsed(text, largest):
    """What is wrong with a cell, or None, and its number."""
    if text.lower() in MISSING:
        return f"the value is missing{f' ({text})' if text else ''}", None
    if INFINITE.fullmatch(text):
        return f"the value is infinite ({text})", None
    if not NUMBER.fullmatch(text):
        return f"{text if len(text) <= 30 else text[:27] + '...'!r} is not a number", None
    return _fault(float(text), largest), float(text)


# Writing

def check_table_output(path):
    """
    Raise where `write_table` could not write there, before the work whose result it is to hold.

    Parameters
    ----------
    path : str

    Raises
    ------
    OSError
    DataFileError
        Where the suffix is not one of those that can be written, or needs a package that is not installed.
    """
    check_output(path)
    if _suffix(path) not in SUFFIXES:
        raise DataFileError(f"{path}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if _suffix(path) == ".parquet":
        _pyarrow("parquet", path, "writing")


def write_table(path, columns, arrays):
    """
    Write columns to a file, whole or not at all, as its suffix says.

    Parameters
    ----------
    path : str
    columns : list of str or None
        Names for CSV and Parquet; without names CSV has no header, and Parquet has x1, x2 …
    arrays : list of ndarray, shape (N,) or (N, D)
        Beside each other. A `.npy` file holds them side by side in one array.

    Raises
    ------
    OSError
    DataFileError
    """
    check_table_output(path)
    with whole_file(path) as file:
        if _suffix(path) == ".npy":
            np.save(file, np.column_stack(arrays), allow_pickle=False)
        elif _suffix(path) == ".parquet":
            _write_parquet(file, columns, arrays)
        else:
            with io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True) as text:
                write_csv(text, columns, arrays)


def _write_parquet(file, columns, arrays):
    import pyarrow
    from pyarrow import parquet

    vectors = [vector for array in arrays for vector in ([array] if array.ndim == 1 else array.T)]
    names = columns or [f"x{index + 1}" for index in range(len(vectors))]
    parquet.write_table(pyarrow.table(dict(zip(names, map(np.ascontiguousarray, vectors)))), file)


def write_csv(file, columns, arrays):
    """
    Write columns as CSV; every number as the shortest decimal that reads back as the same bits.

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

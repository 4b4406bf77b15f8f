"""CSV and similar tables in text. Their delimiter and header are given or detected; errors of reading say which line."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gaussmix.tables import (
    STANDARD_STREAM, Choice, ColumnOfWords, DataFileError, Table, chosen_columns, fault, first_fault, label, shown)

__all__ = ["Dialect", "Layout", "check_cells", "layout_of", "read_delimited", "refuse_dialect", "refuse_words_of", "text_bytes"]

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none"}
FOUND = (";", "\t", ",")  # the delimiters that can be detected; where two fit equally well, the earlier one is taken
SPELLED = {";": "';'", "\t": "tab", " ": "space", "|": "'|'", ",": "','"}  # as --delimiter takes them
SAMPLED_ROWS, SAMPLED_CELLS = 100, 10_000  # the layout is detected from these
COMMA_HINT = "; where its comma stands before decimals, say --decimal-comma"
GZIP = b"\x1f\x8b"  # text in UTF-8 never begins like this

_Row: TypeAlias = tuple[int, int, list[str]]
"""First and last line, and fields."""


@dataclass(frozen=True)
class Dialect:
    """
    What a user says of the layout of a table in text.

    Attributes
    ----------
    delimiter : str or None
        The character between fields; None means that it is detected.
    decimal : {".", ","}
        The decimal separator.
    header : bool or None
        Whether the first line holds names; None means that this is detected.
    """

    delimiter: str | None = None
    decimal: str = "."
    header: bool | None = None


@dataclass(frozen=True)
class Layout:
    """
    The layout of a table in text.

    Attributes
    ----------
    delimiter, decimal : str
    names : list of str or None
    width : int
        The number of columns.
    first_line : int
        The first line that is not blank, from 1.
    skipped : int
        How many lines precede the first row of numbers.
    """

    delimiter: str
    decimal: str
    names: list[str] | None
    width: int
    first_line: int
    skipped: int


def read_delimited(path: str, choose: Choice, largest: float, dialect: Dialect) -> Table:
    """
    Read a table from text in UTF-8, compressed by gzip or not.

    Parameters
    ----------
    path : str
        "-" is standard input.
    choose : Choice
        Chooses the columns.
    largest : float
        Larger numbers are errors.
    dialect : Dialect

    Returns
    -------
    Table

    Raises
    ------
    OSError
        Where the file cannot be read.
    DataFileError
        Where the file cannot be used. The message names the file, line and column.
    """
    source = _standard_input() if path == STANDARD_STREAM else _Source(path, lambda: open(path, "rb"))
    return _read(source, choose, largest, dialect)


def refuse_dialect(path: str, dialect: Dialect) -> None:
    """
    Raise where something is said of the layout of a file that is not CSV.

    Raises
    ------
    DataFileError
    """
    if dialect != Dialect():
        raise DataFileError(f"{path}: is not CSV: leave out --delimiter, --decimal-comma and --header, which are for CSV only")


def layout_of(path: str, dialect: Dialect) -> Layout:
    """
    Find out how a table is laid out in a text, from its first rows.

    Parameters
    ----------
    path : str
    dialect : Dialect

    Returns
    -------
    Layout

    Raises
    ------
    OSError
        Where the file cannot be read.
    DataFileError
        Where it holds no table.
    """
    return _found_layout(_Source(path, lambda: open(path, "rb")), dialect)


def refuse_words_of(path: str, layout: Layout, chosen: list[int]) -> None:
    """
    Raise ColumnOfWords where some of the chosen columns of a file begin with words, but not all of them.

    Parameters
    ----------
    path : str
    layout : Layout
    chosen : list of int
    """
    _refuse_words(_Source(path, lambda: open(path, "rb")), layout, chosen)


def text_bytes(path: str) -> AbstractContextManager[IO[bytes] | gzip.GzipFile]:
    """Open a file for its bytes, decompressed if they are compressed by gzip."""
    return _Source(path, lambda: open(path, "rb")).open()


def _read(source: _Source, choose: Choice, largest: float, dialect: Dialect) -> Table:
    layout = _found_layout(source, dialect)
    chosen = chosen_columns(source.name, layout.names, layout.width, choose, f": line {layout.first_line}")
    values = _read_fast(source, layout, chosen)
    if values is None or first_fault(values, largest) is not None:
        _refuse_words(source, layout, chosen)
        values = _read_cells(source, layout, chosen, largest)
    if not len(values):
        raise DataFileError(f"{source.name}: holds no rows below its header")
    names = None if layout.names is None else [layout.names[position] for position in chosen]
    return Table(values, names, [position + 1 for position in chosen])


# The source of the text

@dataclass(frozen=True)
class _Source:
    """Text that can be read several times: its name in messages, and a function that opens its stored bytes."""

    name: str
    raw: Callable[[], IO[bytes]]

    @contextmanager
    def open(self) -> Iterator[IO[bytes] | gzip.GzipFile]:
        """Open its bytes, decompressed if they are compressed."""
        with self.raw() as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            if not packed:
                yield file
                return
            try:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield unpacked
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise DataFileError(f"{self.name}: is compressed by gzip and damaged: {error}") from None


def _standard_input() -> _Source:
    name = "standard input"
    if sys.stdin is None:
        raise DataFileError(f"{name}: is closed")
    try:
        content = sys.stdin.buffer.read()
    except OSError as error:
        raise DataFileError(f"{name}: {error.strerror or error}") from None
    return _Source(name, lambda: io.BytesIO(content))


def _rows(source: _Source, delimiter: str) -> Iterator[_Row]:
    """Yield the first and last line, from 1, and the fields of every row that is not blank."""
    last = 0
    try:
        with source.open() as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=delimiter)
            for fields in reader:
                if fields:
                    yield last + 1, reader.line_num, [field.strip() for field in fields]
                last = reader.line_num
    except csv.Error as error:
        raise DataFileError(f"{source.name}: line {last + 1}: {error}") from None
    except UnicodeDecodeError:
        raise DataFileError(f"{source.name}: line {_undecodable_line(source)} is not UTF-8 text") from None


def _undecodable_line(source: _Source) -> int | None:
    with source.open() as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


# Its layout

def _found_layout(source: _Source, dialect: Dialect) -> Layout:
    delimiter = dialect.delimiter or _found_delimiter(source, dialect.decimal)
    sample = _sample(source, delimiter)
    if not sample:
        raise DataFileError(f"{source.name}: is empty")
    line, last, first = sample[0]
    header = _found_header(source, sample) if dialect.header is None else dialect.header
    return Layout(delimiter, dialect.decimal, first if header else None, len(first), line, last if header else 0)


def _sample(source: _Source, delimiter: str) -> list[_Row]:
    """Return the first rows: at least two, and more up to a number of cells. It stops at a row that cannot be read."""
    sample: list[_Row] = []
    cells = 0
    try:
        for row in islice(_rows(source, delimiter), SAMPLED_ROWS):
            sample.append(row)
            cells += len(row[2])
            if cells > SAMPLED_CELLS and len(sample) > 1:
                break
    except DataFileError:
        if not sample:
            raise
    return sample


def _found_delimiter(source: _Source, decimal: str) -> str:
    """Return the delimiter, among those in the first line, with which the most cells are numbers."""
    def share(delimiter: str) -> float:
        try:
            rows = [fields for _, _, fields in _sample(source, delimiter)]
        except DataFileError:
            return -1
        if not rows or (len(rows[0]) == 1 and decimal == "."):
            return -1
        numbers = sum(_like_a_number(field) for fields in rows if len(fields) == len(rows[0]) for field in fields)
        return numbers / sum(map(len, rows))

    shares = {delimiter: share(delimiter) for delimiter in FOUND}
    best = max(FOUND, key=shares.__getitem__)
    return best if shares[best] >= 0 else ","


def _found_header(source: _Source, sample: list[_Row]) -> bool:
    """Whether the first row holds names: at least one word stands above a number, or all its cells are words."""
    (line, _, first), *rows = sample
    words = [column for column, field in enumerate(first) if not _like_a_number(field)]
    if any(_is_number(fields[column]) for column in words for _, _, fields in rows if column < len(fields)):
        return True
    if any(fields[column] == first[column] for column in words for _, _, fields in rows if column < len(fields)):
        return False  # a word that occurs again below is a category, not a name
    if rows and words and any(map(_is_number, first)):
        raise DataFileError(f"{source.name}: line {line} may hold names or data: say which with --header yes or --header no")
    return bool(words)


def _is_number(text: str) -> bool:
    """Whether a field is a number, with a decimal point or comma."""
    return bool(NUMBER.fullmatch(text.replace(",", ".")))


def _like_a_number(text: str) -> bool:
    """Whether a field is a number, or a sign for a missing or infinite one."""
    return _is_number(text) or text.lower() in MISSING or bool(INFINITE.fullmatch(text))


# Reading

def _read_fast(source: _Source, layout: Layout, chosen: list[int]) -> NDArray[np.float64] | None:
    """Read the chosen columns by pyarrow; return None where it finds anything that is not a number."""
    try:
        from pyarrow import csv as arrow
    except ImportError:
        raise DataFileError(f"{source.name}: reading this kind of file needs pyarrow: pip install 'gaussmix[cli]'") from None
    names = [str(index) for index in range(layout.width)]
    wanted = [names[index] for index in chosen]
    try:
        with source.open() as file:
            table = arrow.read_csv(
                file, read_options=arrow.ReadOptions(column_names=names, skip_rows=layout.skipped),
                parse_options=arrow.ParseOptions(delimiter=layout.delimiter),
                convert_options=arrow.ConvertOptions(
                    column_types=dict.fromkeys(names, "float64"), include_columns=wanted, null_values=[""],
                    decimal_point=layout.decimal))
    except ValueError:  # ArrowInvalid
        return None
    values: NDArray[np.float64] = np.empty(table.shape)
    for index, column in enumerate(table.columns):
        if column.null_count:
            return None
        values[:, index] = column.to_numpy()
    return values


def _refuse_words(source: _Source, layout: Layout, chosen: list[int]) -> None:
    """Raise where some of the chosen columns begin with words, but not all of them."""
    rows = [(line, fields) for line, last, fields in _sample(source, layout.delimiter)
            if last > layout.skipped and len(fields) == layout.width]
    words: dict[int, tuple[int, str]] = {}
    for column in chosen:
        cells = [(line, fields[column]) for line, fields in rows if fields[column]]
        if cells and not any(_like_a_number(cell) or _hint(cell, layout) for _, cell in cells):
            words[column] = cells[0]
    others = [column + 1 for column in chosen if column not in words]
    if words and others:
        column, (line, word) = next(iter(words.items()))
        name = "" if layout.names is None else f", {shown(layout.names[column])},"
        raise ColumnOfWords(f"{source.name}: column {column + 1}{name} holds words, as {shown(word)} in line {line}", others)


def check_cells(path: str, layout: Layout, chosen: list[int]) -> None:
    """
    Read the chosen columns of a file cell by cell, and keep nothing.

    Parameters
    ----------
    path : str
    layout : Layout
    chosen : list of int

    Raises
    ------
    DataFileError
        Naming the first line that has too many or too few fields, or a cell that is not a finite number.
    """
    for _ in _cells(_Source(path, lambda: open(path, "rb")), layout, chosen, math.inf):
        pass


def _read_cells(source: _Source, layout: Layout, chosen: list[int], largest: float) -> NDArray[np.float64]:
    """Read the chosen columns cell by cell. An error names the first cell that is not a number. Some files need this way."""
    return np.array(array("d", _cells(source, layout, chosen, largest))).reshape(-1, len(chosen))


def _cells(source: _Source, layout: Layout, chosen: list[int], largest: float) -> Iterator[float]:
    """Yield the numbers of the chosen columns, row by row."""
    for line, last, fields in _rows(source, layout.delimiter):
        if last <= layout.skipped:
            continue
        if len(fields) != layout.width:
            found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            hint = COMMA_HINT if layout.delimiter == "," and layout.width == 1 and _is_number(",".join(fields)) else ""
            raise DataFileError(
                f"{source.name}: line {line} has {found}, but line {layout.first_line} has {layout.width}{hint}")
        for column in chosen:
            wrong, value = _parsed(fields[column], layout, largest)
            if wrong or value is None:
                raise DataFileError(f"{source.name}: line {line}, column {label(layout.names, column)}: {wrong}")
            yield value


def _parsed(text: str, layout: Layout, largest: float) -> tuple[str | None, float | None]:
    """Return what is wrong with a cell, or None, and its number."""
    if text.lower() in MISSING:
        return f"the value is missing{f' ({text})' if text else ''}", None
    if INFINITE.fullmatch(text):
        return f"the value is infinite ({text})", None
    number = text if layout.decimal == "." else text.replace(".", "?").replace(",", ".")
    if not NUMBER.fullmatch(number):
        return f"{shown(text)} is not a number{_hint(text, layout)}", None
    return fault(float(number), largest), float(number)


def _hint(text: str, layout: Layout) -> str:
    """Return the advice for a cell that looks like a number, or several numbers, in another layout."""
    if layout.decimal == "." and _like_a_number(text):
        return COMMA_HINT
    if layout.decimal == "," and _like_a_number(text):
        return "; leave --decimal-comma out where numbers have a decimal point"
    for mark, name in SPELLED.items():
        if mark != layout.delimiter and mark in text and all(map(_like_a_number, text.split(mark))):
            return f"; where several fields stand in one, say --delimiter {name}"
    return ""

"""The table of a file: its numbers, the choice of its columns, and the errors that either may have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix.blocks import block_bounds

__all__ = ["STANDARD_STREAM", "Choice", "ColumnOfWords", "DataFileError", "Table", "by_name", "by_name_or_number",
           "check_values", "chosen_columns", "every_column", "fault", "first_fault", "label", "refuse_words", "shown"]

STANDARD_STREAM = "-"  # in place of a file's name: standard input or output
LONGEST_NAME = 40
MOST_NAMES = 10

Choice = Callable[[list[str] | None, int], list[int]]
"""From the names of a file's columns (None where they have none) and their number to the positions of those that are wanted."""


class DataFileError(ValueError):
    """A data file cannot be used. The message begins with its name."""


class ColumnOfWords(DataFileError):
    """
    A column that was to be read holds words.

    Attributes
    ----------
    others : list of int
        The numbers, from 1, of the columns that were to be read and may hold numbers.
    """

    def __init__(self, message: str, others: list[int]) -> None:
        super().__init__(message)
        self.others = others


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
    numbers : list of int
        The numbers of these columns in the file, counted from 1.
    """

    values: NDArray[Any]
    columns: list[str] | None
    numbers: list[int]


# Which columns

def every_column(names: list[str] | None, width: int) -> list[int]:
    """All columns, as the file has them."""
    return list(range(width))


def by_name(wanted: list[str]) -> Choice:
    """These columns, where the file has names; all columns where it has none."""
    def choose(names: list[str] | None, width: int) -> list[int]:
        return list(range(width)) if names is None else [_position(names, name) for name in wanted]
    return choose


def by_name_or_number(wanted: list[str]) -> Choice:
    """
    Choose columns in the way that a person writes them.

    Parameters
    ----------
    wanted : list of str
        Names, numbers counted from 1, or ranges of numbers as in 2:5. A text that is a name in the file is read as a name.

    Returns
    -------
    Choice
    """
    def choose(names: list[str] | None, width: int) -> list[int]:
        positions = [position for text in wanted for position in _positions(text, names, width)]
        twice = [position for position, times in Counter(positions).items() if times > 1]
        if twice:
            raise ValueError(f"column {twice[0] + 1} is chosen twice")
        return positions
    return choose


def _positions(text: str, names: list[str] | None, width: int) -> list[int]:
    for name in (text, text.strip()):
        if names is not None and name in names:
            return [_position(names, name)]
    low, colon, high = (part.strip() for part in text.partition(":"))
    ends = [low, high] if colon else [low, low]
    numbers = [int(end) for end in ends if re.fullmatch("[0-9]{1,9}", end)]
    if len(numbers) == 2 and 1 <= numbers[0] <= numbers[1] <= width:
        return list(range(numbers[0] - 1, numbers[1]))
    raise ValueError(f"has no column {shown(text)}; its columns are {_listed(names, width)}")


def _position(names: list[str], name: str) -> int:
    if name not in names:
        raise ValueError(f"has no column {shown(name)}; its columns are {_listed(names, len(names))}")
    if names.count(name) > 1:
        raise ValueError(f"two columns have the name {shown(name)}")
    return names.index(name)


def _listed(names: list[str] | None, width: int) -> str:
    if names is None:
        return f"without names, numbered from 1 to {width}"
    some = ", ".join(map(shown, names[:MOST_NAMES]))
    return f"{some} and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else some


def shown(text: str) -> str:
    """A name or a cell in quotation marks, shortened."""
    return repr(text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME - 3] + "...")


def label(names: list[str] | None, position: int) -> int | str:
    """Return what messages call a column: its name, or its number where it has none."""
    return position + 1 if names is None or not names[position] else shown(names[position])


def chosen_columns(path: str, names: list[str] | None, width: int, choose: Choice, line: str = "") -> list[int]:
    """
    Return the positions of the chosen columns, of which no two may have the same name.

    Parameters
    ----------
    path : str
    names : list of str or None
    width : int
    choose : Choice
    line : str, optional
        Where the names stand, as in ": line 1".

    Raises
    ------
    DataFileError
        Where a column that is wanted is not there, has no name, or shares its name.
    """
    try:
        positions = choose(names, width)
    except ValueError as error:
        raise DataFileError(f"{path}: {error}") from None
    if names is None:
        return positions
    seen: set[str] = set()
    for position in positions:
        if not names[position]:
            raise DataFileError(f"{path}{line}: column {position + 1} has no name")
        if names[position] in seen:
            raise DataFileError(f"{path}{line}: two columns have the name {shown(names[position])}")
        seen.add(names[position])
    return positions


# Which columns hold numbers

def refuse_words(path: str, fields: list[tuple[int, Any]]) -> None:
    """
    Raise where a column does not hold numbers.

    Parameters
    ----------
    path : str
    fields : list of (int, pyarrow.Field)
        The columns that are to be read, with their positions.

    Raises
    ------
    ColumnOfWords
        Naming the first such column.
    """
    others = [position + 1 for position, field in fields if _holds_numbers(field)]
    for position, field in fields:
        if not _holds_numbers(field):
            raise ColumnOfWords(f"{path}: column {position + 1}, {shown(field.name)}, does not hold numbers, but {field.type}", others)


def _holds_numbers(field: Any) -> bool:
    return re.match(r"u?int\d|float|halffloat|double|bool|decimal", str(field.type)) is not None


# What may be wrong with a number

def fault(value: float, largest: float) -> str | None:
    """Return what is wrong with a number, or None."""
    if np.isnan(value):
        return "the value is missing (NaN)"
    if np.isinf(value):
        return "the value is infinite"
    return None if abs(float(value)) <= largest else f"the value {value:g} is too large; the largest is {largest:g}"


def first_fault(values: NDArray[Any], largest: float) -> tuple[int, int] | None:
    """Row and column of the first number that is NaN, infinite or too large, or None."""
    if values.dtype.kind in "iub":
        return None
    limit = min(largest, float(np.finfo(values.dtype).max))  # no narrower type can hold a wider one's largest number
    for start, stop in block_bounds(values.shape[0], values.shape[1], 1):
        bad = ~(np.abs(values[start:stop]) <= limit)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            return int(start + row), int(column)
    return None


def check_values(path: str, values: NDArray[Any], names: list[str] | None, positions: list[int], largest: float) -> None:
    """
    Raise where a number is NaN, infinite or too large.

    Parameters
    ----------
    path : str
    values : ndarray, shape (N, D)
    names : list of str or None
        Of all columns in the file.
    positions : list of int
        Which of them these are.
    largest : float

    Raises
    ------
    DataFileError
        Naming the row, from 1, and the column.
    """
    found = first_fault(values, largest)
    if found is not None:
        row, column = found
        raise DataFileError(
            f"{path}: row {row + 1}, column {label(names, positions[column])}: {fault(values[found], largest)}")

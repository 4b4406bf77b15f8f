"""What is known of rows that are not kept: how many they are, between which values, of what weight, and what is wrong with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.estep import Rows
from gaussmix.blocks import LARGEST, NumberType, fits_single, is_readable, sum_of_weights, weight_scale
from gaussmix.sources.source import SourceError

__all__ = ["Tally", "TalliedRows", "fault"]


@dataclass(frozen=True)
class Tally:
    """
    What is known of some rows. The sum of two is what is known of all their rows.

    Attributes
    ----------
    n_rows, n_positive : int
        How many rows there are, and how many of them have weight.
    is_single : bool
        Whether all are float32.
    low, high : ndarray, shape (D,)
        The least and largest values of rows that have weight.
    first_row : ndarray, shape (D,), or None
    total_weight, largest_weight : float
    """

    n_rows: int
    n_positive: int
    is_single: bool
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    first_row: NDArray[np.float64] | None
    total_weight: float
    largest_weight: float

    @classmethod
    def of(cls, rows: NDArray[Any], weights: NDArray[np.float64] | None = None) -> Self:
        """
        Count some rows.

        Parameters
        ----------
        rows : ndarray, shape (n, D)
        weights : ndarray, shape (n,), optional
            Ones by default.

        Returns
        -------
        Tally
        """
        alive = rows if weights is None else rows[weights > 0]
        none = np.full(rows.shape[1], np.inf)
        low, high = (alive.min(axis=0), alive.max(axis=0)) if len(alive) else (none, -none)
        return cls(len(rows), len(alive), not len(rows) or rows.dtype == np.float32, np.asarray(low, np.float64),
                   np.asarray(high, np.float64), np.asarray(rows[0], np.float64) if len(rows) else None,
                   float(len(rows)) if weights is None else sum_of_weights(weights),
                   1.0 if weights is None else float(weights.max(initial=0.0)))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.n_rows + other.n_rows, self.n_positive + other.n_positive, self.is_single and other.is_single,
                          np.minimum(self.low, other.low), np.maximum(self.high, other.high),
                          other.first_row if self.first_row is None else self.first_row,
                          min(self.total_weight + other.total_weight, float(np.finfo(np.float64).max)),
                          max(self.largest_weight, other.largest_weight))

    @property
    def real(self) -> type[np.floating[Any]]:
        """float32 where all rows are of that type, else float64."""
        return np.float32 if self.is_single else np.float64

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type that the loops can work in."""
        return np.dtype(np.float32 if self.is_single and fits_single(self.low, self.high) else np.float64)

    @property
    def scale(self) -> float:
        """What the weights are divided by before the loops read them."""
        return weight_scale(self.largest_weight)

    def check_rows(self, name: str) -> None:
        """
        Raise where there is nothing to fit.

        Raises
        ------
        SourceError
            Where there are no rows.
        ValueError
            Where none has weight.
        """
        if not self.n_rows:
            raise SourceError(name, "has no rows")
        if not self.n_positive:
            raise ValueError("sample_weight is zero for every row; at least one weight must be positive")


class TalliedRows(NumberType):
    """
    Observations whose rows are not kept. What they are asked for besides passes, the tally knows.

    Parameters
    ----------
    tally : Tally
    n_components : int
        K.
    name : str
        What errors call the rows.

    Attributes
    ----------
    n_rows, n_features, n_positive, total_weight, scale, dtype, size, limit, at_once
        As those of `Blocks`.
    """

    at_once = 1

    def __init__(self, tally: Tally, n_components: int, name: str) -> None:
        self.tally, self.n_components, self.name = tally, n_components, name
        self.n_rows, self.n_features, self.n_positive = tally.n_rows, len(tally.low), tally.n_positive
        self.total_weight, self.scale = tally.total_weight, tally.scale
        self.work_in(tally.dtype)

    def is_constant(self, feature: int) -> bool:
        """Whether a feature has the same value in all rows that have weight."""
        return bool(self.tally.low[feature] == self.tally.high[feature])

    def row(self, n: int) -> NDArray[Any]:
        """Return the first row, the only one that is kept."""
        if n != 0 or self.tally.first_row is None:
            raise IndexError(f"row {n} of {self.name} is not in memory")
        return self.tally.first_row


def fault(rows: NDArray[Any], weights: NDArray[Any] | None = None, largest: float = LARGEST) -> tuple[int, str] | None:
    """
    Return the first row that cannot be used, and what is wrong with it.

    Parameters
    ----------
    rows : ndarray, shape (n, D)
    weights : ndarray, shape (n,), optional
    largest : float
        What no value may exceed.

    Returns
    -------
    (int, str) or None
    """
    return _fault_of_values(rows, largest) or (None if weights is None else _fault_of_weights(weights))


def _fault_of_values(rows: NDArray[Any], largest: float) -> tuple[int, str] | None:
    if rows.dtype.kind in "iub":
        return None
    if rows.dtype in (np.float32, np.float64) and is_readable(rows, rows.dtype) and rows.size and Rows(rows).within(largest):
        return None
    bad = ~(np.abs(rows) <= min(largest, float(np.finfo(rows.dtype).max)))
    if not bad.any():
        return None
    row, column = map(int, np.argwhere(bad)[0])
    value = float(rows[row, column])
    what = "NaN" if np.isnan(value) else "infinity" if np.isinf(value) else f"{value:g}, which is too large"
    return row, f"column {column} holds {what}; all values must be finite"


def _fault_of_weights(weights: NDArray[Any]) -> tuple[int, str] | None:
    bad = ~((weights >= 0) & np.isfinite(weights))
    if not bad.any():
        return None
    row = int(np.argmax(bad))
    return row, f"sample_weight is {weights[row]:g}; weights must be finite and not negative"

"""Rows in partitions that live in other processes: what goes there, what comes back, and the tree by which it is added."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import Block, EStep, GivenLabels, GivenResponsibilities
from gaussmix._core.passes import Passes
from gaussmix.blocks import LARGEST, LARGEST_SINGLE, Blocks, Observations, fits_single, weight_scale
from gaussmix.engines.threads import Threads
from gaussmix.observations import as_table
from gaussmix.sources.source import SourceError
from gaussmix.sources.survey import fault
from gaussmix.statistics import Statistics

__all__ = ["FAN", "ClusterEngine", "ClusterRows", "ClusterSurvey", "Parts", "add_parts", "as_part", "sampled_parts", "surveyed_parts"]

# How many Statistics are added at once. The tree depends on the number of partitions only.
FAN = 8

NOT_SENT = ("labels or responsibilities as init_params are for rows in this process: on a cluster give weights_init, means_init and "
            "precisions_init, or the name of a start")

_Result = TypeVar("_Result")

Part = tuple[NDArray[Any], NDArray[np.float64] | None]  # the rows of a partition, and their weights


class Parts(Protocol):
    """
    Partitions of rows, and how functions are carried out where they are.

    A function takes the number of a partition, its rows, its weights, and what is shared by all partitions. It is a function of a module,
    so that its name can be sent.

    Attributes
    ----------
    name : str
        What errors call the rows.
    columns : list of str or None
        The names of the features.
    n_features : int
    """

    name: str
    columns: list[str] | None
    n_features: int

    def each(self, function: Callable[..., _Result], *shared: Any) -> list[_Result]:
        """Return the results for all partitions, in their order."""

    def added(self, function: Callable[..., Statistics], *shared: Any) -> Statistics:
        """Return the sum of the results for all partitions, added by `add_parts` in a tree of `FAN` branches."""


def add_parts(parts: Sequence[Statistics]) -> Statistics:
    """
    Add Statistics about the same points, in their order.

    Parameters
    ----------
    parts : list of Statistics
        At least one.

    Returns
    -------
    Statistics
    """
    total = parts[0].copy()
    for part in parts[1:]:
        total.accumulate(part)
    return total


def as_part(rows: Any, weights: Any = None) -> Part:
    """
    The rows of a partition in the form that the loops read, which is made once.

    Parameters
    ----------
    rows : array_like or DataFrame, shape (n, D)
    weights : array_like, shape (n,), optional
    """
    table, _ = as_table(rows)
    kept = table.dtype if table.dtype in (np.float32, np.float64) else np.float64
    return np.ascontiguousarray(table, dtype=kept), None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)


@dataclass(frozen=True)
class _PartSurvey:
    """What was found in one partition: as `Survey`, and what is wrong with a row."""

    n_rows: int
    n_positive: int
    single: bool
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    first_row: NDArray[np.float64] | None
    total_weight: float
    largest_weight: float
    checksum: int
    wrong: tuple[int, str] | None


def _survey(number: int, rows: NDArray[Any], weights: NDArray[np.float64] | None, n_features: int) -> _PartSurvey:
    checksum = zlib.crc32(b"" if weights is None else weights.data, zlib.crc32(rows.data))
    wrong = None
    if rows.shape[1] != n_features:
        wrong = 0, f"the partition has {rows.shape[1]} columns, but the data have {n_features}"
    elif weights is not None and weights.shape != (len(rows),):
        wrong = 0, f"the partition has {len(rows)} rows, but weights of shape {weights.shape}"
    elif weights is not None and not (np.isfinite(weights) & (weights >= 0)).all():
        row = int(np.argmax(~(np.isfinite(weights) & (weights >= 0))))
        wrong = row, f"sample_weight is {weights[row]:g}; weights must be finite and not negative"
    wrong = wrong or fault(rows, LARGEST)
    alive = rows if weights is None or wrong else rows[weights > 0]
    none = np.full(n_features, np.inf)
    low, high = (alive.min(axis=0), alive.max(axis=0)) if len(alive) and not wrong else (none, -none)
    single = rows.dtype == np.float32
    return _PartSurvey(len(rows), len(alive), single, np.asarray(low, np.float64), np.asarray(high, np.float64),
                       np.asarray(rows[0], np.float64) if len(rows) else None, float(len(rows) if weights is None else weights.sum()),
                       1.0 if weights is None else float(weights.max(initial=0.0)), checksum, wrong)


@dataclass(frozen=True)
class ClusterSurvey:
    """
    What the first pass over all partitions found.

    Attributes
    ----------
    n_rows, n_positive : int
    counts : list of int
        How many rows with weight each partition has.
    dtype : dtype
        The number type that the loops can work in.
    real : type
        float32 where all rows are of that type, else float64.
    low, high, first_row : ndarray, shape (D,)
    total_weight : float
    scale : float
        What weights are divided by.
    checksum : int
    """

    n_rows: int
    n_positive: int
    counts: list[int]
    dtype: np.dtype[Any]
    real: type[np.floating[Any]]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    first_row: NDArray[np.float64]
    total_weight: float
    scale: float
    checksum: int


def surveyed_parts(parts: Parts, weighted: bool) -> ClusterSurvey:
    """
    Make the first pass over all partitions.

    Parameters
    ----------
    parts : Parts
    weighted : bool
        Whether they have weights.

    Returns
    -------
    ClusterSurvey

    Raises
    ------
    SourceError
        Naming the partition and the row of the first value that cannot be used.
    ValueError
        Where there are no rows, or none has weight.
    """
    found = parts.each(_survey, parts.n_features)
    if not found:
        raise SourceError(parts.name, "has no rows")
    before = 0
    for number, one in enumerate(found):
        if one.wrong is not None:
            raise SourceError(parts.name, one.wrong[1], number, before + one.wrong[0])
        before += one.n_rows
    if not before:
        raise SourceError(parts.name, "has no rows")
    n_positive = sum(one.n_positive for one in found)
    if not n_positive:
        raise ValueError("sample_weight is zero for every row; at least one weight must be positive")
    single = all(one.single for one in found if one.n_rows)
    low = np.array([one.low for one in found]).min(axis=0)
    high = np.array([one.high for one in found]).max(axis=0)
    in_single = single and fits_single(low, high)
    return ClusterSurvey(before, n_positive, [one.n_positive for one in found], np.dtype(np.float32 if in_single else np.float64),
                         np.float32 if single else np.float64, low, high, next(one.first_row for one in found if one.first_row is not None),
                         sum(one.total_weight for one in found),
                         weight_scale(max(one.largest_weight for one in found)) if weighted else 1.0,
                         zlib.crc32(np.array([[one.n_rows, one.checksum] for one in found]).data))


def _rows_at(number: int, rows: NDArray[Any], weights: NDArray[np.float64] | None, chosen: list[NDArray[np.intp]]) -> Part:
    places = chosen[number] if weights is None else np.flatnonzero(weights > 0)[chosen[number]]
    return rows[places], None if weights is None else weights[places]


def sampled_parts(parts: Parts, survey: ClusterSurvey, n_rows: int, seed: int) -> Part:
    """
    Draw rows with weight, without replacement.

    Parameters
    ----------
    parts : Parts
    survey : ClusterSurvey
        Of these.
    n_rows : int
        How many; all, where there are fewer.
    seed : int

    Returns
    -------
    rows : ndarray, shape (n, D)
    weights : ndarray, shape (n,), or None
    """
    n_rows = min(n_rows, survey.n_positive)
    chosen = np.sort(np.random.default_rng(seed).choice(survey.n_positive, n_rows, replace=False, shuffle=False))
    ends = np.cumsum(survey.counts)
    places = [part - start for part, start in zip(np.split(chosen, np.searchsorted(chosen, ends[:-1])), [0, *ends[:-1]])]
    found = parts.each(_rows_at, places)
    weights = [one[1] for one in found if one[1] is not None]
    return np.concatenate([one[0] for one in found]), np.concatenate(weights) if weights else None


def _sum(number: int, rows: NDArray[Any], weights: NDArray[np.float64] | None, estep: EStep, densities: Densities, about: Densities | None,
         n_components: int, dtype: str, scale: float) -> Statistics:
    """The sums of one partition, made by one thread: others may work on other partitions."""
    found = Statistics(estep.kind, estep.n_components, estep.n_features)
    found.reference[...] = (densities if about is None else about).means
    if len(rows):
        blocks = Blocks(rows, n_components, weights, dtype=dtype, scale=scale)
        with Threads(1) as thread:
            found.accumulate(thread.passes(blocks, estep).sum(densities, about))
    return found


class ClusterRows:
    """
    The rows of all partitions, as observations.

    Parameters
    ----------
    parts : Parts
    survey : ClusterSurvey
        Of these.
    n_components : int
        K.
    """

    def __init__(self, parts: Parts, survey: ClusterSurvey, n_components: int) -> None:
        self.parts, self.survey, self.n_components = parts, survey, n_components
        self.n_rows, self.n_features = survey.n_rows, parts.n_features
        self.n_positive, self.total_weight, self.scale = survey.n_positive, survey.total_weight, survey.scale
        self.at_once = 1
        self._work_in(survey.dtype)

    def _work_in(self, dtype: DTypeLike) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.size = self.dtype.itemsize
        self.limit = LARGEST_SINGLE if self.size == 4 else np.inf

    def widen_for(self, densities: Densities) -> None:
        """Switch to float64 for good where float32 cannot hold these densities."""
        if self.size == 4 and not densities.largest() < self.limit:
            self._work_in(np.float64)

    def is_constant(self, feature: int) -> bool:
        """Whether a feature has the same value in all rows that have weight."""
        return bool(self.survey.low[feature] == self.survey.high[feature])

    def row(self, n: int) -> NDArray[Any]:
        """Return the first row, the only one that is here."""
        if n != 0:
            raise IndexError(f"row {n} of {self.parts.name} is not in this process")
        return self.survey.first_row

    def pieces(self) -> range:
        """Return the numbers of the partitions."""
        return range(len(self.survey.counts))

    def block(self, piece: int) -> Block:
        """The rows are not here."""
        raise TypeError(f"the rows of {self.parts.name} are in other processes: only a ClusterEngine makes passes over them")

    def with_labels(self, labels: NDArray[np.int32]) -> Self:
        """Labels are not sent to the partitions."""
        raise ValueError(NOT_SENT)


class ClusterEngine:
    """The engine whose E steps run where the partitions are: Densities go out, and one Statistics comes back in each pass."""

    def passes(self, observations: Observations[Any], estep: EStep) -> Passes:
        """See `Engine.passes`."""
        if not isinstance(observations, ClusterRows):
            raise TypeError(f"the rows must be in partitions, not {type(observations).__name__}")
        if isinstance(estep, (GivenLabels, GivenResponsibilities)):
            raise ValueError(NOT_SENT)
        return _ClusterPasses(observations, estep)


class _ClusterPasses(Passes):
    def __init__(self, rows: ClusterRows, estep: EStep) -> None:
        super().__init__(estep)
        self.rows = rows

    def sum_blocks(self, densities: Densities, about: Densities | None) -> None:
        rows = self.rows
        rows.widen_for(densities)
        if self.estep.size != rows.size:
            self.estep = self.estep.with_size(rows.size)
        found = rows.parts.added(_sum, self.estep, densities, about, rows.n_components, rows.dtype.str, rows.scale)
        self.total.clear()
        self.total.reference[...] = found.reference
        self.total.accumulate(found)

    def row(self, n: int) -> NDArray[Any]:
        return self.rows.row(n)

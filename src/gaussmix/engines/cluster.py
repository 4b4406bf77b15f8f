"""Rows in partitions that live in other processes: what goes there, what comes back, and the tree by which it is added."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import Block, EStep, GivenLabels, GivenResponsibilities
from gaussmix._core.passes import Passes
from gaussmix.blocks import Blocks, Observations
from gaussmix.engines.threads import Threads
from gaussmix.observations import as_table
from gaussmix.sources.source import SourceError
from gaussmix.sources.tally import Tally, TalliedRows, fault
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
    """What was found in one partition: perhaps a row that cannot be used, and what is wrong with it."""

    tally: Tally
    checksum: int
    wrong: tuple[int, str] | None


def _survey(number: int, rows: NDArray[Any], weights: NDArray[np.float64] | None, n_features: int) -> _PartSurvey:
    wrong: tuple[int, str] | None
    if rows.shape[1] != n_features:
        wrong = 0, f"the partition has {rows.shape[1]} columns, but the data have {n_features}"
    elif weights is not None and weights.shape != (len(rows),):
        wrong = 0, f"the partition has {len(rows)} rows, but weights of shape {weights.shape}"
    else:
        wrong = fault(rows, weights)
    checksum = zlib.crc32(b"" if weights is None else weights.data, zlib.crc32(rows.data))
    return _PartSurvey(Tally.of(rows[:0]) if wrong else Tally.of(rows, weights), checksum, wrong)


@dataclass(frozen=True)
class ClusterSurvey:
    """
    What the first pass over all partitions found.

    Attributes
    ----------
    tally : Tally
        Of all rows.
    counts : list of int
        How many rows with weight each partition has.
    checksum : int
    """

    tally: Tally
    counts: list[int]
    checksum: int


def surveyed_parts(parts: Parts) -> ClusterSurvey:
    """
    Make the first pass over all partitions.

    Parameters
    ----------
    parts : Parts

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
    tally = Tally.of(np.empty((0, parts.n_features), np.float32))
    for number, one in enumerate(found):
        if one.wrong is not None:
            raise SourceError(parts.name, one.wrong[1], number, tally.n_rows + one.wrong[0])
        tally += one.tally
    tally.check_rows(parts.name)
    return ClusterSurvey(tally, [one.tally.n_positive for one in found],
                         zlib.crc32(np.array([[one.tally.n_rows, one.checksum] for one in found]).data))


def _rows_at(number: int, rows: NDArray[Any], weights: NDArray[np.float64] | None, chosen: list[NDArray[np.intp]]) -> Part:
    places = chosen[number] if weights is None else np.flatnonzero(weights > 0)[chosen[number]]
    return rows[places], None if weights is None else weights[places]


def _whole(number: int, rows: NDArray[Any], weights: NDArray[np.float64] | None) -> Part:
    return rows, weights


def sampled_parts(parts: Parts, survey: ClusterSurvey, n_rows: int, seed: int) -> Part:
    """
    Draw rows with weight, without replacement; take all rows where there are no more than are wanted.

    Parameters
    ----------
    parts : Parts
    survey : ClusterSurvey
        Of these.
    n_rows : int
        How many.
    seed : int

    Returns
    -------
    rows : ndarray, shape (n, D)
    weights : ndarray, shape (n,), or None
    """
    if survey.tally.n_rows <= n_rows:  # also those without weight, as in memory
        return _joined(parts.each(_whole))
    n_rows = min(n_rows, survey.tally.n_positive)
    chosen = np.sort(np.random.default_rng(seed).choice(survey.tally.n_positive, n_rows, replace=False, shuffle=False))
    ends = np.cumsum(survey.counts)
    places = [part - start for part, start in zip(np.split(chosen, np.searchsorted(chosen, ends[:-1])), [0, *ends[:-1]])]
    return _joined(parts.each(_rows_at, places))


def _joined(found: list[Part]) -> Part:
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


class ClusterRows(TalliedRows):
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
        super().__init__(survey.tally, n_components, parts.name)
        self.parts, self.survey = parts, survey

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

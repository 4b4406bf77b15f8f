"""What a user passes as X and sample_weight, checked once: a table in memory, or a source whose rows are read in every pass."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix.answers import LABELS, answer
from gaussmix.blocks import LARGEST, Blocks, Counted, sum_of_weights
from gaussmix.engines import Engine, Threads
from gaussmix.engines.cluster import ClusterEngine, ClusterRows, Parts, sampled_parts, surveyed_parts
from gaussmix.engines.dask import DaskParts, is_dask
from gaussmix.engines.spark import SparkParts, is_spark
from gaussmix.mixture import Mixture
from gaussmix.observations import as_table, as_weights, check_finite
from gaussmix.random_state import RandomState, as_generator
from gaussmix.sources import Source, is_source, open_source
from gaussmix.sources.rows import SourceRows
from gaussmix.sources.survey import surveyed
from gaussmix.sources.tally import Tally
from gaussmix.streams import e_step

__all__ = ["Data", "InMemory", "OnCluster", "OutOfCore", "data_of"]


class Data(Protocol):
    """
    Rows and their weights.

    Attributes
    ----------
    columns : list of str or None
        The names of the features.
    n_rows, n_features, n_positive : int
        N, D, and how many rows have weight.
    total_weight : float
    real : type
        float32 or float64, that of what an estimator hands out after a fit.
    """

    columns: list[str] | None
    n_rows: int
    n_features: int
    n_positive: int
    total_weight: float
    real: type[np.floating[Any]]

    def observations(self, n_components: int) -> Counted[Any]:
        """Return the rows in blocks that suit K components."""

    def at_hand(self, n_components: int) -> Blocks:
        """Return the rows that are in memory: all, or a sample of them."""

    @property
    def is_whole(self) -> bool:
        """Whether the rows at hand are all rows that have weight, so that nothing is sampled."""

    def engine(self, threads: Threads) -> Engine:
        """Return what carries out E steps over these rows; `threads` for those that this process reads."""

    def log_likelihood(self, mixture: Mixture, engine: Engine) -> float:
        """Return L (6) of the rows under a mixture."""

    def labels(self, mixture: Mixture, n_threads: int | None) -> NDArray[np.intp]:
        """Return the labels that a mixture gives to the rows, shape (N,)."""

    def checksum(self) -> int:
        """Return a number that differs where the rows or weights differ."""


class InMemory:
    """
    A table in memory.

    Parameters
    ----------
    X : array_like or DataFrame, shape (N, D)
    sample_weight : array_like, shape (N,), or None

    Raises
    ------
    ValueError
        Where it has no features, or numbers that are not finite.
    """

    is_whole = True

    def __init__(self, X: ArrayLike, sample_weight: ArrayLike | None) -> None:
        self.table, self.columns = as_table(X)
        self.n_rows, self.n_features = self.table.shape
        if self.n_features < 1:
            raise ValueError(f"Found array with 0 feature(s) (shape={self.table.shape}) while a minimum of 1 is required.")
        check_finite(self.table, largest=LARGEST)
        self.weights = as_weights(sample_weight, self.n_rows)
        self.n_positive = self.n_rows if self.weights is None else int(np.count_nonzero(self.weights))
        self.total_weight = float(self.n_rows) if self.weights is None else sum_of_weights(self.weights)
        self.real: type[np.floating[Any]] = np.float32 if self.table.dtype == np.float32 else np.float64

    def observations(self, n_components: int) -> Blocks:
        return Blocks(self.table, n_components, self.weights)

    at_hand = observations

    def engine(self, threads: Threads) -> Engine:
        return threads

    def log_likelihood(self, mixture: Mixture, engine: Engine) -> float:
        return mixture.log_likelihood(self.table, self.weights, n_threads=engine.n_threads if isinstance(engine, Threads) else None)

    def labels(self, mixture: Mixture, n_threads: int | None) -> NDArray[np.intp]:
        return LABELS.of(mixture, self.table, n_threads)

    def checksum(self) -> int:
        rows = np.ascontiguousarray(self.table)
        return zlib.crc32(b"" if self.weights is None else self.weights.data, zlib.crc32(rows.data))


class _Tallied:
    """Rows that are not in memory, of which a tally is known, and some of which are at hand."""

    def __init__(self, tally: Tally, columns: list[str] | None, sample: NDArray[Any], sample_weight: NDArray[np.float64] | None,
                 checksum: int) -> None:
        self.columns, self.n_features, self.real = columns, len(tally.low), tally.real
        self.n_rows, self.n_positive, self.total_weight = tally.n_rows, tally.n_positive, tally.total_weight
        self._sample, self._sample_weight, self._checksum = sample, sample_weight, checksum

    @property
    def is_whole(self) -> bool:
        return len(self._sample) >= self.n_positive

    def at_hand(self, n_components: int) -> Blocks:
        return Blocks(self._sample, n_components, self._sample_weight)

    def checksum(self) -> int:
        return self._checksum


class OutOfCore(_Tallied):
    """
    A source whose rows are read in every pass.

    Parameters
    ----------
    source : Source
    sample_weight : array_like, shape (N,), or None
        Weights that do not come from the source.
    n_sample : int
        How many rows to keep at hand, for the start.
    seed : int
        Of the sample.
    report : callable, optional
        Called with the number of rows of each block that is read.

    Raises
    ------
    ValueError
        Where the rows cannot be used.
    """

    def __init__(self, source: Source, sample_weight: ArrayLike | None, n_sample: int, seed: int,
                 report: Callable[[int], object] | None = None) -> None:
        if source.n_features < 1:
            raise ValueError(f"{source.name}: has no features")
        weights = None
        if sample_weight is not None:
            given = np.asarray(sample_weight)
            n_rows = source.n_rows if given.ndim == 0 else len(given)
            if n_rows is None:
                raise ValueError("sample_weight must be one weight a row, not a single number, as the number of rows is not known")
            weights = as_weights(sample_weight, n_rows)
        self.source, self.weights, self.report = source, weights, report
        self.survey = survey = surveyed(source, weights, n_sample, seed, report)
        super().__init__(survey.tally, source.columns, survey.sample, survey.sample_weight, survey.checksum)

    def observations(self, n_components: int) -> SourceRows:
        return SourceRows(self.source, self.survey, n_components, self.weights, self.report)

    def engine(self, threads: Threads) -> Engine:
        return threads

    def log_likelihood(self, mixture: Mixture, engine: Engine) -> float:
        rows = self.observations(mixture.n_components)
        return e_step(rows, mixture.structure, mixture._parameters, engine).log_likelihood * rows.scale

    def labels(self, mixture: Mixture, n_threads: int | None) -> NDArray[np.intp]:
        found: NDArray[np.intp] = answer(LABELS, mixture, self.source, n_threads)
        return found


class OnCluster(_Tallied):
    """
    Partitions of rows that live in other processes.

    Parameters
    ----------
    parts : Parts
    n_sample : int
        How many rows to bring here, for the start.
    seed : int
        Of the sample.

    Raises
    ------
    ValueError
        Where the rows cannot be used.
    """

    def __init__(self, parts: Parts, n_sample: int, seed: int) -> None:
        if parts.n_features < 1:
            raise ValueError(f"{parts.name}: has no features")
        self.parts, self.survey = parts, surveyed_parts(parts)
        super().__init__(self.survey.tally, parts.columns, *sampled_parts(parts, self.survey, n_sample, seed), self.survey.checksum)

    def observations(self, n_components: int) -> ClusterRows:
        return ClusterRows(self.parts, self.survey, n_components)

    def engine(self, threads: Threads) -> Engine:
        return ClusterEngine()

    def log_likelihood(self, mixture: Mixture, engine: Engine) -> float:
        rows = self.observations(mixture.n_components)
        return e_step(rows, mixture.structure, mixture._parameters, engine).log_likelihood * rows.scale

    def labels(self, mixture: Mixture, n_threads: int | None) -> NDArray[np.intp]:
        raise TypeError("fit_predict would bring the labels of all rows to this process: call fit, then predict, whose result is lazy")


def data_of(X: Any, sample_weight: Any, n_sample: int, random_state: RandomState,
            report: Callable[[int], object] | None = None) -> Data:
    """
    Check what a user passes as X and sample_weight.

    Parameters
    ----------
    X : array_like, DataFrame, or what `open_source` opens
    sample_weight : array_like, shape (N,), or None
    n_sample : int
        How many rows of a source to keep at hand.
    random_state : None, int, RandomState or Generator
        Decides which. It is left as it is.
    report : callable, optional
        Called with the number of rows of each block that is read from a source.

    Returns
    -------
    Data

    Raises
    ------
    ValueError
    """
    if is_dask(X):
        return OnCluster(DaskParts(X, sample_weight), n_sample, _seed_of(random_state))
    if is_spark(X):
        return OnCluster(SparkParts(X, sample_weight), n_sample, _seed_of(random_state))
    if not is_source(X):
        return InMemory(X, sample_weight)
    return OutOfCore(open_source(X), sample_weight, n_sample, _seed_of(random_state), report)


def _seed_of(random_state: RandomState) -> int:
    """A number that a copy of the source of random numbers draws; without one always the same, so that a fit may go on later."""
    if random_state is None:
        return 0
    copied = copy.deepcopy(random_state) if isinstance(random_state, (np.random.Generator, np.random.RandomState)) else random_state
    return int(as_generator(copied).integers(2**63))

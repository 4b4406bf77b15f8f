"""Where EM starts: k-means++, k-means, random rows, random responsibilities, labels or responsibilities given.

A start is an `Allotment`, the labels or responsibilities of all rows, or a choice of rows as means (`Chosen`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import Block, GivenLabels, GivenResponsibilities
from gaussmix._core.kmeans import Closest, Lloyd, Nearest, Potentials, Seeding
from gaussmix._core.passes import Passes
from gaussmix.blocks import Blocks
from gaussmix.engines import Threads
from gaussmix.statistics import Kind

# Where Lloyd's algorithm ends as a start of EM: mixtures reach the same log-likelihoods as from scikit-learn's 1e-4 (over 32 fits of
# four kinds of overlapping components, the means differ by less than half the standard deviation between seeds, and by no rule
# which way), after a quarter of the iterations where components overlap much.
START_TOLERANCE = 1e-3

__all__ = ["STARTS", "Allotment", "Chosen", "given_labels", "given_responsibilities", "k_means", "k_means_plus_plus"]


def lower_to(blocks: Blocks, threads: Threads, points: NDArray[np.float64], closest: NDArray[np.float64]) -> float:
    """
    Lower `closest`, the squared distance of each row to some points, to that to further points where it is less.

    Parameters
    ----------
    blocks : Blocks
    threads : Threads
    points : ndarray, shape (K, D)
    closest : ndarray, shape (N,), float64

    Returns
    -------
    float
        Σ_n w_n closest_n.
    """
    at, blocks = _densities_at(points), blocks.for_distances(len(points))
    masses = np.zeros(len(blocks))
    threads.passes(blocks, Closest(Kind.DIAG, len(points), blocks.n_features, blocks.size, closest, masses)).sum(at)
    return float(masses.sum())


def _densities_at(points: NDArray[np.float64]) -> Densities:
    at = Densities(Kind.DIAG, *points.shape)
    at.means[...] = points
    return at


def _points(blocks: Blocks, rows: list[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    return np.array(blocks.X[rows], dtype=np.float64)


def k_means_plus_plus(blocks: Blocks, n_components: int, rng: np.random.Generator, threads: Threads) -> list[int]:
    """
    Rows that lie far apart, by greedy k-means++.

    The first is drawn by sample weight, each further one by weight times squared distance to the nearest chosen one; of
    2 + ln K candidates the one that leaves the least inertia is kept.

    Parameters
    ----------
    blocks : Blocks
    n_components : int
    rng : numpy.random.Generator
    threads : Threads

    Returns
    -------
    list of int
        The numbers of K rows.

    References
    ----------
    Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    n_candidates = 2 + int(math.log(n_components))
    blocks = blocks.for_distances(n_candidates)
    closest, masses = np.full(blocks.n_rows, np.inf), np.zeros(len(blocks))
    seeding = Seeding(threads.passes(blocks, Potentials(Kind.DIAG, n_candidates, blocks.n_features, blocks.size, closest)),
                      threads.passes(blocks, Closest(Kind.DIAG, 1, blocks.n_features, blocks.size, closest, masses)),
                      blocks.weights, [stop for _, stop in blocks.bounds], closest, masses)
    chosen: list[int] = []
    uniform = np.full((1, n_candidates), rng.random())  # for the first row, of which there is one candidate
    while len(chosen) < n_components:
        wanted = min(blocks.at_once, n_components - len(chosen))
        uniform = np.concatenate([uniform, rng.random((wanted - len(uniform), n_candidates))])
        chosen += seeding.choose(uniform)
        uniform = uniform[:0]
    return chosen


def k_means(blocks: Blocks, centres: NDArray[np.float64], threads: Threads, *, max_iter: int = 300,
            tol: float = 1e-4) -> tuple[NDArray[np.int32], NDArray[np.float64], float, int]:
    """
    Lloyd's algorithm from given centres.

    Parameters
    ----------
    blocks : Blocks
    centres : ndarray, shape (K, D)
    threads : Threads
    max_iter : int
    tol : float
        Stop when the centres' squared shift falls below this much of the mean variance of the features.

    Returns
    -------
    labels : ndarray, shape (N,), int32
    centres : ndarray, shape (K, D)
    inertia : float
        Σ w_n |x_n − c|², c the nearest of the centres before the last update.
    n_iter : int

    References
    ----------
    Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28 (1982).
    """
    labels, lloyd = _lloyd(blocks, centres, threads, max_iter=max_iter, tol=tol)
    return labels, lloyd.centres, lloyd.inertia, lloyd.n_iter


def _lloyd(blocks: Blocks, centres: NDArray[np.float64], threads: Threads, *, tol: float,
           max_iter: int = 300) -> tuple[NDArray[np.int32], Lloyd]:
    labels = np.full(blocks.n_rows, -1, dtype=np.int32)
    blocks = blocks.for_distances(len(centres))
    moved = np.zeros(len(blocks), dtype=np.intp)
    passes = threads.passes(blocks, Nearest(Kind.DIAG, len(centres), blocks.n_features, blocks.size, labels, moved))
    lloyd = Lloyd(passes, centres, moved, tol)
    while lloyd.n_iter < max_iter and not lloyd.ended:
        lloyd.run(min(blocks.at_once, max_iter - lloyd.n_iter))
        if lloyd.starved and not lloyd.ended:
            empty = np.flatnonzero(~(passes.total.weight > 0))
            lloyd.centres[empty] = _farthest(blocks, threads, passes.total.reference, empty.size)
    return labels, lloyd


def _farthest(blocks: Blocks, threads: Threads, centres: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The rows farthest from their centres, for centres that have lost all theirs."""
    closest = np.full(blocks.n_rows, np.inf)
    lower_to(blocks, threads, centres, closest)
    if blocks.weights is not None:
        closest *= blocks.weights > 0
    return _points(blocks, np.argsort(closest)[-count:])


@dataclass(frozen=True)
class Allotment:
    """
    Labels or responsibilities of all rows.

    Attributes
    ----------
    labels : ndarray, shape (N,), int32, or None
    responsibilities : callable or None
        From a `Block` to γ_nk, shape (n, K), where there are no labels.
    means : ndarray, shape (K, D), optional
        Those of each component's rows, where they are known; each component then has rows.
    """

    labels: NDArray[np.int32] | None = None
    responsibilities: Callable[[Block], NDArray[np.float64]] | None = None
    means: NDArray[np.float64] | None = None

    def passes(self, blocks: Blocks, threads: Threads, kind: Kind, n_components: int, n_features: int) -> Passes:
        """Passes that take moments under it."""
        shape = kind, n_components, n_features, blocks.size
        if self.labels is not None:
            return threads.passes(blocks.with_labels(self.labels), GivenLabels(*shape))
        assert self.responsibilities is not None
        return threads.passes(blocks, GivenResponsibilities(*shape, self.responsibilities))

    def shared(self, shares: NDArray[np.float64]) -> Allotment:
        """The allotment in which component j has a share, shares[k, j], of the rows of component k."""
        labels = self.labels
        assert labels is not None
        return Allotment(responsibilities=lambda block: shares[labels[block.start:block.start + len(block.rows.array)]])


def given_labels(labels: NDArray[np.int32], means: NDArray[np.float64] | None = None) -> Allotment:
    """The allotment of one label a row: array, shape (N,), int32."""
    return Allotment(labels=labels, means=means)


def given_responsibilities(responsibilities: NDArray[np.float64]) -> Allotment:
    """The allotment of given responsibilities: array, shape (N, K), float64."""
    return Allotment(responsibilities=lambda block: responsibilities[block.start:block.start + len(block.rows.array)])


@dataclass(frozen=True)
class Chosen:
    """
    Rows to start from.

    Attributes
    ----------
    means : ndarray, shape (K, D)
        The rows.
    spread : float
        The variance of the data around the nearest of them, averaged over features, or the squared distance between the two
        nearest different ones where that is less: a row far away from all others raises the first beyond measure.
    """

    means: NDArray[np.float64]
    spread: float


def _chosen(blocks: Blocks, rows: list[int], inertia: float) -> Chosen:
    means = _points(blocks, rows)
    weight = blocks.n_rows if blocks.weights is None else blocks.weights.sum()
    return Chosen(means, min(float(inertia / weight / blocks.n_features), _least_square(means)))


def _least_square(points: NDArray[np.float64]) -> float:
    """The squared distance between the two nearest different points; infinity where there is one only."""
    squares = (((points[k + 1:] - point) ** 2).sum(axis=1) for k, point in enumerate(points))
    return float(min(square[square > 0].min(initial=math.inf) for square in squares))


def start_by_k_means(blocks: Blocks, n_components: int, rng: np.random.Generator, threads: Threads) -> Allotment:
    """k-means from k-means++: each row belongs to its cluster."""
    chosen = k_means_plus_plus(blocks, n_components, rng, threads)
    labels, lloyd = _lloyd(blocks, _points(blocks, chosen), threads, tol=START_TOLERANCE)
    return given_labels(labels, lloyd.centres if lloyd.passes.total.weight.all() else None)


def start_by_k_means_plus_plus(blocks: Blocks, n_components: int, rng: np.random.Generator, threads: Threads) -> Chosen:
    """K rows that k-means++ chose."""
    chosen = k_means_plus_plus(blocks, n_components, rng, threads)
    closest = np.full(blocks.n_rows, np.inf)
    return _chosen(blocks, chosen, lower_to(blocks, threads, _points(blocks, chosen), closest))


def _drawn(masses: NDArray[Any], uniform: float) -> int:
    """Where the cumulative mass, as a part of the whole, first exceeds a number from 0 to 1."""
    cumulative = np.cumsum(masses, dtype=np.float64)
    last = np.searchsorted(cumulative, cumulative[-1])  # that has mass; a product may be rounded up to the whole
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), last))


def start_by_random_rows(blocks: Blocks, n_components: int, rng: np.random.Generator, threads: Threads) -> Chosen:
    """K rows drawn by sample weight, each different from those before it as long as there are such rows."""
    closest = np.full(blocks.n_rows, np.inf)
    rows: list[int] = []
    for uniform in rng.random(n_components):
        new: NDArray[Any] = closest > 0
        if blocks.weights is not None:
            new = np.multiply(new, blocks.weights)
        if not new.any():  # fewer distinct rows than components
            new = np.ones(blocks.n_rows) if blocks.weights is None else blocks.weights
        rows.append(_drawn(new, uniform))
        inertia = lower_to(blocks, threads, _points(blocks, rows[-1:]), closest)
    return _chosen(blocks, rows, inertia)


def start_by_random_responsibilities(blocks: Blocks, n_components: int, rng: np.random.Generator, threads: Threads) -> Allotment:
    """
    Uniform random numbers, divided by their sum. Each block has its own stream, so that none need be kept.

    A row of weight w > 1 has the average of w such rows, by mean and variance: one draw, √w times nearer to the mean.
    """
    seeds = rng.integers(0, 2**63, size=(len(blocks), 2))

    def responsibilities(block: Block) -> NDArray[np.float64]:
        share = np.random.default_rng(seeds[block.index]).random((len(block.rows.array), n_components))
        share /= share.sum(axis=1, keepdims=True)
        if block.weights is not None:
            share = 1 / n_components + (share - 1 / n_components) / np.sqrt(np.maximum(block.weights, 1))[:, None]
        return share

    return Allotment(responsibilities=responsibilities)


STARTS: dict[str, Callable[[Blocks, int, np.random.Generator, Threads], Allotment | Chosen]] = {
    "kmeans": start_by_k_means,
    "k-means++": start_by_k_means_plus_plus,
    "random": start_by_random_responsibilities,
    "random_from_data": start_by_random_rows,
}

"""Where EM starts: k-means++, k-means, random rows, random responsibilities, labels or responsibilities given.

A start is an `Allotment`, the labels or responsibilities of all rows, or a choice of rows as means (`Chosen`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.estep import Workspace
from gaussmix._core.kmeans import Centres, Lloyd, Seeding

# Where Lloyd's algorithm ends as a start of EM: mixtures reach the same log-likelihoods as from scikit-learn's 1e-4 (over 32 fits of
# four kinds of overlapping components, the means differ by less than half the standard deviation between seeds, and by no rule
# which way), after a quarter of the iterations where components overlap much.
START_TOLERANCE = 1e-3

__all__ = ["STARTS", "Allotment", "Chosen", "given_labels", "given_responsibilities", "k_means", "k_means_plus_plus"]


class Distances:
    """
    Passes that measure distances of rows to points.

    Parameters
    ----------
    blocks : Blocks
    n_points : int
        How many, for the size of the blocks.
    threads : Threads
    """

    def __init__(self, blocks, n_points, threads):
        self.blocks, self.threads = blocks.for_distances(n_points), threads
        self._spaces = {}

    def each(self, points, measure, add):
        """Map `measure(centres, rows, weights, slice, workspace)` over the blocks; `add` its results, in block order."""
        blocks, centres = self.blocks, Centres(points, self.blocks.size)
        spaces = self._workspaces(points.shape)

        def compute(worker, index):
            return measure(centres, blocks.rows(index), blocks.row_weights(index), slice(*blocks.bounds[index]), spaces[worker])

        self.threads.each(len(blocks), compute, lambda index, found: add(found))

    def _workspaces(self, shape):
        if shape not in self._spaces:
            n_workers = min(self.threads.n_threads, len(self.blocks))
            self._spaces[shape] = [Workspace(*shape, self.blocks.size) for _ in range(n_workers)]
        return self._spaces[shape]

    def approach(self, points, closest):
        """Lower `closest` to the squared distance to `points`; return each block's Σ w_n closest_n."""
        masses = []
        self.each(points, lambda centres, rows, weights, where, space: centres.approach(rows, weights, closest[where], space),
                  masses.append)
        return np.array(masses)

    def potentials(self, points, closest):
        """For each point, Σ w_n min(closest_n, |x_n − point|²)."""
        total = np.zeros(len(points))

        def measure(centres, rows, weights, where, space):
            potential = np.zeros(len(points))
            centres.potentials(rows, weights, closest[where], potential, space)
            return potential

        def add(potential):
            total[...] += potential

        self.each(points, measure, add)
        return total

    def choose(self, candidates, closest):
        """Which of some rows leaves the least Σ w_n closest_n, and that sum over each block with `closest` lowered by it."""
        points = _points(self.blocks, candidates)
        best = int(np.argmin(self.potentials(points, closest))) if len(points) > 1 else 0
        return best, self.approach(points[best:best + 1], closest)

    def nearest(self, points, labels):
        """Label every row; return Σ w_n (x_n − c_k), Σ w_n, the inertia and how many labels changed."""
        total = [np.zeros(points.shape), np.zeros(len(points)), 0.0, 0]

        def measure(centres, rows, weights, where, space):
            first, weight = np.zeros(points.shape), np.zeros(len(points))
            return first, weight, *centres.nearest(rows, weights, labels[where], first, weight, space)

        def add(found):
            for i, part in enumerate(found):
                total[i] += part

        self.each(points, measure, add)
        return total


def _points(blocks, rows):
    return np.array(blocks.X[rows], dtype=np.float64)


def k_means_plus_plus(blocks, n_components, rng, threads):
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
    distances = Distances(blocks, n_candidates, threads)
    seeding, chosen = Seeding(distances, n_candidates), []
    uniform = np.full((1, n_candidates), rng.random())  # for the first row, of which there is one candidate
    while len(chosen) < n_components:
        wanted = min(distances.blocks.at_once, n_components - len(chosen))
        uniform = np.concatenate([uniform, rng.random((wanted - len(uniform), n_candidates))])
        chosen += seeding.choose(uniform)
        uniform = uniform[:0]
    return chosen


def k_means(blocks, centres, threads, *, max_iter=300, tol=1e-4):
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


def _lloyd(blocks, centres, threads, *, tol, max_iter=300):
    distances = Distances(blocks, len(centres), threads)
    labels = np.full(blocks.n_rows, -1, dtype=np.int32)
    lloyd = Lloyd(distances, centres, labels, tol)
    while lloyd.n_iter < max_iter and not lloyd.ended:
        lloyd.run(min(distances.blocks.at_once, max_iter - lloyd.n_iter))
        if lloyd.bereft and not lloyd.ended:
            empty = np.flatnonzero(~(lloyd.weight > 0))
            lloyd.centres[empty] = _farthest(distances, lloyd.points, empty.size)
    return labels, lloyd


def _farthest(distances, centres, count):
    """The rows farthest from their centres, for centres that have lost all theirs."""
    blocks = distances.blocks
    closest = np.full(blocks.n_rows, np.inf)
    distances.approach(centres, closest)
    if blocks.weights is not None:
        closest *= blocks.weights > 0
    return _points(blocks, np.argsort(closest)[-count:])


@dataclass(frozen=True)
class Allotment:
    """
    Labels or responsibilities of all rows, a block at a time.

    Attributes
    ----------
    part : callable
        From the number of a block and its bounds to (labels, None) or (None, responsibilities).
    means : ndarray, shape (K, D), optional
        Those of each component's rows, where they are known; each component then has rows.
    """

    part: Callable
    means: NDArray[np.float64] | None = None

    def __call__(self, index, start, stop):
        return self.part(index, start, stop)


def given_labels(labels, means=None):
    """The allotment of one label a row: array, shape (N,), int32."""
    return Allotment(lambda index, start, stop: (labels[start:stop], None), means)


def given_responsibilities(responsibilities):
    """The allotment of given responsibilities: array, shape (N, K), float64."""
    return Allotment(lambda index, start, stop: (None, responsibilities[start:stop]))


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


def _chosen(blocks, rows, inertia):
    means = _points(blocks, rows)
    weight = blocks.n_rows if blocks.weights is None else blocks.weights.sum()
    return Chosen(means, min(float(inertia / weight / blocks.n_features), _least_square(means)))


def _least_square(points):
    """The squared distance between the two nearest different points; infinity where there is one only."""
    squares = (((points[k + 1:] - point) ** 2).sum(axis=1) for k, point in enumerate(points))
    return float(min(square[square > 0].min(initial=math.inf) for square in squares))


def start_by_k_means(blocks, n_components, rng, threads):
    """k-means from k-means++: each row belongs to its cluster."""
    chosen = k_means_plus_plus(blocks, n_components, rng, threads)
    labels, lloyd = _lloyd(blocks, _points(blocks, chosen), threads, tol=START_TOLERANCE)
    return given_labels(labels, lloyd.centres if lloyd.weight.all() else None)


def start_by_k_means_plus_plus(blocks, n_components, rng, threads):
    """K rows that k-means++ chose."""
    chosen = k_means_plus_plus(blocks, n_components, rng, threads)
    closest = np.full(blocks.n_rows, np.inf)
    return _chosen(blocks, chosen, Distances(blocks, n_components, threads).approach(_points(blocks, chosen), closest).sum())


def _drawn(masses, uniform):
    """Where the cumulative mass, as a part of the whole, first exceeds a number from 0 to 1."""
    cumulative = np.cumsum(masses, dtype=np.float64)
    last = np.searchsorted(cumulative, cumulative[-1])  # that has mass; a product may be rounded up to the whole
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), last))


def start_by_random_rows(blocks, n_components, rng, threads):
    """K rows drawn by sample weight, each different from those before it as long as there are such rows."""
    distances, closest = Distances(blocks, 1, threads), np.full(blocks.n_rows, np.inf)
    rows = []
    for uniform in rng.random(n_components):
        new = closest > 0
        if blocks.weights is not None:
            new = np.multiply(new, blocks.weights)
        if not new.any():  # fewer distinct rows than components
            new = np.ones(blocks.n_rows) if blocks.weights is None else blocks.weights
        rows.append(_drawn(new, uniform))
        masses = distances.approach(_points(blocks, rows[-1:]), closest)
    return _chosen(blocks, rows, masses.sum())


def start_by_random_responsibilities(blocks, n_components, rng, threads):
    """
    Uniform random numbers, divided by their sum. Each block has its own stream, so that none need be kept.

    A row of weight w > 1 has the average of w such rows, by mean and variance: one draw, √w times nearer to the mean.
    """
    seeds = rng.integers(0, 2**63, size=(len(blocks), 2))

    def allotment(index, start, stop):
        share = np.random.default_rng(seeds[index]).random((stop - start, n_components))
        share /= share.sum(axis=1, keepdims=True)
        weights = blocks.row_weights(index)
        if weights is not None:
            share = 1 / n_components + (share - 1 / n_components) / np.sqrt(np.maximum(weights, 1))[:, None]
        return None, share

    return Allotment(allotment)


STARTS = {
    "kmeans": start_by_k_means,
    "k-means++": start_by_k_means_plus_plus,
    "random": start_by_random_responsibilities,
    "random_from_data": start_by_random_rows,
}

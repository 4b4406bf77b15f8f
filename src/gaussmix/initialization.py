"""Where EM starts: k-means++, k-means, random rows, random responsibilities, labels or responsibilities given.

A start is an allotment, which is a function from a block to the labels or responsibilities of its rows, or a choice of rows
as means (`Chosen`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.estep import Workspace
from gaussmix._core.kmeans import Centres

__all__ = ["STARTS", "Chosen", "given_labels", "given_responsibilities", "k_means", "k_means_plus_plus"]


class _Distances:
    """Passes that measure distances of rows to points."""

    def __init__(self, blocks, threads):
        self.blocks, self.threads = blocks, threads

    def each(self, points, measure, add):
        """Map `measure(centres, rows, weights, slice, workspace)` over the blocks; `add` its results, in block order."""
        blocks, centres = self.blocks, Centres(points, self.blocks.size)
        n_workers = min(self.threads.n_threads, len(blocks))
        spaces = [Workspace(*points.shape, blocks.size) for _ in range(n_workers)]
        found = [None] * n_workers

        def compute(worker, index):
            found[worker] = measure(centres, blocks.rows(index), blocks.row_weights(index),
                                    slice(*blocks.bounds[index]), spaces[worker])

        self.threads.each(len(blocks), compute, lambda worker, index: add(found[worker]))

    def rounded(self, points):
        """Points as the loops see them, in the number type of the rows."""
        return points.astype(self.blocks.dtype).astype(np.float64)

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


def _draw(rng, blocks, masses, mass_of, count):
    """Draw rows in proportion to their mass, by the inverse of the cumulative mass (adjacent repeats draw the same row)."""
    ends = np.cumsum(masses)
    drawn = []
    for u in rng.random(count) * ends[-1]:
        index = min(int(np.searchsorted(ends, u, side="right")), int(np.flatnonzero(masses)[-1]))
        within = np.cumsum(mass_of(index))
        row = int(np.searchsorted(within, u - (ends[index - 1] if index else 0.0), side="right"))
        drawn.append(blocks.bounds[index][0] + min(row, int(np.flatnonzero(mass_of(index))[-1])))
    return drawn


def _plain_mass(blocks):
    """The masses of blocks and rows by sample weight alone."""
    def mass_of(index):
        weights = blocks.row_weights(index)
        start, stop = blocks.bounds[index]
        return np.ones(stop - start) if weights is None else weights

    return np.array([mass_of(index).sum() for index in range(len(blocks))]), mass_of


def _points(blocks, rows):
    return np.array([blocks.X[row] for row in rows], dtype=np.float64)


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
    distances = _Distances(blocks, threads)
    closest = np.full(blocks.n_rows, np.inf)
    plain = _plain_mass(blocks)
    chosen = _draw(rng, blocks, *plain, 1)
    masses = distances.approach(_points(blocks, chosen), closest)

    def mass_of(index):
        weights = blocks.row_weights(index)
        near = closest[slice(*blocks.bounds[index])]
        return near if weights is None else near * weights

    for _ in range(1, n_components):
        if masses.sum() > 0:
            candidates = _draw(rng, blocks, masses, mass_of, 2 + int(math.log(n_components)))
        else:  # fewer distinct rows than components
            candidates = _draw(rng, blocks, *plain, 1)
        points = _points(blocks, candidates)
        best = int(np.argmin(distances.potentials(points, closest))) if len(candidates) > 1 else 0
        chosen.append(candidates[best])
        masses = distances.approach(points[best:best + 1], closest)
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
    distances = _Distances(blocks, threads)
    labels = np.full(blocks.n_rows, -1, dtype=np.int32)
    centres = np.array(centres, dtype=np.float64)
    threshold = tol * _mean_variance(blocks, distances) if tol else 0.0
    inertia, n_iter = math.nan, 0
    for n_iter in range(1, max_iter + 1):
        points = distances.rounded(centres)
        first, weight, inertia, moved = distances.nearest(points, labels)
        centres = points + first / np.where(weight > 0, weight, 1)[:, None]
        if moved == 0 or inertia == 0:  # or every row is a centre: there are fewer distinct rows than centres
            break
        empty = np.flatnonzero(~(weight > 0))
        if empty.size:
            centres[empty] = _farthest(blocks, distances, points, empty.size)
        elif np.sum((centres - points) ** 2) <= threshold:
            break
    return labels, centres, inertia, n_iter


def _mean_variance(blocks, distances):
    """The variance of the rows, averaged over features."""
    labels = np.zeros(blocks.n_rows, dtype=np.int32)
    origin = _points(blocks, [0])
    first, weight, _, _ = distances.nearest(origin, labels)
    mean = first / weight[:, None]
    _, _, square, _ = distances.nearest(distances.rounded(origin + mean), labels)
    return square / weight[0] / blocks.n_features


def _farthest(blocks, distances, centres, count):
    """The rows farthest from their centres, for centres that have lost all theirs."""
    closest = np.full(blocks.n_rows, np.inf)
    distances.approach(centres, closest)
    if blocks.weights is not None:
        closest *= blocks.weights > 0
    return _points(blocks, np.argsort(closest)[-count:])


def given_labels(labels):
    """The allotment of one label a row: array, shape (N,), int32."""
    return lambda index, start, stop: (labels[start:stop], None)


def given_responsibilities(responsibilities):
    """The allotment of given responsibilities: array, shape (N, K), float64."""
    return lambda index, start, stop: (None, responsibilities[start:stop])


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


def _chosen(blocks, rows, threads):
    means, closest = _points(blocks, rows), np.full(blocks.n_rows, np.inf)
    inertia = _Distances(blocks, threads).approach(means, closest).sum()
    weight = blocks.n_rows if blocks.weights is None else blocks.weights.sum()
    return Chosen(means, min(float(inertia / weight / blocks.n_features), _least_square(means)))


def _least_square(points):
    """The squared distance between the two nearest different points; infinity where there is one only."""
    squares = (((points[k + 1:] - point) ** 2).sum(axis=1) for k, point in enumerate(points))
    return float(min(square[square > 0].min(initial=math.inf) for square in squares))


def start_by_k_means(blocks, n_components, rng, threads):
    """k-means from k-means++: each row belongs to its cluster."""
    chosen = k_means_plus_plus(blocks, n_components, rng, threads)
    return given_labels(k_means(blocks, _points(blocks, chosen), threads)[0])


def start_by_k_means_plus_plus(blocks, n_components, rng, threads):
    """K rows that k-means++ chose."""
    return _chosen(blocks, k_means_plus_plus(blocks, n_components, rng, threads), threads)


def start_by_random_rows(blocks, n_components, rng, threads):
    """K rows drawn by sample weight, each different from those before it as long as there are such rows."""
    distances, closest = _Distances(blocks, threads), np.full(blocks.n_rows, np.inf)

    def mass_of(index):
        weights, new = blocks.row_weights(index), closest[slice(*blocks.bounds[index])] > 0
        return new.astype(np.float64) if weights is None else new * weights

    rows = []
    for _ in range(n_components):
        masses = np.array([mass_of(index).sum() for index in range(len(blocks))])
        rows += _draw(rng, blocks, masses, mass_of, 1) if masses.any() else _draw(rng, blocks, *_plain_mass(blocks), 1)
        distances.approach(_points(blocks, rows[-1:]), closest)
    return _chosen(blocks, rows, threads)


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

    return allotment


STARTS = {
    "kmeans": start_by_k_means,
    "k-means++": start_by_k_means_plus_plus,
    "random": start_by_random_responsibilities,
    "random_from_data": start_by_random_rows,
}

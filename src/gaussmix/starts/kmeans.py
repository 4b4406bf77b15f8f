"""k-means and its seeding, as starts of EM and by themselves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.kmeans import Closest, Lloyd, Nearest, Potentials, Seeding
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks
from gaussmix.engines import Engine
from gaussmix.problem import Problem
from gaussmix.starts.start import Assignment, Labels, Responsibilities, at_points, at_rows, in_memory, under_assignment
from gaussmix.starts.units import Units, as_they_are
from gaussmix.statistics import Kind

__all__ = ["FromKMeans", "FromKMeansPlusPlus", "FromNearestFarRow",
           "clusters", "far_rows", "k_means", "k_means_plus_plus", "lower_to", "rows_of"]

# The tolerance at which Lloyd's algorithm ends as a start of EM. Mixtures reach the same log-likelihoods as with scikit-learn's 1e-4:
# over 32 fits of four kinds of overlapping components, the means differ by less than half the standard deviation between seeds, in no
# consistent direction. Where components overlap much, this takes a quarter of the iterations.
START_TOLERANCE = 1e-3


class FromKMeans:
    """
    k-means from k-means++: each row belongs to its cluster.

    Parameters
    ----------
    units : callable
        The units in which distances are measured.
    """

    has_covariances = True

    def __init__(self, units: Units = as_they_are) -> None:
        self.units = units

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        blocks = self.units(in_memory(problem), problem.engine)
        found = clusters(blocks, problem.n_components, rng, problem.engine)
        if self.units is not as_they_are:
            found.means = None  # which are in other units
        return under_assignment(problem, found)


class FromKMeansPlusPlus:
    """Rows that lie far apart as means."""

    has_covariances = False

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        return at_rows(problem, *far_rows(in_memory(problem), problem.n_components, rng, problem.engine))


class FromNearestFarRow:
    """
    Rows that lie far apart: each row belongs to the nearest of them.

    Parameters
    ----------
    units : callable
        The units in which distances are measured.
    """

    has_covariances = True

    def __init__(self, units: Units) -> None:
        self.units = units

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        blocks, K = self.units(in_memory(problem), problem.engine), problem.n_components
        centres = rows_of(blocks, k_means_plus_plus(blocks, K, rng, problem.engine))
        labels, _ = _lloyd(blocks, centres, problem.engine, tol=0.0, max_iter=1)
        return under_assignment(problem, shared(labels, blocks.row_weights, K))


def clusters(blocks: Blocks, n_components: int, rng: np.random.Generator, engine: Engine) -> Assignment:
    """The assignment of each row to its cluster by k-means from k-means++."""
    chosen = k_means_plus_plus(blocks, n_components, rng, engine)
    labels, lloyd = _lloyd(blocks, rows_of(blocks, chosen), engine, tol=START_TOLERANCE)
    if lloyd.passes.total.weight.all():
        return Labels(labels, lloyd.centres)
    return shared(labels, blocks.row_weights, n_components)


def far_rows(blocks: Blocks, n_components: int, rng: np.random.Generator, engine: Engine) -> tuple[NDArray[np.float64], float]:
    """Rows that k-means++ chose, shape (K, D), and the inertia around them."""
    rows = rows_of(blocks, k_means_plus_plus(blocks, n_components, rng, engine))
    return rows, lower_to(blocks, engine, rows, np.full(blocks.n_rows, np.inf))


def shared(labels: NDArray[np.int32], weights: NDArray[np.float64] | None, n_components: int) -> Assignment:
    """
    Make an assignment without empty components. A component without rows gets half of each row of the largest one, so that both
    are the same.

    Parameters
    ----------
    labels : ndarray, shape (N,), int32
    weights : ndarray, shape (N,), or None
    n_components : int
        K.

    Returns
    -------
    Assignment
    """
    counts = np.bincount(labels, weights, n_components)
    empty = np.flatnonzero(~(counts > 0))
    if not empty.size:
        return Labels(labels)
    shares = np.eye(n_components)  # of each component in the rows of another
    for k in empty:
        donor = int(np.argmax(shares.T @ counts))
        shares[:, donor] /= 2
        shares[:, k] = shares[:, donor]
    return Responsibilities(lambda block: shares[labels[block.start:block.start + len(block.rows.array)]])


def lower_to(blocks: Blocks, engine: Engine, points: NDArray[np.float64], closest: NDArray[np.float64]) -> float:
    """
    Lower `closest`, the squared distance of each row to some points, to the distance to further points where that is less.

    Parameters
    ----------
    blocks : Blocks
    engine : Engine
    points : ndarray, shape (K, D)
    closest : ndarray, shape (N,), float64

    Returns
    -------
    float
        Σ_n w_n closest_n.
    """
    at, blocks = at_points(points), blocks.for_distances(len(points))
    masses = np.zeros(len(blocks))
    engine.passes(blocks, Closest(Kind.DIAG, len(points), blocks.n_features, blocks.size, closest, masses)).sum(at)
    return float(masses.sum())


def rows_of(blocks: Blocks, rows: list[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """Some rows as float64."""
    return np.array(blocks.X[rows], dtype=np.float64)


def k_means_plus_plus(blocks: Blocks, n_components: int, rng: np.random.Generator, engine: Engine) -> list[int]:
    """
    Rows that lie far apart, by greedy k-means++.

    The first row is drawn by sample weight, and each further one by weight times squared distance to the nearest chosen row. Of
    2 + ln K candidates the one that leaves the least inertia is kept.

    Parameters
    ----------
    blocks : Blocks
    n_components : int
    rng : numpy.random.Generator
    engine : Engine

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
    seeding = Seeding(engine.passes(blocks, Potentials(Kind.DIAG, n_candidates, blocks.n_features, blocks.size, closest)),
                      engine.passes(blocks, Closest(Kind.DIAG, 1, blocks.n_features, blocks.size, closest, masses)),
                      blocks.row_weights, [stop for _, stop in blocks.bounds], closest, masses)
    chosen: list[int] = []
    uniform = np.full((1, n_candidates), rng.random())  # for the first row, of which there is one candidate
    while len(chosen) < n_components:
        wanted = min(blocks.at_once, n_components - len(chosen))
        uniform = np.concatenate([uniform, rng.random((wanted - len(uniform), n_candidates))])
        chosen += seeding.choose(uniform)
        uniform = uniform[:0]
    return chosen


def k_means(blocks: Blocks, centres: NDArray[np.float64], engine: Engine, *, max_iter: int = 300,
            tol: float = 1e-4) -> tuple[NDArray[np.int32], NDArray[np.float64], float, int]:
    """
    Lloyd's algorithm from given centres.

    Parameters
    ----------
    blocks : Blocks
    centres : ndarray, shape (K, D)
    engine : Engine
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
    labels, lloyd = _lloyd(blocks, centres, engine, max_iter=max_iter, tol=tol)
    return labels, lloyd.centres, lloyd.inertia, lloyd.n_iter


def _lloyd(blocks: Blocks, centres: NDArray[np.float64], engine: Engine, *, tol: float,
           max_iter: int = 300) -> tuple[NDArray[np.int32], Lloyd]:
    labels = np.full(blocks.n_rows, -1, dtype=np.int32)
    blocks = blocks.for_distances(len(centres))
    moved = np.zeros(len(blocks), dtype=np.intp)
    passes = engine.passes(blocks, Nearest(Kind.DIAG, len(centres), blocks.n_features, blocks.size, labels, moved))
    lloyd = Lloyd(passes, centres, moved, tol)
    while lloyd.n_iter < max_iter and not lloyd.ended:
        lloyd.run(min(blocks.at_once, max_iter - lloyd.n_iter))
        if lloyd.starved and not lloyd.ended:
            empty = np.flatnonzero(~(passes.total.weight > 0))
            lloyd.centres[empty] = _farthest(blocks, engine, passes.total.reference, empty.size)
    return labels, lloyd


def _farthest(blocks: Blocks, engine: Engine, centres: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The rows farthest from their centres, for centres that have lost all theirs."""
    closest = np.full(blocks.n_rows, np.inf)
    lower_to(blocks, engine, centres, closest)
    if blocks.row_weights is not None:
        closest *= blocks.row_weights > 0
    return rows_of(blocks, np.argsort(closest)[-count:])

"""Swaps: a component is taken away from where EM ended and put elsewhere, so that EM can begin anew from there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks
from gaussmix.fitting import Fit
from gaussmix.problem import Problem
from gaussmix.statistics import Kind, Statistics

__all__ = ["pushed", "row_of", "squared_distances", "swapped"]

# The halves of a split component lie this many of its standard deviations to both sides of its mean.
APART = 0.8
# How far means are pushed, in standard deviations.
PUSH = 0.3
# How often two components are moved at once: some optima are two swaps away, each of which alone leads to a worse one.
TWICE = 0.3
# The covariance of a component that is moved to a row, as a part of that of the average component.
SMALLER = 0.5
# A component that is moved to rows takes the place of those that are nearest to one of them. How many is drawn evenly on a logarithmic
# scale, from this many times D + 1 up to a half of all: narrow components are found by starting from few rows, wide ones from many.
FEWEST = 2
# What is added to its covariance, as a part of that of the average component: the rows may lie in a subspace.
FLOOR = 1e-4


def swapped(fit: Fit, problem: Problem, blocks: Blocks, rng: np.random.Generator) -> Parameters | None:
    """
    Parameters in which one component of a fit, or sometimes two, has another place.

    The component is one that is spurious or has collapsed, or, where there is none, any. It is put where it makes two of another
    component, in a random direction, or on a row, or where it takes the place of the rows that are nearest to one. The chance of another
    component to be split is its weight.

    Parameters
    ----------
    fit : Fit
    problem : Problem
    blocks : Blocks
        The rows.
    rng : numpy.random.Generator

    Returns
    -------
    Parameters or None
        None where they are singular.

    References
    ----------
    Zhao, Hautamäki, Kärkkäinen and Fränti, "Random swap EM algorithm for Gaussian mixture models", Pattern Recognition Letters 33 (2012).
    Ueda, Nakano, Ghahramani and Hinton, "SMEM algorithm for mixture models", Neural Computation 12 (2000).
    """
    structure, (K, D) = problem.structure, problem.shape
    statistics = Statistics(Kind.FULL, K, D)
    weights, means, covariances = statistics.weight, statistics.reference, statistics.second
    weights[...], means[...] = fit.parameters.weights, fit.parameters.means
    covariances[...] = structure.matrices(fit.parameters.covariances, K, D)
    moved = [_to_move(fit, rng)]
    if rng.random() < TWICE:
        moved.append(int(rng.integers(K)))
    try:
        for k in moved:
            if rng.random() < 0.5:
                _split(k, weights, means, covariances, rng)
            elif rng.random() < 0.5:
                covariances[k] = SMALLER * np.einsum("k,kij->ij", weights, covariances)
                weights[k], means[k] = 1 / K, row_of(blocks, rng)
            else:
                weights[k], means[k], covariances[k] = _moments_near(blocks, np.einsum("k,kij->ij", weights, covariances), rng)
            weights /= weights.sum()
    except np.linalg.LinAlgError:
        return None
    covariances *= weights[:, None, None]
    parameters, singular = structure.maximize(statistics.of_kind(structure.moments))
    return parameters if singular < 0 else None


def pushed(fit: Fit, problem: Problem, rng: np.random.Generator) -> Parameters | None:
    """
    The parameters of a fit, with each mean moved a little in a random direction: from a saddle EM then goes on to an optimum.

    Parameters
    ----------
    fit : Fit
    problem : Problem
    rng : numpy.random.Generator

    Returns
    -------
    Parameters or None
        None where they are singular.
    """
    structure, (K, D) = problem.structure, problem.shape
    parameters = fit.parameters.copy()
    try:
        roots = np.linalg.cholesky(structure.matrices(parameters.covariances, K, D))
    except np.linalg.LinAlgError:
        return None
    parameters.means[...] += PUSH * np.einsum("kij,kj->ki", roots, rng.standard_normal((K, D)))
    parameters.densities.means_rest[...] = 0
    return parameters if structure.factorize(parameters) < 0 else None


def _split(moved: int, weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64],
           rng: np.random.Generator) -> None:
    """Make two of another component, so that both together keep its mean and its second moments."""
    others = np.delete(np.arange(len(weights)), moved)
    split = int(rng.choice(others, p=weights[others] / weights[others].sum()))
    direction = rng.standard_normal(means.shape[1])
    step = APART * np.linalg.cholesky(covariances[split]) @ (direction / np.linalg.norm(direction))
    weights[[moved, split]] = weights[split] / 2
    means[moved], means[split] = means[split] + step, means[split] - step
    covariances[[moved, split]] = covariances[split] - np.outer(step, step)


def _to_move(fit: Fit, rng: np.random.Generator) -> int:
    if fit.collapsed is not None:
        return fit.collapsed
    if fit.spurious:
        return fit.spurious[rng.integers(len(fit.spurious))].component
    return int(rng.integers(fit.parameters.n_components))


def _moments_near(blocks: Blocks, metric: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, NDArray[Any], NDArray[Any]]:
    """The share of all weight, the mean and the covariance of the rows that are nearest to one of them."""
    rows, weights = np.asarray(blocks.X, dtype=np.float64), blocks.row_weights
    if weights is not None:
        rows, weights = rows[weights > 0], weights[weights > 0]
    fewest = min(FEWEST * (rows.shape[1] + 1), len(rows))
    how_many = int(fewest * (max(len(rows) / 2, fewest) / fewest) ** rng.random())
    distances = squared_distances(rows - rows[rng.integers(len(rows))], metric)
    near = np.argsort(distances, kind="stable")[:how_many]  # of rows that are equally far the first, on every processor
    shares = np.full(how_many, 1 / how_many) if weights is None else weights[near] / weights[near].sum()
    mean = shares @ rows[near]
    residuals = rows[near] - mean
    covariance = (shares[:, None] * residuals).T @ residuals + FLOOR * metric
    return how_many / len(rows) if weights is None else float(weights[near].sum() / weights.sum()), mean, covariance


def squared_distances(residuals: NDArray[np.float64], metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    The squared Mahalanobis distances r_n' M⁻¹ r_n.

    Parameters
    ----------
    residuals : ndarray, shape (n, D)
    metric : ndarray, shape (D, D)

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    LinAlgError
        Where the metric is not positive definite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # Not by BLAS: opposite residuals must have the same distance to the last bit, so that order does not depend on the processor.
        whitened = np.einsum("nj,ij->ni", residuals, np.linalg.inv(np.linalg.cholesky(metric)))
        distances: NDArray[np.float64] = np.einsum("ij,ij->i", whitened, whitened)
    return distances


def row_of(blocks: Blocks, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a row that has weight."""
    n = int(rng.integers(blocks.n_rows))
    if blocks.row_weights is not None and not blocks.row_weights[n] > 0:
        n = int(rng.choice(np.flatnonzero(blocks.row_weights > 0)))
    return np.asarray(blocks.row(n), dtype=np.float64)

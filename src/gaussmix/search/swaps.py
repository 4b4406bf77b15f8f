"""Swaps: a component is taken away from where EM ended and put elsewhere, so that EM can begin anew from there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks
from gaussmix.fitting import Fit
from gaussmix.problem import Problem
from gaussmix.statistics import Kind, Statistics

__all__ = ["swapped"]

# The halves of a split component lie this many of its standard deviations to both sides of its mean.
APART = 0.8
# How often two components are moved at once: some optima are two swaps away, each of which alone leads to a worse one.
TWICE = 0.3
# The covariance of a component that is moved to a row, as a part of that of the average component.
SMALLER = 0.5


def swapped(fit: Fit, problem: Problem, blocks: Blocks, rng: np.random.Generator) -> Parameters | None:
    """
    Parameters in which one component of a fit, or sometimes two, has another place.

    The component is one that is spurious or has collapsed, or, where there is none, any. It is put where it makes two of another
    component, in a random direction, or on a row. The chance of another component to be split is its weight.

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
            else:
                covariances[k] = SMALLER * np.einsum("k,kij->ij", weights, covariances)
                means[k], weights[k] = _row(blocks, rng), 1 / K
            weights /= weights.sum()
    except np.linalg.LinAlgError:
        return None
    covariances *= weights[:, None, None]
    parameters, singular = structure.maximize(statistics.of_kind(structure.moments))
    return parameters if singular < 0 else None


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


def _row(blocks: Blocks, rng: np.random.Generator) -> NDArray[np.float64]:
    """A row that has weight."""
    n = int(rng.integers(blocks.n_rows))
    if blocks.row_weights is not None and not blocks.row_weights[n] > 0:
        n = int(rng.choice(np.flatnonzero(blocks.row_weights > 0)))
    return np.asarray(blocks.row(n), dtype=np.float64)

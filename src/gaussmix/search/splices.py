"""Splices: components of two optima are put together, so that EM can begin anew from there."""

from __future__ import annotations

import numpy as np

from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks
from gaussmix.fitting import Fit
from gaussmix.problem import Problem
from gaussmix.search.swaps import row_of, squared_distances
from gaussmix.statistics import Kind, Statistics

__all__ = ["spliced"]


def spliced(near: Fit, far: Fit, problem: Problem, blocks: Blocks, rng: np.random.Generator) -> Parameters | None:
    """
    Parameters with some components of one fit, those that are nearest to a row, and of another fit those that are farther away.

    Optima that rounds find are often good in different parts of the data. Where the row lies, and how many components come from which
    fit, is left to chance. Distances are measured by the second moments of the first fit about the row, so that units do not matter.

    Parameters
    ----------
    near, far : Fit
        With the same number of components.
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
    Deaven and Ho, "Molecular geometry optimization with a genetic algorithm", Physical Review Letters 75 (1995).
    Gribel and Vidal, "HG-means: a scalable hybrid genetic algorithm for minimum sum-of-squares clustering", Pattern Recognition 88 (2019).
    """
    structure, (K, D) = problem.structure, problem.shape
    joined, row, taken = Statistics(Kind.FULL, K, D), row_of(blocks, rng), int(rng.integers(1, K))
    metric = None
    for fit, places in ((near, slice(0, taken)), (far, slice(taken, K))):
        weights, residuals = fit.parameters.weights, fit.parameters.means - row
        covariances = structure.matrices(fit.parameters.covariances, K, D)
        if metric is None:
            metric = np.einsum("k,kij->ij", weights, covariances) + (weights[:, None] * residuals).T @ residuals
        try:
            chosen = np.argsort(squared_distances(residuals, metric), kind="stable")[places]
        except np.linalg.LinAlgError:
            return None
        joined.weight[places], joined.reference[places] = weights[chosen], fit.parameters.means[chosen]
        joined.second[places] = covariances[chosen]
    joined.weight[...] /= joined.weight.sum()
    joined.second[...] *= joined.weight[:, None, None]
    parameters, singular = structure.maximize(joined.of_kind(structure.moments))
    return parameters if singular < 0 else None

"""Data in units of their own spread, so that distances, and with them k-means, do not depend on the units of the features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import EveryRow
from gaussmix._core.linalg import whiten
from gaussmix.blocks import Blocks
from gaussmix.engines import Engine
from gaussmix.statistics import Kind

__all__ = ["Units", "as_they_are", "standardized", "whitened"]

# From data to the same rows in other units. The transformed rows are a copy, which lives as long as the start is made.
Units = Callable[[Blocks, Engine], Blocks]

# Added to the variances of whitened features, which have variance 1, so that features that depend on others do no harm: as many
# times the rounding of the number type that the moments were taken in.
ROUNDINGS = 1e4


def as_they_are(blocks: Blocks, engine: Engine) -> Blocks:
    """The data in their own units."""
    return blocks


def standardized(blocks: Blocks, engine: Engine) -> Blocks:
    """The data with mean 0 and variance 1 in every feature; a constant feature becomes 0."""
    mean, covariance = _moments(blocks, engine)
    return _transformed(blocks, mean, np.diag(1 / _deviations(covariance)))


def whitened(blocks: Blocks, engine: Engine) -> Blocks:
    """The data with mean 0 and the unit matrix as their covariance. Linear maps of the data do not change distances."""
    mean, covariance = _moments(blocks, engine)
    scale = _deviations(covariance)
    correlation = covariance / np.outer(scale, scale) + ROUNDINGS * np.finfo(blocks.dtype).eps * np.eye(len(mean))
    return _transformed(blocks, mean, whiten(correlation)[0] / scale)


def _moments(blocks: Blocks, engine: Engine) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean and the covariance of all rows. A second pass takes moments about the mean, as the first row may lie far away."""
    n_features = blocks.n_features
    about = Densities(Kind.FULL, 1, n_features)
    about.means[...] = np.asarray(blocks.X[:1], dtype=np.float64)
    passes = engine.passes(blocks, EveryRow(Kind.FULL, 1, n_features, blocks.size))
    for _ in range(2):
        sums = passes.sum(about)
        away = sums.first[0] / sums.weight[0]
        about.means[0] += away
    second = np.tril(sums.second[0]) / sums.weight[0] - np.tril(np.outer(away, away))
    return about.means[0].copy(), second + np.tril(second, -1).T


def _deviations(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    variances = np.diag(covariance)
    return np.sqrt(np.where(variances > 0, variances, 1.0))


def _transformed(blocks: Blocks, mean: NDArray[np.float64], matrix: NDArray[np.float64]) -> Blocks:
    """The rows (x − mean) matrixᵀ. The product uses einsum, as BLAS would wake its threads."""
    rows = np.empty((blocks.n_rows, blocks.n_features), dtype=blocks.dtype)
    for start, stop in blocks.bounds:
        rows[start:stop] = np.einsum("nj,ij->ni", blocks.X[start:stop] - mean, matrix)
    return blocks.with_rows(rows)

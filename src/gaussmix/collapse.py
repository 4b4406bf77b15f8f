"""Spurious optima: components that fit the accidents of a few rows. docs/collapse.md gives the reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.linalg import whiten
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks
from gaussmix.structures import Structure

__all__ = ["Spurious", "effective_rows", "spurious_components"]

# A component is held up where at least half of its variance in its narrowest direction is what reg_covar and rounding added,
# while the whole data are this many times wider there.
ADDED_SHARE = 0.5
WIDER = 100.0
# A component of few rows, fewer than twice as many as a covariance needs to be regular, is spurious where it is this much
# narrower, in some direction, than the components are on average.
FEW = 2
NARROW = 0.01
# Where the power iteration for the narrowest direction ends: its eigenvalue is compared with these factors only.
CLOSE = 1e-6
MOST_POWERS = 1000


@dataclass(frozen=True)
class Spurious:
    """
    A component that fits an accident.

    Attributes
    ----------
    component : int
    rows : float
        How many rows it has, Σ_n w_n γ_nk.
    ratio : float
        Its variance in its narrowest direction, by that of the data (held) or of the average component (not held).
    held : bool
        Whether reg_covar, or rounding, alone keeps its covariance from being singular.
    """

    component: int
    rows: float
    ratio: float
    held: bool

    def __str__(self) -> str:
        count = f"{self.rows:.3g}"
        rows = f"component {self.component} sits on {count} row{'' if count == '1' else 's'}"
        if self.held:
            return f"{rows} and is kept from being singular by reg_covar alone, or by rounding"
        return f"{rows} and is {1 / self.ratio:.2g} times narrower (in variance) than the average component in one direction"


def effective_rows(blocks: Blocks) -> float:
    """
    How many rows the data have: Σ_n w_n, or the number of rows with weight where that is more (weights that sum to one, say).

    Parameters
    ----------
    blocks : Blocks

    Returns
    -------
    float
    """
    return max(blocks.total_weight, float(blocks.n_positive))


def spurious_components(parameters: Parameters, structure: Structure, n_rows: float, reg_covar: float | NDArray[np.float64],
                        epsilon: float) -> list[Spurious]:
    """
    The components of a fit that sit on accidents of a few rows.

    Parameters
    ----------
    parameters : Parameters
        Factorized.
    structure : Structure
    n_rows : float
        As `effective_rows` counts them.
    reg_covar : float or ndarray, shape (D,)
        What the fit added to every variance.
    epsilon : float
        The machine epsilon of the type that the loops worked in, and so the part of a variance that rounding may have added.

    Returns
    -------
    list of Spurious
        Empty for a proper optimum.
    """
    if parameters.n_components == 1:
        return []
    rows = parameters.weights * n_rows
    shape = parameters.n_components, parameters.n_features
    few = rows < FEW * structure.least_rows(parameters.n_features)
    added = reg_covar + epsilon * structure.variances(parameters.covariances, *shape)
    held = added.max(axis=1) * structure.precision_bounds(parameters) > ADDED_SHARE
    if not (few.any() or held.any()):
        return []
    covariances = structure.matrices(parameters.covariances, *shape)
    within = np.einsum("k,kij->ij", parameters.weights, covariances)
    away = parameters.means - parameters.weights @ parameters.means
    total = within + np.einsum("k,ki,kj->ij", parameters.weights, away, away)
    found = []
    for k in np.flatnonzero(few | held):
        ratio, direction = _narrowest(covariances[k], total)
        if held[k] and ratio * WIDER < 1 and direction @ (added[k] * direction) > ADDED_SHARE * (direction @ covariances[k] @ direction):
            found.append(Spurious(int(k), float(rows[k]), ratio, True))
        elif few[k] and (ratio := _narrowest(covariances[k], within)[0]) < NARROW:
            found.append(Spurious(int(k), float(rows[k]), ratio, False))
    return found


def _narrowest(covariance: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """
    The direction v in which a covariance Σ is smallest by another, T, and the quotient of the variances there.

    Σ v = λ T v with the smallest λ. With Σ = L Lᵀ and v = L⁻ᵀ y this is L⁻¹ T L⁻ᵀ y = y / λ, whose largest eigenvalue power
    iteration finds, from a random vector, which has a share of every direction. That is fast where one direction is far narrower
    than the others; where none is, it does not matter which is found. All products are einsum's, as BLAS would wake its threads.
    """
    scale = np.sqrt(np.diag(reference))
    units = np.outer(scale, scale)
    reference = reference / units
    try:
        inverse, _ = whiten(covariance / units)
        whiten(reference)
    except ValueError:  # the reference is singular to rounding: the data lie in a subspace, in which nobody is narrow
        return 1.0, np.zeros(len(scale))
    y, largest = np.random.default_rng(0).standard_normal(len(scale)), 0.0
    for _ in range(MOST_POWERS):
        y /= math.hypot(*y)  # whose squares neither overflow nor underflow
        v = np.einsum("ji,j->i", inverse, y)
        y = np.einsum("ij,j->i", inverse, np.einsum("ij,j->i", reference, v))
        before, largest = largest, math.hypot(*y)
        if abs(largest - before) <= CLOSE * largest:
            break
    return 1 / largest, v / scale

"""Spurious optima: components that fit an accident of a few rows. docs/collapse.md gives the reasons."""

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

# A component is called held where two things are true in its narrowest direction: reg_covar and rounding added at least half of its
# variance, and the whole data are this many times wider.
ADDED_SHARE = 0.5
WIDER = 100.0
# A component has few rows where it has fewer than twice as many as a covariance needs to be regular. It is then spurious where in
# some direction it is this much narrower than the components are on average.
FEW = 2
NARROW = 0.01
# The power iteration for the narrowest direction ends at this precision, as its eigenvalue is only compared with these factors.
CLOSE = 1e-6
MOST_POWERS = 1000


@dataclass(frozen=True)
class Spurious:
    """
    A component that fits an accident of a few rows.

    Attributes
    ----------
    component : int
    rows : float
        How many rows it has, Σ_n w_n γ_nk.
    ratio : float
        Its variance in its narrowest direction, divided by that of the data (if held) or of the average component (if not).
    held : bool
        Whether only reg_covar or rounding keeps its covariance from being singular.
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
    Return how many rows the data have: Σ_n w_n or, if it is larger, the number of rows with weight. The latter is larger for
    example where weights sum to one.

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
    Find the components of a fit that fit an accident of a few rows.

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
        The machine epsilon of the type that the loops worked in. Rounding may have added this part of a variance.

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
    Return the quotient of the variances of two covariances Σ and T in the direction v where it is smallest, and v.

    v solves Σ v = λ T v with the smallest λ. With Σ = L Lᵀ and v = L⁻ᵀ y this becomes L⁻¹ T L⁻ᵀ y = y / λ. Power iteration finds
    the largest eigenvalue of this. It starts from a random vector, which has a share of every direction. It is fast where one
    direction is far narrower than the others; where none is, it does not matter which one is found. All products use einsum, as
    BLAS would wake its threads.
    """
    scale = np.sqrt(np.diag(reference))
    units = np.outer(scale, scale)
    reference = reference / units
    try:
        inverse, _ = whiten(covariance / units)
        whiten(reference)
    except ValueError:  # the reference is singular to rounding: the data lie in a subspace, where no component counts as narrow
        return 1.0, np.zeros(len(scale))
    y, largest = np.random.default_rng(0).standard_normal(len(scale)), 0.0
    for _ in range(MOST_POWERS):
        y /= math.hypot(*y)  # hypot neither overflows nor underflows
        v = np.einsum("ji,j->i", inverse, y)
        y = np.einsum("ij,j->i", inverse, np.einsum("ij,j->i", reference, v))
        before, largest = largest, math.hypot(*y)
        if abs(largest - before) <= CLOSE * largest:
            break
    return 1 / largest, v / scale

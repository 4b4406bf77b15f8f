"""Spurious optima: components that fit an accident of a few rows. docs/collapse.md gives the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.linalg import narrowest
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Counted
from gaussmix.structures import Structure

__all__ = ["Spurious", "effective_rows", "spurious_components"]

# A component is called held where two things are true in its narrowest direction: reg_covar and rounding added at least half of its
# variance, and the whole data are this many times wider.
ADDED_SHARE = 0.5
WIDER = 100.0
# Let t be the rows of a component, divided by the number that a covariance needs to be regular. The component is spurious where
# t < 1; where t < FEW and in some direction its variance is less than NARROW of that of the data; and where its variance is less
# than NARROW^(t − 1) of that of the average component. From t = MANY on this says nothing.
FEW = 3
PART_OF_A_ROW = 0.01  # may be missing, as other components share in the rows of a cluster
MANY = 6
NARROW = 0.01


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
        Its variance in its narrowest direction, divided by that of what it is compared with.
    compared : {"held", "too few", "data", "average component"}
        What makes it spurious. "held": only reg_covar or rounding keeps its covariance from being singular, and the data are much
        wider. "too few": its rows are too few for a covariance. Otherwise it is too narrow for its number of rows, in comparison
        with the data or with the average component.
    """

    component: int
    rows: float
    ratio: float
    compared: str

    def __str__(self) -> str:
        count = f"{self.rows:,.0f}" if self.rows >= 1000 else f"{self.rows:.3g}"
        rows = f"component {self.component} sits on {count} row{'' if count == '1' else 's'}"
        if self.compared == "held":
            return f"{rows} and is kept from being singular by reg_covar alone, or by rounding"
        if self.compared == "too few":
            return f"{rows}, which are too few to tell a covariance"
        return f"{rows} and is {1 / self.ratio:.2g} times narrower (in variance) than the {self.compared} in one direction"


def effective_rows(rows: Counted[Any]) -> float:
    """
    Return how many rows the data have: Σ_n w_n or, if it is larger, the number of rows with weight. The latter is larger for
    example where weights sum to one.

    Parameters
    ----------
    rows : Counted

    Returns
    -------
    float
    """
    return max(rows.total_weight, float(rows.n_positive))


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
    least = structure.least_rows(parameters.n_features)
    few = rows < MANY * least
    added = reg_covar + epsilon * structure.variances(parameters.covariances, *shape)
    with np.errstate(over="ignore"):
        held = added.max(axis=1) * structure.precision_bounds(parameters) > ADDED_SHARE
    if not (few.any() or held.any()):
        return []
    covariances = structure.matrices(parameters.covariances, *shape)
    within = np.einsum("k,kij->ij", parameters.weights, covariances)
    away = parameters.means - parameters.weights @ parameters.means
    total = within + np.einsum("k,ki,kj->ij", parameters.weights, away, away)
    found = []
    for k in np.flatnonzero(few | held):
        ratio, direction = narrowest(covariances[k], total)
        if held[k] and ratio * WIDER < 1 and direction @ (added[k] * direction) > ADDED_SHARE * (direction @ covariances[k] @ direction):
            found.append(Spurious(int(k), float(rows[k]), ratio, "held"))
        elif few[k]:
            times = (rows[k] + PART_OF_A_ROW) / least
            # No component is narrower in comparison with the average component than in comparison with the data.
            beyond = FEW <= times and ratio < _excused(times)
            if times < 1:
                found.append(Spurious(int(k), float(rows[k]), ratio, "too few"))
            elif times < FEW and ratio < NARROW:
                found.append(Spurious(int(k), float(rows[k]), ratio, "data"))
            elif beyond and (ratio := narrowest(covariances[k], within)[0]) < _excused(times):
                found.append(Spurious(int(k), float(rows[k]), ratio, "average component"))
    return found


def _excused(times: float) -> float:
    """How narrow a component with so many times the fewest rows may be, in comparison with the average component."""
    return float(NARROW ** (times - 1))

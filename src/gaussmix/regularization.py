"""The amounts that are added to variances, so that covariances stay regular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.em import maximize
from gaussmix._core.estep import EveryRow
from gaussmix.blocks import Counted
from gaussmix.engines import Engine
from gaussmix.statistics import Kind
from gaussmix.structures import structure_named

__all__ = ["Regularization", "feature_variances", "regularization_for"]

AUTOMATIC = 1e-6  # "auto", as a part of each feature's variance
LARGE = 1e-3  # more than this part of a feature's variance changes the fit visibly


@dataclass(frozen=True)
class Regularization:
    """
    What every M step adds to variances.

    Attributes
    ----------
    added : float or ndarray, shape (D,)
        The same for all features, or an amount for each.
    blurred_feature : int or None
        The feature with the least variance, where `added` is a large part of that variance; else None.
    least_variance : float
        That variance.
    """

    added: float | NDArray[np.float64]
    blurred_feature: int | None = None
    least_variance: float = 0.0


def regularization_for(reg_covar: float | str, rows: Counted[Any], engine: Engine) -> Regularization:
    """
    Parameters
    ----------
    reg_covar : float or "auto"
        The amount. "auto" means a millionth of each feature's variance or, for a constant feature, of the mean variance of the
        others.
    rows : Counted
    engine : Engine

    Returns
    -------
    Regularization
    """
    if not reg_covar:
        return Regularization(0.0)
    variances = feature_variances(rows, engine)
    if not isinstance(reg_covar, str) and reg_covar <= LARGE * variances.min():
        return Regularization(float(reg_covar))
    for feature in np.flatnonzero(variances == 0):
        if not rows.is_constant(int(feature)):
            variances[feature] = np.finfo(np.float64).tiny  # its squares underflow
    varying = variances[variances > 0]
    if isinstance(reg_covar, str):
        return Regularization(AUTOMATIC * np.where(variances > 0, variances, varying.mean()) if varying.size else AUTOMATIC)
    if varying.size and reg_covar > LARGE * varying.min():
        return Regularization(float(reg_covar), int(np.flatnonzero(variances == varying.min())[0]), float(varying.min()))
    return Regularization(float(reg_covar))


def feature_variances(rows: Counted[Any], engine: Engine) -> NDArray[np.float64]:
    """
    The variance of every feature, with sample weights.

    Parameters
    ----------
    rows : Counted
    engine : Engine

    Returns
    -------
    ndarray, shape (D,)
    """
    diagonal = structure_named("diag")
    first_row, parameters = Densities(Kind.DIAG, 1, rows.n_features), diagonal.parameters(1, rows.n_features)
    first_row.means[...] = rows.row(0)
    passes = engine.passes(rows, EveryRow(Kind.DIAG, 1, rows.n_features, rows.size))
    maximize(passes, first_row, diagonal.m_step(0.0, rows.n_features), parameters)
    variances: NDArray[np.float64] = np.maximum(parameters.covariances[0], 0.0)
    return variances

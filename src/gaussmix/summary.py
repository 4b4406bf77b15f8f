"""A fitted mixture as a statistician's table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gaussmix.criteria import aic, bic

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture
    from gaussmix.mixture import Mixture

__all__ = ["summary_text"]


def summary_text(estimator: GaussianMixture, rows: float | None, log_likelihood: float | None, icl: float | None, *,
                 of_the_fit: bool = False) -> str:
    """
    A line for each component, and the criteria.

    Parameters
    ----------
    estimator : GaussianMixture
        Fitted.
    rows : float or None
        Σ_n w_n.
    log_likelihood : float or None
        L (6) of those rows.
    icl : float or None
    of_the_fit : bool
        Whether the log-likelihood is what the last E step of the fit found, before its M step.

    Returns
    -------
    str
    """
    mixture, n_parameters = estimator.mixture_, estimator.n_parameters_
    names = list(getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(mixture.n_features)]))
    header = ["component", "weight", "rows", *(f"mean {name}" for name in names), *(f"sd {name}" for name in names), "log det"]
    lines = [header] + [_component(mixture, k, rows) for k in range(mixture.n_components)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]
    title = (f"Gaussian mixture, {mixture.n_components} components, {mixture.n_features} features, {mixture.covariance_type} "
             "covariances")
    if hasattr(estimator, "n_iter_"):  # not where the attributes were set by hand
        title += f": {'converged' if estimator.converged_ else 'not converged'} after {estimator.n_iter_} iterations"
    criteria = [f"free parameters {n_parameters}"]
    if rows is not None:
        criteria.insert(0, f"rows {rows:g}")
    if rows is not None and log_likelihood is not None:
        whose = "at the last E step of the fit, before its M step: " if of_the_fit else ""
        criteria += [f"{whose}log-likelihood {log_likelihood:.4f}", f"BIC {bic(log_likelihood, n_parameters, rows):.4f}",
                     f"AIC {aic(log_likelihood, n_parameters):.4f}"]
    if icl is not None:
        criteria.append(f"ICL {icl:.4f}")
    return "\n".join([title, "", *table, "", ", ".join(criteria)])


def _component(mixture: Mixture, k: int, rows: float | None) -> list[str]:
    covariance = mixture.covariances[k]
    log_det = np.linalg.slogdet(covariance)[1]
    numbers = [mixture.weights[k], math.nan if rows is None else mixture.weights[k] * rows, *mixture.means[k],
               *np.sqrt(np.diag(covariance)), log_det]
    return [str(k), *("-" if math.isnan(number) else f"{number:.4g}" for number in numbers)]

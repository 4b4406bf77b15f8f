"""A fitted mixture as a table of its components and criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaussmix.criteria import aic, bic
from gaussmix.mixture import title_of
from gaussmix.notebook import component_cells, mixture_html

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["summary_html", "summary_text"]


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
        Whether the log-likelihood is that of the last E step of the fit, before its M step.

    Returns
    -------
    str
    """
    mixture, n_parameters = estimator.mixture_, estimator.n_parameters_
    names = list(getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(mixture.n_features)]))
    header, cells = component_cells(mixture.weights, mixture.means, mixture.covariances, names, rows)
    lines = [header, *cells]
    widths = [max(map(len, column)) for column in zip(*lines)]
    body = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]
    return "\n".join([_title(estimator), "", *body, "", _criteria(n_parameters, rows, log_likelihood, icl, of_the_fit)])


def summary_html(estimator: GaussianMixture, rows: float | None, log_likelihood: float | None) -> str:
    """
    Make the same table for a notebook, with a picture. The log-likelihood is that of the last E step of the fit.

    Parameters
    ----------
    estimator, rows, log_likelihood
        As for `summary_text`.

    Returns
    -------
    str
        HTML.
    """
    mixture, names = estimator.mixture_, getattr(estimator, "feature_names_in_", None)
    return mixture_html(_title(estimator), mixture.weights, mixture.means, mixture.covariances, names, rows,
                        _criteria(estimator.n_parameters_, rows, log_likelihood, None, True))


def _title(estimator: GaussianMixture) -> str:
    title = title_of(estimator.mixture_)
    if hasattr(estimator, "n_iter_"):  # not where the attributes were set by hand
        title += f": {'converged' if estimator.converged_ else 'not converged'} after {estimator.n_iter_} iterations"
    return title


def _criteria(n_parameters: int, rows: float | None, log_likelihood: float | None, icl: float | None, of_the_fit: bool) -> str:
    criteria = [f"free parameters {n_parameters}"]
    if rows is not None:
        criteria.insert(0, f"rows {rows:g}")
    if rows is not None and log_likelihood is not None:
        whose = "at the last E step of the fit, before its M step: " if of_the_fit else ""
        criteria += [f"{whose}log-likelihood {log_likelihood:.4f}", f"BIC {bic(log_likelihood, n_parameters, rows):.4f}",
                     f"AIC {aic(log_likelihood, n_parameters):.4f}"]
    if icl is not None:
        criteria.append(f"ICL {icl:.4f}")
    return ", ".join(criteria)

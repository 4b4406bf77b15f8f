"""Information criteria: −2 times the log-likelihood plus a penalty for the number of parameters. Lower is better."""

from __future__ import annotations

import math

__all__ = ["aic", "bic", "icl"]


def bic(log_likelihood: float, n_parameters: int, n_rows: float) -> float:
    """
    The Bayesian information criterion, −2 L + p ln N.

    Parameters
    ----------
    log_likelihood : float
        L (6).
    n_parameters : int
        p, how many are free.
    n_rows : float
        N, or Σ_n w_n.

    References
    ----------
    Schwarz, "Estimating the dimension of a model", The Annals of Statistics 6 (1978).
    """
    return -2 * log_likelihood + n_parameters * math.log(n_rows)


def aic(log_likelihood: float, n_parameters: int) -> float:
    """
    The Akaike information criterion, −2 L + 2 p.

    Parameters
    ----------
    log_likelihood : float
        L (6).
    n_parameters : int
        p, how many are free.

    References
    ----------
    Akaike, "A new look at the statistical model identification", IEEE Transactions on Automatic Control 19 (1974).
    """
    return -2 * log_likelihood + 2 * n_parameters


def icl(log_likelihood: float, n_parameters: int, n_rows: float, log_certainty: float) -> float:
    """
    The integrated completed likelihood criterion, BIC − 2 Σ_n w_n ln max_k γ_nk.

    Parameters
    ----------
    log_likelihood : float
        L (6).
    n_parameters : int
        p, how many are free.
    n_rows : float
        N, or Σ_n w_n.
    log_certainty : float
        Σ_n w_n ln max_k γ_nk.

    References
    ----------
    Biernacki, Celeux and Govaert, "Assessing a mixture model for clustering with the integrated completed likelihood",
    IEEE Transactions on Pattern Analysis and Machine Intelligence 22 (2000).
    """
    return bic(log_likelihood, n_parameters, n_rows) - 2 * log_certainty

"""Regions that hold a given share of the probability."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from gaussmix.mixture import Mixture
from gaussmix.observations import shown

__all__ = ["bounds_of", "checked_shares", "density_levels", "line_of", "radii", "radius"]

DRAWS = 50_000  # with so many draws the error of a share is about a thousandth
EVEN = 161  # how many lines of a grid are evenly spaced


def checked_shares(levels: Iterable[float]) -> tuple[float, ...]:
    """Return shares of the probability, the largest first. Raise ValueError where one is not between 0 and 1."""
    shares = tuple(sorted({float(level) for level in levels}, reverse=True))
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"levels must be shares of the probability, between 0 and 1, not {shown(tuple(levels))}")
    return shares


def radius(share: float, n_features: int) -> float:
    """Return the Mahalanobis distance within which a Gaussian in D dimensions has this share: the root of χ²_D's quantile."""
    return float(np.sqrt(chdtri(n_features, 1 - share)))


def density_levels(mixture: Mixture, shares: Sequence[float]) -> NDArray[np.float64]:
    """
    Compute ln p at the edge of each highest-density region. All places with at least this density together hold the share.

    Parameters
    ----------
    mixture : Mixture
    shares : sequence of float

    Returns
    -------
    ndarray
        A level for each share: the quantile of ln p over rows drawn from the mixture, the same rows each time.

    References
    ----------
    Hyndman, "Computing and graphing highest density regions", The American Statistician 50 (1996).
    """
    log_p = mixture.logpdf(mixture.rvs(DRAWS, random_state=0))
    levels: NDArray[np.float64] = np.quantile(log_p, 1 - np.asarray(shares))
    return levels


def radii(mixture: Mixture, level: float) -> NDArray[np.float64]:
    """
    Return Mahalanobis distances, shape (K,). Where a place is further than these from all means, ln p is below the level.

    Where p is at least e^level, one of its K summands is at least e^level / K. The places where this holds for component k form an
    ellipsoid. Its distance is 0 where the summand is that large nowhere.
    """
    K, D = mixture.n_components, mixture.n_features
    log_det = np.linalg.slogdet(mixture.covariances)[1]
    with np.errstate(divide="ignore"):
        squares = 2 * (np.log(K * mixture.weights) - level) - D * np.log(2 * np.pi) - log_det
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return distances


def bounds_of(mixture: Mixture, feature: int, distances: NDArray[np.float64]) -> tuple[float, float]:
    """Return the least and the greatest value of a feature within these distances of the means; distances of 0 are left out."""
    some = distances > 0
    half = distances[some] * np.sqrt(mixture.covariances[some, feature, feature])
    return float((mixture.means[some, feature] - half).min()), float((mixture.means[some, feature] + half).max())


def line_of(mixture: Mixture, feature: int, low: float, high: float, distances: NDArray[np.float64] | float = 4.0,
            even: int = EVEN) -> NDArray[np.float64]:
    """Return places to evaluate a density at, evenly spaced between two bounds, with more within these distances of the means."""
    deviations = np.sqrt(mixture.covariances[:, feature, feature])
    steps = np.linspace(-1.1, 1.1, max(9, 2 * (120 // mixture.n_components) + 1))
    own = (mixture.means[:, feature, None] + (distances * deviations)[:, None] * steps).ravel()
    return np.unique(np.concatenate([np.linspace(low, high, even), own[(low < own) & (own < high)]]))

"""Covariance structures: each is an M step, from Statistics to covariances, with its number of free parameters."""

from __future__ import annotations

import reprlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.mstep import MStep, SphericalMStep
from gaussmix._core.parameters import Parameters
from gaussmix.mixture import Mixture, check_symmetric, checked_arrays
from gaussmix.statistics import Kind

__all__ = ["STRUCTURES", "Structure", "structure_named"]


class Structure:
    """
    What covariances may look like.

    Parameters
    ----------
    name : str
        scikit-learn's name.
    alias : str
        mclust's: volume, shape and orientation, each Equal, Variable or the Identity.
    kind : Kind
        Which second moments it needs, and the shape its covariances are kept in.
    """

    def __init__(self, name: str, alias: str, kind: Kind) -> None:
        self.name = name
        self.alias = alias
        self.kind = kind

    def m_step(self, reg_covar: float | NDArray[np.float64], n_features: int) -> MStep:
        """
        The M step under this structure.

        Parameters
        ----------
        reg_covar : float or ndarray, shape (D,)
            Added to every variance, or to the variances of each feature.
        n_features : int
            D.

        Returns
        -------
        gaussmix._core.mstep.MStep
        """
        return MStep(np.zeros(n_features) + reg_covar)

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """The shape of K covariances in D dimensions as users see them: in `covariances_`, `precisions_init` and model files."""
        if self.kind == Kind.DIAG:
            return n_components, n_features
        return (n_features, n_features) if self.kind == Kind.TIED else (n_components, n_features, n_features)

    def shown(self, kept: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        What users see of an array that Parameters keep in the shape of their kind.

        Parameters
        ----------
        kept : ndarray, shape (K, D, D), (1, D, D) or (K, D)
            Covariances, or factors of precisions.

        Returns
        -------
        ndarray
            Of shape `shape(K, D)`; a view where it can be one.
        """
        return kept[0] if self.kind == Kind.TIED else kept

    def kept(self, shown: NDArray[np.float64]) -> NDArray[np.float64]:
        """The array that Parameters keep, or one that is broadcast to it, of what users see."""
        return shown[None] if self.kind == Kind.TIED else shown

    def mixture(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> Mixture:
        """
        The mixture of these parameters.

        Parameters
        ----------
        weights : array_like, shape (K,)
        means : array_like, shape (K, D)
        covariances : array_like
            Of shape `shape(K, D)`.

        Returns
        -------
        Mixture

        Raises
        ------
        ValueError
            Where they are not those of a mixture with this structure.
        """
        weights, means, covariances = checked_arrays(weights, means, covariances, self.shape)
        if self.kind != Kind.DIAG:
            check_symmetric(covariances)
        parameters = Parameters(self.kind, *means.shape)
        parameters.weights[...], parameters.means[...], parameters.covariances[...] = weights, means, self.kept(covariances)
        return Mixture.from_parameters(parameters, self.name)

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        """How many free parameters the covariances of K components in D dimensions have."""
        if self.kind == Kind.DIAG:
            return n_components * n_features
        return (n_components if self.kind == Kind.FULL else 1) * n_features * (n_features + 1) // 2

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """
        How many free parameters a mixture has: covariances, means, and all weights but one.

        Examples
        --------
        >>> structure_named("full").n_parameters(3, 2)
        17
        """
        return self.n_covariance_parameters(n_components, n_features) + n_components * n_features + n_components - 1

    def __repr__(self) -> str:
        return f"<covariance structure {self.name} ({self.alias})>"


class Spherical(Structure):
    """One variance for each component, the same in every direction: the mean of the diagonal."""

    def m_step(self, reg_covar: float | NDArray[np.float64], n_features: int) -> MStep:
        return SphericalMStep(np.zeros(n_features) + reg_covar)

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def shown(self, kept: NDArray[np.float64]) -> NDArray[np.float64]:
        if (kept != kept[:, :1]).any():
            raise ValueError("the variances of a component differ, so that they are not spherical")
        return kept[:, 0]

    def kept(self, shown: NDArray[np.float64]) -> NDArray[np.float64]:
        return shown[:, None]

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return n_components


STRUCTURES = (
    Structure("full", "VVV", Kind.FULL),
    Structure("tied", "EEE", Kind.TIED),
    Structure("diag", "VVI", Kind.DIAG),
    Spherical("spherical", "VII", Kind.DIAG),
)


def structure_named(name: str) -> Structure:
    """
    The structure of that name, scikit-learn's or mclust's.

    Parameters
    ----------
    name : str

    Returns
    -------
    Structure

    Raises
    ------
    ValueError
        Where there is none.

    Examples
    --------
    >>> structure_named("EEE")
    <covariance structure tied (EEE)>
    """
    for structure in STRUCTURES:
        if isinstance(name, str) and name in (structure.name, structure.alias):
            return structure
    known = ", ".join(f"{s.name!r} ({s.alias!r})" for s in STRUCTURES)
    raise ValueError(f"covariance_type must be one of {known}, not {reprlib.repr(name)}")

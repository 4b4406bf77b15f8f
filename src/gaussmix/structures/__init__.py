"""Covariance structures: each is an M step, from Statistics to covariances, with its number of free parameters."""

import numpy as np

from gaussmix._core.mstep import MStep, SphericalMStep
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

    def __init__(self, name, alias, kind):
        self.name = name
        self.alias = alias
        self.kind = kind

    def m_step(self, reg_covar, n_features):
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

    def n_covariance_parameters(self, n_components, n_features):
        """How many free parameters the covariances of K components in D dimensions have."""
        if self.kind == Kind.DIAG:
            return n_components * n_features
        return (n_components if self.kind == Kind.FULL else 1) * n_features * (n_features + 1) // 2

    def n_parameters(self, n_components, n_features):
        """
        How many free parameters a mixture has: covariances, means, and all weights but one.

        Examples
        --------
        >>> structure_named("full").n_parameters(3, 2)
        17
        """
        return self.n_covariance_parameters(n_components, n_features) + n_components * n_features + n_components - 1

    def __repr__(self):
        return f"<covariance structure {self.name} ({self.alias})>"


class Spherical(Structure):
    """One variance for each component, the same in every direction: the mean of the diagonal."""

    def m_step(self, reg_covar, n_features):
        return SphericalMStep(np.zeros(n_features) + reg_covar)

    def n_covariance_parameters(self, n_components, n_features):
        return n_components


STRUCTURES = (
    Structure("full", "VVV", Kind.FULL),
    Structure("tied", "EEE", Kind.TIED),
    Structure("diag", "VVI", Kind.DIAG),
    Spherical("spherical", "VII", Kind.DIAG),
)


def structure_named(name):
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
    raise ValueError(f"covariance_type must be one of {known}, not {name!r}")

"""The subject of a picture: a mixture, perhaps rows, and the names of the features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix.mixture import Mixture
from gaussmix.notebook import separating_features
from gaussmix.observations import as_table, check_finite, check_names, shown

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["Subject", "features_of", "marginal", "plane_of", "separating", "subject_of", "thinned"]


@dataclass(frozen=True)
class Subject:
    """
    The things to draw: a mixture, perhaps rows, and the names of the features.

    Attributes
    ----------
    mixture : Mixture
    rows : ndarray, shape (N, D), or None
    names : list of str
        The names of all D features.
    """

    mixture: Mixture
    rows: NDArray[Any] | None
    names: list[str]

    def column(self, feature: int) -> NDArray[np.float64] | None:
        """Return all values of one feature, or None where there are no rows."""
        return None if self.rows is None else np.asarray(self.rows[:, feature], dtype=np.float64)


def subject_of(model: GaussianMixture | Mixture, X: ArrayLike | None, *, rows_needed: bool = False) -> Subject:
    """
    Check what a user wants to see, and return it as a Subject.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D), or None
    rows_needed : bool
        Whether X must not be None.

    Returns
    -------
    Subject
        Its feature names are those of the fit. Where the fit had none, they are those of X, or else x0, x1 and so on, as in
        `summary`.

    Raises
    ------
    NotFittedError
    TypeError
        Where the model is neither an estimator nor a Mixture.
    ValueError
        Where X has not as many columns as the mixture has features, has no rows, or is not finite.
    """
    mixture: object = model if isinstance(model, Mixture) else model.mixture_ if hasattr(type(model), "mixture_") else None
    if not isinstance(mixture, Mixture):
        raise TypeError(f"model must be a fitted GaussianMixture or a Mixture, not {shown(model)}")
    if X is None and rows_needed:
        raise ValueError("X must be the rows that are to be drawn, not None")
    known = getattr(model, "feature_names_in_", None)
    table, columns = (None, None) if X is None else as_table(X)
    if table is not None:
        if model is not mixture:  # a Mixture has no names to compare with
            check_names(columns, known, type(model).__name__, stacklevel=4)
        if table.shape[1] != mixture.n_features:
            raise ValueError(f"X has {table.shape[1]} features, but the mixture has {mixture.n_features}")
        if not len(table):
            raise ValueError("X must have one row at least, not none")
        check_finite(table)
    names = known if known is not None else columns if columns is not None else [f"x{d}" for d in range(mixture.n_features)]
    return Subject(mixture, table, [str(name) for name in names])


def features_of(subject: Subject, features: int | str | Iterable[int | str]) -> tuple[int, ...]:
    """
    Convert features to their numbers.

    Parameters
    ----------
    subject : Subject
    features : int, str, or several
        Numbers counted from 0, or names.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        Where there is no such feature, or one is named twice.
    """
    wanted = [features] if isinstance(features, (int, np.integer, str)) else list(features)
    numbers = [_number(subject, feature) for feature in wanted]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"features must be different, and one at least, not {shown(features)}")
    return tuple(numbers)


def _number(subject: Subject, feature: Any) -> int:
    D = subject.mixture.n_features
    if isinstance(feature, str) and feature in subject.names:
        return subject.names.index(feature)
    if isinstance(feature, (int, np.integer)) and not isinstance(feature, bool) and 0 <= feature < D:
        return int(feature)
    raise ValueError(f"features must be names of features or numbers from 0 to {D - 1}, not {shown(feature)}")


def plane_of(subject: Subject, features: int | str | Iterable[int | str] | None) -> tuple[int, ...]:
    """Return the one or two features that a panel shows: the first two, unless the user asks for others."""
    numbers = features_of(subject, range(min(2, subject.mixture.n_features)) if features is None else features)
    if len(numbers) > 2:
        raise ValueError(f"features must be one or two, which a panel can show, not {len(numbers)}")
    return numbers


def marginal(mixture: Mixture, features: Iterable[int]) -> Mixture:
    """Return the distribution of some features: a mixture of the components' marginals, whose covariances are sub-blocks."""
    some = list(features)
    return Mixture(mixture.weights, mixture.means[:, some], mixture.covariances[:, some][:, :, some])


def separating(mixture: Mixture, at_most: int) -> tuple[int, ...]:
    """
    Return the features that separate the components best.

    These are the features with the largest share of their variance between the components' means.

    Parameters
    ----------
    mixture : Mixture
    at_most : int

    Returns
    -------
    tuple of int
        In ascending order. Where the features do not differ in this share, the first ones are returned.
    """
    variances = mixture.structure.variances(mixture._parameters.covariances, mixture.n_components, mixture.n_features)
    return tuple(separating_features(mixture.weights, mixture.means, variances, at_most))


def thinned(rows: NDArray[Any], at_most: int) -> NDArray[np.float64]:
    """Return the rows themselves or, where there are more than `at_most`, a random sample that is the same each time."""
    if len(rows) > at_most:
        rows = rows[np.sort(np.random.default_rng(0).choice(len(rows), at_most, replace=False, shuffle=False))]
    return np.asarray(rows, dtype=np.float64)

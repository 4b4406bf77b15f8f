"""Errors and warnings, with the builtin base classes of scikit-learn's, and with scikit-learn's own where it is in use."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

__all__ = ["CollapseWarning", "ConvergenceWarning", "InvalidParameterError", "NotFittedError", "SpuriousOptimumWarning", "in_use"]

E = TypeVar("E", bound=Exception)


class _Raised:
    """Is pickled by the name of its public class, as the class in use may not exist where it is unpickled."""

    public: ClassVar[type[Exception]]
    args: tuple[Any, ...]

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[Any, ...]]:
        return _restored, (self.public, self.args)


class NotFittedError(_Raised, ValueError, AttributeError):
    """
    A method was called that needs a fitted model.

    Examples
    --------
    >>> import gaussmix
    >>> try:
    ...     gaussmix.GaussianMixture().predict([[0.0]])
    ... except gaussmix.NotFittedError as error:
    ...     print(str(error)[:54])
    This GaussianMixture instance is not fitted yet. Call
    """


class InvalidParameterError(_Raised, ValueError, TypeError):
    """
    A parameter of the constructor is of a wrong type or value.

    Examples
    --------
    >>> import gaussmix
    >>> try:
    ...     gaussmix.GaussianMixture(n_components=0).fit([[0.0], [1.0]])
    ... except gaussmix.InvalidParameterError as error:
    ...     print(error)
    n_components must be a whole number of at least 1, not 0
    """


class ConvergenceWarning(_Raised, UserWarning):
    """
    EM ended before the log-likelihood stopped rising.

    Examples
    --------
    >>> import warnings
    >>> import gaussmix
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     gm = gaussmix.GaussianMixture(2, max_iter=1, random_state=0).fit([[0.0], [1.0], [2.0], [3.0], [9.0]])
    >>> isinstance(caught[0].message, gaussmix.ConvergenceWarning), gm.converged_
    (True, False)
    """


class CollapseWarning(ConvergenceWarning):
    """
    A component collapsed (docs/collapse.md).

    The covariance of the component became singular, or the component lost all its rows. EM then ended with the last valid
    parameters. In the case of the subclass `SpuriousOptimumWarning`, EM went on to an optimum that means nothing.

    Examples
    --------
    >>> import warnings
    >>> import gaussmix
    >>> X = [[0.0], [1.0], [2.0], [3.0], [50.0]]
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     gm = gaussmix.GaussianMixture(2, random_state=0).fit(X)  # one component sits on the row at 50
    >>> isinstance(caught[0].message, gaussmix.CollapseWarning)
    True
    """


class SpuriousOptimumWarning(CollapseWarning):
    """
    EM ended with valid parameters, but in each start a component fits an accident of a few rows (docs/collapse.md).

    Examples
    --------
    >>> import warnings
    >>> import gaussmix
    >>> X = [[0.0], [1.0], [2.0], [3.0], [50.0]]
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     gm = gaussmix.GaussianMixture(2, random_state=0).fit(X)
    >>> type(caught[0].message).__name__, gm.converged_
    ('SpuriousOptimumWarning', True)
    """


for public_class in (NotFittedError, InvalidParameterError, ConvergenceWarning, CollapseWarning, SpuriousOptimumWarning):
    public_class.public = public_class


def in_use(kind: type[E]) -> type[E]:
    """
    Return the class to raise. Where scikit-learn is loaded, it is also a subclass of scikit-learn's class of that name.

    Parameters
    ----------
    kind : type
        A class of this module.

    Returns
    -------
    type
        `kind`, or a subclass of it and of scikit-learn's class of the same name.

    Examples
    --------
    >>> issubclass(in_use(NotFittedError), NotFittedError)
    True
    """
    modules = sys.modules.get("sklearn.exceptions"), sys.modules.get("sklearn.utils._param_validation")
    for base in kind.__mro__:
        for module in modules:
            theirs = getattr(module, base.__name__, None)
            if theirs is not None and base.__module__ == __name__:
                return _both(kind, theirs)  # type: ignore[arg-type]  # every class is hashable
    return kind


@functools.cache
def _both(ours: type[E], theirs: type[Exception]) -> type[E]:
    return type(ours.__name__, (ours, theirs), {"__doc__": ours.__doc__, "__module__": ours.__module__})


def _restored(kind: type[E], arguments: tuple[Any, ...]) -> E:
    return in_use(kind)(*arguments)

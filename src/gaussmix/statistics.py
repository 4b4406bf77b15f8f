"""Statistics: the sums that a pass over some rows computes. The sums of different rows can be added."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.densities import Kind
from gaussmix._core.statistics import Statistics as _Sums

__all__ = ["Kind", "Statistics"]


class Statistics(_Sums):
    """
    Weight, first and second moments of every component about a reference point, and the log-likelihood.

    An M step needs nothing else (docs/mathematics.md). Statistics of different rows can be added with `+`; where their reference
    points differ, the second is translated first. `statistics *= decay` makes all rows so far count for less.

    Parameters
    ----------
    kind : Kind
        Which second moments are kept: `Kind.FULL` one matrix per component, `Kind.TIED` their sum, `Kind.DIAG` their diagonals.
    n_components, n_features : int
        K and D.

    Attributes
    ----------
    reference : ndarray, shape (K, D)
        The points m_k.
    weight : ndarray, shape (K,)
        Σ_n w_n γ_nk.
    first : ndarray, shape (K, D)
        Σ_n w_n γ_nk (x_n − m_k).
    second : ndarray, shape (K, D, D), (1, D, D) or (K, D)
        Σ_n w_n γ_nk (x_n − m_k)(x_n − m_k)ᵀ; of a matrix only the lower triangle is kept.
    log_likelihood, total_weight : float
        Σ_n w_n ln p(x_n) (6) and Σ_n w_n.

    Examples
    --------
    >>> s = Statistics(Kind.DIAG, 1, 1)
    >>> s.weight[:], s.first[:], s.second[:] = 2.0, 4.0, 10.0  # two rows, 1 and 3, about 0
    >>> t = s.translated([[2.0]])
    >>> t.first, t.second
    (array([[0.]]), array([[2.]]))
    """

    def copy(self) -> Self:
        """Return a copy of the sums."""
        other = type(self)(self.kind, self.n_components, self.n_features)
        other.reference[...] = self.reference
        other.accumulate(self)
        return other

    def of_kind(self, kind: Kind) -> Self:
        """
        Return the same sums with second moments of another kind, taken from full ones.

        Statistics that are of that kind already are returned themselves, not as a copy.

        Parameters
        ----------
        kind : Kind

        Returns
        -------
        Statistics

        Raises
        ------
        ValueError
            Where the second moments wanted cannot be taken from those that are here.
        """
        if kind == self.kind:
            return self
        if self.kind != Kind.FULL:
            raise ValueError(f"second moments of kind {self.kind.name} do not contain those of kind {kind.name}: only those of kind FULL "
                             "contain all others")
        other = type(self)(kind, self.n_components, self.n_features)
        other.reference[...], other.weight[...], other.first[...] = self.reference, self.weight, self.first
        other.second[...] = self.second.sum(axis=0) if kind == Kind.TIED else np.einsum("kii->ki", self.second)
        other.log_likelihood, other.total_weight = self.log_likelihood, self.total_weight
        return other

    def translated(self, reference: ArrayLike) -> Self:
        """
        Return the same sums about other points, computed by the parallel-axis rule.

        Parameters
        ----------
        reference : array_like, shape (K, D)

        Returns
        -------
        Statistics

        Raises
        ------
        ValueError
            Where `reference` is of another shape or not finite, or too far away for float64.
        """
        moved = self.copy()
        moved.reference[...] = _points(reference, self.reference.shape)
        with np.errstate(invalid="ignore", over="ignore"):
            step = self.reference - moved.reference
        if not np.isfinite(step).all():
            raise ValueError("reference points must be finite, and no further from the points before than double precision can hold")
        moved.first[...] += self.weight[:, None] * step
        if self.kind == Kind.DIAG:
            moved.second[...] += 2 * self.first * step + self.weight[:, None] * step**2
        else:
            cross = self.first[:, :, None] * step[:, None, :]
            change = cross + cross.transpose(0, 2, 1) + self.weight[:, None, None] * step[:, :, None] * step[:, None, :]
            moved.second[...] += change if self.kind == Kind.FULL else change.sum(axis=0)
        return moved

    def __add__(self, other: Statistics) -> Self:
        """
        Add the sums of two sets of rows; the result is about the reference points of the first.

        Raises
        ------
        ValueError
            Where they are of different kinds or shapes.
        TypeError
            Where `other` is no Statistics.
        """
        if not isinstance(other, Statistics):
            return NotImplemented
        total = self.copy()
        apart = other.reference.shape == self.reference.shape and (other.reference != self.reference).any()
        total.accumulate(other.translated(self.reference) if apart else other)
        return total

    def __radd__(self, other: object) -> Self:
        """Allow Python's `sum`, which begins with 0."""
        return self.copy() if isinstance(other, int) and other == 0 else NotImplemented

    def __eq__(self, other: object) -> bool:
        """Tell whether all sums and reference points are equal; NaN counts as equal to NaN."""
        if not isinstance(other, Statistics):
            return NotImplemented
        return self.kind == other.kind and self.reference.shape == other.reference.shape and all(
            np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in zip(self._numbers(), other._numbers()))

    __hash__ = None  # type: ignore[assignment]

    def _numbers(self) -> tuple[Any, ...]:
        second = self.second if self.kind == Kind.DIAG else np.tril(self.second)
        return self.reference, self.weight, self.first, second, self.log_likelihood, self.total_weight

    def __imul__(self, factor: float) -> Self:
        """
        Multiply every sum by a factor, as if each row's weight had been multiplied by it. The reference points stay as they are.

        Raises
        ------
        ValueError
            Where the factor is negative or not finite.
        TypeError
            Where the factor is not a real number.
        """
        if not isinstance(factor, (int, float, np.integer, np.floating)) or isinstance(factor, bool):
            return NotImplemented
        if not 0 <= factor < math.inf:
            raise ValueError(f"statistics can be scaled by finite numbers of at least 0, not by {factor!r}")
        for sums in (self.weight, self.first, self.second):
            sums *= factor
        self.log_likelihood *= factor
        self.total_weight *= factor
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.reference, self.weight, self.first, self.second, self.log_likelihood, self.total_weight)
        return _restored, (int(self.kind), self.n_components, self.n_features, state)

    def __repr__(self) -> str:
        return (f"Statistics({self.kind.name}, n_components={self.n_components}, n_features={self.n_features}, "
                f"total_weight={self.total_weight:g}, log_likelihood={self.log_likelihood:g})")


def _points(reference: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Check reference points, one for each component."""
    try:
        points = np.asarray(reference, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"reference must be points of shape {shape}: {error}") from None
    if points.shape != shape:
        raise ValueError(f"reference must be points of shape {shape}, one for each component, not {points.shape}")
    return points


def _restored(kind: int, n_components: int, n_features: int, state: tuple[Any, ...]) -> Statistics:
    """Make statistics from the content of a pickle."""
    statistics = Statistics(Kind(kind), n_components, n_features)
    *arrays, log_likelihood, total_weight = state
    for name, value in zip(("reference", "weight", "first", "second"), arrays, strict=True):
        place = getattr(statistics, name)
        if np.shape(value) != place.shape:
            raise ValueError(f"{name} of pickled statistics must be of shape {place.shape}, not {np.shape(value)}")
        place[...] = value
    statistics.log_likelihood, statistics.total_weight = log_likelihood, total_weight
    return statistics

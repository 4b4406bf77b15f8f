"""Statistics: what a pass over some rows leaves behind. They add."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

from typing import Any, Self

from numpy.typing import ArrayLike

from gaussmix._core.densities import Kind
from gaussmix._core.statistics import Statistics as _Sums

__all__ = ["Kind", "Statistics"]


class Statistics(_Sums):
    """
    Weight, first and second moments of every component about a reference point, and the log-likelihood.

    All that an M step sees (DESIGN, section 2). Statistics of different rows add; where their reference points differ,
    one is translated first.

    Parameters
    ----------
    kind : Kind
        Which second moments: `Kind.FULL` one matrix a component, `Kind.TIED` their sum, `Kind.DIAG` the diagonals.
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
        """The same sums in memory of their own."""
        other = type(self)(self.kind, self.n_components, self.n_features)
        other.reference[...] = self.reference
        other.accumulate(self)
        return other

    def translated(self, reference: ArrayLike) -> Self:
        """
        The same sums about other points, by the parallel-axis rule.

        Parameters
        ----------
        reference : array_like, shape (K, D)

        Returns
        -------
        Statistics
        """
        moved = self.copy()
        moved.reference[...] = reference
        step = self.reference - moved.reference
        moved.first[...] += self.weight[:, None] * step
        if self.kind == Kind.DIAG:
            moved.second[...] += 2 * self.first * step + self.weight[:, None] * step**2
        else:
            cross = self.first[:, :, None] * step[:, None, :]
            change = cross + cross.transpose(0, 2, 1) + self.weight[:, None, None] * step[:, :, None] * step[:, None, :]
            moved.second[...] += change if self.kind == Kind.FULL else change.sum(axis=0)
        return moved

    def __add__(self, other: Statistics) -> Self:
        if not isinstance(other, Statistics):
            return NotImplemented
        total = self.copy()
        total.accumulate(other if (other.reference == self.reference).all() else other.translated(self.reference))
        return total

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.reference, self.weight, self.first, self.second, self.log_likelihood, self.total_weight)
        return _restored, (int(self.kind), self.n_components, self.n_features, state)

    def __repr__(self) -> str:
        return (f"Statistics({self.kind.name}, n_components={self.n_components}, n_features={self.n_features}, "
                f"total_weight={self.total_weight:g}, log_likelihood={self.log_likelihood:g})")


def _restored(kind, n_components, n_features, state):
    statistics = Statistics(Kind(kind), n_components, n_features)
    for name, value in zip(("reference", "weight", "first", "second"), state):
        getattr(statistics, name)[...] = value
    statistics.log_likelihood, statistics.total_weight = state[4:]
    return statistics

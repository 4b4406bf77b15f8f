"""The protocol of starts of EM, and two ways from data to parameters: moments under an assignment, and rows as means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.em import maximize
from gaussmix._core.estep import Block, GivenLabels, GivenResponsibilities
from gaussmix._core.parameters import Parameters
from gaussmix._core.passes import Passes
from gaussmix.blocks import Blocks
from gaussmix.problem import Problem
from gaussmix.statistics import Kind

__all__ = ["Assignment", "Labels", "Responsibilities", "SingularStart", "Start", "at_points", "at_rows", "in_memory",
           "spread_around", "under_assignment"]

# The variance of a component on one row, as a part of the `spread` of `at_rows`. It is so small that the first E step gives each row
# to the nearest mean, and so large that densities stay far inside the range.
POINT = 1e-10


class SingularStart(ValueError):
    """EM cannot begin: a component of the start has no rows, or a singular covariance."""

    @classmethod
    def covariance(cls, component: int) -> Self:
        return cls(
            f"the covariance of component {component} of the start is singular, as its rows lie in a subspace (on a line, say, or with a "
            "constant feature) or are too few. Fitting "
            "the mixture model failed because some components have ill-defined empirical covariance (for instance caused by singleton "
            "or collapsed samples). Try to decrease the number of components, increase reg_covar, or scale the input data.")


class Start(Protocol):
    """
    Where EM starts.

    Attributes
    ----------
    has_covariances : bool
        Whether the covariances are already those of data. Where they are not, EM has begun only when its first M step has made some.
    """

    has_covariances: bool

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        """
        Parameters to begin from.

        Parameters
        ----------
        problem : Problem
        rng : numpy.random.Generator
            Everything random in the start comes from it.

        Returns
        -------
        Parameters
            Factorized.

        Raises
        ------
        SingularStart
        """


class Assignment(Protocol):
    """The components that rows belong to, wholly or in parts."""

    means: NDArray[np.float64] | None
    """Those of each component's rows, shape (K, D), where they are known; each component then has rows."""

    def passes(self, problem: Problem, kind: Kind) -> Passes:
        """Passes that take moments of a kind under it."""


class Labels:
    """
    The assignment of each row to one component.

    Parameters
    ----------
    labels : ndarray, shape (N,), int32
    means : ndarray, shape (K, D), optional
    """

    def __init__(self, labels: NDArray[np.int32], means: NDArray[np.float64] | None = None) -> None:
        self.labels, self.means = labels, means

    def passes(self, problem: Problem, kind: Kind) -> Passes:
        rows = problem.observations
        return problem.engine.passes(rows.with_labels(self.labels), GivenLabels(kind, *problem.shape, rows.size))


class Responsibilities:
    """
    The assignment of each row to several components in parts.

    Parameters
    ----------
    of_block : callable
        From a `Block` to γ_nk, shape (n, K).
    """

    means: NDArray[np.float64] | None = None

    def __init__(self, of_block: Callable[[Block], NDArray[np.float64]]) -> None:
        self.of_block = of_block

    def passes(self, problem: Problem, kind: Kind) -> Passes:
        observations = problem.observations
        return problem.engine.passes(observations, GivenResponsibilities(kind, *problem.shape, observations.size, self.of_block))


def in_memory(problem: Problem) -> Blocks:
    """The observations of a problem, where a start needs them all at hand."""
    observations = problem.observations
    if not isinstance(observations, Blocks):
        raise TypeError(f"this start needs the rows in memory, not a {type(observations).__name__}: give parameters to start from")
    return observations


def under_assignment(problem: Problem, assignment: Assignment) -> Parameters:
    """
    An M step before the first E step: the parameters of rows that are assigned to components.

    This takes two passes: one for the means, unless they are known, and one for the moments about them.

    Parameters
    ----------
    problem : Problem
    assignment : Assignment

    Returns
    -------
    Parameters

    Raises
    ------
    SingularStart
        Naming the component.
    """
    centres = Densities(Kind.DIAG, *problem.shape)
    centres.means[...] = _means(problem, assignment) if assignment.means is None else assignment.means
    parameters = problem.structure.parameters(*problem.shape)
    singular = maximize(assignment.passes(problem, problem.structure.moments), centres, problem.m_step, parameters)
    if singular >= 0:
        raise SingularStart.covariance(singular)
    return parameters


def _means(problem: Problem, assignment: Assignment) -> NDArray[np.float64]:
    """Every component's mean."""
    first_row = at_points(np.tile(np.asarray(problem.observations.row(0), dtype=np.float64), (problem.n_components, 1)))
    statistics = assignment.passes(problem, Kind.DIAG).sum(first_row)
    empty = np.flatnonzero(~(statistics.weight > 0))
    if empty.size:
        raise SingularStart(f"component {empty[0]} of the start has no rows: use fewer than {problem.n_components} components, or "
                            "another start")
    means: NDArray[np.float64] = statistics.reference + statistics.first / statistics.weight[:, None]
    return means


def at_points(points: NDArray[np.float64]) -> Densities:
    """Densities of which only the means are read: the given points, shape (K, D)."""
    at = Densities(Kind.DIAG, *points.shape)
    at.means[...] = points
    return at


def at_rows(problem: Problem, means: NDArray[np.float64], inertia: float) -> Parameters:
    """
    Parameters with rows as means, as scikit-learn's: equal weights and the same small variance everywhere.

    The first E step then gives each row to the nearest mean, and the first M step takes the moments of these.

    Parameters
    ----------
    problem : Problem
    means : ndarray, shape (K, D)
    inertia : float
        Σ_n w_n |x_n − m|², m the nearest of the means.

    Returns
    -------
    Parameters

    Raises
    ------
    SingularStart
        Where all rows are among the means and nothing is added to variances.
    """
    spread = spread_around(means, inertia, in_memory(problem))
    # Amounts that differ between features are in each feature's own unit, in which the nearest are then found.
    variance = problem.added if np.ndim(problem.added) > 0 else POINT * spread + problem.added
    parameters, singular = problem.structure.points(means, variance)
    if singular >= 0:
        raise SingularStart.covariance(singular)
    return parameters


def spread_around(means: NDArray[np.float64], inertia: float, blocks: Blocks) -> float:
    """
    The variance of the data around the nearest of some rows, averaged over features.

    Where the squared distance between the two nearest different rows is less, it is returned instead, as a single row far away
    from all others can make the variance arbitrarily large.
    """
    weight = blocks.n_rows if blocks.row_weights is None else blocks.row_weights.sum()
    return min(float(inertia / weight / blocks.n_features), _least_square(means))


def _least_square(points: NDArray[np.float64]) -> float:
    """The squared distance between the two nearest different points; infinity where there is one only."""
    squares = (((points[k + 1:] - point) ** 2).sum(axis=1) for k, point in enumerate(points))
    return float(min(square[square > 0].min(initial=math.inf) for square in squares))

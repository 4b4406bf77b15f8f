"""Rows that come later: stepwise EM, whose statistics of earlier rows decay, and the adaptation of a mixture to other data."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.estep import CompleteRows
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks, Counted
from gaussmix.engines import Engine
from gaussmix.mixture import Mixture
from gaussmix.statistics import Kind, Statistics
from gaussmix.structures import Structure

__all__ = ["Steps", "Stream", "adapted", "e_step", "moments_of"]

# How many rows make a step. A larger batch is cut into parts of this many, so that it matters little how the rows are dealt out.
ROWS = 1_000


@dataclass(frozen=True)
class Steps:
    """
    The sizes of steps: what share a step's rows have in the statistics, against all earlier rows together.

    Step t = 0, 1, … has the size (t + offset)^(−exponent): early rows, whose responsibilities were poor, are forgotten, and the
    parameters converge. With a half-life the parameters follow data that drift: rows count for half after so many further rows.

    Attributes
    ----------
    exponent : float
        More than ½ and at most 1.
    offset : float
        At least 1.
    half_life : float or None
        In rows; it is used instead of the other two.

    References
    ----------
    Cappé and Moulines, "On-line expectation-maximization algorithm for latent data models", Journal of the Royal Statistical
    Society B 71 (2009).
    Liang and Klein, "Online EM for unsupervised models", NAACL 2009.
    """

    exponent: float
    offset: float
    half_life: float | None

    def size(self, number: int, n_rows: float) -> float:
        """Return the size of a step, by its number and how many rows it has."""
        if self.half_life is not None:
            return -math.expm1(-math.log(2) * n_rows / self.half_life)
        return float((number + self.offset) ** -self.exponent)


class Stream:
    """
    The state of stepwise EM.

    Parameters
    ----------
    structure : Structure
    parameters : Parameters
        Where it begins.
    statistics : Statistics
        Those of the rows so far, or of what stands for them.
    n_rows : float
        How many rows these are.
    added : float or ndarray, shape (D,)
        Added to the variances in every M step.

    Attributes
    ----------
    statistics : Statistics
        What is left of all rows so far, for one row.
    n_rows : float
        How many rows the statistics stand for: fewer than there were, where rows are forgotten.
    n_steps : int
    singular : int or None
        The component whose covariance was singular in the last step, so that the parameters stayed as they were.
    """

    def __init__(self, structure: Structure, parameters: Parameters, statistics: Statistics, n_rows: float,
                 added: float | NDArray[np.float64]) -> None:
        self.structure, self.parameters, self.added = structure, parameters, added
        self.statistics, self.n_rows, self.n_steps = _for_one_row(statistics), n_rows, 0
        self.singular: int | None = None

    def after(self, blocks: Blocks, engine: Engine, steps: Steps) -> tuple[Self, list[float]]:
        """
        The state after some more rows. This one does not change.

        Parameters
        ----------
        blocks : Blocks
        engine : Engine
        steps : Steps

        Returns
        -------
        Stream
        list of float
            The mean log-likelihood of a row that the E step of each part of the rows found.
        """
        other, found = copy.copy(self), []
        for part in _parts(blocks, self.parameters.n_components):
            sums = e_step(part, self.structure, other.parameters, engine)
            found.append(sums.log_likelihood / sums.total_weight)
            other._step(sums, steps.size(other.n_steps, part.total_weight), part.total_weight)
        return other, found

    def regularized_by(self, added: float | NDArray[np.float64]) -> Self:
        """Return the same state, with another amount to add to the variances from now on."""
        other = copy.copy(self)
        other.added = added
        return other

    def _step(self, sums: Statistics, size: float, n_rows: float) -> None:
        kept, new = self.statistics.translated(sums.reference), _for_one_row(sums)
        kept *= 1 - size
        new *= size
        kept.accumulate(new)
        parameters, singular = self.structure.maximize(kept, self.parameters, added=self.added)
        self.singular = singular if singular >= 0 else None
        if self.singular is None:
            self.parameters = parameters
        self.statistics, self.n_steps = kept, self.n_steps + 1
        self.n_rows = (1 - size) * self.n_rows + n_rows

    def starving(self) -> list[tuple[int, float]]:
        """Components with fewer rows, of those that the statistics stand for, than a covariance needs, and how many they have."""
        rows = self.statistics.weight * self.n_rows
        least = max(self.structure.least_rows(self.statistics.n_features), 1)
        return [(int(k), float(rows[k])) for k in np.flatnonzero(rows < least)]


def _parts(blocks: Blocks, n_components: int) -> Iterator[Blocks]:
    """The rows in parts of `ROWS`, without parts that have no weight."""
    for start in range(0, blocks.n_rows, ROWS):
        weights = None if blocks.row_weights is None else blocks.row_weights[start:start + ROWS] * blocks.scale
        if weights is None or weights.any():
            yield Blocks(blocks.X[start:start + ROWS], n_components, weights)


def e_step(rows: Counted[Any], structure: Structure, parameters: Parameters, engine: Engine) -> Statistics:
    """The statistics of rows under given parameters."""
    shape = parameters.n_components, parameters.n_features
    passes = engine.passes(rows, CompleteRows(structure.moments, *shape, rows.size, structure.factors))
    sums, found = passes.sum(parameters.densities), Statistics(structure.moments, *shape)
    found.reference[...] = sums.reference
    found.accumulate(sums)
    return found


def _for_one_row(statistics: Statistics) -> Statistics:
    one = statistics.copy()
    one *= 1 / one.total_weight
    return one


def moments_of(mixture: Mixture) -> Statistics:
    """The moments of imaginary rows that a mixture would fit exactly, with a weight of one in all."""
    statistics = Statistics(Kind.FULL, mixture.n_components, mixture.n_features)
    statistics.reference[...], statistics.weight[...] = mixture.means, mixture.weights
    statistics.second[...] = mixture.weights[:, None, None] * mixture.covariances
    statistics.total_weight = 1.0
    return statistics


class _Relevance:
    """The prior of an adaptation: for each component as many imaginary rows as the relevance factor, with its present moments."""

    def __init__(self, mixture: Mixture, factor: float) -> None:
        self.mixture, self.factor = mixture, factor

    def statistics(self, reference: NDArray[np.float64], kind: Kind) -> Statistics:
        mixture, s = self.mixture, Statistics(Kind.FULL, *reference.shape)
        s.reference[...], s.weight[...] = mixture.means, self.factor
        s.second[...] = self.factor * mixture.covariances
        return s.of_kind(kind).translated(reference)

    def log_density(self, mixture: Mixture) -> float:
        raise NotImplementedError("an adaptation is a single M step, which does not need the density of its prior")


def adapted(mixture: Mixture, statistics: Statistics, factor: float, *, weights: bool, covariances: bool) -> Mixture:
    """
    Adapt a mixture to rows by maximum a posteriori: μ̂_k = α_k x̄_k + (1 − α_k) μ_k with α_k = n_k / (n_k + r).

    Parameters
    ----------
    mixture : Mixture
    statistics : Statistics
        Those of the rows under the mixture.
    factor : float
        r, the relevance factor.
    weights, covariances : bool
        Whether these are adapted too.

    Returns
    -------
    Mixture

    Raises
    ------
    ValueError
        Where a covariance becomes singular.

    References
    ----------
    Reynolds, Quatieri and Dunn, "Speaker verification using adapted Gaussian mixture models", Digital Signal Processing 10 (2000).
    """
    structure = mixture.structure
    parameters, singular = structure.maximize(statistics, mixture._parameters, _Relevance(mixture, factor))
    if singular >= 0:
        raise ValueError(f"component {singular} would become singular: give a larger relevance_factor than {factor:g}, or more rows")
    n = statistics.weight * (statistics.total_weight / statistics.weight.sum())
    share = n / (n + factor)
    if weights:
        parameters.weights[...] = share * n / n.sum() + (1 - share) * mixture.weights
        parameters.weights[...] /= parameters.weights.sum()
    else:
        parameters.weights[...] = mixture.weights
    if not covariances:
        parameters.covariances[...] = mixture._parameters.covariances
    structure.factorize(parameters)
    return Mixture.from_parameters(parameters, structure)

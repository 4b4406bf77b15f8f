"""Starts for rows that are not in memory: one that is made from a sample, and those that the source has of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.estep import GivenLabels
from gaussmix._core.parameters import Parameters
from gaussmix._core.passes import Passes
from gaussmix.blocks import Blocks
from gaussmix.engines import Engine
from gaussmix.problem import Problem
from gaussmix.sources.rows import SourceRows
from gaussmix.starts.start import Responsibilities, Start, under_assignment
from gaussmix.statistics import Kind

__all__ = ["FromOwnLabels", "FromOwnResponsibilities", "OnSample"]


class OnSample:
    """
    A start that is made from some of the rows only.

    Parameters
    ----------
    start : Start
    sample : Blocks
    engine : Engine
        Makes the passes over the sample.
    """

    def __init__(self, start: Start, sample: Blocks, engine: Engine) -> None:
        self.start, self.sample, self.engine = start, sample, engine
        self.has_covariances = start.has_covariances

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        return self.start.begin(replace(problem, observations=self.sample, engine=self.engine), rng)


class _OwnLabels:
    """The assignment of each row to the component that the source names."""

    means: NDArray[np.float64] | None = None

    def __init__(self, rows: SourceRows) -> None:
        self.rows = rows.with_own_labels()

    def passes(self, problem: Problem, kind: Kind) -> Passes:
        return problem.engine.passes(self.rows, GivenLabels(kind, *problem.shape, self.rows.size))


class FromOwnLabels:
    """
    Start from the component that the source names for every row.

    Parameters
    ----------
    rows : SourceRows
    """

    has_covariances = True

    def __init__(self, rows: SourceRows) -> None:
        self.rows = rows

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        return under_assignment(problem, _OwnLabels(self.rows))


class FromOwnResponsibilities:
    """
    Start from the responsibilities that the source has for every row.

    Parameters
    ----------
    rows : SourceRows
    """

    has_covariances = True

    def __init__(self, rows: SourceRows) -> None:
        self.rows = rows

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        rows = self.rows.with_own_responsibilities()
        shares = rows.shares
        assert shares is not None
        return under_assignment(replace(problem, observations=rows), Responsibilities(lambda block: shares.pop(block.index)))

"""Random starts of EM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.estep import Block
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks
from gaussmix.engines import Engine
from gaussmix.problem import Problem
from gaussmix.starts.kmeans import lower_to, rows_of
from gaussmix.starts.start import Responsibilities, at_rows, in_memory, under_assignment

__all__ = ["FromRandomResponsibilities", "FromRandomRows", "drawn", "random_responsibilities", "random_rows"]


class FromRandomRows:
    """Rows as means, drawn by sample weight, each different from those before it as long as there are such rows."""

    has_covariances = False

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        return at_rows(problem, *random_rows(in_memory(problem), problem.n_components, rng, problem.engine))


def random_rows(blocks: Blocks, n_components: int, rng: np.random.Generator, engine: Engine) -> tuple[NDArray[np.float64], float]:
    """The rows of `FromRandomRows`, shape (K, D), and the inertia around them."""
    closest = np.full(blocks.n_rows, np.inf)
    rows: list[int] = []
    for uniform in rng.random(n_components):
        new: NDArray[Any] = closest > 0
        if blocks.row_weights is not None:
            new = np.multiply(new, blocks.row_weights)
        if not new.any():  # fewer distinct rows than components
            new = np.ones(blocks.n_rows) if blocks.row_weights is None else blocks.row_weights
        rows.append(drawn(new, uniform))
        inertia = lower_to(blocks, engine, rows_of(blocks, rows[-1:]), closest)
    return rows_of(blocks, rows), inertia


def drawn(masses: NDArray[Any], uniform: float) -> int:
    """Where the cumulative mass, as a part of the whole, first exceeds a number from 0 to 1."""
    cumulative = np.cumsum(masses, dtype=np.float64)
    last = np.searchsorted(cumulative, cumulative[-1])  # that has mass; a product may be rounded up to the whole
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), last))


class FromRandomResponsibilities:
    """Start from random responsibilities."""

    has_covariances = True

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        return under_assignment(problem, random_responsibilities(in_memory(problem), problem.n_components, rng))


def random_responsibilities(blocks: Blocks, n_components: int, rng: np.random.Generator) -> Responsibilities:
    """
    Draw uniform random numbers, and divide those of a row by their sum. Each block has its own stream, so that none need be kept.

    A row of weight w > 1 has one draw, moved √w times nearer to the mean. Its mean and variance are those of an average of w rows.
    """
    seeds = rng.integers(0, 2**63, size=(len(blocks), 2))

    def of_block(block: Block) -> NDArray[np.float64]:
        share = np.random.default_rng(seeds[block.index]).random((len(block.rows.array), n_components))
        share /= share.sum(axis=1, keepdims=True)
        if block.row_weights is not None:
            share = 1 / n_components + (share - 1 / n_components) / np.sqrt(np.maximum(block.row_weights, 1))[:, None]
        return share

    return Responsibilities(of_block)

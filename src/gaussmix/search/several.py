"""A given number of fits, of which the best is kept."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from gaussmix.blocks import Counted
from gaussmix.em import Keeper, Report
from gaussmix.engines import Engine
from gaussmix.fitting import Fit, Fitting, Request
from gaussmix.starts import SingularStart

__all__ = ["Keeping", "Listener", "best_fit", "is_proper", "rank"]


class Listener(Protocol):
    """Is informed of the progress of a search, and may end it."""

    @property
    def stopped(self) -> bool: ...
    @property
    def report(self) -> Report | None: ...

    def begin(self, number: int, log_likelihood: float) -> None:
        """A start begins, from parameters that an earlier fit left at `log_likelihood`."""

    def end(self, fit: Fit | None) -> None:
        """A start ended with `fit`, or, where it is None, could not begin."""


class Keeping(Keeper, Protocol):
    """Keeps the state of several starts where it outlives the process."""

    def starts(self, fitting: Fitting, rng: np.random.Generator) -> tuple[int, Fit | None]:
        """Return the number of the start that is next or under way, and the best fit before it; `rng` takes on the state that it had."""

    def ended(self, number: int, best: Fit | None, failure: SingularStart | None) -> None:
        """A start has ended; which fit is the best so far, and why the last start that failed did."""

    @property
    def failure(self) -> SingularStart | None:
        """What `ended` was told last."""


def best_fit(request: Request, observations: Counted[Any], engine: Engine, rng: np.random.Generator, listener: Listener, *,
             n_init: int = 1, previous: float = -math.inf, checkpoint: Keeping | None = None) -> Fit:
    """
    Return the best fit of several starts. Proper optima come before others; among equals the log-likelihood decides.

    Parameters
    ----------
    request : Request
    observations : Counted
    engine : Engine
    rng : numpy.random.Generator
    listener : Listener
    n_init : int
        How many starts.
    previous : float
        As for `maximize_likelihood`.
    checkpoint : Keeping, optional
        Where it has kept the state of such a search, the search goes on from there.

    Returns
    -------
    Fit

    Raises
    ------
    SingularStart
        Where EM could not begin from any start.
    """
    fitting = Fitting(request, observations, engine)
    first, best = (0, None) if checkpoint is None else checkpoint.starts(fitting, rng)
    failure = None if checkpoint is None else checkpoint.failure
    for number in range(first, n_init):
        if listener.stopped:
            break
        listener.begin(number, previous)
        fit: Fit | None = None
        try:
            fit = fitting.fit(rng, previous=previous, report=listener.report, keeper=checkpoint)
        except SingularStart as error:
            failure = error
        listener.end(fit)
        if fit is not None and (best is None or rank(fit) > rank(best)):
            best = fit
        if checkpoint is not None and not listener.stopped:  # a fit that was stopped goes on from its last state
            checkpoint.ended(number, best, failure)
    if best is None:
        assert failure is not None
        raise failure
    return best


def is_proper(fit: Fit) -> bool:
    """Whether no component of a fit is spurious or has collapsed."""
    return fit.collapsed is None and not fit.spurious


def rank(fit: Fit) -> tuple[bool, int, float]:
    """Return a value that is greater for a better fit: proper before spurious before collapsed, and then by the log-likelihood."""
    return fit.collapsed is None, -len(fit.spurious), fit.log_likelihood

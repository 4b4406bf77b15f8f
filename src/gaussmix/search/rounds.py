"""A search for the best optimum, in rounds that do not depend on each other. It ends when another round is unlikely to help."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np

from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks, Counted
from gaussmix.collapse import effective_rows
from gaussmix.em import Report
from gaussmix.engines import Engine, Threads
from gaussmix.fitting import Fit, Fitting, Request
from gaussmix.regularization import Regularization, regularization_for
from gaussmix.search.budget import Budget
from gaussmix.search.record import Optimum, Search, chance_of_better
from gaussmix.search.several import is_proper, rank
from gaussmix.search.swaps import swapped
from gaussmix.starts import STARTS, SingularStart
from gaussmix.starts.start import in_memory

__all__ = ["Listener", "best_optimum", "sought"]

# The kinds of starts, two of which a round begins with, in this order and over again. No kind is the best everywhere: k-means finds many
# clusters in many features, k-means++ and chance find overlapping ones, and which units are the right ones is not known.
KINDS = ("kmeans_standardized", "k-means++_whitened", "random", "kmeans", "k-means++", "random_from_data", "kmeans_whitened",
         "k-means++_standardized")
FIRST = 2
# A round ends after this many swaps for each component, none of which helped.
SWAPS = 12
# The search ends where the estimated chance that one more round finds a better optimum is less than this.
UNLIKELY = 0.03
# Every end that is kept is this close to its limit, in nats, or in each row as close as rounding allows. Ends that differ by less than
# twice this are the same optimum.
POLISHED = 0.1
CLOSEST = 1e-12
# Rounds are made in several threads where passes are short enough to be made without threads (`Blocks.at_once` is the number that takes
# some ten milliseconds), but long in comparison with what Python does for each start.
FEWEST_PASSES, MOST_PASSES = 2, 200
# Of more rows than this, each round searches in a sample of this many, and goes on with all rows from the best that it found there.
SAMPLE = 5_000


class Listener(Protocol):
    """Is informed of the progress of a search, and may end it."""

    @property
    def stopped(self) -> bool: ...
    @property
    def report(self) -> Report | None: ...

    def tried(self) -> None:
        """Another start has come to its end. Several threads may tell so."""

    def searched(self, n_starts: int, log_likelihood: float, times: int) -> None:
        """Another round is over; the best so far has this log-likelihood, and this many rounds ended there."""


def sought(request: Request) -> Request:
    """The request of a search. The accelerated algorithm follows every start to within 0.1 nats of its limit, or for `max_iter` E steps."""
    return replace(request, tol=POLISHED, stopping="distance", algorithm="accelerated")


def best_optimum(request: Request, observations: Blocks, engine: Engine, rng: np.random.Generator, listener: Listener,
                 budget: Budget) -> tuple[Fit, Search]:
    """
    Search for the best proper optimum.

    Parameters
    ----------
    request : Request
        As `sought` makes it. Its start is not used.
    observations : Blocks
    engine : Engine
    rng : numpy.random.Generator
        The result depends on its state, but not on the number of threads.
    listener : Listener
    budget : Budget

    Returns
    -------
    fit : Fit
    search : Search

    Raises
    ------
    SingularStart
        Where EM could not begin from any start.
    """
    task = _Task(request, observations, regularization_for(request.reg_covar, observations, engine), budget, rng, listener)
    alone = listener.report is not None or budget.starts < math.inf or not FEWEST_PASSES <= observations.at_once <= MOST_PASSES
    if isinstance(engine, Threads) and not alone:
        engine.each(task.numbers(), lambda _, number: _Round(task, number, Threads(1)).made(), task.add)
    else:
        for number in task.numbers():
            task.add(_Round(task, number, engine).made())
    return task.best, task.record()


class _Task:
    """A search: what its rounds share, and what they have found so far."""

    def __init__(self, request: Request, observations: Blocks, regularization: Regularization, budget: Budget, rng: np.random.Generator,
                 listener: Listener) -> None:
        self.request, self.observations, self.regularization = request, observations, regularization
        self.budget, self.listener = budget, listener
        self.seed = [int(part) for part in rng.integers(0, 2**63, size=2)]
        self.begun = time.perf_counter()
        self.ended_by = ""
        self.rounds: list[_Round] = []
        self._n_starts = 0

    def numbers(self) -> Generator[int]:
        """The numbers of the rounds, as long as there is reason for another one."""
        number = 0
        try:
            while not self.ended_by:
                yield number
                number += 1
        finally:  # also where an error ends the search, so that rounds in other threads do not go on
            self.ended_by = self.ended_by or "error"

    def left(self) -> float:
        """How many starts the budget has left for the next round."""
        return self.budget.starts - self._n_starts

    def spent(self, n_starts: int) -> str:
        """What ends the search in the middle of a round, after so many starts; empty where nothing does."""
        if self.listener.stopped:
            return "callback"
        if n_starts >= self.left():
            return "starts"
        return "time" if time.perf_counter() - self.begun >= self.budget.seconds else ""

    def add(self, made: _Round) -> None:
        """Add a round, after those of lower number, and decide whether the search ends. What comes later is not needed."""
        if self.ended_by:
            return
        self.rounds.append(made)
        self._n_starts += made.n_starts
        if made.best is None:  # not one start of any kind could begin
            assert made.failure is not None
            raise made.failure
        self.ended_by = self.spent(0) or ("chance" if self.request.n_components == 1 or self.chance < UNLIKELY else "")
        times = sum(_same(one.fit, self.best, self.observations) for one in self.rounds)
        self.listener.searched(self._n_starts, self.best.log_likelihood, times)

    @property
    def best(self) -> Fit:
        """The best fit so far."""
        return max((made.fit for made in self.rounds), key=rank)

    @property
    def chance(self) -> float:
        return chance_of_better([one.rounds for one in self.optima() if one.rounds])

    def optima(self) -> list[Optimum]:
        """The optima that rounds and their first starts ended in, the best first."""
        ends = [(fit, 0, 1) for made in self.rounds for fit in made.ends]
        ends += [(made.fit, int(made.complete), 0) for made in self.rounds]
        optima: list[tuple[Fit, int, int]] = []
        for fit, rounds, starts in sorted(ends, key=lambda end: rank(end[0]), reverse=True):
            if optima and _same(fit, optima[-1][0], self.observations):
                first, more_rounds, more_starts = optima[-1]
                optima[-1] = first, rounds + more_rounds, starts + more_starts
            else:
                optima.append((fit, rounds, starts))
        return [Optimum(fit.log_likelihood * self.observations.total_weight, is_proper(fit), rounds, starts) for fit, rounds, starts in optima]

    def record(self) -> Search:
        complete = [made for made in self.rounds if made.complete]
        return Search(self.optima(), len(complete), self._n_starts, sum(made.n_passes for made in self.rounds),
                      0.0 if self.request.n_components == 1 else self.chance, self.ended_by, time.perf_counter() - self.begun)


def _near(rows: Counted[Any]) -> float:
    """`POLISHED` as a difference of mean log-likelihoods. Rows are counted as for spurious optima, whatever their weights sum to."""
    return max(POLISHED / effective_rows(rows), CLOSEST)


def _same(fit: Fit, other: Fit, rows: Blocks) -> bool:
    """Whether two ends are the same optimum."""
    return rank(fit)[:2] == rank(other)[:2] and abs(fit.log_likelihood - other.log_likelihood) < 2 * _near(rows)


class _Round:
    """
    Two starts, the better of which is improved by swaps until none helps. It depends on its number only.

    Attributes
    ----------
    best : Fit or None
    ends : list of Fit
        Where the first starts ended; none where they were made in a sample of the rows.
    n_starts, n_passes : int
    complete : bool
        Whether nothing cut it short.
    failure : SingularStart or None
        Why a start could not begin.
    """

    def __init__(self, task: _Task, number: int, engine: Engine) -> None:
        self.task, self.engine, self.number = task, engine, number
        self.rng = np.random.default_rng([*task.seed, number])
        self.best: Fit | None = None
        self.ends: list[Fit] = []
        self.n_starts = self.n_passes = 0
        self.complete = False
        self.failure: SingularStart | None = None

    @property
    def fit(self) -> Fit:
        """The best fit, which there is unless every start failed."""
        assert self.best is not None
        return self.best

    def made(self) -> Self:
        """Make the round."""
        rows = copy.copy(self.task.observations)  # another round may switch its own to a wider type
        if rows.n_rows <= SAMPLE or self.task.left() < 2:
            self._search(rows, kept=0)
            return self
        self._search(rows.sample(SAMPLE, self.rng, self.task.request.n_components), kept=1)
        self.ends = []
        if self.best is not None:
            begun, self.best = self.best.parameters, None
            fitting = self._fitting(rows)
            self._keep(fitting.climb(begun, report=self._report()))
            self._follow(fitting)
        return self

    def _search(self, rows: Blocks, kept: int) -> None:
        """Starts and swaps; `kept` starts of the budget are for what comes after them."""
        self.kept = kept
        fitting = self._fitting(rows)
        self._first_starts(fitting)
        self.complete = self._swaps(fitting)
        self.kept = 0

    def _fitting(self, rows: Blocks) -> Fitting:
        request = replace(self.task.request, tol=_near(rows) * rows.total_weight)
        return Fitting(request, rows, self.engine, self.task.regularization)

    def _over(self) -> bool:
        return bool(self.task.ended_by or self.task.spent(self.n_starts + self.kept))

    def _first_starts(self, fitting: Fitting) -> None:
        """Follow a start of each of this round's kinds; of the other kinds too, as long as no start could begin."""
        for n in range(len(KINDS)):
            if self.best is not None and (n >= FIRST or self._over() or fitting.request.n_components == 1):
                break
            kind = KINDS[(FIRST * self.number + n) % len(KINDS)]
            try:
                self.ends.append(self._keep(fitting.fit(self.rng, report=self._report(), start=STARTS[kind])))
            except SingularStart as error:
                self.failure = error
                self.n_starts += 1

    def _swaps(self, fitting: Fitting) -> bool:
        """Swap components of the best fit until none of many swaps in a row helps; return whether nothing cut this short."""
        misses, K = 0, fitting.request.n_components
        self._follow(fitting)
        while (before := self.best) is not None and K > 1 and misses < SWAPS * K:
            if self._over():
                return False
            misses += 1
            begun = swapped(before, fitting.problem, in_memory(fitting.problem), self.rng)
            if begun is None:
                continue
            self._keep(fitting.climb(begun, report=self._report(), worth=before.log_likelihood if is_proper(before) else -math.inf))
            if rank(self.fit)[:2] > rank(before)[:2] or self.fit.log_likelihood > before.log_likelihood + _near(fitting.observations):
                self._follow(fitting)
                misses = 0
        return True

    def _follow(self, fitting: Fitting) -> None:
        """Go on from a proper fit that has not reached its limit, as from a start of its own, as long as that helps."""
        near = _near(fitting.observations)
        while (before := self.best) is not None and is_proper(before) and not before.converged and not self._over():
            after = self._keep(fitting.climb(before.parameters, report=self._report()))
            gain = after.log_likelihood - before.log_likelihood
            if not is_proper(after) or gain < -near:
                break
            self.best = after  # the same optimum, and nearer to it
            if gain < near:
                break

    def _keep(self, fit: Fit) -> Fit:
        """Count a fit, and keep it where it is the best."""
        self.task.listener.tried()
        self.n_starts += 1
        self.n_passes += fit.n_iter
        if self.best is None or rank(fit) > rank(self.best):
            self.best = fit
        return fit

    def _report(self) -> Report | None:
        """What listens to each iteration. Time is watched only where it is limited, as that takes a call of Python in each."""
        return self.task.listener.report if self.task.budget.seconds == math.inf else self._within_time

    def _within_time(self, iteration: int, log_likelihood: float, parameters: Parameters) -> bool:
        report = self.task.listener.report
        return bool(report is not None and report(iteration, log_likelihood, parameters)) or self.task.spent(0) == "time"

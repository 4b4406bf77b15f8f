"""
A search for the best optimum, in rounds that do not depend on each other, until another round is unlikely to help. Then the best optima
that they found are spliced, two at a time.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator
from dataclasses import replace
from itertools import combinations
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
from gaussmix.search.splices import spliced
from gaussmix.search.swaps import pushed, swapped
from gaussmix.starts import STARTS, SingularStart
from gaussmix.starts.start import in_memory

__all__ = ["Listener", "best_optimum", "sought"]

# The kinds of starts, two of which a round begins with, in this order and over again. No kind is the best everywhere: k-means finds many
# clusters in many features, k-means++ and chance find overlapping ones, and which units are the right ones is not known.
KINDS = ("kmeans_standardized", "k-means++_whitened", "random", "kmeans", "k-means++", "random_from_data", "kmeans_whitened",
         "k-means++_standardized")
FIRST = 2
# A round or a splice ends after this many swaps for each component, none of which helped.
SWAPS = 12
# How often the fit that a round or a splice would end with is pushed, and what comes of it improved, as long as it was a saddle.
PUSHES = 3
# The search ends where the estimated chance that one more round finds a better optimum is less than this.
UNLIKELY = 0.03
# Every end that is kept is this close to its limit, in nats, or in each row as close as rounding allows. Ends that differ by less than
# twice this are the same optimum.
POLISHED = 0.1
CLOSEST = 1e-12
# Rounds are made in several threads where passes are short enough to be made without threads (`Blocks.at_once` is the number that takes
# some ten milliseconds), but long in comparison with what Python does for each start.
FEWEST_PASSES, MOST_PASSES = 2, 200
# Of more rows than this, each round searches in a sample of this many, and goes on with all rows from the best that it found there. As
# clusters of few rows do not show in a sample, it also follows one start that is made from all rows.
SAMPLE = 5_000
AFTER_SAMPLE = 2  # how many climbs that makes
# After the rounds, the best of the different optima, as many as this, are spliced with each other, and with the better ones that come of
# it. Of more rows than a sample none are spliced, as that would take too long.
SPLICED = 12
# Where a compiled loop over a climb returns to Python after so few passes, a climb that is not needed any more is ended in the middle.
ENDED_AFTER = 20


class Listener(Protocol):
    """Is informed of the progress of a search, and may end it."""

    @property
    def stopped(self) -> bool: ...
    @property
    def report(self) -> Report | None: ...

    def tried(self) -> None:
        """Another start has come to its end. Several threads may tell so."""

    def searched(self, n_starts: int, log_likelihood: float, times: int) -> None:
        """Another round or splice is over; the best so far has this log-likelihood, and this many of them ended there."""


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
        while pairs := task.pairs():
            engine.each(task.drawn(pairs), lambda _, pair: _Splice(task, *pair, Threads(1)).made(), task.add_splice)
    else:
        for number in task.numbers():
            task.add(_Round(task, number, engine).made())
        while pairs := task.pairs():
            for pair in pairs:
                task.add_splice(_Splice(task, *pair, engine).made())
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
        self.splices: list[_Splice] = []
        self._different: list[Fit] = []  # the first fit that was found of each optimum
        self._paired: set[tuple[int, int]] = set()
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
        self._see(made.fit)

    def _see(self, fit: Fit) -> None:
        if not any(_same(fit, one, self.observations) for one in self._different):
            self._different.append(fit)
        times = sum(_same(one.best, self.best, self.observations) for one in (*self.rounds, *self.splices) if one.best is not None)
        self.listener.searched(self._n_starts, self.best.log_likelihood, times)

    def pairs(self) -> list[tuple[int, Fit, Fit, Fit]]:
        """
        Number the pairs of optima to splice next, each with the least of the best, which what comes of it should exceed.

        There are none where all have been spliced, or where something else than chance ended the search.
        """
        if self.ended_by != "chance" or self.observations.n_rows > SAMPLE:
            return []
        best = sorted(range(len(self._different)), key=lambda n: rank(self._different[n]), reverse=True)[:SPLICED]
        new = [pair for pair in combinations(best, 2) if pair not in self._paired]
        first = len(self._paired)
        self._paired.update(new)
        fits = self._different
        return [(first + n, fits[one], fits[other], fits[best[-1]]) for n, (one, other) in enumerate(new)]

    def drawn(self, pairs: list[tuple[int, Fit, Fit, Fit]]) -> Generator[tuple[int, Fit, Fit, Fit]]:
        """Yield pairs. Where an error comes between, splices in other threads do not go on."""
        try:
            yield from pairs
        except GeneratorExit:
            self.ended_by = "error"
            raise

    def add_splice(self, made: _Splice) -> None:
        """Add what came of two optima, after those of lower number."""
        if self.ended_by != "chance":
            return
        self.splices.append(made)
        self._n_starts += made.n_starts
        self.ended_by = self.spent(0) or "chance"
        if made.best is not None:
            self._see(made.best)

    @property
    def best(self) -> Fit:
        """The best fit so far."""
        return max((made.best for made in (*self.rounds, *self.splices) if made.best is not None), key=rank)

    @property
    def chance(self) -> float:
        return chance_of_better([one.rounds for one in self.optima() if one.rounds])

    def optima(self) -> list[Optimum]:
        """The optima that rounds, their first starts and splices ended in, the best first."""
        ends = [(fit, 0, 1, 0) for made in self.rounds for fit in made.ends]
        ends += [(made.fit, int(made.complete), 0, 0) for made in self.rounds]
        ends += [(made.best, 0, 0, 1) for made in self.splices if made.best is not None]
        optima: list[tuple[Fit, int, int, int]] = []
        for fit, rounds, starts, splices in sorted(ends, key=lambda end: rank(end[0]), reverse=True):
            if optima and _same(fit, optima[-1][0], self.observations):
                first, more_rounds, more_starts, more_splices = optima[-1]
                optima[-1] = first, rounds + more_rounds, starts + more_starts, splices + more_splices
            else:
                optima.append((fit, rounds, starts, splices))
        return [Optimum(fit.log_likelihood * self.observations.total_weight, is_proper(fit), *counts) for fit, *counts in optima]

    def record(self) -> Search:
        complete = [made for made in self.rounds if made.complete]
        return Search(self.optima(), len(complete), self._n_starts, sum(made.n_passes for made in (*self.rounds, *self.splices)),
                      0.0 if self.request.n_components == 1 else self.chance, self.ended_by, time.perf_counter() - self.begun)


def _near(rows: Counted[Any]) -> float:
    """`POLISHED` as a difference of mean log-likelihoods. Rows are counted as for spurious optima, whatever their weights sum to."""
    return max(POLISHED / effective_rows(rows), CLOSEST)


def _same(fit: Fit, other: Fit, rows: Blocks) -> bool:
    """Whether two ends are the same optimum."""
    return rank(fit)[:2] == rank(other)[:2] and abs(fit.log_likelihood - other.log_likelihood) < 2 * _near(rows)


def _worth(best: Fit | None) -> float:
    """The log-likelihood that a climb should promise to reach, where this is the best fit so far: any is welcome beside a spurious one."""
    return best.log_likelihood if best is not None and is_proper(best) else -math.inf


class _Trial:
    """
    Several climbs, the best of which is kept.

    Attributes
    ----------
    best : Fit or None
    n_starts, n_passes : int
    kept : int
        How many starts of the budget are for what comes after the present part of it.
    """

    def __init__(self, task: _Task, engine: Engine, *seed: int) -> None:
        self.task, self.engine = task, engine
        self.rng = np.random.default_rng([*task.seed, *seed])
        self.best: Fit | None = None
        self.n_starts = self.n_passes = self.kept = self.at_once = 0

    @property
    def fit(self) -> Fit:
        """The best fit, which there is where a start succeeded."""
        assert self.best is not None
        return self.best

    def _unwanted(self) -> bool:
        """Whether the search goes on without this trial."""
        raise NotImplementedError

    def _over(self) -> bool:
        """Whether the search ends before this trial makes another climb."""
        return self._unwanted() or bool(self.task.spent(self.n_starts + self.kept))

    def _fitting(self, rows: Blocks) -> Fitting:
        self.at_once = rows.at_once
        request = replace(self.task.request, tol=_near(rows) * rows.total_weight)
        return Fitting(request, rows, self.engine, self.task.regularization)

    def _improve(self, fitting: Fitting) -> bool:
        """Swap components of the best fit, then push it, as long as it rises; return whether nothing cut this short."""
        complete = self._swaps(fitting)
        for n in range(PUSHES):
            if not complete or not self._push(fitting):
                break
            if n < PUSHES - 1:
                complete = self._swaps(fitting)
        return complete

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
            self._keep(fitting.climb(begun, report=self._report(), worth=_worth(before)))
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
            if gain < -near:
                break
            self.best = after  # nearer to the limit, even where this turns out to be a spurious optimum
            if gain < near:
                break

    def _push(self, fitting: Fitting) -> bool:
        """Push the best fit, and return whether it did not come back but rose: then it was a saddle, and the best is where it went."""
        before = self.best
        if before is None or not is_proper(before) or fitting.request.n_components == 1 or self._over():
            return False
        begun = pushed(before, fitting.problem, self.rng)
        if begun is None:
            return False
        after = self._keep(fitting.climb(begun, report=self._report()))
        rose = after.log_likelihood > before.log_likelihood + _near(fitting.observations)
        if rose:
            self.best = after
            self._follow(fitting)
        return rose

    def _keep(self, fit: Fit) -> Fit:
        """Count a fit, and keep it where it is the best."""
        self.task.listener.tried()
        self.n_starts += 1
        self.n_passes += fit.n_iter
        if self.best is None or rank(fit) > rank(self.best):
            self.best = fit
        return fit

    def _report(self) -> Report | None:
        """
        What listens to each iteration.

        The end of the search is watched only where it may come early in a climb, as that takes a call of Python in each iteration.
        """
        watched = self.task.budget.seconds < math.inf or self.at_once <= ENDED_AFTER
        return self._watched if watched else self.task.listener.report

    def _watched(self, iteration: int, log_likelihood: float, parameters: Parameters) -> bool:
        report = self.task.listener.report
        return bool(report is not None and report(iteration, log_likelihood, parameters)) or self._unwanted() or self.task.spent(0) == "time"


class _Round(_Trial):
    """
    Two starts, the better of which is improved by swaps until none helps. It depends on its number only.

    Attributes
    ----------
    ends : list of Fit
        Where the first starts ended; none where the round searched in a sample of the rows.
    complete : bool
        Whether nothing cut it short.
    failure : SingularStart or None
        Why a start could not begin.
    """

    def __init__(self, task: _Task, number: int, engine: Engine) -> None:
        super().__init__(task, engine, number)
        self.number = number
        self.ends: list[Fit] = []
        self.complete = False
        self.failure: SingularStart | None = None

    def made(self) -> Self:
        """Make the round."""
        rows = copy.copy(self.task.observations)  # another round may switch its own to a wider type
        K = self.task.request.n_components
        if rows.n_rows <= SAMPLE or K == 1 or self.task.left() <= AFTER_SAMPLE:
            self._search(self._fitting(rows))
        else:
            self.kept = AFTER_SAMPLE
            self._search(self._fitting(rows.sample(SAMPLE, self.rng, K)))
            self.kept = 0
            self._go_on(self._fitting(rows))
        return self

    def _search(self, fitting: Fitting) -> None:
        """Starts and swaps."""
        for n in range(FIRST):
            if n == 0 or fitting.request.n_components > 1 and not self._over():
                self._start(fitting, FIRST * self.number + n)
        self.complete = self._improve(fitting)

    def _go_on(self, fitting: Fitting) -> None:
        """Go on with all rows from the best that was found in a sample of them, and follow a start that is made from all."""
        in_sample, self.best = self.best, None
        if in_sample is not None:
            self._keep(fitting.climb(in_sample.parameters, report=self._report()))
            self._follow(fitting)
        if self.best is None or not self._over():
            self._start(fitting, self.number, worth=_worth(self.best))
            self._follow(fitting)
        self.ends = []  # those in the sample had other log-likelihoods, and the last start may have been given up
        self.complete = self.complete and self.best is not None and not self.best.stopped

    def _start(self, fitting: Fitting, number: int, worth: float = -math.inf) -> None:
        """Follow a start of the kind with a number; of the next kinds, as long as no start could begin."""
        for n in range(len(KINDS)):
            try:
                start = STARTS[KINDS[(number + n) % len(KINDS)]]
                self.ends.append(self._keep(fitting.fit(self.rng, report=self._report(), start=start, worth=worth)))
                return
            except SingularStart as error:
                self.failure = error
            if self.best is not None:
                return

    def _unwanted(self) -> bool:
        return bool(self.task.ended_by)


class _Splice(_Trial):
    """
    Components of two optima, put together in two ways. The better is improved as in a round, and kept as `best`, where it is better than
    a third optimum.
    """

    def __init__(self, task: _Task, number: int, one: Fit, other: Fit, least: Fit, engine: Engine) -> None:
        super().__init__(task, engine, number, 1)
        self.one, self.other, self.least = one, other, least

    def made(self) -> Self:
        """Make the splice."""
        try:
            self._make()
        except BaseException:
            self.task.ended_by = "error"  # also when all pairs have been drawn, so that splices in other threads do not go on
            raise
        return self

    def _make(self) -> None:
        rows = copy.copy(self.task.observations)
        fitting = self._fitting(rows)
        for near, far in ((self.one, self.other), (self.other, self.one)):
            begun = None if self._over() else spliced(near, far, fitting.problem, rows, self.rng)
            if begun is not None:
                self._keep(fitting.climb(begun, report=self._report(), worth=_worth(self.least)))
        self._leave_out()
        self._improve(fitting)
        self._leave_out()  # it may have gone on to a spurious optimum

    def _leave_out(self) -> None:
        if self.best is not None and rank(self.best) <= rank(self.least):
            self.best = None

    def _unwanted(self) -> bool:
        return self.task.ended_by != "chance"

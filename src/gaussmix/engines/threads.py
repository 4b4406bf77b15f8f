"""The engine that uses the calling thread, or several threads of this process. The sums are the same, bit for bit."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import Block, EStep, Workspace
from gaussmix._core.passes import OneBlock, Passes
from gaussmix._core.statistics import Statistics
from gaussmix.blocks import Observations

__all__ = ["Threads", "available_cpus", "in_worker_process", "resolve_threads"]

_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")  # the result of the work on one piece


def available_cpus() -> int:
    """Return how many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_worker_process() -> bool:
    """Whether multiprocessing, concurrent.futures or joblib started this process. Other processes then use the other CPUs."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and bool(process.current_process().name != "MainProcess")


def resolve_threads(n_threads: int | str | None = None) -> int:
    """
    Return how many threads to use.

    Parameters
    ----------
    n_threads : int, optional
        None means the value of `GAUSSMIX_NUM_THREADS` if it is set, else the number of CPUs that this process may run on. In a
        worker process of multiprocessing, concurrent.futures or joblib, None means one.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        Where the number, or the variable, is not a whole number of at least 1.

    Examples
    --------
    >>> resolve_threads(3)
    3
    """
    name = "n_threads"
    if n_threads is None:
        name, n_threads = "the environment variable GAUSSMIX_NUM_THREADS", os.environ.get("GAUSSMIX_NUM_THREADS")
        if not n_threads:
            return 1 if in_worker_process() else available_cpus()
    try:
        number = int(n_threads)
        if number != float(n_threads) or number < 1:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number of at least 1, not {n_threads!r}") from None
    return number


class _Budget:
    """
    Counts the working threads of this process, so that fits in several Python threads share the CPUs.

    The calling thread always works. Helpers are lent for one pass, as many as there are idle CPUs. The sums do not depend on the
    number of threads, so the results do not depend on which other threads work.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._working = 0

    def enter(self) -> None:
        """Count the calling thread as working."""
        with self._lock:
            self._working += 1

    def borrow(self, wanted: int, limit: int) -> int:
        """Lend helpers for one pass: up to `wanted`, while at most `limit` threads work."""
        with self._lock:
            lent = max(0, min(wanted, limit - self._working))
            self._working += lent
            return lent

    def leave(self, count: int = 1) -> None:
        with self._lock:
            self._working -= count


_budget = _Budget()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_budget.reset)  # the other threads of the parent do not exist in the child


class Threads:
    """
    Maps a function over blocks with up to `n_threads` threads, one of them the caller's.

    It is a context manager. The other threads are started when they are first needed, and have ended when the `with` block is
    left. While other fits work in this process, a pass uses only the CPUs that they leave idle. Where the operating system
    refuses another thread, the pass uses those that exist.

    Parameters
    ----------
    n_threads : int
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._limit = max(n_threads, available_cpus())
        self._helpers: list[_Helper] = []

    def __enter__(self) -> Self:
        _budget.enter()
        return self

    def __exit__(self, *exception: object) -> None:
        _budget.leave()
        for helper in self._helpers:
            helper.end()
        self._helpers = []

    def each(self, pieces: Iterable[_Piece], compute: Callable[[int, _Piece], _Result], add: Callable[[_Result], object]) -> None:
        """
        Call `add(compute(worker, piece))` for every piece, `add` in the order of the pieces.

        A worker may begin another piece before the turn of its last result has come, so that workers seldom wait for each other.
        At most two results for each worker exist at a time. The first exception, which may be Ctrl-C, stops all workers at the
        end of their pieces.

        Parameters
        ----------
        pieces : iterable
            Only one worker at a time draws from it. Where it has a length, there are no more workers than pieces.
        compute : callable
            Different workers may run it at the same time.
        add : callable
            Runs for one result at a time, in order.
        """
        wanted = self.n_workers(pieces) - 1
        lent = _budget.borrow(wanted, self._limit) if wanted > 0 else 0
        helpers, drawn = self._started(lent), iter(pieces)
        try:
            if not helpers:
                for piece in drawn:
                    add(compute(0, piece))
            else:
                _Turns(drawn, compute, add).taken_by(helpers)
        finally:
            _budget.leave(lent)
            if isinstance(drawn, Generator):
                drawn.close()  # which an error's traceback would keep open

    def n_workers(self, pieces: Iterable[object]) -> int:
        """Return how many threads may work on these pieces at once."""
        return min(self.n_threads, len(pieces)) if isinstance(pieces, Sized) else self.n_threads

    def passes(self, observations: Observations[Any], estep: EStep) -> Passes:
        """See `Engine.passes`. A sequence of one piece is for the calling thread, without the GIL; other pieces are mapped over threads."""
        pieces = observations.pieces()
        if not isinstance(pieces, Sequence) or len(pieces) != 1:
            return _ThreadedPasses(self, observations, estep, self.n_workers(pieces))

        def only_block() -> Block:
            only, = observations.pieces()
            return observations.block(only)

        def widened(densities: Densities) -> Block:
            observations.widen_for(densities)
            return only_block()

        return OneBlock(only_block(), estep, observations.at_once, observations.limit, widened)

    def _started(self, wanted: int) -> list[_Helper]:
        """Return this many helpers, or as many as could be started."""
        while len(self._helpers) < wanted:
            try:
                self._helpers.append(_Helper(len(self._helpers) + 1))
            except RuntimeError:  # the operating system has no room for another thread
                break
        return self._helpers[:wanted]


class _ThreadedPasses(Passes):
    """Passes over pieces of observations. The pieces are mapped over threads, and their results added in order."""

    def __init__(self, threads: Threads, observations: Observations[Any], estep: EStep, n_workers: int) -> None:
        super().__init__(estep, observations.at_once)
        self.threads, self.observations, self.n_workers = threads, observations, n_workers
        shape = estep.kind, estep.n_components, estep.n_features
        self.parts = [Statistics(*shape) for _ in range(2 * self.n_workers)]
        self._work_in(observations.size)

    def _work_in(self, size: int) -> None:
        """Make the E step and the workspaces for the number type in which the observations are worked on."""
        if self.estep.size != size:
            self.estep = self.estep.with_size(size)
        shape = self.estep.n_components, self.estep.n_features
        self.workspaces = [Workspace(*shape, size) for _ in range(self.n_workers)]

    def sum_blocks(self, densities: Densities, about: Densities | None) -> None:
        self.observations.widen_for(densities)
        if self.estep.size != self.observations.size:
            self._work_in(self.observations.size)
        self.estep.prepare(densities, about)
        self.total.clear()
        self.total.reference[...] = self.estep.reference_points
        free, seen = list(self.parts), False  # the Statistics that were added last are still in the cache

        def compute(worker: int, piece: Any) -> Statistics:
            part = free.pop()
            part.clear()
            self.estep.accumulate(self.observations.block(piece), part, self.workspaces[worker])
            return part

        def add(part: Statistics) -> None:
            nonlocal seen
            seen = True
            self.total.accumulate(part)
            free.append(part)

        self.threads.each(self.observations.pieces(), compute, add)
        if not seen:
            raise ValueError("the observations gave no block in this pass: a source must give all its blocks anew in each")

    def row(self, n: int) -> NDArray[Any]:
        return self.observations.row(n)


class _Helper:
    """A thread that runs the tasks that it is given, one after the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._tasks: queue.SimpleQueue[Callable[[int], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"gaussmix_{number}")
        self._thread.start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task(self.number)
            del task  # which holds what a pass works on

    def give(self, task: Callable[[int], object]) -> None:
        self._tasks.put(task)

    def end(self) -> None:
        self._tasks.put(None)
        self._thread.join()


class _Turns:
    """
    One pass. Pieces are taken in order, and results are added in order. The worker that has the next result adds it.

    The calling thread is worker 0. The first exception of any worker is raised when all workers have ended.
    """

    def __init__(self, pieces: Iterator[Any], compute: Callable[[int, Any], Any], add: Callable[[Any], object]) -> None:
        self.source, self.pieces, self.compute, self.add = pieces, enumerate(pieces), compute, add
        self.taken = self.added = self.helping = 0
        self.results: dict[int, Any] = {}
        self.error: BaseException | None = None
        self.condition = threading.Condition()

    def taken_by(self, helpers: list[_Helper]) -> None:
        """Make the pass, with the calling thread and these helpers."""
        self.most_alive = 2 * (len(helpers) + 1)
        try:
            for helper in helpers:
                helper.give(self.help)
                with self.condition:
                    self.helping += 1
            self.work(0)
        except BaseException as error:
            self.stop(error)
        finally:
            with self.condition:  # a helper that Ctrl-C left uncounted brings this below zero
                self.condition.wait_for(lambda: self.helping <= 0)
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # the traceback of the error refers to this object

    def help(self, worker: int) -> None:
        try:
            self.work(worker)
        except BaseException as error:
            self.stop(error)
        with self.condition:
            self.helping -= 1
            self.condition.notify_all()

    def work(self, worker: int) -> None:
        while (turn := self.take()) is not None:
            number, piece = turn
            self.bring(number, self.compute(worker, piece))

    def take(self) -> tuple[int, Any] | None:
        """Wait for the turn of the next piece; return it and its number, or None where there are no more."""
        with self.condition:
            self.condition.wait_for(lambda: self.error is not None or self.taken - self.added < self.most_alive)
            turn = next(self.pieces, None) if self.error is None else None
            self.taken += turn is not None
            return turn

    def bring(self, number: int, result: Any) -> None:
        with self.condition:
            self.results[number] = result
            while self.added in self.results and self.error is None:
                self.add(self.results.pop(self.added))
                self.added += 1
                self.condition.notify_all()

    def stop(self, error: BaseException) -> None:
        """Let every worker end after its present block."""
        with self.condition:
            self.error = self.error if self.error is not None else error
            if isinstance(self.source, Generator):
                self.source.close()  # which tells those who work on long pieces that they are in vain
            self.condition.notify_all()

"""Who maps the blocks: the calling thread, or several threads. The sums come out the same, bit for bit."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor


def available_cpus():
    """How many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_worker_process():
    """Whether multiprocessing, concurrent.futures or joblib started this process: its siblings have the other CPUs."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.current_process().name != "MainProcess"


def resolve_threads(n_threads=None):
    """
    How many threads to use.

    Parameters
    ----------
    n_threads : int, optional
        None means `GAUSSMIX_NUM_THREADS` if set, else the CPUs that this process may run on; in a worker process of
        multiprocessing, concurrent.futures or joblib, one.

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
    How many threads of this process are at work, so that fits in several Python threads share the CPUs.

    Whoever calls always works; helpers are lent for one pass, as many as there are idle CPUs. As the sums do not depend
    on the number of threads, neither do the results depend on who else is at work.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        self._lock = threading.Lock()
        self._working = 0

    def enter(self):
        """Count the caller in."""
        with self._lock:
            self._working += 1

    def borrow(self, wanted, limit):
        """Helpers for one pass: up to `wanted`, while no more than `limit` threads are at work."""
        with self._lock:
            lent = max(0, min(wanted, limit - self._working))
            self._working += lent
            return lent

    def leave(self, count=1):
        with self._lock:
            self._working -= count


_budget = _Budget()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_budget.reset)  # the parent's other threads do not exist there


class Threads:
    """
    Maps a function over blocks with up to `n_threads` threads, one of them the caller's.

    A context manager: the other threads are started when first needed and have ended when the block is left. While
    other fits are at work in this process, a pass takes only the CPUs that they leave idle.

    Parameters
    ----------
    n_threads : int
    """

    def __init__(self, n_threads):
        self.n_threads = n_threads
        self._limit = max(n_threads, available_cpus())
        self._pool = None

    def __enter__(self):
        _budget.enter()
        return self

    def __exit__(self, *exception):
        _budget.leave()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def each(self, n_blocks, compute, add):
        """
        Call `add(block, compute(worker, block))` for every block, `add` in block order.

        A worker may be a block ahead of its turn to add, so that workers seldom wait for each other; no more results than two
        for each worker are alive. The first exception, Ctrl-C among them, stops all workers at the end of their block.

        Parameters
        ----------
        n_blocks : int
        compute : callable
            Runs at the same time for different workers.
        add : callable
            Runs for one block at a time, in order.
        """
        wanted = min(self.n_threads, n_blocks) - 1
        helpers = _budget.borrow(wanted, self._limit) if wanted > 0 else 0
        if not helpers:
            for block in range(n_blocks):
                add(block, compute(0, block))
            return
        try:
            self._each_with(helpers, n_blocks, compute, add)
        finally:
            _budget.leave(helpers)

    def _each_with(self, helpers, n_blocks, compute, add):
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads - 1, thread_name_prefix="gaussmix")
        queue = _Turns(n_blocks, 2 * (helpers + 1))
        others = []
        try:
            for worker in range(1, helpers + 1):
                others.append(self._pool.submit(queue.work, worker, compute, add))
            queue.work(0, compute, add)
        except BaseException:
            queue.stop()
            raise
        finally:
            errors = [other.exception() for other in others]
        for error in errors:
            if error is not None:
                raise error


class _Turns:
    """Blocks are taken in order, and their results added in order, by whichever worker brings the one that is missing."""

    def __init__(self, n_blocks, most_alive):
        self.n_blocks, self.most_alive = n_blocks, most_alive
        self.taken = self.added = 0
        self.results = {}
        self.stopped = False
        self.condition = threading.Condition()

    def take(self):
        with self.condition:
            self.condition.wait_for(lambda: self.stopped or self.taken - self.added < self.most_alive)
            if self.stopped or self.taken == self.n_blocks:
                return None
            self.taken += 1
            return self.taken - 1

    def bring(self, block, result, add):
        with self.condition:
            self.results[block] = result
            while self.added in self.results and not self.stopped:
                add(self.added, self.results.pop(self.added))
                self.added += 1
                self.condition.notify_all()

    def work(self, worker, compute, add):
        try:
            while (block := self.take()) is not None:
                self.bring(block, compute(worker, block), add)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Let every worker end with the block that it is at."""
        with self.condition:
            self.stopped = True
            self.condition.notify_all()

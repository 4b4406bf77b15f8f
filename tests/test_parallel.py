"""Fits in several Python threads and processes: they share the CPUs, and change no bit."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from gaussmix import GaussianMixture
from gaussmix.engines import Threads, available_cpus, resolve_threads

X = np.random.default_rng(0).normal(size=(120_000, 3)) + np.repeat([[0.0], [5.0]], 60_000, axis=0)  # some blocks


def means(seed, n_threads=None):
    return GaussianMixture(3, random_state=seed, n_threads=n_threads, max_iter=5, tol=0.1).fit(X).means_


class Gauge:
    """How many threads compute at the same time."""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __call__(self, worker, block):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.002)
        with self.lock:
            self.now -= 1


def run(gauge, n_threads, blocks=40):
    order = []
    with Threads(n_threads) as threads:
        threads.each(range(blocks), lambda worker, block: gauge(worker, block) or block, order.append)
    assert order == list(range(blocks))


def test_a_lone_pass_uses_all_threads_that_it_may():
    gauge = Gauge()
    run(gauge, 5)
    assert gauge.most == 5  # asked for explicitly, more than there may be CPUs


def test_passes_side_by_side_share_the_cpus():
    gauge, n_callers = Gauge(), 6
    barrier = threading.Barrier(n_callers)

    def call():
        with Threads(available_cpus()) as threads:
            barrier.wait()  # all are at work
            for _ in range(5):
                threads.each(range(10), gauge, lambda result: None)
            barrier.wait()

    callers = [threading.Thread(target=call) for _ in range(n_callers)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert gauge.most <= max(n_callers, available_cpus())
    after = Gauge()
    run(after, 4)
    assert after.most == 4  # all that was lent has come back


def test_what_was_lent_comes_back_after_an_error():
    def fail(worker, block):
        raise KeyError(block)

    for _ in range(3):
        with pytest.raises(KeyError), Threads(4) as threads:
            threads.each(range(20), fail, lambda result: None)
    gauge = Gauge()
    run(gauge, 4)
    assert gauge.most == 4


def test_threads_change_no_bit():
    alone = [means(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(means, range(4))):
            assert_array_equal(one, other)
    for one, other in zip(alone, joblib.Parallel(4, backend="threading")(joblib.delayed(means)(seed) for seed in range(4))):
        assert_array_equal(one, other)


def test_worker_processes_take_one_thread_each():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(resolve_threads).result() == 1
    assert joblib.Parallel(2, backend="loky")(joblib.delayed(resolve_threads)() for _ in range(2)) == [1, 1]
    assert resolve_threads() == available_cpus()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_fits():
    """A forked child has neither the other thread nor the helpers lent to it. It can fit, with the same bits."""
    expected, stop, busy = means(0), threading.Event(), threading.Event()

    def keep_fitting():
        while not stop.is_set():
            GaussianMixture(2, random_state=1, n_threads=3, max_iter=2, tol=10.0).fit(X)
            busy.set()

    other = threading.Thread(target=keep_fitting)
    other.start()
    try:
        busy.wait()
        for _ in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    gauge = Gauge()
                    run(gauge, 4)
                    code = 0 if np.array_equal(means(0, n_threads=3), expected) and gauge.most == 4 else 2
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        other.join()

"""Threads: the same bits, no GIL held, a quick end on Ctrl-C, nothing left behind."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from direct import STRUCTURES, core_parameters, draw, e_step, random_mixture
from gaussmix import GaussianMixture, select
from gaussmix._core.densities import Kind
from gaussmix._core.estep import Block, GivenLabels, Rows, Workspace
from gaussmix._core.kmeans import Closest, Nearest, Potentials
from gaussmix.blocks import Blocks
from gaussmix.engines import Threads, available_cpus, resolve_threads
from gaussmix.starts import STARTS
from gaussmix.statistics import Statistics


pytestmark = pytest.mark.filterwarnings("ignore::gaussmix.ConvergenceWarning")  # as catch_warnings is not for threads


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return draw(rng, 250_003, *random_mixture(rng, 8, 2))


def fit(X, **options):
    weight = options.pop("sample_weight", None)
    return GaussianMixture(8, random_state=0, max_iter=2, tol=0, **options).fit(X, sample_weight=weight)


def same_bits(one, other):
    for name in ("weights_", "means_", "covariances_", "history_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_any_number_of_threads_gives_the_same_bits(X, structure, dtype):
    X = X.astype(dtype)
    weight = np.random.default_rng(1).uniform(0, 2, size=len(X))
    assert len(Blocks(X, 8).bounds) >= 4
    fits = [fit(X, covariance_type=structure, n_threads=n, sample_weight=weight) for n in (1, 2, 3, 7)]
    for other in fits[1:]:
        same_bits(fits[0], other)
        for name in ("predict", "predict_proba", "score_samples"):
            np.testing.assert_array_equal(getattr(fits[0], name)(X), getattr(other, name)(X))


@pytest.mark.parametrize("start", STARTS)
def test_every_start_gives_the_same_bits(X, start):
    same_bits(fit(X, init_params=start, n_threads=1), fit(X, init_params=start, n_threads=3))


def test_two_fits_at_once_are_two_fits_in_turn(X):
    halves = [X[:125_000], X[125_000:]]
    assert all(len(Blocks(half, 8).bounds) > 1 for half in halves)
    for n_threads in (1, 2):
        in_turn = [fit(half, n_threads=n_threads) for half in halves]
        with ThreadPoolExecutor(2) as pool:
            at_once = list(pool.map(lambda half: fit(half, n_threads=n_threads), halves))
        for one, other in zip(in_turn, at_once):
            same_bits(one, other)


@pytest.mark.parametrize("what", ["logpdf", "responsibilities", "classify"])
def test_one_mixture_answers_many_threads(X, what):
    answer = getattr(fit(X, n_threads=1).mixture_, what)
    parts = np.array_split(X, 5)
    expected = [answer(part, n_threads=1) for part in parts]
    for n_threads in (1, 3):
        with ThreadPoolExecutor(4) as pool:
            for found, part in zip(pool.map(lambda part: answer(part, n_threads=n_threads), 4 * parts), 4 * expected):
                np.testing.assert_array_equal(found, part)


def test_two_selections_at_once_are_two_in_turn(X):
    def table(half):
        chosen = select(half, (1, 3), ("full", "diag"), max_iter=3, random_state=0)
        return [(one.n_components, one.covariance_type, one.log_likelihood, one.bic) for one in chosen.candidates]

    halves = [X[:40_000], X[-40_000:]]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(table, halves)) == [table(half) for half in halves]


# The GIL.


def turns_within(work, wanted, calls):
    """Count how often this thread ran during calls of `work` by another thread, up to a number of turns or of calls. The other
    thread never releases the GIL between two statements, so that `work` itself must have released it."""
    inside, enough, turns = False, False, 0

    def run():
        nonlocal inside
        for _ in range(calls):
            inside = True
            work()
            inside = False
            if enough:
                break

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            turns += inside
            enough = turns >= wanted
            time.sleep(0.001)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    return turns


@pytest.mark.parametrize("what", ["expect", "evaluate", "labels", "nearest", "closest", "potentials"])
def test_one_call_into_the_core_lets_others_run(what):
    """A single call is some hundred milliseconds long: with the GIL held there would be no turn in it, or one as it begins."""
    n_rows, n_features, n_components = (240_000, 16, 40) if what in ("expect", "evaluate") else (1_600_000, 16, 40)
    data = np.broadcast_to(np.random.default_rng(0).normal(size=n_features), (n_rows, n_features))
    rows, labels = Rows(data), np.zeros(n_rows, np.int32)
    mixture = random_mixture(np.random.default_rng(0), n_components, n_features)
    parameters, block = core_parameters(Kind.FULL, *mixture), Block(rows, None, labels)
    space, closest = Workspace(n_components, n_features, 8), np.full(n_rows, np.inf)
    complete, shape = e_step(parameters, np.float64), (Kind.DIAG, n_components, n_features, 8)
    estep = {
        "expect": complete, "evaluate": complete, "labels": GivenLabels(*shape), "nearest": Nearest(*shape, labels.copy(), np.zeros(1, np.intp)),
        "closest": Closest(*shape, closest, np.zeros(1)), "potentials": Potentials(*shape, closest),
    }[what]
    estep.prepare(parameters.densities)
    statistics = Statistics(estep.kind, n_components, n_features)
    work = ((lambda: complete.evaluate(rows, closest, None, None, space)) if what == "evaluate" else
            (lambda: estep.accumulate(block, statistics, space)))
    assert turns_within(work, wanted=50, calls=10) >= 50


# Ctrl-C.

INTERRUPTED = """
import signal, threading
import numpy as np
from gaussmix import GaussianMixture
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background with SIGINT ignored
rng = np.random.default_rng(0)
X = rng.random(({n_rows}, 4))
model = GaussianMixture(20, tol=0, max_iter=10**9, init_params={start!r}, n_threads={n_threads}, random_state=0)
try:
    print("ready", flush=True)
    model.fit(X)
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), hasattr(model, "means_"), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n_rows, start", [(400, "random_from_data"), (1_000_000, "random_from_data"), (3_000_000, "kmeans")])
def test_ctrl_c_ends_a_fit(n_rows, start, n_threads):
    """One that would go on for years."""
    script = INTERRUPTED.format(n_rows=n_rows, start=start, n_threads=n_threads)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        late = threading.Timer(120, process.kill)
        late.start()
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.6)
            process.send_signal(signal.SIGINT)
            answer, errors = process.communicate()
        finally:
            late.cancel()
            process.kill()
    assert (process.returncode, answer, errors) == (0, "interrupted 1 False\n", "")


# The engine.


def test_results_are_added_in_order_and_few_are_alive():
    alive, most, order, lock = 0, 0, [], threading.Lock()

    def compute(worker, block):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        time.sleep(0.001 * (block * 7 % 5))
        return f"of {block}"

    def add(result):
        nonlocal alive
        block = int(result.removeprefix("of "))
        with lock:
            alive -= 1
        order.append(block)

    with Threads(4) as threads:
        for _ in range(3):
            threads.each(range(50), compute, add)
    assert order == 3 * list(range(50)) and most <= 8 and alive == 0


def test_no_block_is_taken_while_two_for_each_worker_wait_for_their_turn():
    """Where block 0 does not end, the other three of four workers stop after block 7."""
    taken, too_many = [], threading.Event()

    def compute(worker, block):
        taken.append(block)
        if len(taken) > 8:
            too_many.set()
        if block == 0:
            assert not too_many.wait(0.3)

    with Threads(4) as threads:
        threads.each(range(50), compute, lambda result: None)
    assert sorted(taken) == list(range(50))


def test_an_error_in_another_thread_is_raised_by_the_caller():
    helping = threading.Event()

    def compute(worker, block):
        if worker > 0:
            helping.set()
            raise ZeroDivisionError(f"of worker {worker}")
        helping.wait()

    with Threads(2) as threads, pytest.raises(ZeroDivisionError, match="of worker 1"):
        threads.each(range(10), compute, lambda result: None)


def test_workers_that_wait_for_their_turn_end_after_an_error():
    """The others are two blocks ahead and wait for block 0, which never comes."""
    ahead = threading.Barrier(2)

    def compute(worker, block):
        if block == 0:
            ahead.wait(60)
            time.sleep(0.05)  # for the other worker to begin to wait
            raise ZeroDivisionError("of block 0")
        if block == 3:
            ahead.wait(60)

    with Threads(2) as threads, pytest.raises(ZeroDivisionError, match="of block 0"):
        threads.each(range(50), compute, lambda result: None)


def test_the_first_error_is_the_one_that_is_raised():
    failed = threading.Event()

    def compute(worker, block):
        if block == 0:
            failed.wait(60)
            time.sleep(0.1)  # for the other worker to have told of its error
            raise ZeroDivisionError("the second")
        failed.set()
        raise ZeroDivisionError("the first")

    with Threads(2) as threads, pytest.raises(ZeroDivisionError, match="the first"):
        threads.each(range(10), compute, lambda result: None)


def test_helpers_that_were_started_rest_where_no_cpu_is_left_for_them():
    workers, most = set(), available_cpus() + 1
    with Threads(most) as threads, contextlib.ExitStack() as others:
        threads.each(range(100 * most), lambda worker, block: time.sleep(1e-4), lambda result: None)  # all are started
        for _ in range(most):  # so that one thread more is at work than may be
            others.enter_context(Threads(1))
        threads.each(range(100), lambda worker, block: workers.add(worker) or time.sleep(1e-3), lambda result: None)
    assert workers == {0}


def test_a_pass_that_has_ended_is_not_kept_alive():
    class Held:
        def __call__(self, worker, block):
            return self

    with Threads(3) as threads:
        held = Held()
        threads.each(range(10), held, lambda result: None)
        gone, held = weakref.ref(held), None
        for _ in range(1000):  # the other threads let go of it a moment later
            if gone() is None:
                break
            time.sleep(0.01)
        assert gone() is None


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("where", ["compute", "add"])
@pytest.mark.parametrize("kind", [ZeroDivisionError, MemoryError, KeyboardInterrupt, SystemExit])
def test_an_exception_stops_all_workers(n_threads, where, kind):
    before = threading.active_count()
    computed = []

    def compute(worker, block):
        computed.append(block)
        if where == "compute" and block == 5:
            raise kind("here")
        time.sleep(0.001)
        return block

    def add(block):
        if where == "add" and block == 5:
            raise kind("here")

    with pytest.raises(kind, match="here"), Threads(n_threads) as threads:
        threads.each(range(1000), compute, add)
    assert max(computed) <= 5 + 2 * n_threads
    assert threading.active_count() == before


def test_an_engine_goes_on_after_an_exception():
    def fail(worker, block):
        raise ZeroDivisionError

    with Threads(3) as threads:
        with pytest.raises(ZeroDivisionError):
            threads.each(range(10), fail, lambda result: None)
        added = []
        threads.each(range(10), lambda worker, block: block, added.append)
        assert added == list(range(10))


@pytest.mark.parametrize("n_blocks", [0, 1, 2])
def test_few_blocks(n_blocks):
    added, before = [], threading.active_count()

    def compute(worker, block):
        assert threading.active_count() - before < n_blocks  # no more threads than blocks
        return block

    with Threads(7) as threads:
        threads.each(range(n_blocks), compute, added.append)
    assert added == list(range(n_blocks))


def test_no_thread_is_left_behind(X):
    before = threading.active_count()
    fit(X, n_threads=4).predict(X)
    with pytest.raises(ValueError):
        fit(np.zeros((100_000, 2)), n_threads=4, reg_covar=0)
    assert threading.active_count() == before


def test_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("GAUSSMIX_NUM_THREADS", "5")
    assert resolve_threads() == 5 and resolve_threads(2) == 2 and resolve_threads(np.int64(3)) == 3
    for bad in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("GAUSSMIX_NUM_THREADS", bad)
        with pytest.raises(ValueError, match="GAUSSMIX_NUM_THREADS"):
            resolve_threads()
        with pytest.raises(ValueError, match="n_threads"):
            resolve_threads(bad)
    for empty in ("", None):
        monkeypatch.setenv("GAUSSMIX_NUM_THREADS", empty) if empty is not None else monkeypatch.delenv("GAUSSMIX_NUM_THREADS")
        assert resolve_threads() >= 1
    for bad in (float("nan"), float("inf"), [1], 0, -3):
        with pytest.raises(ValueError, match="n_threads"):
            resolve_threads(bad)

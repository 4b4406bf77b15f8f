"""Kernels under every instruction set of this machine, and the functions that they compute themselves."""

import os
import pickle
import subprocess
import sys

import mpmath
import numpy as np
import pytest

from direct import core_parameters, e_step
from gaussmix._core.densities import Kind
from gaussmix._core.estep import ISA, TILE, Block, Rows, Workspace, exp2_and_log, instruction_sets
from gaussmix.engines import available_cpus
from gaussmix.statistics import Statistics

FIT = """
import pickle, sys
import numpy as np
from gaussmix import GaussianMixture
from gaussmix._core.estep import ISA
rng = np.random.default_rng(0)
found = {"isa": ISA}
for dtype in (np.float32, np.float64):
    for D in (1, 2, 3, 4, 5, 8, 11, 16, 23, 24, 40):
        X = (rng.normal(size=(700, D)) + 3 * rng.integers(0, 3, 700)[:, None]).astype(dtype)
        for structure in ("full", "tied", "diag", "spherical"):
            gm = GaussianMixture(3, covariance_type=structure, init_params=np.arange(700) % 3, tol=0, max_iter=2)
            gm.fit(X)
            found[np.dtype(dtype).name, D, structure] = (gm.means_, gm.covariances_, gm.score_samples(X), gm.predict(X))
pickle.dump(found, sys.stdout.buffer)
"""


def fits_under(isa):
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", FIT], capture_output=True, env={**os.environ, "GAUSSMIX_ISA": isa})
    assert run.returncode == 0, run.stderr.decode()
    return pickle.loads(run.stdout)


def test_the_widest_instruction_set_is_in_use_unless_another_is_asked_for():
    assert ISA == (os.environ.get("GAUSSMIX_ISA") or instruction_sets()[-1])
    assert instruction_sets()[0] == "baseline"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_kernels_in_use_are_those_of_the_instruction_set(dtype):
    """Kernels differ in how many rows they take at a time: they drop a density after the first piece beyond the seventh row."""
    D, rows = 23, {"baseline": 3, "avx2": 4, "avx512": 8}[ISA]
    means = np.zeros((2, D))
    means[1] = 1e4
    parameters = core_parameters(Kind.FULL, np.full(2, 0.5), means, np.tile(np.eye(D), (2, 1, 1)))
    work = Workspace(2, D, np.dtype(dtype).itemsize)
    e_step(parameters, dtype).accumulate(Block(Rows(np.zeros((TILE, D), dtype))), Statistics(Kind.FULL, 2, D), work)
    taken = next(i for i in range(8, D) if (D - i) % rows == 0)
    assert work.spared == pytest.approx((1 - (taken / D) ** 2) / 2, rel=1e-12)  # all samples' density of the other component


@pytest.mark.parametrize("isa", instruction_sets())
def test_an_instruction_set_changes_results_by_rounding_only(isa):
    found, expected = fits_under(isa), fits_under(instruction_sets()[-1])
    assert found.pop("isa") == isa and expected.pop("isa") == instruction_sets()[-1]
    for key in expected:
        rtol = 1e-10 if key[0] == "float64" else 2e-3
        for mine, others in zip(found[key][:3], expected[key][:3]):
            np.testing.assert_allclose(mine, others, rtol=rtol, atol=rtol * np.abs(others).max(), err_msg=str(key))
        assert np.mean(found[key][3] != expected[key][3]) <= (0 if key[0] == "float64" else 0.01)


def test_an_unknown_instruction_set_is_refused():
    run = subprocess.run([sys.executable, "-c", "import gaussmix"], capture_output=True, text=True,
                         env={**os.environ, "GAUSSMIX_ISA": "avx1024"})
    assert run.returncode != 0
    assert f"GAUSSMIX_ISA must be one of {', '.join(instruction_sets())} on this machine, not 'avx1024'" in run.stderr


def ulps(found, exact, dtype):
    """How many units in the last place each result is off."""
    unit = np.spacing(np.array([abs(float(value)) for value in exact], dtype=dtype)).astype(np.float64)
    return np.array([abs(float(mpmath.mpf(float(f)) - e)) for f, e in zip(found, exact)]) / unit


@pytest.mark.parametrize("dtype, lowest", [(np.float64, -1076.5), (np.float32, -151.5)])
def test_exp2_is_right_to_two_units_in_the_last_place(dtype, lowest):
    """From 0 through the subnormal numbers to where it underflows to zero."""
    rng = np.random.default_rng(0)
    smallest = np.log2(float(np.finfo(dtype).tiny))
    x = np.concatenate([np.linspace(lowest, 0, 2500), rng.uniform(-1, 0, 800), rng.uniform(lowest, smallest, 800),
                        rng.uniform(-0.5, -0.45, 1500), [-0.46961927892330024, -0.469250053],  # where rounding is worst
                        -np.arange(1, 1100) / 2, -np.geomspace(1e-300 if dtype is np.float64 else 1e-38, 1, 200),
                        [0.0, smallest]]).astype(dtype)
    x = x[x >= lowest]
    found, _ = exp2_and_log(x)
    exact = [mpmath.power(2, mpmath.mpf(float(value))) for value in x]
    assert ulps(found, exact, dtype).max() <= 2
    whole = x == np.round(x)
    assert found[whole].tolist() == np.ldexp(dtype(1), x[whole].astype(int)).tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exp2_beyond_its_range_is_zero(dtype):
    found, _ = exp2_and_log(np.array([1200.0, 1e30, np.inf, np.nan], dtype))
    assert found.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log_is_right_to_two_units_in_the_last_place(dtype):
    """Of sums of responsibilities, 1 to K, and of all normal numbers besides."""
    rng = np.random.default_rng(1)
    info = np.finfo(dtype)
    x = np.concatenate([rng.uniform(1, 2, 1500), 1 + np.geomspace(info.eps, 1, 300), rng.uniform(1, 1000, 800),
                        2.0 ** rng.uniform(-100, 100, 800), [float(info.tiny), float(info.max), 0.5, 2.0]]).astype(dtype)
    _, found = exp2_and_log(x)
    exact = [mpmath.log(mpmath.mpf(float(value))) for value in x]
    nonzero = np.array([value != 0 for value in exact])
    assert ulps(found[nonzero], [value for value in exact if value != 0], dtype).max() <= 2
    assert exp2_and_log(np.array([1.0], dtype))[1].tolist() == [0.0]


BLAS_THREADS = """
import contextlib, os, time
import numpy as np
from scipy.linalg import blas
from gaussmix import GaussianMixture
from gaussmix._core.linalg import whiten

def running():
    # Of each thread but this one the nanoseconds that it has run, and whether it is about to go on.
    found = {}
    for task in os.listdir("/proc/self/task"):
        if int(task) != os.getpid():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
                clock, state = (open(f"/proc/self/task/{task}/{name}").read() for name in ("schedstat", "stat"))
                found[task] = int(clock.split()[0]), state.rpartition(")")[2].split()[0] == "R"
    return found

def asleep():
    # How long each of them has run, once all sleep.
    before, found = None, running()
    while found != before or any(ready for _, ready in found.values()):
        time.sleep(0.3)
        before, found = found, running()
    return {task: clock for task, (clock, _) in found.items()}

def woken(work):
    # The milliseconds that threads of BLAS run when this one does some work; its own helpers have come and gone.
    before = asleep()
    work()
    after = asleep()
    return sum(after[task] - before[task] for task in before.keys() & after.keys()) / 1e6

def fits():
    for matrix in matrices:
        whiten(matrix)
    estep.accumulate(Block(Rows(X)), statistics, Workspace(2, 300, 8))
    structure_named("full").m_step(1e-6, 300).maximize(statistics, parameters)
    for width in (2, 300):
        for options in (start if width == 300 else {}), {}, dict(covariance_type="tied"), dict(covariance_type="diag", n_init=2):
            gm = GaussianMixture(2, max_iter=2, random_state=0, **options).fit(X[:, :width])
            gm.predict(X[:, :width]), gm.score(X[:, :width]), gm.bic(X[:, :width])
    GaussianMixture(2, max_iter=2, means_init=X[:2, :2], precisions_init=[np.eye(2), np.eye(2)]).fit(X[:, :2])

X = np.random.default_rng(0).random((3000, 300))
start = dict(weights_init=[0.5, 0.5], means_init=X[:2], precisions_init=np.tile(np.eye(300), (2, 1, 1)))
matrices = [np.eye(n) * n + np.full((n, n), 0.25) for n in (16, 17, 33, 64, 129, 300, 500)]
from gaussmix._core.densities import Kind
from gaussmix._core.estep import Block, CompleteRows, Rows, Workspace
from gaussmix._core.statistics import Statistics
from gaussmix.structures import structure_named
parameters = structure_named("full").parameters(2, 300)
parameters.weights[:], parameters.means[:], parameters.covariances[:] = 0.5, X[:2], np.eye(300)
structure_named("full").factorize(parameters)
estep, statistics = CompleteRows(Kind.FULL, 2, 300, 8, Kind.FULL), Statistics(Kind.FULL, 2, 300)
estep.prepare(parameters.densities)
print(woken(fits), woken(lambda: X @ X.T), woken(lambda: blas.dgemm(1, matrices[-1], matrices[-1])))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="reads /proc")
@pytest.mark.skipif(available_cpus() == 1, reason="BLAS has no threads on one processor")
def test_no_fit_and_no_factorization_wakes_a_thread_of_blas():
    """cython_blas has no thread control. The calls are so small that OpenBLAS keeps them on the thread that makes them. A thread
    that OpenBLAS wakes spins for up to a tenth of a second, on a processor that the fit's own threads need. Its clock then shows
    tens of milliseconds, or several where the processors have more to do. A thread that is not woken does not run at all."""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", BLAS_THREADS], capture_output=True, text=True, timeout=600,
                         env={**os.environ, "OPENBLAS_NUM_THREADS": "4"})
    assert run.returncode == 0, run.stderr
    by_fits, by_a_product, by_scipys_product = map(float, run.stdout.split())
    assert min(by_a_product, by_scipys_product) > 1, "this BLAS has no threads to prove anything with"
    assert by_fits < 1

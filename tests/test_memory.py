"""Memory for a fit is the data plus a constant: measured in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import compiled

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

ALLOWED = 64  # MiB

SCRIPT = """
import warnings
import numpy as np
from gaussmix import GaussianMixture

def memory(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what))

n_rows, n_features, n_components, dtype, order, options = {arguments!r}
X = np.empty((n_rows, n_features), dtype, order)
rng = np.random.default_rng(0)
for start in range(0, n_rows, 10_000):  # no temporary array that would raise the peak beforehand
    part = X[start:start + 10_000]
    part[...] = rng.normal(size=part.shape) + 20 * (np.arange(len(part)) % n_components)[:, None]
small = X[:1000].copy()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    GaussianMixture(2, random_state=0, n_threads=2).fit(small)  # what is imported lazily is imported
    before = memory("VmRSS")
    GaussianMixture(n_components, max_iter=3, random_state=0, n_threads=2, **options).fit(X)
print((memory("VmHWM") - before) / 1024)
"""


def growth(*arguments):
    """The peak of a fit above what the process held before it, in MiB."""
    run = subprocess.run([sys.executable, "-c", SCRIPT.format(arguments=arguments)], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return float(run.stdout)


@pytest.mark.parametrize("dtype, order, options", [
    ("f8", "C", {"init_params": "random_from_data"}),
    ("f8", "C", {"init_params": "kmeans"}),
    ("f8", "F", {"init_params": "kmeans", "covariance_type": "diag"}),
    ("f4", "C", {"init_params": "kmeans"}),
])
def test_a_fit_of_two_million_rows(dtype, order, options):
    assert growth(2_000_000, 4, 8, dtype, order, options) <= ALLOWED


def test_many_components_make_no_array_of_rows_by_components():
    assert growth(200_000, 2, 200, "f8", "C", {"init_params": "random"}) <= ALLOWED


def test_float32_rows_that_the_compiled_interface_widened_are_freed():
    """A call in which float32 has not the range copies the rows: 22 kB each here."""
    X = (2.0**50 * np.random.default_rng(0).normal(size=(700, 4))).astype(np.float32)
    d = compiled.densities("full", np.ones(1), np.zeros((1, 4)), 2.0**100 * np.eye(4)[None])
    statistics, work = compiled.statistics("full", 1, 4), compiled.workspace(1, 4)

    def resident():
        return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024

    def use(times):
        for _ in range(times):
            compiled.checked(compiled.gm.e_step(d, *compiled.rows(X), None, statistics, work))

    use(100)
    before = resident()
    use(3000)
    assert resident() - before < 20

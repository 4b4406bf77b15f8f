"""Another project cimports the core: a small Cython module is compiled against the installed package, and run."""

import importlib.util
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import gaussmix
from gaussmix.statistics import Kind, Statistics

SOURCE = """
# cython: language_level=3
from gaussmix._core.linalg cimport cholesky, half_log_determinant, invert_lower
from gaussmix._core.densities cimport DIAG, Kind
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.statistics cimport Statistics
from gaussmix._core.estep cimport GM_TILE, Block, EStep, Rows, Workspace, tiles

def total_weight(Statistics s):
    cdef Py_ssize_t k
    cdef double total = 0
    with nogil:
        for k in range(s.n_components):
            total += s.s0[k]
    return total

def half_log_det(double[:, ::1] a):
    with nogil:
        failed = cholesky(&a[0, 0], a.shape[0])
        result = half_log_determinant(&a[0, 0], a.shape[0])
    return failed, result

def n_tiles(Rows rows):
    return tiles(rows), GM_TILE

def factorize(Parameters p):
    assert p.densities.kind == DIAG
    return p.densities.factorize_all(p.pi, p.sigma)

def accumulate(EStep estep, Block block, Statistics s, Workspace work):
    with nogil:
        estep.accumulate_all(block, s, work)
"""


@pytest.fixture(scope="module")
def downstream(tmp_path_factory):
    pytest.importorskip("Cython")
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if sys.platform == "win32" or shutil.which(compiler[0]) is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("downstream")
    package = Path(gaussmix.__file__).parent
    (folder / "downstream.pyx").write_text(SOURCE)
    subprocess.run([sys.executable, "-m", "cython", "-I", str(package.parent), "downstream.pyx"], cwd=folder, check=True)
    library = folder / ("downstream" + sysconfig.get_config_var("EXT_SUFFIX"))
    link = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    subprocess.run([*compiler, "-shared", "-fPIC", *link, "-I", sysconfig.get_path("include"), "-I", str(package / "_core"),
                    "-o", str(library), "downstream.c"], cwd=folder, check=True)
    spec = importlib.util.spec_from_file_location("downstream", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_statistics(downstream):
    s = Statistics(Kind.FULL, 3, 2)
    s.weight[...] = 1, 2, 4
    assert downstream.total_weight(s) == 7


def test_linear_algebra(downstream):
    a = np.array([[4.0, 0.0], [2.0, 10.0]])
    assert downstream.half_log_det(a) == (0, pytest.approx(np.log(2 * 3)))


def test_rows_and_parameters(downstream):
    from gaussmix._core.estep import TILE, Rows
    from gaussmix._core.parameters import Parameters
    assert downstream.n_tiles(Rows(np.zeros((TILE + 1, 2)))) == (2, TILE)
    p = Parameters(Kind.DIAG, 2, 3, (2, 3))
    p.weights[...], p.covariances[...] = 0.5, 1.0
    assert downstream.factorize(p) == -1


def test_an_e_step_that_was_not_prepared_is_an_error(downstream):
    from gaussmix._core.estep import Block, CompleteRows, Rows, Workspace
    arguments = Block(Rows(np.zeros((5, 2)))), Statistics(Kind.FULL, 3, 2), Workspace(3, 2, 8)
    with pytest.raises(ValueError, match="call prepare first"):
        downstream.accumulate(CompleteRows(Kind.FULL, 3, 2, 8, Kind.FULL), *arguments)

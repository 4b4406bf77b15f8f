"""Another project cimports the compiled interface: tests/downstream is compiled against the installed package, and run.

.ci/downstream has it built by meson-python and by setuptools.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import gaussmix

PROJECT = Path(__file__).parent / "downstream"
PAGE = Path(__file__).parents[1] / "docs" / "cython.md"


def compiled(source, folder):
    """An extension module of a Cython source."""
    pytest.importorskip("Cython")
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if sys.platform == "win32" or shutil.which(compiler[0]) is None:
        pytest.skip("no C compiler")
    path, generated = str(Path(gaussmix.__file__).parents[1]), folder / f"{source.stem}.c"
    subprocess.run([sys.executable, "-m", "cython", "-I", path, "-o", generated, source], check=True)
    library = folder / (source.stem + sysconfig.get_config_var("EXT_SUFFIX"))
    link = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    subprocess.run([*compiler, "-shared", "-fPIC", *link, "-I", sysconfig.get_path("include"), "-o", library, generated], check=True)
    return library


def test_the_module_on_the_page(tmp_path):
    source = tmp_path / "mymodule.pyx"
    source.write_text(re.search(r"```cython\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("mymodule", compiled(source, tmp_path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mixture = gaussmix.Mixture([0.4, 0.6], [[0.0, 1.0], [5.0, 5.0]], [1.0, 2.0], "spherical")
    rows = np.random.default_rng(0).normal(size=(100, 2))
    np.testing.assert_array_equal(module.log_density(mixture, rows), mixture.logpdf(rows))
    with pytest.raises(ValueError, match="a number is NaN, infinite or too large"):
        module.log_density(mixture, np.full((1, 2), np.inf))


def test_a_project_with_threads_of_its_own_finds_the_bits_of_the_python_functions(tmp_path):
    compiled(PROJECT / "blockfit.pyx", tmp_path)
    run = subprocess.run([sys.executable, PROJECT / "check.py"], capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("blockfit finds the bits of gaussmix")

"""Runs the tests that say in a minute whether an installed gaussmix works, where there may be no more than pytest, NumPy and SciPy.

    python tests/small.py                       what follows goes to pytest
"""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = ["equations", "functional", "linalg", "mclust", "package", "statistics", "structures", "threads", "weights"]
TOO_LONG = "one_call_into_the_core or ctrl_c"  # of the tests of threads

if __name__ == "__main__":
    chosen = [str(TESTS / f"test_{name}.py") for name in FILES]
    # conftest.py is for Hypothesis, which is not there.
    sys.exit(pytest.main(["--noconftest", "-q", "-k", f"not ({TOO_LONG})", *chosen, *sys.argv[1:]]))

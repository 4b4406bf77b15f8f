"""The benchmark runs on tiny shapes and writes what it says. No time is asserted."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import one_tile
from gaussmix._core.estep import instruction_sets

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def benchmarks(monkeypatch):
    """The package's modules, with tiny shapes and a single round."""
    monkeypatch.syspath_prepend(ROOT)
    shapes, measure, main = (importlib.import_module(f"benchmarks.{name}") for name in ("shapes", "measure", "__main__"))
    tiny = [shapes.Shape(272, 2, 2), shapes.Shape(700, 3, 2)]
    for name in ("FULL", "DIAG", "PREDICT", "KMEANS", "FIT", "THREADS", "CLUSTERED", "HMM"):
        monkeypatch.setattr(shapes, name, tiny)
    monkeypatch.setattr(shapes, "CURVE_OPERATIONS", 1e5)
    for name, values in (("KERNELS_D", [1, 20]), ("CURVE_D", [1, 3]), ("CURVE_K", [1, 2]), ("CURVE_N", [300, 1_000])):
        monkeypatch.setattr(shapes, name, values)
    monkeypatch.setattr(measure, "QUICK", measure.Effort(rounds=1, seconds=0.01))
    return main


def test_every_section_writes_its_table(benchmarks, tmp_path, capsys):
    pytest.importorskip("sklearn")
    benchmarks.main(["--quick", "--threads", "1", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["sections"]) == list(benchmarks.SECTIONS)
    assert {"cpu", "cores", "instruction_sets", "versions", "threads", "pools"} <= set(results["machine"])
    page = (tmp_path / "tables.md").read_text()
    assert page.strip() == printed.strip()
    kernels = results["sections"].pop("kernels")
    for table in (table for tables in results["sections"].values() for table in tables):
        assert table["rows"] and table["title"] in page
    for table in kernels:
        assert table["title"] in page
        assert {row["D"] for row in table["rows"]} == ({1, 20} if one_tile.library("baseline", "float64") else set())
        for row in table["rows"]:
            assert ("tiny" in row) == (row["D"] == 1) and row["instruction set"] in instruction_sets()
            assert all(isinstance(value, float) for name, value in row.items() if name not in ("number type", "instruction set", "D"))
    for row in results["sections"]["full"][0]["rows"]:
        assert abs(row["L of scikit-learn, relative difference"]) < 1e-9
    if importlib.util.find_spec("hmmlearn"):
        for row in results["sections"]["hmm"][0]["rows"]:
            assert abs(row["L of hmmlearn, relative difference"]) < 1e-9 and abs(row["L of hmmlearn scaling, relative difference"]) < 1e-9
            assert row["iterations"] == 10
    assert all(row["same bits for 1, 2, 3, 7"] == "yes" for row in results["sections"]["threads"][0]["rows"])


def test_data_are_the_same_every_time(benchmarks):
    shapes = importlib.import_module("benchmarks.shapes")
    first = shapes.problem(shapes.Shape(500, 3, 2))
    shapes.problem.cache_clear()
    second = shapes.problem(shapes.Shape(500, 3, 2))
    assert np.array_equal(first.X, second.X) and np.array_equal(first.means, second.means)


def test_an_iteration_counts_what_was_run_not_what_was_asked(benchmarks, monkeypatch):
    measure = importlib.import_module("benchmarks.measure")
    peers = importlib.import_module("benchmarks.peers")
    clock = [0.0]
    monkeypatch.setattr(measure, "perf_counter", lambda: clock[0])

    def stops_early(n_iter):  # 10 seconds of its own, 2 for each iteration, at most 4 iterations
        ran = min(n_iter, 4)
        clock[0] += 10 + 2 * ran
        return peers.Outcome(-1.0, ran)

    found = measure.iteration_times({"a": stops_early}, 20, measure.Effort(rounds=2, seconds=1000))
    assert found["a"] == {"seconds": 2.0, "log_likelihood": -1.0, "n_iter": 4}


def test_an_unknown_section_is_refused(benchmarks, tmp_path, capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["fulll", "--output", str(tmp_path)])
    assert "fulll" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_component_stays_as_often_as_the_shape_says(benchmarks):
    """With means far apart, the nearest row before tells the component."""
    shapes = importlib.import_module("benchmarks.shapes")
    X = shapes.problem(shapes.Shape(4000, 2, 3, 100.0, staying=0.9)).X
    changes = (np.linalg.norm(np.diff(X, axis=0), axis=1) > 15).mean()
    assert 0.03 < changes < 0.1  # one row in ten is drawn anew, from the same component once in a while
    assert shapes.Shape(4000, 2, 3, 100.0, 0.9).shrunk(1e4).staying == 0.9


def test_shapes_apart_by_separation_alone_have_data_of_their_own(benchmarks):
    shapes = importlib.import_module("benchmarks.shapes")
    near, far = (shapes.problem(shapes.Shape(200, 3, 2, separation)).X for separation in (3.0, 15.0))
    assert far.std() > 1.5 * near.std()

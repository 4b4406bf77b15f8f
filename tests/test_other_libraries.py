"""The programs of docs/other-libraries.md run as they stand there, each where its library is installed."""

import ast
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from direct import log_density, responsibilities

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "other-libraries.md"
X = np.loadtxt(ROOT / "examples" / "faithful.csv", delimiter=",", skiprows=1)


def programs():
    """The code of each section, by its title; each line on the line where the page has it, so that a traceback points there."""
    found, title, inside = {}, None, False
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("## "):
            title = line[3:]
        inside = inside and line != "```"
        if inside:
            found.setdefault(title, [""] * number).append(line)
        inside = inside or line == "```python"
    return {title: "\n".join(code) + "\n" for title, code in found.items()}


def run(title, monkeypatch):
    """What a section's program defines, where all that it imports is installed."""
    code = programs()[title]
    monkeypatch.chdir(ROOT)
    with warnings.catch_warnings(action="ignore"):  # what other libraries say of themselves while they are imported
        for node in ast.walk(ast.parse(code)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module] if isinstance(node, ast.ImportFrom) else [])
            for name in names:
                pytest.importorskip(name, reason=f"{name.split('.')[0]} is not installed")
        names = {"__name__": "other_libraries"}
        exec(compile(code, str(PAGE), "exec"), names)
    return names


def agrees(mixture, labels=None, probabilities=None, log_p=None, rows=X):
    """Labels, responsibilities and log-densities are those of the equations, and both components have rows."""
    parameters = mixture.weights, mixture.means, mixture.covariances
    gamma = responsibilities(rows, *parameters)
    if labels is not None:
        np.testing.assert_array_equal(labels, gamma.argmax(axis=1))
        assert np.bincount(labels).min() > 50
    if probabilities is not None:
        np.testing.assert_allclose(probabilities, gamma, rtol=0, atol=1e-12)
    if log_p is not None:
        np.testing.assert_allclose(log_p, log_density(rows, *parameters), rtol=1e-12)


def test_every_section_is_tested():
    fences = re.findall("^```.*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert fences == ["```python", "```"] * len(programs())
    assert list(programs()) == ["pandas", "polars", "A pipeline of scikit-learn", "joblib", "Dask", "pyod", "ONNX", "ONNX of a pipeline"]


@pytest.mark.parametrize("title", ["pandas", "polars"])
def test_tables(title, monkeypatch, capsys):
    page = run(title, monkeypatch)
    gm, labelled = page["gm"], page["labelled"]
    assert list(gm.feature_names_in_) == list(page["eruptions"].columns) == list(page["means"].columns)
    np.testing.assert_array_equal(page["means"].to_numpy(), gm.means_)
    assert labelled.shape == (272, 3)
    agrees(gm.mixture_, labelled["component"].to_numpy())
    assert "component" in capsys.readouterr().out


def test_a_pipeline(monkeypatch):
    search = run("A pipeline of scikit-learn", monkeypatch)["search"]
    assert search.best_params_["gaussianmixture__n_components"] > 1
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    mixture = search.best_estimator_[-1].mixture_
    np.testing.assert_array_equal(search.predict(X), responsibilities(
        scaled, mixture.weights, mixture.means, mixture.covariances).argmax(axis=1))
    assert len(search.cv_results_["params"]) == 12 and np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_parallel_fits(monkeypatch):
    page = run("joblib", monkeypatch)
    assert [gm.n_components for gm in page["fits"]] == [1, 2, 3, 4]
    for gm, fitted in zip(page["candidates"], page["fits"]):
        assert gm.fit(X).mixture_ == fitted.mixture_
    assert page["best"].bic(X) == min(gm.bic(X) for gm in page["fits"])


def test_chunks_of_an_array(monkeypatch):
    page = run("Dask", monkeypatch)
    assert page["rows"].numblocks == (3, 1)
    agrees(page["gm"].mixture_, page["labels"].compute(), page["probabilities"].compute(), page["log_density"].compute())


def test_a_detector(monkeypatch):
    page = run("pyod", monkeypatch)
    detector = page["detector"]
    agrees(detector.detector_.mixture_, log_p=-detector.decision_scores_)
    assert detector.labels_.sum() == 6  # of 272
    assert detector.decision_scores_[detector.labels_ == 1].min() > detector.decision_scores_[detector.labels_ == 0].max()
    assert detector.predict([[3.0, 90.0], [4.5, 80.0]]).tolist() == [1, 0]
    assert detector.get_params()["n_components"] == 2


def test_onnx(monkeypatch):
    page = run("ONNX", monkeypatch)
    agrees(page["gm"].mixture_, page["label"], page["probabilities"])


def test_onnx_of_a_pipeline(monkeypatch):
    page = run("ONNX of a pipeline", monkeypatch)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    agrees(page["pipeline"][-1].mixture_, page["label"], page["probabilities"], rows=scaled)

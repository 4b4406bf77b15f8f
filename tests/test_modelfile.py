"""The model file: it gives back the same bits, and nothing in it is trusted."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gaussmix
from gaussmix import GaussianMixture, Mixture
from gaussmix.modelfile import ModelFileError, load, save

STRUCTURES = ("full", "tied", "diag", "spherical")
SHAPES = {"full": (3, 2, 2), "tied": (2, 2), "diag": (3, 2), "spherical": (3,)}


def bits(array):
    return array.dtype, array.shape, array.tobytes()


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(5)
    return np.concatenate([rng.normal(centre, 0.1 + abs(centre) / 3, (80, 2)) for centre in (-3, 0, 4)])


@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_loaded_model_gives_the_same_bits(tmp_path, X, covariance_type, dtype):
    X = X.astype(dtype)
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=1).fit(X)
    save(tmp_path / "m.json", gm)
    model = load(tmp_path / "m.json")
    assert (model.covariance_type, model.columns) == (covariance_type, None)
    assert bits(model.mixture.logpdf(X)) == bits(gm.score_samples(X))
    assert bits(model.mixture.responsibilities(X)) == bits(gm.predict_proba(X))
    assert bits(model.mixture.classify(X)) == bits(gm.predict(X))
    assert bits(model.mixture.rvs(50, random_state=3)) == bits(gm.mixture_.rvs(50, random_state=3))
    save(tmp_path / "again.json", model)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "m.json").read_bytes()


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_the_file_is_what_the_documentation_says(tmp_path, X, covariance_type):
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=1).fit(X)
    save(tmp_path / "m.json", gm)
    entries = json.loads((tmp_path / "m.json").read_text())
    assert list(entries) == ["format", "version", "covariance_type", "n_components", "n_features", "columns", "weights",
                             "means", "covariances"]
    assert list(entries.values())[:6] == ["gaussmix model", 1, covariance_type, 3, 2, None]
    assert np.shape(entries["covariances"]) == SHAPES[covariance_type]
    for name in ("weights", "means", "covariances"):
        assert bits(np.array(entries[name])) == bits(getattr(gm, name + "_"))


def test_the_example_of_the_documentation_loads(tmp_path):
    page = Path(__file__).parents[1] / "docs" / "model-file.md"
    (tmp_path / "m.json").write_text(re.search(r"```json\n(.*?)```", page.read_text(), re.DOTALL)[1])
    model = load(tmp_path / "m.json")
    assert model.columns == ["eruptions", "waiting"]
    np.testing.assert_array_equal(model.mixture.covariances[1], np.diag([0.16881, 35.784]))


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=50, deadline=None)
@given(means=st.lists(finite, min_size=4, max_size=4), share=st.floats(0, 1),
       variances=st.lists(st.floats(1e-290, 1e290), min_size=4, max_size=4))
def test_any_float_comes_back(tmp_path_factory, means, share, variances):
    path = tmp_path_factory.getbasetemp() / "any.json"
    m = Mixture([share, 1 - share], np.reshape(means, (2, 2)), [np.diag(variances[:2]), np.diag(variances[2:])])
    save(path, m)
    got = load(path).mixture
    for name in ("weights", "means", "covariances"):
        assert bits(getattr(got, name)) == bits(getattr(m, name))


def test_column_names_and_mclust_names(tmp_path, X):
    import pandas as pd

    gm = GaussianMixture(2, covariance_type="VVI", random_state=0).fit(pd.DataFrame(X, columns=["länge", 'a "b", c']))
    gaussmix.save(tmp_path / "m.json", gm)
    model = gaussmix.load(tmp_path / "m.json")
    assert model.columns == ["länge", 'a "b", c']
    assert model.covariance_type == "diag"


def test_only_fitted_models_are_saved(tmp_path):
    with pytest.raises(ValueError, match="fitted"):
        save(tmp_path / "m.json", GaussianMixture(2))
    assert list(tmp_path.iterdir()) == []


GOOD = {"format": "gaussmix model", "version": 1, "covariance_type": "full", "n_components": 2, "n_features": 2,
        "columns": ["x", "y"], "weights": [0.25, 0.75], "means": [[0.0, 1], [2.0, 3.0]],
        "covariances": [[[1.0, 0.5], [0.5, 1.0]], [[2.0, 0.0], [0.0, 2.0]]]}


def test_the_good_model_is_good(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps(GOOD))
    assert load(tmp_path / "m.json").mixture == Mixture(GOOD["weights"], GOOD["means"], GOOD["covariances"])


@pytest.mark.parametrize("change, said", [
    ({"format": "something else"}, '"format" must be'),
    ({"version": 2}, "version 2"),
    ({"version": True}, "version True"),
    ({"version": "1"}, "version '1'"),
    ({"covariance_type": "round"}, "'round'"),
    ({"covariance_type": ["full"]}, "covariance_type must be"),
    ({"covariance_type": "diag"}, r"covariances\[0\]\[0\] must be a number"),
    ({"n_components": 3}, "weights must be a list of 3, not one of 2"),
    ({"n_components": 0}, "n_components must be a whole number of at least 1, not 0"),
    ({"n_components": True}, "n_components must be a whole number"),
    ({"n_components": 10**30}, "weights must be a list of"),
    ({"n_features": 2.0}, "n_features must be a whole number of at least 1, not 2.0"),
    ({"n_features": 1}, r"means\[0\] must be a list of 1, not one of 2"),
    ({"columns": ["x"]}, "columns must be 2 different names"),
    ({"columns": ["x", "x"]}, "columns must be 2 different names"),
    ({"columns": ["x", 7]}, "columns must be null or a list of names"),
    ({"columns": "xy"}, "columns must be null or a list of names"),
    ({"weights": [0.5, 0.6]}, "sum to 1.1"),
    ({"weights": [-0.5, 1.5]}, "must not be negative"),
    ({"weights": [float("nan"), 1]}, r"weights\[0\] must be finite"),
    ({"weights": ["0.25", 0.75]}, r'weights\[0\] must be a number, not "0.25"'),
    ({"weights": [False, True]}, r"weights\[0\] must be a number, not false"),
    ({"weights": None}, "weights must be a list of 2, not null"),
    ({"means": [[0.0, 1.0], [2.0]]}, r"means\[1\] must be a list of 2, not one of 1"),
    ({"means": [[0.0, float("inf")], [2.0, 3.0]]}, r"means\[0\]\[1\] must be finite"),
    ({"means": [[0.0, 10**400], [2.0, 3.0]]}, r"means\[0\]\[1\] must be finite"),
    ({"means": [[0.0, [1.0]], [2.0, 3.0]]}, r"means\[0\]\[1\] must be a number"),
    ({"covariances": [[[1.0, 0.5], [0.4, 1.0]], [[2.0, 0.0], [0.0, 2.0]]]}, r"covariances\[0\] is not symmetric"),
    ({"covariances": [[[1.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]]}, r"covariances\[1\] is not positive definite"),
    ({"covariances": [[[0.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, 2.0]]]}, r"covariances\[0\] is not positive definite"),
    ({"covariance_type": "spherical", "covariances": [1.0, -1.0]}, r"covariances\[1\] is not positive definite"),
    ({"covariance_type": "tied", "covariances": [[1.0, 0.5], [0.4, 1.0]]}, "covariances is not symmetric"),
    ({"extra": 1}, 'unknown entry "extra"'),
])
def test_a_wrong_entry_is_named(tmp_path, change, said):
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(ModelFileError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", list(GOOD))
def test_a_missing_entry_is_named(tmp_path, name):
    (tmp_path / "m.json").write_text(json.dumps({key: value for key, value in GOOD.items() if key != name}))
    with pytest.raises(ModelFileError, match=name):
        load(tmp_path / "m.json")


@pytest.mark.parametrize("content, said", [
    (b"", "line 1, column 1"),
    (b"{\n  \"format\": \"gaussmix model\",\n  \"version\" 1}", "line 3, column 13"),
    (b"[]", "is not a model file"),
    (b"12", "is not a model file"),
    (b"\x80\x04\x95pickle", "is not text"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"format": "gaussmix model", "version": ' + b"1" * 5000 + b"}", "is not a model file|of version"),
    (json.dumps(GOOD)[:-1].encode() + b', "version": 1}', "twice"),
])
def test_what_is_not_a_model_file(tmp_path, content, said):
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(ModelFileError, match=said):
        load(tmp_path / "m.json")


def test_every_truncation_is_an_error_that_says_where(tmp_path, X):
    save(tmp_path / "m.json", GaussianMixture(2, random_state=0).fit(X))
    whole = (tmp_path / "m.json").read_bytes()
    for length in range(len(whole.rstrip())):
        (tmp_path / "cut.json").write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"line \d+, column \d+"):
            load(tmp_path / "cut.json")


def test_a_failed_write_leaves_what_was_there(tmp_path, X, monkeypatch):
    gm = GaussianMixture(2, random_state=0).fit(X)
    (tmp_path / "m.json").write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gaussmix.outputs.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "m.json", gm)
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]
    assert (tmp_path / "m.json").read_text() == "before"


def test_a_written_file_keeps_links_and_permissions(tmp_path, X):
    gm = GaussianMixture(2, random_state=0).fit(X)
    (tmp_path / "real.json").write_text("before")
    (tmp_path / "real.json").chmod(0o640)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    save(tmp_path / "link.json", gm)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").stat().st_mode & 0o777 == 0o640
    assert load(tmp_path / "real.json").mixture == gm.mixture_

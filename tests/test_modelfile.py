"""Model files: a mixture is read back bit for bit, and the content of a file is not trusted."""

import json
import re
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gaussmix
from gaussmix import GaussianMixture, Mixture
from gaussmix.modelfile import Model, ModelFileError, load, save

STRUCTURES = ("full", "tied", "diag", "spherical")
SHAPES = {"full": (3, 2, 2), "tied": (2, 2), "diag": (3, 2), "spherical": (3,)}
KEPT = Path(__file__).parent / "data" / "models"  # written by version 0.1


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
    assert "länge".encode() in (tmp_path / "m.json").read_bytes()
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
    ({"version": True}, "version true"),
    ({"version": "1"}, 'version "1"'),
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
    ({"two\nlines \ud800": 1}, r'unknown entry "two\\nlines \\ud800"'),
    ({"version": None}, "version null"),
    ({"version": [[[[]]]]}, "version a list of 1"),
    ({"version": {"a": 1}}, "version an object"),
    ({"version": 10**4000}, "version 10000000"),
    ({"covariance_type": None}, "covariance_type must be one of"),
    ({"covariance_type": "full" * 10_000}, "covariance_type must be one of .{,200}$"),
    ({"covariance_type": "\ud800"}, "covariance_type must be one of"),
    ({"n_components": 10**9}, "weights must be a list of 1000000000, not one of 2"),
    ({"n_features": 10**9}, r"means\[0\] must be a list of 1000000000, not one of 2"),
    ({"n_components": 10**4000}, "weights must be a list of 10{30,}[.]{3}, not one of 2"),
    ({"n_components": -1}, "n_components must be a whole number of at least 1, not -1"),
    ({"n_components": None}, "n_components must be a whole number of at least 1, not null"),
    ({"n_features": "2" * 10**6}, "n_features must be a whole number of at least 1, not .{,50}$"),
    ({"columns": ["x", "\ud800"]}, r'columns\[1\] must be text that UTF-8 can hold, not "\\ud800"'),
    ({"columns": {}}, "columns must be null or a list of names, which are texts, not an object"),
    ({"columns": True}, "columns must be null or a list of names, which are texts, not true"),
    ({"columns": ["x", "x"]}, 'columns must be 2 different names, but "x" is there twice'),
    ({"weights": [1e308, 1e308]}, "sum to inf"),
    ({"weights": [None, 1.0]}, r"weights\[0\] must be a number, not null"),
    ({"weights": [0.5, 0.5, 0.0]}, "weights must be a list of 2, not one of 3"),
    ({"weights": {"0": 0.5, "1": 0.5}}, "weights must be a list of 2, not an object"),
    ({"means": [[True, 1.0], [2.0, 3.0]]}, r"means\[0\]\[0\] must be a number, not true"),
    ({"means": [[0.0, -10**309], [2.0, 3.0]]}, r"means\[0\]\[1\] must be finite"),
    ({"covariances": [[[1e308, 1e308], [-1e308, 1e308]], [[2.0, 0.0], [0.0, 2.0]]]}, r"covariances\[0\] is not symmetric"),
    ({"covariances": [[[1e308, 1e308], [1e308, 1e308]], [[2.0, 0.0], [0.0, 2.0]]]}, r"covariances\[0\] is not positive definite"),
    ({"covariance_type": "tied", "covariances": [[1.0, 2.0], [2.0, 1.0]]}, "covariances is not positive definite"),
    ({"covariance_type": "tied", "covariances": [[1.0, 0.5], [0.5, "1"]]}, r"covariances\[1\]\[1\] must be a number"),
    ({"covariance_type": "diag", "covariances": [[1.0, 1e-300], [1.0, 1.0]]}, r"covariances\[0\] is not positive definite"),
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
    (b'{"a":' * 100_000, "nested too deeply"),
    (b"0" * 3 * 2**20, "does not begin with {"),
    (b" " * 3 * 2**20, "does not begin with {"),
    (b'{"format": "\xed\xa0\x80"}', "is not text"),
    (b'{"format": "gaussmix model", "n_components": 1, "n_components": 1}', 'the entry "n_components" twice'),
    (json.dumps(GOOD).replace("1.0", "1" + "0" * 5000, 1).encode(), "a whole number of thousands of digits"),
    (b'{"format": "gaussmix model", "version": ' + b"1" * 5000 + b"}", "is not a model file|of version"),
    (json.dumps(GOOD)[:-1].encode() + b', "version": 1}', "twice"),
])
def test_what_is_not_a_model_file(tmp_path, content, said):
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(ModelFileError, match=said):
        load(tmp_path / "m.json")


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("depth", [10, 300, 900, 3000])
def test_lists_nested_deeply_in_an_entry(tmp_path, name, depth):
    path = tmp_path / "m.json"
    path.write_text(json.dumps(GOOD | {name: "here"}).replace('"here"', "[" * depth + "]" * depth))
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ") and len(str(caught.value)) < len(str(path)) + 250


def test_covariances_near_the_end_of_the_range_load_without_a_warning(tmp_path):
    huge = GOOD | {"covariances": [[[1e308, 9e307], [9e307, 1e308]], [[1.7e308, -1e308], [-1e308, 1.7e308]]]}
    (tmp_path / "m.json").write_text(json.dumps(huge))
    np.testing.assert_array_equal(load(tmp_path / "m.json").mixture.covariances, huge["covariances"])


def test_a_file_that_does_not_fit_into_memory_is_named(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    (tmp_path / "m.json").write_text(json.dumps(GOOD))
    monkeypatch.setattr("gaussmix.modelfile.json.loads", full)
    with pytest.raises(ModelFileError, match="m.json: does not fit into memory"):
        load(tmp_path / "m.json")


def test_an_endless_file_is_not_read_to_its_end():
    if not Path("/dev/zero").exists():
        pytest.skip("this system has no /dev/zero")
    with pytest.raises(ModelFileError, match="^/dev/zero: is not a model file: it does not begin with {"):
        load("/dev/zero")


@pytest.mark.parametrize("before", [b"", b"\r\n \t"])
def test_a_file_of_megabytes_is_read_to_its_end(tmp_path, before):
    rng = np.random.default_rng(0)
    K = 20_000
    mixture = Mixture(np.full(K, 1 / K), rng.normal(size=(K, 2)), rng.uniform(1, 2, size=K), "spherical")
    mixture.save(tmp_path / "m.json")
    content = (tmp_path / "m.json").read_bytes()
    assert len(content) > 2**20
    (tmp_path / "m.json").write_bytes(before + content)
    assert load(tmp_path / "m.json").mixture == mixture


def test_what_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(OSError, match=path.name):
            load(path)
    with pytest.raises(TypeError):
        load(0)


# What a mutation puts in place of a value: of another type, out of range, or where json and Python differ.
ODD = st.one_of(
    st.sampled_from([None, True, False, 0, 1, -1, 2, 3, 10**9, -10**9, 2**63, 10**30, 10**400, 0.0, -0.0, 0.5, 1.5, 1e-320, 1e-300, 1e308,
                     -1e308, float("inf"), float("-inf"), float("nan"), "", "x", "full", "VVI", "spherical", "\ud800", "\udfff\0",
                     "1" * 1000, [], {}, [[]], [1.0], [[1.0]], [None], {"a": {}}, [1e308, 1e308], ["x", "\ud800"]]),
    st.integers(), st.floats(), st.text(max_size=3))


def places(value, here=()):
    """The path to every value in nested lists and objects."""
    yield here
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, item in items:
        yield from places(item, (*here, key))


def put(value, place, new):
    if not place:
        return new
    other = list(value) if isinstance(value, list) else dict(value)
    other[place[0]] = put(value[place[0]], place[1:], new)
    return other


@st.composite
def mutated_entries(draw, entries):
    """JSON with one to three values, anywhere, replaced by odd ones."""
    for _ in range(draw(st.integers(1, 3))):
        entries = put(entries, draw(st.sampled_from(list(places(entries)))), draw(ODD))
    return json.dumps(entries).encode()


def mutated_bytes(content):
    """A file with bytes changed, left out, repeated or cut off."""
    place, length = st.integers(0, len(content) - 1), st.integers(1, 40)
    pieces = st.sampled_from([b"0", b"-", b"e99", b"e400", b"[", b"]", b"{", b"}", b",", b'"', b"\\ud800", b"\xff", b"NaN", b"1" * 5000])
    return st.one_of(
        st.builds(lambda at, byte: content[:at] + bytes([byte]) + content[at + 1:], place, st.integers(0, 255)),
        st.builds(lambda at, bit: content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1:], place, st.integers(0, 7)),
        st.builds(lambda at, many: content[:at] + content[at + many:], place, length),
        st.builds(lambda at, many: content[:at + many] + content[at:], place, length),
        st.builds(lambda at, piece: content[:at] + piece + content[at:], place, pieces),
        st.builds(lambda at: content[:at], place))


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("mutated", [mutated_bytes, mutated_entries])
def test_a_mutated_file_is_an_error_that_says_so_or_a_valid_model(tmp_path_factory, name, mutated):
    folder = tmp_path_factory.mktemp("mutated")
    content = (KEPT / f"{name}_with_columns.json").read_bytes()
    strategy = mutated(content if mutated is mutated_bytes else json.loads(content))

    @settings(deadline=None)  # as many examples as the profile says
    @given(strategy)
    def check(changed):
        path = folder / "m.json"
        path.write_bytes(changed)
        try:
            model = load(path)
        except ModelFileError as error:
            told = str(error)
            assert told.startswith(f"{path}: ") and "\n" not in told and len(told) < len(str(path)) + 300
            told.encode()
            return
        # Valid: it says what the file holds, and is written as it was read.
        entries = json.loads(changed)
        assert model.mixture.means.tolist() == [[float(number) for number in row] for row in entries["means"]]
        assert abs(sum(entries["weights"]) - 1) < 1e-5 and model.columns == entries["columns"]
        assert not np.isnan(model.mixture.logpdf(np.zeros((1, 2)))).any()
        save(folder / "again.json", model)
        assert load(folder / "again.json") == model

    check()


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


# Files that version 0.1 wrote, under whatever layout comes.

def log_density_in_50_digits(entries, row):
    """Equation (1) from the numbers in a file."""
    D, name = entries["n_features"], entries["covariance_type"]
    with mpmath.workdps(50):
        terms = []
        for k, (weight, mean) in enumerate(zip(entries["weights"], entries["means"])):
            S, own = mpmath.zeros(D), entries["covariances"] if name == "tied" else entries["covariances"][k]
            for i in range(D):
                for j in range(D):
                    S[i, j] = own[i][j] if name in ("full", "tied") else 0 if i != j else own[i] if name == "diag" else own
            away = mpmath.matrix([mpmath.mpf(x) - mpmath.mpf(m) for x, m in zip(row, mean)])
            square = (away.T * mpmath.lu_solve(S, away))[0]
            terms.append(mpmath.log(weight) - (D * mpmath.log(2 * mpmath.pi) + mpmath.log(mpmath.det(S)) + square) / 2)
        top = max(terms)
        return top + mpmath.log(sum(mpmath.exp(term - top) for term in terms))


RECORDED = json.loads((KEPT / "log_densities.json").read_text())
WRITTEN = [f"{name}_{columns}_columns.json" for name in STRUCTURES for columns in ("with", "without")]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_version_0_1_loads_and_gives_its_densities(name):
    entries, model = json.loads((KEPT / name).read_text()), load(KEPT / name)
    assert (model.covariance_type, model.columns) == (entries["covariance_type"], entries["columns"])
    assert (model.columns is None) == ("without" in name) and name.startswith(model.covariance_type)
    rows = RECORDED["rows"]["quakes" if "without" in name else "faithful"]
    recorded = RECORDED["log_densities"][name]
    np.testing.assert_allclose(model.mixture.logpdf(rows), recorded, rtol=1e-12)
    np.testing.assert_allclose([float(log_density_in_50_digits(entries, row)) for row in rows], recorded, rtol=1e-15)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_version_0_1_is_written_again_as_it_was(tmp_path, name):
    for loaded in (load(KEPT / name), GaussianMixture.load(KEPT / name)):
        save(tmp_path / "again.json", loaded)
        assert (tmp_path / "again.json").read_bytes() == (KEPT / name).read_bytes()


# From a file back to an estimator.

@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_an_estimator_comes_back_fitted(tmp_path, X, covariance_type, dtype):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(X.astype(dtype), columns=["länge", "b"])
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=1).fit(table)
    assert gm.save(tmp_path / "m.json") is None
    again = GaussianMixture.load(str(tmp_path / "m.json"))
    assert type(again) is GaussianMixture
    assert again.get_params() == GaussianMixture(3, covariance_type=covariance_type).get_params()
    assert list(again.feature_names_in_) == ["länge", "b"] and again.feature_names_in_.dtype == object
    assert again.n_features_in_ == 2 and again.n_parameters_ == gm.n_parameters_ and again.mixture_ == gm.mixture_
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        array = getattr(again, name)
        assert array.dtype == np.float64 and array.shape == getattr(gm, name).shape, name
        np.testing.assert_allclose(array, getattr(gm, name), rtol=1e-14 if dtype == np.float64 else 1e-6, err_msg=name)
    np.testing.assert_array_equal(again.score_samples(table), gm.mixture_.logpdf(table))
    np.testing.assert_array_equal(again.predict_proba(table), gm.mixture_.responsibilities(table))
    np.testing.assert_array_equal(again.predict(table), gm.predict(table))
    np.testing.assert_array_equal(again.set_params(random_state=3).sample(9)[0], gm.set_params(random_state=3).sample(9)[0])


def test_what_a_file_does_not_hold_is_missing(tmp_path, X):
    gm = GaussianMixture(3, random_state=1).fit(X)
    gm.save(tmp_path / "m.json")
    again = GaussianMixture.load(tmp_path / "m.json")
    for name in ("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "history_", "feature_names_in_"):
        with pytest.raises(AttributeError):
            getattr(again, name)
    assert "converged" not in again.summary() and "BIC" not in again.summary() and "BIC" in again.summary(X)
    assert again.bic(X) == gm.bic(X)


def test_em_goes_on_from_a_loaded_model(tmp_path, X):
    with pytest.warns(gaussmix.ConvergenceWarning):
        gm = GaussianMixture(3, random_state=1, max_iter=2, tol=0).fit(X)
    gm.save(tmp_path / "m.json")
    again = GaussianMixture.load(tmp_path / "m.json").set_params(warm_start=True, tol=1e-4)
    again.fit(X)
    assert again.history_[0] == pytest.approx(gm.score(X), rel=1e-12)  # the first E step is of the mixture that was saved


def test_a_subclass_and_sklearn_s_tools_take_a_loaded_model(tmp_path, X):
    class Mine(GaussianMixture):
        pass

    GaussianMixture(2, random_state=0).fit(X).save(tmp_path / "m.json")
    again = Mine.load(tmp_path / "m.json")
    assert type(again) is Mine
    sklearn = pytest.importorskip("sklearn")
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(again)
    assert not hasattr(sklearn.base.clone(again), "weights_")
    np.testing.assert_allclose(again.to_sklearn().score_samples(X), again.score_samples(X), rtol=1e-10)


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_a_mixture_saves_and_loads_itself(tmp_path, X, covariance_type):
    gm = GaussianMixture(3, covariance_type=covariance_type, random_state=1).fit(X)
    assert gm.mixture_.save(tmp_path / "mixture.json") is None
    gm.save(tmp_path / "estimator.json")
    assert (tmp_path / "mixture.json").read_bytes() == (tmp_path / "estimator.json").read_bytes()
    again = Mixture.load(tmp_path / "mixture.json")
    assert type(again) is Mixture and again == gm.mixture_ and again.covariance_type == covariance_type
    assert bits(again.logpdf(X)) == bits(gm.mixture_.logpdf(X))

    class Mine(Mixture):
        pass

    assert type(Mine.load(tmp_path / "mixture.json")) is Mine


def test_a_damaged_file_is_named_by_every_way_to_load_it(tmp_path):
    (tmp_path / "damaged.json").write_text("{")
    for way in (load, GaussianMixture.load, Mixture.load):
        with pytest.raises(ModelFileError, match="damaged.json"):
            way(tmp_path / "damaged.json")
        with pytest.raises(FileNotFoundError):
            way(tmp_path / "missing.json")
    with pytest.raises(gaussmix.NotFittedError):
        GaussianMixture().save(tmp_path / "m.json")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_load_returns_predicts(tmp_path, X, dtype):
    X = X.astype(dtype)
    gm = GaussianMixture(3, random_state=1).fit(X)
    gm.save(tmp_path / "m.json")
    model = load(tmp_path / "m.json")
    assert bits(model.predict(X)) == bits(gm.predict(X))
    assert bits(model.predict_proba(X)) == bits(gm.predict_proba(X))
    assert bits(model.score_samples(X)) == bits(gm.score_samples(X))


def test_what_load_returns_checks_names_as_the_estimator_does(tmp_path, X):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(X, columns=["a", "b"])
    gm = GaussianMixture(2, random_state=0).fit(table)
    gm.save(tmp_path / "m.json")
    gm.mixture_.save(tmp_path / "nameless.json")
    model, nameless = load(tmp_path / "m.json"), load(tmp_path / "nameless.json")
    loaded = GaussianMixture.load(tmp_path / "m.json")
    for method in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_array_equal(getattr(model, method)(table), getattr(gm, method)(table))
        for one in (model, loaded):
            with pytest.raises(ValueError, match="must be in the same order"):
                getattr(one, method)(table[["b", "a"]])
            with pytest.raises(ValueError, match="unseen at fit time:\n- c"):
                getattr(one, method)(table.rename(columns={"a": "c"}))
            with pytest.warns(UserWarning, match="X does not have valid feature names, but") as caught:
                getattr(one, method)(X)
            assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match="X has feature names, but Model was fitted without feature names"):
            getattr(nameless, method)(table)
        with pytest.raises(ValueError, match="3 features, but the mixture has 2"):
            getattr(nameless, method)(np.zeros((2, 3)))
        with pytest.raises(ValueError, match="NaN at row 0"):
            getattr(nameless, method)([[np.nan, 0.0]])


# Saving what must not be saved.

def test_the_order_of_joblib_is_named(tmp_path, X):
    m = Mixture([1.0], [[0.0]], [[[1.0]]])
    for model in (GaussianMixture(2, random_state=0).fit(X), m, Model(m, "full", None)):
        for path in (tmp_path / "m.json", str(tmp_path / "m.json"), bytes(tmp_path / "m.json")):
            with pytest.raises(TypeError, match=r"^the path comes first, as in save\(path, model\)"):
                save(model, path)
    with pytest.raises(ValueError, match="only a Mixture, a Model or a fitted GaussianMixture can be saved, not 7"):
        save(tmp_path / "m.json", 7)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns, said", [
    (["a", "\ud800"], r"columns\[1\] must be text that UTF-8 can hold"), (["a", "a"], '"a" is there twice'),
    (["a"], "columns must be 2 different names, not 1"), ([1, 2], "columns must be null or a list")])
def test_names_that_no_file_can_hold_are_refused_before_it_is_touched(tmp_path, X, columns, said):
    gm = GaussianMixture(2, random_state=0).fit(X)
    (tmp_path / "m.json").write_text("before")
    if isinstance(columns[0], str):
        gm.feature_names_in_ = np.array(columns, dtype=object)
        with pytest.raises(ValueError, match=said):
            gm.save(tmp_path / "m.json")
    with pytest.raises(ValueError, match=said):
        Model(gm.mixture_, "full", columns)
    changed = Model(gm.mixture_, "full", ["a", "b"])
    changed.columns[:] = columns
    with pytest.raises(ValueError, match=said):
        save(tmp_path / "m.json", changed)
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"] and (tmp_path / "m.json").read_text() == "before"


def test_a_model_is_of_the_structure_of_its_mixture(X):
    for name in STRUCTURES:
        mixture = GaussianMixture(2, covariance_type=name, random_state=0).fit(X).mixture_
        for said in STRUCTURES:
            if said == name:
                assert Model(mixture, said, None).covariance_type == name
            else:
                with pytest.raises(ValueError, match=f"covariance_type must be that of the mixture, {name!r}, not {said!r}"):
                    Model(mixture, said, None)

"""Mixtures as ONNX graphs: what other runtimes compute with them is what `predict`, `predict_proba` and `score_samples` return."""

import json
import sys
import warnings

import numpy as np
import pytest

from direct import STRUCTURES, draw, random_mixture, responsibilities
from gaussmix import GaussianMixture, Mixture
from gaussmix.modelfile import Model
from gaussmix.onnx_export import register, to_onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

OPSETS = [13, 17, 18]  # axes are attributes of some operators below 18


def fitted(structure, n_components=4, n_features=3, offset=0.0, dtype=np.float64, seed=0):
    """An estimator, and rows of several mixtures' width."""
    rng = np.random.default_rng(seed)
    X = draw(rng, 1500, *random_mixture(rng, n_components, n_features, structure)) + offset
    X = X.astype(dtype)
    with warnings.catch_warnings(action="ignore"):  # one that has not converged
        return GaussianMixture(n_components, covariance_type=structure, random_state=0, max_iter=20).fit(X), X


def session_of(proto):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def evaluated(proto, X):
    """Return what onnxruntime computes, by the names of the outputs."""
    session = session_of(proto)
    source, = session.get_inputs()
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, {source.name: X})))


def agree(found, model, X, rtol=1e-12, atol=1e-12):
    """Labels are the same, and numbers to rounding; responsibilities are at most one, so that `atol` is of them."""
    K = model.n_components
    assert found["label"].dtype == np.int64 and found["label"].shape == (len(X),) and found["probabilities"].shape == (len(X), K)
    np.testing.assert_array_equal(found["label"], model.predict(X))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=0, atol=atol)
    for name in {"log_density", "score_samples"} & set(found):
        assert found[name].shape == (len(X),)
        np.testing.assert_allclose(found[name], model.score_samples(X), rtol=rtol, atol=atol)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_double_precision_agrees_with_the_estimator(structure, opset):
    model, X = fitted(structure)
    found = evaluated(to_onnx(model, log_density=True, opset=opset), X)
    assert {name: values.dtype for name, values in found.items()} == {
        "label": np.int64, "probabilities": np.float64, "log_density": np.float64}
    agree(found, model, X)
    assert np.unique(found["label"]).size == 4
    m = model.mixture_
    np.testing.assert_allclose(found["probabilities"], responsibilities(X, m.weights, m.means, m.covariances), rtol=0, atol=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_single_precision_is_that_of_the_numbers_that_go_in_and_out(structure):
    """The graph works in double: its results are right to the precision of float32, and its labels are the same."""
    model, X = fitted(structure, dtype=np.float32)
    found = evaluated(to_onnx(model.mixture_, np.float32, log_density=True), X)
    assert found["probabilities"].dtype == found["log_density"].dtype == np.float32
    agree(found, model, X, rtol=1e-5, atol=1e-4)  # of what the kernels for float32 do with these rows
    exact = model.mixture_.responsibilities(X.astype(np.float64))
    np.testing.assert_allclose(found["probabilities"], exact, rtol=0, atol=2**-24)
    np.testing.assert_array_equal(found["label"], model.mixture_.classify(X.astype(np.float64)))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_one_component_and_one_feature(structure):
    for n_components, n_features in [(1, 3), (3, 1), (1, 1)]:
        model, X = fitted(structure, n_components, n_features)
        agree(evaluated(to_onnx(model, log_density=True), X), model, X)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_data_far_from_the_origin_lose_nothing(structure):
    model, X = fitted(structure, offset=1e7)
    agree(evaluated(to_onnx(model, log_density=True), X), model, X)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_rows_far_out_keep_their_responsibilities(structure):
    """Where densities are zero in double precision, and where squares are infinite."""
    model, _ = fitted(structure)
    rows = np.random.default_rng(1).normal(size=(60, 3))
    for size in (1e2, 1e6, 1e12, 1e120, 1e140, 1e160, 1e200):
        found = evaluated(to_onnx(model, log_density=True), size * rows)
        np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, rtol=1e-12)
        if size <= 1e6 or structure in ("full", "diag"):  # where components' squares differ by more than their rounding
            agree(found, model, size * rows, atol=1e-12 if size <= 1e2 else 1e-5)
        np.testing.assert_allclose(found["log_density"], model.score_samples(size * rows), rtol=1e-12)


def test_a_row_exactly_between_components_is_of_the_first():
    mixture = Mixture([0.5, 0.5], [[-1.0], [1.0]], [1.0, 1.0], "spherical")
    found = evaluated(to_onnx(mixture), np.array([[0.0], [1.0], [-1.0]]))
    assert found["label"].tolist() == [0, 1, 0] == mixture.classify([[0.0], [1.0], [-1.0]]).tolist()


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_a_component_without_weight_gets_no_row(structure):
    covariances = {"full": [[[1.0]], [[1.0]]], "tied": [[1.0]]}[structure]
    for empty in (0.0, 1e200):
        mixture = Mixture([0.0, 1.0], [[empty], [3.0]], covariances, structure)
        X = np.array([[0.0], [3.0], [1e200]])
        found = evaluated(to_onnx(mixture, log_density=True), X)
        np.testing.assert_array_equal(found["probabilities"], [[0, 1]] * 3)
        assert found["label"].tolist() == [1, 1, 1]
        np.testing.assert_allclose(found["log_density"], mixture.logpdf(X), rtol=1e-14)


def test_any_number_of_rows():
    model, X = fitted("full")
    session = session_of(to_onnx(model))
    for n_rows in (1, 2, 700):
        label, probabilities = session.run(None, {"X": X[:n_rows]})
        np.testing.assert_array_equal(label, model.predict(X[:n_rows]))
        assert probabilities.shape == (n_rows, 4)
    assert [value.shape for value in session.get_inputs()] == [["N", 3]]
    assert {value.name: value.shape for value in session.get_outputs()} == {"label": ["N"], "probabilities": ["N", 4]}


@pytest.mark.parametrize("opset", OPSETS)
def test_the_definition_of_the_operators_gives_the_same(opset):
    """By the evaluator of onnx itself, in NumPy."""
    from onnx.reference import ReferenceEvaluator

    model, X = fitted("full")
    label, probabilities, log_density = ReferenceEvaluator(to_onnx(model, log_density=True, opset=opset)).run(None, {"X": X})
    agree({"label": label, "probabilities": probabilities, "log_density": log_density}, model, X)


def test_the_names_of_features_go_along():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    model, X = fitted("full")
    named = GaussianMixture(2, random_state=0).fit(pandas.DataFrame(X, columns=["länge", "b", "c"]))
    for source in (named, Model(named.mixture_, "full", ["länge", "b", "c"])):
        properties = {entry.key: entry.value for entry in to_onnx(source).metadata_props}
        assert json.loads(properties["columns"]) == ["länge", "b", "c"]
    assert not to_onnx(model).metadata_props


@pytest.mark.parametrize("make, message", [
    (lambda: to_onnx(GaussianMixture(2)), "instance is not fitted yet"),
    (lambda: to_onnx(3), "only a Mixture, a Model or a fitted GaussianMixture can become an ONNX model, not 3"),
    (lambda: to_onnx(fitted("full")[0], np.int64), "dtype must be numpy.float32 or numpy.float64"),
    (lambda: to_onnx(fitted("full")[0], opset=12), "opset must be at least 13, not 12")], ids=["not fitted", "a number", "dtype", "opset"])
def test_what_cannot_be_written_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# skl2onnx.


def skl2onnx():
    """skl2onnx, if it is installed, with the class registered."""
    with warnings.catch_warnings(action="ignore"):  # it deprecates some of its own names
        module = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
        register()
    return module


def converted(model, X, **options):
    module = skl2onnx()
    with warnings.catch_warnings(action="ignore"):
        return module.to_onnx(model, X[:1], **options)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_skl2onnx_converts_the_class(structure, opset):
    model, X = fitted(structure)
    found = evaluated(converted(model, X, target_opset=opset, options={id(model): {"score_samples": True}}), X)
    assert list(found) == ["label", "probabilities", "score_samples"]
    agree(found, model, X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_skl2onnx_converts_a_pipeline(structure, dtype):
    pipeline = pytest.importorskip("sklearn.pipeline", reason="scikit-learn is not installed")
    from sklearn.preprocessing import StandardScaler

    _, X = fitted(structure, dtype=dtype)
    model = pipeline.make_pipeline(StandardScaler(), GaussianMixture(3, covariance_type=structure, random_state=0)).fit(X)
    found = evaluated(converted(model, X), X)
    assert list(found) == ["label", "probabilities"] and found["probabilities"].dtype == dtype
    np.testing.assert_array_equal(found["label"], model.predict(X))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=0, atol=1e-12 if dtype == np.float64 else 1e-4)


def test_skl2onnx_gives_what_it_gives_of_the_class_of_scikit_learn():
    model, X = fitted("full")
    ours, theirs = (evaluated(converted(one, X), X) for one in (model, model.to_sklearn()))
    assert list(ours) == list(theirs)
    np.testing.assert_array_equal(ours["label"], theirs["label"].ravel())
    np.testing.assert_allclose(ours["probabilities"], theirs["probabilities"], rtol=0, atol=1e-12)


def test_a_subclass_is_registered_by_itself():
    class Mine(GaussianMixture):
        pass

    _, X = fitted("diag")
    model = Mine(2, random_state=0).fit(X)
    skl2onnx()
    register(Mine)
    agree(evaluated(converted(model, X), X), model, X)


def test_several_inputs_are_refused():
    module = skl2onnx()
    from skl2onnx.common.data_types import DoubleTensorType

    model, _ = fitted("full")
    with pytest.raises(ValueError, match="GaussianMixture reads one table of all features, not 2 inputs"):
        module.convert_sklearn(model, initial_types=[("a", DoubleTensorType([None, 1])), ("b", DoubleTensorType([None, 2]))])


def test_nothing_is_loaded_before_it_is_needed():
    import subprocess

    code = "import sys, gaussmix.onnx_export; print(*[name for name in ('onnx', 'skl2onnx', 'sklearn') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_only_the_class_and_its_subclasses_are_registered():
    pytest.importorskip("skl2onnx")
    with pytest.raises(TypeError, match="kind must be GaussianMixture or a subclass of it, not <class 'int'>"):
        register(int)

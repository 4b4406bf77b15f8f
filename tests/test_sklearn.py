"""What scikit-learn's GaussianMixture promises, each promise against scikit-learn's own class."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("sklearn")

import sklearn.mixture
from sklearn.base import clone, is_clusterer
from sklearn.exceptions import ConvergenceWarning as TheirConvergenceWarning
from sklearn.exceptions import NotFittedError as TheirNotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gaussmix
from gaussmix import GaussianMixture
from gaussmix.exceptions import in_use

Theirs = sklearn.mixture.GaussianMixture
TYPES = ["full", "tied", "diag", "spherical"]
ATTRIBUTES = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "converged_", "n_iter_", "lower_bound_",
              "lower_bounds_", "n_features_in_"]
RESULTS = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "lower_bound_", "lower_bounds_"]


def planted(n_rows=400, n_features=3, n_components=3, seed=0):
    rng = np.random.default_rng(seed)
    means = rng.normal(scale=4, size=(n_components, n_features))
    labels = rng.integers(n_components, size=n_rows)
    return means[labels] + rng.normal(size=(n_rows, n_features)) * (1 + labels[:, None] / 2), means


def given_start(covariance_type, n_features=3, n_components=3, seed=1):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_components, n_features, n_features))
    full = root @ root.transpose(0, 2, 1) / n_features + np.eye(n_features)
    precisions = {"full": full, "tied": full[0], "diag": full[:, 0] ** 2 + 0.5, "spherical": full[:, 0, 0]}[covariance_type]
    weights = rng.dirichlet(np.full(n_components, 5.0))
    return {"weights_init": weights, "means_init": rng.normal(scale=3, size=(n_components, n_features)),
            "precisions_init": precisions}


def both(X, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheirConvergenceWarning)
        return GaussianMixture(**parameters).fit(X), Theirs(**parameters).fit(X)


def names(kind):
    return list(kind().get_params())


def test_parameters_have_their_names_order_and_defaults():
    import inspect

    ours, theirs = (inspect.signature(kind.__init__).parameters for kind in (GaussianMixture, Theirs))
    assert list(ours)[:len(theirs)] == list(theirs)
    for name in theirs:
        assert (ours[name].default, ours[name].kind) == (theirs[name].default, theirs[name].kind), name
    for name in list(ours)[len(theirs):]:
        assert ours[name].kind == inspect.Parameter.KEYWORD_ONLY


def test_every_public_attribute_and_method_is_there():
    X, _ = planted()
    ours, theirs = both(X, n_components=2, random_state=0)
    assert {name for name in dir(theirs) if not name.startswith("_")} <= set(dir(ours))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("max_iter", [1, 7, 300])
def test_from_a_given_start_the_fit_is_theirs(covariance_type, max_iter):
    X, _ = planted()
    ours, theirs = both(X, n_components=3, covariance_type=covariance_type, max_iter=max_iter, tol=1e-6,
                        **given_start(covariance_type))
    for name in RESULTS:
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-7, atol=1e-9, err_msg=name)
        assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name))
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    assert type(ours.lower_bounds_) is list and len(ours.lower_bounds_) == ours.n_iter_
    new, _ = planted(50, seed=9)
    for method in ("predict_proba", "score_samples", "score", "bic", "aic"):
        assert_allclose(getattr(ours, method)(new), getattr(theirs, method)(new), rtol=1e-7, atol=1e-12, err_msg=method)
    assert_array_equal(ours.predict(new), theirs.predict(new))
    assert ours.predict(new).dtype == theirs.predict(new).dtype
    assert ours._n_parameters() == theirs._n_parameters() == ours.n_parameters_


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("given", ["weights_init", "means_init", "precisions_init"])
def test_a_start_given_in_part_is_completed_as_theirs(covariance_type, given):
    """With k-means on clusters that nobody misses the rest of the start is the same, up to the order of components."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 2)) + centre for centre in ([0, 0], [50, 0], [0, 80])])
    value = {"weights_init": [1 / 3, 1 / 3, 1 / 3], "means_init": [[1.0, 1], [51, 1], [1, 79]], "precisions_init": {
        "full": [2 * np.eye(2)] * 3, "tied": 2 * np.eye(2), "diag": np.full((3, 2), 2.0), "spherical": [2.0] * 3}[covariance_type]}
    ours, theirs = both(X, n_components=3, covariance_type=covariance_type, random_state=0, max_iter=50, **{given: value[given]})
    for model in (ours, theirs):
        model.order = np.argsort(model.means_ @ [1, 2])
    assert_allclose(ours.means_[ours.order], theirs.means_[theirs.order], rtol=1e-7, atol=1e-7)
    assert_allclose(ours.weights_[ours.order], theirs.weights_[theirs.order], rtol=1e-7)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_no_iteration_gives_the_start(covariance_type):
    """From clusters that k-means cannot miss; the order of components may differ."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 2)) + centre for centre in ([0, 0], [50, 0], [0, 80])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, theirs = (kind(3, covariance_type=covariance_type, max_iter=0, random_state=0).fit(X)
                        for kind in (GaussianMixture, Theirs))
    order = [np.argsort(model.means_ @ [1, 2]) for model in (ours, theirs)]
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if covariance_type != "tied" or name in ("weights_", "means_"):
            mine, other = mine[order[0]], other[order[1]]
        assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
    for name in ("n_iter_", "converged_", "lower_bound_", "lower_bounds_"):
        assert getattr(ours, name) == getattr(theirs, name), name


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("max_iter", [0, 1, 4, 100])
def test_from_the_same_rows_k_means_plus_plus_goes_their_way(covariance_type, max_iter, monkeypatch):
    """In tied their start's covariance is that of the origin, not of the data, and only the means after no iteration agree."""
    X, _ = planted()
    options = {"covariance_type": covariance_type, "init_params": "k-means++", "random_state": 0}
    means = GaussianMixture(3, max_iter=0, **options).fit(X).means_
    rows = np.array([np.flatnonzero((X == mean).all(axis=1))[0] for mean in means])
    monkeypatch.setattr("sklearn.mixture._base.kmeans_plusplus", lambda *args, **kwargs: (X[rows], rows))
    ours, theirs = both(X, n_components=3, max_iter=max_iter, **options)
    if max_iter == 0:
        assert_allclose(ours.means_, theirs.means_, rtol=1e-14)  # theirs are divided by 1 + 10 ε
    elif covariance_type != "tied":
        for name in ("weights_", "means_", "covariances_", "precisions_"):
            assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-7, atol=1e-9, err_msg=name)
        assert_allclose(ours.lower_bounds_[1:], theirs.lower_bounds_[1:], rtol=1e-9)
        assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    if max_iter == 0 and covariance_type != "tied":
        assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-3, atol=1e-12)


def test_warm_start_goes_on_where_it_stopped():
    X, _ = planted()
    start = given_start("full")
    ours, theirs = (kind(3, max_iter=2, tol=1e-9, warm_start=True, n_init=4, **start) for kind in (GaussianMixture, Theirs))
    for _ in range(4):
        with pytest.warns(TheirConvergenceWarning):
            ours.fit(X)
        with pytest.warns(TheirConvergenceWarning):
            theirs.fit(X)
        assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-9)
        assert_allclose(ours.means_, theirs.means_, rtol=1e-7)
    long = GaussianMixture(3, max_iter=8, tol=1e-9, **start)
    with pytest.warns(TheirConvergenceWarning):
        long.fit(X)
    assert_allclose(ours.means_, long.means_, rtol=1e-12)


def test_warm_start_makes_one_start(capsys):
    """Whatever n_init, as theirs."""
    X, _ = planted()
    for kind in (GaussianMixture, Theirs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TheirConvergenceWarning)
            model = kind(3, max_iter=2, n_init=3, tol=1e-9, warm_start=True, random_state=0).fit(X)
            capsys.readouterr()
            model.set_params(verbose=1).fit(X)
        printed = capsys.readouterr().out
        assert "Initialization 0" in printed and "Initialization 1" not in printed


def test_warm_start_converges_in_its_first_iteration_when_it_was_already_there():
    X, _ = planted()
    ours, theirs = (kind(3, tol=1e-5, max_iter=500, warm_start=True, **given_start("full")).fit(X).fit(X)
                    for kind in (GaussianMixture, Theirs))
    assert ours.n_iter_ == theirs.n_iter_ == 1 and ours.converged_ and theirs.converged_


def test_not_converged_warns_with_their_class_and_ours():
    X, _ = planted()
    for kind in (TheirConvergenceWarning, gaussmix.ConvergenceWarning, UserWarning):
        with pytest.warns(kind, match="did not converge"):
            GaussianMixture(3, max_iter=1, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", TheirConvergenceWarning)
        GaussianMixture(3, max_iter=1, random_state=0).fit(X)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "sample"])
def test_not_fitted_is_their_error_and_ours(method):
    for kind in (TheirNotFittedError, gaussmix.NotFittedError, ValueError, AttributeError):
        with pytest.raises(kind, match="is not fitted yet"):
            getattr(GaussianMixture(), method)(*([] if method == "sample" else [[[0.0]]]))


def test_warnings_and_errors_are_of_their_classes_whatever_their_own():
    for kind in (gaussmix.ConvergenceWarning, gaussmix.CollapseWarning, gaussmix.SpuriousOptimumWarning):
        assert issubclass(in_use(kind), kind) and issubclass(in_use(kind), TheirConvergenceWarning)
    assert issubclass(gaussmix.SpuriousOptimumWarning, gaussmix.CollapseWarning)
    assert issubclass(gaussmix.CollapseWarning, gaussmix.ConvergenceWarning)
    assert issubclass(in_use(gaussmix.InvalidParameterError), sklearn.utils._param_validation.InvalidParameterError)
    again = pickle.loads(pickle.dumps(in_use(gaussmix.CollapseWarning)("one", "two")))
    assert isinstance(again, TheirConvergenceWarning) and isinstance(again, gaussmix.CollapseWarning) and again.args == ("one", "two")


def test_errors_and_warnings_survive_a_process_boundary():
    with pytest.raises(gaussmix.NotFittedError) as caught:
        GaussianMixture().predict([[0.0]])
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, TheirNotFittedError) and again.args == caught.value.args


@pytest.mark.parametrize("verbose", [1, 2])
def test_verbose_prints_their_lines(verbose, capsys):
    import re

    X, _ = planted()
    printed = []
    for kind in (GaussianMixture, Theirs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind(3, verbose=verbose, verbose_interval=2, max_iter=9, tol=0, **given_start("full")).fit(X)
            kind(3, verbose=verbose, verbose_interval=3, tol=1e-2, **given_start("full")).fit(X)
            kind(3, verbose=verbose, verbose_interval=1, n_init=2, **given_start("full")).fit(X)
            kind(3, verbose=verbose, verbose_interval=1, max_iter=3, warm_start=True, **given_start("full")).fit(X).fit(X)
            kind(3, verbose=verbose, max_iter=0, n_init=3).fit(X)
        lines = capsys.readouterr().out.splitlines()
        printed.append([re.sub(r"time lapse [0-9.]+s", "time lapse", line) for line in lines])
    assert printed[0] == printed[1] and len(printed[0]) > 8


@pytest.mark.filterwarnings("ignore:covariance is not symmetric")  # scikit-learn's, of its own float32 covariances
@pytest.mark.parametrize("model_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_dtypes(model_dtype, dtype):
    X, _ = planted()
    ours, theirs = both((10 * X).astype(model_dtype), n_components=2, random_state=0)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(ours, name).dtype == getattr(theirs, name).dtype == model_dtype, name
    new = (10 * X).astype(dtype)
    for method in ("predict_proba", "score_samples", "predict"):
        assert getattr(ours, method)(new).dtype == getattr(theirs, method)(new).dtype, method
    for mine, other in zip(ours.sample(4), theirs.sample(4)):
        assert mine.dtype == other.dtype and mine.shape == other.shape


def test_sample_orders_rows_by_component_and_repeats_with_its_seed():
    X, _ = planted()
    ours = GaussianMixture(3, random_state=3).fit(X)
    rows, labels = ours.sample(20_000)
    assert (np.diff(labels) >= 0).all()
    assert_array_equal(rows, ours.sample(20_000)[0])
    for k in range(3):
        mine = rows[labels == k]
        standard_error = np.sqrt(np.diag(ours.covariances_[k]) / len(mine))
        assert (np.abs(mine.mean(axis=0) - ours.means_[k]) < 5 * standard_error).all()
        assert_allclose(np.cov(mine.T), ours.covariances_[k], atol=6 * np.abs(ours.covariances_[k]).max() / np.sqrt(len(mine)))
    for model in (ours, Theirs(3, random_state=0).fit(X)):
        with pytest.raises(ValueError, match="at least one sample"):
            model.sample(0)
        with pytest.raises(TypeError):
            model.sample("two")
        assert [model.sample(count)[0].shape for count in (1.5, True, np.int64(2))] == [(1, 3), (1, 3), (2, 3)]
        assert_array_equal(model.sample(3)[0], model.sample(3)[0])  # a whole number starts again
        model.random_state = np.random.RandomState(0)
        assert not np.array_equal(model.sample(3)[0], model.sample(3)[0])  # a generator goes on


@pytest.mark.parametrize("covariance_type", TYPES)
def test_attributes_may_be_set_by_hand(covariance_type):
    X, _ = planted()
    fitted = Theirs(3, covariance_type=covariance_type, random_state=0).fit(X)
    by_hand = GaussianMixture(3, covariance_type=covariance_type)
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        setattr(by_hand, name, getattr(fitted, name))
    assert_allclose(by_hand.predict_proba(X), fitted.predict_proba(X), rtol=1e-7, atol=1e-12)
    assert_allclose(by_hand.score(X), fitted.score(X), rtol=1e-10)
    assert by_hand.sample(5)[0].shape == (5, 3)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_attributes_changed_after_the_fit_count(covariance_type):
    X, _ = planted()
    theirs = Theirs(3, covariance_type=covariance_type, random_state=0).fit(X)
    ours = GaussianMixture.from_sklearn(theirs)
    refitted = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    means, roots = theirs.means_ + 0.5, theirs.precisions_cholesky_ * 1.25
    for model in (theirs, ours, refitted):
        model.means_, model.precisions_cholesky_, model.weights_ = means.copy(), roots, np.array([0.2, 0.3, 0.5])
    for model in (ours, refitted):
        assert_allclose(model.score_samples(X), theirs.score_samples(X), rtol=1e-9)
    for model in (theirs, ours, refitted):
        model.means_[0] += 1.0  # in place
    for model in (ours, refitted):
        assert_allclose(model.score_samples(X), theirs.score_samples(X), rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_scikit_learn_and_back(covariance_type, dtype):
    X = planted()[0].astype(dtype)
    ours = GaussianMixture(3, covariance_type=covariance_type, random_state=0, tol=1e-4).fit(X)
    theirs = ours.to_sklearn()
    assert type(theirs) is Theirs
    back = GaussianMixture.from_sklearn(theirs)
    again = back.to_sklearn()
    for name in ATTRIBUTES:
        for model in (theirs, back, again):
            assert_array_equal(getattr(model, name), getattr(ours, name), err_msg=name)
            assert type(getattr(model, name)) is type(getattr(ours, name)), name
    assert theirs.get_params() == again.get_params()
    assert back.get_params() == ours.get_params()
    assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), atol=1e-12 if dtype == np.float64 else 1e-3)
    assert_allclose(back.predict_proba(X), ours.predict_proba(X), rtol=1e-9 if dtype == np.float64 else 1e-3, atol=1e-5)
    theirs.means_[0], theirs.lower_bounds_[0] = 0, 0  # copies, not the same arrays
    assert_array_equal(back.means_, ours.means_)
    assert ours.means_[0].all() and ours.lower_bounds_[0]


def test_unfitted_and_foreign_models_to_and_from_scikit_learn():
    assert not hasattr(GaussianMixture(4, covariance_type="VVI").to_sklearn(), "means_")
    assert GaussianMixture(4, covariance_type="VVI").to_sklearn().covariance_type == "diag"
    assert GaussianMixture.from_sklearn(Theirs(4, tol=0.5)).tol == 0.5
    with pytest.raises(TypeError, match="BayesianGaussianMixture"):
        GaussianMixture.from_sklearn(sklearn.mixture.BayesianGaussianMixture())
    with pytest.raises(ValueError, match="auto"):
        GaussianMixture(reg_covar="auto").to_sklearn()
    for parameters in (dict(n_init="auto"), dict(init_params="kmeans_whitened")):
        with pytest.raises(ValueError, match="scikit-learn's class has neither n_init='auto' nor init_params="):
            GaussianMixture(**parameters).to_sklearn()
    with pytest.raises(ValueError, match="scikit-learn's class takes no Generator as random_state"):
        GaussianMixture(random_state=np.random.default_rng(0)).to_sklearn()


@pytest.mark.parametrize("parameters, X", [
    ({"n_components": 0}, None), ({"n_components": 2.5}, None), ({"tol": -1}, None), ({"reg_covar": -1e-3}, None),
    ({"max_iter": -1}, None), ({"n_init": 0}, None), ({"init_params": "nothing"}, None), ({"covariance_type": "round"}, None),
    ({"random_state": "now"}, None), ({"warm_start": 3}, None), ({"verbose": -1}, None), ({"verbose_interval": 0}, None),
    ({"n_components": 21}, None), ({"weights_init": [0.5, 0.6], "n_components": 2}, None),
    ({"weights_init": [-0.5, 1.5], "n_components": 2}, None), ({"weights_init": [[1.0]]}, None),
    ({"means_init": [[0.0]]}, None), ({"precisions_init": [[0.0]]}, None), ({"precisions_init": -np.eye(2)[None]}, None),
    ({"precisions_init": [[[1.0, 0.5], [0.2, 1.0]]]}, None),
    ({"reg_covar": 0}, np.ones((20, 2))),
    ({}, np.ones((1, 2))), ({}, np.ones((0, 2))), ({}, np.ones((5, 0))), ({}, np.ones(5)), ({}, np.ones((5, 2, 2))), ({}, 3.0),
    ({}, [[np.nan, 1.0], [0.0, 1.0]]), ({}, [[np.inf, 1.0], [0.0, 1.0]]), ({}, [["a", "b"], ["c", "d"]]),
    ({}, np.array([[1j, 0], [0, 1]])), ({}, [[{}, 1.0], [0.0, 1.0]]), ({}, np.array([[1j, 0], [0, 1]], dtype=object)),
    ({}, np.zeros(4, dtype=[("a", float), ("b", float)])), ({}, []), ({}, [[]]), ({}, {"a": [1.0, 2.0]}), ({}, object()),
    ({}, [["1", "b"], ["3", "4"]]), ({}, np.array([[b"1", b"b"]] * 3)), ({}, np.diag([1e300, -1e300, 1e300])), ({}, [[1.0, 2.0], [3.0]]),
    ({"n_components": True}, None), ({"tol": np.inf}, None), ({"reg_covar": np.inf}, None), ({"tol": 1j}, None), ({"max_iter": 2.0}, None),
    ({"n_init": np.array([2])}, None), ({"max_iter": np.True_}, None), ({"verbose": None}, None), ({"warm_start": None}, None),
    ({"init_params": 0}, None), ({"init_params": [1]}, None), ({"init_params": {}}, None), ({"random_state": [1]}, None),
    ({"random_state": 1.5}, None), ({"weights_init": 0}, None), ({"weights_init": "a"}, None), ({"weights_init": {}}, None),
    ({"weights_init": ["a"]}, None), ({"weights_init": [np.nan]}, None), ({"means_init": 0}, None), ({"means_init": [["a", "b"]]}, None),
    ({"means_init": [[np.inf, 0.0]]}, None), ({"precisions_init": 1.0}, None), ({"precisions_init": "a"}, None),
    ({"precisions_init": [[[1.0, 2.0], [2.0, 1.0]]]}, None), ({"precisions_init": [[1.0, 0.0]], "covariance_type": "diag"}, None),
    ({"precisions_init": [0.0], "covariance_type": "spherical"}, None),
])
def test_the_same_kind_of_error(parameters, X):
    X = np.random.default_rng(0).normal(size=(20, 2)) if X is None else X
    errors = []
    for kind in (GaussianMixture, Theirs):
        with pytest.raises((ValueError, TypeError)) as caught, warnings.catch_warnings():
            if kind is Theirs:
                warnings.simplefilter("ignore", RuntimeWarning)  # huge values overflow in theirs before they are refused
            kind(**parameters).fit(X)
        errors.append(caught.value)
    for builtin in (ValueError, TypeError):
        assert isinstance(errors[0], builtin) >= isinstance(errors[1], builtin), errors


@pytest.mark.parametrize("parameters", [{"max_iter": True}, {"max_iter": False}, {"n_init": True}, {"verbose_interval": True}, {"tol": True},
                                        {"verbose": np.True_}, {"verbose": True}, {"tol": np.float32(0.5)}, {"n_init": np.int8(2)},
                                        {"reg_covar": 0}, {"warm_start": np.False_}, {"random_state": np.int64(3)},
                                        {"random_state": np.random.RandomState(0)}],
                         ids=str)
def test_the_same_odd_values_serve(parameters):
    ours, theirs = both(planted()[0], **parameters)
    assert_allclose(ours.means_, theirs.means_, rtol=1e-9)
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)


@pytest.mark.parametrize("library, column", [("pandas", "text"), ("pandas", "dates"), ("pyarrow", "text"), ("polars", "text")])
def test_a_column_that_holds_no_numbers_is_the_same_kind_of_error(library, column):
    module = pytest.importorskip(library)
    dates = [np.datetime64("2020-01-01"), np.datetime64("2020-01-02"), np.datetime64("2020-01-03")]
    columns = {"size": [1.0, 2.0, 3.0], "when": dates if column == "dates" else ["a", "b", "c"]}
    table = (module.table if library == "pyarrow" else module.DataFrame)(columns)
    errors = []
    for kind in (GaussianMixture, Theirs):
        with pytest.raises((ValueError, TypeError)) as caught:
            kind().fit(table)
        errors.append(caught.value)
    assert isinstance(errors[0], TypeError) == isinstance(errors[1], TypeError), errors
    assert "column 'when'" in str(errors[0])


def test_feature_names_are_checked_as_theirs():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(planted(60)[0], columns=["a", "b", "c"])
    for kind in (GaussianMixture, Theirs):
        model = kind(2, random_state=0).fit(X)
        assert list(model.feature_names_in_) == ["a", "b", "c"] and model.feature_names_in_.dtype == object
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            model.predict(X.to_numpy())
        with pytest.raises(ValueError, match="must be in the same order"):
            model.predict(X[["b", "a", "c"]])
        with pytest.raises(ValueError, match="unseen at fit time:\n- d"):
            model.predict(X.rename(columns={"a": "d"}))
        for more in (5, 6):
            wide = pd.DataFrame(np.ones((3, more)), columns=[f"more{i}" for i in range(more)])
            with pytest.raises(ValueError, match="unseen at fit time") as caught:
                model.predict(wide)
            assert str(caught.value).count("- ...\n") == (more == 6) and "- a\n- b\n- c\n" in str(caught.value)
        with pytest.warns(UserWarning, match="X has feature names"):
            model.fit(X.to_numpy()).predict(X)
        assert not hasattr(model, "feature_names_in_")
        with pytest.raises(TypeError, match="only supported if all input features have string names"):
            model.fit(X.rename(columns={"a": 1}))


def test_clone_pipeline_and_searches():
    X, _ = planted()
    gm = GaussianMixture(3, random_state=0, init_params="k-means++", n_threads=1)
    assert clone(gm).get_params() == gm.get_params()
    pipeline = make_pipeline(StandardScaler(), gm).set_output(transform="pandas").fit(X)
    assert list(pipeline[-1].feature_names_in_) == ["x0", "x1", "x2"]
    assert pipeline.predict(X).shape == (len(X),)
    search = GridSearchCV(gm, {"n_components": [1, 2, 3], "covariance_type": ["full", "diag"]}, cv=3).fit(X)
    for candidate, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"]):
        assert score == pytest.approx(cross_val_score(gm.set_params(**candidate), X, cv=3).mean())
    assert search.best_params_["n_components"] == 3
    assert not is_clusterer(gm)


def test_metadata_routing_passes_sample_weight():
    X, _ = planted()
    weights = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    with pytest.raises(RuntimeError, match="enable_metadata_routing"):
        GaussianMixture().set_fit_request(sample_weight=True)
    with sklearn.config_context(enable_metadata_routing=True):
        gm = GaussianMixture(2, random_state=0)
        for method in ("fit", "score"):  # asks whoever passes weights to say whether they are meant for it
            assert getattr(gm.get_metadata_routing(), method).requests == {"sample_weight": None}
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), gm)
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            pipeline.fit(X, sample_weight=weights)
        assert gm.set_fit_request(sample_weight=True) is gm
        pipeline.fit(X, sample_weight=weights)
        assert pipeline[-1].get_metadata_routing().fit.requests == {"sample_weight": True}
        assert clone(gm).get_metadata_routing().fit.requests == {"sample_weight": True}
        alone = GaussianMixture(2, random_state=0).fit(StandardScaler().fit_transform(X), sample_weight=weights)
        assert_array_equal(pipeline[-1].means_, alone.means_)
        gm.get_metadata_routing().fit.add_request(param="sample_weight", alias=False)  # of a copy
        assert gm.get_metadata_routing().fit.requests == {"sample_weight": True}
        for answer in (False, None, "w", True):
            assert gm.set_fit_request(sample_weight=answer).get_metadata_routing().fit.requests == {"sample_weight": answer}
        assert gm.set_fit_request().get_metadata_routing().fit.requests == {"sample_weight": True}  # unchanged
        gm.set_score_request(sample_weight="w")
        scores = cross_val_score(gm, X, cv=2, params={"sample_weight": weights, "w": weights})
        half = len(X) // 2
        fitted = clone(gm).fit(X[half:], sample_weight=weights[half:])
        assert scores[0] == pytest.approx(fitted.score(X[:half], sample_weight=weights[:half]))


def test_representations():
    X, _ = planted()
    assert repr(GaussianMixture(int("1"), tol=float("0.001"), covariance_type="".join("full"))) == "GaussianMixture()"  # equal is enough
    gm = GaussianMixture(3, tol=0.5, means_init=np.zeros((3, 3)))
    assert repr(gm).startswith("GaussianMixture(n_components=3, tol=0.5, means_init=array(")
    with sklearn.config_context(display="diagram"):
        assert "sk-top-container" in gm._repr_html_()
        assert "sk-top-container" in make_pipeline(StandardScaler(), GaussianMixture(2).fit(X))._repr_html_()
    with sklearn.config_context(display="text"):
        assert gm._repr_html_().endswith("</pre>")
        assert "<script" not in GaussianMixture(covariance_type="<script>")._repr_html_()


# Subclasses.

HOOKS = sorted({name for kind in (Theirs, Theirs.__base__) for name, member in vars(kind).items()
                if name.startswith("_") and not name.endswith("__") and callable(member) and name != "_n_parameters"})


@pytest.mark.parametrize("hook", HOOKS)
def test_a_subclass_that_overrides_a_hook_is_refused(hook):
    """Theirs would call it."""
    for how in (lambda: type("Mine", (GaussianMixture,), {hook: lambda self, *args: None}),
                lambda: type("Mine", (type("Mixin", (), {hook: lambda self, *args: None}), GaussianMixture), {})):
        with pytest.raises(TypeError, match=f"^Mine overrides {hook}, .* instead [^\n]*$"):
            how()
    later = type("Mine", (GaussianMixture,), {})
    setattr(later, hook, lambda self, *args: None)
    here = GaussianMixture()
    setattr(here, hook, lambda *args: None)
    for model in (later(), here):
        with pytest.raises(TypeError, match=f"overrides {hook}, "):
            model.fit(planted()[0])


def test_a_subclass_that_uses_a_private_name_of_ours_by_chance_is_refused():
    with pytest.raises(TypeError, match="Mine has a method _hold, a name that is private to gaussmix's GaussianMixture"):
        type("Mine", (GaussianMixture,), {"_hold": lambda self, X: self})


def test_private_names_that_both_have_mean_the_same():
    """What a subclass written for theirs overrides or calls by such a name is refused, or is what it means."""
    private = {name for name in dir(GaussianMixture) if name.startswith("_") and not name.endswith("__")}
    assert private & set(dir(Theirs)) <= {"_estimate_log_prob", "_estimate_weighted_log_prob", "_n_parameters", "_get_param_names",
                                          "_repr_html_", "_estimator_type"}


def test_a_class_that_is_theirs_too_is_not_refused():
    """What it inherits from theirs it does not override."""
    class Both(GaussianMixture, Theirs):
        pass

    X, _ = planted()
    assert_array_equal(Both(2, random_state=0).fit(X).means_, GaussianMixture(2, random_state=0).fit(X).means_)
    assert isinstance(Both(), Theirs)


def test_what_replaces_an_m_step_of_ones_own():
    """One iteration at a time, as the refusal of `_m_step` says."""
    class EqualWeights(Theirs):
        def _m_step(self, X, log_resp, xp=None):
            super()._m_step(X, log_resp)
            self.weights_, self.means_ = np.full(3, 1 / 3), np.round(self.means_, 1)

    X, _ = planted()
    start = given_start("full")
    theirs = EqualWeights(3, max_iter=6, tol=0, **start)
    ours = GaussianMixture(3, max_iter=1, tol=0, warm_start=True, **start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheirConvergenceWarning)
        theirs.fit(X)
        for _ in range(6):
            ours.fit(X)
            ours.weights_, ours.means_ = np.full(3, 1 / 3), np.round(ours.means_, 1)
    for name in ("means_", "covariances_", "lower_bound_"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, err_msg=name)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_what_replaces_an_e_step_of_ones_own(covariance_type):
    """Responsibilities, as the refusal of `_e_step` says."""
    X, _ = planted()
    shares = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], len(X))
    theirs = Theirs(3, covariance_type=covariance_type)
    theirs._m_step(X, np.log(shares))
    ours = GaussianMixture(3, covariance_type=covariance_type, init_params=shares, max_iter=0).fit(X)
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_subclass_s_fit_predict_and_number_of_parameters_are_called_as_theirs():
    X, _ = planted()
    for kind in (GaussianMixture, Theirs):
        class Scaled(kind):
            def fit_predict(self, X, y=None):
                return super().fit_predict(X / 10)

            def _n_parameters(self):
                return 1000

        model = Scaled(1, reg_covar=0).fit(X)
        assert_allclose(model.means_[0], X.mean(axis=0) / 10, rtol=1e-12)
        assert_allclose(model.aic(X), -2 * len(X) * model.score(X) + 2000, rtol=1e-12)
        assert_allclose(model.bic(X), -2 * len(X) * model.score(X) + 1000 * np.log(len(X)), rtol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("n_features", [1, 3, 20])
def test_log_probabilities_of_the_components_are_theirs(covariance_type, n_features):
    X, _ = planted(n_features=n_features)
    theirs = Theirs(3, covariance_type=covariance_type, random_state=0).fit(X)
    ours = GaussianMixture.from_sklearn(theirs)
    with np.errstate(divide="ignore"):
        for weights in (theirs.weights_, np.array([0.25, 0.0, 0.75])):
            ours.weights_ = theirs.weights_ = weights
            for far in (1, 1e3, 1e8, 1e100):
                for name in ("_estimate_log_prob", "_estimate_weighted_log_prob"):
                    mine, other = getattr(ours, name)(far * X), getattr(theirs, name)(far * X)
                    assert mine.dtype == other.dtype == np.float64
                    assert_allclose(mine, other, rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("model_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_probabilities_of_the_components_have_their_type(model_dtype, dtype):
    X, _ = planted()
    theirs = Theirs(3, random_state=0).fit(X.astype(model_dtype))
    ours = GaussianMixture.from_sklearn(theirs)
    for name in ("_estimate_log_prob", "_estimate_weighted_log_prob"):
        mine, other = getattr(ours, name)(X.astype(dtype)), getattr(theirs, name)(X.astype(dtype))
        assert mine.dtype == other.dtype
        assert_allclose(mine, other, rtol=1e-4)


def test_log_probabilities_of_the_components_ask_for_no_names():
    """As scikit-learn's, which other code calls with the array of a table that it has checked."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(planted()[0], columns=["a", "b", "c"])
    gm = GaussianMixture(2, random_state=0).fit(table)
    assert_array_equal(gm._estimate_log_prob(table.to_numpy()), gm._estimate_log_prob(table))
    with pytest.raises(gaussmix.NotFittedError):
        GaussianMixture()._estimate_weighted_log_prob(table)
    with pytest.raises(ValueError, match="X has 2 features"):
        gm._estimate_log_prob(table[["a", "b"]])


def subclasses(kind):
    """The same subclass of either class, with added, dropped and renamed arguments, and with whatever **kwargs take."""
    class Added(kind):
        def __init__(self, n_components=1, *, base=None, level, tol=1e-2):
            super().__init__(n_components, tol=tol)
            self.base, self.level = base, level

    class Renamed(kind):
        def __init__(self, k=2, table=(1, 2)):
            super().__init__(k)
            self.k, self.table = k, table

    class Passed(kind):
        def __init__(self, n_components=2, colour="red", **kwargs):
            super().__init__(n_components, **kwargs)
            self.colour = colour

    class Varargs(kind):
        def __init__(self, *args):
            super().__init__(*args)

    return Added, Renamed, Passed, Varargs


def test_subclasses_have_the_parameters_that_theirs_have():
    from sklearn.cluster import KMeans

    ours, theirs = subclasses(GaussianMixture), subclasses(Theirs)
    arguments = [{"base": KMeans(3), "level": 0.5}, {"k": 3}, {"colour": "blue", "tol": 0.5, "max_iter": 7}]
    for mine, other, given in zip(ours, theirs, arguments):
        one, two = mine(**given), other(**given)
        assert list(one.get_params(deep=False).items()) == list(two.get_params(deep=False).items())
        assert list(one.get_params().items()) == list(two.get_params().items())
        assert sorted(repr(one)[:-1].partition("(")[2].split(", ")) == sorted(repr(two)[:-1].partition("(")[2].split(", "))
        assert list(map(str, clone(one).get_params().items())) == list(map(str, clone(two).get_params().items()))
        for model in (one, two):
            with pytest.raises(ValueError, match="Invalid parameter 'kwargs'"):
                model.set_params(kwargs={})
            assert model.fit(planted()[0]).predict(planted()[0]).shape == (400,)
    added = ours[0](**arguments[0])
    assert added.set_params(base__n_clusters=9, base__tol=0.25, n_components=4) is added
    assert (added.base.n_clusters, added.base.tol, added.n_components) == (9, 0.25, 4)
    added.set_params(base__n_clusters=2, base=KMeans(5))  # the new one's, whatever the order
    assert added.base.n_clusters == 2
    assert ours[0](base=KMeans, level=1).get_params()["base"] is KMeans  # a class has no parameters yet
    assert repr(ours[1](table=3)) == repr(theirs[1](table=3)) == "Renamed(table=3)"
    for kind in (ours[3], theirs[3]):
        with pytest.raises(RuntimeError, match="no varargs"):
            kind(2).get_params()

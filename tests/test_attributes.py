"""Attributes that a user sets in place of those of a fit: what they mean, and an error that names the one without a meaning."""

import pickle
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from direct import draw, log_joint, random_mixture
from gaussmix import GaussianMixture, Mixture, save

TYPES = ["full", "tied", "diag", "spherical"]
pytestmark = pytest.mark.filterwarnings("error")
X = np.random.default_rng(0).normal(size=(20, 2))


def by_hand(covariance_type="full", kind=GaussianMixture, **attributes):
    """An estimator of two components that was never fitted."""
    model = kind(2, covariance_type=covariance_type)
    shape = {"full": (2, 2, 2), "tied": (2, 2), "diag": (2, 2), "spherical": (2,)}[covariance_type]
    covariances = np.array(np.broadcast_to(2 * np.eye(2) if len(shape) > 1 and covariance_type != "diag" else 2.0, shape))
    for name, value in ({"weights_": np.array([0.25, 0.75]), "means_": np.array([[0.0, 0.0], [1.0, 3.0]]),
                         "covariances_": covariances} | attributes).items():
        setattr(model, name, value)
    return model


METHODS = {name: (lambda model, name=name: getattr(model, name)(X)) for name in (
    "predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl", "summary", "_estimate_log_prob",
    "_estimate_weighted_log_prob")}
METHODS |= {"sample": lambda model: model.sample(3), "summary of the fit": lambda model: model.summary(),
            "mixture_": lambda model: model.mixture_, "n_parameters_": lambda model: model.n_parameters_,
            "warm start": lambda model: model.set_params(warm_start=True).fit(X), "save": lambda model: save("nowhere.json", model)}

NAN, RAGGED, SINGULAR = float("nan"), [[1.0], [1.0, 2.0]], np.ones((2, 2))
SKEW = np.array([[1.0, 0.5], [0.0, 1.0]])
NONSENSE = [  # the structure, the attribute, its value, what the sentence says
    ("full", "means_", None, "means_ must be an array of real numbers, not None"),
    ("full", "means_", 3.0, "means_ must be an array"), ("full", "means_", "ab", "means_ must be an array"),
    ("full", "means_", RAGGED, "means_ must be an array"), ("full", "means_", {}, "means_ must be an array"),
    ("full", "means_", np.zeros((2, 2)) * 1j, "means_ must be an array"), ("full", "means_", [[10**400, 0], [0, 0]], "means_ must be"),
    ("full", "means_", np.zeros(2), "means_ must be of shape (K, D), a row for each component and a column"),
    ("full", "means_", np.zeros((0, 2)), "a column for each feature, not (0, 2)"),
    ("full", "means_", [[0, NAN], [0, 0]], "means_ must be finite, but means_[0, 1] is not"),
    ("full", "means_", np.zeros((3, 2)), "weights_ must be an array of real numbers, of shape (3,), not (2,)"),
    ("full", "weights_", None, "weights_ must be an array of real numbers, of shape (2,), not None"),
    ("full", "weights_", [0.5, 0.6], "weights_ must sum to one, but they sum to 1.1"), ("full", "weights_", [0.0, 0.0], "sum to 0"),
    ("full", "weights_", [-0.5, 1.5], "weights_ must not be negative, but weights_[0] is -0.5"),
    ("full", "weights_", [1e308, 1e308], "weights_ must sum to one, but they sum to inf"),
    ("full", "weights_", [NAN, 1.0], "weights_ must be finite, but weights_[0] is not"),
    ("full", "weights_", np.array([0.5, 0.5 + 1e-3], np.float32), "weights_ must sum to one"),
    ("full", "covariances_", None, "covariances_ must be an array of real numbers, of shape (2, 2, 2), not None"),
    ("full", "covariances_", np.eye(2), "covariances_ must be an array of real numbers, of shape (2, 2, 2), not (2, 2)"),
    ("full", "covariances_", [np.eye(2), SKEW], "covariances_[1] is not symmetric"), ("tied", "covariances_", SKEW, "covariances_ is not sym"),
    ("full", "covariances_", [np.eye(2), [[1.7e308, 1.7e308], [-1.7e308, 1.7e308]]], "covariances_[1] is not symmetric"),
    ("full", "covariances_", [SINGULAR, np.eye(2)], "covariances_[0] is not positive definite"),
    ("full", "covariances_", [np.eye(2), -np.eye(2)], "covariances_[1] is not positive definite"),
    ("tied", "covariances_", SINGULAR, "covariances_ is not positive definite"),
    ("diag", "covariances_", [[1, 1], [1, 0]], "covariances_[1] is not positive definite"),
    ("diag", "covariances_", [1.0, 1.0], "covariances_ must be an array of real numbers, of shape (2, 2), not (2,)"),
    ("spherical", "covariances_", [1, -1], "covariances_[1] is not positive definite"),
    ("spherical", "covariances_", [1, np.inf], "covariances_ must be finite, but covariances_[1] is not"),
    ("full", "precisions_cholesky_", [np.eye(2), SINGULAR], "precisions_cholesky_[1] must be triangular, as a Cholesky factor is"),
    ("full", "precisions_cholesky_", [np.eye(2), [[1, 1e-3], [1e-3, 1]]], "precisions_cholesky_[1] must be triangular"),
    ("full", "precisions_cholesky_", np.zeros((2, 2, 2)), "precisions_cholesky_[0] is singular"),
    ("full", "precisions_cholesky_", [np.eye(2), np.diag([1, 1e-320])], "precisions_cholesky_[1] is singular, or too large or small"),
    ("tied", "precisions_cholesky_", np.diag([1.0, 0.0]), "precisions_cholesky_ is singular"),
    ("diag", "precisions_cholesky_", [[1, 1], [0, 1]], "precisions_cholesky_[1] is singular"),
    ("spherical", "precisions_cholesky_", [1e-200, 1], "precisions_cholesky_[0] is singular, or too large or small"),
    ("spherical", "precisions_cholesky_", [1e200, 1], "precisions_cholesky_[0] is singular, or too large or small"),
    ("spherical", "precisions_cholesky_", [NAN, 1], "precisions_cholesky_ must be finite, but precisions_cholesky_[0] is not"),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("after", ["a fit", "no fit"])
def test_nonsense_is_one_sentence_that_names_the_attribute(method, after):
    for covariance_type, name, value, sentence in NONSENSE:
        if after == "no fit":
            model = by_hand(covariance_type, **{name: value})
        else:
            model = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
            setattr(model, name, value)
        with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
            METHODS[method](model)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [list, lambda a: a.astype(object), lambda a: a.astype(">f8"), lambda a: a.astype(np.longdouble)])
def test_attributes_may_be_of_any_kind_of_number(kind):
    given = by_hand(**{name: kind(getattr(by_hand(), name)) for name in ("weights_", "means_", "covariances_")})
    for method in ("predict_proba", "score_samples", "_estimate_log_prob", "predict"):
        assert_array_equal(getattr(given, method)(X), getattr(by_hand(), method)(X))
        assert getattr(given, method)(X).dtype == getattr(by_hand(), method)(X).dtype
    assert given.bic(X) == by_hand().bic(X)


def test_a_missing_attribute_is_named():
    model = by_hand()
    del model.means_
    with pytest.raises(ValueError, match="means_ must be an array of real numbers, not None"):
        model.predict(X)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("which", ["upper", "lower"])
def test_either_triangular_root_of_the_precisions_serves(covariance_type, which):
    """`np.linalg.cholesky(np.linalg.inv(covariances))`, which is lower triangular, serves in scikit-learn too."""
    rng = np.random.default_rng(1)
    weights, means, covariances = random_mixture(rng, 2, 3, covariance_type)
    rows = draw(rng, 50, weights, means, covariances)
    roots = np.linalg.cholesky(np.linalg.inv(covariances))
    if which == "upper":
        roots = np.linalg.inv(np.linalg.cholesky(covariances)).transpose(0, 2, 1)
    shaped = {"full": lambda a: a, "tied": lambda a: a[0], "diag": lambda a: np.einsum("kii->ki", a), "spherical": lambda a: a[:, 0, 0]}
    expected = log_joint(rows, weights, means, covariances)
    models = [GaussianMixture(2, covariance_type=covariance_type)]
    try:
        from sklearn.mixture import GaussianMixture as Theirs
    except ImportError:
        pass
    else:
        models.append(Theirs(2, covariance_type=covariance_type))
    for model in models:
        model.weights_, model.means_, model.precisions_cholesky_ = weights, means, shaped[covariance_type](roots)
        assert_allclose(model._estimate_weighted_log_prob(rows), expected, rtol=1e-10)
    assert_allclose(models[0].score_samples(rows), np.logaddexp.reduce(expected, axis=1), rtol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_covariances_changed_after_a_fit_count(covariance_type):
    """`covariances_` decide where only they were changed; where `precisions_cholesky_` were too, those do, as in scikit-learn."""
    fitted = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
    expected = fitted.mixture_
    for change in (lambda model: setattr(model, "covariances_", 4 * model.covariances_),
                   lambda model: np.multiply(model.covariances_, 4, out=model.covariances_)):
        model = pickle.loads(pickle.dumps(fitted))
        change(model)
        assert_allclose(model.mixture_.covariances, 4 * expected.covariances, rtol=1e-14)
        assert_allclose(model.sample(20)[0] - model.means_[model.sample(20)[1]],
                        2 * (fitted.sample(20)[0] - fitted.means_[fitted.sample(20)[1]]), rtol=1e-10, atol=1e-12)
        model.precisions_cholesky_ = model.precisions_cholesky_ / 3
        assert_allclose(model.mixture_.covariances, 9 * expected.covariances, rtol=1e-10)
    assert fitted.mixture_ is expected


def test_float32_attributes_may_be_rounded():
    """Weights sum to one and covariances are symmetric only to its rounding, in scikit-learn's too."""
    skew = np.array([[1.0, 0.5], [0.5 + 1e-6, 1.0]], np.float32)
    model = by_hand(weights_=np.array([0.3, 0.7], np.float32) * np.float32(1 + 1e-6), covariances_=np.array([skew, skew]))
    assert_allclose(model.score_samples(X), by_hand(weights_=[0.3, 0.7], covariances_=[[[1, 0.5], [0.5, 1]]] * 2).score_samples(X),
                    atol=1e-4)
    with pytest.raises(ValueError, match="weights_ must sum to one"):
        by_hand(weights_=np.array([0.3, 0.7]) * (1 + 1e-5)).mixture_
    with pytest.raises(ValueError, match=r"covariances_\[0\] is not symmetric"):
        by_hand(covariances_=np.array([skew, skew], np.float64) + np.array([[0, 1e-5], [0, 0]])).mixture_


def test_warm_start_goes_on_from_attributes_set_by_hand():
    start = {"weights_init": [0.25, 0.75], "means_init": [[0.0, 0.0], [1.0, 3.0]], "precisions_init": [np.eye(2) / 2] * 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = GaussianMixture(2, max_iter=3, tol=0, **start).fit(X)
        warm = by_hand().set_params(warm_start=True, max_iter=3, tol=0).fit(X)
    assert_allclose(warm.means_, given.means_, rtol=1e-12)
    assert_allclose(warm.lower_bounds_, given.lower_bounds_, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("size", [1.7e308, 1e300, 1e-290])
def test_numbers_at_the_end_of_the_range_are_numbers(covariance_type, size):
    """Nothing warns of an overflow on the way, and what float32 cannot hold is −∞ there."""
    model = by_hand(covariance_type)
    model.covariances_ = model.covariances_ / 2 * size
    covariances = np.array([size * np.eye(2)] * 2)
    for rows in (X, 1e3 * X):
        expected = log_joint(rows, model.weights_, model.means_, covariances)
        assert_allclose(model._estimate_weighted_log_prob(rows), expected, rtol=1e-12)
        assert_allclose(model.score_samples(rows), np.logaddexp.reduce(expected, axis=1), rtol=1e-12)
    single = model.mixture_.logpdf(X.astype(np.float32))
    expected = np.logaddexp.reduce(log_joint(X, model.weights_, model.means_, covariances), axis=1)
    assert_allclose(single, expected if size > 1 else np.full(20, -np.inf), rtol=1e-6)
    assert model.summary(X) and repr(model.mixture_) and np.isfinite(model.sample(10)[0]).all()
    assert_allclose(np.diag(model.mixture_.cov), size * np.ones(2) + 3 / 16 * np.array([1.0, 9.0]), rtol=1e-12)


def test_a_mixture_wider_than_the_range_is_infinite_there():
    wide = Mixture([0.5, 0.5], [[1e300, 0.0], [-1e300, 1.7e308]], [1.7e308 * np.eye(2)] * 2)
    assert wide.cov[0, 0] == np.inf
    assert_array_equal(wide.logpdf([[-1.7e308, -1.7e308]]), [-np.inf])
    edge = Mixture([1.0], [[1.797e308]], [[[1.7e308]]])
    assert not np.isnan(edge.rvs(1000, random_state=0)).any()

"""Sample weights: integer weights equal repeated rows, zero weights equal absent rows."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from gaussmix import GaussianMixture

TYPES = ["full", "tied", "diag", "spherical"]
NAMES = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "lower_bounds_", "n_iter_"]


def planted(seed=0, n_rows=200):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n_rows)
    return rng.normal(scale=5, size=(3, 2))[labels] + rng.normal(size=(n_rows, 2)), rng.integers(0, 4, n_rows)


def start(X, covariance_type):
    precisions = {"full": np.array([np.eye(2)] * 3), "tied": np.eye(2), "diag": np.ones((3, 2)), "spherical": np.ones(3)}
    return {"weights_init": [0.2, 0.3, 0.5], "means_init": X[:3], "precisions_init": precisions[covariance_type]}


def assert_same_fit(a, b):
    for name in NAMES:
        assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("reg_covar", [1e-6, "auto"])
def test_integer_weights_equal_repeated_rows_from_a_given_start(covariance_type, reg_covar):
    X, times = planted()
    gm = {"covariance_type": covariance_type, "reg_covar": reg_covar, **start(X, covariance_type)}
    weighted = GaussianMixture(3, **gm).fit(X, sample_weight=times)
    repeated = GaussianMixture(3, **gm).fit(np.repeat(X, times, axis=0))
    assert_same_fit(weighted, repeated)
    assert_array_equal(GaussianMixture(3, **gm).fit_predict(X, sample_weight=times), weighted.predict(X))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_zero_weights_equal_absent_rows_whatever_they_hold(covariance_type):
    X, times = planted()
    X[times == 0] *= 1e3
    gm = {"covariance_type": covariance_type, **start(X[times > 0], covariance_type)}
    assert_same_fit(GaussianMixture(3, **gm).fit(X, sample_weight=(times > 0).astype(float)),
                    GaussianMixture(3, **gm).fit(X[times > 0]))


@pytest.mark.parametrize("reg_covar", [1e-6, "auto"])
def test_a_feature_that_only_rows_without_weight_vary_is_constant(reg_covar):
    """Rows of weight zero do not affect reg_covar, its warning or the errors either."""
    X, times = planted()
    X[:, 1] = np.where(times > 0, 3.0, X[:, 1])
    gm = {"reg_covar": reg_covar, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_fit(GaussianMixture(3, **gm).fit(X, sample_weight=times > 0), GaussianMixture(3, **gm).fit(X[times > 0]))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("reg_covar", [1e-6, "auto"])
@pytest.mark.parametrize("init_params", ["k-means++", "kmeans", "random_from_data"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore:A spurious optimum")  # in which a start on random rows may end
def test_the_starts_on_rows_are_the_same_too(init_params, seed, covariance_type, reg_covar):
    X, times = planted(seed)
    gm = {"init_params": init_params, "random_state": seed, "covariance_type": covariance_type, "reg_covar": reg_covar}
    assert_same_fit(GaussianMixture(3, **gm).fit(X, sample_weight=times), GaussianMixture(3, **gm).fit(np.repeat(X, times, axis=0)))
    assert_same_fit(GaussianMixture(3, **gm).fit(X, sample_weight=times > 0), GaussianMixture(3, **gm).fit(X[times > 0]))


def test_random_responsibilities_are_the_same_in_distribution():
    """This holds although each row has a single draw, not as many as its weight."""
    X, times = planted(n_rows=60)

    def starts(rows, seeds, sample_weight=None):
        models = (GaussianMixture(2, init_params="random", max_iter=0, random_state=seed).fit(rows, sample_weight=sample_weight)
                  for seed in seeds)
        return np.array([[model.weights_[0], *model.means_[0], *model.covariances_[0, 0]] for model in models])

    weighted, repeated = starts(X, range(600), times), starts(np.repeat(X, times, axis=0), range(600, 1200))
    for one, other in zip(weighted.T, repeated.T):
        assert stats.ks_2samp(one, other).pvalue > 1e-3
    assert_allclose(starts(X, [0], np.ones(60)), starts(X, [0]), rtol=1e-12)


@pytest.mark.parametrize("init_params", ["random", "random_from_data"])
def test_rows_without_weight_do_not_start_a_component(init_params):
    X, times = planted()
    X[times == 0] = 1e4
    gm = GaussianMixture(3, init_params=init_params, random_state=0).fit(X, sample_weight=times)
    assert np.abs(gm.means_).max() < 100


def test_one_number_for_all_and_lists_are_weights():
    X, times = planted()
    plain = GaussianMixture(3, random_state=0).fit(X)
    assert_same_fit(plain, GaussianMixture(3, random_state=0).fit(X, sample_weight=1.0))
    assert_same_fit(GaussianMixture(3, random_state=0).fit(X, sample_weight=times),
                    GaussianMixture(3, random_state=0).fit(X, sample_weight=times.tolist()))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_scale_of_the_weights_changes_no_parameter(covariance_type):
    X, times = planted()
    gm = {"covariance_type": covariance_type, **start(X, covariance_type)}
    one = GaussianMixture(3, **gm).fit(X, sample_weight=times)
    assert_same_fit(one, GaussianMixture(3, **gm).fit(X, sample_weight=times / times.sum()))
    assert one.bic(X, sample_weight=times) != pytest.approx(one.bic(X, sample_weight=times / times.sum()))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("exponent", [30, -30, 900, -900])
def test_weights_times_a_power_of_two_give_the_same_bits(covariance_type, exponent):
    """However far: rescaled by a power of two, or not at all, they change nothing but exponents."""
    X, times = planted()
    for dtype in (np.float64, np.float32):
        gm = {"covariance_type": covariance_type, **start(X, covariance_type)}
        one = GaussianMixture(3, **gm).fit(X.astype(dtype), sample_weight=times)
        other = GaussianMixture(3, **gm).fit(X.astype(dtype), sample_weight=np.ldexp(times.astype(float), exponent))
        for name in NAMES:
            assert_array_equal(getattr(other, name), getattr(one, name), err_msg=name)


def test_a_column_that_only_rows_without_weight_vary_is_constant():
    """Which reg_covar="auto" asks of each column: a constant one gets a part of the mean of the others' variances."""
    X, weights = planted()[0][:50], np.ones(52)
    X = np.column_stack([X, np.full(50, 7.0)])
    more = np.vstack([X, [[0.0, 0.0, 3.0], [1.0, 1.0, 9.0]]])
    weights[50:] = 0
    gm = GaussianMixture(1, covariance_type="diag", reg_covar="auto").fit(more, sample_weight=weights)
    assert_allclose(gm.covariances_[0, 2], 1e-6 * X[:, :2].var(axis=0).mean(), rtol=1e-12)

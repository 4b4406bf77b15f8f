"""Sample weights: integer weights equal repeated rows, zero weights equal absent rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

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


@pytest.mark.parametrize("init_params", ["k-means++", "kmeans", "random_from_data"])
@pytest.mark.parametrize("seed", range(5))
def test_the_starts_on_rows_are_the_same_too(init_params, seed):
    X, times = planted(seed)
    weighted, repeated = (GaussianMixture(3, init_params=init_params, random_state=seed) for _ in range(2))
    assert_same_fit(weighted.fit(X, sample_weight=times), repeated.fit(np.repeat(X, times, axis=0)))


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

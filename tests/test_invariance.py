"""Changes that must not affect a result: weights in place of repeated rows, the order of rows, the origin and the units."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import pytest

from direct import STRUCTURES
from gaussmix import GaussianMixture

seeds = st.integers(0, 2**32 - 1)
structures = st.sampled_from(STRUCTURES)
quick = settings(max_examples=25, deadline=None)


def problem(seed):
    """A few groups of rows, and responsibilities that tell them apart a little: a start away from every fixed point."""
    rng = np.random.default_rng(seed)
    n_rows, n_features, n_components = rng.integers(60, 220), rng.integers(1, 5), rng.integers(1, 4)
    groups = rng.integers(0, n_components, size=n_rows)
    X = rng.normal(size=(n_rows, n_features)) + 3 * rng.normal(size=(n_components, n_features))[groups]
    shares = 0.5 * rng.dirichlet(np.ones(n_components), size=n_rows) + 0.5 * np.eye(n_components)[groups]
    return rng, X, shares


def fitted(X, shares, structure, sample_weight=None, **options):
    model = GaussianMixture(shares.shape[1], covariance_type=structure, init_params=shares, reg_covar=0, tol=0, max_iter=8, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, sample_weight=sample_weight)


def same(one, other, rtol=1e-8):
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol,
                                   atol=rtol * np.abs(getattr(other, name)).max())
    np.testing.assert_allclose(one.history_, other.history_, rtol=rtol, atol=rtol)


@quick
@given(seeds, structures)
def test_a_weight_is_a_number_of_repeats(seed, structure):
    rng, X, shares = problem(seed)
    repeats = rng.integers(0, 4, size=len(X))
    weighted = fitted(X, shares, structure, repeats)
    repeated = fitted(np.repeat(X, repeats, axis=0), np.repeat(shares, repeats, axis=0), structure)
    absent = fitted(X[repeats > 0], shares[repeats > 0], structure, repeats[repeats > 0].astype(float))
    same(weighted, repeated)
    same(absent, repeated)
    many = np.repeat(X, repeats, axis=0)
    for criterion in ("bic", "aic", "score"):
        np.testing.assert_allclose(getattr(weighted, criterion)(X, sample_weight=repeats), getattr(weighted, criterion)(many), rtol=1e-11)


@quick
@given(seeds, structures, st.sampled_from([1e-300, 1e-200, 1e-30, 1e-3, 7.0, 1e30, 1e200, 1e300]),
       st.sampled_from([np.float64, np.float32]))
def test_only_the_proportions_of_weights_count(seed, structure, factor, dtype):
    rng, X, shares = problem(seed)
    X, weights = X.astype(dtype), rng.uniform(0.5, 2, size=len(X))
    same(fitted(X, shares, structure, weights * factor), fitted(X, shares, structure, weights),
         rtol=1e-8 if dtype == np.float64 else 1e-3)


@pytest.mark.parametrize("weight", [1e307, 1e-305, 2.0**-1060])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equal_weights_at_the_ends_of_double_are_no_weights(weight, dtype):
    X = np.random.default_rng(0).normal(size=(100, 2)).astype(dtype)
    weighted, plain = (GaussianMixture(2, random_state=0).fit(X, sample_weight=w) for w in (np.full(100, weight), None))
    same(weighted, plain, rtol=1e-8 if dtype == np.float64 else 1e-3)


@quick
@given(seeds, structures)
def test_the_order_of_rows_does_not_matter(seed, structure):
    rng, X, shares = problem(seed)
    order = rng.permutation(len(X))
    same(fitted(X[order], shares[order], structure), fitted(X, shares, structure))


@quick
@given(seeds, structures)
def test_the_order_of_features_and_components_does_not_matter(seed, structure):
    rng, X, shares = problem(seed)
    features, components = rng.permutation(X.shape[1]), rng.permutation(shares.shape[1])
    one, other = fitted(X[:, features], shares[:, components], structure), fitted(X, shares, structure)
    np.testing.assert_allclose(one.weights_, other.weights_[components], rtol=1e-8)
    np.testing.assert_allclose(one.means_, other.means_[components][:, features], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(one.mixture_.covariances, other.mixture_.covariances[components][:, features][:, :, features],
                               rtol=1e-7, atol=1e-8)


@quick
@given(seeds, structures, st.integers(-27, 27), st.sampled_from([-1.0, 1.0]))
def test_a_shift_moves_the_means_alone(seed, structure, exponent, sign):
    _, X, shares = problem(seed)
    X, offset = np.round(X * 256) / 256, sign * 2.0**exponent if exponent >= 0 else 0.0
    moved, still = fitted(X + offset, shares, structure), fitted(X, shares, structure)
    np.testing.assert_allclose(moved.weights_, still.weights_, rtol=1e-9)
    np.testing.assert_allclose(moved.means_ - offset, still.means_, rtol=1e-9, atol=1e-9 + 2 * np.spacing(abs(offset)))
    np.testing.assert_allclose(moved.covariances_, still.covariances_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moved.history_, still.history_, rtol=1e-10)


@quick
@given(seeds, structures, st.integers(-400, 400))
def test_the_unit_of_the_data_does_not_matter(seed, structure, exponent):
    """Scaling by a power of two is exact, so that only the logarithm of the density is rounded elsewhere."""
    _, X, shares = problem(seed)
    unit = 2.0**exponent
    scaled, plain = fitted(X * unit, shares, structure), fitted(X, shares, structure)
    np.testing.assert_allclose(scaled.means_ / unit, plain.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scaled.covariances_ / unit / unit, plain.covariances_, rtol=1e-8, atol=1e-9)
    shift = X.shape[1] * exponent * np.log(2)
    np.testing.assert_allclose(np.array(scaled.history_) + shift, plain.history_, rtol=1e-10, atol=1e-12 * (1 + abs(shift)))


@quick
@given(seeds, st.lists(st.floats(1e-4, 1e4), min_size=4, max_size=4))
def test_units_of_features_do_not_matter(seed, units):
    _, X, shares = problem(seed)
    units = np.array(units[: X.shape[1]])
    for structure in ("full", "tied", "diag"):
        scaled, plain = fitted(X * units, shares, structure), fitted(X, shares, structure)
        np.testing.assert_allclose(scaled.weights_, plain.weights_, rtol=1e-7)
        np.testing.assert_allclose(scaled.mixture_.covariances / units / units[:, None], plain.mixture_.covariances,
                                   rtol=1e-6, atol=1e-7 * np.abs(plain.mixture_.covariances).max())


@quick
@given(seeds)
def test_a_rotation_turns_the_fit(seed):
    rng, X, shares = problem(seed)
    turn = np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0]
    for structure in ("full", "tied", "spherical"):
        turned, plain = fitted(X @ turn.T, shares, structure), fitted(X, shares, structure)
        np.testing.assert_allclose(turned.means_, plain.means_ @ turn.T, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(turned.mixture_.covariances, turn @ plain.mixture_.covariances @ turn.T, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(turned.history_, plain.history_, rtol=1e-9, atol=1e-9)


@quick
@given(seeds, structures, st.sampled_from(["kmeans", "k-means++", "random_from_data"]))
def test_a_start_does_not_see_the_unit(seed, structure, start):
    _, X, shares = problem(seed)
    outcomes = []
    for unit in (1.0, 2.0**-60, 2.0**60):
        model = GaussianMixture(shares.shape[1], covariance_type=structure, init_params=start, random_state=seed, reg_covar=0, max_iter=0)
        try:
            outcomes.append(model.fit(X * unit).means_ / unit)
        except ValueError as error:  # a component with too few rows, then in any unit
            outcomes.append(str(error))
    np.testing.assert_array_equal(outcomes[1], outcomes[0])
    np.testing.assert_array_equal(outcomes[2], outcomes[0])


def test_kmeans_start_draws_the_same_rows_for_weights_and_for_adjacent_repeats():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, repeats = rng.normal(size=(150, 2)), rng.integers(0, 4, size=150)
        options = {"n_components": 4, "random_state": seed, "max_iter": 0}
        weighted = GaussianMixture(**options).fit(X, sample_weight=repeats)
        repeated = GaussianMixture(**options).fit(np.repeat(X, repeats, axis=0))
        np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-9)
        np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_rows", [2, 95, 96, 97, 6 * 96, 6 * 96 + 1])
def test_as_many_rows_as_it_takes(n_rows):
    """One component on any number of rows is their mean and covariance."""
    X = np.random.default_rng(n_rows).normal(size=(n_rows, 2))
    model = GaussianMixture(1, reg_covar=1e-6).fit(X)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(model.covariances_[0], np.cov(X.T, bias=True).reshape(2, 2) + 1e-6 * np.eye(2), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_as_many_components_as_rows(structure):
    X = np.random.default_rng(0).normal(size=(97, 2))
    model = GaussianMixture(97, covariance_type=structure, init_params=np.arange(97), reg_covar=1e-6, max_iter=0).fit(X)
    np.testing.assert_allclose(model.means_, X, rtol=1e-14)
    np.testing.assert_allclose(model.mixture_.covariances, np.broadcast_to(1e-6 * np.eye(2), (97, 2, 2)), rtol=1e-9, atol=1e-20)

"""Cholesky, triangular inverse, log-determinant; and what counts as singular."""

import numpy as np
import pytest

from direct import random_mixture, structure_of
from gaussmix._core.linalg import gram, whiten
from gaussmix._core.densities import Kind

EPSILON = np.finfo(float).eps


def covariance(seed, n):
    return random_mixture(np.random.default_rng(seed), 1, n)[2][0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 17, 33, 64, 100, 257])
def test_the_inverse_factor_whitens(n):
    sigma = covariance(n, n)
    inverse, half_log_determinant = whiten(sigma)
    assert (np.triu(inverse, 1) == 0).all() and (np.diag(inverse) > 0).all()
    np.testing.assert_allclose(inverse @ sigma @ inverse.T, np.eye(n), atol=1e-12)
    np.testing.assert_allclose(inverse, np.linalg.inv(np.linalg.cholesky(sigma)), rtol=1e-10, atol=1e-12)
    sign, expected = np.linalg.slogdet(sigma)
    assert sign == 1 and 2 * half_log_determinant == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 63, 64, 65, 100, 257])
def test_gram_is_the_product_of_the_transpose_and_the_matrix(n):
    lower = np.tril(np.random.default_rng(n).normal(size=(3, n, n)))
    np.testing.assert_allclose(gram(lower), np.einsum("kti,ktj->kij", lower, lower), rtol=0, atol=1e-13 * n)
    assert gram(np.zeros((0, n, n))).shape == (0, n, n)
    with pytest.raises(ValueError, match="square"):
        gram(np.zeros((1, n, n + 1)))


def test_only_the_lower_triangle_is_read_and_nothing_written():
    sigma = covariance(1, 5)
    spoiled = sigma + np.triu(np.full((5, 5), 7.0), 1)
    before = spoiled.copy()
    for order in ("C", "F"):
        np.testing.assert_array_equal(whiten(np.asarray(spoiled, order=order))[0], whiten(sigma)[0])
    np.testing.assert_array_equal(spoiled, before)


def test_log_determinants_beyond_the_range_of_determinants():
    for scale in (1e-200, 1e200):
        assert whiten(scale * np.eye(50))[1] == pytest.approx(25 * np.log(scale), rel=1e-14)


@pytest.mark.parametrize("bad", [[[0.0]], [[-1.0]], [[1.0, 0], [2.0, 1.0]], np.ones((3, 3)) - 2 * np.eye(3), [[np.nan]]])
def test_what_has_no_factor_is_refused(bad):
    with pytest.raises(ValueError, match="not positive definite"):
        whiten(bad)


@pytest.mark.parametrize("bad", [[1.0], [[1.0, 2.0]], np.zeros((2, 2, 2)), 1.0])
def test_what_is_not_square_is_refused(bad):
    with pytest.raises(ValueError, match="square"):
        whiten(bad)


def test_an_empty_matrix():
    inverse, half = whiten(np.zeros((0, 0)))
    assert inverse.shape == (0, 0) and half == 0


def factorized(kind, covariances, weights=None):
    covariances = np.asarray(covariances, dtype=float)
    n_components = len(covariances) if weights is None else len(weights)
    p = structure_of(kind).parameters(n_components, covariances.shape[-1])
    p.weights[...] = 1 / n_components if weights is None else weights
    p.covariances[...] = covariances[0] if kind == Kind.TIED else covariances
    return p, structure_of(kind).factorize(p)


def test_factors_and_coefficients_of_each_kind():
    rng = np.random.default_rng(0)
    weights, _, covariances = random_mixture(rng, 3, 4)
    for kind, value in ((Kind.FULL, covariances), (Kind.TIED, covariances[:1]), (Kind.DIAG, np.einsum("kii->ki", covariances))):
        p, singular = factorized(kind, value, weights)
        assert singular == -1
        if kind == Kind.DIAG:
            full = value[:, :, None] * np.eye(4)
            np.testing.assert_allclose(p.densities.factors, value**-0.5, rtol=1e-15)
        else:
            full = np.broadcast_to(value, (3, 4, 4))
            for factor, sigma in zip(p.densities.factors, value):
                np.testing.assert_allclose(factor, whiten(sigma)[0], rtol=1e-14)
        expected = np.log(weights) - 2 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(full)[1]
        np.testing.assert_allclose(p.densities.log_constants, expected, rtol=1e-13)


def test_the_first_singular_component_is_named():
    good, bad = np.eye(2), np.ones((2, 2))
    assert factorized(Kind.FULL, [good, bad, good])[1] == 1
    assert factorized(Kind.FULL, [good, good, bad])[1] == 2
    assert factorized(Kind.TIED, [bad], weights=[0.5, 0.5])[1] == 0
    assert factorized(Kind.DIAG, [[1, 1], [1, 0], [0, 1]])[1] == 1
    for value in (np.nan, np.inf, -1.0, 1e-300):
        assert factorized(Kind.DIAG, [[1.0, value]])[1] == 0
        assert factorized(Kind.FULL, [np.diag([1.0, value])])[1] == 0


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("unit", [1.0, 1e-60, 1e60])
def test_singular_is_what_rounding_cannot_tell_from_singular(n, unit):
    """A last feature that the others explain but for a share s: singular for s far below 4 D ε, regular far above, in any unit."""
    rng = np.random.default_rng(n)
    root = np.tril(rng.normal(size=(n, n))) + 3 * np.eye(n)
    for share, expected in ((1e-17, 0), (100 * n * EPSILON, -1), (1e-10, -1)):
        row = root.copy()
        row[-1] *= np.sqrt(1 - share) / np.linalg.norm(row[-1, :-1])
        row[-1, -1] = np.sqrt(share)
        sigma = unit * row @ row.T
        sigma = np.tril(sigma) + np.tril(sigma, -1).T
        assert factorized(Kind.FULL, [sigma])[1] == expected


def test_the_limit_of_singular_grows_with_the_number_of_features():
    """Two features of correlation c = 1 − s ε / 2, so that the squared pivot is s ε exactly, among D: singular up to s = 4 D."""
    for n in (2, 3, 30, 100):
        for share, expected in ((4 * n - 2, 0), (4 * n + 2, -1)):
            sigma = np.eye(n)
            sigma[-1, 0] = sigma[0, -1] = 1 - share / 2 * EPSILON
            assert 1 - sigma[-1, 0] ** 2 == share * EPSILON
            assert factorized(Kind.FULL, [sigma])[1] == expected
            assert factorized(Kind.TIED, [sigma])[1] == expected


@pytest.mark.parametrize("scale", [1.0, 2.0**-300, 2.0**300])
def test_the_smallest_variance_is_that_whose_squares_have_all_their_digits(scale):
    """2⁻¹⁰²²/ε, whatever the other variances are."""
    smallest = float(np.finfo(float).tiny) / EPSILON
    for value, expected in ((smallest, -1), (np.nextafter(smallest, 0), 0)):
        assert factorized(Kind.DIAG, [[scale, value]])[1] == expected
        assert factorized(Kind.FULL, [np.diag([scale, value])])[1] == expected


def test_a_weight_of_zero_has_no_density_and_is_no_error():
    p, singular = factorized(Kind.DIAG, [[1.0], [1.0]], weights=[1.0, 0.0])
    assert singular == -1 and p.densities.log_constants[1] == -np.inf

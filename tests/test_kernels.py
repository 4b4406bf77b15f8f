"""The kernels against direct evaluation, over shapes on both sides of every tile, lane and register boundary."""

import numpy as np
import pytest

from direct import (as_kept, core_parameters, draw, evaluated, log_joint, moments, of_kind, one_pass, random_mixture)
from gaussmix._core.parameters import Kind
from scipy.special import logsumexp

FEATURES = (*range(1, 21), 31, 32, 33, 64, 100)
COMPONENTS = (1, 2, 3, 7, 40)
ROWS = (1, 5, 95, 96, 97, 1000)
KINDS = (Kind.FULL, Kind.TIED, Kind.DIAG)
NAMES = {Kind.FULL: "full", Kind.TIED: "tied", Kind.DIAG: "diag"}


def components_for(n_features):
    """Every number of components for few features; for many, what the time allows."""
    return COMPONENTS if n_features in (1, 2, 3, 8, 16, 17) else (1, 7) if n_features < 30 else (3,)


def case(n_features, n_components, kind, dtype):
    rng = np.random.default_rng([n_features, n_components, int(kind)])
    mixture = random_mixture(rng, n_components, n_features, NAMES[kind], spread=1.0)
    X = draw(rng, max(ROWS), *mixture).astype(dtype)
    return X, rng.uniform(0.1, 3, size=len(X)) * (rng.random(len(X)) > 0.1), mixture


def tolerance(dtype, n_features, joint):
    """Rounding of a log-density, and so relative rounding of a responsibility: ε for each of the sums' worst terms."""
    return 8 * np.finfo(dtype).eps * np.sqrt(n_features + 8) * (1 + np.abs(joint.max(axis=1)).max())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", FEATURES)
def test_a_pass_is_the_direct_evaluation(n_features, kind, dtype):
    for n_components in components_for(n_features):
        X, weights, mixture = case(n_features, n_components, kind, dtype)
        parameters = core_parameters(kind, *mixture)
        joint = log_joint(X.astype(float), *mixture)
        log_p = logsumexp(joint, axis=1)
        gamma = np.exp(joint - log_p[:, None])
        tol = tolerance(dtype, n_features, joint)
        for n_rows in ROWS:
            some, w = X[:n_rows], weights[:n_rows]
            found_log_p, found_gamma, labels = evaluated(kind, parameters, some)
            np.testing.assert_allclose(found_log_p, log_p[:n_rows], rtol=0, atol=tol)
            np.testing.assert_allclose(found_gamma, gamma[:n_rows], rtol=0, atol=tol)
            np.testing.assert_allclose(found_gamma.sum(axis=1), 1, rtol=0, atol=(4 + n_components) * np.finfo(dtype).eps)
            np.testing.assert_array_equal(labels, found_gamma.argmax(axis=1))

            s = one_pass(kind, parameters, some, w)
            reference = np.asarray(mixture[1], dtype).astype(float)
            np.testing.assert_array_equal(s.reference, reference)
            weight, first, second = moments(some.astype(float), w[:, None] * gamma[:n_rows], reference)
            scale = moments(np.abs(some - reference[:, None]).max(axis=0).astype(float),
                            w[:, None] * gamma[:n_rows], np.zeros_like(reference))
            np.testing.assert_allclose(s.weight, weight, rtol=0, atol=tol * w.sum())
            np.testing.assert_allclose(s.first, first, rtol=0, atol=tol * scale[1].max())
            np.testing.assert_allclose(as_kept(s.second, kind), of_kind(second, kind), rtol=0,
                                       atol=tol * of_kind(scale[2], kind).max())
            assert s.log_likelihood == pytest.approx(w @ log_p[:n_rows], rel=0, abs=tol * w.sum())
            assert s.total_weight == pytest.approx(w.sum(), rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", [1, 2, 3, 8, 13, 33])
def test_moments_about_another_reference(n_features, kind, dtype):
    X, weights, mixture = case(n_features, 3, kind, dtype)
    reference = np.asarray(mixture[1] + 0.5, dtype).astype(float)
    s = one_pass(kind, core_parameters(kind, *mixture), X, weights, reference)
    joint = log_joint(X.astype(float), *mixture)
    gamma = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    weight, first, second = moments(X.astype(float), weights[:, None] * gamma, reference)
    tol = tolerance(dtype, n_features, joint) * weights.sum()
    np.testing.assert_allclose(s.weight, weight, rtol=0, atol=tol)
    np.testing.assert_allclose(s.first, first, rtol=0, atol=20 * tol)
    np.testing.assert_allclose(as_kept(s.second, kind), of_kind(second, kind), rtol=0, atol=100 * tol)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", [1, 2, 4, 9, 32])
def test_a_row_does_not_depend_on_its_place(n_features, kind, dtype):
    """Whatever tile, lane or partial tile a row falls in, it gets the same bits."""
    X, _, mixture = case(n_features, 7, kind, dtype)
    parameters = core_parameters(kind, *mixture)
    whole = evaluated(kind, parameters, X[:300])
    for start, stop in ((0, 1), (0, 97), (1, 98), (95, 96), (96, 193), (191, 300), (299, 300)):
        for part, expected in zip(evaluated(kind, parameters, X[start:stop]), whole):
            np.testing.assert_array_equal(part, expected[start:stop])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_rows", [95, 96, 97])
def test_rows_of_weight_zero_leave_nothing(n_rows, kind, dtype):
    X, _, mixture = case(3, 2, kind, dtype)
    parameters = core_parameters(kind, *mixture)
    weights = np.r_[np.ones(n_rows), np.zeros(200 - n_rows)]
    some, all_ = one_pass(kind, parameters, X[:n_rows]), one_pass(kind, parameters, X[:200], weights)
    eps = 1e-12 if dtype == np.float64 else 1e-5
    for name in ("weight", "first", "second", "log_likelihood", "total_weight"):
        np.testing.assert_allclose(getattr(all_, name), getattr(some, name), rtol=eps, atol=eps * n_rows)


@pytest.mark.parametrize("kind", KINDS)
def test_passes_add(kind):
    """The Statistics of two equal passes sum to twice those of one."""
    X, weights, mixture = case(5, 3, kind, np.float64)
    parameters = core_parameters(kind, *mixture)
    once = one_pass(kind, parameters, X, weights)
    twice = once + one_pass(kind, parameters, X, weights)
    for name in ("weight", "first", "log_likelihood", "total_weight"):
        np.testing.assert_array_equal(getattr(twice, name), 2 * np.asarray(getattr(once, name)))
    np.testing.assert_array_equal(as_kept(twice.second, kind), 2 * as_kept(once.second, kind))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sums_do_not_lose_digits_with_the_number_of_rows(dtype):
    """A million equal residuals: sums are kept in double."""
    X = np.full((1_000_000, 1), 0.1, dtype)
    parameters = core_parameters(Kind.FULL, np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    s = one_pass(Kind.FULL, parameters, X)
    x = float(X[0, 0])
    relative = 1e-10 if dtype == np.float64 else 2e-7  # N ε; the rounding of one product
    assert s.weight[0] == pytest.approx(1e6, rel=1e-12)
    assert s.first[0, 0] == pytest.approx(1e6 * x, rel=relative)
    assert s.second[0, 0, 0] == pytest.approx(1e6 * x * x, rel=relative)
    assert s.log_likelihood == pytest.approx(1e6 * (-0.5 * np.log(2 * np.pi) - x * x / 2), rel=relative)


@pytest.mark.parametrize("n_features", [4, 5, 13, 39, 40, 64])
def test_few_live_rows_give_the_sums_over_all_rows(n_features):
    """Of clustered data a component's live rows are gathered; the sums are those over every pair, the dead ones included."""
    rng = np.random.default_rng(n_features)
    K, N = 24, 1500
    mixture = random_mixture(rng, K, n_features, spread=15 / np.sqrt(2 * n_features))
    X = draw(rng, N, *mixture)
    parameters = core_parameters(Kind.FULL, *mixture)
    _, gamma, _ = evaluated(Kind.FULL, parameters, X)
    live = gamma > 1e-24
    assert live.mean() < 0.25 and live.any(axis=0).all()
    weights = rng.uniform(0.5, 2, N)
    s = one_pass(Kind.FULL, parameters, X, weights)
    weight, first, second = moments(X, weights[:, None] * gamma, mixture[1])
    np.testing.assert_allclose(s.weight, weight, rtol=1e-12)
    for k in range(K):  # by the sizes of what was added
        away = np.abs(X - mixture[1][k])
        sizes = (weights * gamma[:, k]) @ away
        np.testing.assert_allclose(s.first[k], first[k], rtol=0, atol=1e-12 * sizes.max())
        np.testing.assert_allclose(np.tril(s.second[k]), np.tril(second[k]), rtol=0, atol=1e-12 * second[k].max())

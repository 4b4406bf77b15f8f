"""The kernels against direct evaluation, over shapes on both sides of every tile, lane and register boundary."""

import numpy as np
import pytest

from direct import (as_kept, core_parameters, draw, evaluated, log_joint, moments, of_kind, one_pass, random_mixture)
from gaussmix._core.estep import TILE, Pass, Rows, Workspace
from gaussmix._core.parameters import Kind
from scipy.special import logsumexp

FEATURES = (*range(1, 21), 31, 32, 33, 64, 99, 100)
COMPONENTS = (1, 2, 3, 7, 40)
ROWS = (1, 5, 97, 191, 192, 193, 1000)
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
    for start, stop in ((0, 1), (0, 193), (1, 194), (95, 96), (191, 192), (192, 295), (191, 300), (299, 300)):
        for part, expected in zip(evaluated(kind, parameters, X[start:stop]), whole):
            np.testing.assert_array_equal(part, expected[start:stop])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_rows", [97, 191, 192, 193])
def test_rows_of_weight_zero_leave_nothing(n_rows, kind, dtype):
    X, _, mixture = case(3, 2, kind, dtype)
    parameters = core_parameters(kind, *mixture)
    weights = np.r_[np.ones(n_rows), np.zeros(300 - n_rows)]
    some, all_ = one_pass(kind, parameters, X[:n_rows]), one_pass(kind, parameters, X[:300], weights)
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
    # N ε; in float32 the sums of a tile, of which at least four stand side by side: each addition may round the same way by half
    # an ε of a sum that is half of the last on average
    relative = 1e-10 if dtype == np.float64 else float(TILE / 4 * np.finfo(dtype).eps / 4)
    assert s.weight[0] == pytest.approx(1e6, rel=1e-12)
    assert s.first[0, 0] == pytest.approx(1e6 * x, rel=relative)
    assert s.second[0, 0, 0] == pytest.approx(1e6 * x * x, rel=relative)
    assert s.log_likelihood == pytest.approx(1e6 * (-0.5 * np.log(2 * np.pi) - x * x / 2), rel=relative)


@pytest.mark.parametrize("n_features", [4, 5, 13, 39, 99, 100])
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


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", [Kind.FULL, Kind.TIED])
@pytest.mark.parametrize("n_features", [15, 16, 17, 23, 39, 128])
def test_bounds_change_no_bit(n_features, kind, dtype):
    """Where a bound shows that a density counts for nothing, it is not computed; nothing that is wanted tells the difference."""
    rng = np.random.default_rng(n_features)
    K = 12
    weights, means, covariances = random_mixture(rng, K, n_features, NAMES[kind], spread=60 / np.sqrt(2 * n_features))
    weights[3] = 0
    mixture = weights / weights.sum(), means, covariances
    parameters = core_parameters(kind, *mixture)
    far = np.array([[1e20], [1e160 if dtype == np.float64 else 1e30], [-1e306 if dtype == np.float64 else -1e38]])
    between = (means[0] + means[1]) / 2 + 1e-3 * rng.normal(size=(20, n_features))
    drawn = draw(rng, 1000, *mixture)
    drawn[600:] = drawn[600:][np.argsort(drawn[600:, 0])]  # neighbours in a panel near the same component
    X = np.concatenate([between, far * np.ones(n_features), means, drawn]).astype(dtype)

    log_p, _, labels = evaluated(kind, parameters, X)  # with the responsibilities, for which no density is left out
    the_pass, work = Pass(kind, K, n_features, X.itemsize), Workspace(K, n_features, X.itemsize)
    the_pass.prepare(parameters)
    found_log_p, found_labels = np.empty(len(X)), np.empty(len(X), np.int32)
    the_pass.evaluate(Rows(X), found_log_p, None, None, work)
    np.testing.assert_array_equal(found_log_p, log_p)
    the_pass.evaluate(Rows(X), None, None, found_labels, work)
    np.testing.assert_array_equal(found_labels, labels)
    assert (work.spared > 0) == (n_features >= 16)  # bounds were tried, and ruled something out

    near = X[len(far) + len(between):]
    _, gamma, _ = evaluated(kind, parameters, near)
    s, eps = one_pass(kind, parameters, near), 1e-12 if dtype == np.float64 else 1e-5
    weight, first, second = moments(near.astype(float), gamma, s.reference)
    np.testing.assert_allclose(s.weight, weight, rtol=eps)
    np.testing.assert_allclose(s.first, first, rtol=0, atol=eps * len(near))
    np.testing.assert_allclose(as_kept(s.second, kind), of_kind(second, kind), rtol=0, atol=eps * np.abs(second).sum(axis=0).max())

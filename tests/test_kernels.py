"""The kernels against direct evaluation, over shapes on both sides of every tile, lane and register boundary."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest

from direct import (as_kept, core_parameters, draw, e_step, evaluated, log_joint, moments, of_kind, one_pass, random_mixture)
from gaussmix._core.densities import Kind
from gaussmix._core.estep import TILE, Block, Rows, Workspace, instruction_sets
from gaussmix.statistics import Statistics
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
    """Where a bound shows that a density is negligible, it is not computed. The results do not change."""
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
    estep, work = e_step(parameters, X.dtype), Workspace(K, n_features, X.itemsize)
    found_log_p, found_labels = np.empty(len(X)), np.empty(len(X), np.int32)
    estep.evaluate(Rows(X), found_log_p, None, None, work)
    np.testing.assert_array_equal(found_log_p, log_p)
    estep.evaluate(Rows(X), None, None, found_labels, work)
    np.testing.assert_array_equal(found_labels, labels)
    assert (work.spared > 0) == (n_features >= 16)  # bounds were tried, and ruled something out

    near = X[len(far) + len(between):]
    _, gamma, _ = evaluated(kind, parameters, near)
    s, eps = one_pass(kind, parameters, near), 1e-12 if dtype == np.float64 else 1e-5
    weight, first, second = moments(near.astype(float), gamma, s.reference)
    np.testing.assert_allclose(s.weight, weight, rtol=eps)
    np.testing.assert_allclose(s.first, first, rtol=0, atol=eps * len(near))
    np.testing.assert_allclose(as_kept(s.second, kind), of_kind(second, kind), rtol=0, atol=eps * np.abs(second).sum(axis=0).max())


# Where nothing is rounded, nothing may differ.


def far_clusters(n_features, dtype, shuffled):
    """Rows of whole numbers in three clusters so far apart that responsibilities are 0 and 1 exactly, weights with whole roots."""
    rng = np.random.default_rng(n_features)
    labels = np.repeat([0, 1, 2], [450, 300, 130])
    if shuffled:
        rng.shuffle(labels)
    means = 1000.0 * np.array([-1, 0, 1])[:, None] * np.ones(n_features)
    X = (means[labels] + rng.integers(-6, 7, size=(len(labels), n_features))).astype(dtype)
    return X, labels, means, rng.integers(0, 4, size=len(X)).astype(float) ** 2


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5, 12, 16, 19, 20, 24, 48, 63, 64, 65, 99, 100, 101, 130])
def test_sums_of_whole_numbers_are_exact(n_features, shuffled, kind, dtype):
    """Tiles of one component and tiles in which each has a few rows, with the reference points off the means."""
    X, labels, means, weights = far_clusters(n_features, dtype, shuffled)
    covariances = np.tile(16 * np.eye(n_features), (3, 1, 1))
    parameters = core_parameters(kind, np.full(3, 1 / 3), means, covariances)
    reference = means + np.arange(-1, 2)[:, None]
    for w in (None, weights):
        s = one_pass(kind, parameters, X, w, reference)
        gamma = (labels[:, None] == np.arange(3)) * (np.ones(len(X)) if w is None else w)[:, None]
        weight, first, second = moments(X.astype(float), gamma, reference)
        np.testing.assert_array_equal(s.weight, weight)
        np.testing.assert_array_equal(s.first, first)
        np.testing.assert_array_equal(as_kept(s.second, kind), of_kind(second, kind))
        assert s.total_weight == gamma.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", [1, 2, 5, 16, 33])
def test_the_log_likelihood_is_right_to_a_few_units_in_the_last_place(n_features, kind):
    """The squares of whole residuals over 16 are not rounded; the constant, ln 2 and the sum of 192 terms in lanes are."""
    X, labels, means, weights = far_clusters(n_features, np.float64, False)
    parameters = core_parameters(kind, [0.25, 0.5, 0.25], means, np.tile(16 * np.eye(n_features), (3, 1, 1)))
    with mpmath.workdps(40):
        constants = [mpmath.log(p) - n_features * mpmath.log(2 * mpmath.pi * 16) / 2 for p in (0.25, 0.5, 0.25)]
        log_p = [constants[k] - mpmath.mpf(int(((x - means[k]) ** 2).sum())) / 32 for x, k in zip(X, labels)]
        for w in (None, weights):
            expected = float(mpmath.fsum(p * q for p, q in zip(log_p, np.ones(len(X)) if w is None else w)))
            found = one_pass(kind, parameters, X, w).log_likelihood
            # In eight sums 24 of 192 terms each, as many of tiles, and a handful of roundings of each term.
            assert found == pytest.approx(expected, rel=16 * np.finfo(float).eps)


# What counts as zero.


@pytest.mark.parametrize("dtype, threshold", [(np.float64, 1e-24), (np.float32, 1e-14)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_every_feature", [False, True])
@pytest.mark.parametrize("n_features", [3, 5, 16, 23, 39, 101])
def test_a_responsibility_just_above_the_threshold_counts(n_features, in_every_feature, kind, dtype, threshold):
    """Rows at one mean, another one so far off that its responsibility is hardly more than what counts as zero."""
    size = 1.25 * threshold
    away = np.sqrt(-2 * np.log(size))
    X = np.zeros((500, n_features), dtype)
    means = np.zeros((2, n_features))
    means[1] = away / np.sqrt(n_features) if in_every_feature else [away, *[0] * (n_features - 1)]
    s = one_pass(kind, core_parameters(kind, [0.5, 0.5], means, np.tile(np.eye(n_features), (2, 1, 1))), X)
    # An exponent of e bits is known to a few ε e.
    assert s.weight[1] == pytest.approx(500 * size, rel=float(40 * np.log2(1 / size) * np.finfo(dtype).eps))
    assert s.weight[0] == pytest.approx(500, rel=1e-12)


# Rows so far out that squares overflow, and rows of weight zero.


@pytest.mark.parametrize("dtype, far", [(np.float64, 1e200), (np.float32, 1e25)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", [1, 3, 17])
def test_a_far_row_has_the_same_bits_wherever_it_stands(n_features, kind, dtype, far):
    X, _, mixture = case(n_features, 3, kind, dtype)
    parameters, row = core_parameters(kind, *mixture), np.full((1, n_features), far, dtype)
    alone, others = evaluated(kind, parameters, row), evaluated(kind, parameters, X[:47])
    for place in range(47):
        some = X[:47].copy()
        some[place] = row
        for found, of_row, of_others in zip(evaluated(kind, parameters, some), alone, others):
            np.testing.assert_array_equal(found[place], of_row[0])
            np.testing.assert_array_equal(np.delete(found, place, axis=0), np.delete(of_others, place, axis=0))
        labels = np.empty(47, np.int32)
        e_step(parameters, X.dtype).evaluate(Rows(some), None, None, labels, Workspace(3, n_features, X.itemsize))
        assert labels[place] == alone[2][0]


@pytest.mark.parametrize("dtype, far", [(np.float64, 1e200), (np.float64, 1e160), (np.float32, 1e30)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_far_row_of_weight_zero_leaves_nothing(kind, dtype, far):
    X, _, mixture = case(2, 3, kind, dtype)
    parameters = core_parameters(kind, *mixture)
    some = np.concatenate([X[:100], np.full((1, 2), far, dtype), X[100:150]])
    weights = np.ones(len(some))
    weights[100] = 0
    found, expected = one_pass(kind, parameters, some, weights), one_pass(kind, parameters, X[:150], np.ones(150))
    rtol = 200 * float(np.finfo(dtype).eps)
    assert np.isfinite(found.log_likelihood)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=rtol)
    assert found.total_weight == 150
    for name in ("weight", "first", "second"):
        of_found, of_expected = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(of_found, of_expected, rtol=rtol, atol=rtol * np.abs(of_expected).max())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [2, 7, 20])
def test_a_workspace_keeps_nothing_of_the_block_before(n_features, dtype):
    """No weights or waiting rows are left over: a block gives the same bits after other blocks as alone."""
    X, weights, mixture = case(n_features, 3, Kind.FULL, dtype)
    parameters = core_parameters(Kind.FULL, *mixture)
    estep, work = e_step(parameters, X.dtype), Workspace(3, n_features, X.itemsize)
    blocks = [(slice(0, 400), weights), (slice(0, 400), None), (slice(300, 700), None), (slice(0, 192), weights), (slice(500, 692), None),
              (slice(200, 210), None), (slice(200, 210), weights), (slice(210, 220), None)]
    for rows, w in blocks:
        some, w = X[rows], None if w is None else w[rows]
        found, expected = Statistics(Kind.FULL, 3, n_features), one_pass(Kind.FULL, parameters, some, w)
        estep.accumulate(Block(Rows(some), w), found, work)
        for name in ("weight", "first", "log_likelihood", "total_weight"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        np.testing.assert_array_equal(np.tril(found.second), np.tril(expected.second))


END_OF_MEMORY = """
import ctypes, mmap
import numpy as np
from direct import core_parameters, evaluated, one_pass, points
from gaussmix._core.densities import Kind
from gaussmix._core.estep import Block, Rows, Workspace
from gaussmix._core.kmeans import Nearest
from gaussmix.statistics import Statistics

PAGES = 40
memory = mmap.mmap(-1, (PAGES + 1) * mmap.PAGESIZE)
here = ctypes.addressof(ctypes.c_char.from_buffer(memory))
c = ctypes.CDLL(None, use_errno=True)
c.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
assert c.mprotect(here + PAGES * mmap.PAGESIZE, mmap.PAGESIZE, 0) == 0
for dtype in (np.float32, np.float64):
    readable = np.frombuffer(memory, dtype, PAGES * mmap.PAGESIZE // np.dtype(dtype).itemsize)
    for D in (1, 2, 3, 4, 5, 7, 13, 17, 23, 31, 33, 50, 65, 101):
        for N in (1, 5, 150, 193):
            X = readable[len(readable) - N * D:].reshape(N, D)
            for kind in (Kind.FULL, Kind.TIED, Kind.DIAG):
                parameters = core_parameters(kind, np.array([0.5, 0.5]), np.zeros((2, D)), np.tile(np.eye(D), (2, 1, 1)))
                one_pass(kind, parameters, X)
                evaluated(kind, parameters, X)
            nearest = Nearest(Kind.DIAG, 2, D, X.itemsize, np.zeros(N, np.int32), np.zeros(1, np.intp))
            nearest.prepare(points(np.zeros((2, D))))
            nearest.accumulate(Block(Rows(X)), Statistics(Kind.DIAG, 2, D), Workspace(2, D, X.itemsize))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="protects memory as POSIX does")
@pytest.mark.parametrize("isa", instruction_sets())
def test_nothing_is_read_behind_the_last_row(isa):
    """What stands there may not be ours to read: here it is a page that may not be read, and ends the process."""
    run = subprocess.run([sys.executable, "-c", END_OF_MEMORY], capture_output=True, text=True, cwd=os.path.dirname(__file__),
                         env={**os.environ, "GAUSSMIX_ISA": isa})
    assert run.returncode == 0, run.stderr or f"ended by signal {-run.returncode}"

"""The compiled interface: its results, against the equations and bit for bit against the Python functions, and its errors."""

import ctypes
import multiprocessing.pool
import re
import sys
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import compiled as c
import gaussmix
from compiled import at, checked, gm, rows
from direct import STRUCTURES, draw, log_joint, random_mixture
from gaussmix import Mixture, Statistics, structures
from gaussmix.functional import e_step, m_step, moments
from gaussmix.structures import structure_named
from test_extending import OneVariance, SharedFactor

K, D = 3, 4


def mixture_of(structure, seed=0):
    weights, means, covariances = random_mixture(np.random.default_rng(seed), K, D, structure, spread=4)
    kept = {"full": covariances, "tied": covariances[0], "diag": np.einsum("kii->ki", covariances), "spherical": covariances[:, 0, 0]}
    return Mixture(weights, means, kept[structure], structure)


def data(n_rows=700, seed=0, dtype=np.float64):
    return draw(np.random.default_rng(seed), n_rows, *random_mixture(np.random.default_rng(0), K, D, spread=4)).astype(dtype)


def handles(structure="full"):
    return c.densities_of(mixture_of(structure)), c.statistics(structure, K, D), c.workspace(K, D)


def public(statistics):
    return gm.python_statistics(statistics)


def test_the_version_is_that_of_the_declarations():
    declared = (Path(gaussmix.__file__).parent / "cython_mixture.pxd").read_text()
    assert gm.api_version() == int(re.search(r"API_VERSION = (\d+)", declared)[1])


def test_the_codes_are_those_of_the_declarations_and_have_messages():
    declared = (Path(gaussmix.__file__).parent / "cython_mixture.pxd").read_text()
    codes = {name: int(value) for name, value in re.findall(r"^    ([A-Z_]+) = (\d+)$", declared, re.MULTILINE) if name[:5] != "FLOAT"}
    assert codes == {name: getattr(c, name) for name in codes} and sorted(codes.values()) == list(range(16))
    assert len({gm.error_message(code) for code in range(16)}) == 16
    assert gm.error_message(-1) is None and gm.error_message(16) is None


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_block_is_evaluated_as_in_python(structure, dtype):
    m, X, work = mixture_of(structure), data(dtype=dtype), c.workspace(K, D)
    made = c.densities(structure, m.weights, m.means, m._parameters.covariances)
    for d in (made, c.densities_of(m)):
        for name, expected in (("log_density", m.logpdf(X)), ("component_log_densities", m.component_logpdf(X)),
                               ("log_joint", m.log_joint(X)), ("responsibilities", m.responsibilities(X))):
            found = c.evaluated(name, d, X, work, *expected.shape)
            if dtype == np.float64:
                np.testing.assert_array_equal(found, expected)
            else:
                np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_array_equal(c.evaluated("labels", d, X, work, len(X), dtype=np.int32), m.classify(X))
    joint = log_joint(X.astype(np.float64), m.weights, m.means, m.covariances)
    np.testing.assert_allclose(c.evaluated("log_joint", made, X, work, len(X), K), joint, rtol=1e-11 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_may_lie_any_distance_apart(dtype):
    d, statistics, work = handles()
    X = data(dtype=dtype)
    expected, sums = c.evaluated("log_density", d, X, work, len(X)), e_step(X, mixture_of("full"))
    wide = np.full((2 * len(X), D + 3), np.nan, dtype)
    wide[::2, :D] = X
    for view in (wide[::2, :D], wide[-2::-2, :D][::-1], np.require(X, requirements="C")):
        np.testing.assert_array_equal(c.evaluated("log_density", d, view, work, len(X)), expected)
        checked(gm.statistics_clear(statistics, None))
        checked(gm.e_step(d, *rows(view), None, statistics, work))
        assert public(statistics) == sums
    backward = X[::-1]
    np.testing.assert_array_equal(c.evaluated("log_density", d, backward, work, len(X)), expected[::-1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_em_has_the_bits_of_the_python_functions(structure, dtype, weighted):
    X, m = data(dtype=dtype), mixture_of(structure)
    weights = np.random.default_rng(1).uniform(size=len(X)) if weighted else None
    d, statistics, work = handles(structure)
    for _ in range(4):
        checked(gm.statistics_clear(statistics, None))
        checked(gm.e_step(d, *rows(X), at(weights), statistics, work))
        expected = e_step(X, m, weights)
        assert public(statistics) == expected
        checked(gm.m_step(statistics, 1e-3, d, None))
        m = m_step(expected, structure, reg_covar=1e-3)
        found = gm.mixture_of(d)
        assert found == m
        numbers = [np.empty(part.shape) for part in (m.weights, m.means, m._parameters.covariances)]
        checked(gm.densities_get(d, *map(at, numbers)))
        for part, name in zip(numbers, ("weights", "means", "covariances")):
            np.testing.assert_array_equal(part, getattr(m._parameters, name))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_moments_have_the_bits_of_the_python_function(structure, dtype, weighted):
    X, rng = data(dtype=dtype), np.random.default_rng(2)
    weights = rng.uniform(size=len(X)) if weighted else None
    gamma = rng.uniform(size=(len(X), K)) * (rng.uniform(size=(len(X), 1)) > 0.2)
    gamma[:, 1] *= structure != "tied"  # a component without rows
    statistics, work = c.statistics(structure, K, D), c.workspace(K, D)
    checked(gm.moments(*rows(X), at(gamma), gamma.strides[0], at(weights), statistics, work))
    assert public(statistics) == moments(X, gamma, weights, structure)
    wide = np.full((len(X), K + 2), np.nan)
    wide[:, :K] = gamma
    reference = rng.normal(size=(K, D)).astype(dtype).astype(np.float64)
    checked(gm.statistics_clear(statistics, at(reference)))
    checked(gm.moments(*rows(X), at(wide), wide.strides[0], at(weights), statistics, work))
    assert public(statistics) == moments(X, gamma, weights, structure, reference=reference)

    labels = rng.integers(K, size=len(X), dtype=np.int32)
    checked(gm.statistics_clear(statistics, None))
    checked(gm.moments_of_labels(*rows(X), at(labels), at(weights), statistics, work))
    assert public(statistics) == moments(X, np.eye(K)[labels], weights, structure)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_statistics_add_scale_and_travel(structure):
    X, m, work = data(), mixture_of(structure), c.workspace(K, D)
    other_means = Mixture(m.weights, m.means + 0.5, m._parameters.covariances.copy(), structure)
    first, second, total = (c.statistics(structure, K, D) for _ in range(3))
    checked(gm.e_step(c.densities_of(m), *rows(X[:300]), None, first, work))
    checked(gm.e_step(c.densities_of(other_means), *rows(X[300:]), None, second, work))
    a, b = e_step(X[:300], m), e_step(X[300:], other_means)
    checked(gm.statistics_add(total, c.statistics(structure, K, D)))  # empty ones
    checked(gm.statistics_add(total, first))
    assert public(total) == a
    checked(gm.statistics_add(total, first))
    assert public(total) == a + a
    checked(gm.statistics_add(total, second))  # about other points
    assert public(total) == a + a + b
    checked(gm.statistics_scale(total, 0.75))
    scaled = a + a + b
    scaled *= 0.75
    assert public(total) == scaled

    numbers = [np.full(part.shape, np.nan) for part in (scaled.reference, scaled.weight, scaled.first, scaled.second)]
    log_likelihood, total_weight = ctypes.c_double(), ctypes.c_double()
    checked(gm.statistics_get(total, *map(at, numbers), ctypes.addressof(log_likelihood), ctypes.addressof(total_weight)))
    if structure in ("full", "tied"):
        assert not np.triu(numbers[3], 1).any()
    arrived = c.statistics(structure, K, D)
    checked(gm.statistics_set(arrived, *map(at, numbers), log_likelihood.value, total_weight.value))
    assert public(arrived) == scaled
    copied = c.Handle(gm.statistics_of(scaled, structure), gm.statistics_free)
    assert public(copied) == scaled
    checked(gm.statistics_get(copied, *[None] * 6))


def test_an_e_step_goes_on_about_the_points_of_the_first():
    X, m, moved = data(), mixture_of("full"), mixture_of("full", seed=1)
    statistics, work = c.statistics("full", K, D), c.workspace(K, D)
    checked(gm.e_step(c.densities_of(m), *rows(X[:400]), None, statistics, work))
    checked(gm.e_step(c.densities_of(moved), *rows(X[400:]), None, statistics, work))
    expected = e_step(X[:400], m) + e_step(X[400:], moved)
    assert (public(statistics).reference == m.means).all()
    for name in ("weight", "first", "second", "log_likelihood", "total_weight"):
        np.testing.assert_allclose(getattr(public(statistics), name), getattr(expected, name), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("scale, offset, sample_weight", [(1, 0, None), (2.0**50, 0, None), (2.0**-45, 0, None), (1, 2.0**41, None),
                                                          (1, 0, 2.0**100), (1, 0, 2.0**-140)])
def test_float32_rows_that_float32_cannot_work_on(scale, offset, sample_weight):
    """They are worked on in float64, as the rows widened by the caller are; float32 rows of other blocks go to the same Statistics."""
    m = mixture_of("full")
    m = Mixture(m.weights, scale * m.means + offset, scale**2 * m.covariances)
    X = (scale * data(dtype=np.float32) + offset).astype(np.float32)
    d, statistics, double, work = c.densities_of(m), c.statistics("full", K, D), c.statistics("full", K, D), c.workspace(K, D)
    weights = None if sample_weight is None else np.full(len(X), sample_weight)
    plain = scale == 1 and offset == 0
    with np.errstate(over="ignore"):
        for name, shape in (("log_density", (len(X),)), ("log_joint", (len(X), K)), ("responsibilities", (len(X), K))):
            single, wide = (c.evaluated(name, d, Y, work, *shape) for Y in (X, X.astype(np.float64)))
            np.testing.assert_allclose(single, wide, rtol=1e-3 if plain else 0, atol=1e-6 if plain else 0)
    checked(gm.e_step(d, *rows(X), at(weights), statistics, work))
    checked(gm.e_step(d, *rows(X), at(weights), statistics, work))
    wide, reference = X.astype(np.float64), public(statistics).reference
    checked(gm.statistics_clear(double, at(reference)))
    checked(gm.e_step(d, *rows(wide), at(weights), double, work))
    checked(gm.e_step(d, *rows(wide), at(weights), double, work))
    if plain and weights is None:
        np.testing.assert_allclose(public(statistics).weight, public(double).weight, rtol=1e-4)
    else:
        assert public(statistics) == public(double)


def test_float32_and_float64_rows_in_the_same_statistics():
    X, m, work = data(), mixture_of("full"), c.workspace(K, D)
    single, d = X[350:].astype(np.float32), c.densities_of(m)
    for parts in ((X[:350], single), (single, X[:350])):
        statistics = c.statistics("full", K, D)
        for part in parts:
            checked(gm.e_step(d, *rows(part), None, statistics, work))
        expected = e_step(np.concatenate([X[:350], single.astype(np.float64)]), m).translated(public(statistics).reference)
        for name in ("weight", "first", "second"):
            np.testing.assert_allclose(np.tril(getattr(public(statistics), name)), np.tril(getattr(expected, name)), rtol=1e-4, atol=1e-3)
        gamma = np.random.default_rng(0).uniform(size=(350, K))
        statistics = c.statistics("full", K, D)
        for part in parts:
            checked(gm.moments(*rows(part), at(gamma), gamma.strides[0], None, statistics, work))
        both = moments(np.concatenate([part.astype(np.float64) for part in parts]), np.concatenate([gamma, gamma]),
                       reference=public(statistics).reference)
        np.testing.assert_allclose(public(statistics).first, both.first, rtol=1e-5, atol=1e-3)
        assert np.isnan(public(statistics).log_likelihood)


def test_float32_rows_about_points_that_float32_cannot_hold():
    """Near a million float32 holds no number between 0.25 and 0.3125: moments about 0.31 are taken in float64."""
    m = mixture_of("full")
    m = Mixture(m.weights, m.means + 1e6, m.covariances.copy())
    X, reference = (data() + 1e6).astype(np.float32), np.full((K, D), 1e6 + 0.31)
    wide, work, statistics = X.astype(np.float64), c.workspace(K, D), c.statistics("full", K, D)
    checked(gm.statistics_clear(statistics, at(reference)))
    checked(gm.e_step(c.densities_of(m), *rows(X), None, statistics, work))
    expected = e_step(wide, m).translated(reference)
    gamma = np.random.default_rng(0).uniform(size=(len(X), K))
    given = c.statistics("full", K, D)
    checked(gm.statistics_clear(given, at(reference)))
    checked(gm.moments(*rows(X), at(gamma), 8 * K, None, given, work))
    for found, wanted in ((public(statistics), expected), (public(given), moments(wide, gamma, reference=reference))):
        assert (found.reference == reference).all()
        np.testing.assert_allclose(found.first, wanted.first, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(np.tril(found.second), np.tril(wanted.second), rtol=1e-9, atol=1e-6)


def test_an_m_step_that_fails_changes_nothing():
    m = mixture_of("full")
    d, statistics, work = c.densities_of(m), c.statistics("full", K, D), c.workspace(K, D)
    X = data(60)
    before = c.evaluated("log_density", d, X, work, len(X))
    failed = ctypes.c_ssize_t(-7)
    for labels, code, component in ((np.repeat([0, 2], 30), c.NO_WEIGHT, 1), (np.r_[0, 0, np.repeat([1, 2], 29)], c.SINGULAR, 0)):
        labels = labels.astype(np.int32)
        checked(gm.statistics_clear(statistics, None))
        checked(gm.moments_of_labels(*rows(X), at(labels), None, statistics, work))
        assert gm.m_step(statistics, 0.0, d, ctypes.addressof(failed)) == code and failed.value == component
        assert gm.m_step(statistics, 0.0, d, None) == code
        assert gm.mixture_of(d) == m
        np.testing.assert_array_equal(c.evaluated("log_density", d, X, work, len(X)), before)
    checked(gm.m_step(statistics, 0.5, d, None))
    assert gm.mixture_of(d) == m_step(public(statistics), reg_covar=0.5)


def test_clustering():
    X = np.concatenate([data(dtype=np.float64), 30 + data(100, seed=3)])
    for points in (X, X[:, ::1][::-1], X.astype(np.float32)):
        centres = np.empty((5, D))
        checked(gm.kmeans_plus_plus(*rows(points), D, None, 5, 7, at(centres)))
        again = np.empty((5, D))
        checked(gm.kmeans_plus_plus(*rows(points), D, None, 5, 7, at(again)))
        np.testing.assert_array_equal(again, centres)
        assert all((points == centre).all(axis=1).any() for centre in centres) and len(np.unique(centres, axis=0)) == 5
        started = ((points - centres[cdist(points, centres).argmin(axis=1)])**2).sum()
        labels, inertia, n_iter = np.empty(len(X), np.int32), ctypes.c_double(), ctypes.c_ssize_t()
        checked(gm.lloyd(*rows(points), D, None, 5, 100, 0.0, at(centres), at(labels), ctypes.addressof(inertia), ctypes.addressof(n_iter)))
        assert 1 < n_iter.value < 100 and inertia.value < started
        np.testing.assert_array_equal(labels, cdist(points, centres).argmin(axis=1))
        np.testing.assert_allclose(centres, [points[labels == k].mean(axis=0, dtype=np.float64) for k in range(5)], rtol=1e-5)
        np.testing.assert_allclose(inertia.value, ((points.astype(np.float64) - centres[labels])**2).sum(), rtol=1e-5)


def test_weighted_clustering():
    X, rng = data(), np.random.default_rng(0)
    weights = rng.uniform(size=len(X)) * (np.arange(len(X)) >= 300)
    centres, labels, inertia = np.empty((4, D)), np.empty(len(X), np.int32), ctypes.c_double()
    checked(gm.kmeans_plus_plus(*rows(X), D, at(weights), 4, 1, at(centres)))
    assert all((X[300:] == centre).all(axis=1).any() for centre in centres)
    for scale in (1.0, 2.0**60):
        scaled = weights * scale
        checked(gm.lloyd(*rows(X), D, at(scaled), 4, 100, 0.0, at(centres), at(labels), ctypes.addressof(inertia), None))
        np.testing.assert_allclose(centres, [np.average(X[labels == k], axis=0, weights=weights[labels == k]) for k in range(4)])
        np.testing.assert_allclose(inertia.value, scaled @ ((X - centres[labels])**2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_linear_algebra(n):
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n + 2))
    matrix = root @ root.T + np.eye(n)
    garbage = matrix + np.triu(np.full((n, n), np.nan), 1)  # which is not read
    factor, inverse, log_det = np.full((n, n), 9.0), np.full((n, n), 9.0), ctypes.c_double()
    checked(gm.cholesky(at(garbage), n, at(factor)))
    np.testing.assert_allclose(factor, np.linalg.cholesky(matrix), rtol=1e-12, atol=1e-13)
    checked(gm.invert_lower(at(factor), n, at(inverse)))
    np.testing.assert_allclose(inverse @ factor, np.eye(n), atol=1e-12)
    assert not np.triu(inverse, 1).any()
    checked(gm.log_determinant(at(factor), n, ctypes.addressof(log_det)))
    assert log_det.value == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-12, abs=1e-13)
    checked(gm.cholesky(at(garbage), n, at(garbage)))  # in place
    np.testing.assert_array_equal(garbage, factor)
    checked(gm.invert_lower(at(garbage), n, at(garbage)))
    np.testing.assert_array_equal(garbage, inverse)


def test_matrices_that_are_refused():
    out = np.empty((2, 2))
    for matrix, function in (([[1.0, 0], [2, 1]], gm.cholesky), ([[1.0, 0], [0, np.nan]], gm.cholesky), ([[-1.0, 0], [0, 1]], gm.cholesky),
                             ([[1.0, 0], [2, 0]], gm.invert_lower), ([[1.0, 0], [2, 0]], gm.log_determinant),
                             ([[np.nan, 0], [2, 1]], gm.log_determinant), ([[1.0, 0], [2, -1]], gm.log_determinant)):
        matrix = np.array(matrix)
        assert function(at(matrix), 2, at(out)) == c.SINGULAR
    for function in (gm.cholesky, gm.invert_lower, gm.log_determinant):
        assert function(None, 2, at(out)) == function(at(out), 2, None) == c.NULL_POINTER
        for n in (0, -1, 2**31, 2**62):
            assert function(at(out), n, at(out)) == c.BAD_SIZE
        assert function(at(out) + 4, 1, at(out)) == function(at(out), 1, at(out) + 4) == c.UNALIGNED


def test_threads_share_densities():
    """Each thread has its own workspace and Statistics, calls without the GIL, and finds the bits that one thread finds."""
    m = mixture_of("full")
    d, blocks = c.densities_of(m), [data(3000, seed) for seed in range(4)]
    found = [None] * len(blocks)

    def run(number):
        statistics, work = c.statistics("full", K, D), c.workspace(K, D)
        for _ in range(20):
            checked(gm.statistics_clear(statistics, None))
            checked(gm.e_step(d, *rows(blocks[number]), None, statistics, work))
        found[number] = public(statistics)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(blocks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [e_step(block, m) for block in blocks]


def test_no_rows():
    d, statistics, work = handles()
    for type in (4, 8):
        for name in ("log_density", "log_joint", "component_log_densities", "responsibilities", "labels"):
            checked(getattr(gm, name)(d, type, None, 0, 0, None, work))
        checked(gm.e_step(d, type, None, 0, 0, None, statistics, work))
        checked(gm.moments(type, None, 0, 0, None, 0, None, statistics, work))
        checked(gm.moments_of_labels(type, None, 0, 0, None, None, statistics, work))
    X = data()
    checked(gm.e_step(d, *rows(X), None, statistics, work))
    assert public(statistics) == e_step(X, mixture_of("full"))  # nothing before had chosen the reference points


# What is refused.

def calls():
    """Return each function with valid arguments, and the objects that these point to."""
    d, statistics, work = handles()
    X, out, labels = data(50), np.empty((50, K)), np.zeros(50, np.int32)
    other, gamma, centres, a = c.statistics("full", K, D), np.full((50, K), 0.2), np.arange(2.0 * D), np.eye(3)
    keep = (X, out, labels, gamma, centres, a)
    block, weights = [8, at(X), 50, 8 * D], None
    checked(gm.e_step(d, *block, None, statistics, work))
    for name in ("log_density", "log_joint", "component_log_densities", "responsibilities", "labels"):
        yield name, [d, *block, at(out), work], keep
    yield "e_step", [d, *block, weights, statistics, work], keep
    yield "moments", [*block, at(gamma), 8 * K, weights, statistics, work], keep
    yield "moments_of_labels", [*block, at(labels), weights, statistics, work], keep
    yield "m_step", [statistics, 0.0, d, None], keep
    yield "statistics_add", [statistics, other], keep
    yield "statistics_scale", [statistics, 0.5], keep
    yield "statistics_clear", [statistics, None], keep
    yield "statistics_get", [statistics, *[None] * 6], keep
    yield "densities_get", [d, None, None, None], keep
    yield "kmeans_plus_plus", [*block, D, weights, 2, 1, at(centres)], keep
    yield "lloyd", [*block, D, weights, 2, 5, 0.0, at(centres), None, None, None], keep


HANDLE, OPTIONAL = c.Handle, {"e_step": [5], "moments": [6], "moments_of_labels": [5], "kmeans_plus_plus": [5], "lloyd": [5, 10, 11, 12],
                              "m_step": [3], "statistics_clear": [1], "statistics_get": range(1, 7), "densities_get": range(1, 4)}


def test_null_pointers_and_wrong_handles():
    seen = 0
    for name, arguments, _keep in calls():
        function = getattr(gm, name)
        checked(function(*arguments))
        for i, argument in enumerate(arguments):
            is_pointer = isinstance(argument, HANDLE) or (isinstance(argument, int) and argument > 2**20)
            if is_pointer and i not in OPTIONAL.get(name, ()):
                assert function(*arguments[:i], None, *arguments[i + 1:]) == c.NULL_POINTER, (name, i)
                seen += 1
            if isinstance(argument, HANDLE):
                for wrong in handles():
                    if wrong.free is not argument.free:
                        assert function(*arguments[:i], wrong, *arguments[i + 1:]) == c.WRONG_HANDLE, (name, i)
    assert seen > 30


def test_handles_of_other_shapes():
    for name, arguments, _keep in calls():
        for i, argument in enumerate(arguments):
            for shape in ((K + 1, D), (K, D + 1)):
                wrong = (c.workspace(*shape) if getattr(argument, "free", None) is gm.workspace_free else
                         c.statistics("full", *shape) if getattr(argument, "free", None) is gm.statistics_free else None)
                if wrong is not None and len([a for a in arguments if isinstance(a, HANDLE)]) > 1:
                    assert getattr(gm, name)(*arguments[:i], wrong, *arguments[i + 1:]) == c.OTHER_SHAPE, (name, i)
    d, statistics, work = handles()
    for structure in ("tied", "diag"):
        other = c.statistics(structure, K, D)
        assert gm.e_step(d, 8, None, 0, 0, None, other, work) == gm.m_step(other, 0.0, d, None) == c.OTHER_SHAPE
        assert gm.statistics_add(statistics, other) == c.OTHER_SHAPE


ROWS_AT = {"moments": 0, "moments_of_labels": 0, "kmeans_plus_plus": 0, "lloyd": 0} | dict.fromkeys(
    ("log_density", "log_joint", "component_log_densities", "responsibilities", "labels", "e_step"), 1)


@pytest.mark.parametrize("name", ROWS_AT)
def test_rows_that_are_refused(name):
    arguments, keep = next((arguments, keep) for known, arguments, keep in calls() if known == name)
    i, X, function = ROWS_AT[name], keep[0], getattr(gm, name)
    beginning = at(X)

    def code(type=8, first=beginning, count=50, stride=8 * D):
        return function(*arguments[:i], type, first, count, stride, *arguments[i + 4:])

    assert code() == c.OK
    for type in (0, 2, 16, -8):
        assert code(type=type) == c.BAD_TYPE
    for count in (-1, 2**62, -2**63):
        assert code(count=count) == c.BAD_SIZE
    assert code(count=2, stride=2**62) == code(count=2, stride=-2**63) == c.BAD_SIZE
    assert code(first=at(X) + 4) == code(stride=8 * D + 4) == c.UNALIGNED
    assert code(type=4, first=at(X) + 2) == c.UNALIGNED
    for bad in (np.nan, np.inf, -np.inf):
        for n, j in ((0, 0), (49, D - 1), (20, 1)):
            kept, X[n, j] = X[n, j], bad
            assert code() == c.NOT_FINITE
            assert code(stride=-8 * D, first=at(X) + 49 * 8 * D) == c.NOT_FINITE
            single = X.astype(np.float32)
            assert code(4, at(single), 50, 4 * D) == c.NOT_FINITE
            X[n, j] = kept
    X[3, 0] = 1e200  # squares of it cannot be added, but its density is a number
    assert code() == (c.OK if i == 1 and name != "e_step" else c.NOT_FINITE)


@pytest.mark.parametrize("name, place", [("e_step", 5), ("moments", 6), ("moments_of_labels", 5), ("kmeans_plus_plus", 5), ("lloyd", 5)])
def test_weights_that_are_refused(name, place):
    arguments, _keep = next((arguments, keep) for known, arguments, keep in calls() if known == name)
    weights = np.ones(51)
    beginning = at(weights)

    def code(first=beginning):
        return getattr(gm, name)(*arguments[:place], first, *arguments[place + 1:])

    assert code() == c.OK and code(at(weights) + 4) == c.UNALIGNED
    for bad, expected in ((np.nan, c.NOT_FINITE), (np.inf, c.NOT_FINITE), (-1e-300, c.NEGATIVE)):
        weights[30] = bad
        assert code() == expected
    weights[:] = 0
    assert code() == (c.OK if "kmeans" not in name and name != "lloyd" else c.NO_WEIGHT)


def test_responsibilities_and_labels_that_are_refused():
    statistics, work, X = c.statistics("full", K, D), c.workspace(K, D), data(50)
    gamma, labels = np.full((50, K), 0.3), np.zeros(50, np.int32)
    for bad, code in ((np.nan, c.NOT_FINITE), (np.inf, c.NOT_FINITE), (-0.1, c.NEGATIVE)):
        gamma[49, 2] = bad
        assert gm.moments(*rows(X), at(gamma), 8 * K, None, statistics, work) == code
    assert gm.moments(*rows(X), at(gamma) + 4, 8 * K, None, statistics, work) == c.UNALIGNED
    assert gm.moments(*rows(X), at(gamma), 8 * K + 4, None, statistics, work) == c.UNALIGNED
    assert gm.moments(*rows(X), at(gamma), 2**62, None, statistics, work) == c.BAD_SIZE
    assert gm.moments(*rows(X), at(gamma), -2**63, None, statistics, work) == c.BAD_SIZE
    for bad in (-1, K, 2**31 - 1, -2**31):
        labels[49] = bad
        assert gm.moments_of_labels(*rows(X), at(labels), None, statistics, work) == c.BAD_LABEL
    assert gm.moments_of_labels(*rows(X), at(labels) + 2, None, statistics, work) == c.UNALIGNED
    assert not public(statistics).weight.any()


@pytest.mark.parametrize("change, code", [
    (dict(structure=b"round"), c.UNKNOWN_STRUCTURE), (dict(structure=b"\xff"), c.UNKNOWN_STRUCTURE), (dict(structure=None), c.NULL_POINTER),
    (dict(K=0), c.BAD_SIZE), (dict(D=-1), c.BAD_SIZE), (dict(K=2**61), c.BAD_SIZE), (dict(D=2**40), c.BAD_SIZE),
    (dict(weights=[0.5, 0.6]), c.BAD_PARAMETERS), (dict(weights=[1.5, -0.5]), c.BAD_PARAMETERS), (dict(weights=[np.nan, 1]), c.NOT_FINITE),
    (dict(means=[[0.0], [np.inf]]), c.NOT_FINITE), (dict(covariances=[[[1.0]], [[0.0]]]), c.BAD_PARAMETERS),
    (dict(covariances=[[[1.0]], [[-1.0]]]), c.BAD_PARAMETERS),
])
def test_densities_that_are_refused(change, code):
    given = dict(structure=b"full", K=2, D=1, weights=[0.5, 0.5], means=[[0.0], [1.0]], covariances=[[[1.0]], [[1.0]]]) | change
    numbers = [np.array(given[name], dtype=np.float64) for name in ("weights", "means", "covariances")]
    result = ctypes.c_void_p(-7)
    assert gm.densities_new(given["structure"], given["K"], given["D"], *map(at, numbers), ctypes.addressof(result)) == code
    assert result.value == ctypes.c_void_p(-7).value
    if code in (c.UNKNOWN_STRUCTURE, c.NULL_POINTER):
        assert gm.statistics_new(given["structure"], 2, 1, ctypes.addressof(result)) == code


def test_sizes_that_are_refused():
    result = ctypes.c_void_p(-7)
    for shape, code in (((0, 1), c.BAD_SIZE), ((1, 0), c.BAD_SIZE), ((-1, 1), c.BAD_SIZE), ((2**62, 2**62), c.NO_MEMORY),
                        ((2**45, 4), c.NO_MEMORY)):
        assert gm.workspace_new(*shape, ctypes.addressof(result)) == code
        assert gm.statistics_new(b"full", *shape, ctypes.addressof(result)) == code
    assert gm.workspace_new(1, 1, None) == gm.statistics_new(b"full", 1, 1, None) == c.NULL_POINTER
    assert gm.densities_new(b"full", 1, 1, None, None, None, ctypes.addressof(result)) == c.NULL_POINTER
    assert result.value == ctypes.c_void_p(-7).value


def test_sums_that_are_refused():
    statistics = c.statistics("full", K, D)
    numbers = [np.ones(shape) for shape in ((K, D), (K,), (K, D), (K, D, D))]
    numbers[3][:, 0, 1] = np.nan  # above the diagonal, and not read
    checked(gm.statistics_set(statistics, *map(at, numbers), np.nan, 1.0))
    before = public(statistics)
    for i, part in enumerate(numbers):
        for bad in (np.nan, np.inf):
            kept, part.flat[-1] = part.flat[-1], bad
            assert gm.statistics_set(statistics, *map(at, numbers), 0.0, 1.0) == c.NOT_FINITE, i
            part.flat[-1] = kept
        pointers = [at(one) for one in numbers]
        for wrong, code in ((None, c.NULL_POINTER), (pointers[i] + 4, c.UNALIGNED)):
            assert gm.statistics_set(statistics, *pointers[:i], wrong, *pointers[i + 1:], 0.0, 1.0) == code
    numbers[1][1] = -1
    assert gm.statistics_set(statistics, *map(at, numbers), 0.0, 1.0) == c.NEGATIVE
    numbers[1][1] = 1
    assert gm.statistics_set(statistics, *map(at, numbers), 0.0, -1.0) == c.NEGATIVE
    assert gm.statistics_set(statistics, *map(at, numbers), 0.0, np.inf) == c.NOT_FINITE
    for factor, code in ((-1.0, c.NEGATIVE), (np.nan, c.NOT_FINITE), (np.inf, c.NOT_FINITE)):
        assert gm.statistics_scale(statistics, factor) == code
        assert gm.m_step(statistics, factor, c.densities_of(mixture_of("full")), None) == code
    for value in (np.nan, 1e150):
        points = np.full((K, D), value)
        assert gm.statistics_clear(statistics, at(points)) == c.NOT_FINITE
    assert public(statistics) == before
    far = c.statistics("full", K, D)
    numbers[0][...] = 1e308
    checked(gm.statistics_set(far, *map(at, numbers), 0.0, 1.0))
    numbers[0][...] = -1e308
    checked(gm.statistics_set(statistics, *map(at, numbers), 0.0, 1.0))
    before = public(statistics)
    assert gm.statistics_add(statistics, far) == c.NOT_FINITE  # the way between the points is infinite
    assert public(statistics) == before


def test_clustering_that_is_refused():
    X, centres = data(50), np.zeros((2, D))
    for count, code in ((0, c.BAD_SIZE), (-1, c.BAD_SIZE), (2**60, c.BAD_SIZE)):
        assert gm.kmeans_plus_plus(*rows(X), D, None, count, 1, at(centres)) == code
        assert gm.lloyd(*rows(X), D, None, count, 5, 0.0, at(centres), None, None, None) == code
    assert gm.kmeans_plus_plus(*rows(X), 0, None, 2, 1, at(centres)) == c.BAD_SIZE
    assert gm.kmeans_plus_plus(8, None, 0, 0, D, None, 2, 1, at(centres)) == c.BAD_SIZE
    assert gm.lloyd(*rows(X), D, None, 2, 0, 0.0, at(centres), None, None, None) == c.BAD_SIZE
    assert gm.lloyd(*rows(X), D, None, 2, 5, -1.0, at(centres), None, None, None) == c.NEGATIVE
    assert gm.lloyd(*rows(X), D, None, 2, 5, np.nan, at(centres), None, None, None) == c.NOT_FINITE
    assert gm.lloyd(*rows(X), D, None, 2, 5, 0.0, at(centres), at(X) + 2, None, None) == c.UNALIGNED
    assert not centres.any()
    centres[1, 1] = np.nan
    assert gm.lloyd(*rows(X), D, None, 2, 5, 0.0, at(centres), None, None, None) == c.NOT_FINITE


def test_what_python_hands_over_is_checked():
    with pytest.raises(TypeError, match="must be a gaussmix.Mixture, not 'int'"):
        gm.densities_of(3)
    with pytest.raises(TypeError, match="must be gaussmix.Statistics, not 'int'"):
        gm.statistics_of(3, "full")
    with pytest.raises(ValueError, match="do not contain"):
        gm.statistics_of(Statistics(structure_named("diag").moments, K, D), "full")
    with pytest.raises(ValueError, match="NULL"):
        gm.mixture_of(None)
    with pytest.raises(ValueError, match="another kind"):
        gm.python_statistics(c.workspace(1, 1))


@pytest.mark.skipif(sys.platform == "win32", reason="starts a thread of POSIX")
def test_a_thread_that_python_did_not_start_may_call():
    """It has no state of the interpreter, and gets one for as long as a function needs the GIL."""
    posix, thread = ctypes.CDLL(None), ctypes.c_size_t()
    statistics = c.statistics("full", K, D)
    free, statistics.free = statistics.free, lambda handle: c.OK
    start, handle = ctypes.cast(free, ctypes.c_void_p), ctypes.c_void_p(statistics._as_parameter_)
    assert posix.pthread_create(ctypes.byref(thread), None, start, handle) == 0
    returned = ctypes.c_void_p(-1)
    assert posix.pthread_join(thread, ctypes.byref(returned)) == 0
    assert (returned.value or 0) % 2**32 == c.OK


def test_handles_are_freed():
    m, X, far = mixture_of("full"), data(), data(dtype=np.float32) * np.float32(2.0**50)
    checked(gm.densities_free(None))
    assert gm.densities_free(c.workspace(1, 1)) == c.WRONG_HANDLE

    def use():
        d, statistics, work = handles()
        checked(gm.e_step(d, *rows(X), None, statistics, work))
        checked(gm.e_step(d, *rows(far), None, statistics, work))
        checked(gm.m_step(statistics, 1e-3, d, None))
        assert gm.mixture_of(d) != m and public(statistics).weight.all()

    use()
    tracemalloc.start()
    try:
        use()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            use()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000  # a single Densities has more numbers than that
    finally:
        tracemalloc.stop()


def test_structures_written_in_python(monkeypatch):
    """A registered structure works, also in another thread. Its errors become codes, and nothing changes then."""
    monkeypatch.setattr(structures, "_known", list(structures.registered()))
    structure = OneVariance()
    structures.register(structure)
    X, work = data(), c.workspace(K, D)
    d = c.densities("one", np.full(K, 1 / K), X[:K], np.array([2.0]))
    statistics = c.statistics("one", K, D)
    checked(gm.e_step(d, *rows(X), None, statistics, work))
    expected = m_step(public(statistics), "one")
    checked(gm.m_step(statistics, 0.0, d, None))
    assert gm.mixture_of(d) == expected

    for error, code in ((RuntimeError("no"), c.PYTHON_ERROR), (MemoryError(), c.NO_MEMORY)):
        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(OneVariance, "covariances", fail)
        assert gm.m_step(statistics, 0.0, d, None) == code
        pool = multiprocessing.pool.ThreadPool(1)
        assert pool.apply(gm.m_step, (statistics, 0.0, d, None)) == code
        pool.close()
        pool.join()
    assert gm.mixture_of(d) == expected


def test_an_iterative_m_step_goes_on_from_what_the_densities_are(monkeypatch):
    """Not from what an M step that failed has left."""
    monkeypatch.setattr(structures, "_known", list(structures.registered()))
    structure = SharedFactor()
    structures.register(structure)
    X, work = data(), c.workspace(K, D)
    start = np.concatenate([np.ones((K, D)), np.full((1, D), 0.5)])
    labels = np.r_[0, np.arange(1, 100) % (K - 1) + 1].astype(np.int32)  # a single row, which has no variance
    failing, statistics = c.statistics("shared-factor", K, D), c.statistics("shared-factor", K, D)
    checked(gm.moments_of_labels(*rows(X[:100]), at(labels), None, failing, work))
    found = []
    for fails in (False, True):
        d = c.densities("shared-factor", np.full(K, 1 / K), X[:K], start)
        checked(gm.statistics_clear(statistics, None))
        checked(gm.e_step(d, *rows(X), None, statistics, work))
        if fails:
            assert gm.m_step(failing, 0.0, d, None) == c.SINGULAR
        checked(gm.m_step(statistics, 0.0, d, None))
        found.append(gm.mixture_of(d))
    assert found[0] == found[1]


def test_numba_calls_it():
    """From nopython code, by the address that numba finds in `__pyx_capi__`."""
    numba = pytest.importorskip("numba")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from numba.extending import get_cython_function_address

    number, pointer, size = ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t
    log_density = ctypes.CFUNCTYPE(number, pointer, number, pointer, size, size, pointer, pointer)(
        get_cython_function_address("gaussmix.cython_mixture", "log_density"))

    @numba.njit
    def highest(densities, X, workspace):
        """The densest row; −1 where a call fails."""
        log_p = np.empty(len(X))
        if log_density(densities, 8, X.ctypes.data, len(X), X.strides[0], log_p.ctypes.data, workspace) != 0:
            return -1
        return np.argmax(log_p)

    X, m = data(), mixture_of("full")
    d, work = c.densities_of(m), c.workspace(K, D)
    assert highest(d._as_parameter_, X, work._as_parameter_) == m.logpdf(X).argmax()
    X[3, 2] = np.nan
    assert highest(d._as_parameter_, X, work._as_parameter_) == -1

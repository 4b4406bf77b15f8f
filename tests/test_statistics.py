"""Statistics: they can be added, translated by the parallel-axis rule, and pickled."""

import copy
import pickle

import numpy as np
import pytest

from direct import as_kept, core_parameters, draw, moments, of_kind, one_pass, random_mixture, responsibilities
from gaussmix._core.densities import Kind
from gaussmix.statistics import Statistics

KINDS = {Kind.FULL: "full", Kind.TIED: "tied", Kind.DIAG: "diag"}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def passed(kind, X, reference=None, seed=0):
    mixture = random_mixture(np.random.default_rng(seed), 3, X.shape[1], KINDS[kind])
    return one_pass(kind, core_parameters(kind, *mixture), X, None, reference), responsibilities(X, *mixture)


def close(one, other, rtol=1e-11):
    np.testing.assert_array_equal(one.reference, other.reference)
    for name in ("weight", "first", "log_likelihood", "total_weight"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol * 1e3)
    np.testing.assert_allclose(as_kept(one.second, one.kind), as_kept(other.second, one.kind), rtol=rtol, atol=rtol * 1e4)


@pytest.fixture
def X():
    return draw(np.random.default_rng(1), 500, *random_mixture(np.random.default_rng(0), 3, 4))


def test_parts_add_to_the_whole(kind, X):
    whole, _ = passed(kind, X)
    first, second, third = (passed(kind, part)[0] for part in (X[:100], X[100:101], X[101:]))
    close(first + second + third, whole)
    close(first + (second + third), whole)


def test_addition_leaves_its_terms_alone(kind, X):
    a, b = passed(kind, X[:100])[0], passed(kind, X[100:])[0]
    before = copy.deepcopy((a, b))
    a + b
    a.translated(a.reference + 1)
    a.copy().clear()
    for now, then in zip((a, b), before):
        close(now, then, rtol=0)


def test_translation_is_the_direct_sum_about_the_new_points(kind, X):
    statistics, gamma = passed(kind, X)
    points = np.random.default_rng(2).normal(scale=3, size=(3, 4))
    moved = statistics.translated(points)
    weight, first, second = moments(X, gamma, points)
    np.testing.assert_array_equal(moved.reference, points)
    np.testing.assert_allclose(moved.weight, weight, rtol=1e-11)
    np.testing.assert_allclose(moved.first, first, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(as_kept(moved.second, kind), of_kind(second, kind), rtol=1e-10, atol=1e-8)
    assert moved.log_likelihood == statistics.log_likelihood and moved.total_weight == statistics.total_weight


def test_there_and_back_is_where_it_was(kind, X):
    statistics, _ = passed(kind, X)
    back = statistics.translated(statistics.reference + [1, -2, 3, 0.5]).translated(statistics.reference)
    close(back, statistics)


def test_terms_about_different_points_add(kind, X):
    whole, _ = passed(kind, X)
    a = passed(kind, X[:200])[0]
    b = passed(kind, X[200:], reference=whole.reference + np.random.default_rng(3).normal(size=(3, 4)))[0]
    close(a + b, whole)
    np.testing.assert_array_equal((b + a).reference, b.reference)
    close((b + a).translated(whole.reference), whole)


def test_terms_of_which_one_component_is_about_another_point_add(kind, X):
    """A reference point that differs in one number is another one, and the rest are as they were."""
    whole, _ = passed(kind, X)
    reference = whole.reference.copy()
    reference[1, 2] += 0.5
    close(passed(kind, X[:200])[0] + passed(kind, X[200:], reference=reference)[0], whole)


def test_a_copy_is_about_the_same_points_and_its_own(kind, X):
    statistics, _ = passed(kind, X)
    copied = statistics.copy()
    close(copied, statistics, rtol=0)
    copied.reference[...] += 1
    copied.accumulate(copied)
    np.testing.assert_array_equal(statistics.reference, passed(kind, X)[0].reference)
    close(statistics, passed(kind, X)[0], rtol=0)


def test_translation_keeps_the_digits_of_few_bits_far_out(kind):
    """Between two far points a small step apart, nothing of the distance to the origin enters."""
    X = np.round(np.random.default_rng(4).normal(size=(96, 2)) * 16) / 16
    step = np.full((1, 2), 0.25)
    results = []
    for offset in (0.0, 2.0**40):
        reference = np.full((1, 2), offset)
        p = core_parameters(kind, np.ones(1), reference, np.eye(2)[None])
        results.append(one_pass(kind, p, X + offset).translated(reference + step))
    for name in ("weight", "first", "second"):
        np.testing.assert_array_equal(getattr(results[1], name), getattr(results[0], name))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_keeps_every_bit(kind, X, protocol):
    statistics, _ = passed(kind, X)
    back = pickle.loads(pickle.dumps(statistics, protocol))
    assert type(back) is Statistics and back.kind == statistics.kind
    for name in ("reference", "weight", "first", "second", "log_likelihood", "total_weight"):
        np.testing.assert_array_equal(getattr(back, name), getattr(statistics, name))
    close(back + statistics, statistics + statistics, rtol=0)


@pytest.mark.parametrize("other", [(Kind.TIED, 2, 3), (Kind.DIAG, 2, 3), (Kind.FULL, 1, 3), (Kind.FULL, 3, 3), (Kind.FULL, 2, 2),
                                   (Kind.FULL, 3, 2), (Kind.DIAG, 1, 3)])
@pytest.mark.parametrize("apart", [False, True])
def test_what_does_not_fit_does_not_add(other, apart):
    a, b = Statistics(Kind.FULL, 2, 3), Statistics(*other)
    b.reference[...] = float(apart)
    before = pickle.dumps((a, b))
    said = (r"^statistics add only where .*, not FULL of shape \(2, 3\) and "
            rf"{other[0].name} of shape \({other[1]}, {other[2]}\)$")
    for way in (lambda: a + b, lambda: a.accumulate(b)):
        with pytest.raises(ValueError, match=said):
            way()
    with pytest.raises(ValueError, match=r"and FULL of shape \(2, 3\)$"):
        b + a
    assert pickle.dumps((a, b)) == before


def test_only_statistics_add():
    a = Statistics(Kind.FULL, 2, 3)
    for other in (1, None, np.zeros((2, 3)), "statistics"):
        with pytest.raises(TypeError):
            a + other
        with pytest.raises(TypeError):
            other + a
    for shape in ((0, 1), (1, 0), (-1, 2)):
        with pytest.raises(ValueError):
            Statistics(Kind.FULL, *shape)


@pytest.mark.parametrize("reference, said", [
    (np.zeros((2, 2)), r"points of shape \(2, 3\), one for each component, not \(2, 2\)"), (np.zeros((1, 3)), r"not \(1, 3\)"),
    (np.zeros(3), r"not \(3,\)"), (0.0, r"not \(\)"), (None, "not|finite"), ("far", "reference must be points of shape"),
    ([[0.0, 1.0, 2.0], [0.0]], "reference must be points of shape"), (np.full((2, 3), np.nan), "finite"),
    (np.full((2, 3), np.inf), "finite"), (np.full((2, 3), -1e308), "finite"), ([[0, 0, 10**400]] * 2, "reference must be points"),
])
def test_points_that_are_none_are_refused(kind, reference, said):
    a = Statistics(kind, 2, 3)
    a.reference[...] = 1e308
    with pytest.raises(ValueError, match=said):
        a.translated(reference)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_terms_about_points_that_are_not_finite_do_not_add(kind, wrong):
    a, b = Statistics(kind, 2, 3), Statistics(kind, 2, 3)
    b.reference[1, 1] = wrong
    for one, other in ((a, b), (b, a)):
        with pytest.raises(ValueError, match="finite"):
            one + other


def test_a_pickle_of_other_shapes_is_refused(kind, X):
    statistics, _ = passed(kind, X)
    restored, (number, K, D, state) = statistics.__reduce__()
    close(restored(number, K, D, state), statistics, rtol=0)
    for place in range(4):  # what numpy would broadcast, too
        for value in (state[place][..., :1], np.float64(1), np.zeros((7, 7))):
            with pytest.raises(ValueError, match="of pickled statistics must be of shape"):
                restored(number, K, D, (*state[:place], value, *state[place + 1:]))
    for arguments in ((number, K + 1, D, state), (number, K, D + 1, state), (number, K, D, state[:-1]),
                      (number, K, D, (*state, 0.0)), (9, K, D, state), ((number + 1) % 3, K, D, state)):
        with pytest.raises(ValueError):
            restored(*arguments)


def test_it_says_what_it_is(kind, X):
    assert KINDS[kind].upper() in repr(passed(kind, X)[0])


@pytest.mark.parametrize("kind", Kind)
def test_scaled_statistics_are_those_of_rows_of_other_weights(kind):
    rng = np.random.default_rng(0)
    X, mixture = rng.normal(size=(50, 3)), random_mixture(rng, 2, 3)
    parameters = core_parameters(kind, *mixture)
    scaled = one_pass(kind, parameters, X)
    same = scaled
    scaled *= 0.25
    quarter = one_pass(kind, parameters, X, np.full(50, 0.25))
    assert scaled is same and scaled.total_weight == quarter.total_weight == 12.5
    assert scaled.log_likelihood == pytest.approx(quarter.log_likelihood, rel=1e-14)
    np.testing.assert_array_equal(scaled.reference, quarter.reference)
    for name in ("weight", "first", "second"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(quarter, name), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("factor", [-1, np.nan, np.inf, "2", None, True, 1j])
def test_statistics_are_scaled_by_numbers_of_at_least_zero_only(factor):
    statistics = Statistics(Kind.DIAG, 2, 2)
    statistics.weight[...] = 3
    with pytest.raises((ValueError, TypeError)):
        statistics *= factor
    assert (statistics.weight == 3).all()

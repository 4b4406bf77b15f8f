"""Mixture, the distribution: moments, sampling, immutability, and what it refuses."""

import copy
import pickle

import numpy as np
import pytest
from scipy import stats

from direct import KINDS, STRUCTURES, core_parameters, random_mixture, structure_of
from gaussmix import GaussianMixture, Mixture


@pytest.fixture(params=STRUCTURES)
def mixture(request):
    drawn = random_mixture(np.random.default_rng(1), 3, 2, request.param)
    return Mixture.from_parameters(core_parameters(KINDS[request.param], *drawn), structure_of(KINDS[request.param]))


def test_shapes(mixture):
    assert (mixture.n_components, mixture.n_features) == (3, 2)
    assert mixture.weights.shape == (3,) and mixture.means.shape == (3, 2) and mixture.covariances.shape == (3, 2, 2)
    assert mixture.mean.shape == (2,) and mixture.cov.shape == (2, 2)


def test_moments_in_closed_form():
    m = Mixture([0.25, 0.75], [[0.0, 0.0], [4.0, -8.0]], [np.diag([1.0, 2.0]), [[3.0, 1.0], [1.0, 5.0]]])
    np.testing.assert_allclose(m.mean, [3, -6], rtol=1e-15)
    # E[x xᵀ] − E[x] E[x]ᵀ, by hand
    np.testing.assert_allclose(m.cov, [[2.5 + 12 - 9, 0.75 - 24 + 18], [0.75 - 24 + 18, 4.25 + 48 - 36]], rtol=1e-14)


def test_moments_by_integration():
    m = Mixture([0.2, 0.5, 0.3], [[-3.0], [0.0], [2.0]], [[[0.5]], [[2.0]], [[0.1]]])
    x = np.linspace(-20, 20, 400_001)
    p = m.pdf(x[:, None])
    assert np.trapezoid(p, x) == pytest.approx(1, rel=1e-10)
    assert np.trapezoid(p * x, x) == pytest.approx(m.mean[0], rel=1e-9)
    assert np.trapezoid(p * (x - m.mean[0]) ** 2, x) == pytest.approx(m.cov[0, 0], rel=1e-9)


def test_moments_far_from_the_origin():
    weights, means, covariances = random_mixture(np.random.default_rng(2), 3, 2)
    means = np.round(means * 256) / 256
    near, far = Mixture(weights, means, covariances), Mixture(weights, means + 2.0**27, covariances)
    np.testing.assert_allclose(far.cov, near.cov, rtol=1e-6)


def test_samples_have_the_moments(mixture):
    n = 200_000
    rows = mixture.rvs(n, random_state=0)
    assert rows.shape == (n, 2) and rows.dtype == np.float64
    error = np.sqrt(np.diag(mixture.cov) / n)
    assert (np.abs(rows.mean(axis=0) - mixture.mean) < 5 * error).all()
    np.testing.assert_allclose(np.cov(rows.T), mixture.cov, rtol=0.05, atol=0.05)


def test_samples_of_each_component(mixture):
    n = 60_000
    rows, labels = mixture.labelled_rvs(n, random_state=1)
    assert (np.diff(labels) >= 0).all()
    counts = np.bincount(labels, minlength=3)
    assert stats.chisquare(counts, n * mixture.weights).pvalue > 1e-4
    for k in range(3):
        own = np.linalg.solve(np.linalg.cholesky(mixture.covariances[k]), (rows[labels == k] - mixture.means[k]).T)
        np.testing.assert_allclose(own.mean(axis=1), 0, atol=5 / np.sqrt(counts[k]))
        np.testing.assert_allclose(np.cov(own), np.eye(2), atol=8 / np.sqrt(counts[k]))
        assert stats.kstest(own[1], "norm").pvalue > 1e-4


def test_samples_come_in_random_order(mixture):
    """The rows of rvs are not sorted by component: halves have the same distribution."""
    rows = mixture.rvs(20_000, random_state=3)
    assert stats.ks_2samp(rows[:10_000, 0], rows[10_000:, 0]).pvalue > 1e-4


def test_sampling_repeats_with_its_seed(mixture):
    np.testing.assert_array_equal(mixture.rvs(10, random_state=5), mixture.rvs(10, random_state=5))
    assert not np.array_equal(mixture.rvs(10, random_state=5), mixture.rvs(10, random_state=6))
    assert not np.array_equal(mixture.rvs(10), mixture.rvs(10))
    one = np.random.default_rng(1)
    assert not np.array_equal(mixture.rvs(10, random_state=one), mixture.rvs(10, random_state=one))
    for legacy in (np.random.RandomState(1), np.random):
        assert mixture.rvs(4, random_state=legacy).shape == (4, 2)
    assert mixture.rvs(0).shape == (0, 2) and mixture.rvs().shape == (1, 2)


@pytest.mark.parametrize("bad", [-1, 1.5, "seed", [1.5]])
def test_bad_seeds(mixture, bad):
    with pytest.raises(ValueError, match="random_state"):
        mixture.rvs(1, random_state=bad)


def test_it_cannot_be_changed(mixture):
    for name in ("weights", "means", "covariances"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mixture, name)[...] = 0
        with pytest.raises(AttributeError):
            setattr(mixture, name, 0)


def test_it_keeps_nothing_of_its_arguments():
    arguments = [np.array(a) for a in random_mixture(np.random.default_rng(1), 2, 3)]
    m = Mixture(*arguments)
    X = np.random.default_rng(0).normal(size=(5, 3))
    before = m.logpdf(X)
    for array in arguments:
        array[...] = np.nan
    np.testing.assert_array_equal(m.logpdf(X), before)
    assert np.isfinite(m.covariances).all()


def test_a_fit_does_not_change_an_earlier_mixture():
    rng = np.random.default_rng(0)
    model = GaussianMixture(2, random_state=0, warm_start=True).fit(rng.normal(size=(100, 2)))
    m, means = model.mixture_, model.mixture_.means.copy()
    model.fit(0.5 + rng.normal(size=(100, 2)))
    assert model.mixture_ is not m
    np.testing.assert_array_equal(m.means, means)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, *(lambda m, p=p: pickle.loads(pickle.dumps(m, p)) for p in range(6))])
def test_copies_are_equal_to_the_bit(mixture, again):
    other = again(mixture)
    X = np.random.default_rng(0).normal(size=(50, 2)) * 5
    assert other == mixture and type(other) is Mixture
    np.testing.assert_array_equal(other.logpdf(X), mixture.logpdf(X))
    np.testing.assert_array_equal(other.rvs(9, random_state=1), mixture.rvs(9, random_state=1))
    with pytest.raises(ValueError):
        other.means[...] = 0


def test_a_fit_far_from_the_origin_pickles_to_the_bit():
    X = np.random.default_rng(0).normal(size=(100, 2)) + 2.0**27
    model = GaussianMixture(2, random_state=0).fit(X)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.score_samples(X), model.score_samples(X))
    same = Mixture(*(getattr(model.mixture_, name) for name in ("weights", "means", "covariances")))
    np.testing.assert_array_equal(same.logpdf(X), model.score_samples(X))


def test_equality():
    a = Mixture([1.0], [[0.0]], [[[1.0]]])
    assert a == Mixture([1.0], [[0.0]], [[[1.0]]]) and a != Mixture([1.0], [[0.0]], [[[2.0]]])
    assert a != Mixture([1.0], [[0.0, 0.0]], [np.eye(2)]) and a != 1
    with pytest.raises(TypeError):
        hash(a)


def test_repr_shows_the_numbers_and_can_be_read_back():
    m = Mixture([0.25, 0.75], [[0.0, 1.0], [4.0, -8.0]], [np.eye(2), [[3.0, 1.0], [1.0, 5.0]]])
    assert eval(repr(m), {"Mixture": Mixture}) == m
    assert len(repr(Mixture(np.full(1000, 1e-3), np.zeros((1000, 3)), [np.eye(3)] * 1000))) < 3000


ONE = ([1.0], [[0.0]], [[[1.0]]])
BAD = [
    (([0.5], *ONE[1:]), "sum to one"),
    (([0.5, 0.6], [[0.0]] * 2, [[[1.0]]] * 2), "weights must sum to one, but they sum to 1.1"),
    (([-0.5, 1.5], [[0.0]] * 2, [[[1.0]]] * 2), r"weights must not be negative, but weights\[0\] is -0.5"),
    (([1.0, 0.0], *ONE[1:]), "weights must be of shape"),
    (([1.0], [0.0], ONE[2]), "means must be of shape"),
    (([], np.zeros((0, 2)), np.zeros((0, 2, 2))), "means must be of shape"),
    (([1.0], np.zeros((1, 0)), np.zeros((1, 0, 0))), "means must be of shape"),
    ((*ONE[:2], [[1.0]]), "covariances must be of shape"),
    ((*ONE[:2], [[[1.0, 0], [0, 1.0]]]), "covariances must be of shape"),
    ((*ONE[:2], [[[0.0]]]), r"covariances\[0\] is not positive definite"),
    ((*ONE[:2], [[[-1.0]]]), r"covariances\[0\] is not positive definite"),
    (([0.5, 0.5], np.zeros((2, 2)), [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]), r"covariances\[1\] is not positive definite"),
    (([0.5, 0.5], np.zeros((2, 2)), [np.eye(2), [[1.0, 0.5], [0.0, 1.0]]]), r"covariances\[1\] is not symmetric"),
    (([0.5, 0.5], np.zeros((2, 2)), 1e-12 * np.array([np.eye(2), [[1.0, 0.5], [0.0, 1.0]]])), r"covariances\[1\] is not symmetric"),
    (([np.nan], *ONE[1:]), r"weights must be finite, but weights\[0\] is not"),
    (([1.0], [[np.inf]], ONE[2]), r"means must be finite, but means\[0, 0\] is not"),
    ((*ONE[:2], [[[np.nan]]]), r"covariances must be finite, but covariances\[0, 0, 0\] is not"),
    ((["a"], *ONE[1:]), r"weights must be real numbers, but holds 'a' at index \(0,\)"),
    ((*ONE[:2], [[[1.0], [1.0, 2.0]]]), "covariances must be an array of real numbers, not lists of different lengths"),
    ((ONE[0], [[10**400]], ONE[2]), "means must be real numbers, but holds 1000.* at row 0, column 0"),
    ((ONE[0], np.array([[np.longdouble("1e2000")]]), ONE[2]), r"means must be finite, but means\[0, 0\] is not"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=range(len(BAD)))
def test_bad_parameters(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixture(*arguments)


def test_a_density_beyond_float32_is_zero_there():
    """ln p = −5e39, which float64 holds and float32 does not; nothing else of the row is lost."""
    mixture = Mixture([0.5, 0.5], [[0.0], [1e6]], [[[1.0]], [[1.0]]])
    rows = np.array([[1e20], [0.5]], np.float32)
    np.testing.assert_array_equal(np.isneginf(mixture.logpdf(rows)), [True, False])
    np.testing.assert_allclose(mixture.logpdf(rows.astype(float)), [-5e39, -0.125 - np.log(8 * np.pi) / 2], rtol=1e-7)
    np.testing.assert_array_equal(mixture.responsibilities(rows), [[0, 1], [1, 0]])


def test_bad_rows(mixture):
    for X, message in ((np.zeros((3, 3)), "3 features, but the mixture has 2"), (np.zeros(2), "2D"), ([[np.nan, 0]], "NaN at row 0"),
                       ([[0, np.inf]], "infinity at row 0, column 1"), ([["a", "b"]], "number")):
        for name in ("logpdf", "pdf", "responsibilities", "classify", "log_likelihood"):
            with pytest.raises(ValueError, match=message):
                getattr(mixture, name)(X)
    with pytest.raises(ValueError, match="size"):
        mixture.rvs(-1)
    with pytest.raises(ValueError, match="sample_weight"):
        mixture.log_likelihood(np.zeros((3, 2)), [1, 2])
    for bad in (0, -1, 1.5, "many"):
        with pytest.raises(ValueError, match="n_threads"):
            mixture.logpdf(np.zeros((3, 2)), n_threads=bad)


def test_a_row_of_weight_zero_does_not_count_however_far_out():
    m = Mixture([1.0], [[0.0]], [[[1.0]]])
    model = GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(50, 1)))
    X, weights = [[0.5], [1e200]], [2.0, 0.0]
    assert m.log_likelihood(X, weights) == pytest.approx(2 * m.logpdf([[0.5]])[0], rel=1e-15)
    assert model.score(X, sample_weight=weights) == pytest.approx(model.score([[0.5]]), rel=1e-12)
    for criterion in (model.bic, model.aic):
        assert criterion(X, sample_weight=weights) == pytest.approx(criterion([[0.5]], sample_weight=[2.0]), rel=1e-12)


@pytest.mark.parametrize("size", ["a", 2.5, True, None, [3]])
def test_a_number_of_rows_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="size must be a whole number of rows"):
        Mixture([1.0], [[0.0]], [[[1.0]]]).rvs(size)


@pytest.mark.parametrize("excess, fits", [(9e-7, True), (-9e-7, True), (1.1e-6, False), (-1.1e-6, False)])
def test_weights_sum_to_one_within_a_millionth(excess, fits):
    arguments = [0.5, 0.5 + excess, 0.0], np.zeros((3, 1)), np.ones((3, 1, 1))
    if not fits:
        with pytest.raises(ValueError, match="sum to one"):
            Mixture(*arguments)
        return
    assert Mixture(*arguments).rvs(100, random_state=0).shape == (100, 1)  # numpy draws by weights that sum to one more exactly


@pytest.mark.parametrize("covariance, fits", [
    ([[1.0, 0.5], [0.5 * (1 + 9e-7), 1.0]], True), ([[1.0, 0.5], [0.5 * (1 + 2e-6), 1.0]], False),  # a millionth of the entry
    ([[1.0, 9e-10], [0.0, 1.0]], True), ([[1.0, 2e-9], [0.0, 1.0]], False),  # or a billionth of the largest
    ([[4.0, 3e-9], [0.0, 1.0]], True), ([[1e-20, 2e-29], [0.0, 1e-20]], False),
])
def test_covariances_are_symmetric_but_for_rounding(covariance, fits):
    if fits:
        assert Mixture([1.0], [[0.0, 0.0]], [covariance]).n_features == 2
    else:
        with pytest.raises(ValueError, match=r"covariances\[0\] is not symmetric"):
            Mixture([1.0], [[0.0, 0.0]], [covariance])


def test_what_float32_cannot_hold_of_a_mixture_is_computed_in_float64():
    """A deviation of 1e-40, whose inverse float32 cannot hold, about a row of the data."""
    m = Mixture([0.5, 0.5], [[0.5], [0.25]], [[[0.1]], [[1e-80]]])
    expected = np.log(0.5) + stats.norm.logpdf(0.0) - 0.5 * np.log(1e-80)  # beside which the other component is nothing
    assert m.logpdf(np.float32([[0.25]]))[0] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(m.classify(np.float32([[0.25], [0.5]])), [1, 0])


def test_numpys_own_state_is_a_seed(mixture):
    before = np.random.get_state()
    try:
        drawn = []
        for seed in (3, 3, 4):
            np.random.seed(seed)
            drawn.append(mixture.rvs(10, random_state=np.random))
    finally:
        np.random.set_state(before)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])

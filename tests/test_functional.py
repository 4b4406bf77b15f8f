"""EM's parts as functions: each against the equations written out, and all together against a fit."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from direct import STRUCTURES, draw, log_joint, moments as direct_moments, of_kind, random_mixture, responsibilities
from gaussmix import GaussianMixture, Mixture, Statistics
from gaussmix.fitting import Outcome
from gaussmix.functional import e_step, em, m_step, moments
from gaussmix.statistics import Kind
from gaussmix.structures import structure_named


def rows(n_rows=500, seed=0):
    rng = np.random.default_rng(seed)
    return draw(rng, n_rows, *random_mixture(rng, 3, 3, spread=4))


def mixture_of(structure, seed=0):
    weights, means, covariances = random_mixture(np.random.default_rng(seed), 3, 3, structure)
    kept = {"full": covariances, "tied": covariances[0], "diag": np.einsum("kii->ki", covariances), "spherical": covariances[:, 0, 0]}
    return Mixture(weights, means, kept[structure], structure)


def close(found, weight, first, second, rtol=1e-11):
    np.testing.assert_allclose(found.weight, weight, rtol=rtol)
    np.testing.assert_allclose(found.first, first, rtol=rtol, atol=rtol * np.abs(second).max())
    second = of_kind(second, found.kind)
    kept = found.second if found.kind == Kind.DIAG else np.tril(found.second)
    np.testing.assert_allclose(kept, second, rtol=rtol, atol=rtol * np.abs(second).max())


@pytest.mark.parametrize("structure", STRUCTURES)
def test_component_densities_and_joint_ones_are_the_equations(structure):
    X, m = rows(), mixture_of(structure)
    joint = log_joint(X, m.weights, m.means, m.covariances)
    np.testing.assert_allclose(m.log_joint(X), joint, rtol=1e-11)
    np.testing.assert_allclose(m.component_logpdf(X), joint - np.log(m.weights), rtol=1e-11)
    np.testing.assert_array_equal(m.component_logpdf(X, n_threads=2), m.component_logpdf(X, n_threads=1))
    assert m.log_joint(X.astype(np.float32)).dtype == np.float32


def test_a_component_without_weight_has_a_density_but_no_joint_one():
    m = Mixture([0.0, 1.0], [[0.0], [1.0]], [1.0, 1.0], "spherical")
    assert m.component_logpdf([[0.0]])[0, 0] == pytest.approx(-0.5 * math.log(2 * math.pi), rel=1e-15)
    assert m.log_joint([[0.0]])[0, 0] == -math.inf


@pytest.mark.parametrize("dtype, away", [(np.float64, 2.0**510), (np.float32, 2.0**63)])
@pytest.mark.parametrize("structure", ["full", "diag"])
def test_component_densities_of_rows_whose_squares_leave_the_range(dtype, away, structure):
    """The components are at 0 and at `away`, so that each row is far from one of them at least; fractions have no range to leave."""
    X = np.array([[0.0, 1.0], [away, 0.5], [-away, 0.0], [away, away]], dtype=dtype)
    means = np.array([[0.0, 0.0], [away, 0.0]])
    covariance = np.array([[2.0, 0.5 * (structure == "full")], [0.5 * (structure == "full"), 1.0]])
    m = Mixture([0.5, 0.5], means, [covariance, covariance] if structure == "full" else [np.diag(covariance)] * 2, structure)
    (a, b), (_, c) = [[Fraction(v) for v in row] for row in covariance]
    expected = np.empty((4, 2))
    for n, row in enumerate(X):
        for k, mean in enumerate(means):
            u, v = (Fraction(float(x)) - Fraction(mu) for x, mu in zip(row, mean))
            square = (c * u * u - 2 * b * u * v + a * v * v) / (a * c - b * b)
            expected[n, k] = -float(square / 2) - math.log(2 * math.pi) - 0.5 * math.log(a * c - b * b)
    assert (expected < -1e37).any()
    found = m.component_logpdf(X)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-13 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize("scale", [None, 1.0, 2.0**70, 2.0**-70])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_an_e_step_leaves_what_the_equations_say(structure, scale):
    X, m, rng = rows(), mixture_of(structure), np.random.default_rng(1)
    weights = None if scale is None else scale * rng.uniform(0, 2, size=500)
    w = np.ones(500) if weights is None else weights
    s = e_step(X, m, weights)
    gamma = w[:, None] * responsibilities(X, m.weights, m.means, m.covariances)
    close(s, *direct_moments(X, gamma, m.means))
    assert s.total_weight == pytest.approx(w.sum(), rel=1e-13)
    assert s.log_likelihood == pytest.approx(w @ m.logpdf(X), rel=1e-12)
    np.testing.assert_array_equal(s.reference, m.means)


@pytest.mark.parametrize("about", [None, "points"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_moments_under_responsibilities_that_do_not_sum_to_one(structure, about):
    """Some rows belong to nobody, some twice over, and one component has no row."""
    X, rng = rows() + 1e5, np.random.default_rng(2)
    gamma, weights = rng.uniform(0, 2, size=(500, 4)), rng.integers(0, 3, size=500).astype(float)
    gamma[::7], gamma[:, 2] = 0, 0
    reference = None if about is None else 1e5 + rng.normal(size=(4, 3))
    s = moments(X, gamma, weights, structure, reference)
    close(s, *direct_moments(X, weights[:, None] * gamma, s.reference))
    assert math.isnan(s.log_likelihood) and s.weight[2] == 0
    if about is None:
        share = weights[:, None] * gamma
        means = np.delete(share.T @ X / np.where(share.sum(axis=0) > 0, share.sum(axis=0), 1)[:, None], 2, axis=0)
        np.testing.assert_allclose(np.delete(s.reference, 2, axis=0), means, rtol=1e-13)
    else:
        np.testing.assert_array_equal(s.reference, reference)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_an_m_step_is_that_of_a_fit(structure):
    """After an E step, and from full moments as well as from those that the structure needs."""
    X, labels = rows(), np.arange(500) % 3
    fitted = GaussianMixture(3, covariance_type=structure, init_params=labels, max_iter=0, reg_covar=1e-3).fit(X)
    for kind in ("full", structure):
        found = m_step(moments(X, np.eye(3)[labels], covariance_type=kind), structure, reg_covar=1e-3)
        assert found.covariance_type == structure
        for name in ("weights", "means", "covariances"):
            np.testing.assert_allclose(getattr(found, name), getattr(fitted.mixture_, name), rtol=1e-12, atol=1e-13)


def test_an_m_step_names_the_component_that_collapses():
    X = rows()
    gamma = np.eye(3)[np.r_[np.zeros(250, int), np.ones(250, int)]]
    with pytest.raises(ValueError, match="component 2 has no weight"):
        m_step(moments(X, gamma))
    gamma[:2] = [[0, 0, 1]] * 2
    with pytest.raises(ValueError, match="component 2 has a singular covariance"):
        m_step(moments(X, gamma))
    with pytest.raises(ValueError, match="full covariances need other moments: second moments of kind DIAG do not contain"):
        m_step(moments(X, gamma, covariance_type="diag"))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_em_is_the_fit_from_the_same_start(structure):
    X, start = rows(20_000), mixture_of(structure, seed=3)
    heard = []
    fit = em(X, start, structure, max_iter=20, reg_covar=1e-6, callback=lambda n, objective, mixture: heard.append((n, objective)))
    precisions = {"full": np.linalg.inv(start.covariances), "tied": np.linalg.inv(start.covariances[0]),
                  "diag": 1 / np.einsum("kii->ki", start.covariances), "spherical": 1 / start.covariances[:, 0, 0]}[structure]
    same = GaussianMixture(3, covariance_type=structure, max_iter=20, weights_init=start.weights, means_init=start.means,
                           precisions_init=precisions).fit(X)
    np.testing.assert_allclose(fit.history, same.history_, rtol=1e-10)
    np.testing.assert_allclose(fit.mixture.means, same.means_, rtol=1e-8)
    assert fit.outcome is Outcome.CONVERGED and fit.converged and fit.n_iter == len(heard)
    assert [n for n, _ in heard] == list(range(1, fit.n_iter + 1)) and [value for _, value in heard] == fit.history


@pytest.mark.parametrize("structure", STRUCTURES)
def test_em_from_another_structure_begins_from_its_moments(structure):
    X, start = rows(), mixture_of("full")
    begun = em(X, start, structure, max_iter=0).mixture
    full = np.einsum("k,kij->ij", start.weights, start.covariances)
    diagonal = np.einsum("kii->ki", start.covariances)
    expected = {"full": start.covariances, "tied": np.array([full] * 3), "diag": diagonal[:, :, None] * np.eye(3),
                "spherical": diagonal.mean(axis=1)[:, None, None] * np.eye(3)}[structure]
    np.testing.assert_allclose(begun.covariances, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(begun.means, start.means, rtol=1e-14)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_statistics_of_shards_make_the_fit_of_the_whole(structure):
    """E steps over parts, pickled, added and followed by an M step, ten times."""
    X, m = rows(3000), mixture_of(structure, seed=4)
    whole = em(X, m, structure, tol=0, max_iter=10)
    for _ in range(10):
        parts = [pickle.loads(pickle.dumps(e_step(part, m))) for part in np.array_split(X, 7)]
        m = m_step(sum(parts), structure)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(m, name), getattr(whole.mixture, name), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("largest", [np.finfo(float).max / 2**20, 2.0**1000, 2.0**-1000])
def test_weights_at_the_ends_of_the_range_count_as_given(largest):
    X = rows()
    s = e_step(X, mixture_of("full"), np.full(500, largest))
    np.testing.assert_allclose(s.weight / largest, e_step(X, mixture_of("full")).weight, rtol=1e-12)


def test_a_prior_without_statistics_is_an_error():
    for given in (None, [1.0], 3):
        prior = type("Nothing", (), {"statistics": lambda self, reference, kind, given=given: given})()
        with pytest.raises(TypeError):
            m_step(moments(rows(), np.ones((500, 1))), prior=prior)


@pytest.mark.parametrize("call", [
    lambda X, m: e_step(X, None), lambda X, m: e_step(X, GaussianMixture()), lambda X, m: m_step(None), lambda X, m: m_step(m),
    lambda X, m: em(X, GaussianMixture())])
def test_what_is_no_mixture_or_no_statistics_is_refused(call):
    with pytest.raises(TypeError, match="must be a (Mixture|Statistics), not"):
        call(rows(), mixture_of("full"))


def test_masked_responsibilities_are_refused():
    with pytest.raises(TypeError, match="masked array"):
        moments(rows(), np.ma.masked_less(np.ones((500, 2)), 0))


def test_statistics_compare():
    X, m = rows(), mixture_of("full")
    s = e_step(X, m)
    assert s == e_step(X, m) and s == s.copy() and not s != s.copy() and s != 3
    other = s.copy()
    other.second[0, 0, 2] += 1  # above the diagonal, where nothing is kept
    assert s == other
    for name in ("reference", "weight", "first", "second"):
        other = s.copy()
        getattr(other, name)[-1] += 1
        assert s != other
    assert moments(X, np.ones((500, 1))) == moments(X, np.ones((500, 1)))
    assert Statistics(Kind.FULL, 1, 1) != Statistics(Kind.DIAG, 1, 1)
    with pytest.raises(TypeError):
        hash(s)
    with pytest.raises(TypeError):
        sum([s], start=1)


@pytest.mark.parametrize("call, message", [
    (lambda X: e_step(X[:, :2], mixture_of("full")), "X has 2 features, but the mixture has 3"),
    (lambda X: e_step(X[:0], mixture_of("full")), "at least one row"), (lambda X: e_step(X, mixture_of("full"), -np.ones(500)), "negative"),
    (lambda X: moments(X, np.ones(500)), r"responsibilities must be of shape \(N, K\)"),
    (lambda X: moments(X, np.ones((3, 2))), "a row for each row of X"), (lambda X: moments(X, -np.ones((500, 2))), "row 0 and component 0"),
    (lambda X: moments(X, np.full((500, 2), np.nan)), "finite"), (lambda X: moments(X, [["a"]] * 500), "responsibilities must be real"),
    (lambda X: moments(X, np.ones((500, 2)), reference=np.zeros((3, 3))), r"reference must be points of shape \(2, 3\)"),
    (lambda X: moments(X, np.ones((500, 2)), covariance_type="round"), "covariance_type must be one of"),
    (lambda X: m_step(moments(X, np.ones((500, 2))), reg_covar=-1), "reg_covar must be a finite number"),
    (lambda X: moments(X, np.ones((500, 1)), reference=[[0, np.nan, 0]]), "reference contains NaN at row 0, column 1"),
    (lambda X: em(X, mixture_of("full"), reg_covar="auto"), "reg_covar must be a finite number of at least 0, not 'auto'"),
    (lambda X: em(X, mixture_of("full"), reg_covar=10**400), "reg_covar must be"), (lambda X: em(X, mixture_of("full"), tol="x"), "tol must be"),
    (lambda X: em(X, mixture_of("full"), callback=3), "callback must be callable"),
    (lambda X: em(X, mixture_of("full"), tol=-1), "tol must be"), (lambda X: em(X, mixture_of("full"), max_iter=1.5), "max_iter must be"),
    (lambda X: em(X[:, :1], mixture_of("full")), "X has 1 features, but the start has 3"),
])
def test_nonsense_is_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call(rows())


class Seen:
    """A prior: rows that were seen elsewhere."""

    def __init__(self, X, gamma):
        self.X, self.gamma = X, gamma

    def statistics(self, reference, kind):
        return moments(self.X, self.gamma, covariance_type={structure_named(name).moments: name for name in ("full", "tied", "diag")}[kind],
                       reference=reference)

    def log_density(self, mixture):
        return (self.gamma * mixture.log_joint(self.X)).sum()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_prior_is_added_in_both_faces(structure):
    X, gamma = rows(), np.eye(3)[np.arange(500) % 3]
    prior = Seen(X[:50], gamma[:50])
    found = m_step(moments(X[50:], gamma[50:], covariance_type=structure), structure, prior)
    of_all = m_step(moments(X, gamma, covariance_type=structure), structure)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(found, name), getattr(of_all, name), rtol=1e-11, atol=1e-12)
    fit = em(X, mixture_of(structure), structure, prior=prior, tol=1e-10, max_iter=300)
    assert fit.converged and (np.diff(fit.history) > -1e-12).all()
    assert fit.history[0] == pytest.approx((mixture_of(structure).log_likelihood(X) + prior.log_density(mixture_of(structure))) / 500, rel=1e-12)


def test_what_is_no_prior_is_refused():
    X = np.random.default_rng(0).normal(size=(30, 1))
    mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    with pytest.raises(TypeError, match="prior must have the method statistics, as gaussmix.functional.Prior describes, not 1"):
        em(X, mixture, prior=1)
    with pytest.raises(TypeError, match="prior must have the method statistics"):
        m_step(e_step(X, mixture), prior="strong")

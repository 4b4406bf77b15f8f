"""Each equation on its own against a direct evaluation by Cholesky factors, through Mixture and through the compiled passes."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

import direct
from direct import KINDS, STRUCTURES, core_parameters, draw, evaluated, one_pass, random_mixture
from gaussmix import GaussianMixture, Mixture
from gaussmix._core.densities import Kind


@pytest.fixture(params=STRUCTURES)
def structure(request):
    return request.param


@pytest.fixture(params=[(1, 1), (1, 3), (2, 1), (3, 2), (5, 4), (4, 11)], ids=lambda shape: f"K{shape[0]}D{shape[1]}")
def mixture(request, structure):
    return random_mixture(np.random.default_rng(7), *request.param, structure)


def rows_of(mixture, n_rows=200):
    return draw(np.random.default_rng(8), n_rows, *mixture)


def test_1_density(mixture):
    X = rows_of(mixture)
    expected = direct.log_density(X, *mixture)
    np.testing.assert_allclose(Mixture(*mixture).logpdf(X), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(Mixture(*mixture).pdf(X), np.exp(expected), rtol=1e-11)


def test_1_density_by_structure(mixture, structure):
    X = rows_of(mixture)
    log_p, gamma, labels = evaluated(KINDS[structure], core_parameters(KINDS[structure], *mixture), X)
    np.testing.assert_allclose(log_p, direct.log_density(X, *mixture), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gamma, direct.responsibilities(X, *mixture), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(labels, direct.log_joint(X, *mixture).argmax(axis=1))


def test_2_3_weights_of_a_fit_sum_to_one(structure):
    X = rows_of(random_mixture(np.random.default_rng(1), 3, 2))
    weights = GaussianMixture(4, covariance_type=structure, random_state=0).fit(X).weights_
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1, rel=1e-14)


def test_4_5_responsibilities(mixture):
    X = rows_of(mixture)
    gamma = Mixture(*mixture).responsibilities(X)
    np.testing.assert_allclose(gamma, direct.responsibilities(X, *mixture), rtol=0, atol=1e-12)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-15 * (4 + len(mixture[0])))
    np.testing.assert_array_equal(Mixture(*mixture).classify(X), gamma.argmax(axis=1))


def test_6_log_likelihood(mixture, structure):
    X = rows_of(mixture)
    weights = np.random.default_rng(3).uniform(0, 2, size=len(X))
    log_p = direct.log_density(X, *mixture)
    assert Mixture(*mixture).log_likelihood(X) == pytest.approx(log_p.sum(), rel=1e-12)
    assert Mixture(*mixture).log_likelihood(X, weights) == pytest.approx(weights @ log_p, rel=1e-12)
    s = one_pass(KINDS[structure], core_parameters(KINDS[structure], *mixture), X, weights)
    assert s.log_likelihood == pytest.approx(weights @ log_p, rel=1e-12)
    assert s.total_weight == pytest.approx(weights.sum(), rel=1e-14)


def m_step(X, gamma, structure):
    """Equations (7), (8) and (11), and what each structure makes of (8)."""
    weight = gamma.sum(axis=0)
    means = gamma.T @ X / weight[:, None]
    covariances = np.array([((X - m).T * g) @ (X - m) / w for m, g, w in zip(means, gamma.T, weight)])
    if structure == "tied":
        covariances = np.tensordot(weight, covariances, 1) / weight.sum()
    elif structure == "diag":
        covariances = np.einsum("kii->ki", covariances)
    elif structure == "spherical":
        covariances = np.einsum("kii->k", covariances) / X.shape[1]
    return weight / weight.sum(), means, covariances


@pytest.mark.parametrize("weighted", [False, True])
def test_7_8_11_m_step_from_responsibilities(structure, weighted):
    rng = np.random.default_rng(2)
    X, shares = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)), rng.dirichlet([0.3, 1, 2, 0.7], size=300)
    weights = rng.uniform(0, 3, size=300) if weighted else np.ones(300)
    model = GaussianMixture(4, covariance_type=structure, init_params=shares, reg_covar=0, max_iter=0)
    model.fit(X, sample_weight=weights if weighted else None)
    expected = m_step(X, shares * weights[:, None], structure)
    for found, value in zip((model.weights_, model.means_, model.covariances_), expected):
        np.testing.assert_allclose(found, value, rtol=1e-11, atol=1e-13)


def test_7_8_11_m_step_from_labels(structure):
    rng = np.random.default_rng(2)
    X, labels = rng.normal(size=(97, 2)), rng.integers(0, 3, size=97)
    model = GaussianMixture(3, covariance_type=structure, init_params=labels, reg_covar=0, max_iter=0).fit(X)
    expected = m_step(X, np.eye(3)[labels], structure)
    for found, value in zip((model.weights_, model.means_, model.covariances_), expected):
        np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:reg_covar=0.25 is more than a thousandth")
@pytest.mark.parametrize("reg_covar", [0, 0.25])
def test_one_iteration_is_5_then_7_8_11(structure, reg_covar):
    start = random_mixture(np.random.default_rng(4), 3, 2, structure, spread=1)
    X = np.random.default_rng(5).normal(size=(500, 2)) * [1, 2]
    precisions = np.linalg.inv(start[2])
    compact = {"full": precisions, "tied": precisions[0], "diag": np.einsum("kii->ki", precisions),
               "spherical": precisions[:, 0, 0]}[structure]
    model = GaussianMixture(3, covariance_type=structure, weights_init=start[0], means_init=start[1],
                            precisions_init=compact, reg_covar=reg_covar, max_iter=1, tol=0)
    with pytest.warns(UserWarning, match="converge"):
        model.fit(X)
    weights, means, covariances = m_step(X, direct.responsibilities(X, *start), structure)
    eye = 1 if structure in ("diag", "spherical") else np.eye(2)
    np.testing.assert_allclose(model.weights_, weights, rtol=1e-11)
    np.testing.assert_allclose(model.means_, means, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.covariances_, covariances + reg_covar * eye, rtol=1e-10, atol=1e-12)
    assert model.history_ == [pytest.approx(direct.log_density(X, *start).mean(), rel=1e-12)]


def test_bic_and_aic_count_the_free_parameters(structure):
    X = rows_of(random_mixture(np.random.default_rng(1), 3, 3))
    model = GaussianMixture(2, covariance_type=structure, random_state=0).fit(X)
    covariance_parameters = {"full": 2 * 6, "tied": 6, "diag": 2 * 3, "spherical": 2}[structure]
    p = 1 + 2 * 3 + covariance_parameters
    log_likelihood = direct.log_density(X, model.weights_, model.means_, direct.full_covariances(model)).sum()
    assert model.bic(X) == pytest.approx(-2 * log_likelihood + p * math.log(len(X)), rel=1e-12)
    assert model.aic(X) == pytest.approx(-2 * log_likelihood + 2 * p, rel=1e-12)


# Rows far out, and components that are not there.


@pytest.mark.parametrize("distance", [40, 1e5, 1e10, 1e100, 1e149, 1e151, 1e155, 1e160, 1e200, 1e300])
def test_far_rows_have_responsibilities_that_sum_to_one(mixture, structure, distance):
    rng = np.random.default_rng(9)
    X = distance * rng.choice([-1.0, 1.0], size=(20, mixture[1].shape[1]))
    X[10:] = rows_of(mixture, 10)  # among ordinary rows
    log_p, ours, _ = evaluated(KINDS[structure], core_parameters(KINDS[structure], *mixture), X)
    for gamma in (ours, Mixture(*mixture).responsibilities(X)):
        assert (gamma >= 0).all()
        np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-15 * (4 + len(mixture[0])))
    with np.errstate(over="ignore", invalid="ignore"):
        residual = X[:, None] / 2**600 - mixture[1] / 2**600  # an exact scaling, so that squares do not overflow
        squares = np.einsum("nki,kij,nkj->nk", residual, np.linalg.inv(mixture[2]), residual).min(axis=1)
        nearest = -0.5 * squares * 2.0**600 * 2.0**600
    far = nearest < -1e12
    np.testing.assert_allclose(log_p[far], nearest[far], rtol=1e-11)
    np.testing.assert_allclose(log_p[10:], direct.log_density(X[10:], *mixture), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_log_likelihood_of_far_rows_is_counted_once(dtype):
    """Rows at which the log-density leaves the range of the number type of the loops."""
    far = 3e150 if dtype == np.float64 else 3e11
    deviation = 1.0 if dtype == np.float64 else 1e-9
    X = np.array([[far], [-far], [0.0]], dtype)
    parameters = core_parameters(Kind.FULL, np.ones(1), np.zeros((1, 1)), np.full((1, 1, 1), deviation**2))
    s = one_pass(Kind.FULL, parameters, X)
    z = X.astype(float) / deviation
    expected = float(np.sum(-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - math.log(deviation)))
    assert s.log_likelihood == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-100, 1e100])
def test_far_rows_belong_to_the_nearest_component(scale):
    mixture = Mixture([0.5, 0.5], [[0.0], [0.0]], scale**2 * np.array([[[1.0]], [[4.0]]]))
    for z in (40.0, 1e5, 1e153, 1e155, 1e180):
        np.testing.assert_allclose(mixture.responsibilities([[z * scale], [-z * scale]]), [[0, 1], [0, 1]], atol=1e-200)


def test_a_component_of_weight_zero_takes_nothing(structure):
    weights, means, covariances = random_mixture(np.random.default_rng(3), 3, 2, structure)
    weights = np.array([0.4, 0.0, 0.6])
    X = np.r_[draw(np.random.default_rng(1), 50, weights, means, covariances), means[1:2], [[1e160, 0], [1e200, -1e200]]]
    kind = KINDS[structure]
    log_p, gamma, labels = evaluated(kind, core_parameters(kind, weights, means, covariances), X)
    assert (gamma[:, 1] == 0).all() and not (labels == 1).any()
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-14)
    expected = logsumexp(direct.log_joint(X[:51], weights, means, covariances), axis=1)
    np.testing.assert_allclose(log_p[:51], expected, rtol=1e-12)
    assert not np.isnan(log_p).any()


def test_equal_components_share_every_row():
    mixture = Mixture([0.25] * 4, np.zeros((4, 2)), [np.eye(2)] * 4)
    for far in (0.0, 40.0, 1e150, 1e155, 1e200):
        np.testing.assert_allclose(mixture.responsibilities([[far, far]]), [[0.25] * 4], rtol=1e-14)


# float32.


def test_float32_rows_give_float32_results_close_to_float64s(mixture):
    X = rows_of(mixture).astype(np.float32)
    m = Mixture(*mixture)
    for name, tolerance in (("logpdf", 1e-5), ("responsibilities", 3e-5)):
        single, double = getattr(m, name)(X), getattr(m, name)(X.astype(float))
        assert single.dtype == np.float32 and double.dtype == np.float64
        np.testing.assert_allclose(single, double, rtol=tolerance, atol=tolerance)


def test_float32_rows_under_a_very_narrow_component():
    """1/σ leaves the range of float32 though the row does not."""
    m = Mixture([1.0], [[0.0]], [[[1e-100]]])
    X = np.zeros((1, 1))
    assert m.logpdf(X.astype(np.float32))[0] == pytest.approx(m.logpdf(X)[0], rel=1e-6)


def test_float32_rows_under_a_component_beyond_float32():
    m = Mixture([0.5, 0.5], [[0.0], [1e39]], [[[1.0]], [[1e78]]])
    X = np.array([[1000.0], [0.0]])
    np.testing.assert_allclose(m.responsibilities(X.astype(np.float32)), m.responsibilities(X), atol=1e-6)

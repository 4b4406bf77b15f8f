"""Hard data: far from the origin, badly conditioned, far out. Against 50-digit arithmetic and against exact copies of the data."""

import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from direct import STRUCTURES, core_parameters, draw, evaluated, one_pass, random_mixture
from gaussmix import GaussianMixture, Mixture
from gaussmix._core.densities import Kind
from gaussmix.statistics import Statistics
from gaussmix.structures import structure_named

FAR = 2.0**27


@pytest.fixture(autouse=True)
def fifty_digits():
    with mpmath.workdps(50):
        yield


def exact_log_joint(X, weights, means, covariances):
    """ln π_k N(x_n | μ_k, Σ_k) to 50 digits: lists of mpf."""
    columns = []
    for weight, mean, covariance in zip(weights, means, covariances):
        D = len(mean)
        sigma = mpmath.matrix(covariance.tolist())
        precision, determinant = mpmath.inverse(sigma), mpmath.det(sigma)
        constant = mpmath.log(mpmath.mpf(float(weight))) - (D * mpmath.log(2 * mpmath.pi) + mpmath.log(determinant)) / 2
        column = []
        for row in X:
            away = mpmath.matrix([mpmath.mpf(float(x)) - mpmath.mpf(float(m)) for x, m in zip(row, mean)])
            column.append(constant - (away.T * precision * away)[0] / 2)
        columns.append(column)
    return list(zip(*columns))


def exact(X, *mixture):
    """ln p(x_n) (1) and γ_nk (5), computed to 50 digits, rounded to double."""
    log_p, gamma = [], []
    for joint in exact_log_joint(X, *mixture):
        top = max(joint)
        total = top + mpmath.log(mpmath.fsum(mpmath.exp(value - top) for value in joint))
        log_p.append(float(total))
        gamma.append([float(mpmath.exp(value - total)) for value in joint])
    return np.array(log_p), np.array(gamma)


def few_bits(array, bits=8):
    """Rounded to multiples of 2⁻ᵇⁱᵗˢ, so that a shift by 2²⁷ is exact."""
    return np.round(array * 2.0**bits) / 2.0**bits


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("offset", [0.0, FAR, -3 * FAR])
def test_densities_far_from_the_origin(structure, offset):
    rng = np.random.default_rng(1)
    weights, means, covariances = random_mixture(rng, 3, 3, structure, spread=2)
    X = few_bits(draw(rng, 30, weights, means, covariances)) + offset
    means = few_bits(means) + offset
    log_p, gamma = exact(X, weights, means, covariances)
    kind = {"full": Kind.FULL, "tied": Kind.TIED}.get(structure, Kind.DIAG)
    found = evaluated(kind, core_parameters(kind, weights, means, covariances), X)
    np.testing.assert_allclose(found[0], log_p, rtol=1e-13)
    np.testing.assert_allclose(found[1], gamma, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", [Kind.FULL, Kind.TIED, Kind.DIAG])
@pytest.mark.parametrize("n_features", [1, 2, 5, 17])
def test_an_exact_shift_changes_no_bit_of_a_pass(kind, n_features, dtype):
    rng = np.random.default_rng(2)
    structure = {Kind.FULL: "full", Kind.TIED: "tied", Kind.DIAG: "diag"}[kind]
    weights, means, covariances = random_mixture(rng, 4, n_features, structure, spread=2)
    bits, offset = (8, FAR) if dtype == np.float64 else (4, 2.0**16)
    X, means = few_bits(draw(rng, 250, weights, means, covariances), bits), few_bits(means, bits)
    near = one_pass(kind, core_parameters(kind, weights, means, covariances), X.astype(dtype))
    far = one_pass(kind, core_parameters(kind, weights, means + offset, covariances), (X + offset).astype(dtype))
    for name in ("weight", "first", "second", "log_likelihood"):
        np.testing.assert_array_equal(getattr(far, name), getattr(near, name))


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
@pytest.mark.parametrize("offset", [0.0, FAR])
def test_densities_under_badly_conditioned_covariances(condition, offset):
    """A Cholesky factor is exact for a matrix within ε of the given one, so the error is at most ε times the condition."""
    rng = np.random.default_rng(3)
    D = 4
    rotation = np.linalg.qr(rng.normal(size=(D, D)))[0]
    covariance = rotation * np.geomspace(1, 1 / condition, D) @ rotation.T
    covariance = np.tril(covariance) + np.tril(covariance, -1).T
    X = few_bits(rng.normal(size=(20, D))) + offset
    means, weights = np.full((1, D), offset), np.ones(1)
    log_p, _ = exact(X, weights, means, covariance[None])
    np.testing.assert_allclose(Mixture(weights, means, covariance[None]).logpdf(X), log_p,
                               rtol=4 * D * condition * np.finfo(float).eps)


@pytest.mark.parametrize("offset", [0.0, FAR])
def test_units_of_the_features_do_not_matter(offset):
    """A condition of 1e10 that is only in the units costs nothing: Cholesky does not see scaling."""
    rng = np.random.default_rng(4)
    units = 2.0 ** np.array([0, -8, -16, -17])
    weights, means, covariances = random_mixture(rng, 2, 4)
    X, means = few_bits(draw(rng, 20, weights, means, covariances)), few_bits(means)
    scaled = (X + offset) * units, weights, (means + offset) * units, covariances * units * units[:, None]
    assert np.linalg.cond(scaled[3]).max() > 1e10
    np.testing.assert_allclose(Mixture(*scaled[1:]).logpdf(scaled[0]), exact(*scaled)[0], rtol=1e-13)


@pytest.mark.parametrize("distance", [40, 1e3, 1e5])
def test_rows_many_deviations_from_every_component(distance):
    rng = np.random.default_rng(5)
    weights, means, covariances = random_mixture(rng, 3, 2)
    directions = rng.normal(size=(20, 2))
    X = distance * directions / np.linalg.norm(directions, axis=1, keepdims=True) * 2
    log_p, gamma = exact(X, weights, means, covariances)
    m = Mixture(weights, means, covariances)
    np.testing.assert_allclose(m.logpdf(X), log_p, rtol=1e-13)
    # An exponent of size q is known to ε q, and so is the logarithm of a responsibility.
    np.testing.assert_allclose(m.responsibilities(X), gamma, rtol=0, atol=8 * np.finfo(float).eps * np.abs(log_p).max())


# Fitted parameters.


def two_groups(rng, n_rows=300):
    X = few_bits(rng.normal(size=(n_rows, 3)) @ [[1, 0.5, 0], [0, 1, 0.25], [0, 0, 2]], 4)
    X[: n_rows // 2] += [4, 0, 4]
    return X


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("start", ["labels", "responsibilities", "kmeans", "means"])
def test_a_shift_leaves_the_fitted_covariances(structure, start):
    rng = np.random.default_rng(6)
    X = two_groups(rng)
    options = {"labels": {"init_params": (np.arange(len(X)) >= len(X) // 3).astype(int)},
               "responsibilities": {"init_params": rng.dirichlet([1, 1], size=len(X))},
               "kmeans": {"init_params": "kmeans", "random_state": 0},
               "means": {"random_state": 0}}[start]
    fits = []
    for offset in (0.0, FAR):
        if start == "means":
            options["means_init"] = np.array([[4, 0, 4], [0, 1, 0]]) + offset
        model = GaussianMixture(2, covariance_type=structure, reg_covar=0, tol=0, max_iter=30, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fits.append(model.fit(X + offset))
    near, far = fits
    np.testing.assert_allclose(far.weights_, near.weights_, rtol=1e-9)
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(far.means_ - FAR, near.means_, rtol=0, atol=2 * np.spacing(FAR))
    np.testing.assert_allclose(far.history_, near.history_, rtol=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("start", ["labels", "means", "far means", "very far means", "kmeans"])
@pytest.mark.parametrize("apart", [1e6, 1e8])
def test_clusters_far_apart_keep_their_own_covariances(structure, start, apart):
    rng = np.random.default_rng(7)
    X = few_bits(rng.normal(size=(200, 2)) @ [[1, 0.5], [0, 0.5]])
    X[100:] *= 2
    shift = np.round(apart) * np.array([1.0, -1.0])
    own = [np.cov(part.T, bias=True) for part in (X[:100], X[100:])]
    own = {"full": own, "tied": (own[0] + own[1]) / 2, "diag": [np.diag(c) for c in own],
           "spherical": [np.trace(c) / 2 for c in own]}[structure]
    X[100:] += shift
    labels = np.repeat([0, 1], 100)
    options = {"reg_covar": 0, "max_iter": 20, "covariance_type": structure, "tol": 1e-12, "random_state": 0}
    precision = {"full": [np.eye(2)] * 2, "tied": np.eye(2), "diag": np.ones((2, 2)), "spherical": np.ones(2)}[structure]
    centres = np.array([[0, 0], shift])
    away = {"means": 0, "far means": apart / 8, "very far means": 1e3 * apart}.get(start)
    if start == "labels":
        options["init_params"] = labels
    elif start != "kmeans":
        options |= {"weights_init": [0.5, 0.5], "precisions_init": precision, "means_init": centres + [[-away, away], [away, -away]]}
    model = GaussianMixture(2, **options).fit(X)
    assert model.converged_
    order = np.argsort(model.means_[:, 0])
    found = model.covariances_ if structure == "tied" else model.covariances_[order]
    np.testing.assert_allclose(found, own, rtol=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("distance", [1e10, 1e15, 1e18, 1e20, 1e25])
def test_a_start_from_means_beyond_the_digits_of_the_data(structure, distance):
    """From a mean so far off that a residual about it keeps no digit of the row, EM still finds the rows."""
    X = np.random.default_rng(8).normal(size=(500, 2))
    precision = {"full": [np.eye(2)], "tied": np.eye(2), "diag": np.ones((1, 2)), "spherical": np.ones(1)}[structure]
    model = GaussianMixture(1, covariance_type=structure, reg_covar=0, max_iter=10, weights_init=[1.0],
                            means_init=[[distance, -distance]], precisions_init=precision).fit(X)
    assert model.converged_
    np.testing.assert_allclose(model.means_, [X.mean(axis=0)], rtol=1e-9)
    own = np.cov(X.T, bias=True)
    expected = {"full": [own], "tied": own, "diag": [np.diag(own)], "spherical": [np.trace(own) / 2]}[structure]
    np.testing.assert_allclose(model.covariances_, expected, rtol=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("deviations", [150, 400, 2e3, 5e3, 1e5])
def test_one_iteration_from_a_far_start_keeps_the_digits_of_the_covariance(structure, deviations):
    """After a move of over a hundred deviations second moments are taken again: else they would be off by ε times its square."""
    X = np.random.default_rng(12).normal(size=(500, 2))
    precision = {"full": [np.eye(2)], "tied": np.eye(2), "diag": np.ones((1, 2)), "spherical": np.ones(1)}[structure]
    options = {"covariance_type": structure, "reg_covar": 0, "max_iter": 1, "weights_init": [1.0], "precisions_init": precision}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(1, means_init=[[deviations, -deviations]], **options).fit(X)
    own = exact_covariance(X)
    expected = {"full": [own], "tied": own, "diag": [np.diag(own)], "spherical": [np.trace(own) / 2]}[structure]
    np.testing.assert_allclose(model.covariances_, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("distance", [1e40, 1e100, 1e250])
def test_one_iteration_from_far_beyond_the_digits_of_far_rows_keeps_those_of_the_covariance(structure, distance):
    """Each time that moments are taken, ε of a distance is left: first of that to the rows, then of the rows' to the origin."""
    rng = np.random.default_rng(12)
    N, D, offset = 300, 20, 1e15
    X = offset + rng.normal(size=(N, D))
    precision = {"full": [np.eye(D)], "tied": np.eye(D), "diag": np.ones((1, D)), "spherical": np.ones(1)}[structure]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(1, covariance_type=structure, reg_covar=0, max_iter=1, weights_init=[1.0], precisions_init=precision,
                                means_init=distance * rng.uniform(1, 2, size=(1, D))).fit(X)
    own = np.cov((X - offset).T, bias=True)
    expected = {"full": [own], "tied": own, "diag": [np.diag(own)], "spherical": [np.trace(own) / D]}[structure]
    np.testing.assert_allclose(model.covariances_, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_narrow_component_that_moves_far_keeps_its_digits_beside_a_wide_one(structure, order):
    """The move of a mean is measured in the deviations of its own component, wherever that is in the order of components."""
    rng = np.random.default_rng(13)
    narrow = rng.normal(size=(500, 2))
    X = np.concatenate([narrow, 1e9 + 1e6 * rng.normal(size=(500, 2))])
    variances = np.array([1e6, 1e12])[order]
    precisions = {"full": [np.eye(2) / v for v in variances], "diag": np.tile(1 / variances[:, None], 2), "spherical": 1 / variances}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(2, covariance_type=structure, reg_covar=0, max_iter=1, weights_init=[0.5, 0.5],
                                means_init=np.array([[5e3, -5e3], [1e9, 1e9]])[order], precisions_init=precisions[structure]).fit(X)
    own = exact_covariance(narrow)
    expected = {"full": own, "diag": np.diag(own), "spherical": np.trace(own) / 2}[structure]
    np.testing.assert_allclose(model.covariances_[order.index(0)], expected, rtol=1e-14, atol=1e-14)


def exact_covariance(X):
    """Σ (x − x̄)(x − x̄)ᵀ / N to 50 digits, rounded."""
    mean = [mpmath.fsum(column) / len(X) for column in X.T.tolist()]
    away = [[mpmath.mpf(x) - m for x, m in zip(row, mean)] for row in X.tolist()]
    features = range(X.shape[1])
    return np.array([[float(mpmath.fsum(row[i] * row[j] for row in away) / len(X)) for j in features] for i in features])


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("n_features", [1, 3, 7])
def test_the_m_step_rounds_each_number_a_few_times(structure, n_features):
    """Of sums of whole numbers, which are exact, it makes the exact weights (11), means (7) and covariances (8) to 4 ε."""
    rng = np.random.default_rng(n_features)
    K, D = 3, n_features
    kind = {"full": Kind.FULL, "tied": Kind.TIED}.get(structure, Kind.DIAG)
    rows = rng.integers(-9, 10, size=(K, 50, D))
    statistics, found = Statistics(kind, K, D), structure_named(structure).parameters(K, D)
    counts = np.array([50, 41, 23])
    for k, count in enumerate(counts):
        some = rows[k, :count]
        statistics.weight[k], statistics.first[k] = count, some.sum(axis=0)
        if kind == Kind.DIAG:
            statistics.second[k] = (some**2).sum(axis=0)
        else:
            statistics.second[k if kind == Kind.FULL else 0] += some.T @ some
    statistics.reference[...] = rng.integers(-5, 5, size=(K, D))
    added = np.full(D, 0.5)
    assert structure_named(structure).m_step(added, D).maximize(statistics, found) == -1

    own = np.array([exact_covariance(rows[k, :count].astype(float)) for k, count in enumerate(counts)])
    if structure == "tied":
        own = np.tensordot(counts / counts.sum(), own, 1)
    if kind == Kind.DIAG:
        own = np.einsum("kii->ki", own)
    if structure == "spherical":
        own = own.mean(axis=1)
    expected = own + {"diag": added, "spherical": added.mean()}.get(structure, np.diag(added))
    eps = np.finfo(float).eps
    mean_squares = max((rows[k, :count] ** 2).mean(axis=0).max() for k, count in enumerate(counts))
    np.testing.assert_allclose(found.weights, counts / counts.sum(), rtol=eps)
    means = statistics.reference + statistics.first / statistics.weight[:, None]
    np.testing.assert_allclose(found.means, means, rtol=0, atol=4 * eps * np.abs(means).max())
    np.testing.assert_allclose(found.covariances, expected, rtol=0, atol=4 * eps * mean_squares)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_mean_and_what_rounding_left_out_of_it_are_the_exact_sum(structure):
    """Of a reference point and the way from there, whichever is the larger: a weight that is a power of two rounds no quotient."""
    rng = np.random.default_rng(14)
    K, D = 4, 50
    kind = {"full": Kind.FULL, "tied": Kind.TIED}.get(structure, Kind.DIAG)
    statistics, found = Statistics(kind, K, D), structure_named(structure).parameters(K, D)
    statistics.weight[...] = [1, 2, 0.5, 8]
    statistics.reference[...], way = (rng.normal(size=(K, D)) * 2.0 ** rng.integers(-30, 30, size=(K, D)) for _ in range(2))
    statistics.first[...] = way * statistics.weight[:, None]
    structure_named(structure).m_step(0.0, D).maximize(statistics, found)
    for m, d, mean, rest in zip(*(a.ravel().tolist() for a in (statistics.reference, way, found.means, found.densities.means_rest))):
        assert mean == m + d and Fraction(mean) + Fraction(rest) == Fraction(m) + Fraction(d)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("n_features", [1, 2, 4, 5, 16, 20, 64, 101])
def test_a_fit_of_whole_numbers_about_whole_means_is_rounded_once(structure, n_features, dtype):
    """Clusters so far apart that responsibilities are 0 and 1, each with the mirror image of every row: no sum is rounded, only the
    quotients of the M step."""
    rng = np.random.default_rng(n_features)
    counts, rows, labels = [400, 260, 240], [], []
    for k, count in enumerate(counts):
        half = rng.integers(-6, 7, size=(count // 2, n_features))
        rows += [half, -half]
        labels += [k] * count
    away, labels = np.concatenate(rows), np.array(labels)
    order = rng.permutation(len(labels))
    away, labels = away[order], labels[order]
    X = (away + 1000 * labels[:, None]).astype(dtype)
    options = {"covariance_type": structure, "reg_covar": 0, "init_params": labels, "max_iter": 2, "tol": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = GaussianMixture(3, **options).fit(X).mixture_
    second = np.array([away[labels == k].T @ away[labels == k] for k in range(3)])
    if structure in ("diag", "spherical"):
        second = second * np.eye(n_features, dtype=int)
    expected = second.sum(axis=0) / len(X) * np.ones((3, 1, 1)) if structure == "tied" else second / np.reshape(counts, (3, 1, 1))
    eps = np.finfo(float).eps
    if structure == "spherical":  # the mean of D rounded variances
        expected, eps = np.trace(second, axis1=1, axis2=2)[:, None, None] / np.reshape(counts, (3, 1, 1)) / n_features, n_features * eps
        expected = expected * np.eye(n_features)
    np.testing.assert_allclose(mixture.covariances, expected, rtol=eps)
    np.testing.assert_array_equal(mixture.means, 1000.0 * np.arange(3)[:, None] * np.ones(n_features))
    np.testing.assert_allclose(mixture.weights, np.array(counts) / len(X), rtol=eps)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_fit_of_badly_conditioned_data_to_its_closed_form(structure):
    """K = 1: the covariance is that of the rows, to 50 digits rounded, however the units and the offset."""
    X = few_bits(np.random.default_rng(9).normal(size=(60, 3))) * 2.0 ** np.array([0, -10, 10]) + 2.0**30
    covariance = exact_covariance(X)
    expected = {"full": [covariance], "tied": covariance, "diag": [np.diag(covariance)],
                "spherical": [np.trace(covariance) / 3]}[structure]
    model = GaussianMixture(1, covariance_type=structure, reg_covar=0).fit(X)
    units = np.sqrt(np.diag(covariance))
    scale = units * units[:, None] if structure in ("full", "tied") else 1.0  # a covariance near 0 is known to ε σ_i σ_j
    np.testing.assert_allclose(model.covariances_ / scale, np.array(expected) / scale, rtol=1e-12, atol=1e-13 * np.ndim(scale))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_float32_log_likelihood_is_float64s_to_a_millionth(structure):
    rng = np.random.default_rng(10)
    X = draw(rng, 5000, *random_mixture(rng, 4, 3)).astype(np.float32)
    options = {"covariance_type": structure, "init_params": rng.integers(0, 4, size=5000), "max_iter": 20, "tol": 0, "reg_covar": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        single, double = (GaussianMixture(4, **options).fit(data) for data in (X, X.astype(float)))
    assert single.means_.dtype == single.covariances_.dtype == single.weights_.dtype == np.float32
    np.testing.assert_allclose(single.history_, double.history_, rtol=1e-6)


def test_float32_far_from_the_origin():
    """2¹⁶ away from the origin the rows still differ by multiples of 2⁻⁴ exactly, so the fit is the same."""
    X = two_groups(np.random.default_rng(6))
    labels = (np.arange(len(X)) >= len(X) // 3).astype(int)
    options = {"init_params": labels, "reg_covar": 0, "tol": 1e-6, "max_iter": 200}  # L of float32 itself is uncertain by 1e-7
    near, far = (GaussianMixture(2, **options).fit((X + offset).astype(np.float32)) for offset in (0, 2.0**16))
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("deviation", [1e-18, 1e-22])
def test_a_narrow_cluster_beside_a_wide_one_in_float32(deviation):
    """Squares of the residuals of the narrow component lie below the range of float32, but its deviations do not."""
    rng = np.random.default_rng(11)
    narrow, wide = deviation * rng.normal(size=(100, 1)), 1 + 0.01 * rng.normal(size=(100, 1))
    X = np.r_[narrow, wide].astype(np.float32)
    with np.errstate(over="ignore"):  # the precisions that the estimator hands out as float32
        model = GaussianMixture(2, init_params=np.repeat([0, 1], 100), reg_covar=0).fit(X)
    expected = X[:100].astype(float).var()
    assert model.mixture_.covariances[0, 0, 0] / expected == pytest.approx(1, rel=1e-5)

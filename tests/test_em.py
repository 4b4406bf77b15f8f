"""The EM loop: the likelihood rises, it stops, its results equal scikit-learn's, and a collapse has a defined outcome."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as Peer

from direct import STRUCTURES, draw, full_covariances, log_density, random_mixture
from gaussmix import CollapseWarning, ConvergenceWarning, GaussianMixture
from gaussmix._core.mstep import MatrixMStep
from gaussmix.blocks import Blocks
from gaussmix.collapse import Spurious
from gaussmix.engines import Threads
from gaussmix.fitting import Fit
from gaussmix.problem import Problem
from gaussmix.regularization import Regularization
from gaussmix.search.several import rank
from gaussmix.starts.kmeans import shared
from gaussmix.starts.start import at_rows, under_assignment
from gaussmix.statistics import Kind, Statistics
from gaussmix.structures import structure_named


@pytest.fixture(params=STRUCTURES)
def structure(request):
    return request.param


def quiet(model, X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, **options)


def precisions_of(covariances, structure):
    """Precisions in scikit-learn's shape."""
    precisions = np.linalg.inv(covariances)
    return {"full": precisions, "tied": precisions[0], "diag": np.einsum("kii->ki", precisions),
            "spherical": precisions[:, 0, 0]}[structure]


def given_start(rng, n_components, n_features, structure):
    weights, means, covariances = random_mixture(rng, n_components, n_features, structure, spread=2)
    return {"weights_init": weights, "means_init": means, "precisions_init": precisions_of(covariances, structure)}


def is_proper(model):
    """Finite parameters, weights that sum to one, positive definite covariances."""
    covariances = full_covariances(model)
    return (all(np.isfinite(a).all() for a in (model.weights_, model.means_, covariances, model.precisions_cholesky_))
            and abs(model.weights_.sum() - 1) < 1e-6 and np.linalg.eigvalsh(covariances).min() > 0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 3), (5, 2), (4, 7)])
@pytest.mark.parametrize("iterations", [1, 5])
def test_iterations_are_scikit_learns(structure, shape, iterations):
    rng = np.random.default_rng(1)
    start = given_start(rng, *shape, structure)
    X = draw(rng, 701, *random_mixture(rng, *shape, structure, spread=2))
    options = {"covariance_type": structure, "tol": 0, "max_iter": iterations, "reg_covar": 1e-3, **start}
    ours, theirs = (quiet(kind(shape[0], **options), X) for kind in (GaussianMixture, Peer))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        found, expected = getattr(ours, name), getattr(theirs, name)
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-10)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_log_likelihood_never_falls(structure, dtype):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = (draw(rng, 400, *random_mixture(rng, 3, 3, spread=2)) * [1, 1e-1, 1e1]).astype(dtype)
        model = quiet(GaussianMixture(4, covariance_type=structure, reg_covar=0, tol=0, max_iter=60,
                                      init_params="random", random_state=seed), X)
        allowed = 1e-12 if dtype == np.float64 else 1e-6
        assert np.diff(model.history_).min() >= -allowed * np.abs(model.history_).max()
        if model.n_iter_ == 60:
            end = log_density(X.astype(float), *(np.asarray(p, float) for p in (model.mixture_.weights, model.mixture_.means,
                                                                               model.mixture_.covariances))).mean()
            assert end >= model.history_[-1] - allowed * abs(end)


def test_tol_zero_runs_all_iterations(structure):
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.warns(ConvergenceWarning):
        model = GaussianMixture(1, covariance_type=structure, tol=0, max_iter=17).fit(X)
    assert model.n_iter_ == len(model.history_) == 17 and not model.converged_


@pytest.mark.parametrize("tol", [1e-1, 1e-4, 1e-9])
def test_it_stops_at_the_first_change_below_tol(structure, tol):
    rng = np.random.default_rng(3)
    X = draw(rng, 300, *random_mixture(rng, 2, 2, spread=1))
    model = GaussianMixture(2, covariance_type=structure, tol=tol, max_iter=10_000, random_state=0).fit(X)
    changes = np.abs(np.diff(model.history_))
    assert model.converged_ and changes[-1] < tol and (changes[:-1] >= tol).all()
    assert model.lower_bound_ == model.history_[-1] and model.n_iter_ == len(model.history_)


def test_max_iter_zero_gives_the_start():
    X = np.random.default_rng(0).normal(size=(50, 2))
    labels = np.arange(50) % 2
    model = GaussianMixture(2, init_params=labels, max_iter=0).fit(X)
    np.testing.assert_allclose(model.means_, [X[::2].mean(axis=0), X[1::2].mean(axis=0)], rtol=1e-12)
    assert model.n_iter_ == 0 and model.history_ == [] and not model.converged_


def proper(model, X):
    """Whether a fit ends in a proper optimum: no CollapseWarning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    return not any(issubclass(warning.category, CollapseWarning) for warning in caught)


def test_n_init_keeps_the_best():
    """Of the proper optima, if there are any."""
    rng = np.random.default_rng(4)
    X = draw(rng, 300, *random_mixture(rng, 6, 2, spread=3))
    options = {"init_params": "random_from_data", "tol": 1e-6, "max_iter": 500}
    seed = 5
    generator = np.random.default_rng(seed)
    models = [GaussianMixture(6, random_state=generator, **options) for _ in range(8)]
    outcomes = [(proper(model, X), model.lower_bound_) for model in models]
    best = quiet(GaussianMixture(6, n_init=8, random_state=seed, **options), X)
    assert len(set(outcomes)) > 1
    assert best.lower_bound_ == max(outcomes)[1]


def test_of_equal_starts_the_first_is_kept():
    """As in scikit-learn; here they differ in the order of the components alone."""
    X, ties = np.r_[np.arange(10.0), np.arange(100.0, 110.0)][:, None], 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, second = (GaussianMixture(2, random_state=rng, init_params="k-means++").fit(X) for _ in range(2))
        both = GaussianMixture(2, random_state=np.random.default_rng(seed), init_params="k-means++", n_init=2).fit(X)
        if second.lower_bound_ == first.lower_bound_ and (second.means_ != first.means_).any():
            ties += 1
            np.testing.assert_array_equal(both.means_, first.means_)
    assert ties


def test_the_start_that_was_given_is_not_changed(structure):
    start = given_start(np.random.default_rng(1), 3, 2, structure)
    copies = {name: value.copy() for name, value in start.items()}
    quiet(GaussianMixture(3, covariance_type=structure, **start), np.random.default_rng(0).normal(size=(100, 2)))
    for name in start:
        np.testing.assert_array_equal(start[name], copies[name])


def test_warm_start_goes_on():
    rng = np.random.default_rng(6)
    X = draw(rng, 300, *random_mixture(rng, 3, 2, spread=1))
    labels = rng.integers(0, 3, size=300)
    through = quiet(GaussianMixture(3, init_params=labels, tol=0, max_iter=10), X)
    model = GaussianMixture(3, init_params=labels, tol=0, max_iter=5, warm_start=True)
    history = quiet(model, X).history_ + quiet(model, X).history_
    np.testing.assert_allclose(history, through.history_, rtol=1e-12)
    np.testing.assert_allclose(model.covariances_, through.covariances_, rtol=1e-9)


@pytest.mark.parametrize("other", STRUCTURES)
def test_warm_start_under_another_structure_is_refused(structure, other):
    X = np.random.default_rng(0).normal(size=(100, 2))
    model = quiet(GaussianMixture(2, covariance_type=structure, warm_start=True, random_state=0), X)
    shape = model.covariances_.shape
    model.set_params(covariance_type=other)
    if other == structure:
        assert quiet(model, X).covariances_.shape == shape
        return
    with pytest.raises(ValueError, match=f"warm_start .*covariance_type was '{structure}', not '{other}'"):
        model.fit(X)
    assert model.covariances_.shape == shape


def test_warm_start_with_another_size_is_refused():
    X = np.random.default_rng(0).normal(size=(100, 2))
    model = quiet(GaussianMixture(2, warm_start=True, random_state=0), X)
    with pytest.raises(ValueError, match="warm_start .*number of features was 2, not 1"):
        model.fit(X[:, :1])
    with pytest.raises(ValueError, match="warm_start .*n_components was 2, not 3"):
        model.set_params(n_components=3).fit(X)


# Collapse.


@pytest.mark.parametrize("rows", [[[1.0, 2.0]] * 5, [[1.0, 2.0]], [[0.1, 0.2]] * 3, [[1e8 + 0.1, 0.3]] * 7])
def test_a_start_on_one_point_is_refused_by_name(structure, rows):
    """In every structure but tied, where only all components together can be singular."""
    cloud = np.random.default_rng(0).normal(size=(30, 2))
    X, labels = np.r_[cloud, rows], np.repeat([0, 1], [30, len(rows)])
    model = GaussianMixture(2, covariance_type=structure, init_params=labels, reg_covar=0)
    if structure == "tied":
        assert is_proper(quiet(model, X))
        return
    with pytest.raises(ValueError, match="component 1 of the start is singular"):
        model.fit(X)
    assert not hasattr(model, "means_")


@pytest.mark.parametrize("scale", [1e10, 1.0, 1e-10])
def test_the_singular_component_is_named_whatever_the_others_scale(scale):
    """A component on one point, beside a wide one whose mean moves further in absolute terms."""
    rng = np.random.default_rng(1)
    for point in (0.1, 0.3, 0.7, 1 / 3, 1e-3, 1e5 / 7):
        X = np.r_[scale * rng.normal(size=(50, 1)) + scale / 3, np.full((7, 1), point)]
        with pytest.raises(ValueError, match="component 1 of the start is singular"):
            GaussianMixture(2, init_params=np.repeat([0, 1], [50, 7]), reg_covar=0).fit(X)


def test_a_start_in_a_subspace_is_refused():
    rng = np.random.default_rng(2)
    line = rng.normal(size=(40, 1)) * [1.0, 2.0, -1.0] + 5
    X = np.r_[rng.normal(size=(40, 3)), line]
    with pytest.raises(ValueError, match="component 1"):
        GaussianMixture(2, init_params=np.repeat([0, 1], 40), reg_covar=0).fit(X)
    with pytest.raises(ValueError, match="singular"):
        GaussianMixture(1, reg_covar=0).fit(line)
    with pytest.raises(ValueError, match="singular"):
        GaussianMixture(2, covariance_type="tied", reg_covar=0, random_state=0).fit(line)


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_a_constant_column_is_singular(structure):
    X = np.c_[np.random.default_rng(0).normal(size=60), np.full(60, 0.1)]
    with pytest.raises(ValueError, match="singular"):
        GaussianMixture(2, covariance_type=structure, reg_covar=0, random_state=0).fit(X)
    assert is_proper(GaussianMixture(2, covariance_type=structure, random_state=0).fit(X))


def test_an_empty_component_of_a_start_is_named():
    X = np.random.default_rng(0).normal(size=(10, 2))
    with pytest.raises(ValueError, match="component 2 .*no rows"):
        GaussianMixture(4, init_params=np.array([0, 1, 3, 0, 1, 3, 0, 1, 3, 0])).fit(X)
    with pytest.raises(ValueError, match="component 1 .*no rows"):
        GaussianMixture(2, init_params=np.arange(10) % 2).fit(X, sample_weight=1 - np.arange(10) % 2)


@pytest.mark.parametrize("name", ["full", "tied", "diag"])
def test_components_that_share_rows_are_the_same(name):
    """Two of five components have no rows, and each gets half of those of the largest then: the sums of half the rows."""
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(120, 3)), np.repeat([0, 2, 4], [20, 60, 40]).astype(np.int32)
    with Threads(1) as threads:
        structure = structure_named(name)
        parameters = under_assignment(Problem(Blocks(X, 5), threads, structure, 5), shared(labels, None, 5))
    # 1 gets half of component 2's sixty rows, then 3 half of component 4's forty.
    np.testing.assert_allclose(parameters.weights, np.array([20, 30, 30, 20, 20]) / 120, rtol=1e-14)
    owners = [0, 2, 2, 4, 4]
    np.testing.assert_allclose(parameters.means, [X[labels == k].mean(axis=0) for k in owners], rtol=1e-12, atol=1e-14)
    scatter = np.array([np.cov(X[labels == k].T, bias=True) for k in owners])
    expected = {"full": scatter, "diag": np.einsum("kii->ki", scatter),
                "tied": np.average(scatter, axis=0, weights=parameters.weights)}[name]
    np.testing.assert_allclose(parameters.covariances, expected, rtol=1e-11, atol=1e-13)


def test_a_component_whose_rows_have_no_weight_shares_those_of_the_heaviest():
    labels, weights = np.repeat([0, 1, 2], 4).astype(np.int32), np.repeat([1.0, 0.0, 3.0], 4)
    assignment = shared(labels, weights, 3)
    block = Blocks(np.zeros((12, 1)), 3).block(0)
    expected = np.repeat([[1, 0, 0], [0, 0, 0], [0, 0.5, 0.5]], 4, axis=0)
    np.testing.assert_array_equal(assignment.of_block(block)[weights > 0], expected[weights > 0])


@pytest.mark.parametrize("reg_covar", [0.0, 1e-3, np.array([1e-4, 5.0])])
def test_a_start_on_rows_has_the_variance_that_it_says(structure, reg_covar):
    """The variance is a ten thousand millionth of the spread plus `reg_covar`, or only `reg_covar` where it differs by feature."""
    X = np.random.default_rng(0).normal(scale=10, size=(50, 2))
    with Threads(1) as threads:
        problem = Problem(Blocks(X, 3), threads, structure_named(structure), 3, reg_covar)
        found = at_rows(problem, X[:3], 7.0 * X.size)  # the inertia of such a variance
    variances = np.broadcast_to(7e-10 + reg_covar if np.ndim(reg_covar) == 0 else reg_covar, 2)
    if structure == "spherical":
        variances = np.full(2, variances.mean())
    expected = {"full": np.diag(variances)[None], "tied": np.diag(variances), "diag": variances, "spherical": variances[:1]}[structure]
    np.testing.assert_allclose(found.covariances, np.broadcast_to(expected, found.covariances.shape), rtol=1e-14)
    np.testing.assert_array_equal(found.means, X[:3])
    np.testing.assert_allclose(found.weights, 1 / 3)


def test_a_singular_first_step_from_given_parameters_is_a_collapse():
    """From rows that k-means++ or chance chose it is a singular start, but not where precisions were given."""
    X = np.random.default_rng(1).normal(size=(6, 2))
    narrow = [np.eye(2) * 1e6] * 5
    for options in ({"means_init": X[:5], "weights_init": np.full(5, 1 / 5), "precisions_init": narrow},
                    {"init_params": "k-means++", "precisions_init": narrow}):
        with pytest.warns(CollapseWarning, match="collapsed in iteration 1:"):
            model = GaussianMixture(5, reg_covar=0, random_state=0, **options).fit(X)
        np.testing.assert_allclose(model.covariances_, np.linalg.inv(narrow), rtol=1e-12)
    for options in ({"init_params": "k-means++"}, {"init_params": "k-means++", "means_init": X[:5]}):
        with pytest.raises(ValueError, match="of the start is singular"):
            GaussianMixture(5, reg_covar=0, random_state=0, **options).fit(X)


def test_a_later_collapse_from_chosen_rows_is_a_collapse():
    """Only the first M step is part of such a start."""
    collapsed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = np.r_[rng.normal(size=(60, 2)), np.repeat([[4.0, 4.0]], 4, axis=0), [[3.6, 4.0]]]
        model = GaussianMixture(3, init_params="k-means++", random_state=seed, reg_covar=0, max_iter=1000)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                model.fit(X)
            except ValueError as error:
                assert "of the start is singular" in str(error)
                continue
        if any("collapsed in iteration" in str(warning.message) for warning in caught):
            assert model.n_iter_ > 1
            collapsed += 1
    assert collapsed


def test_outcomes_rank_proper_before_spurious_before_collapsed():
    def fit(log_likelihood, spurious, collapsed=None):
        return Fit(None, [log_likelihood], 1, True, collapsed, structure=structure_named("full"), spurious=spurious,
                   regularization=Regularization(0.0))

    accident = [Spurious(0, 3.0, 1e-6, "held")]
    fits = [fit(9.0, accident, collapsed=1), fit(8.0, [], collapsed=1), fit(6.0, accident), fit(7.0, accident), fit(1.0, []), fit(2.0, [])]
    ranks = [rank(one) for one in fits]
    assert sorted(range(6), key=lambda i: ranks[i]) == [0, 1, 2, 3, 4, 5]


def test_weights_of_a_start_that_do_not_sum_to_one_are_refused():
    X = np.random.default_rng(0).normal(size=(60, 2))
    for weights in ([0.5, 0.499], [0.5, 0.500001], np.array([0.5, 0.4999], np.float32)):
        with pytest.raises(ValueError, match="weights_init must sum to one"):
            GaussianMixture(2, weights_init=weights).fit(X)


def test_weights_of_float32_serve_as_a_start():
    """Which sum to one to their own rounding."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    thirds = np.full(3, 1 / 3, np.float32)
    assert abs(thirds.astype(float).sum() - 1) > 1e-8
    np.testing.assert_allclose(GaussianMixture(3, weights_init=thirds, max_iter=0, random_state=0).fit(X).weights_, 1 / 3, rtol=1e-7)


def test_a_given_mean_is_that_number_and_no_more():
    """Means have a second part, which rounding left out. Where a mean is given, the second part of the start's mean is dropped."""
    X = 1e8 + np.random.default_rng(0).normal(size=(40, 1)) * 1e-2
    labels, means = np.arange(40) % 2, np.array([[1e8], [1e8 + 2.0**-6]])
    model = quiet(GaussianMixture(2, init_params=labels, means_init=means, max_iter=1, reg_covar=0), X)
    variances = np.array([np.mean((X[labels == k] - X[labels == k].mean(axis=0)) ** 2) for k in (0, 1)])
    expected = log_density(X - 1e8, [0.5, 0.5], means - 1e8, variances[:, None, None]).mean()
    np.testing.assert_allclose(model.lower_bound_, expected, rtol=1e-9)


def collapsing():
    """A component that starts narrow upon three coincident rows and, in a later M step, is left with these alone."""
    cloud = np.random.default_rng(3).normal(size=(100, 2))
    X = np.r_[cloud, [[6.0, 6.0]] * 3]
    start = {"weights_init": [0.9, 0.1], "means_init": [[0.0, 0.0], [5.0, 5.0]]}
    return X, start


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_a_later_collapse_keeps_the_last_valid_parameters(structure):
    X, start = collapsing()
    eyes = {"full": [np.eye(2)] * 2, "diag": np.ones((2, 2)), "spherical": np.ones(2)}[structure]
    options = {"covariance_type": structure, "reg_covar": 0, "precisions_init": eyes, "tol": 0, **start}
    with pytest.warns(CollapseWarning, match="[Cc]omponent 1"):
        model = GaussianMixture(2, max_iter=200, **options).fit(X)
    assert not model.converged_ and is_proper(model) and model.n_iter_ < 200
    assert np.isfinite(model.history_).all()
    before = quiet(GaussianMixture(2, max_iter=model.n_iter_ - 1, **options), X)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(model, name), getattr(before, name))
    assert issubclass(CollapseWarning, ConvergenceWarning)


def test_a_component_that_loses_all_rows_is_a_collapse(structure):
    X = np.random.default_rng(0).normal(size=(100, 2))
    eyes = {"full": [np.eye(2)] * 2, "tied": np.eye(2), "diag": np.ones((2, 2)), "spherical": np.ones(2)}[structure]
    for far in (1e3, 1e9, 1e160, 1e300):
        model = GaussianMixture(2, covariance_type=structure, weights_init=[0.5, 0.5], means_init=[[0, 0], [far, far]],
                                precisions_init=eyes, reg_covar=0)
        for data in (X, X.astype(np.float32)):
            with np.errstate(over="ignore"), pytest.warns(CollapseWarning, match="[Cc]omponent 1"):
                model.fit(data)
            assert np.isfinite(model.mixture_.means).all() and not model.converged_


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_planted_trap_gives_nan(structure, dtype):
    """Repeated rows, few rows, collinear columns, huge and tiny units, without and with reg_covar."""
    rng = np.random.default_rng(5)
    traps = [np.zeros((10, 2)), np.repeat(rng.normal(size=(2, 3)), 10, axis=0), rng.normal(size=(4, 6)),
             np.outer(rng.normal(size=40), [1, 2, 3]), 1e30 * rng.normal(size=(40, 2)), 1e-30 * rng.normal(size=(40, 2)),
             np.r_[rng.normal(size=(40, 2)), [[1e15, -1e15]]], rng.integers(0, 2, size=(40, 2)), rng.normal(size=(3, 1))]
    if dtype == np.float64:
        traps += [1e140 * rng.normal(size=(40, 2)), 1e-140 * rng.normal(size=(40, 2)), 1e-160 * rng.normal(size=(40, 2)),
                  np.full((10, 1), 5e-324) * np.arange(10)[:, None]]
    for number, X in enumerate(traps):
        X = X.astype(dtype)
        for n_components in (1, 2, 3):
            for reg_covar in (0, 1e-6):
                for start in ("kmeans", "k-means++", "random", "random_from_data"):
                    model = GaussianMixture(n_components, covariance_type=structure, reg_covar=reg_covar, init_params=start,
                                            random_state=number)
                    with np.errstate(over="ignore", under="ignore"):
                        try:
                            quiet(model, X)
                        except ValueError as error:
                            assert "singular" in str(error) or "no rows" in str(error), (number, str(error))
                            continue
                    m = model.mixture_
                    context = number, n_components, reg_covar, start
                    assert all(np.isfinite(a).all() for a in (m.weights, m.means, m.covariances, model.history_)), context
                    assert np.isfinite(m.logpdf(X)).all(), context


def test_proper_optima_come_before_collapsed_ones():
    """On iris with eight components some starts collapse; among ten, one that did not is kept."""
    X = np.loadtxt(Path(__file__).parent / "data/reference/iris.csv", delimiter=",")
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(10):
        try:
            model = GaussianMixture(8, reg_covar=0, random_state=rng, max_iter=500)
            outcomes.append((proper(model, X), model.lower_bound_))
        except ValueError:
            pass
    best = quiet(GaussianMixture(8, reg_covar=0, random_state=0, max_iter=500, n_init=10), X)
    assert 0 < sum(is_proper for is_proper, _ in outcomes) < 10
    assert best.converged_ and best.lower_bound_ == max(outcomes)[1]


def test_a_failed_refit_leaves_the_earlier_fit():
    X = np.random.default_rng(0).normal(size=(50, 2))
    model = GaussianMixture(2, random_state=0, reg_covar=0).fit(X)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    for bad in (np.zeros((50, 2)), np.full((50, 2), np.nan), np.zeros((1, 2)), X[:, 0]):
        with pytest.raises(ValueError):
            model.fit(bad)
        assert all(getattr(model, name) is value for name, value in before.items())


@pytest.mark.parametrize("statistics", [Statistics(Kind.FULL, 3, 2), Statistics(Kind.FULL, 2, 3), Statistics(Kind.DIAG, 2, 2)])
def test_the_m_step_refuses_statistics_of_another_shape(statistics):
    step, parameters = MatrixMStep(np.zeros(2)), structure_named("full").parameters(2, 2)
    with pytest.raises(ValueError, match="different shapes"):
        step.maximize(statistics, parameters)
    with pytest.raises(ValueError, match="3 features, the parameters 2"):
        MatrixMStep(np.zeros(3)).maximize(Statistics(Kind.FULL, 2, 2), parameters)
    with pytest.raises(ValueError):
        MatrixMStep(np.zeros(0))

"""Collapse: every spurious fit gives a warning, and no healthy fit does (docs/collapse.md)."""

import pathlib
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg

from direct import core_parameters, structure_of
from gaussmix import CollapseWarning, ConvergenceWarning, GaussianMixture
from gaussmix.collapse import spurious_components
from gaussmix.starts import STARTS
from gaussmix.statistics import Kind

REFERENCE = pathlib.Path(__file__).parent / "data" / "reference"
TYPES = ["full", "tied", "diag", "spherical"]
# Up to about twice as many components as the best model by BIC has; of iris as many as there are species.
SENSIBLE = {"faithful": 5, "iris": 3, "diabetes": 4, "acidity": 5, "quakes": 9}


def reference(name):
    return np.loadtxt(REFERENCE / f"{name}.csv", delimiter=",", ndmin=2)


def labels(name, n_components):
    return np.loadtxt(REFERENCE / f"{name}.init.csv", delimiter=",", dtype=int)[:, n_components - 1] - 1


def two_clusters(n_features=3):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(100, n_features)), rng.normal(size=(100, n_features)) + 12])


def warned(gm, X, **fit):
    """The warnings of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gm.fit(X, **fit)
    return [str(warning.message) for warning in caught if issubclass(warning.category, CollapseWarning)], caught


def narrowest(gm):
    """For each component its smallest eigenvalue relative to the mean covariance Σ_k π_k Σ_k, by plain NumPy."""
    m = gm.mixture_
    within = np.einsum("k,kij->ij", m.weights, m.covariances)
    return np.array([np.linalg.eigvals(np.linalg.solve(within, S)).real.min() for S in m.covariances])


# Healthy fits.

@pytest.mark.parametrize("name", SENSIBLE)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_healthy_fits_of_real_data_never_warn(name, covariance_type):
    X = reference(name)
    for n_components in range(1, SENSIBLE[name] + 1):
        for start in ("kmeans", labels(name, n_components)):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                GaussianMixture(n_components, covariance_type=covariance_type, random_state=0, max_iter=2000, init_params=start).fit(X)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("reg_covar", [0, 1e-6, "auto"])
@pytest.mark.parametrize("ratio", [1.0, 1e-1, 1e-2])
def test_clusters_of_very_different_width_are_healthy(covariance_type, reg_covar, ratio):
    """Forty rows per cluster determine its width, however small it is."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(300, 3)), 10 + ratio * rng.normal(size=(40, 3))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2, covariance_type=covariance_type, reg_covar=reg_covar, random_state=0).fit(X)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("n_features", [1, 2, 5])
@pytest.mark.parametrize("narrower", [1, 30])
@pytest.mark.parametrize("distance", [8, 300])
def test_a_small_cluster_that_is_really_there_is_healthy(covariance_type, n_features, narrower, distance):
    """It has 3 (D + 1) rows and is as wide as the others, or its standard deviation is thirty times less."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        few = 3 * (n_features + 1)
        X = np.concatenate([rng.normal(size=(200, n_features)), rng.normal(size=(few, n_features)) / narrower + distance])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            gm = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
        assert gm.weights_.min() == pytest.approx(few / (200 + few), rel=0.05)


def test_what_is_called_proper_has_rows_enough():
    """D + 1 rows; three times as many where a component is a hundred times narrower than the data, by plain NumPy."""
    proper = spurious = 0
    for name, n_components in (("faithful", 5), ("iris", 5), ("iris", 8), ("diabetes", 6)):
        X = reference(name)
        for seed in range(40):
            gm = GaussianMixture(n_components, random_state=seed, max_iter=1000, init_params="k-means++")
            messages, _ = warned(gm, X)
            rows, least = gm.weights_ * len(X), X.shape[1] + 1
            ratios = np.array([linalg.eigh(S, np.cov(X.T, bias=True), eigvals_only=True)[0] for S in gm.covariances_])
            if messages:
                spurious += 1
            else:
                proper += 1
                assert (rows >= least).all() and (rows[ratios < 0.0099] >= 3 * least).all(), (name, seed)
    assert min(proper, spurious) > 10


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("column", ["constant", "collinear", "repeated"])
@pytest.mark.parametrize("reg_covar", [1e-6, "auto"])
def test_a_subspace_that_all_rows_share_is_healthy(covariance_type, column, reg_covar):
    X = two_clusters()
    more = {"constant": np.full(200, 7.3), "collinear": X @ [2.0, -1.0, 0.0], "repeated": X[:, 0]}[column]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gm = GaussianMixture(2, covariance_type=covariance_type, reg_covar=reg_covar, random_state=0).fit(np.column_stack([X, more]))
    assert_array_equal(np.bincount(gm.predict(np.column_stack([X, more]))), [100, 100])


def test_repeated_rows_inside_a_cluster_are_healthy():
    X = two_clusters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2, random_state=0).fit(np.concatenate([X, np.repeat(X[:1], 20, axis=0)]))
        GaussianMixture(2, random_state=0).fit(np.repeat(X, 10, axis=0))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("kind", ["float64", "float32", "weighted", "rounded"])
@pytest.mark.parametrize("n_rows, n_features, planted, distance, n_components", [
    (400, 2, 2, 0.3, 2), (600, 3, 3, 0.5, 3), (500, 4, 5, 6, 5), (200, 2, 1, 0, 1), (300, 2, 1, 0, 2), (500, 2, 1, 0, 3),
    (300, 1, 3, 4, 3), (2000, 10, 4, 1.5, 4), (20_000, 3, 50, 8, 50),
], ids=["one cloud nearly", "three that overlap", "apart", "one component", "two on one cloud", "three on one cloud", "one feature",
        "ten features", "fifty components"])
def test_healthy_fits_of_planted_mixtures_never_warn(n_rows, n_features, planted, distance, n_components, kind, covariance_type):
    for seed in range(5 if n_components < 50 else 1):
        rng = np.random.default_rng(seed)
        means, widths = distance * rng.normal(size=(planted, n_features)), rng.uniform(0.5, 2, size=(planted, n_features))
        labels = np.arange(n_rows) % planted
        X = means[labels] + widths[labels] * rng.normal(size=(n_rows, n_features))
        X = {"float32": X.astype(np.float32), "rounded": X.round(1)}.get(kind, X)
        weights = rng.uniform(0.2, 2, n_rows) if kind == "weighted" else None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            GaussianMixture(n_components, covariance_type=covariance_type, random_state=seed, max_iter=2000,
                            n_init=3 if n_components < 50 else 1).fit(X, sample_weight=weights)


# Spurious optima.

def test_among_ten_starts_on_iris_a_proper_optimum_is_kept():
    """Eight components: the start of the highest log-likelihood sits on a few rows with one petal width."""
    X, starts = reference("iris"), []
    for seed in range(10):
        gm = GaussianMixture(8, random_state=seed, max_iter=1000)
        messages, _ = warned(gm, X)
        starts.append((gm.score(X), bool(messages), narrowest(gm).min()))
    best = max(starts)
    assert best[1] and best[2] < 1e-3  # the trap is there, and found

    kept = GaussianMixture(8, random_state=0, n_init=10, max_iter=1000)
    messages, _ = warned(kept, X)
    assert messages == []
    assert (narrowest(kept) > 1e-3).all() and (kept.weights_ * len(X) > 5).all()


@pytest.mark.parametrize("init_params", STARTS)
@pytest.mark.parametrize("seed", range(3))
def test_ten_starts_of_any_kind_on_iris_end_properly_or_say_that_they_do_not(init_params, seed):
    gm = GaussianMixture(8, random_state=seed, n_init=10, init_params=init_params, max_iter=1000)
    messages, _ = warned(gm, reference("iris"))
    if not messages:
        assert (narrowest(gm) > 1e-3).all()
    else:
        assert init_params != "kmeans"  # chance alone may miss all proper optima
        named = ", ".join(re.findall(r"components? (\d+(?:, \d+)*)", messages[0]))
        assert set(np.flatnonzero(narrowest(gm) < 1e-3)) <= {int(k) for k in named.split(", ")}


def test_the_highest_proper_start_is_kept():
    X, proper, every = reference("iris"), [], []
    rng = np.random.default_rng(5)
    for _ in range(40):  # a Generator moves on from start to start as n_init does
        gm = GaussianMixture(8, random_state=rng, max_iter=1000)
        messages, _ = warned(gm, X)
        every.append(gm.lower_bound_)
        if not messages:
            proper.append(gm.lower_bound_)
    kept = GaussianMixture(8, random_state=np.random.default_rng(5), n_init=40, max_iter=1000)
    assert warned(kept, X)[0] == []
    assert kept.lower_bound_ == max(proper) < max(every)


def test_nothing_else_left_warns_and_names_the_component():
    """A start on three rows that are nearly one."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 2)), [3, 3] + 1e-3 * rng.normal(size=(3, 2))])
    start = np.r_[np.zeros(200, int), np.ones(3, int)]
    gm = GaussianMixture(2, init_params=start, reg_covar=0)
    messages, _ = warned(gm, X)
    assert len(messages) == 1 and "component 1 sits on 3 rows" in messages[0]
    assert narrowest(gm)[1] < 1e-4


def test_a_plane_that_only_the_rounding_of_float32_makes_thick_is_named():
    """In float64 such a covariance is singular. In float32 the rounding of second moments may prevent that, by its sign."""
    named = 0
    for seed in range(8):
        B = 3 * np.random.default_rng(seed).normal(size=(1000, 3))
        X = np.concatenate([np.c_[B[:, :2], B[:, 0] - B[:, 1]] + 20, B]).astype(np.float32)
        gm = GaussianMixture(2, reg_covar=0, random_state=0)
        try:
            messages, _ = warned(gm, X)
        except ValueError as error:  # rounding was of the other sign
            assert "is singular, as its rows lie in a subspace" in str(error)
            continue
        k = int(gm.predict(X[:1])[0])
        assert len(messages) == 1 and f"component {k} sits on 1" in messages[0] and "rounding" in messages[0]
        named += 1
    assert named


@pytest.mark.parametrize("reg_covar", [1e-6, "auto"])
@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_a_component_on_repeated_rows_is_named(covariance_type, reg_covar):
    X = np.concatenate([two_clusters(), np.repeat([[40.0, 40.0, 40.0]], 30, axis=0)])
    gm = GaussianMixture(3, covariance_type=covariance_type, reg_covar=reg_covar, random_state=0)
    messages, _ = warned(gm, X)
    k = int(gm.predict([[40.0, 40.0, 40.0]])[0])
    assert len(messages) == 1 and f"component {k} sits on 30 rows and is kept from being singular by reg_covar alone" in messages[0]


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_a_feature_that_is_constant_in_one_cluster_is_named(covariance_type):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.r_[np.zeros(100), rng.normal(5, 1, 100)], rng.normal(size=200)])
    gm = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    messages, _ = warned(gm, X)
    assert len(messages) == 1 and f"component {gm.predict([[0.0, 0.0]])[0]} sits on 100 rows" in messages[0]


@pytest.mark.parametrize("reg_covar", [1e-6, "auto"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_cluster_in_a_plane_is_named(reg_covar, dtype):
    X = two_clusters()
    X[:100, 2] = X[:100, 0] - X[:100, 1]
    gm = GaussianMixture(2, reg_covar=reg_covar, random_state=0)
    messages, _ = warned(gm, X.astype(dtype))
    assert len(messages) == 1 and f"component {gm.predict(X[:1].astype(dtype))[0]} sits on 100 rows" in messages[0]
    for covariance_type in ("tied", "diag", "spherical"):  # which do not see it
        assert warned(gm.set_params(covariance_type=covariance_type), X.astype(dtype))[0] == []


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("n_components", [3, 5])
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random_from_data"])
def test_no_more_distinct_rows_than_components(covariance_type, n_components, init_params):
    X = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]], 20, axis=0)
    gm = GaussianMixture(n_components, covariance_type=covariance_type, random_state=0, init_params=init_params)
    messages, _ = warned(gm, X)
    assert len(messages) == 1 and "reg_covar alone" in messages[0]
    assert np.isfinite(gm.means_).all() and gm.weights_.sum() == pytest.approx(1)
    for point, share in zip(*np.unique(X, axis=0, return_counts=True)):
        assert gm.weights_[np.abs(gm.means_ - point).max(axis=1) < 1e-6].sum() == pytest.approx(share / len(X))
    with pytest.raises(ValueError, match="reg_covar"):
        gm.set_params(reg_covar=0).fit(X)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_fewer_rows_than_features(covariance_type):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(8, 20)), rng.normal(size=(8, 20)) + 10])
    gm = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    messages, _ = warned(gm, X)
    assert bool(messages) == (covariance_type in ("full", "tied"))  # eight rows do tell variances
    assert_array_equal(np.bincount(gm.predict(X)), [8, 8])


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("X", [two_clusters(), np.random.default_rng(0).normal(size=(10, 20)), np.ones((10, 2))],
                         ids=["clusters", "N < D", "one point"])
def test_one_component_never_warns(covariance_type, X):
    """Its optimum is the only one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(1, covariance_type=covariance_type).fit(X)


def test_a_feature_held_up_by_its_own_unit_s_regularization_is_named():
    """Under reg_covar="auto", where 30 rows are equal in the feature of the larger unit."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 2)), np.c_[np.full(30, 8.0), rng.normal(8, 1, 30)]]) * [1e4, 1.0]
    gm = GaussianMixture(2, covariance_type="diag", reg_covar="auto", random_state=0)
    messages, _ = warned(gm, X)
    assert len(messages) == 1 and "sits on 30 rows and is kept from being singular by reg_covar alone" in messages[0]


def mixture_parameters(weights, means, covariances, kind=Kind.FULL):
    parameters = structure_of(kind).parameters(*np.shape(means))
    parameters.weights[...], parameters.means[...], parameters.covariances[...] = weights, means, covariances
    assert structure_of(kind).factorize(parameters) == -1
    return parameters


def spurious_of(parameters, *further):
    return spurious_components(parameters, structure_of(parameters.densities.kind), *further)


def found(parameters, n_rows, reg_covar, epsilon=0.0):
    return [(one.component, one.compared == "held") for one in spurious_of(parameters, n_rows, reg_covar, epsilon)]


def test_held_up_means_half_of_the_narrowest_variance():
    """A component of 500 rows in a plane; `reg_covar` makes up a part of its thickness."""
    for part, expected in ((0.55, [(1, True)]), (0.45, [])):
        flat = np.diag([1.0, 1.0, 1e-6 / part])
        assert found(mixture_parameters([0.5, 0.5], np.zeros((2, 3)), [np.eye(3), flat]), 1000, 1e-6) == expected
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]  # whichever way the plane lies
        assert found(mixture_parameters([0.5, 0.5], np.zeros((2, 3)), [np.eye(3), turn @ flat @ turn.T]), 1000, 1e-6) == expected
        diagonal = mixture_parameters([0.5, 0.5], np.zeros((2, 3)), [np.ones(3), np.diag(flat)], Kind.DIAG)
        assert found(diagonal, 1000, 1e-6) == expected
        assert found(diagonal, 1000, 0.0, epsilon=part) == expected  # or rounding made it


def test_the_narrow_direction_of_many_features_is_seen():
    """The bound that rules out most components is a bound of the norm of the precision, not of its largest entry."""
    ones = np.ones(20) / np.sqrt(20)
    flat = np.eye(20) - (1 - 1.8e-6) * np.outer(ones, ones)
    assert found(mixture_parameters([0.5, 0.5], np.zeros((2, 20)), [np.eye(20), flat]), 10_000, 1e-6) == [(1, True)]


def test_held_up_is_no_fault_where_the_data_are_not_a_hundred_times_wider():
    for wider, expected in ((110, [(0, True), (1, True)]), (90, [])):
        both = [1.0, 1.8e-6]  # the same thickness everywhere; what is between the components makes the data wider
        apart = np.sqrt((wider - 1) * 1.8e-6)
        for weight in (0.5, 0.2):
            means = np.array([[5.0, 0.0], [5.0, apart / np.sqrt(weight * (1 - weight))]]) + [0.0, 1e3]
            parameters = mixture_parameters([weight, 1 - weight], means, [both, both], Kind.DIAG)
            assert found(parameters, 1000, 1e-6) == expected, (wider, weight)


def test_the_direction_counts_in_which_it_is_narrow_and_that_in_each_feature_s_unit():
    """The amount added to a wide feature does not hold up the others. A plane across features of two units is held up."""
    healthy = mixture_parameters([0.5, 0.5], np.zeros((2, 2)), [[1e8, 1.0], [1e4, 1e-3]], Kind.DIAG)
    assert found(healthy, 1000, np.array([100.0, 1e-6])) == []
    plane = np.array([[1.0, 1 - 1.5e-6], [1 - 1.5e-6, 1.0]]) * np.outer([1e4, 1.0], [1e4, 1.0])
    parameters = mixture_parameters([0.5, 0.5], np.zeros((2, 2)), [np.diag([1e8, 1.0]), plane])
    assert found(parameters, 1000, 1e-6 * np.array([1e8, 1.0])) == [(1, True)]


def two_of_which_one_has_few(rows, covariance, kind=Kind.FULL):
    """A component of 1000 − `rows` rows whose covariance is the unit matrix, and one of `rows` rows."""
    wide = np.ones(len(covariance)) if kind == Kind.DIAG else np.eye(len(covariance))
    return mixture_parameters([1 - rows / 1000, rows / 1000], np.zeros((2, len(covariance))), [wide, covariance], kind)


@pytest.mark.parametrize("rows, compared", [(3.9, "too few"), (4.1, "data"), (11.9, "data"), (12.1, None)])
def test_the_fewest_rows_are_counted_in_those_that_a_covariance_needs(rows, compared):
    """Four in three dimensions."""
    narrow = np.diag([1.0, 1.0, 0.8e-2])
    found = spurious_of(two_of_which_one_has_few(rows, narrow), 1000, 0.0, 0.0)
    assert [(one.component, one.compared) for one in found] == ([(1, compared)] if compared else [])
    wider = spurious_of(two_of_which_one_has_few(rows, np.diag([1.0, 1.0, 1.2e-2])), 1000, 0.0, 0.0)
    assert [one.compared for one in wider] == (["too few"] if compared == "too few" else [])
    diagonal = two_of_which_one_has_few(rows / 2, np.diag(narrow), Kind.DIAG)  # two tell a variance
    assert [one.compared for one in spurious_of(diagonal, 1000, 0.0, 0.0)] == ([compared] if compared else [])


def test_the_data_are_what_few_rows_are_compared_with():
    """A component far from the other makes the data wide: both are then narrow."""
    for distance, expected in ((0, []), (1e3, [(1, False)])):
        parameters = mixture_parameters([0.995, 0.005], [[0.0, 0.0], [distance, distance]], [np.ones(2)] * 2, Kind.DIAG)
        assert found(parameters, 1000, 0.0) == expected


@pytest.mark.parametrize("times", [3.1, 4, 5, 5.9])
def test_the_more_rows_the_more_narrowness_is_excused(times):
    """Beyond three times the fewest rows, a hundred times more for each time, in comparison with the average component."""
    for part, compared in ((0.9, ["average component"]), (1.1, [])):
        narrow = np.diag([1.0, part * 0.01 ** (times - 1)])
        assert [one.compared for one in spurious_of(two_of_which_one_has_few(3 * times, narrow), 1000, 0.0, 0.0)] == compared
    far = mixture_parameters([0.99, 0.01], [[0.0, 0.0], [1e4, 1e4]], [np.eye(2), 1e-3 * np.eye(2)])
    assert spurious_of(far, 1000, 0.0, 0.0) == []  # narrow in comparison with the data only
    assert found(two_of_which_one_has_few(18.1, np.diag([1.0, 1e-13])), 1000, 0.0) == []


def test_without_reg_covar_a_later_collapse_keeps_the_last_valid_parameters():
    X = np.concatenate([two_clusters(), np.repeat([[6.0, 6.0, 6.0]], 30, axis=0)])
    start = {"weights_init": np.full(3, 1 / 3), "means_init": [[0, 0, 0], [12, 12, 12], [6, 6, 6]], "precisions_init": np.ones(3)}
    gm = GaussianMixture(3, covariance_type="spherical", reg_covar=0, tol=0, max_iter=1000, **start)
    messages, _ = warned(gm, X)
    assert len(messages) == 1 and messages[0].startswith("Component 2 (weight")
    assert not gm.converged_ and np.isfinite(gm.covariances_).all() and (gm.covariances_ > 0).all()
    iteration = int(re.search(r"iteration (\d+)", messages[0])[1])
    assert iteration == gm.n_iter_
    with pytest.warns(ConvergenceWarning):
        before = GaussianMixture(3, covariance_type="spherical", reg_covar=0, tol=0, max_iter=iteration - 1, **start).fit(X)
    assert_array_equal(before.means_, gm.means_)


def test_integer_weights_count_as_repeated_rows_and_small_weights_as_rows():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 2)), [3, 3] + 1e-3 * rng.normal(size=(3, 2))])
    start = np.r_[np.zeros(200, int), np.ones(3, int)]
    for times, rows in ((np.ones(203), "3"), (np.full(203, 1 / 203), "3"), (np.r_[np.ones(200), 1, 1, 2], "4")):
        messages, _ = warned(GaussianMixture(2, init_params=start, reg_covar=0), X, sample_weight=times)
        assert f"sits on {rows} rows" in messages[0]
    repeated, _ = warned(GaussianMixture(2, init_params=np.r_[start, 1], reg_covar=0), np.concatenate([X, X[-1:]]))
    assert repeated == messages
    absent = np.concatenate([X, rng.normal(size=(10_000, 2))])  # rows without weight are none
    messages, _ = warned(GaussianMixture(2, init_params=np.r_[start, np.zeros(10_000, int)], reg_covar=0), absent,
                         sample_weight=np.r_[np.full(203, 1 / 203), np.zeros(10_000)])
    assert "sits on 3 rows" in messages[0]


@pytest.mark.parametrize("weight", [2.0**19, 2.0**20, 2.0**21, 1e12])
def test_rows_of_a_large_weight_are_as_many(weight):
    """A component of three rows that stand for half a million or more each is no accident."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 2)), [3, 3] + 1e-3 * rng.normal(size=(3, 2))])
    gm = GaussianMixture(2, init_params=np.r_[np.zeros(200, int), np.ones(3, int)], reg_covar=0)
    assert warned(gm, X, sample_weight=np.full(203, weight))[0] == []
    messages, _ = warned(gm, X, sample_weight=np.full(203, 1 / weight))
    assert len(messages) == 1 and "sits on 3 rows" in messages[0]


# reg_covar and the scale of the data.

def test_a_large_reg_covar_warns_and_names_the_feature():
    X = two_clusters() * [1.0, 1e-3, 1.0]
    variance = X[:, 1].var()
    with pytest.warns(UserWarning, match=rf"feature 1, {variance:.3g}".replace("+", r"\+")):
        GaussianMixture(2, random_state=0, reg_covar=1.001e-3 * variance).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2, random_state=0, reg_covar=0.999e-3 * variance).fit(X)
        GaussianMixture(2, random_state=0, reg_covar="auto").fit(X * 1e-6)
    constant = np.column_stack([np.full(200, 7.3), X])  # it has no variance that could be blurred
    with pytest.warns(UserWarning, match=rf"feature 2, {variance:.3g}".replace("+", r"\+")):
        GaussianMixture(2, random_state=0, reg_covar=1.001e-3 * variance).fit(constant)
    pd = pytest.importorskip("pandas")
    with pytest.warns(UserWarning, match="feature 'mass'"):
        GaussianMixture(2, random_state=0).fit(pd.DataFrame(X * 1e-2, columns=["length", "mass", "age"]))


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_variance_is_the_weighted_one_wherever_the_data_lie(offset):
    X = two_clusters() + offset
    X[0] += 1e5  # the first row is far from all others, and has no weight
    weights = np.r_[0.0, np.ones(199)]
    least = X[1:].var(axis=0).min()
    with pytest.warns(UserWarning, match="more than a thousandth"):
        GaussianMixture(1, reg_covar=1.001e-3 * least).fit(X, sample_weight=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(1, reg_covar=0.999e-3 * least).fit(X, sample_weight=weights)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("init_params", STARTS)
@pytest.mark.filterwarnings("ignore::gaussmix.SpuriousOptimumWarning")  # where chance begins, in both units
def test_auto_makes_the_fit_independent_of_the_unit(covariance_type, scale, init_params):
    X = reference("iris")
    plain, scaled = (GaussianMixture(3, covariance_type=covariance_type, reg_covar="auto", random_state=0, init_params=init_params,
                                     max_iter=1000).fit(Y) for Y in (X, X * scale))
    assert_allclose(scaled.means_, plain.means_ * scale, rtol=1e-7)
    assert_allclose(scaled.covariances_, plain.covariances_ * scale**2, rtol=1e-6)
    assert_array_equal(scaled.predict(X * scale), plain.predict(X))


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_auto_makes_the_fit_independent_of_each_feature_s_unit(covariance_type):
    X, units = reference("iris"), np.array([1e-9, 1.0, 1e5, 1e-3])
    start = labels("iris", 3)
    plain, scaled = (GaussianMixture(3, covariance_type=covariance_type, reg_covar="auto", init_params=start).fit(Y)
                     for Y in (X, X * units))
    assert_allclose(scaled.means_, plain.means_ * units, rtol=1e-6)
    both = units**2 if covariance_type == "diag" else np.outer(units, units)
    assert_allclose(scaled.covariances_ / both, plain.covariances_, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_auto_adds_to_a_constant_feature_a_millionth_of_the_mean_variance(covariance_type):
    X = np.column_stack([reference("iris"), np.full(150, 7.3)])
    gm = GaussianMixture(1, covariance_type=covariance_type, reg_covar="auto").fit(X)
    mean = reference("iris").var(axis=0).mean()
    if covariance_type == "spherical":
        assert_allclose(gm.covariances_[0], X.var(axis=0).mean() + 1e-6 * (4 * mean + mean) / 5, rtol=1e-12)
    else:
        found = gm.covariances_[0] if covariance_type == "diag" else np.diag(np.squeeze(gm.covariances_))
        assert_allclose(found[4], 1e-6 * mean, rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_auto_adds_a_millionth_of_each_variance(covariance_type):
    X = reference("iris")
    without, auto = (GaussianMixture(1, covariance_type=covariance_type, reg_covar=reg_covar).fit(X) for reg_covar in (0, "auto"))
    added = 1e-6 * X.var(axis=0)
    expected = {"full": np.diag(added), "tied": np.diag(added), "diag": added, "spherical": added.mean()}[covariance_type]
    assert_allclose(np.squeeze(auto.covariances_ - without.covariances_), expected, rtol=1e-6, atol=1e-14)


def test_the_default_ruins_small_units_and_says_so():
    X = reference("iris") * 1e-6
    with pytest.warns(UserWarning, match="will blur the fit"):
        gm = GaussianMixture(3, random_state=0).fit(X)
    assert_allclose(gm.covariances_, np.array([1e-6 * np.eye(4)] * 3), atol=1e-11)


# The narrowest direction.

@pytest.mark.parametrize("n_features", [1, 2, 5, 30, 70])
def test_the_ratio_is_the_smallest_generalized_eigenvalue(n_features):
    """By scipy.linalg.eigh, in units of features that differ by ten orders."""
    rng = np.random.default_rng(n_features)
    units = np.geomspace(1e-5, 1e5, n_features)
    wide = rng.normal(size=(2, n_features, 3 * n_features))
    direction = rng.normal(size=n_features)
    narrow = np.eye(n_features) - (1 - 1e-5) * np.outer(direction, direction) / (direction @ direction)
    covariances = np.concatenate([wide @ wide.transpose(0, 2, 1), narrow[None]]) * np.outer(units, units)
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    weights, means = np.array([0.5, 0.499, 0.001]), np.zeros((3, n_features))
    within = np.einsum("k,kij->ij", weights, covariances) / np.outer(units, units)
    expected = linalg.eigh(covariances[2] / np.outer(units, units), within, eigvals_only=True)[0]
    rows = 2.0 * (n_features + 1)
    found, = spurious_of(core_parameters(Kind.FULL, weights, means, covariances), rows / weights[2], 0.0, 0.0)
    assert found.component == 2 and found.compared == "data"
    assert found.ratio == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("narrow, wide", [(1e-6, 1e280), (1e-140, 1e140), (1e-280, 1.0)])
@pytest.mark.parametrize("n_features", [1, 3])
def test_how_narrow_a_component_is_needs_no_number_beyond_double_precision(n_features, narrow, wide):
    """Where the quotient of two variances is a number, its square is none."""
    parameters = mixture_parameters([0.5, 0.5], np.zeros((2, n_features)), [narrow * np.eye(n_features), wide * np.eye(n_features)])
    held, = spurious_of(parameters, 1000.0, narrow, 0.0)
    assert (held.component, held.compared) == (0, "held") and held.ratio == pytest.approx(2 * narrow / wide, rel=1e-5)
    few, = spurious_of(parameters, 4.0 * (n_features + 1), 0.0, 0.0)
    assert (few.component, few.compared) == (0, "data") and few.ratio == pytest.approx(2 * narrow / wide, rel=1e-5)
    assert f"{0.5 * wide / narrow:.2g} times narrower" in str(few)


def test_weights_whose_quotients_are_no_numbers_end_in_a_warning():
    X = np.random.default_rng(0).normal(size=(7, 1))
    with pytest.warns(CollapseWarning):
        GaussianMixture(2, reg_covar=0, max_iter=1, random_state=0).fit(X, sample_weight=[1, 8e-291, 4e-298, 3e-295, 1e-299, 3e-290, 4e-293])


def test_advice_on_a_given_start_is_not_to_make_more():
    X = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.warns(CollapseWarning) as caught:
        GaussianMixture(2, n_init="auto", means_init=[[0, 0], [50, 50]]).fit(X)
    assert "Increase reg_covar" in str(caught[0].message) and "n_init" not in str(caught[0].message)

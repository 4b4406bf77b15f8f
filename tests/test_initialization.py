"""Where EM starts: greedy k-means++, Lloyd's algorithm, random rows and responsibilities."""

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans

import gaussmix
from direct import draw, points, random_mixture
from gaussmix._core.densities import Kind
from gaussmix._core.estep import TILE
from gaussmix._core.kmeans import Closest, Lloyd, Nearest, Potentials, Seeding
from gaussmix import GaussianMixture
from gaussmix.blocks import Blocks
from gaussmix.engines import Threads
from gaussmix.starts import STARTS
from gaussmix.starts.kmeans import clusters, far_rows, k_means, k_means_plus_plus
from gaussmix.starts.random import drawn, random_responsibilities, random_rows
from gaussmix.starts.start import spread_around
from gaussmix.random_state import as_generator


def chosen(X, n_components, seed, weights=None, n_threads=1):
    with Threads(n_threads) as threads:
        return k_means_plus_plus(Blocks(np.asarray(X), n_components, weights), n_components, np.random.default_rng(seed), threads)


def lloyd(X, centres, weights=None, n_threads=1, **options):
    with Threads(n_threads) as threads:
        return k_means(Blocks(X, len(centres), weights), centres, threads, **options)


def greedy_distribution(X, weights, n_components):
    """The probability of every sequence of rows under greedy k-means++ with 2 + ln K candidates, by enumeration."""
    squares = ((X[:, None] - X) ** 2).sum(axis=2)
    sequences = {(n,): w for n, w in enumerate(weights / weights.sum()) if w > 0}
    for _ in range(1, n_components):
        longer = {}
        for sequence, probability in sequences.items():
            closest = squares[list(sequence)].min(axis=0)
            mass = weights * closest / (weights @ closest)
            potentials = [weights @ np.minimum(closest, squares[n]) for n in range(len(X))]
            alive = np.flatnonzero(mass)
            for candidates in itertools.product(alive, repeat=2 + int(math.log(n_components))):
                best = min(candidates, key=lambda n: potentials[n])
                key = (*sequence, int(best))
                longer[key] = longer.get(key, 0) + probability * math.prod(mass[n] for n in candidates)
        sequences = longer
    return sequences


@pytest.mark.parametrize("n_rows, n_components", [(7, 2), (5, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_k_means_plus_plus_is_the_greedy_algorithm_in_distribution(n_rows, n_components, weighted):
    X = np.random.default_rng(n_rows).normal(size=(n_rows, 2))
    weights = np.array([2.0, 0.0, 1.0, 3.0, 0.5, 1.0, 1.0])[:n_rows] if weighted else np.ones(n_rows)
    expected = greedy_distribution(X, weights, n_components)
    assert sum(expected.values()) == pytest.approx(1)
    n_draws = 1500
    generator, counts = np.random.default_rng(1), dict.fromkeys(expected, 0)
    blocks = Blocks(X, n_components, weights if weighted else None)
    with Threads(1) as threads:
        for _ in range(n_draws):
            counts[tuple(k_means_plus_plus(blocks, n_components, generator, threads))] += 1
    common = [key for key, p in expected.items() if p * n_draws >= 5]
    observed = [counts[key] for key in common]
    probable = [expected[key] * n_draws for key in common]
    observed.append(n_draws - sum(observed))
    probable.append(n_draws - sum(probable))
    if probable[-1] < 5:
        observed, probable = observed[:-1], np.array(probable[:-1]) * sum(observed[:-1]) / sum(probable[:-1])
    assert stats.chisquare(observed, probable).pvalue > 1e-4


def test_k_means_plus_plus_finds_groups_over_many_blocks():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, size=100_000)
    X = 100 * np.array(list(itertools.product([0, 1], repeat=3)))[labels] + rng.normal(size=(100_000, 3))
    for dtype in (np.float64, np.float32):
        rows = chosen(X.astype(dtype), 8, seed=1)
        assert sorted(labels[rows]) == list(range(8))
        assert rows == chosen(X.astype(dtype), 8, seed=1, n_threads=3)


def test_rows_of_weight_zero_are_never_chosen():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    weights = (rng.random(500) < 0.05).astype(float)
    X[weights == 0] *= 1e6
    for seed in range(50):
        assert (weights[chosen(X, 5, seed, weights)] > 0).all()


def test_more_components_than_distinct_rows():
    X = np.repeat([[0.1, 0.2], [3.0, 1.0]], 20, axis=0)
    for seed in range(10):
        rows = chosen(X, 4, seed)
        assert len(rows) == 4 and {tuple(X[row]) for row in rows} == {(0.1, 0.2), (3.0, 1.0)}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(50, 1, 2), (97, 2, 3), (1000, 5, 7), (70_000, 3, 4)])
def test_lloyd_is_scikit_learns(shape, weighted):
    n_rows, n_features, n_components = shape
    rng = np.random.default_rng(n_rows)
    X = draw(rng, n_rows, *random_mixture(rng, n_components, n_features))
    weights = rng.uniform(0.1, 3, size=n_rows) if weighted else None
    centres = X[rng.choice(n_rows, n_components, replace=False)]
    peer = KMeans(n_components, init=centres, n_init=1, tol=0, max_iter=1000).fit(X, sample_weight=weights)
    labels, found, inertia, n_iter = lloyd(X, centres, weights, tol=0, max_iter=1000)
    np.testing.assert_array_equal(labels, peer.labels_)
    np.testing.assert_allclose(found, peer.cluster_centers_, rtol=1e-10, atol=1e-10)
    assert inertia == pytest.approx(peer.inertia_, rel=1e-10)
    assert labels.dtype == np.int32 and n_iter < 1000


@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-4])
def test_lloyd_ends_in_the_same_iteration_as_scikit_learns(tol):
    """The tolerance is a part of the features' mean variance, and the centres' shift a sum over all of them."""
    iterations = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = draw(rng, 400, *random_mixture(rng, 4, 3, spread=1)) * [1, 3, 0.1] + [0, 50, 0]
        centres = X[rng.choice(len(X), 4, replace=False)]
        *_, n_iter = lloyd(X, centres, tol=tol)
        assert n_iter == KMeans(4, init=centres, n_init=1, tol=tol, algorithm="lloyd").fit(X).n_iter_
        iterations.append(n_iter)
    assert len(set(iterations)) > 5


def test_one_iteration_is_scikit_learns():
    X = np.random.default_rng(0).normal(size=(500, 2))
    _, found, _, n_iter = lloyd(X, X[:5], max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = KMeans(5, init=X[:5], n_init=1, max_iter=1).fit(X)
    assert n_iter == 1
    np.testing.assert_allclose(found, peer.cluster_centers_, rtol=1e-12, atol=1e-13)


def test_weights_are_repeats_for_lloyd():
    rng = np.random.default_rng(2)
    X, repeats = rng.normal(size=(300, 2)), rng.integers(0, 4, size=300)
    weighted = lloyd(X, X[:4], repeats.astype(float), tol=0)
    repeated = lloyd(np.repeat(X, repeats, axis=0), X[:4], tol=0)
    np.testing.assert_array_equal(np.repeat(weighted[0], repeats), repeated[0])
    np.testing.assert_allclose(weighted[1], repeated[1], rtol=1e-11)
    assert weighted[2] == pytest.approx(repeated[2], rel=1e-11)


@pytest.mark.parametrize("offset", [0.0, 2.0**18])
def test_float32_centres_are_the_means_of_their_rows(offset):
    """Distances are float32, sums are not: a centre does not inherit the rounding of its previous position."""
    rng = np.random.default_rng(3)
    X = (offset + np.round(16 * draw(rng, 2000, *random_mixture(rng, 3, 2, spread=10))) / 16).astype(np.float32)
    labels, centres, _, _ = lloyd(X, X[:3], tol=0)
    means = [X[labels == k].astype(float).mean(axis=0) for k in range(3)]
    np.testing.assert_allclose(centres - offset, np.array(means) - offset, rtol=0, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_empty_clusters_are_given_rows(weighted):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 2))
    weights = np.r_[np.ones(250), np.zeros(50)] if weighted else None
    centres = np.array([[0.0, 0.0], [1e6, 1e6], [-1e6, 0.0], [5e5, -1e6]])
    for some in (centres, centres[::-1], centres[[1, 0, 2, 3]]):
        labels, found, inertia, _ = lloyd(X, some, weights)
        assert np.isfinite(found).all() and np.isfinite(inertia) and np.abs(found).max() < 10
        assert (np.bincount(labels, weights, minlength=4) > 0).all()


@pytest.mark.parametrize("weights, row", [([1.0, 1000.0, 1.0], 2), ([1.0, 1000.0, 0.0], 1)])
def test_an_empty_cluster_gets_the_farthest_row_that_has_weight(weights, row):
    """How much weight does not matter: 10 is farthest from the only centre that has rows, and 1 where 10 has no weight."""
    X = np.array([[0.0], [1.0], [10.0]])
    labels, found, _, _ = lloyd(X, np.array([[0.4], [100.0]]), np.array(weights))
    assert labels.tolist() == [0] * row + [1] * (3 - row) and found[1, 0] == X[row, 0]


def test_the_farthest_rows_are_those_from_where_the_centres_were():
    """As scikit-learn's, which are found here: two of three clusters are empty at first."""
    for seed in range(20):
        X = np.random.default_rng(seed).normal(size=(60, 2)) * [1, 3]
        centres = np.array([X[0], [1e3, 1e3], [-1e3, 1e3]])
        far = X[np.argsort(((X - X[0]) ** 2).sum(axis=1))[-2:]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = KMeans(3, init=centres, n_init=1, tol=0, max_iter=1).fit(X)
        for row in far:
            assert np.isclose(peer.cluster_centers_[1:], row, atol=1e-12).all(axis=1).any()
        labels, _, _, _ = lloyd(X, centres, tol=0, max_iter=2)  # the second pass labels by those rows
        np.testing.assert_array_equal(labels, ((X[:, None] - np.array([X.mean(axis=0), *far])) ** 2).sum(axis=2).argmin(axis=1))


def test_duplicates_end_lloyd_soon():
    """With fewer distinct rows than centres some cluster stays empty whatever is done; once every row is a centre, that is the end."""
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 50, axis=0)
    _, found, inertia, n_iter = lloyd(X, np.array([[0.0, 0], [0, 0], [1, 1]]))
    np.testing.assert_array_equal(found, [[0, 0], [0, 0], [1, 1]])
    assert inertia == 0 and n_iter == 1


def test_the_tolerance_is_relative_to_the_variance():
    X = draw(np.random.default_rng(5), 2000, *random_mixture(np.random.default_rng(5), 6, 2, spread=1))
    iterations = {lloyd(unit * X + offset, unit * X[:6] + offset, tol=1e-3)[3] for unit in (2.0**-30, 1, 2.0**30)
                  for offset in (0, 2.0**10 * unit)}
    assert len(iterations) == 1 and iterations.pop() < lloyd(X, X[:6], tol=0, max_iter=1000)[3]


def test_a_start_by_k_means_is_nearly_where_lloyd_ends():
    """From the same rows: it stops earlier, at half a percent more inertia at most, on average over overlapping clusters."""
    more = []
    for seed in range(20):
        X = draw(np.random.default_rng(seed), 2000, *random_mixture(np.random.default_rng(seed), 6, 3, spread=1))
        with Threads(1) as threads:
            labels = clusters(Blocks(X, 6), 6, np.random.default_rng(seed), threads).labels
        end = lloyd(X, X[chosen(X, 6, seed)], tol=0, max_iter=1000)[0]
        start, end = (sum(((X[which == k] - X[which == k].mean(axis=0)) ** 2).sum() for k in range(6)) for which in (labels, end))
        more.append(start / end - 1)
    assert -1e-12 < np.mean(more) < 0.005


def test_lloyd_far_from_the_origin():
    X = np.round(256 * draw(np.random.default_rng(6), 1000, *random_mixture(np.random.default_rng(6), 4, 2))) / 256
    near, far = lloyd(X, X[:4], tol=0), lloyd(X + 2.0**30, X[:4] + 2.0**30, tol=0)
    np.testing.assert_array_equal(near[0], far[0])
    assert far[2] == pytest.approx(near[2], rel=1e-7)


def random_shares(X, n_components, seed=0, weights=None):
    blocks = Blocks(X, n_components, weights)
    assignment = random_responsibilities(blocks, n_components, np.random.default_rng(seed))
    return [assignment.of_block(blocks.block(index)) for index in blocks.pieces()]


def test_random_responsibilities_are_uniform_numbers_over_their_sum():
    X = np.zeros((100_000, 1))
    shares = np.concatenate(random_shares(X, 2))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-15)
    assert len(np.unique(shares[:, 0])) > 99_000  # no block repeats another's numbers
    # u / (u + v) has distribution function p / (2 (1 − p)) up to ½, and is symmetric
    def distribution(p):
        return np.where(p < 0.5, p / (2 * (1 - p)), 1 - (1 - p) / (2 * p))
    assert stats.kstest(shares[:, 0], distribution).pvalue > 1e-4
    again = np.concatenate(random_shares(X, 2))
    np.testing.assert_array_equal(again, shares)


ON_ROWS = ["k-means++", "random_from_data"]


def directly(X, labels, n_components):
    """Weights, means and covariances of labelled rows, by plain NumPy."""
    groups = [X[labels == k] for k in range(n_components)]
    return ([len(rows) / len(X) for rows in groups], [rows.mean(axis=0) for rows in groups],
            [np.cov(rows.T, bias=True) for rows in groups])


@pytest.mark.parametrize("start", ON_ROWS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("unit", [1.0, 2.0**-20, 2.0**20])
def test_a_start_on_rows_is_these_rows_and_then_the_moments_of_the_nearest(start, seed, dtype, unit):
    X = (unit * np.random.default_rng(1).normal(size=(400, 2))).astype(dtype)
    options = {"init_params": start, "random_state": seed, "reg_covar": 0}
    model = GaussianMixture(3, max_iter=0, **options).fit(X)
    rows = [int(np.flatnonzero((X == mean).all(axis=1))[0]) for mean in model.means_]
    assert len(set(rows)) == 3
    np.testing.assert_allclose(model.weights_, 1 / 3, rtol=1e-6)
    labels = ((X[:, None] - X[rows].astype(float)) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(model.predict(X), labels)
    with pytest.warns(gaussmix.ConvergenceWarning):
        one = GaussianMixture(3, max_iter=1, tol=0, **options).fit(X)
    for mine, direct in zip((one.weights_, one.means_, one.covariances_), directly(X.astype(float), labels, 3)):
        np.testing.assert_allclose(mine, direct, rtol=1e-9 if dtype == np.float64 else 1e-5,
                                   atol=(1e-12 if dtype == np.float64 else 1e-5) * unit)


@pytest.mark.parametrize("reg_covar", [0, 1e-6])
def test_a_row_far_away_does_not_blur_a_start_on_rows(reg_covar):
    """Where chance does not choose it; k-means++ always does."""
    X = np.random.default_rng(1).normal(size=(60, 2)) + 5 * np.arange(60)[:, None]
    X[7] = 1e8
    chosen_it = set()
    for seed in range(10):
        model = GaussianMixture(3, init_params="random_from_data", random_state=seed, reg_covar=reg_covar, max_iter=0).fit(X)
        nearest = ((X[:, None] - model.means_) ** 2).sum(axis=2).argmin(axis=1)
        np.testing.assert_allclose(model.predict_proba(X), np.eye(3)[nearest], atol=1e-12)
        chosen_it.add(1e8 in model.means_)
    assert False in chosen_it


@pytest.mark.parametrize("start", ON_ROWS)
def test_a_start_on_rows_goes_by_the_features_units_where_reg_covar_does(start):
    """Rows are drawn by plain distance, but assigned to the nearest mean by distance in units of each feature's deviation."""
    X = np.random.default_rng(1).normal(size=(60, 2)) * [1.0, 100.0]
    model = GaussianMixture(3, init_params=start, random_state=0, reg_covar="auto", max_iter=0).fit(X)
    scaled = (X[:, None] - model.means_) / X.std(axis=0)
    np.testing.assert_array_equal(model.predict(X), (scaled**2).sum(axis=2).argmin(axis=1))


@pytest.mark.parametrize("start", ON_ROWS)
@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_a_chosen_row_that_stays_alone_is_refused_without_reg_covar(start, structure):
    """As many components as rows: one row each."""
    X = np.random.default_rng(1).normal(size=(6, 2))
    for n_init in (1, 3):
        model = GaussianMixture(6, init_params=start, random_state=0, reg_covar=0, covariance_type=structure, n_init=n_init)
        with pytest.raises(ValueError, match="of the start is singular, .*increase reg_covar"):
            model.fit(X)
    assert not hasattr(model, "means_")


def test_equal_rows_that_are_chosen_share_what_is_nearest():
    """Where there are fewer different rows than components."""
    X = np.repeat([[0.0, 0.0], [1.0, 1.0], [3.0, 0.0]], 20, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(8, init_params="random_from_data", random_state=0, max_iter=1).fit(X)
    values, count = np.unique(model.means_.round(9), axis=0, return_counts=True)
    assert len(values) == 3 and count.max() > 1
    for value, copies in zip(values, count):
        np.testing.assert_allclose(model.weights_[(model.means_.round(9) == value).all(axis=1)], 1 / 3 / copies, rtol=1e-12)


@pytest.mark.parametrize("start", [far_rows, random_rows])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_spread_of_chosen_rows_is_the_variance_around_them(start, weighted):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(50, 3))
    weights = rng.integers(0, 4, 50).astype(float) if weighted else np.ones(50)
    with Threads(1) as threads:
        blocks = Blocks(X, 4, weights if weighted else None)
        means, inertia = start(blocks, 4, np.random.default_rng(0), threads)
        squares = ((X[:, None] - means) ** 2).sum(axis=2).min(axis=1)
        assert spread_around(means, inertia, blocks) == pytest.approx(weights @ squares / weights.sum() / 3, rel=1e-12)
        # ... or the squared distance of the nearest two that differ, where that is less.
        few = np.array([[0.0], [0.0], [1.0], [1e6], [1e6 + 2], [1e7]])
        means, inertia = start(Blocks(few, 5), 5, np.random.default_rng(0), threads)
    apart = (means - means.T) ** 2
    squares = ((few[:, None] - means) ** 2).sum(axis=2).min(axis=1)
    assert spread_around(means, inertia, Blocks(few, 5)) == pytest.approx(min(squares.mean(), apart[apart > 0].min()), rel=1e-9)


def test_the_spread_around_rows_that_are_equal_is_that_of_different_ones():
    rows = np.array([[0.0], [0.0], [3.0], [5.0]])
    assert spread_around(rows, 1e6, Blocks(rows, 4)) == 4.0


def test_fewer_different_rows_of_weight_than_components():
    """The others are drawn once more, by weight."""
    X, weights = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 0.0, 0.0])
    found = []
    with Threads(1) as threads:
        for seed in range(400):
            found += random_rows(Blocks(X, 3, weights), 3, np.random.default_rng(seed), threads)[0][2:].tolist()
    count = np.bincount(np.ravel(found).astype(int), minlength=4)
    assert count[2:].sum() == 0 and stats.binomtest(int(count[0]), 400, 0.25).pvalue > 1e-4


@pytest.mark.parametrize("masses, uniform, expected", [
    ([0.0, 1.0, 1.0], 0.0, 1), ([1.0, 0.0, 1.0], 0.5, 2), ([1.0, 1.0, 0.0], 1 - 2.0**-53, 1), ([5e-324, 0.0], 0.9, 0),
    ([1.0, 2.0, 1.0], 0.25, 1), ([1.0, 2.0, 1.0], 0.75, 2),
])
def test_a_row_is_drawn_where_the_mass_first_exceeds_the_number(masses, uniform, expected):
    """So a row without mass is never drawn."""
    assert drawn(np.array(masses), uniform) == expected


@pytest.mark.parametrize("n_blocks", [1, 4])
def test_k_means_plus_plus_draws_a_row_where_the_mass_first_exceeds_the_number(n_blocks, monkeypatch):
    """Wherever a block ends, and of the rows that have mass the last one where the number is 1."""
    if n_blocks > 1:
        monkeypatch.setattr("gaussmix.blocks.MOST_ROWS", TILE)
        monkeypatch.setattr("gaussmix.blocks.FEWEST_TILES", 1)
    rng = np.random.default_rng(0)
    weights = 3.0 * np.concatenate([rng.permutation(TILE) < TILE // 3 for _ in range(4)])  # every block has the same mass
    weights[0], weights[-20:] = 3, 0
    X = rng.choice([-1.0, 1.0], size=(4 * TILE, 1))
    X[0] = 0
    blocks = Blocks(X, 1, weights).for_distances(1)
    assert len(blocks) == n_blocks
    for first, masses in ((0.0, weights * X[:, 0] ** 2), (1.0, weights * (X[:, 0] - X[np.flatnonzero(weights)[-1], 0]) ** 2)):
        cumulative = np.cumsum(masses)
        for number in np.r_[np.arange(65) / 64, cumulative[TILE - 1:-1:TILE] / cumulative[-1]]:
            with Threads(1) as threads:
                closest, found = np.full(len(X), np.inf), np.zeros(n_blocks)
                seeding = Seeding(*(threads.passes(blocks, estep) for estep in (Potentials(Kind.DIAG, 1, 1, 8, closest),
                                                                                Closest(Kind.DIAG, 1, 1, 8, closest, found))),
                                  weights, [stop for _, stop in blocks.bounds], closest, found)
                row = seeding.choose(np.array([[first], [number]]))[1]
            where = np.searchsorted(cumulative, number * cumulative[-1], side="right")
            assert row == min(where, np.flatnonzero(masses)[-1])


def test_weights_below_one_change_no_responsibility():
    """A row of weight one half is no average of half a draw."""
    X = np.random.default_rng(0).normal(size=(300, 2))
    halves, ones = (np.concatenate(random_shares(X, 3, weights=np.full(300, weight)))
                    for weight in (0.5, 1.0))
    np.testing.assert_array_equal(halves, ones)
    assert (halves >= 0).all()


@pytest.mark.parametrize("n_blocks", [1, 11])
def test_k_means_plus_plus_chooses_the_best_candidate(n_blocks, monkeypatch):
    """Of four candidates by the inertia that each leaves, whether compiled or over blocks."""
    if n_blocks > 1:
        monkeypatch.setattr("gaussmix.blocks.MOST_ROWS", TILE)
        monkeypatch.setattr("gaussmix.blocks.FEWEST_TILES", 1)
    X = np.random.default_rng(1).normal(size=(2000, 2))
    inertia = []
    for seed in range(40):
        rows = chosen(X, 8, seed)
        inertia.append(((X[:, None] - X[rows]) ** 2).sum(axis=2).min(axis=1).sum())
    plain = []
    for seed in range(40):  # k-means++ without candidates, by its definition
        rng = np.random.default_rng(seed)
        closest, rows = np.ones(2000), []
        for _ in range(8):
            rows.append(rng.choice(2000, p=closest / closest.sum()))
            closest = np.minimum(closest if len(rows) > 1 else np.inf, ((X - X[rows[-1]]) ** 2).sum(axis=1))
        plain.append(closest.sum())
    assert np.mean(inertia) < 0.9 * np.mean(plain)


@pytest.mark.parametrize("repeated", [False, True])
def test_random_rows_are_drawn_by_weight_without_repetition(repeated):
    """Two of four different rows, in order: P(i, j) = w_i w_j / (1 − w_i), whether w are weights or numbers of repeats."""
    rows, times = np.array([[0.0, 0], [1, 0], [0, 1], [5, 5]]), np.array([1, 2, 3, 6])
    X, weights = (np.repeat(rows, times, axis=0), None) if repeated else (rows, times.astype(float))
    counts, share = np.zeros((4, 4)), times / times.sum()
    blocks = Blocks(X, 2, weights)
    with Threads(1) as threads:
        for seed in range(4000):
            means = random_rows(blocks, 2, np.random.default_rng(seed), threads)[0]
            i, j = ((rows == mean).all(axis=1).argmax() for mean in means)
            counts[i, j] += 1
    assert (np.diag(counts) == 0).all()
    expected = 4000 * share[:, None] * share / (1 - share[:, None])
    apart = ~np.eye(4, dtype=bool)
    assert stats.chisquare(counts[apart], expected[apart]).pvalue > 1e-4


def test_random_rows_are_different_rows_of_weight():
    X = np.arange(40.0)[:, None]
    weights = np.r_[np.zeros(30), np.ones(10)]
    for seed in range(20):
        model = GaussianMixture(10, init_params="random_from_data", random_state=seed, max_iter=0)
        np.testing.assert_array_equal(np.sort(model.fit(X, sample_weight=weights).means_[:, 0]), np.arange(30, 40))
    with pytest.raises(ValueError, match="n_components = 11, n_samples = 10 with a positive sample_weight"):
        GaussianMixture(11, init_params="random_from_data").fit(X, sample_weight=weights)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_seed_gives_a_start(start, dtype):
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(dtype)
    options = {"init_params": start, "max_iter": 0}
    one, same, other = (GaussianMixture(4, random_state=seed, **options).fit(X).means_ for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_generators():
    generator = np.random.default_rng(1)
    assert as_generator(generator) is generator
    assert as_generator(3).random() == np.random.default_rng(3).random()
    legacy = np.random.RandomState(1)
    assert as_generator(legacy).random() != as_generator(legacy).random()
    assert as_generator(np.random.RandomState(1)).random() == as_generator(np.random.RandomState(1)).random()
    assert as_generator(np.random.RandomState(1)).random() != as_generator(np.random.RandomState(2)).random()
    assert as_generator(0).random() == np.random.default_rng(0).random()
    assert as_generator(None).random() != as_generator(None).random()
    for several in ([1, 2], (3,), np.array([1, 2]), range(2)):  # seeds to NumPy, but none of scikit-learn's
        with pytest.raises(ValueError, match="random_state must be None"):
            as_generator(several)


def test_numpys_global_generator_is_used_and_moves_on():
    before = np.random.get_state()
    try:
        np.random.seed(5)
        first, second = as_generator(np.random).random(), as_generator(np.random).random()
        np.random.seed(5)
        assert as_generator(np.random).random() == first != second
        np.random.seed(6)
        assert as_generator(np.random).random() != first
    finally:
        np.random.set_state(before)


LABELS = np.array([0, 1, 0, 1])
BAD_STARTS = [
    (np.array([[1, 0], [1, 0], [0.5, 0.49], [0.0, 1.0]]), "row 2 sum to 0.99"),
    (np.array([[1, 0], [0.5, 0.50001], [1, 0], [0.0, 1.0]]), "row 1 sum to 1.00001"),
    (LABELS + 1, "labels must be from 0 to 1, not from 1 to 2"), (LABELS - 1, "labels must be from 0 to 1"),
    (LABELS + 2**32, "labels must be from 0 to 1"), (LABELS[:3], "shape"), (LABELS.astype(float), "whole-number labels"),
    (np.ones((4, 2)), "row 0 sum to 2"), (np.array([[1, 0], [1, 0], [0.5, 0.4], [0, 1]]), "row 2 sum to 0.9"),
    (np.array([[2.0, -1.0]] * 4), "not negative"), (np.full((4, 2), np.nan), "finite"), (np.ones((4, 3)) / 3, "shape"),
    ("nonsense", "init_params must be one of"), (None, "init_params"),
]


@pytest.mark.parametrize("start, message", BAD_STARTS, ids=range(len(BAD_STARTS)))
def test_bad_starts(start, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, init_params=start).fit([[0.0], [1.0], [0.5], [2.0]])


@pytest.mark.parametrize("n_rows", [100, 300_000])
def test_the_compiled_loops_refuse_arrays_of_the_wrong_shape(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 2))
    with Threads(1) as threads:
        for centres, labels in ((X[:3], np.zeros(n_rows - 1, np.int32)), (X[:3, :1], np.zeros(n_rows, np.int32)),
                                (X[:2], np.zeros(n_rows, np.int32)), (X[:0], np.zeros(n_rows, np.int32))):
            blocks = Blocks(X, 3).for_distances(3)
            moved = np.zeros(len(blocks), np.intp)
            with pytest.raises(ValueError):
                Lloyd(threads.passes(blocks, Nearest(Kind.DIAG, 3, 2, 8, labels, moved)), centres, moved, 0.0).run(1)
        blocks = Blocks(X, 3).for_distances(3)
        closest, masses, ends = np.full(n_rows, np.inf), np.zeros(len(blocks)), [stop for _, stop in blocks.bounds]
        passes = [threads.passes(blocks, estep) for estep in (Potentials(Kind.DIAG, 3, 2, 8, closest),
                                                              Closest(Kind.DIAG, 1, 2, 8, closest, masses))]
        for shape in ((1, 0), (1, 4)):
            with pytest.raises(ValueError, match="each candidate"):
                Seeding(*passes, None, ends, closest, masses).choose(np.zeros(shape))
        with pytest.raises(ValueError, match="weights and rows"):
            Seeding(*passes, np.ones(n_rows - 1), ends, closest, masses)
        with pytest.raises(ValueError, match="do not end where the rows do"):
            Seeding(*passes, None, ends, closest[:-1], masses)
        with pytest.raises(ValueError, match="no place"):
            threads.passes(blocks, Closest(Kind.DIAG, 1, 2, 8, closest[:-1].copy(), masses)).sum(points(X[:1]))

"""The search for the best optimum: what it finds, when it ends, and that its result depends on the seed alone."""

import math
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg

from direct import STRUCTURES, draw, log_density, random_mixture
from gaussmix import CollapseWarning, ConvergenceWarning, GaussianMixture, Mixture, select
from gaussmix.blocks import Blocks
from gaussmix.engines import Threads
from gaussmix.exceptions import InvalidParameterError
from gaussmix.fitting import Fitting, Request
from gaussmix.search import Optimum, Search, rounds
from gaussmix.search.budget import Budget
from gaussmix.search.record import chance_of_better
from gaussmix.search.rounds import sought
from gaussmix.search.splices import spliced
from gaussmix.search.swaps import pushed, swapped
from gaussmix.starts import STARTS
from gaussmix.structures import structure_named

REFERENCE = Path(__file__).parent / "data" / "reference"
IN_UNITS = ("kmeans_standardized", "kmeans_whitened", "k-means++_standardized", "k-means++_whitened")


def reference(name):
    return np.loadtxt(REFERENCE / f"{name}.csv", delimiter=",", ndmin=2)


def searched(X, n_components, sample_weight=None, **options):
    return GaussianMixture(n_components, n_init="auto", **{"random_state": 0} | options).fit(X, sample_weight=sample_weight)


def planted(n_rows=900, seed=0, separation=6.0):
    rng = np.random.default_rng(seed)
    return draw(rng, n_rows, *random_mixture(rng, 4, 2, spread=separation))


# What it finds.

@pytest.mark.parametrize("name, n_components, least", [("faithful", 3, -1114.45), ("iris", 3, -180.20), ("quakes", 3, -11318.15),
                                                      ("acidity", 3, -178.80), ("diabetes", 3, -2303.55)])
def test_what_hundreds_of_starts_find_is_found(name, n_components, least):
    """The figures are the best proper ends of 800 single starts of eight kinds each, from other seeds."""
    X = reference(name)
    for seed in range(3):
        gm = searched(X, n_components, random_state=seed)
        assert log_density(X, gm.weights_, gm.means_, gm.covariances_).sum() > least
        assert gm.converged_ and gm.search_.optima[0].proper


@pytest.mark.parametrize("structure", STRUCTURES)
def test_at_least_as_good_as_every_single_start(structure):
    X = planted(separation=1.5)
    gm = searched(X, 5, covariance_type=structure, random_state=3)
    for kind in STARTS:
        for seed in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("error", CollapseWarning)
                warnings.simplefilter("ignore", UserWarning)
                try:
                    one = GaussianMixture(5, covariance_type=structure, init_params=kind, random_state=seed, tol=1e-8, max_iter=5000).fit(X)
                except (CollapseWarning, ValueError):
                    continue
            assert gm.score(X) * len(X) > one.score(X) * len(X) - 0.2


def test_the_best_is_close_to_its_limit_whatever_tol_says():
    X = planted(separation=1.0)
    for tol in (10.0, 1e-12):
        gm = searched(X, 4, tol=tol, max_iter=1000)
        on = GaussianMixture(4, weights_init=gm.weights_, means_init=gm.means_, precisions_init=gm.precisions_, tol=1e-14, max_iter=20_000)
        assert gm.score(X) * len(X) > on.fit(X).score(X) * len(X) - 0.1


def test_a_proper_optimum_is_preferred():
    """Eight components on iris: most starts end on a few rows."""
    X = reference("iris")
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        gm = searched(X, 8, search_budget=2_000)
    rows = gm.weights_ * len(X)
    ratios = np.array([linalg.eigh(S, np.cov(X.T, bias=True), eigvals_only=True)[0] for S in gm.covariances_])
    assert (rows >= 4.99).all() and (rows[ratios < 0.0099] >= 14.99).all()
    assert any(not one.proper and one.log_likelihood > gm.search_.optima[0].log_likelihood for one in gm.search_.optima)


def test_weights_count_as_repeated_rows():
    X, times = planted(300), np.random.default_rng(1).integers(1, 4, 300)
    weighted, repeated = searched(X, 4, sample_weight=times), searched(np.repeat(X, times, axis=0), 4)
    assert weighted.score(X, sample_weight=times) == pytest.approx(repeated.score(X, sample_weight=times), abs=0.1 / times.sum())


@pytest.mark.parametrize("n_rows", [6000, 40_000])
def test_many_rows_are_searched_in_samples_and_fitted_as_a_whole(n_rows):
    X = planted(n_rows)
    gm = searched(X, 4)
    one = GaussianMixture(4, weights_init=gm.weights_, means_init=gm.means_, precisions_init=gm.precisions_, tol=1e-12, max_iter=5000).fit(X)
    assert gm.score(X) * n_rows > one.score(X) * n_rows - 0.1
    assert gm.search_.optima[0].log_likelihood == pytest.approx(gm.lower_bound_ * n_rows, abs=1e-6 * n_rows)
    assert all(one.starts == 0 for one in gm.search_.optima)  # those of a sample have another log-likelihood


# What it tells.

def test_the_record_adds_up():
    X = reference("faithful")
    search = searched(X, 3).search_
    assert isinstance(search, Search) and search.ended_by == "chance" and search.chance_of_better < 0.03
    assert sum(one.rounds for one in search.optima) == search.n_rounds
    assert search.n_starts > 2 * search.n_rounds and search.n_passes > search.n_starts and search.seconds > 0
    proper = [one.log_likelihood for one in search.optima if one.proper]
    assert proper == sorted(proper, reverse=True)
    assert str(search).count("\n") == 1 + min(len(search.optima), 10) + (len(search.optima) > 10)
    assert "Search of" in str(search) and f"{search.optima[0].log_likelihood:.2f}" in str(search)


def test_the_chance_of_better_is_goods_estimate_times_that_of_the_best_rank():
    assert chance_of_better([]) == 1.0
    assert chance_of_better([3, 1, 1]) == pytest.approx((2 + 1) / (5 + 1) / (3 + 1))
    # Where optima are equally likely, rounds that found each of them often enough leave little chance.
    assert chance_of_better([9] * 10) < 0.01


def test_where_rounds_agree_rounds_of_other_seeds_agree_too():
    """The estimate of the search: of further rounds, fewer than three in a hundred find a better optimum."""
    X = planted(600, 2)
    found = [searched(X, 4, random_state=seed).search_ for seed in range(10)]
    for search in found:
        best = search.optima[0].log_likelihood
        others = [one for other in found if other is not search for one in other.optima]
        better = sum(one.rounds for one in others if one.log_likelihood > best + 0.2)
        assert better < 0.03 * sum(one.rounds for one in others)
        assert search.optima[0].rounds > 5 or search.optima[1].rounds > 5


def test_without_a_search_there_is_no_record():
    X = planted(100)
    gm = searched(X, 2, search_budget=5)
    assert hasattr(gm, "search_")
    gm.set_params(n_init=1, search_budget=None).fit(X)
    assert not hasattr(gm, "search_")


@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@pytest.mark.parametrize("given", ["labels", "responsibilities", "means", "weights", "precisions", "warm start"])
def test_a_given_start_is_the_only_one(given):
    X = planted(200)
    labels = np.arange(200) % 3
    options = {"labels": dict(init_params=labels), "responsibilities": dict(init_params=np.eye(3)[labels]),
               "means": dict(means_init=X[:3]), "weights": dict(weights_init=[0.2, 0.3, 0.5]),
               "precisions": dict(precisions_init=np.tile(np.eye(2), (3, 1, 1))), "warm start": dict(warm_start=True)}[given]
    fits = [GaussianMixture(3, n_init=n_init, random_state=0, max_iter=7, tol=1e-9, **options) for n_init in (1, "auto")]
    if given == "warm start":
        fits = [gm.set_params(n_init=1).fit(X).set_params(n_init=n_init) for gm, n_init in zip(fits, (1, "auto"))]
    plain, auto = (gm.fit(X) for gm in fits)
    assert auto.history_ == plain.history_ and not hasattr(auto, "search_")
    np.testing.assert_array_equal(auto.covariances_, plain.covariances_)


def test_one_component_has_one_optimum():
    gm = searched(planted(100), 1)
    assert gm.search_.n_starts == 1 and gm.search_.chance_of_better == 0
    np.testing.assert_allclose(gm.means_[0], planted(100).mean(axis=0))


# On what it depends.

def same(one, other):
    return one.mixture_ == other.mixture_ and one.history_ == other.history_ and one.search_.optima == other.search_.optima


@pytest.mark.parametrize("n_rows", [200, 3000, 30_000])
def test_the_result_depends_on_the_seed_but_not_on_threads(n_rows):
    X = planted(n_rows, separation=1.5)
    first, *others = (searched(X, 4, n_threads=n_threads, random_state=5) for n_threads in (1, 1, 2, 5))
    assert all(same(first, other) for other in others)


def test_the_number_of_starts_may_be_limited():
    X = planted()
    for budget in (1, 5, 8, 30, 200):
        gm = searched(X, 4, search_budget=budget)
        assert gm.search_.n_starts <= budget and gm.search_.ended_by in ("starts", "chance")
        assert same(gm, searched(X, 4, search_budget=budget, n_threads=3))
    assert searched(X, 4, search_budget=1).search_.n_rounds == 0


@pytest.mark.parametrize("n_rows", [300, 300_000])
def test_the_time_may_be_limited(n_rows):
    X = planted(n_rows, separation=1.0)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gm = searched(X, 6, search_budget="200 ms")
    assert gm.search_.ended_by == "time" and gm.search_.seconds >= 0.2
    assert time.perf_counter() - begun < 20  # far from exact on a busy machine, but not a search to the end
    assert np.isfinite(gm.means_).all()


@pytest.mark.parametrize("value, budget", [(None, Budget()), (3, Budget(starts=3)), (np.int32(3), Budget(starts=3)),
                                          ("10 s", Budget(seconds=10)),
                                          ("500ms", Budget(seconds=0.5)), ("1.5 min", Budget(seconds=90)), ("2 h", Budget(seconds=7200))])
def test_budgets_are_numbers_of_starts_or_times(value, budget):
    assert Budget.of(value) == budget


@pytest.mark.parametrize("value", [0, -1, True, 2.5, "10", "ten s", "0 s", "-1 s", "10 days", "", "1e3 s", [1], math.inf])
def test_other_budgets_are_refused(value):
    with pytest.raises((ValueError, InvalidParameterError), match="search_budget must be a number of starts, a time such as '10 s'"):
        searched(planted(50), 2, search_budget=value)


def test_a_budget_without_a_search_is_refused():
    with pytest.raises((ValueError, InvalidParameterError), match="search_budget is for n_init='auto' only, not for n_init=3"):
        GaussianMixture(2, n_init=3, search_budget=10).fit(planted(50))


@pytest.mark.parametrize("value", ["automatic", "AUTO", "10"])
def test_other_words_are_no_number_of_starts(value):
    with pytest.raises((ValueError, InvalidParameterError), match="n_init must be a whole number of at least 1 or 'auto'"):
        GaussianMixture(2, n_init=value).fit(planted(50))


# How it is watched and stopped.

def test_the_callback_sees_every_start_and_may_end_the_search():
    X, seen = planted(), []

    def callback(iteration, log_likelihood, mixture):
        seen.append((iteration, log_likelihood))
        return len(seen) == 60

    gm = searched(X, 4, callback=callback)
    assert len(seen) == 60 and sum(iteration == 1 for iteration, _ in seen) == gm.search_.n_starts > 1
    assert gm.search_.ended_by == "callback" and gm.search_.n_rounds == 0
    seen.clear()
    whole = searched(X, 4, search_budget=20, callback=lambda *told: seen.append(told) and False)
    assert same(whole, searched(X, 4, search_budget=20))


def test_progress_shows_starts_the_best_and_how_often_it_was_found(capsys):
    gm = searched(reference("faithful"), 3, progress=True, verbose=1)
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == (f"Search: {gm.search_.n_starts} starts, best log-likelihood {gm.lower_bound_:.6g}, "
                                    f"found {gm.search_.optima[0].rounds} times")
    assert len(out.splitlines()) == gm.search_.n_rounds
    assert f"search: {gm.search_.n_starts} starts" in err.split("\r")[-1] and err.endswith("\n")


INTERRUPTED = """
import signal, threading, time, warnings
import numpy as np
from gaussmix import GaussianMixture
signal.signal(signal.SIGINT, signal.default_int_handler)
warnings.simplefilter("ignore")
X, model = np.random.default_rng(0).normal(size=({n_rows}, 4)), GaussianMixture(8, n_init="auto", random_state=0, n_threads={n_threads})
try:
    print("ready", flush=True)
    for _ in range(1000):  # as the search may end before
        model.fit(X)
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.parametrize("n_rows, n_threads", [(300, 1), (3000, 2), (400_000, 2)])
def test_ctrl_c_ends_a_search_at_once(n_rows, n_threads):
    script = INTERRUPTED.format(n_rows=n_rows, n_threads=n_threads)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        late = threading.Timer(60, process.kill)
        late.start()
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            answer, errors = process.communicate()
        finally:
            late.cancel()
            process.kill()
    assert (process.returncode, answer, errors) == (0, "interrupted 1\n", "")


def test_what_is_kept_of_a_splice_was_improved_by_swaps(monkeypatch):
    made, add = [], rounds._Task.add_splice
    monkeypatch.setattr(rounds._Task, "add_splice", lambda task, one: made.append(one) or add(task, one))
    searched(reference("faithful"), 5)
    assert any(one.best is not None for one in made) and any(one.best is None for one in made)
    for one in made:
        assert one.best is None or one.n_starts > 5 * rounds.SWAPS / 2


@pytest.mark.parametrize("n_threads", [2, 3])
def test_an_error_in_a_splice_ends_those_in_other_threads(n_threads, monkeypatch):
    """Also where there are no more pairs to draw, as for the last of three threads."""
    pairs, entered, ended = rounds._Task.pairs, threading.Barrier(2), threading.Event()

    def improve(self, fitting):
        if entered.wait(20) == 0:
            raise KeyboardInterrupt
        late = time.monotonic() + 20
        while not self._over() and time.monotonic() < late:
            time.sleep(0.01)
        if self._over():
            ended.set()

    monkeypatch.setattr(rounds, "UNLIKELY", 0.2)
    monkeypatch.setattr(rounds._Task, "pairs", lambda task: pairs(task)[:2])
    monkeypatch.setattr(rounds._Splice, "_improve", improve)
    with pytest.raises(KeyboardInterrupt):
        searched(np.random.default_rng(0).normal(size=(2000, 3)), 6, n_threads=n_threads)
    assert ended.is_set()


@pytest.mark.parametrize("budget", [None, 1, 50, "1 s"])
def test_nothing_to_begin_from_is_said(budget):
    constant = np.column_stack([planted(60), np.ones(60)])
    for X in (np.zeros((20, 2)), constant):
        with pytest.raises(ValueError, match="singular"):
            searched(X, 2, reg_covar=0, search_budget=budget)


@pytest.mark.parametrize("n_components", [1, 3])
def test_without_iterations_there_is_no_search(n_components):
    X = planted(60)
    gm = searched(X, n_components, max_iter=0)
    assert not hasattr(gm, "search_") and gm.n_iter_ == 0
    assert gm.mixture_ == GaussianMixture(n_components, max_iter=0, random_state=0).fit(X).mixture_


@pytest.mark.parametrize("budget", [1, 2, 8, "1 ms"])
def test_a_budget_that_ends_in_the_first_round_leaves_a_record(budget):
    """Of many rows too, where a start in a sample is followed by one in all rows."""
    X = planted(8000, separation=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = searched(X, 5, search_budget=budget).search_
    assert search.optima[0].rounds == 0 and search.n_rounds == 0 and search.chance_of_better == 1
    if isinstance(budget, int):
        assert search.n_starts <= budget
    assert "100.0 %" in str(search)


def test_a_search_that_time_cut_short_is_told_of():
    with pytest.warns(ConvergenceWarning, match="search_budget ended the search before its best fit had converged"):
        searched(planted(200_000, separation=0.5), 8, search_budget="1 ms")


def test_the_callback_ends_a_search_in_samples():
    calls = []
    gm = searched(planted(8000), 4, callback=lambda *told: calls.append(told) or len(calls) == 3)
    assert len(calls) == 3 and gm.search_.ended_by == "callback"


@pytest.mark.parametrize("scale", [1e-6, 1 / 272, 1e6])
def test_the_scale_of_weights_changes_nothing(scale):
    X = reference("faithful")
    plain, scaled = searched(X, 3), searched(X, 3, sample_weight=np.full(272, scale))
    assert scaled.lower_bound_ == pytest.approx(plain.lower_bound_, abs=0.1 / 272)
    if scale < 1:
        assert [one.rounds for one in scaled.search_.optima] == [one.rounds for one in plain.search_.optima]


# select and swaps.

def test_select_searches_by_default():
    X = reference("diabetes")
    found = select(X, (2, 3), ("full", "tied"), random_state=0)
    one = select(X, (2, 3), ("full", "tied"), random_state=0, n_init=1)
    assert hasattr(found.best, "search_") and not hasattr(one.best, "search_")
    assert all(a.log_likelihood > b.log_likelihood - 0.1 for a, b in zip(found.candidates, one.candidates))
    assert found.chosen.log_likelihood > -2303.55
    alone = GaussianMixture(3, n_init="auto", random_state=0).fit(X)
    assert next(c for c in found.candidates if c.n_components == 3).log_likelihood == pytest.approx(alone.score(X) * len(X), rel=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_swap_moves_one_component(structure, monkeypatch):
    """All others stay; where one was split its halves have its mean and, in full covariances, its second moments."""
    X = planted(separation=8.0)
    monkeypatch.setattr("gaussmix.search.swaps.TWICE", 0.0)
    with Threads(1) as threads:
        fitting = Fitting(Request(structure_named(structure), 4, STARTS["kmeans"]), Blocks(X, 4), threads)
        fit = fitting.fit(np.random.default_rng(0))
        splits, full = 0, fit.mixture.covariances
        whitened = np.linalg.solve(np.linalg.cholesky(np.einsum("k,kij->ij", fit.parameters.weights, full)), X.T).T
        order = [np.argsort(((whitened - row) ** 2).sum(axis=1)) for row in whitened]
        means_near = [np.cumsum(X[near], axis=0) / np.arange(1, len(X) + 1)[:, None] for near in order]
        for seed in range(40):
            new = swapped(fit, fitting.problem, fitting.observations, np.random.default_rng(seed))
            assert new is not None and new.weights.sum() == pytest.approx(1) and (new.weights > 0).all()
            kept = [k for k in range(4) if (new.means[k] == fit.parameters.means[k]).all()]
            assert len(kept) in (2, 3)
            if len(kept) == 3:  # the mean of the other is a row, or that of the rows which are nearest to one
                moved, = set(range(4)) - set(kept)
                assert any(np.abs(means - new.means[moved]).max(axis=1).min() < 1e-9 for means in means_near)
            else:
                halves = [k for k in range(4) if k not in kept]
                middle = new.means[halves].mean(axis=0)
                whole = np.abs(fit.parameters.means - middle).max(axis=1).argmin()
                np.testing.assert_allclose(middle, fit.parameters.means[whole], atol=1e-12)
                if structure == "full":
                    step = (new.means[halves[0]] - new.means[halves[1]]) / 2
                    np.testing.assert_allclose(new.covariances[halves[0]] + np.outer(step, step), fit.parameters.covariances[whole], atol=1e-12)
                splits += 1
        assert 5 < splits < 35


def test_a_splice_takes_components_of_both_fits():
    """Those of one that are nearest to a row, by its second moments about the row, and those of the other that are farther away."""
    X = planted(separation=3.0)
    with Threads(1) as threads:
        fitting = Fitting(Request(structure_named("full"), 4, STARTS["random_from_data"], max_iter=3, tol=0), Blocks(X, 4), threads)
        one, other = (fitting.fit(np.random.default_rng(seed)) for seed in (0, 1))
        taken = []
        for seed in range(30):
            new = spliced(one, other, fitting.problem, fitting.observations, np.random.default_rng(seed))
            near, far = ([k for k, mean in enumerate(fit.parameters.means) if (np.abs(new.means - mean).max(axis=1) < 1e-12).any()]
                         for fit in (one, other))
            assert len(near) + len(far) == 4 and 1 <= len(near) <= 3
            taken.append(len(near))
            weights = np.concatenate([one.parameters.weights[near], other.parameters.weights[far]])
            np.testing.assert_allclose(np.sort(new.weights), np.sort(weights / weights.sum()), rtol=1e-12)

            def is_cut(row):
                residuals = one.parameters.means - row
                metric = np.einsum("k,kij->ij", one.parameters.weights, one.mixture.covariances) + (
                    one.parameters.weights[:, None] * residuals).T @ residuals
                distances = [np.einsum("ki,ij,kj->k", fit.parameters.means - row, np.linalg.inv(metric), fit.parameters.means - row)
                             for fit in (one, other)]
                return (set(np.argsort(distances[0])[:len(near)]) == set(near)
                        and set(np.argsort(distances[1])[len(near):]) == set(far))

            assert any(map(is_cut, X))
        assert {1, 2, 3} == set(taken)


def test_small_clusters_among_many_rows_are_found():
    """Five clusters of 40 rows do not show in a sample of 5,000 of 40,000: the sum over planted components is a bound."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40_000, 3))
    for j in range(5):
        X[40 * j:40 * j + 40] += 60 * rng.normal(size=3)
    labels = np.minimum(np.arange(40_000) // 40, 5)
    planted_fit = GaussianMixture(6, init_params=labels, tol=1e-9, max_iter=1000).fit(X)
    assert searched(X, 6, n_threads=2).lower_bound_ > planted_fit.lower_bound_ - 0.2 / len(X)


@pytest.mark.parametrize("n_components", [1, 2])
def test_a_sample_in_a_subspace_is_not_the_end(n_components):
    X = np.column_stack([np.random.default_rng(0).normal(size=20_000), np.zeros(20_000)])
    X[:3, 1] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gm = searched(X, n_components, reg_covar=0)
    assert gm.lower_bound_ >= GaussianMixture(1, reg_covar=0).fit(X).lower_bound_ - 1e-9


def test_starts_that_could_not_begin_are_not_counted():
    X = np.repeat(np.random.default_rng(0).normal(size=(4, 2)), 10, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert searched(X, 3, reg_covar=0, search_budget=1).search_.n_starts == 1


def test_a_saddle_is_left():
    """Two components that are the same: EM stays for hundreds of iterations, unless it is pushed."""
    X = planted(300)
    with Threads(1) as threads:
        fitting = Fitting(sought(Request(structure_named("full"), 3, STARTS["kmeans"])), Blocks(X, 3), threads)
        two = GaussianMixture(2, random_state=0, tol=1e-10, max_iter=1000).fit(X).mixture_
        twins = Mixture([two.weights[0] / 2, two.weights[0] / 2, two.weights[1]], two.means[[0, 0, 1]], two.covariances[[0, 0, 1]])
        there = fitting.climb(twins._parameters)
        assert there.converged and there.log_likelihood == pytest.approx(two.log_likelihood(X) / 300, abs=1e-6)
        begun = pushed(there, fitting.problem, np.random.default_rng(0))
        assert fitting.climb(begun).log_likelihood > there.log_likelihood + 1 / 300


# Starts that do not depend on units.

@pytest.mark.parametrize("kind", IN_UNITS)
@pytest.mark.parametrize("weighted", [False, True])
def test_starts_in_units_of_the_data_s_spread_do_not_depend_on_units(kind, weighted):
    X = reference("quakes")
    weights = np.random.default_rng(0).integers(0, 3, len(X)).astype(float) if weighted else None
    scale = np.array([1e4, 1.0, 1e-5, 37.0])
    shapes = [np.diag(scale)]
    if "whitened" in kind:
        shapes.append(scale * np.array([[1, 2, 0, 0], [0, 1, 1, 0], [0.5, 0, 1, 1], [0, 0, 0, 1]]))
    expected = GaussianMixture(4, init_params=kind, max_iter=0, random_state=0, reg_covar=0).fit(X, sample_weight=weights)
    for shape in shapes:
        found = GaussianMixture(4, init_params=kind, max_iter=0, random_state=0, reg_covar=0).fit(X @ shape + 3.0, sample_weight=weights)
        np.testing.assert_allclose(found.weights_, expected.weights_, rtol=1e-6)
        np.testing.assert_allclose(found.means_, expected.means_ @ shape + 3.0, rtol=1e-6, atol=1e-9 * np.abs(X @ shape).max())


@pytest.mark.parametrize("kind", IN_UNITS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_such_starts_serve_all_data(kind, dtype):
    """Constant and dependent features, far from the origin, in every number type."""
    X = np.round(100 * planted(120)).astype(dtype)
    X = np.column_stack([X, np.full(120, 7, dtype), X[:, 0] - X[:, 1], X[:, 0]])
    gm = GaussianMixture(3, init_params=kind, max_iter=0, random_state=0, reg_covar=1.0).fit(X)
    assert np.isfinite(gm.covariances_).all() and gm.weights_.min() > 0.01


def test_standardized_k_means_is_k_means_of_standardized_rows():
    X = reference("quakes")
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    ours = GaussianMixture(3, init_params="kmeans_standardized", max_iter=0, random_state=1).fit(X)
    theirs = GaussianMixture(3, init_params="kmeans", max_iter=0, random_state=1).fit(Z)
    np.testing.assert_allclose(ours.weights_, theirs.weights_, rtol=1e-6)
    np.testing.assert_allclose((ours.means_ - X.mean(axis=0)) / X.std(axis=0), theirs.means_, atol=1e-6)


def test_an_optimum_is_a_value():
    assert Optimum(1.0, True, 2, 3) == Optimum(1.0, True, 2, 3)

"""The accelerated algorithm, and stopping by the distance to the limit (docs/guide/best-fit.md)."""

import numpy as np
import pytest

from direct import STRUCTURES, draw, random_mixture
from gaussmix import GaussianMixture
from gaussmix._core.em import EM, AcceleratedEM, NearLimit, SmallChange
from gaussmix.blocks import Blocks
from gaussmix.em import maximize_likelihood
from gaussmix.engines import Threads
from gaussmix.exceptions import InvalidParameterError
from gaussmix.functional import em
from gaussmix.problem import Problem
from gaussmix.starts import STARTS
from gaussmix.structures import register, structure_named
from gaussmix.structures import registered as registered_structures

WITHIN = 1e-6  # nats a row


def overlapping(seed, structure, n_rows=2000):
    """Three components that overlap, as every one of them has much of its weight where the others have."""
    rng = np.random.default_rng(seed)
    return draw(rng, n_rows, *random_mixture(rng, 3, 2, structure, spread=1.0))


def problem_of(X, structure, n_components=3, weights=None, threads=None, added=0.0):
    return Problem(Blocks(X, n_components, weights), threads or Threads(1), structure_named(structure), n_components, added)


def run(problem, start, algorithm, **options):
    options = {"tol": 1e-14, "max_iter": 20_000} | options
    return maximize_likelihood(problem.passes, start, problem.m_step, algorithm=algorithm, **options)


def passes_to(problem, start, algorithm, limit):
    """How many E steps until the log-likelihood is close to a limit."""
    counts = []
    run(problem, start, algorithm, report=lambda n, value, _: bool(counts.append(n)) or value > limit - WITHIN)
    return counts[-1]


def test_fewer_e_steps_and_the_same_limit():
    """The twenty runs: five sets of rows for each structure, from k-means++."""
    ratios, worse = [], 0
    for structure in STRUCTURES:
        for seed in range(5):
            problem = problem_of(overlapping(seed, structure), structure)
            start = STARTS["k-means++_standardized"].begin(problem, np.random.default_rng(seed))
            limits = {algorithm: run(problem, start, algorithm).history[-1] for algorithm in ("em", "accelerated")}
            steps = {algorithm: passes_to(problem, start, algorithm, limits[algorithm]) for algorithm in limits}
            ratios.append(steps["em"] / steps["accelerated"])
            worse += (limits["em"] - limits["accelerated"]) * 2000 > 0.01
    assert np.median(ratios) >= 3
    assert min(ratios) >= 1 / 1.1
    assert worse <= 1


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_history_rises_and_holds_the_e_steps_that_count(structure, weighted, dtype):
    X = overlapping(7, structure).astype(dtype)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    options = dict(covariance_type=structure, tol=1e-9 if dtype == np.float64 else 1e-6, max_iter=20_000, random_state=0, reg_covar=0)
    fast = GaussianMixture(3, algorithm="accelerated", **options).fit(X, sample_weight=weights)
    slow = GaussianMixture(3, **options).fit(X, sample_weight=weights)
    rounding = 1e-13 if dtype == np.float64 else 1e-6
    assert np.diff(fast.history_).min() >= -rounding * abs(fast.history_[-1])
    assert len(fast.history_) <= fast.n_iter_ and slow.n_iter_ == len(slow.history_)
    # The few dozen E steps that float32 allows are hardly enough to gain by: then none may be lost beyond the promised tenth.
    assert fast.n_iter_ < slow.n_iter_ if dtype == np.float64 else fast.n_iter_ <= 1.1 * slow.n_iter_
    # Near the limit, where EM leaves J of the distance to it, an M step that moves by r gains ½ rᵀ(I + J) r < |r|², and the fit stops
    # only with ½ |r|² < tol. So EM from there, which float64 evaluates, gains less than twice `tol`.
    onward = GaussianMixture(3, **options | dict(tol=0, max_iter=2), weights_init=fast.weights_, means_init=fast.means_,
                             precisions_init=fast.precisions_)
    with pytest.warns(UserWarning, match="did not converge"):
        onward.fit(X.astype(np.float64), sample_weight=weights)
    assert np.diff(onward.history_)[0] < 2 * options["tol"]
    if dtype == np.float64:
        assert fast.lower_bound_ >= slow.lower_bound_ - 300 * options["tol"]  # EM itself is further from the limit
    assert fast.converged_


def test_rejected_e_steps_are_counted_and_bounded_by_max_iter():
    X = overlapping(3, "full")
    runs = [GaussianMixture(3, algorithm="accelerated", tol=0, max_iter=m, random_state=0) for m in (1, 2, 37, 300)]
    for gm in runs:
        with pytest.warns(UserWarning, match="did not converge"):
            gm.fit(X)
        assert gm.n_iter_ == gm.max_iter
    assert len(runs[-1].history_) < 300  # at the limit nothing rises any more


@pytest.mark.parametrize("kind", ["rows in a generator", "several threads"])
def test_only_the_map_is_needed(kind):
    """The same bits from rows that are not in memory, and for any number of threads."""
    from test_extending import Generated

    X = overlapping(1, "full", 100_000)
    blocks = Blocks(X, 3)
    start = STARTS["kmeans"].begin(problem_of(X, "full"), np.random.default_rng(0))
    expected = run(problem_of(X, "full"), start, "accelerated", max_iter=60)
    with Threads(3) as threads:
        observations = blocks
        if kind != "several threads":
            observations = Generated(lambda: (X[begin:end] for begin, end in blocks.bounds), 2)
        found = run(Problem(observations, threads, structure_named("full"), 3), start, "accelerated", max_iter=60)
    assert found.history == expected.history and found.n_iter == expected.n_iter
    np.testing.assert_array_equal(found.parameters.covariances, expected.parameters.covariances)


def test_a_registered_structure_and_a_prior_are_served(monkeypatch):
    from gaussmix import Statistics
    from test_extending import OneVariance

    monkeypatch.setattr("gaussmix.structures._known", list(registered_structures()))
    register(OneVariance())
    X = overlapping(2, "spherical")
    problem = problem_of(X, "one")
    start = STARTS["kmeans"].begin(problem, np.random.default_rng(0))
    slow, fast = (run(problem, start, algorithm, tol=1e-10) for algorithm in ("em", "accelerated"))
    assert fast.n_iter < slow.n_iter and fast.history[-1] >= slow.history[-1] - 1e-8
    assert np.diff(fast.history).min() >= -1e-12

    class OneRowAtZero:
        def statistics(self, reference, kind):
            s = Statistics(kind, *reference.shape)
            s.weight[:], s.second[:] = 1.0, np.eye(2)
            return s.translated(reference)

        def log_density(self, mixture):
            from scipy import stats

            return float(sum(np.log(w) + stats.multivariate_normal(m, S).logpdf(np.zeros(2)) - np.trace(np.linalg.inv(S)) / 2
                             for w, m, S in zip(mixture.weights, mixture.means, mixture.covariances)))

    begun = GaussianMixture(3, random_state=0, max_iter=3, tol=1).fit(X).mixture_
    ordinary = em(X, begun, prior=OneRowAtZero(), tol=1e-10, max_iter=3000)
    accelerated = em(X, begun, prior=OneRowAtZero(), tol=1e-10, max_iter=3000, algorithm="accelerated")
    assert accelerated.n_iter < ordinary.n_iter and accelerated.history[-1] >= ordinary.history[-1] - 1e-8


# The geometry: lengths, rates and the estimate of what is left.

def divergence(p, q):
    """Of a row and its component under parameters p from those under q, by the closed form of normal densities."""
    total = 0.0
    for (pi, m, S), (rho, n, T) in zip(p, q):
        inverse = np.linalg.inv(T)
        between = np.trace(inverse @ S) - len(m) + (n - m) @ inverse @ (n - m) + np.linalg.slogdet(T)[1] - np.linalg.slogdet(S)[1]
        total += pi * (np.log(pi / rho) + between / 2)
    return total


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("n_features", [2, 20])
def test_half_the_square_is_the_divergence(structure, n_features):
    rng = np.random.default_rng(0)
    X = draw(rng, 3000, *random_mixture(rng, 3, n_features, structure, spread=1.0)) * np.geomspace(1e-3, 1e3, n_features)
    problem, kind = problem_of(X, structure), structure_named(structure)
    loop = EM(problem.passes, STARTS["kmeans"].begin(problem, rng), problem.m_step, NearLimit(0.0), -np.inf)
    loop.run(1)
    while loop.course.square > 1e-4:
        loop.run(1)
    before, after = ([*zip(p.weights, p.means, kind.matrices(p.covariances, 3, n_features))] for p in (loop.current, loop.following))
    assert loop.course.square > 1e-10
    assert loop.course.square / 2 == pytest.approx(divergence(before, after), rel=3 * np.sqrt(loop.course.square) + 1e-4)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_rate_is_that_of_the_log_likelihood(structure):
    """Near the limit what is left falls by the square of the rate in each iteration."""
    problem = problem_of(overlapping(4, structure), structure)
    start = STARTS["kmeans"].begin(problem, np.random.default_rng(0))
    limit = run(problem, start, "accelerated", tol=0, max_iter=2000).history[-1]
    loop = EM(problem.passes, start, problem.m_step, NearLimit(0.0), -np.inf)
    left = 1.0
    while left > 1e-9:
        left = limit - loop.run(1)[0]
    more = limit - loop.run(1)[0]
    assert loop.course.rate**2 == pytest.approx(more / left, rel=1e-2)
    estimate = loop.course.square / 2 / (1 - loop.course.rate)
    assert estimate == pytest.approx(more, rel=0.2)


def test_what_is_left_is_less_than_tol_in_nearly_all_fits():
    """Real and planted sets; the limit is that of a run of thousands of E steps from where the fit stopped."""
    left = []
    for seed in range(30):
        X = overlapping(seed, "full", 400)
        problem = problem_of(X, "full", 4, added=1e-6)
        start = STARTS["k-means++"].begin(problem, np.random.default_rng(seed))
        for algorithm in ("em", "accelerated"):
            found = run(problem, start, algorithm, tol=0.0, stopping=NearLimit(0.1 / len(X)))
            beyond = run(problem, found.parameters, "em", tol=0.0, max_iter=5000)
            assert found.converged or found.collapsed is not None
            left.append((max(beyond.history) - found.history[-1]) * len(X))
    assert np.mean(np.array(left) < 0.1) >= 0.95
    assert np.median(left) < 0.01  # the estimate is cautious


def test_a_start_that_is_not_worth_it_is_given_up():
    X = overlapping(5, "full")
    problem = problem_of(X, "full")
    start = STARTS["kmeans"].begin(problem, np.random.default_rng(0))
    whole = run(problem, start, "em", stopping=NearLimit(0.1 / len(X)))
    near, far = (run(problem, start, "em", stopping=NearLimit(0.1 / len(X), whole.history[-1] + gap)) for gap in (-1e-6, 1.0))
    assert near.history == whole.history
    assert far.n_iter < whole.n_iter / 3


def test_the_distance_is_in_nats_of_all_rows_however_they_are_weighted():
    X = overlapping(6, "full")
    fits = [GaussianMixture(3, stopping="distance", tol=tol, random_state=0, max_iter=5000, reg_covar=0).fit(X, sample_weight=weights)
            for tol, weights in ((0.1, None), (10.0, np.full(len(X), 100.0)), (1e-4, np.full(len(X), 1e-3)))]
    assert len({gm.n_iter_ for gm in fits}) == 1
    wide = GaussianMixture(3, stopping="distance", tol=10.0, random_state=0, max_iter=5000, reg_covar=0).fit(X)
    assert wide.n_iter_ < fits[0].n_iter_


def test_tol_of_zero_runs_to_max_iter():
    with pytest.warns(UserWarning, match="did not converge"):
        gm = GaussianMixture(2, stopping="distance", tol=0, max_iter=50, random_state=0).fit(overlapping(0, "full"))
    assert gm.n_iter_ == 50


def test_small_steps_of_the_accelerated_algorithm_do_not_end_it():
    """Where a step gained little, but EM would still gain more than tol, it goes on."""
    problem = problem_of(overlapping(8, "full"), "full")
    start = STARTS["kmeans"].begin(problem, np.random.default_rng(0))
    loop = AcceleratedEM(problem.passes, start, problem.m_step, SmallChange(1e-7), -np.inf)
    loop.run(5000)
    assert loop.converged and loop.course.square / 2 < 1e-7


@pytest.mark.parametrize("parameters, message", [
    ({"algorithm": "fast"}, "algorithm must be one of 'em', 'accelerated', not 'fast'"),
    ({"stopping": None}, "stopping must be one of 'change', 'distance', not None"),
    ({"stopping": np.array(["change", "distance"])}, "stopping must be one of 'change', 'distance', not array")])
def test_other_names_are_refused(parameters, message):
    with pytest.raises((ValueError, InvalidParameterError), match=message):
        GaussianMixture(2, **parameters).fit(overlapping(0, "full"))

"""Extensions by others: a structure, an E step, an engine, a source of rows and a start, each one class in this file."""

import contextlib
import io
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from direct import STRUCTURES, draw, log_joint, moments, of_kind, random_mixture
from gaussmix import GaussianMixture, Mixture, load, save, select, structures
from gaussmix._core.estep import CompleteRows, EStep, Rows, Workspace
from gaussmix._core.passes import Passes
from gaussmix.blocks import Block, Blocks
from gaussmix.cli import main
from gaussmix.em import maximize_likelihood
from gaussmix.engines import Threads
from gaussmix.fitting import Fitting, Outcome, Request
from gaussmix.problem import Problem
from gaussmix.progress import Progress
from gaussmix.search.several import best_fit
from gaussmix.starts import STARTS, FromParameters, PartlyGiven
from gaussmix.statistics import Kind, Statistics
from gaussmix.structures import Structure, structure_named


def rows(n_rows=600, n_components=3, n_features=3, seed=0):
    rng = np.random.default_rng(seed)
    return draw(rng, n_rows, *random_mixture(rng, n_components, n_features, spread=4))


# A structure.


class OneVariance(Structure):
    """The same variance in every direction of every component (mclust's EII)."""

    name, alias = "one", "EII"
    shared = True
    moments = Kind.DIAG
    factors = Kind.DIAG

    def shape(self, n_components, n_features):
        return (1,)

    def n_covariance_parameters(self, n_components, n_features):
        return 1

    def matrices(self, covariances, n_components, n_features):
        return np.broadcast_to(covariances * np.eye(n_features), (n_components, n_features, n_features))

    def covariances(self, statistics, previous, added):
        steps = statistics.first / statistics.weight[:, None]
        scatter = (statistics.second - statistics.weight[:, None] * steps**2).sum(axis=0)
        return np.array([(scatter / statistics.weight.sum() + added).mean()])


class SharedFactor(Structure):
    """Σ_k = Ψ_k + v vᵀ: variances of each component, and one direction in which all of them are stretched."""

    name, alias = "shared-factor", "SF"

    def shape(self, n_components, n_features):
        return n_components + 1, n_features

    def n_covariance_parameters(self, n_components, n_features):
        return (n_components + 1) * n_features

    def matrices(self, covariances, n_components, n_features):
        *variances, direction = covariances
        return np.array([np.diag(psi) for psi in variances]) + np.outer(direction, direction)

    def covariances(self, statistics, previous, added):
        """The direction goes on from the last one by a step of power iteration on the pooled scatter; the rest is diagonal."""
        steps = statistics.first / statistics.weight[:, None]
        lower = np.tril(statistics.second)
        second = lower + np.tril(lower, -1).transpose(0, 2, 1)
        scatter = second / statistics.weight[:, None, None] - steps[:, :, None] * steps[:, None, :]
        pooled = np.average(scatter, axis=0, weights=statistics.weight)
        direction = pooled @ (previous[-1] if previous[-1].any() else pooled.sum(axis=0) + pooled[0])
        direction *= np.sqrt(0.5 * np.diag(pooled).min()) / np.abs(direction).max() if direction.any() else 0
        rest = np.maximum(np.einsum("kii->ki", scatter) - direction**2, 0.1 * np.einsum("kii->ki", scatter)) + added
        return np.vstack([rest, direction])


@pytest.fixture
def registered(request, monkeypatch):
    monkeypatch.setattr(structures, "_known", list(structures.registered()))
    structures.register(request.param)
    return request.param


BOTH = pytest.mark.parametrize("registered", [OneVariance(), SharedFactor()], indirect=True, ids=lambda structure: structure.name)


@BOTH
def test_a_structure_serves_every_face(registered, tmp_path):
    """It fits, predicts, is saved and loaded, copied, selected, summarized, and served by the command line."""
    X, name, K, D = rows(), registered.name, 3, 3
    gm = GaussianMixture(K, covariance_type=name, random_state=0, max_iter=300).fit(X)
    assert gm.covariances_.shape == registered.shape(K, D)
    assert gm.n_parameters_ == registered.n_covariance_parameters(K, D) + K * D + K - 1
    matrices = registered.matrices(gm.covariances_, K, D)
    joint = log_joint(X, gm.weights_, gm.means_, matrices)
    np.testing.assert_array_equal(gm.predict(X), joint.argmax(axis=1))
    np.testing.assert_allclose(gm.score_samples(X), np.logaddexp.reduce(joint, axis=1), rtol=1e-11)
    np.testing.assert_allclose(gm.precisions_ @ matrices, np.broadcast_to(np.eye(D), (K, D, D)), atol=1e-10)
    assert gm.sample(5)[0].shape == (5, D)
    assert gm.bic(X) == pytest.approx(-2 * gm.score_samples(X).sum() + gm.n_parameters_ * np.log(len(X)), rel=1e-12)
    assert f"{name} covariances" in gm.summary(X)

    save(tmp_path / "m.json", gm)
    np.testing.assert_array_equal(load(tmp_path / "m.json").score_samples(X), gm.score_samples(X))
    again = GaussianMixture.load(tmp_path / "m.json")
    assert again.covariance_type == name and again.mixture_ == gm.mixture_
    assert Mixture(gm.weights_, gm.means_, gm.covariances_, name) == gm.mixture_

    start = dict(weights_init=gm.weights_, means_init=gm.means_, precisions_init=gm.precisions_)
    from_precisions = GaussianMixture(K, covariance_type=name, max_iter=2, tol=1e9, **start).fit(X)
    assert from_precisions.lower_bound_ > gm.history_[0]
    gm.covariances_ = 2 * gm.covariances_
    doubled = registered.matrices(gm.covariances_, K, D)
    np.testing.assert_allclose(gm.score_samples(X), np.logaddexp.reduce(log_joint(X, gm.weights_, gm.means_, doubled), axis=1), rtol=1e-11)

    selection = select(X, [2, 3], ["full", name], random_state=0, max_iter=300)
    assert [c.covariance_type for c in selection.candidates] == ["full", "full", name, name]
    assert name in str(selection)

    np.savetxt(tmp_path / "x.csv", X, delimiter=",")
    with contextlib.redirect_stdout(io.StringIO()) as told:
        arguments = ["fit", str(tmp_path / "x.csv"), "--components", "3", "--covariance", name, "--output", str(tmp_path / "c.json")]
        assert main(arguments) == 0
    assert f"{name} covariances" in told.getvalue() and load(tmp_path / "c.json").covariance_type == name


def test_one_variance_is_the_mean_of_all():
    """From labels, without iterations: the closed form of the M step (8)."""
    X, labels = rows(), np.arange(600) % 3
    statistics = Statistics(Kind.DIAG, 3, 3)
    statistics.weight[...], statistics.first[...], second = moments(X, np.eye(3)[labels], np.zeros((3, 3)))
    statistics.second[...] = np.einsum("kii->ki", second)
    found, singular = OneVariance().maximize(statistics)
    means = np.array([X[labels == k].mean(axis=0) for k in range(3)])
    assert singular == -1
    np.testing.assert_allclose(found.covariances, [((X - means[labels]) ** 2).mean()], rtol=1e-12)


@BOTH
def test_a_structure_that_is_singular_is_named(registered):
    X = np.zeros((20, 2))
    with pytest.raises(ValueError, match="component 0 of the start is singular"):
        GaussianMixture(1, covariance_type=registered.name, reg_covar=0).fit(X)


def test_an_iterative_m_step_goes_on_from_the_covariances_of_the_last():
    before, made = [], []

    class Remembering(OneVariance):
        def covariances(self, statistics, previous, added):
            before.append(previous.copy())
            made.append(super().covariances(statistics, previous, added))
            return made[-1]

    X, structure = rows(), Remembering()
    with Threads(1) as threads:
        problem = Problem(Blocks(X, 3), threads, structure, 3)
        run = maximize_likelihood(problem.passes, STARTS["kmeans"].begin(problem, np.random.default_rng(0)), problem.m_step, tol=0, max_iter=4)
    np.testing.assert_array_equal(before, [[0.0], *made[:-1]])
    statistics = Statistics(Kind.DIAG, 3, 3)
    statistics.weight[...], statistics.second[...] = 1, 1
    structure.maximize(statistics, previous=run.parameters)
    np.testing.assert_array_equal(before[-1], run.parameters.covariances)


def test_covariances_of_another_shape_than_a_structure_says_are_refused():
    class Wrong(OneVariance):
        def covariances(self, statistics, previous, added):
            return 1.0  # which could be broadcast

    statistics = Statistics(Kind.DIAG, 3, 3)
    statistics.weight[...], statistics.second[...] = 1, 1
    with pytest.raises(ValueError, match=r"one covariances must be of shape \(1,\), not \(\)"):
        Wrong().maximize(statistics)


def test_a_start_from_parameters_does_not_give_them_away():
    """What is given besides is written into a copy."""
    X = rows()
    with Threads(1) as threads:
        problem = Problem(Blocks(X, 3), threads, structure_named("full"), 3)
        kept = STARTS["kmeans"].begin(problem, np.random.default_rng(0))
        before = kept.means.copy()
        PartlyGiven(None, X[:3], None, FromParameters(kept)).begin(problem, np.random.default_rng(0))
    np.testing.assert_array_equal(kept.means, before)


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="there is a covariance structure 'VVV' already: give yours another name and alias"):
        structures.register(type("Other", (OneVariance,), {"name": "other", "alias": "VVV"})())
    assert "other" not in [structure.name for structure in structures.registered()]


def test_a_name_is_given_once_where_two_threads_ask_for_it(monkeypatch):
    monkeypatch.setattr(structures, "_known", list(structures.registered()))

    class Slow(OneVariance):
        @property
        def name(self):
            time.sleep(0.02)  # for the other thread to see what names there are
            return "slow"

    with ThreadPoolExecutor(2) as pool:
        errors = [asked.exception() for asked in [pool.submit(structures.register, Slow()) for _ in range(2)]]
    assert errors.count(None) == 1 and len(structures.registered()) == 5


class Seen:
    """A prior: rows that someone has seen elsewhere, and how they were assigned."""

    def __init__(self, X, gamma):
        self.X, self.gamma = X, gamma

    def statistics(self, reference, kind):
        statistics = Statistics(kind, *reference.shape)
        statistics.reference[...] = reference
        statistics.weight[...], statistics.first[...], second = moments(self.X, self.gamma, reference)
        statistics.second[...] = of_kind(second, kind)
        return statistics

    def log_density(self, mixture):
        """Σ_n Σ_k γ_nk ln π_k N(x_n | μ_k, Σ_k)."""
        joint = log_joint(self.X, mixture.weights, mixture.means, mixture.covariances)
        return (self.gamma * joint).sum()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_prior_counts_as_rows_do(structure):
    X, gamma = rows(), np.random.default_rng(1).dirichlet(np.ones(3), size=600)
    some, others = Seen(X[:400], gamma[:400]), Seen(X[400:], gamma[400:])
    structure = structure_named(structure)
    reference = X[:3].copy()
    with_prior, _ = structure.maximize(some.statistics(reference, structure.moments), prior=others)
    of_all, _ = structure.maximize(Seen(X, gamma).statistics(reference, structure.moments))
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(with_prior, name), getattr(of_all, name), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_em_raises_the_posterior_density(structure):
    """Each iteration's objective is that of the equations, and none is lower than the one before, as it is without the prior's part."""
    X, heard = rows(), []
    prior = Seen(X[:60], np.eye(3)[np.arange(60) % 3])  # which contradicts the data

    def report(iteration, objective, parameters):
        mixture = Mixture.from_parameters(parameters, structure_named(structure))
        heard.append((objective, mixture))
        return False

    with Threads(1) as threads:
        request = Request(structure_named(structure), 3, STARTS["kmeans"], 0.0, 1e-9, 200, prior=prior)
        fit = Fitting(request, Blocks(X, 3), threads).fit(np.random.default_rng(0), report=report)
    log_likelihoods = []
    for objective, mixture in heard:
        log_likelihoods.append(np.logaddexp.reduce(log_joint(X, mixture.weights, mixture.means, mixture.covariances), axis=1).sum())
        assert objective == pytest.approx((log_likelihoods[-1] + prior.log_density(mixture)) / 600, rel=1e-11)
    assert fit.outcome is Outcome.CONVERGED and len(heard) > 3
    assert (np.diff(fit.history) > -1e-12).all()


def test_a_prior_about_other_points_is_refused():
    class Elsewhere(Seen):
        def statistics(self, reference, kind):
            return super().statistics(reference + 1, kind)

    X, gamma = rows(), np.eye(3)[np.arange(600) % 3]
    statistics = Seen(X, gamma).statistics(X[:3].copy(), Kind.FULL)
    with pytest.raises(ValueError, match="about the points that it is given"):
        structure_named("full").maximize(statistics, prior=Elsewhere(X, gamma))


# An E step.


class KnownLabels(EStep):
    """Rows some of which belong to a component that is known; the label of the others is −1."""

    def __new__(cls, kind, n_components, n_features, size, factors):
        step = super().__new__(cls, kind, n_components, n_features, size, factors)
        step.complete = CompleteRows(kind, n_components, n_features, size, factors)
        return step

    def arguments(self):
        return (self.complete.factors,)

    def add(self, block, statistics):
        X, K = block.rows.array.astype(float), self.n_components
        log_p, shares = np.empty(len(X)), np.empty((len(X), K))
        self.complete.prepare(self.densities)
        self.complete.evaluate(block.rows, log_p, shares, None, Workspace(K, self.n_features, self.size))
        known = block.labels >= 0
        with np.errstate(divide="ignore"):
            log_p[known] += np.log(shares[known, block.labels[known]])  # ln π_k N_k: of its component alone
        shares[known] = np.eye(K)[block.labels[known]]
        weight, first, second = moments(X, shares, statistics.reference)
        statistics.weight[...] += weight
        statistics.first[...] += first
        statistics.second[...] += second
        statistics.log_likelihood += log_p.sum()
        statistics.total_weight += len(X)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n_rows", [600, 60_000])
def test_an_e_step_runs_through_the_loop_the_threads_and_the_search(n_rows, n_threads):
    """With known labels for a fifth of the rows, EM written out in NumPy takes the same steps."""
    X = rows(n_rows)
    labels = np.where(np.arange(n_rows) % 5 == 0, np.arange(n_rows) // 5 % 3, -1).astype(np.int32)
    blocks = Blocks(X, 3, labels=labels)
    estep = KnownLabels(Kind.FULL, 3, 3, 8, Kind.FULL)
    request = Request(structure_named("full"), 3, STARTS["kmeans"], 0.0, 0.0, 4, estep)
    with Threads(n_threads) as threads:
        fitting = Fitting(request, blocks, threads)
        start = request.start.begin(fitting.problem, np.random.default_rng(0))
        fit = best_fit(request, blocks, threads, np.random.default_rng(0), Progress())
    weights, means, covariances = start.weights.copy(), start.means.copy(), start.covariances.copy()
    for reached in fit.history:
        joint = log_joint(X, weights, means, covariances)
        gamma = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
        gamma[labels >= 0] = np.eye(3)[labels[labels >= 0]]
        log_p = np.where(labels >= 0, joint[np.arange(n_rows), labels], np.logaddexp.reduce(joint, axis=1))
        assert reached == pytest.approx(log_p.mean(), rel=1e-11)
        weight = gamma.sum(axis=0)
        weights, means = weight / n_rows, gamma.T @ X / weight[:, None]
        covariances = np.array([(gamma[:, k, None] * (X - means[k])).T @ (X - means[k]) / weight[k] for k in range(3)])
    np.testing.assert_allclose(fit.mixture.means, means, rtol=1e-9)
    np.testing.assert_allclose(fit.mixture.covariances, covariances, rtol=1e-8, atol=1e-10)
    assert fit.outcome is Outcome.UNFINISHED


# An engine.


def sum_one(bounds):
    """In a worker process, which holds the rows: the Statistics of one block."""
    part = Statistics(work.kind, work.n_components, work.n_features)
    start, stop = bounds
    work.accumulate(Block(Rows(rows_here[start:stop])), part, Workspace(work.n_components, work.n_features, 8))
    return part


def settle(X):
    global rows_here
    rows_here = X


def prepared_sum(task):
    """Densities and an E step come in, Statistics go out."""
    global work
    work, densities, about, bounds = task
    work.prepare(densities, about)
    return sum_one(bounds)


class Processes:
    """An engine whose workers are other processes."""

    def __init__(self, X):
        self.pool = ProcessPoolExecutor(2, get_context("spawn"), settle, (X,))

    def passes(self, observations, estep):
        return ProcessPasses(self.pool, observations, estep)


class ProcessPasses(Passes):
    def __init__(self, pool, observations, estep):
        super().__init__(estep)
        self.pool, self.bounds = pool, observations.bounds

    def sum_blocks(self, densities, about):
        self.estep.prepare(densities, about)
        self.total.clear()
        self.total.reference[...] = self.estep.reference_points
        tasks = [(self.estep, densities, about, bounds) for bounds in self.bounds]
        for part in self.pool.map(prepared_sum, tasks):
            self.total.accumulate(part)


def ended_like(found, expected):
    assert found.history == expected.history
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found.parameters, name), getattr(expected.parameters, name))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_an_engine_of_processes_gives_the_bits_of_the_ordinary_fit(structure, processes):
    X, engine = processes
    structure, blocks = structure_named(structure), Blocks(X, 3)
    assert len(blocks) > 3
    with Threads(2) as threads:
        start = STARTS["kmeans"].begin(Problem(blocks, threads, structure, 3, 1e-6), np.random.default_rng(0))
        runs = []
        for one in (threads, engine):
            problem = Problem(blocks, one, structure, 3, 1e-6)
            runs.append(maximize_likelihood(problem.passes, start, problem.m_step, tol=1e-6, max_iter=5))
    ended_like(*runs)


@pytest.fixture(scope="module")
def processes():
    X = rows(300_000)
    engine = Processes(X)
    yield X, engine
    engine.pool.shutdown()


# A source of rows.


class Generated:
    """Rows that a function yields anew for each pass, in parts of any length."""

    size, limit, at_once = 8, np.inf, 1

    def __init__(self, parts, n_features):
        self.parts, self.n_features = parts, n_features

    def pieces(self):
        return self.parts()

    def block(self, piece):
        return Block(Rows(np.ascontiguousarray(piece, dtype=float)))

    def widen_for(self, densities):
        pass


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_generator_of_rows_gives_the_bits_of_the_ordinary_fit(structure, n_threads):
    X, called = rows(300_000), []
    structure, blocks = structure_named(structure), Blocks(X, 3)

    def parts():
        called.append(1)
        for start, stop in blocks.bounds:
            yield X[start:stop]

    with Threads(n_threads) as threads:
        problem = Problem(blocks, threads, structure, 3, 1e-6)
        start = STARTS["kmeans"].begin(problem, np.random.default_rng(0))
        ordinary = maximize_likelihood(problem.passes, start, problem.m_step, tol=1e-6, max_iter=5)
        problem = Problem(Generated(parts, 3), threads, structure, 3, 1e-6)
        begun = FromParameters(start).begin(problem, np.random.default_rng(0))
        called.clear()
        generated = maximize_likelihood(problem.passes, begun, problem.m_step, tol=1e-6, max_iter=5)
    ended_like(generated, ordinary)
    assert len(called) == len(ordinary.history)


def test_a_source_that_is_used_up_or_fails_says_so():
    X = rows(5000)
    once = iter(np.array_split(X, 5))

    def fails():
        yield X[:1000]
        raise OSError("the disk is gone")

    full = structure_named("full")
    with Threads(2) as threads:
        start = STARTS["kmeans"].begin(Problem(Blocks(X, 2), threads, full, 2), np.random.default_rng(0))
        for parts, error, message in ((lambda: once, ValueError, "gave no block"), (fails, OSError, "the disk is gone")):
            problem = Problem(Generated(parts, 3), threads, full, 2)
            with pytest.raises(error, match=message):
                maximize_likelihood(problem.passes, start, problem.m_step, tol=0, max_iter=3)
        problem = Problem(Generated(lambda: iter([X]), 3), threads, full, 2)
        with pytest.raises(TypeError, match="needs the rows in memory, not a Generated: give parameters"):
            STARTS["kmeans"].begin(problem, np.random.default_rng(0))


# A start.


class FromFirstRows:
    """The first rows as means, with the variances of all rows."""

    has_covariances = True

    def begin(self, problem, rng):
        X = problem.observations.X
        parameters, singular = problem.structure.points(X[:problem.n_components], X.var(axis=0))
        assert singular == -1
        return parameters


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_start_is_one_class(structure):
    X = rows()
    with Threads(1) as threads:
        request = Request(structure_named(structure), 3, FromFirstRows(), 0.0, 1e-3, 100)
        fit = Fitting(request, Blocks(X, 3), threads).fit(np.random.default_rng(0))
    theirs = GaussianMixture(3, covariance_type="diag", weights_init=np.full(3, 1 / 3), means_init=X[:3], reg_covar=0,
                             precisions_init=1 / np.tile(X.var(axis=0), (3, 1))).fit(X)
    if structure == "diag":
        np.testing.assert_array_equal(fit.mixture.means, theirs.means_)
    assert fit.outcome is Outcome.CONVERGED and all(np.diff(fit.history) > 0)

"""The examples of the documentation: the code of each page runs unchanged, and its results are compared with others'."""

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy import special, stats

from benchmarks.pages import EXAMPLES, code_of, run
from direct import STRUCTURES, draw, log_density, log_normal, random_mixture
from gaussmix import Mixture
from gaussmix.functional import e_step, em, m_step, moments
from gaussmix.structures import structure_named

PAGES = sorted(path.name for path in EXAMPLES.glob("*.md"))


def same(found, expected, rtol, atol=0.0):
    """Two mixtures agree."""
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=rtol, atol=atol)


def compact(covariances, structure):
    """Covariances (K, D, D) as a structure keeps them."""
    return {"full": covariances, "tied": covariances[0], "diag": np.einsum("kii->ki", covariances),
            "spherical": covariances[:, 0, 0]}[structure]


def mixture_of(rng, n_components, n_features, structure="full"):
    weights, means, covariances = random_mixture(rng, n_components, n_features, structure)
    return Mixture(weights, means, compact(covariances, structure), structure)


def slopes(function, at, step=1e-5):
    """Derivatives by central differences, whose error is of the order of step² and of rounding over step."""
    return np.array([(function(at + step * unit) - function(at - step * unit)) / (2 * step) for unit in np.eye(len(at))])


def test_the_pages_are_those_that_are_linked():
    page = (EXAMPLES.parent / "functional.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\(examples/([\w-]+\.md)\)", page)) == PAGES and PAGES


def test_all_code_of_a_page_is_run():
    """Every fence opens a block of Python that is closed again, and each line keeps its number."""
    for name in PAGES:
        page, code = (EXAMPLES / name).read_text(encoding="utf-8").splitlines(), code_of(name).splitlines()
        fences = [line for line in page if line.startswith("```")]
        assert fences and fences == ["```python", "```"] * (len(fences) // 2)
        assert len(code) == len(page) and all(line in ("", there) for line, there in zip(code, page))
        assert sum(map(bool, code)) > 10


# A hidden Markov model.


def chain(rng, n_states, forbidden=()):
    transmat = rng.dirichlet(np.ones(n_states), size=n_states) + 20 * np.eye(n_states)
    for edge in forbidden:
        transmat[edge] = 0
    return rng.dirichlet(np.ones(n_states)), transmat / transmat.sum(axis=1, keepdims=True)


def sequences(rng, lengths, startprob, transmat, mixture):
    states = []
    for length in lengths:
        p = startprob
        for _ in range(length):
            states.append(rng.choice(len(p), p=p))
            p = transmat[states[-1]]
    roots = np.linalg.cholesky(mixture.covariances)[states]
    return mixture.means[states] + np.einsum("nij,nj->ni", roots, rng.normal(size=(len(states), mixture.n_features)))


@pytest.mark.parametrize("n_pieces", [1, 2, 3, 7, None])
def test_forward_backward_is_the_sum_over_all_paths(n_pieces):
    rng = np.random.default_rng(0)
    startprob, transmat = chain(rng, 3, forbidden=[(2, 0)])
    log_e = rng.normal(scale=3, size=(7, 3)) - 1000  # densities that are zero in double precision
    begins = np.isin(np.arange(7), [0, 4])
    with np.errstate(divide="ignore"):
        log_a, log_A = np.log(startprob), np.log(transmat)
    paths = np.array(list(itertools.product(range(3), repeat=7)))
    joint = log_e[np.arange(7), paths].sum(axis=1) + log_a[paths[:, begins]].sum(axis=1)
    steps = [(paths[:, n - 1], paths[:, n]) for n in range(7) if not begins[n]]
    joint += sum(log_A[step] for step in steps)
    p = np.exp(joint - special.logsumexp(joint))
    expected = np.zeros((3, 3))
    for step in steps:
        np.add.at(expected, step, p)
    posteriors, transitions, log_likelihood = run("hidden-markov.md")["forward_backward"](log_e, begins, startprob, transmat, n_pieces)
    np.testing.assert_allclose(posteriors, np.array([p @ (paths == k) for k in range(3)]).T, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(transitions, expected, rtol=1e-12, atol=1e-15)
    assert log_likelihood == pytest.approx(special.logsumexp(joint), rel=1e-14)


def in_logarithms(log_e, begins, startprob, transmat):
    """The passes in logarithms, row by row, which nothing can underflow."""
    with np.errstate(divide="ignore"):
        log_a, log_A = np.log(startprob), np.log(transmat)
    forward, backward = np.empty_like(log_e), np.zeros_like(log_e)
    total, transitions = 0.0, np.zeros_like(transmat)
    ends = np.append(begins[1:], True)
    for n, e in enumerate(log_e):
        forward[n] = e + (log_a if begins[n] else special.logsumexp(forward[n - 1][:, None] + log_A, axis=0))
        total += special.logsumexp(forward[n]) if ends[n] else 0
    for n in range(len(log_e) - 2, -1, -1):
        if not ends[n]:
            steps = log_A + log_e[n + 1] + backward[n + 1]
            backward[n] = special.logsumexp(steps, axis=1)
            joint = forward[n][:, None] + steps
            transitions += np.exp(joint - special.logsumexp(joint))
    return special.softmax(forward + backward, axis=1), transitions, total


@pytest.mark.parametrize("scale", [1, 30])
@pytest.mark.parametrize("n_rows, n_pieces", [(1, None), (2, None), (1000, None), (1000, 3), (1000, 999), (1000, 1000), (1021, 600),
                                              (1000, 1)])
def test_any_number_of_pieces_gives_what_logarithms_give(n_rows, n_pieces, scale):
    """A left-right chain, in which rows may be most likely by far under states that cannot be any more."""
    rng = np.random.default_rng(1)
    startprob, transmat = np.array([1.0, 0.0, 0.0, 0.0]), np.triu(rng.uniform(0.1, 1, size=(4, 4)))
    transmat /= transmat.sum(axis=1, keepdims=True)
    log_e = rng.normal(scale=scale, size=(n_rows, 4))
    begins = rng.random(n_rows) < 0.02
    begins[[0, n_rows - 1]] = True  # the last sequence has one row
    forward_backward = run("hidden-markov.md")["forward_backward"]
    found = forward_backward(log_e, begins, startprob, transmat, n_pieces)
    for one, other in zip(found, in_logarithms(log_e, begins, startprob, transmat)):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)  # logarithms of some thousands, of which thirteen digits are left
    np.testing.assert_allclose(found[0].sum(axis=1), 1, rtol=1e-11)
    assert found[1].sum() == pytest.approx(n_rows - begins.sum(), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("n_pieces", [1, 5, None])
def test_states_that_cannot_be_do_no_harm(n_pieces):
    """State 0 is ruled out for good by one row and most likely by far afterwards; no row of the middle can come from state 2."""
    rng = np.random.default_rng(13)
    log_e = rng.normal(size=(400, 3))
    log_e[50, 0] = -np.inf
    log_e[51:, 0] += 20  # e^7000 in all
    log_e[150:250, 2] -= 2000
    begins, transmat = np.arange(400) == 0, np.array([[0.9, 0.1, 0.0], [0.0, 0.99, 0.01], [0.0, 0.0, 1.0]])
    model = log_e, begins, np.array([1.0, 0.0, 0.0]), transmat
    found = run("hidden-markov.md")["forward_backward"](*model, n_pieces)
    for one, other in zip(found, in_logarithms(*model)):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    assert (found[0].max(axis=0) > 0.5).all()  # all states have rows


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # hmmlearn 0.3.3 with NumPy 2.5
@pytest.mark.parametrize("forbidden", [(), [(1, 0), (2, 0), (2, 1)]], ids=["any", "left-right"])
@pytest.mark.parametrize("implementation", ["log", "scaling"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_baum_welch_is_that_of_hmmlearn(structure, implementation, forbidden):
    hmm = pytest.importorskip("hmmlearn.hmm")
    rng, lengths = np.random.default_rng(2), [300, 1, 200, 150, 150, 199]
    true = mixture_of(rng, 3, 2, structure)
    X = sequences(rng, lengths, *chain(rng, 3, forbidden), true)
    startprob, transmat = chain(rng, 3, forbidden)
    start = Mixture(np.full(3, 1 / 3), true.means + 0.5 * rng.normal(size=(3, 2)), 2 * compact(true.covariances, structure), structure)

    off = dict(covars_prior=0, covars_weight=1, means_prior=0, means_weight=0, startprob_prior=1, transmat_prior=1)
    model = hmm.GaussianHMM(3, structure, n_iter=10, tol=-np.inf, init_params="", implementation=implementation, **off)
    model.startprob_, model.transmat_, model.means_, model.covars_ = startprob, transmat, start.means, compact(start.covariances, structure)
    model.fit(X, lengths)

    found = run("hidden-markov.md")["baum_welch"](X, lengths, startprob, transmat, start, 10)
    assert len(found[3]) == 10 and found[3][-1] > found[3][0] + 10
    np.testing.assert_allclose(found[3], model.monitor_.history, rtol=1e-8)
    close = dict(rtol=1e-8, atol=1e-14)  # states that no sequence begins in, or transitions that none makes
    np.testing.assert_allclose(found[0], model.startprob_, **close)
    np.testing.assert_allclose(found[1], model.transmat_, **close)
    np.testing.assert_allclose(found[2].means, model.means_, rtol=1e-8)
    covariances = model.covars_ if structure != "spherical" else model._covars_[:, :, None] * np.eye(2)  # covars_ has K D matrices then
    np.testing.assert_allclose(found[2].covariances, covariances, **close)


def test_baum_welch_of_the_page_raises_the_log_likelihood_and_finds_the_chain():
    page = run("hidden-markov.md")
    assert (np.diff(page["history"]) > -1e-9).all()
    stays = np.mean(page["states"][1:] == page["states"][:-1])
    assert page["transmat"].diagonal() == pytest.approx(np.full(3, stays), abs=0.05)
    np.testing.assert_allclose(page["transmat"].sum(axis=1), 1, rtol=1e-14)


# A mixture of experts.


def experts(n_rows=600, n_components=3, seed=3):
    rng = np.random.default_rng(seed)
    Z = np.column_stack([np.ones(n_rows), rng.normal(size=(n_rows, 2))])
    true = mixture_of(rng, n_components, 3)
    labels = (Z @ rng.normal(size=(3, n_components)) + rng.gumbel(size=(n_rows, n_components))).argmax(axis=1)
    roots = np.linalg.cholesky(true.covariances)[labels]
    X = true.means[labels] + np.einsum("nij,nj->ni", roots, rng.normal(size=(n_rows, 3)))
    start = Mixture(true.weights, true.means + rng.normal(size=true.means.shape), 3 * true.covariances)
    return X, Z, start


def log_likelihood_of_experts(X, Z, V, mixture):
    """Row by row, for which the gate is written out."""
    density = np.exp([log_normal(X, m, c) for m, c in zip(mixture.means, mixture.covariances)]).T
    return sum(np.log(special.softmax(V @ z) @ row) for z, row in zip(Z, density))


def test_em_for_experts_never_lowers_the_log_likelihood():
    X, Z, start = experts()
    page = run("mixture-of-experts.md")
    V, mixture, history = page["fit"](X, Z, np.zeros((3, 3)), start, 30)
    assert history[0] == pytest.approx(log_likelihood_of_experts(X, Z, np.zeros((3, 3)), start), rel=1e-12)
    assert history[-1] == pytest.approx(log_likelihood_of_experts(X, Z, V, mixture), rel=1e-12)
    for one in (history, page["history"]):
        assert (np.diff(one) > -1e-9).all() and one[-1] > one[0] + 100


def test_an_m_step_for_experts_is_the_weighted_mean_and_covariance():
    X, Z, start = experts()
    page = run("mixture-of-experts.md")
    V = np.random.default_rng(4).normal(size=(3, 3))
    gamma, _ = page["responsibilities"](X, Z, V, start)
    p = special.softmax(Z @ V.T, axis=1) * np.exp([log_normal(X, m, c) for m, c in zip(start.means, start.covariances)]).T
    np.testing.assert_allclose(gamma, p / p.sum(axis=1, keepdims=True), rtol=1e-10, atol=1e-300)
    _, mixture, _ = page["fit"](X, Z, V, start, 1)
    for k in range(3):
        np.testing.assert_allclose(mixture.means[k], np.average(X, axis=0, weights=gamma[:, k]), rtol=1e-11)
        np.testing.assert_allclose(mixture.covariances[k], np.cov(X.T, aweights=gamma[:, k], ddof=0), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0])
def test_the_gate_is_where_the_derivatives_are_zero(scale):
    """From near and from so far away that whole Newton steps would lead off."""
    rng = np.random.default_rng(5)
    _, Z, _ = experts()
    gamma, start = rng.dirichlet(np.full(4, 0.5), size=len(Z)), scale * rng.normal(size=(4, 3))
    start[-1] = 0

    def q(free):
        return sum(share @ np.log(special.softmax(np.vstack([free.reshape(3, 3), np.zeros(3)]) @ z)) for share, z in zip(gamma, Z))

    V = run("mixture-of-experts.md")["gate"](Z, gamma, start)
    np.testing.assert_array_equal(V[-1], 0)
    gradient = sum(np.outer(share - special.softmax(V @ z), z) for share, z in zip(gamma, Z))
    np.testing.assert_allclose(gradient, 0, atol=1e-9)  # sums of 600 numbers of order one
    np.testing.assert_allclose(slopes(q, V[:-1].ravel()), 0, atol=1e-6)
    assert np.abs(slopes(q, start[:-1].ravel())).max() > 1


def test_a_constant_gate_makes_an_ordinary_mixture():
    X, _, start = experts()
    V = np.log(start.weights / start.weights[-1])[:, None]
    V, mixture, history = run("mixture-of-experts.md")["fit"](X, np.ones((len(X), 1)), V, start, 20)
    ordinary = em(X, start, tol=0, max_iter=20)
    np.testing.assert_allclose(special.softmax(V[:, 0]), ordinary.mixture.weights, rtol=1e-8)
    np.testing.assert_allclose(mixture.means, ordinary.mixture.means, rtol=1e-8)
    np.testing.assert_allclose(mixture.covariances, ordinary.mixture.covariances, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(history[:20], len(X) * np.array(ordinary.history), rtol=1e-10)


# A prior.


def prior_density(mixture, mean, scatter, kappa, nu, alpha):
    """SciPy's normal, inverse Wishart and Dirichlet distributions."""
    of_weights = stats.dirichlet(np.full(mixture.n_components, alpha)).logpdf(mixture.weights / mixture.weights.sum())
    return of_weights + sum(stats.multivariate_normal(mean, c / kappa).logpdf(m) + stats.invwishart(nu, scatter).logpdf(c)
                            for m, c in zip(mixture.means, mixture.covariances))


def prior_of(rng, n_features, rows):
    """A PseudoRows, and what the page says that it is."""
    mean, root = rng.normal(size=n_features), rng.normal(size=(n_features, 2 * n_features))
    as_distribution = dict(kappa=rows, nu=rows - n_features - 2, alpha=rows + 1)
    return run("map-estimation.md")["PseudoRows"](mean, root @ root.T, rows), (mean, root @ root.T), as_distribution


def posterior_at(X, mean, scatter, counts):
    """The posterior density, and the free parameters of a mixture: logarithms of weights, means, Cholesky factors."""
    lower = np.tril_indices(X.shape[1])

    def free(m):
        return np.concatenate([np.log(m.weights), m.means.ravel(), *(np.linalg.cholesky(c)[lower] for c in m.covariances)])

    def density(at, K):
        D = X.shape[1]
        roots = np.zeros((K, D, D))
        roots[:, *lower] = at[K + K * D:].reshape(K, -1)
        m = Mixture(special.softmax(at[:K]), at[K:K + K * D].reshape(K, D), roots @ roots.transpose(0, 2, 1))
        return log_density(X, m.weights, m.means, m.covariances).sum() + prior_density(m, mean, scatter, **counts)

    return free, density


def rows_of_a_mixture(rng, n_rows=150):
    return draw(rng, n_rows, *random_mixture(rng, 3, 2, spread=4))


def test_pseudo_rows_are_the_distributions_that_the_page_names():
    """Differences of the logarithms, which are without the constant."""
    rng = np.random.default_rng(6)
    prior, where, counts = prior_of(rng, 3, 12.5)
    mixtures = [mixture_of(rng, 2, 3) for _ in range(5)]
    ours, theirs = ([density(m) for m in mixtures] for density in (prior.log_density, lambda m: prior_density(m, *where, **counts)))
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-11)
    assert min(np.abs(np.diff(ours))) > 1


@pytest.mark.parametrize("structure", STRUCTURES)
def test_pseudo_rows_are_rows(structure):
    """Rows that have this mean and scatter exactly, seen by all components."""
    rng = np.random.default_rng(7)
    seen, reference = rng.normal(size=(20, 3)), rng.normal(size=(2, 3))
    prior = run("map-estimation.md")["PseudoRows"](seen.mean(axis=0), 20 * np.cov(seen.T, ddof=0), 20)
    expected = moments(seen, np.ones((20, 2)), covariance_type=structure, reference=reference)
    found = prior.statistics(reference, structure_named(structure).moments)
    np.testing.assert_array_equal(found.reference, reference)
    assert found.kind == expected.kind and found.total_weight == 40
    for name in ("weight", "first", "second"):
        kept = np.tril if name == "second" and expected.second.ndim == 3 else np.asarray
        np.testing.assert_allclose(kept(getattr(found, name)), kept(getattr(expected, name)), rtol=1e-11, atol=1e-12)
    mixtures = [mixture_of(rng, 2, 3, structure) for _ in range(2)]
    densities = [m.log_joint(seen).sum() for m in mixtures]
    assert np.subtract(*map(prior.log_density, mixtures)) == pytest.approx(np.subtract(*densities), rel=1e-11)


def closed_form(X, mean, scatter, kappa, nu):
    """The mode of the posterior of a single normal distribution: Gelman et al., Bayesian Data Analysis, section 3.6."""
    N, away = len(X), X.mean(axis=0) - mean
    scale = scatter + N * np.cov(X.T, ddof=0) + kappa * N / (kappa + N) * np.outer(away, away)
    return (kappa * mean + N * X.mean(axis=0)) / (kappa + N), scale / (nu + N + X.shape[1] + 2)


def test_a_single_component_has_the_closed_form():
    rng = np.random.default_rng(8)
    X = rows_of_a_mixture(rng)
    prior, (mean, scatter), counts = prior_of(rng, 2, 9.0)
    statistics = e_step(X, mixture_of(rng, 1, 2))
    page = run("map-estimation.md")
    as_rows = 9.0, counts["nu"]
    for found, kappa_and_nu in [(m_step(statistics, prior=prior), as_rows),
                                (em(X, mixture_of(rng, 1, 2), prior=prior).mixture, as_rows),
                                (page["m_step_of_any_counts"](statistics, mean, scatter, 0.3, 7.5), (0.3, 7.5))]:
        expected = closed_form(X, mean, scatter, *kappa_and_nu)
        np.testing.assert_allclose(found.means[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found.covariances[0], expected[1], rtol=1e-12)
    expected = closed_form(page["X"], page["prior"].mean, page["prior"].scatter, 10, 6)
    np.testing.assert_allclose(page["posterior_mode"].means[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(page["posterior_mode"].covariances[0], expected[1], rtol=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_em_raises_the_posterior_density_of_pseudo_rows(structure):
    rng = np.random.default_rng(9)
    X, start = rows_of_a_mixture(rng), mixture_of(rng, 3, 2, structure)
    prior, _, _ = prior_of(rng, 2, 8.0)
    heard = []
    fit = em(X, start, structure, prior=prior, tol=1e-9, max_iter=500, callback=lambda n, objective, m: heard.append((objective, m)))
    assert fit.converged and len(heard) > 3 and (np.diff(fit.history) > -1e-12).all()
    for objective, m in heard:
        expected = log_density(X, m.weights, m.means, m.covariances).sum() + prior.log_density(m)
        assert objective * len(X) == pytest.approx(expected, rel=1e-11)


def test_the_derivatives_of_the_posterior_density_vanish_at_the_fit():
    """By SciPy's distributions, for the prior that is rows and for one that is not; and not without the prior's part."""
    rng = np.random.default_rng(10)
    X, start = rows_of_a_mixture(rng), mixture_of(rng, 3, 2)
    prior, where, counts = prior_of(rng, 2, 8.0)
    fit = em(X, start, prior=prior, tol=1e-14, max_iter=5000).mixture
    free, density = posterior_at(X, *where, counts)
    np.testing.assert_allclose(slopes(lambda at: density(at, 3), free(fit)), 0, atol=1e-4)
    assert np.abs(slopes(lambda at: density(at, 3), free(em(X, start, tol=1e-14, max_iter=5000).mixture))).max() > 1

    counts, mixture = dict(kappa=0.5, nu=6.0, alpha=2.0), start
    free, density = posterior_at(X, *where, counts)
    reached = [density(free(mixture), 3)]
    for _ in range(400):
        mixture = run("map-estimation.md")["m_step_of_any_counts"](e_step(X, mixture), *where, **counts)
        reached.append(density(free(mixture), 3))
    assert (np.diff(reached) > -1e-9).all()
    np.testing.assert_allclose(slopes(lambda at: density(at, 3), free(mixture)), 0, atol=1e-4)


def test_any_counts_that_are_rows_are_the_same_m_step():
    rng = np.random.default_rng(11)
    statistics = e_step(rows_of_a_mixture(rng), mixture_of(rng, 3, 2))
    prior, where, counts = prior_of(rng, 2, 8.0)
    same(run("map-estimation.md")["m_step_of_any_counts"](statistics, *where, **counts), m_step(statistics, prior=prior), 1e-13)


# Shards.


def shards(folder, structure):
    """Files of several lengths, and a start, as the page's program reads them."""
    rng = np.random.default_rng(12)
    X, start = draw(rng, 5000, *random_mixture(rng, 3, 3, spread=4)), mixture_of(rng, 3, 3, structure)
    paths = [folder / f"shard-{i}.npy" for i in range(4)]
    for path, part in zip(paths, np.split(X, [1, 700, 3000])):
        np.save(path, part)
    start.save(folder / "start.json")
    (folder / "page_of_shards.py").write_text(code_of("shards.md"), encoding="utf-8")
    return X, start, [str(path) for path in paths]


def test_the_program_of_the_page_fits_all_rows(tmp_path):
    X, start, paths = shards(tmp_path, "full")
    run = subprocess.run([sys.executable, "-W", "error", str(tmp_path / "page_of_shards.py"), str(tmp_path / "start.json"),
                          str(tmp_path / "fitted.json"), *paths], capture_output=True, text=True)
    assert not run.returncode and not run.stderr, run.stderr
    whole = em(X, start, tol=0, max_iter=10)
    same(Mixture.load(tmp_path / "fitted.json"), whole.mixture, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([float(line) for line in run.stdout.split()], whole.history, rtol=1e-13)
    assert len(whole.history) == 10 and whole.history[-1] > whole.history[0] + 0.1


def test_the_number_of_workers_changes_no_bit(tmp_path, monkeypatch):
    X, start, paths = shards(tmp_path, "diag")
    monkeypatch.syspath_prepend(tmp_path)  # where the workers, who get this path, find the module
    import page_of_shards

    one, three = (page_of_shards.fit(paths, start, 3, n_workers) for n_workers in (1, 3))
    assert one == three
    same(one[0], em(X, start, "diag", tol=0, max_iter=3).mixture, rtol=1e-12, atol=1e-12)

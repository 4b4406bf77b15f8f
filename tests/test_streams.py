"""Rows that come later: `partial_fit`, by stepwise EM, and `adapt`, by maximum a posteriori."""

import copy
import pickle
import warnings

import numpy as np
import pytest

from direct import STRUCTURES, draw, full_covariances, random_mixture, responsibilities
from gaussmix import CollapseWarning, GaussianMixture
from gaussmix.exceptions import InvalidParameterError
from gaussmix.functional import e_step, m_step


def planted(n_rows, seed=0, structure="full", n_components=3, n_features=2):
    rng = np.random.default_rng(seed)
    return draw(rng, n_rows, *random_mixture(rng, n_components, n_features, structure, spread=4.0))


def dealt(X, *stops):
    return np.split(X, stops)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_step_is_the_decayed_sum_of_statistics(structure):
    """By `functional`: S ← (1 − γ) S + γ s, then the M step (7) (8) (11)."""
    first, *batches = dealt(planted(6000, structure=structure), 2000, 3000, 4000, 4700)
    gm = GaussianMixture(3, covariance_type=structure, random_state=0, reg_covar=0, step_exponent=0.7, step_offset=3).partial_fit(first)
    mixture = gm.mixture_
    kept = e_step(first, mixture)
    kept *= 1 / len(first)
    number = 0
    for batch in batches:
        gm.partial_fit(batch)
        found = []
        for part in np.split(batch, range(1000, len(batch), 1000)):
            new, size = e_step(part, mixture), (number + 3) ** -0.7
            found.append(new.log_likelihood / len(part))
            new *= 1 / len(part)
            kept = kept.translated(mixture.means)
            kept *= 1 - size
            new *= size
            kept = kept + new
            mixture, number = m_step(kept, structure), number + 1
        np.testing.assert_allclose(gm.means_, mixture.means, rtol=1e-10)
        np.testing.assert_allclose(full_covariances(gm), mixture.covariances, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(gm.history_, found, rtol=1e-10)
        assert gm.n_iter_ == number and gm.lower_bound_ == pytest.approx(np.mean(found))


def test_the_first_call_is_a_fit():
    X = planted(500)
    first, fitted = GaussianMixture(3, random_state=0).partial_fit(X), GaussianMixture(3, random_state=0).fit(X)
    assert first.mixture_ == fitted.mixture_ and first.history_ == fitted.history_
    assert fitted.partial_fit(planted(300, 1)).n_iter_ == 1  # and a fit may go on as a stream


def test_one_pass_comes_near_to_full_em():
    """A shuffled stream of 200,000 rows, from given parameters; benchmarks measure the million."""
    rng = np.random.default_rng(0)
    weights, means, covariances = random_mixture(rng, 6, 4, spread=1.5)
    X = draw(rng, 200_000, weights, means, covariances)
    start = dict(weights_init=np.full(6, 1 / 6), means_init=means + 0.2 * rng.normal(size=means.shape),
                 precisions_init=np.tile(np.eye(4), (6, 1, 1)))
    full = GaussianMixture(6, tol=1e-7, max_iter=1000, **start).fit(X).score(X)
    gm = GaussianMixture(6, max_iter=0, **start).fit(X[:1000])
    for allowed in (0.01, 0.003):
        for batch in np.array_split(X[rng.permutation(len(X))], 40):
            gm.partial_fit(batch)
        assert full - gm.score(X) < allowed


@pytest.mark.parametrize("sizes", [(1000,) * 8, (4000, 4000), (3000, 5000)])
def test_how_rows_are_dealt_out_matters_little(sizes):
    X = planted(10_000)
    whole = GaussianMixture(3, random_state=0).partial_fit(X[:2000])
    parts = copy.deepcopy(whole)
    whole.partial_fit(X[2000:])
    for batch in np.split(X[2000:], np.cumsum(sizes)[:-1]):
        parts.partial_fit(batch)
    assert parts.mixture_ == whole.mixture_ and parts.n_iter_ == whole.n_iter_ == 8


def test_weights_are_rows():
    X, weights = planted(1500), np.random.default_rng(0).uniform(0, 3, 1500)
    for scale in (1.0, 1e9, 1e-9):
        gm = GaussianMixture(3, random_state=0).partial_fit(X[:900]).partial_fit(X[900:], sample_weight=scale * weights[900:])
        if scale == 1.0:
            expected = gm
        np.testing.assert_allclose(gm.means_, expected.means_, rtol=1e-9)
    absent = np.concatenate([weights[:900] * 0, weights[900:]])  # a whole step's rows have none
    late = GaussianMixture(3, random_state=0).partial_fit(X[:900])
    late.partial_fit(np.concatenate([X[:100], X]), sample_weight=np.r_[np.zeros(100), absent])
    assert late.n_iter_ == 1 and late.mixture_ == expected.mixture_


def test_a_half_life_follows_data_that_drift():
    rng = np.random.default_rng(0)
    shift = np.linspace(0, 10, 60_000)[:, None]
    X = rng.normal(size=(60_000, 1)) + rng.choice([0.0, 20.0], size=(60_000, 1)) + shift
    models = [GaussianMixture(2, random_state=0, half_life=half_life) for half_life in (None, 2000.0)]
    for gm in models:
        for batch in np.array_split(X, 30):
            gm.partial_fit(batch)
    slow, fast = (np.sort(gm.means_.ravel()) for gm in models)
    assert np.abs(fast - [10, 30]).max() < 0.7 < np.abs(slow - [10, 30]).max()
    weights = models[1]._stream[0]
    assert weights.n_rows == pytest.approx(1000 / (1 - 2**-0.5), rel=0.01)  # Σ of what is left, for ever


def test_a_component_that_starves_is_told_of():
    X = planted(3000, n_components=2)
    far = np.concatenate([X[:1000], np.random.default_rng(0).normal(300, 1, (300, 2))])
    gm = GaussianMixture(3, random_state=0, half_life=500.0).partial_fit(far)
    k = int(gm.predict([[300.0, 300.0]])[0])
    with pytest.warns(CollapseWarning, match=rf"Component {k} starves"):
        for _ in range(12):
            gm.partial_fit(X[1000:])
    assert np.isfinite(gm.means_).all() and np.isfinite(full_covariances(gm)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2, random_state=0).partial_fit(X[:1000]).partial_fit(X[1000:])


def test_a_failed_call_leaves_everything_as_it_was():
    X = planted(2000)
    gm = GaussianMixture(3, random_state=0).partial_fit(X[:1000])
    before = pickle.dumps((gm.mixture_, gm.n_iter_, gm.history_))
    bad = X[1000:].copy()
    bad[700, 1] = np.nan
    for wrong in (bad, X[:, :1], X[:0], "rows"):
        with pytest.raises((ValueError, TypeError)):
            gm.partial_fit(wrong)
    assert pickle.dumps((gm.mixture_, gm.n_iter_, gm.history_)) == before
    again = pickle.loads(pickle.dumps(gm)).partial_fit(X[1000:])
    assert again.mixture_ == gm.partial_fit(X[1000:]).mixture_


def test_a_fit_or_other_attributes_begin_a_new_stream():
    X = planted(3000)
    gm = GaussianMixture(3, random_state=0).partial_fit(X[:1000]).partial_fit(X[1000:])
    assert gm.n_iter_ == 2
    gm.fit(X)
    assert gm.partial_fit(X[:1000]).n_iter_ == 1
    gm.means_ = gm.means_ + 100.0
    assert gm.partial_fit(X[:500] + 100.0).n_iter_ == 1 and gm.means_.min() > 50
    with pytest.raises(ValueError, match="partial_fit goes on from the last fit, in which n_components was 3, not 4"):
        gm.set_params(n_components=4).partial_fit(X)


@pytest.mark.parametrize("parameters, message", [
    ({"step_exponent": 0.5}, "step_exponent must be a number more than 0.5 and at most 1, not 0.5"), ({"step_exponent": 1.1}, "step_exponent"),
    ({"step_offset": 0.5}, "step_offset must be a number of at least 1"),
    ({"half_life": 0}, "half_life must be a number of more than 0, or None"),
    ({"half_life": "1 h"}, "half_life"), ({"step_offset": np.nan}, "step_offset")])
def test_other_sizes_of_steps_are_refused(parameters, message):
    with pytest.raises((ValueError, InvalidParameterError), match=message):
        GaussianMixture(2, **parameters).partial_fit(planted(100))


# Adaptation.

@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("weighted", [False, True])
def test_adaptation_is_that_of_reynolds(structure, weighted):
    """Equations (11) to (14) of the paper, written out."""
    X, Y = planted(1000, structure=structure), planted(400, 3) + 0.5
    w = np.random.default_rng(0).uniform(0, 2, 400) if weighted else np.ones(400)
    gm = GaussianMixture(3, covariance_type=structure, random_state=0).fit(X)
    old = gm.mixture_
    gamma = w[:, None] * responsibilities(Y, old.weights, old.means, old.covariances)
    n = gamma.sum(axis=0)
    mean, second = gamma.T @ Y / n[:, None], np.einsum("nk,ni,nj->kij", gamma, Y, Y) / n[:, None, None]
    share = n / (n + 10.0)
    means = share[:, None] * mean + (1 - share)[:, None] * old.means
    new = copy.deepcopy(gm).adapt(Y, 10.0, sample_weight=w)
    np.testing.assert_allclose(new.means_, means, rtol=1e-10)
    np.testing.assert_array_equal(new.covariances_, gm.covariances_)
    np.testing.assert_array_equal(new.weights_, gm.weights_)
    every = copy.deepcopy(gm).adapt(Y, 10.0, sample_weight=w, weights=True, covariances=True)
    weights = share * n / w.sum() + (1 - share) * old.weights
    np.testing.assert_allclose(every.weights_, weights / weights.sum(), rtol=1e-10)
    if structure in ("full", "diag"):
        kept = old.covariances + np.einsum("ki,kj->kij", old.means, old.means)
        expected = share[:, None, None] * second + (1 - share)[:, None, None] * kept - np.einsum("ki,kj->kij", means, means)
        if structure == "diag":
            expected = expected * np.eye(2)
        np.testing.assert_allclose(full_covariances(every), expected, rtol=1e-8, atol=1e-10)


def test_much_data_or_none_moves_a_component_wholly_or_not():
    gm = GaussianMixture(2, random_state=0).fit(np.concatenate([planted(300, n_components=1), planted(300, n_components=1) + 50]))
    before = gm.means_.copy()
    assert gm.adapt(planted(500, n_components=1) + 51) is gm
    near = int(gm.predict([[50.0, 50.0]])[0])
    np.testing.assert_allclose(gm.means_[1 - near], before[1 - near], atol=1e-6)
    assert (np.abs(gm.means_[near] - before[near] - 1) < 0.4).all()
    still = copy.deepcopy(gm).adapt(planted(500, n_components=1) + 60, relevance_factor=1e12)
    np.testing.assert_allclose(still.means_, gm.means_, atol=1e-6)


@pytest.mark.parametrize("factor", [0, -1, np.nan, np.inf, True, "16", None])
def test_other_relevance_factors_are_refused(factor):
    gm = GaussianMixture(2, random_state=0).fit(planted(100))
    before = gm.mixture_
    with pytest.raises(ValueError, match="relevance_factor must be a finite number of more than 0"):
        gm.adapt(planted(100), factor)
    assert gm.mixture_ is before


def test_rows_that_freeze_a_stream_are_told_of():
    first, second, third = dealt(planted(1500, n_components=2), 500, 1000)
    gm = GaussianMixture(2, random_state=0).partial_fit(first)
    second[7] = 1e12
    before = gm.mixture_
    with pytest.warns(CollapseWarning, match=r"The parameters stay as they were, as the covariance of component \d became singular"):
        gm.partial_fit(second)
    assert gm.mixture_ == before
    with pytest.warns(CollapseWarning, match="The parameters stay as they were"):
        gm.partial_fit(third)


def test_reg_covar_may_change_between_steps():
    """The M step of a stream adds what `reg_covar` says now, as one does that always added it."""
    first, second = dealt(planted(1500), 500)
    gm = GaussianMixture(3, random_state=0, reg_covar=0).partial_fit(first)
    plain = copy.deepcopy(gm).partial_fit(second).covariances_
    gm.set_params(reg_covar=100.0).partial_fit(second)
    np.testing.assert_allclose(gm.covariances_ - plain, np.tile(100 * np.eye(2), (3, 1, 1)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name, flag", [("weights", [1.0] * 20), ("weights", np.ones(20)), ("covariances", "False"), ("covariances", 1)])
def test_what_is_adapted_is_said_by_true_or_false(name, flag):
    gm = GaussianMixture(3, random_state=0).fit(planted(500))
    before = gm.mixture_
    with pytest.raises(TypeError, match=f"{name} must be True or False, whether the {name} are adapted, not "):
        gm.adapt(planted(20), **{name: flag})
    assert gm.mixture_ == before


def test_what_told_of_a_fit_does_not_tell_of_an_adapted_mixture():
    X = planted(500)
    gm = GaussianMixture(3, n_init="auto", search_budget=20, random_state=0).fit(X)
    assert "log-likelihood" in gm.summary()
    gm.adapt(X + 50)
    assert "log-likelihood" not in gm.summary() and "converged" not in gm.summary().replace("not converged", "")
    assert (gm.converged_, gm.n_iter_, gm.history_, gm.lower_bound_) == (False, 0, [], -np.inf) and not hasattr(gm, "search_")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gm.partial_fit(X + 50)


def test_a_model_that_is_not_fitted_cannot_adapt():
    with pytest.raises(ValueError, match="not fitted"):
        GaussianMixture(2).adapt(planted(100))

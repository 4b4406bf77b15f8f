"""What a fit shows: progress, callback, summary, criteria."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from direct import log_joint
from gaussmix import ConvergenceWarning, GaussianMixture, Mixture

pytestmark = pytest.mark.filterwarnings("error")


def planted(n_rows=300, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n_rows)
    return np.array([[0.0, 0.0], [3.0, 1.0]])[labels] + rng.normal(size=(n_rows, 2))


def log_density(gm, X):
    """Equation (1), component by component."""
    return log_joint(X, gm.weights_, gm.means_, gm.covariances_)


def test_callback_hears_every_iteration():
    X, heard = planted(), []
    gm = GaussianMixture(2, random_state=0, tol=1e-5, max_iter=500, callback=lambda *heard_now: heard.append(heard_now)).fit(X)
    iterations, log_likelihoods, mixtures = zip(*heard)
    assert list(iterations) == list(range(1, gm.n_iter_ + 1))
    assert list(log_likelihoods) == gm.history_ == gm.lower_bounds_
    for log_likelihood, mixture in zip(log_likelihoods, mixtures):
        assert isinstance(mixture, Mixture)
        assert mixture.log_likelihood(X) / len(X) == pytest.approx(log_likelihood, rel=1e-12)


def test_callback_changes_nothing_and_stops_the_whole_fit():
    X = planted()
    plain = GaussianMixture(2, random_state=0).fit(X)
    heard = GaussianMixture(2, random_state=0, callback=lambda *_: None).fit(X)
    assert_array_equal(plain.means_, heard.means_)
    calls = []

    def stop(iteration, log_likelihood, mixture):
        calls.append(iteration)
        return iteration == 3

    stopped = GaussianMixture(2, random_state=0, tol=0, n_init=5, callback=stop).fit(X)  # and no ConvergenceWarning
    assert calls == [1, 2, 3]
    assert stopped.n_iter_ == 3 and not stopped.converged_
    with pytest.warns(ConvergenceWarning):
        three = GaussianMixture(2, random_state=0, tol=0, max_iter=3).fit(X)
    assert_array_equal(stopped.means_, three.means_)


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [1, 3])
def test_an_error_in_the_callback_leaves_the_estimator_as_it_was(error, at):
    def fail(iteration, *_):
        if iteration == at:
            raise error("mine")

    gm = GaussianMixture(2, random_state=0).fit(planted())
    before, bits = dict(vars(gm)), pickle.dumps(gm)
    gm.callback = fail
    with pytest.raises(error, match="mine"):
        gm.fit(planted(seed=1))
    assert vars(gm) == before | {"callback": fail}
    gm.callback = None
    assert pickle.dumps(gm) == bits  # nor was an array changed in place
    fresh = GaussianMixture(2, random_state=0, callback=fail)
    with pytest.raises(error, match="mine"):
        fresh.fit(planted())
    assert vars(fresh) == vars(GaussianMixture(2, random_state=0, callback=fail))


def test_progress_bar_shows_iteration_log_likelihood_and_change(capsys):
    pytest.importorskip("tqdm")
    gm = GaussianMixture(2, random_state=0, n_init=2, progress=True).fit(planted())
    shown = capsys.readouterr().err
    assert "start 0" in shown and "start 1" in shown and f"/{gm.max_iter}" in shown
    assert "log-likelihood -" in shown and "change" in shown


def test_progress_without_tqdm(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    gm = GaussianMixture(2, random_state=0, progress=True).fit(planted())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"iteration {gm.n_iter_} of 100, log-likelihood {gm.lower_bound_:.6g}" in captured.err.splitlines()[-1]


def test_nothing_is_printed_unasked(capsys):
    GaussianMixture(2, random_state=0).fit(planted())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("sample_weight", [None, np.random.default_rng(3).integers(0, 4, 300)])
def test_criteria_by_their_definitions(sample_weight):
    X = planted()
    gm = GaussianMixture(2, random_state=0).fit(X, sample_weight=sample_weight)
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    log_joint = log_density(gm, X)
    log_p = np.logaddexp.reduce(log_joint, axis=1)
    L, n = weights @ log_p, weights.sum()
    p = 1 + 2 * 2 + 2 * 3  # one free weight, means, symmetric matrices
    assert gm.n_parameters_ == p
    assert gm.aic(X, sample_weight=sample_weight) == pytest.approx(-2 * L + 2 * p, rel=1e-10)
    assert gm.bic(X, sample_weight=sample_weight) == pytest.approx(-2 * L + p * math.log(n), rel=1e-10)
    completed = weights @ log_joint.max(axis=1)  # ln p(x, ẑ): the completed log-likelihood
    assert gm.icl(X, sample_weight=sample_weight) == pytest.approx(-2 * completed + p * math.log(n), rel=1e-10)
    assert gm.score(X, sample_weight=sample_weight) == pytest.approx(L / n, rel=1e-12)


def test_weights_in_the_criteria_equal_repeated_rows():
    X = planted()
    times = np.random.default_rng(1).integers(0, 4, len(X))
    gm = GaussianMixture(2, random_state=0).fit(X)
    for method in ("score", "aic", "bic", "icl"):
        weighted = getattr(gm, method)(X, sample_weight=times)
        assert weighted == pytest.approx(getattr(gm, method)(np.repeat(X, times, axis=0)), rel=1e-12), method


def test_summary_holds_what_was_fitted():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(planted(), columns=["height", "mass"])
    gm = GaussianMixture(2, random_state=0).fit(X)
    lines = gm.summary(X).splitlines()
    header = lines[2]
    assert [name for name in ("component", "weight", "rows", "mean height", "mean mass", "sd height", "sd mass", "log det")
            if name not in header] == []
    for k in range(2):
        number, weight, rows, *rest = lines[3 + k].split()
        S = gm.covariances_[k]
        expected = [*gm.means_[k], *np.sqrt(np.diag(S)), math.log(np.linalg.det(S))]
        assert int(number) == k
        assert float(weight) == pytest.approx(gm.weights_[k], rel=1e-3)
        assert float(rows) == pytest.approx(gm.weights_[k] * len(X), rel=1e-3)
        assert [float(value) for value in rest] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    for criterion in (f"BIC {gm.bic(X):.4f}", f"AIC {gm.aic(X):.4f}", f"ICL {gm.icl(X):.4f}", "free parameters 11", "rows 300"):
        assert criterion in lines[-1]
    assert "ICL" not in gm.summary() and f"log-likelihood {gm.lower_bound_ * 300:.4f}" in gm.summary()


def test_summary_of_every_structure_and_of_a_model_set_by_hand():
    for covariance_type in ("full", "tied", "diag", "spherical"):
        assert "log det" in GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(planted()).summary()
    by_hand = GaussianMixture(1)
    by_hand.weights_, by_hand.means_, by_hand.covariances_ = np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1))
    assert "BIC" in by_hand.summary([[0.0], [1.0]]) and "BIC" not in by_hand.summary()


def test_the_bar_is_imported_only_when_asked_for():
    program = ("import sys, gaussmix; gaussmix.GaussianMixture().fit([[0.0], [1.0], [3.0]]); "
               "assert not {'tqdm', 'sklearn', 'matplotlib'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", program], check=True)

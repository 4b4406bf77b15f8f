"""What a fit shows: progress, callback, summary, criteria."""

import math
import pickle
import re
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


def criteria(text):
    """The numbers of a summary's last line, and whose they are."""
    line = text.splitlines()[-1]
    return {name: float(number) for name, number in re.findall(r"(rows|free parameters|log-likelihood|BIC|AIC|ICL) ([-+.\de]+)", line)}, line


@pytest.mark.parametrize("scale", [1.0, 1e-3, 2.0**19, 2.0**20, 2.0**21, 1e9, 1e-12])
def test_summary_counts_by_the_weights_as_they_were_given(scale):
    """Whether or not the loops work on rescaled ones: the criteria of the fit are those of `bic(X, w)` at its last E step."""
    X = planted()
    weights = scale * np.random.default_rng(3).integers(0, 4, 300)
    gm = GaussianMixture(2, random_state=0, max_iter=500).fit(X, sample_weight=weights)
    found, _ = criteria(gm.summary())
    L, n = gm.lower_bound_ * weights.sum(), weights.sum()
    digits = {"rel": 1e-12, "abs": 6e-5}  # four are printed after the point
    assert found["rows"] == pytest.approx(n, rel=1e-5)
    assert found["log-likelihood"] == pytest.approx(L, **digits)
    assert found["BIC"] == pytest.approx(-2 * L + 11 * math.log(n), **digits)
    assert found["AIC"] == pytest.approx(-2 * L + 22, **digits)
    asked, _ = criteria(gm.summary(X, weights))
    expected = {"rows": n, "log-likelihood": gm.score(X, sample_weight=weights) * n, "BIC": gm.bic(X, weights),
                "AIC": gm.aic(X, weights), "ICL": gm.icl(X, weights)}
    for name, value in expected.items():
        assert asked[name] == pytest.approx(value, **{"rel": 1e-5 if name == "rows" else 1e-12, "abs": 6e-5}), name
    log_p = np.logaddexp.reduce(log_density(gm, X), axis=1)
    assert gm.score(X, sample_weight=weights) == pytest.approx(weights @ log_p / n, rel=1e-12)


def test_summary_says_whose_log_likelihood_it_shows():
    """Without data that of the last E step, whose M step came after; with data that of the fitted mixture."""
    X = planted()
    with pytest.warns(ConvergenceWarning):
        gm = GaussianMixture(2, random_state=0, max_iter=3, tol=0).fit(X)
    with pytest.warns(ConvergenceWarning):
        before = GaussianMixture(2, random_state=0, max_iter=2, tol=0).fit(X)
    found, line = criteria(gm.summary())
    assert "at the last E step of the fit, before its M step: log-likelihood" in line
    assert found["BIC"] == pytest.approx(before.bic(X), abs=1e-4) and abs(found["BIC"] - gm.bic(X)) > 1e-3
    found, line = criteria(gm.summary(X))
    assert "E step" not in line and found["BIC"] == pytest.approx(gm.bic(X), abs=1e-4)


def test_summary_says_whether_the_fit_converged():
    X = planted()
    gm = GaussianMixture(2, random_state=0).fit(X)
    assert gm.summary().splitlines()[0].endswith(f"full covariances: converged after {gm.n_iter_} iterations")
    with pytest.warns(ConvergenceWarning):
        gm.set_params(max_iter=1).fit(X)
    assert gm.summary().splitlines()[0].endswith("full covariances: not converged after 1 iterations")


def test_summary_shows_no_criterion_of_another_mixture():
    """Attributes that were changed since the fit, and weights without the rows that they are of."""
    X = planted()
    gm = GaussianMixture(2, random_state=0).fit(X)
    gm.means_ = gm.means_ + 1
    assert criteria(gm.summary())[0] == {"free parameters": 11.0}
    with pytest.raises(ValueError, match="only together with the rows"):
        gm.summary(sample_weight=np.ones(300))


@pytest.mark.parametrize("scale", [2.0**-1000, 1e-300, 1.0, 1e300, 2.0**1000])
def test_the_score_does_not_depend_on_the_scale_of_the_weights(scale):
    X, weights = planted(), np.random.default_rng(3).integers(0, 4, 300)
    gm = GaussianMixture(2, random_state=0).fit(X, sample_weight=scale * weights)
    assert gm.score(X, sample_weight=scale * weights) == pytest.approx(gm.score(X, sample_weight=weights), rel=1e-12)
    assert gm.score(X, sample_weight=np.where(weights, 5e-324, 0)) == pytest.approx(gm.score(X, sample_weight=weights > 0), rel=1e-12)
    huge = np.full(300, 1.7e308)  # their sum is no number, their mean is
    assert gm.score(X, sample_weight=huge) == pytest.approx(gm.score(X), rel=1e-12)
    assert gm.bic(X, huge) == gm.aic(X, huge) == gm.icl(X, huge) == math.inf
    assert "BIC inf" in GaussianMixture(2, random_state=0).fit(X, sample_weight=huge).summary()


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

"""Selection: every candidate against scikit-learn, and candidates that cannot be fitted."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as SklearnMixture

import gaussmix
from gaussmix import CollapseWarning, ConvergenceWarning, SpuriousOptimumWarning, select

FAITHFUL = np.loadtxt(Path(__file__).parent / "data" / "faithful_with_header.csv", delimiter=",", skiprows=1)
STRUCTURES = ("full", "tied", "diag", "spherical")


@pytest.mark.parametrize("criterion", ["bic", "aic"])
def test_every_candidate_agrees_with_scikit_learn(criterion):
    # The same labels start both, so that both climb to the same optimum.
    labels = (FAITHFUL[:, 0] > 3).astype(int)
    s = select(FAITHFUL, 2, STRUCTURES, criterion, tol=1e-10, max_iter=1000, init_params=labels)
    theirs = []
    for name in STRUCTURES:
        start = gaussmix.GaussianMixture(2, covariance_type=name, init_params=labels, max_iter=0).fit(FAITHFUL)
        theirs.append(SklearnMixture(2, covariance_type=name, tol=1e-10, max_iter=1000, weights_init=start.weights_,
                                     means_init=start.means_, precisions_init=start.precisions_).fit(FAITHFUL))
    for candidate, their, name in zip(s.candidates, theirs, STRUCTURES):
        assert (candidate.n_components, candidate.covariance_type, candidate.converged) == (2, name, True)
        assert candidate.n_parameters == their._n_parameters()
        assert candidate.log_likelihood == pytest.approx(their.score(FAITHFUL) * len(FAITHFUL), rel=1e-8)
        assert candidate.bic == pytest.approx(their.bic(FAITHFUL), rel=1e-8)
        assert candidate.aic == pytest.approx(their.aic(FAITHFUL), rel=1e-8)
    lowest = min(theirs, key=lambda their: getattr(their, criterion)(FAITHFUL))
    assert s.chosen.covariance_type == s.best.covariance_type == lowest.covariance_type
    np.testing.assert_allclose(s.best.means_, lowest.means_, rtol=1e-5)


def test_the_best_is_the_same_model_fitted_alone():
    s = select(FAITHFUL, range(1, 4), ("full", "tied"), random_state=3, n_init=2)
    alone = gaussmix.GaussianMixture(s.chosen.n_components, covariance_type=s.chosen.covariance_type, random_state=3,
                                     n_init=2).fit(FAITHFUL)
    assert s.best.mixture_ == alone.mixture_
    assert s.chosen.bic == pytest.approx(alone.bic(FAITHFUL), rel=1e-14)
    assert s.chosen.bic == min(candidate.bic for candidate in s.candidates)


def test_weights_count_as_rows():
    weights = np.arange(len(FAITHFUL)) % 3
    kwargs = dict(init_params="kmeans", random_state=0, tol=1e-10, max_iter=1000)
    weighted = select(FAITHFUL, 1, "full", sample_weight=weights, **kwargs).chosen
    repeated = select(np.repeat(FAITHFUL, weights, axis=0), 1, "full", **kwargs).chosen
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)
    assert weighted.bic == pytest.approx(repeated.bic, rel=1e-12)


def test_what_cannot_be_fitted_is_a_row_in_the_table():
    X = FAITHFUL[:5]
    s = select(X, range(1, 8), reg_covar=0, random_state=0, n_init=1)
    assert [c.n_components for c in s.candidates if not c.failure] == [1]
    assert s.chosen is s.candidates[0]
    assert "singular" in s.candidates[2].failure and "more components (6) than rows (5)" == s.candidates[5].failure
    assert math.isnan(s.candidates[5].bic) and not s.candidates[5].converged
    lines = str(s).splitlines()
    assert len(lines) == 8 and "more components (6) than rows (5)" in lines[6] and "singular" in lines[3]


def test_if_nothing_can_be_fitted_that_is_an_error():
    with pytest.raises(ValueError, match=r"^no candidate could be fitted; with 6 components, full: more components \(6\)"):
        select(FAITHFUL[:5], range(6, 8))
    with pytest.raises(ValueError, match="^the covariance of component 0 of the start is singular.*increase reg_covar"):
        select(np.ones((5, 2)), 1, reg_covar=0)


def test_a_collapsed_candidate_is_not_chosen_while_there_is_another():
    # The second component sheds the row at 2.5 and shrinks onto two equal rows: its likelihood grows without bound.
    X = np.concatenate([np.random.default_rng(1).normal(size=(60, 1)), [[9.0], [9.0], [2.5]]])
    start = dict(init_params=np.repeat([0, 1], [60, 3]), reg_covar=0, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = select(X, 2, ("full", "tied"), **start)
    full, tied = s.candidates
    assert full.collapsed and not full.converged and full.bic < tied.bic
    assert s.chosen is tied and "a component collapsed" in str(s)
    with pytest.warns(CollapseWarning):
        assert select(X, 2, "full", **start).chosen.collapsed


def test_a_spurious_optimum_is_not_chosen_while_there_is_a_proper_one():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(200, 2)), [3, 3] + 1e-5 * rng.normal(size=(3, 2))])
    start = dict(init_params=np.repeat([0, 1], [200, 3]), reg_covar=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = select(X, 2, ("full", "tied"), **start)
    full, tied = s.candidates
    assert full.spurious and not full.collapsed and full.bic < tied.bic
    assert s.chosen is tied and "spurious optimum" in str(s)
    with pytest.warns(SpuriousOptimumWarning, match="component 1 sits on 3 rows"):
        assert select(X, 2, "full", **start).chosen.spurious


def test_only_the_chosen_candidate_warns():
    with pytest.warns(ConvergenceWarning) as caught:
        s = select(FAITHFUL, range(1, 6), max_iter=1, random_state=0)
    assert len(caught) == 1
    assert not s.chosen.converged and str(s).count("not converged") == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = select(FAITHFUL, range(2, 9), max_iter=6, random_state=0, n_init=1)
    assert s.chosen.converged and not all(c.converged for c in s.candidates)


def test_progress_is_told_of_every_candidate():
    told = []
    s = select(FAITHFUL, (2, 1), "diag", progress=told.append, random_state=0)
    assert told == s.candidates and [c.n_components for c in told] == [2, 1]


def test_a_table_keeps_its_names():
    import pandas as pd

    s = select(pd.DataFrame(FAITHFUL, columns=["a", "b"]), 2, random_state=0)
    assert list(s.best.feature_names_in_) == ["a", "b"]


@pytest.mark.parametrize("change, said", [
    (dict(n_components=0), "n_components"), (dict(n_components=()), "n_components"),
    (dict(n_components="3"), "n_components"),
    (dict(n_components=[2.0]), "n_components"), (dict(covariance_types="round"), "covariance_type"),
    (dict(covariance_types=()), "covariance_types"), (dict(criterion="icl"), "criterion must be one of 'bic', 'aic'"),
    (dict(tol=-1), "tol"), (dict(sample_weight=[1.0]), "sample_weight"),
])
def test_bad_arguments(change, said):
    with pytest.raises(ValueError, match=said):
        select(FAITHFUL, **({"n_components": 1} | change))


def test_the_table_fits_a_terminal_and_marks_the_chosen():
    s = select(FAITHFUL, range(1, 4), STRUCTURES, random_state=0, n_init=3)
    lines = str(s).splitlines()
    assert max(map(len, lines)) <= 80
    marked = [line.split() for line in lines if "*" in line]
    assert [marked[0][:2]] == [[str(s.chosen.n_components), s.chosen.covariance_type]] and len(marked) == 1
    assert "BIC" in lines[0] and repr(s).endswith(str(s))


@pytest.mark.parametrize("structures", [("spherical", "diag"), ("diag", "spherical")])
def test_a_collapsed_candidate_ranks_after_a_spurious_one(structures):
    # The second component sheds the last row. Of the two that are left diag has no variance in the first feature, spherical some.
    X = np.concatenate([np.random.default_rng(0).normal(size=(200, 2)), [[9.0, 9.0], [9.0, 9.001], [2.5, 2.5]]])
    with pytest.warns(SpuriousOptimumWarning):
        s = select(X, 2, structures, init_params=np.repeat([0, 1], [200, 3]), reg_covar=0, max_iter=2000)
    by_name = {c.covariance_type: c for c in s.candidates}
    assert by_name["diag"].collapsed and not by_name["diag"].spurious
    assert by_name["spherical"].spurious and not by_name["spherical"].collapsed
    assert s.chosen is by_name["spherical"] and s.best.covariance_type == "spherical"


def test_more_components_than_rows_with_weight_are_a_row_in_the_table():
    weights = np.zeros(len(FAITHFUL))
    weights[[0, 1, 7]] = [1, 2, 0.5]
    s = select(FAITHFUL, range(1, 6), sample_weight=weights, reg_covar=1e-4, random_state=0)
    assert not s.candidates[2].failure.startswith("more components")  # three of three rows
    assert s.candidates[3].failure == "more components (4) than rows with a positive weight (3)"
    assert str(s).splitlines()[-1].endswith("more components (5) than rows with a positive weight (3)")
    alone = gaussmix.GaussianMixture(s.chosen.n_components, reg_covar=1e-4, random_state=0).fit(FAITHFUL, sample_weight=weights)
    assert s.best.mixture_ == alone.mixture_ and s.chosen.n_components <= 3
    assert s.chosen.bic == pytest.approx(alone.bic(FAITHFUL, sample_weight=weights), rel=1e-12)


def test_a_blurring_reg_covar_is_told_of_the_chosen_candidate_once():
    with pytest.warns(UserWarning, match="reg_covar=1e-06 is more than a thousandth of the variance of feature 0") as caught:
        select(FAITHFUL * 1e-3, range(1, 4), random_state=0)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_a_fit_tells_of_reg_covar_and_then_of_what_it_came_to():
    X = FAITHFUL * 1e-3
    gm = gaussmix.GaussianMixture(2, random_state=0, max_iter=1)
    with pytest.warns() as caught:
        gm.fit(X)
    assert [warning.filename for warning in caught] == [__file__] * 2
    assert "reg_covar=1e-06" in str(caught[0].message) and caught[1].category.__name__ == "ConvergenceWarning"
    means = gm.means_.copy()
    for number, said in enumerate(("reg_covar", "did not converge")):
        with warnings.catch_warnings():  # where it is an error, the estimator stays as it was
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "reg_covar" if number else "nothing")
            with pytest.raises(UserWarning, match=said):
                gm.set_params(n_components=3).fit(X)
        np.testing.assert_array_equal(gm.means_, means)


def test_selections_in_ten_threads_leave_warnings_alone_and_are_the_same(monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("catch_warnings is not safe in threads")

    options = dict(random_state=0, max_iter=6, n_threads=1, n_init=1)  # some candidates do not converge, the chosen one does
    alone = select(FAITHFUL, range(2, 6), ("full", "diag"), **options)
    assert alone.chosen.converged and not all(candidate.converged for candidate in alone.candidates)
    before = list(warnings.filters), warnings.showwarning, warnings._showwarnmsg_impl
    with monkeypatch.context() as patched, ThreadPoolExecutor(10) as pool:
        patched.setattr(warnings, "catch_warnings", forbidden)
        selections = list(pool.map(lambda _: select(FAITHFUL, range(2, 6), ("full", "diag"), **options), range(20)))
    assert (list(warnings.filters), warnings.showwarning, warnings._showwarnmsg_impl) == before
    for selection in selections:
        assert selection.candidates == alone.candidates and selection.chosen == alone.chosen
        assert selection.best.mixture_ == alone.best.mixture_


def test_the_chosen_warns_of_all_that_it_came_to():
    with pytest.warns() as caught:
        select(FAITHFUL * 1e-3, 2, max_iter=1, random_state=0)
    assert len(caught) == 2 and [warning.filename for warning in caught] == [__file__] * 2


def test_each_criterion_chooses_its_own_lowest():
    chosen = {}
    for criterion in ("bic", "aic"):
        s = select(FAITHFUL, range(1, 7), STRUCTURES, criterion, random_state=0, max_iter=1000)
        proper = [candidate for candidate in s.candidates if not (candidate.failure or candidate.spurious or candidate.collapsed)]
        chosen[criterion] = s.chosen
        assert getattr(s.chosen, criterion) == min(getattr(candidate, criterion) for candidate in proper)
    assert chosen["bic"].aic > chosen["aic"].aic


def test_of_equal_candidates_the_first_is_chosen():
    s = select(FAITHFUL, [2, 2, 2], random_state=0)
    assert s.candidates[0] == s.candidates[1] and s.chosen is s.candidates[0]


def test_every_option_reaches_the_estimator():
    options = dict(n_init=3, random_state=7, n_threads=1, tol=1e-2, reg_covar=1e-5, max_iter=77, init_params="random")
    best = select(FAITHFUL, 2, "VVI", **options).best
    assert best.get_params() == gaussmix.GaussianMixture(2, covariance_type="diag", **options).get_params()


def test_a_single_candidate_needs_no_mark():
    assert "*" not in str(select(FAITHFUL, 2, random_state=0))


@pytest.mark.parametrize("arguments, error, what", [
    ((2.0,), ValueError, "n_components must be a whole number or a list of whole numbers, not 2.0"),
    ((None,), ValueError, "n_components must be a whole number or a list of whole numbers, not None"),
    ((b"a",), ValueError, "n_components must be a whole number or a list of whole numbers, not b'a'"),
    ((np.array(2.5),), ValueError, "n_components must be a whole number or a list of whole numbers, not array"),
    ((2, 5), ValueError, "covariance_types must be a name or a list of names, not 5")])
def test_candidates_that_are_none_are_refused(arguments, error, what):
    with pytest.raises(error, match=what):
        select(np.zeros((9, 1)), *arguments)


def test_progress_is_a_function():
    with pytest.raises(TypeError, match="progress must be a function that is called with each candidate, not 5"):
        select(np.random.default_rng(0).normal(size=(30, 1)), 2, progress=5)

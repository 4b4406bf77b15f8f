"""Structures: the structure that was fitted decides what a model is, not one that has been set since."""

import copy
import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from direct import log_density
from gaussmix import GaussianMixture, Mixture, load, save
from gaussmix.structures import structure_named

NAMES = ("full", "tied", "diag", "spherical")
# As many components as features: then the arrays of tied and diag have the same shape.
SHAPES = ((2, 2), (3, 2), (1, 2), (2, 1))


def rows(n_features, n_rows=90):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n_rows, n_features)) @ (np.eye(n_features) + 0.3)
    X[n_rows // 3:] = 2 * X[n_rows // 3:] + 5
    X[2 * n_rows // 3:] += np.arange(1, n_features + 1) * 6
    return X


def n_free(name, K, D):
    """Free parameters, by hand: weights, means and covariances."""
    return K - 1 + K * D + {"full": K * D * (D + 1) // 2, "tied": D * (D + 1) // 2, "diag": K * D, "spherical": K}[name]


def spread_out(covariances, name, K, D):
    """Covariances in scikit-learn's shape as (K, D, D)."""
    covariances = np.asarray(covariances, dtype=float)
    if name == "tied":
        return np.array([covariances] * K)
    return covariances if name == "full" else np.array([np.eye(D) * variances for variances in covariances])


@pytest.fixture(params=[(K, D, name) for K, D in SHAPES for name in NAMES], ids=str)
def fitted(request):
    K, D, name = request.param
    X = rows(D)
    return GaussianMixture(K, covariance_type=name, random_state=0).fit(X), X, name


def through_pickle(gm):
    return pickle.loads(pickle.dumps(gm))


@pytest.mark.parametrize("since", NAMES)
def test_what_was_fitted_decides(tmp_path, fitted, since):
    gm, X, name = fitted
    K, D = gm.means_.shape
    save(tmp_path / "before.json", gm)
    before = gm.score_samples(X), gm.predict_proba(X), gm.bic(X), gm.aic(X), gm.icl(X), gm.summary(), gm.summary(X)
    gm.set_params(covariance_type=since)
    for again in (copy.copy, copy.deepcopy, through_pickle):
        gm = again(gm)
        after = gm.score_samples(X), gm.predict_proba(X), gm.bic(X), gm.aic(X), gm.icl(X), gm.summary(), gm.summary(X)
        for one, other in zip(before, after):
            np.testing.assert_array_equal(one, other)
    assert f"{name} covariances" in gm.summary()
    assert gm._n_parameters() == gm.n_parameters_ == n_free(name, K, D)
    assert gm.mixture_.covariance_type == name
    for how, path in ((save, tmp_path / "function.json"), (lambda path, gm: gm.save(path), tmp_path / "method.json"),
                      (lambda path, gm: save(path, gm.mixture_), tmp_path / "mixture.json")):
        how(path, gm)
        assert path.read_bytes() == (tmp_path / "before.json").read_bytes()
    loaded = GaussianMixture.load(tmp_path / "function.json")
    assert loaded.covariance_type == loaded.mixture_.covariance_type == load(tmp_path / "function.json").covariance_type == name
    np.testing.assert_array_equal(loaded.score_samples(X), before[0])
    covariances = spread_out(gm.covariances_, name, K, D)
    np.testing.assert_allclose(before[0], log_density(X, gm.weights_, gm.means_, covariances), rtol=1e-10)


@pytest.mark.parametrize("since", NAMES)
def test_scikit_learn_is_handed_what_was_fitted(fitted, since):
    pytest.importorskip("sklearn")
    gm, X, name = fitted
    theirs = gm.set_params(covariance_type=since).to_sklearn()
    assert theirs.covariance_type == name and gm.covariance_type == since
    np.testing.assert_allclose(theirs.score_samples(X), gm.score_samples(X), rtol=1e-9)
    assert theirs.bic(X) == pytest.approx(gm.bic(X), rel=1e-10)


@pytest.mark.parametrize("since", NAMES)
def test_a_warm_start_goes_on_under_the_structure_that_was_fitted_only(fitted, since):
    gm, X, name = fitted
    gm.set_params(covariance_type=since, warm_start=True)
    if since == name:
        assert gm.fit(X).n_iter_ >= 1
        return
    with pytest.raises(ValueError, match=f"in which covariance_type was {name!r}, not {since!r}"):
        gm.fit(X)


@pytest.mark.parametrize("since", NAMES)
def test_means_set_by_hand_leave_the_covariances_those_of_the_fit(fitted, since):
    gm, X, name = fitted
    K, D = gm.means_.shape
    gm.set_params(covariance_type=since)
    gm.means_ = gm.means_ + 1
    expected = log_density(X, gm.weights_, gm.means_, spread_out(gm.covariances_, name, K, D))
    np.testing.assert_allclose(gm.score_samples(X), expected, rtol=1e-9)
    assert gm.mixture_.covariance_type == name and gm.n_parameters_ == n_free(name, K, D)


@pytest.mark.parametrize("since", NAMES)
def test_precisions_set_by_hand_are_of_covariance_type_or_are_refused(fitted, since):
    gm, X, name = fitted
    K, D = gm.means_.shape
    gm.set_params(covariance_type=since)
    gm.precisions_cholesky_ = 2 * gm.precisions_cholesky_
    of_their_shape = name == since or (D == 1 and {name, since} == {"tied", "diag"} and K == 1)
    if not of_their_shape:
        with pytest.raises(ValueError, match="^precisions_cholesky_"):
            gm.score_samples(X)
        return
    expected = log_density(X, gm.weights_, gm.means_, spread_out(gm.covariances_ / 4, name, K, D))
    np.testing.assert_allclose(gm.score_samples(X), expected, rtol=1e-9)


@pytest.mark.parametrize("structure", NAMES)
def test_without_a_fit_covariance_type_decides_and_shapes_are_checked(fitted, structure):
    source, X, name = fitted
    K, D = source.means_.shape
    for attribute in ("covariances_", "precisions_cholesky_"):
        gm = GaussianMixture(K, covariance_type=structure)
        gm.weights_, gm.means_ = source.weights_, source.means_
        setattr(gm, attribute, getattr(source, attribute))
        if structure == name:
            np.testing.assert_allclose(gm.score_samples(X), source.score_samples(X), rtol=1e-9)
            assert gm.n_parameters_ == n_free(name, K, D)
        elif np.shape(source.covariances_) != structure_named(structure).shape(K, D):
            with pytest.raises(ValueError, match=f"^{attribute} must be an array of real numbers, of shape"):
                gm.score_samples(X)
        elif D > 1 and attribute == "precisions_cholesky_":  # of tied, taken for diag, or the other way round
            with pytest.raises(ValueError, match="singular|must be triangular"):
                gm.score_samples(X)


def test_covariances_of_the_fit_stay_of_its_structure_where_precisions_are_gone():
    X = rows(2)
    gm = GaussianMixture(2, covariance_type="tied", random_state=0).fit(X)
    before = gm.score_samples(X)
    del gm.precisions_cholesky_
    gm.covariance_type = "diag"  # in two dimensions two variances for each of two components have the shape of one matrix
    np.testing.assert_allclose(gm.score_samples(X), before, rtol=1e-10)


def test_a_callback_is_given_mixtures_of_the_structure():
    for name in NAMES:
        heard = []
        GaussianMixture(2, covariance_type=name, random_state=0, callback=lambda n, bound, m: heard.append(m)).fit(rows(2))
        assert heard and {mixture.covariance_type for mixture in heard} == {name}


def test_a_mixture_knows_its_structure_and_refuses_another():
    assert Mixture([1.0], [[0.0]], [[[1.0]]]).covariance_type == "full"
    for name in NAMES:
        structure = structure_named(name)
        parameters = structure.parameters(3, 2)
        parameters.weights[...] = 1 / 3
        parameters.covariances[...] = np.eye(2) if parameters.covariances.shape[-2:] == (2, 2) else 1
        assert Mixture.from_parameters(parameters, structure).covariance_type == name
        for other in set(NAMES) - {name}:
            with pytest.raises(ValueError, match=f"{other} covariances are of shape"):
                Mixture.from_parameters(parameters, structure_named(other))


@pytest.mark.parametrize("change", [dict(weights=np.ones(1)), dict(means=np.ones(2)), dict(means=np.ones((2, 3))),
                                    dict(covariances=np.ones((1, 2, 2))), dict(covariances=1.0), dict(covariance_type="diag")])
def test_a_pickle_of_other_shapes_is_refused(change):
    kind, values = GaussianMixture(2, random_state=0).fit(rows(2)).mixture_.__reduce__()
    state = dict(zip(("weights", "means", "covariances", "covariance_type"), values)) | change
    with pytest.raises(ValueError, match="of shape"):
        kind(**state)


class Life(RuleBasedStateMachine):
    """An estimator through fits, settings, model files and copies, beside a plain record of what it must be."""

    K, D = 2, 2
    X = rows(2)

    def remember(self, gm, structure):
        self.gm, self.structure, self.new_roots = gm, structure, False
        self.weights, self.means = gm.weights_.copy(), gm.means_.copy()
        self.covariances = spread_out(gm.covariances_, structure, self.K, self.D)

    @initialize(name=st.sampled_from(NAMES))
    def begin(self, name):
        self.remember(GaussianMixture(2, covariance_type=name, random_state=0, tol=1e9).fit(self.X), name)

    @rule(name=st.sampled_from(NAMES), keyword=st.booleans())
    def set_structure(self, name, keyword):
        if keyword:
            self.gm.set_params(covariance_type=name)
        else:
            self.gm.covariance_type = name

    @rule()
    def fit(self):
        self.remember(self.gm.fit(self.X), self.gm.covariance_type)

    @rule(in_place=st.booleans())
    def move(self, in_place):
        if in_place:
            self.gm.means_ += 0.5
        else:
            self.gm.means_ = self.gm.means_ + 0.5
        self.means = self.means + 0.5

    @rule(share=st.sampled_from([0.25, 0.5]))
    def weigh(self, share):
        self.gm.weights_ = self.weights = np.array([share, 1 - share])

    @rule(in_place=st.booleans())
    @precondition(lambda self: np.shape(self.gm.precisions_cholesky_))
    def narrow(self, in_place):
        if in_place:
            self.gm.precisions_cholesky_ *= 1.5
        else:
            self.gm.precisions_cholesky_ = self.gm.precisions_cholesky_ * 1.5
        self.covariances, self.new_roots = self.covariances / 1.5**2, True

    @rule(name=st.sampled_from(NAMES))
    def exchange(self, name):
        """All arrays of another fit, by hand."""
        other = GaussianMixture(2, covariance_type=name, random_state=1, tol=1e9).fit(self.X + 1)
        for attribute in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
            setattr(self.gm, attribute, getattr(other, attribute))
        self.remember(self.gm, name)
        self.new_roots = True

    @rule(how=st.sampled_from([copy.copy, copy.deepcopy, through_pickle]))
    def copy(self, how):
        arrays = {name: np.array(getattr(self.gm, name)) for name in ("weights_", "means_", "precisions_cholesky_")}
        self.gm = how(self.gm)
        for name, array in arrays.items():
            np.testing.assert_array_equal(getattr(self.gm, name), array)

    @rule()
    @precondition(lambda self: not self.new_roots or self.gm.covariance_type == self.structure)
    def through_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            save(path, self.gm)
            assert json.loads(path.read_text())["covariance_type"] == self.structure
            self.gm = GaussianMixture.load(path).set_params(random_state=0, tol=1e9)
        self.new_roots = False

    @invariant()
    def it_is_what_it_must_be(self):
        try:
            mixture = self.gm.mixture_
        except ValueError:
            assert self.new_roots and self.gm.covariance_type != self.structure
            return
        assert mixture.covariance_type == self.structure
        assert self.gm.n_parameters_ == n_free(self.structure, self.K, self.D)
        expected = log_density(self.X, self.weights, self.means, self.covariances)
        np.testing.assert_allclose(self.gm.score_samples(self.X), expected, rtol=1e-8)


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None,
                                  suppress_health_check=[HealthCheck.too_slow])
TestLife = Life.TestCase

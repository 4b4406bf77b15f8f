"""scikit-learn's own estimator checks, with no expected failure."""

import subprocess
import sys
import warnings

import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from gaussmix import GaussianMixture  # noqa: E402


with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="Estimator GaussianMixture does not inherit from `sklearn.base.BaseEstimator`")
    every_check = parametrize_with_checks([GaussianMixture(), GaussianMixture(covariance_type="diag", reg_covar="auto")])


@pytest.mark.filterwarnings("ignore")
@every_check
def test_estimator_checks(estimator, check):
    check(estimator)


def test_a_fit_does_not_import_scikit_learn():
    program = """
import sys, numpy as np, gaussmix
gm = gaussmix.GaussianMixture(2, random_state=0).fit(np.arange(20.0).reshape(10, 2))
gm.predict([[0.0, 1.0]]), gm.summary(), repr(gm), gm._repr_html_(), gm.sample(3)
try:
    gaussmix.GaussianMixture().predict([[1.0]])
except gaussmix.NotFittedError as error:
    assert isinstance(error, ValueError) and isinstance(error, AttributeError)
assert not [name for name in sys.modules if name.split(".")[0] in ("sklearn", "matplotlib", "tqdm")]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


NOT_INSTALLED = """
import sys, warnings, numpy as np

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sklearn", "pandas", "polars", "pyarrow", "tqdm", "joblib", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
import copy, pickle, gaussmix
from gaussmix import GaussianMixture

X = np.r_[np.random.default_rng(0).normal(size=(50, 2)), np.random.default_rng(1).normal(size=(50, 2)) + 9]
for start in ("kmeans", "k-means++", "random", "random_from_data", np.repeat([0, 1], 50)):
    for kind in ("full", "tied", "diag", "spherical"):
        gm = GaussianMixture(2, covariance_type=kind, init_params=start, random_state=0, reg_covar="auto", max_iter=1000)
        labels = gm.fit_predict(X, sample_weight=np.ones(100))
        assert (labels == gm.predict(X)).all() and gm.predict_proba(X).shape == (100, 2) and gm.sample(5)[0].shape == (5, 2)
        assert np.isfinite([gm.score(X), gm.bic(X), gm.aic(X), gm.icl(X), gm.n_parameters_, gm.score_samples(X).sum()]).all()
        assert gm._repr_html_().startswith("<div><p><strong>Gaussian mixture, ") and gm.summary(X) and repr(gm)
        assert (pickle.loads(pickle.dumps(gm)).means_ == copy.deepcopy(gm).means_).all()
        assert GaussianMixture().set_params(**gm.get_params()).covariance_type == kind
GaussianMixture(2, random_state=0, progress=True, verbose=2).fit(X)
for action, kinds in ((lambda: GaussianMixture().predict(X), (gaussmix.NotFittedError, ValueError, AttributeError)),
                      (lambda: GaussianMixture(n_components=0).fit(X), (ValueError, TypeError)),
                      (lambda: GaussianMixture().to_sklearn(), (ImportError,))):
    try:
        action()
        raise SystemExit("nothing raised")
    except Exception as error:
        assert all(isinstance(error, kind) for kind in kinds), error
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    GaussianMixture(2, random_state=0, max_iter=1).fit(X)
assert [warning.category for warning in caught] == [gaussmix.ConvergenceWarning] and issubclass(gaussmix.ConvergenceWarning, UserWarning)
"""


def test_everything_works_where_scikit_learn_is_not_installed():
    done = subprocess.run([sys.executable, "-c", NOT_INSTALLED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "start 0: iteration" in done.stderr and "Initialization converged" in done.stdout

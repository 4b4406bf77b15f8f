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

"""What R's mclust reaches on five real data sets, from the same labels (tests/data/reference/README.md)."""

import csv
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from direct import full_covariances, log_joint
from gaussmix import CollapseWarning, ConvergenceWarning, GaussianMixture, SpuriousOptimumWarning

REFERENCE = Path(__file__).parent / "data" / "reference"
SETS = ("acidity", "diabetes", "faithful", "iris", "quakes")
STRUCTURES = {"EEE": "tied", "VVI": "diag", "VII": "spherical", "VVV": "full"}
IN_ONE_DIMENSION = {"E": "tied", "V": "full"}  # what mclust calls them where D = 1
CLOSE = 1e-6  # of a log-likelihood


def reference():
    for name in SETS:
        with open(REFERENCE / f"{name}.mclust.csv", newline="") as file:
            for row in csv.DictReader(file):
                if row["model"] in (IN_ONE_DIMENSION if name == "acidity" else STRUCTURES):
                    figures = None if row["loglik"] == "NA" else (float(row["loglik"]), float(row["bic"]))
                    yield pytest.param(name, row["model"], int(row["G"]), int(row["n_parameters"]), figures,
                                       id=f"{name}-{row['model']}-{row['G']}")


CASES = list(reference())


def test_every_case_is_there():
    assert len(CASES) == 4 * 4 * 9 + 2 * 9


def read(name, what):
    return np.loadtxt(REFERENCE / f"{name}{what}.csv", delimiter=",", ndmin=2)


def fit(name, model, n_components):
    """EM from mclust's labels; the data, the fit, and whether a component collapsed on the way."""
    X = read(name, "")
    labels = read(name, ".init")[:, n_components - 1].astype(int) - 1
    structure = (IN_ONE_DIMENSION if name == "acidity" else STRUCTURES)[model]
    estimator = GaussianMixture(n_components, covariance_type=structure, init_params=labels, reg_covar=0, tol=1e-13, max_iter=5000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X)
    assert all(issubclass(w.category, ConvergenceWarning) for w in caught)
    kinds = [w.category for w in caught]
    return X, estimator, any(issubclass(kind, CollapseWarning) and not issubclass(kind, SpuriousOptimumWarning) for kind in kinds)


@pytest.mark.parametrize("name, model, n_components, n_parameters, figures", CASES)
def test_the_log_likelihood_that_mclust_reaches(name, model, n_components, n_parameters, figures):
    if figures is None:
        check_defined(name, model, n_components)
        return
    X, estimator, collapsed = fit(name, model, n_components)
    expected, bic = figures
    parameters = estimator.weights_, estimator.means_, full_covariances(estimator)
    log_likelihood = logsumexp(log_joint(X, *parameters), axis=1).sum()
    near = CLOSE * abs(expected)
    if abs(log_likelihood - expected) <= near:
        assert estimator.bic(X) == pytest.approx(-bic, abs=2 * near)
    else:  # it went on where mclust stopped, on the same path
        path = len(X) * np.array(estimator.history_)
        assert log_likelihood > expected
        assert np.abs(path - expected).min() <= near
    assert estimator.bic(X) == pytest.approx(-2 * log_likelihood + n_parameters * math.log(len(X)), rel=1e-12)
    assert log_likelihood >= len(X) * estimator.history_[-1] - 1e-9 * abs(log_likelihood)
    assert np.diff(estimator.history_).min(initial=0) >= -1e-12 * abs(estimator.history_[-1])
    if collapsed:
        assert not estimator.converged_


def check_defined(name, model, n_components):
    """Where mclust stopped on a singular covariance: an error, a warning that names the component, or a proper result."""
    try:
        _, estimator, collapsed = fit(name, model, n_components)
    except ValueError as error:
        assert "singular" in str(error) or "no rows" in str(error)
        return
    for array in (estimator.weights_, estimator.means_, estimator.covariances_, estimator.precisions_, estimator.history_):
        assert np.isfinite(array).all()
    assert np.linalg.eigvalsh(full_covariances(estimator)).min() > 0
    if collapsed:
        assert not estimator.converged_

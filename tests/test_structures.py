"""Structures: their names, how many free parameters they have, and what they make of second moments."""

import pickle

import numpy as np
import pytest

from gaussmix.statistics import Kind, Statistics
from gaussmix.structures import registered, structure_named

NAMES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


def test_each_has_scikit_learns_name_and_mclusts():
    assert {structure.name: structure.alias for structure in registered()} == NAMES
    for name, alias in NAMES.items():
        assert structure_named(name) is structure_named(alias)


@pytest.mark.parametrize("name", ["", "FULL", "vvv", "EEI", None, 3, ["full"], b"full"])
def test_others_are_refused_by_a_list_of_those_there_are(name):
    with pytest.raises(ValueError, match="covariance_type must be one of 'full' .*'VII'.*, not "):
        structure_named(name)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (3, 4), (7, 10)])
@pytest.mark.parametrize("name", NAMES)
def test_free_parameters_are_those_that_can_be_chosen(name, shape):
    K, D = shape
    matrices = {"full": K, "tied": 1}.get(name, 0)
    triangle = len(np.tril_indices(D)[0])
    covariances = matrices * triangle + {"diag": K * D, "spherical": K}.get(name, 0)
    assert structure_named(name).n_covariance_parameters(K, D) == covariances
    assert structure_named(name).n_parameters(K, D) == covariances + K * D + K - 1


@pytest.mark.parametrize("added", [0.0, 0.25, np.array([0.5, 0.25, 2.0])])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_added_is_added_to_each_variance_before_they_are_constrained(name, added):
    structure = structure_named(name)
    variances = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    statistics = Statistics(structure.moments, 2, 3)
    statistics.weight[...] = 1.0
    matrices = variances[:, :, None] * np.eye(3) + 0.125 * (1 - np.eye(3))
    statistics.second[...] = {Kind.FULL: matrices, Kind.TIED: matrices.sum(axis=0)[None], Kind.DIAG: variances}[structure.moments]
    parameters, singular = structure.maximize(statistics, added=added)
    assert singular == -1
    more = matrices + added * np.eye(3)
    of_features = variances + added
    expected = {"full": more, "tied": more.mean(axis=0), "diag": of_features, "spherical": of_features.mean(axis=1)}[name]
    np.testing.assert_allclose(parameters.covariances, expected, rtol=1e-15)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_densities_pickle_to_the_bit(name, protocol):
    """Which is what travels to a worker; means_rest too, which only a fit knows."""
    rng = np.random.default_rng(0)
    structure = structure_named(name)
    statistics = Statistics(structure.moments, 2, 3)
    statistics.reference[...], statistics.weight[...] = 1e9 + rng.normal(size=(2, 3)), [2.0, 3.0]
    statistics.first[...], statistics.second[...] = rng.normal(size=(2, 3)), 9 * (np.eye(3) if structure.moments != Kind.DIAG else 1)
    parameters, singular = structure.maximize(statistics)
    assert singular == -1 and parameters.densities.means_rest.any()
    for kept in (parameters, parameters.densities):
        back = pickle.loads(pickle.dumps(kept, protocol))
        densities = getattr(back, "densities", back)
        for attribute in ("means", "means_rest", "factors", "log_constants", "log_norms"):
            np.testing.assert_array_equal(getattr(densities, attribute), getattr(parameters.densities, attribute))
    back = pickle.loads(pickle.dumps(parameters, protocol))
    np.testing.assert_array_equal(back.weights, parameters.weights)
    np.testing.assert_array_equal(back.covariances, parameters.covariances)

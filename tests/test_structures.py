"""Structures: their names, how many free parameters they have, and what they make of second moments."""

import numpy as np
import pytest

from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind
from gaussmix.structures import STRUCTURES, structure_named

NAMES = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


def test_each_has_scikit_learns_name_and_mclusts():
    assert {structure.name: structure.alias for structure in STRUCTURES} == NAMES
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
    parameters = Parameters(structure.kind, 2, 3)
    parameters.weights[...] = 0.5
    variances = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    before = {Kind.FULL: variances[:, :, None] * np.eye(3) + 0.125 * (1 - np.eye(3)), Kind.TIED: np.diag(variances[0])[None],
              Kind.DIAG: variances}[structure.kind]
    parameters.covariances[...] = before
    assert structure.m_step(added, 3).regularize(parameters) == -1
    expected = before + (added if structure.kind == Kind.DIAG else added * np.eye(3))
    if name == "spherical":
        expected = np.repeat(expected.mean(axis=1, keepdims=True), 3, axis=1)
    np.testing.assert_allclose(parameters.covariances, expected, rtol=1e-15)

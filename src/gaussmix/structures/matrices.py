"""Full and tied covariances: matrices without constraints."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.linalg import gram
from gaussmix._core.mstep import MatrixMStep, MStep
from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind
from gaussmix.structures.structure import Structure, Table, check_symmetric, inverses, inverses_of_squares

__all__ = ["Full", "Tied"]


class Full(Structure):
    """Each component has a covariance matrix of its own."""

    name, alias = "full", "VVV"

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features, n_features

    def precisions_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return self.shape(n_components, n_features)

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def matrices(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> NDArray[np.float64]:
        return covariances

    def m_step_of(self, added: NDArray[np.float64]) -> MStep:
        return MatrixMStep(added)

    def check(self, covariances: NDArray[np.float64], name: str = "covariances", tolerance: float = 1e-9) -> None:
        check_symmetric(covariances, name, tolerance)

    def precisions(self, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        factors = parameters.densities.factors
        return np.swapaxes(factors, 1, 2).copy(), gram(factors)

    def from_precisions(self, precisions: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return inverses(precisions, name)

    def from_roots(self, roots: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return inverses_of_squares(roots, name)


class Tied(Full):
    """All components have the same covariance matrix."""

    name, alias = "tied", "EEE"
    shared = True
    moments = factors = Kind.TIED

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_features, n_features

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def matrices(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> NDArray[np.float64]:
        return np.broadcast_to(covariances, (n_components, n_features, n_features))

    def factorize(self, parameters: Parameters) -> int:
        return parameters.densities.factorize(parameters.weights, parameters.covariances[None])

    def tables(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> Iterator[Table]:
        yield "Covariance of every component", "features", covariances

    def precisions(self, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        factors = parameters.densities.factors
        return factors[0].T.copy(), gram(factors)[0]

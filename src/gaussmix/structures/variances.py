"""Diagonal and spherical covariances: features that do not correlate within a component."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.memory import read_only
from gaussmix._core.mstep import DiagonalMStep, MStep, SphericalMStep
from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind
from gaussmix.structures.structure import Structure, Table

__all__ = ["Diagonal", "Spherical"]


class Diagonal(Structure):
    """Each component has a variance for each feature."""

    name, alias = "diag", "VVI"
    moments = factors = Kind.DIAG

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return n_components, n_features

    def precisions_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return self.shape(n_components, n_features)

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def matrices(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> NDArray[np.float64]:
        return read_only(self.variances(covariances, n_components, n_features)[:, :, None] * np.eye(n_features))

    def variances(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> NDArray[np.float64]:
        return covariances

    def root(self, covariances: NDArray[np.float64], shape: tuple[int, int], component: int) -> NDArray[np.float64]:
        return np.diag(np.sqrt(self.variances(covariances, *shape)[component]))

    def m_step_of(self, added: NDArray[np.float64]) -> MStep:
        return DiagonalMStep(added)

    def factorize(self, parameters: Parameters) -> int:
        shape = parameters.n_components, parameters.n_features
        return parameters.densities.factorize(parameters.weights, np.ascontiguousarray(self.variances(parameters.covariances, *shape)))

    def least_rows(self, n_features: int) -> int:
        return 2

    def tables(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> Iterator[Table]:
        yield "Variances", "components", covariances

    def precisions(self, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        factors = parameters.densities.factors
        return factors, factors**2

    def from_precisions(self, precisions: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        if not (precisions > 0).all():
            k = int(np.argwhere(~(precisions > 0))[0][0])
            raise ValueError(f"{name} must be positive, but {name}[{k}] is {precisions[k]}")
        with np.errstate(over="ignore"):  # a result that is not finite is refused when it is factorized
            return 1 / precisions

    def from_roots(self, roots: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", over="ignore"):
            covariances: NDArray[np.float64] = 1 / roots**2
            return covariances


class Spherical(Diagonal):
    """Each component has one variance, the same in every direction. It is the mean of the diagonal."""

    name, alias = "spherical", "VII"

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        return n_components

    def variances(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> NDArray[np.float64]:
        return np.broadcast_to(covariances[:, None], (n_components, n_features))

    def m_step_of(self, added: NDArray[np.float64]) -> MStep:
        return SphericalMStep(added)

    def tables(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> Iterator[Table]:
        yield "Variances", "components", covariances[:, None]

    def precisions(self, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        roots = parameters.densities.factors[:, 0]
        return roots, roots**2

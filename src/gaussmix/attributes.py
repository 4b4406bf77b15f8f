"""scikit-learn's attributes of a fitted mixture, and the mixture that such attributes make where a user has set them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.linalg import gram
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import shown
from gaussmix.mixture import Mixture
from gaussmix.statistics import Kind
from gaussmix.structures import Structure, structure_named

__all__ = ["attributes_of", "mixture_of"]

ROUNDING = 1e-6  # so small a part of a matrix's largest number may stand where there should be a zero


def attributes_of(mixture: Mixture, real: type[np.floating[Any]]) -> dict[str, NDArray[np.floating[Any]]]:
    """
    A mixture as scikit-learn's attributes.

    Parameters
    ----------
    mixture : Mixture
    real : type
        float32 or float64. An array that float32 cannot hold is of float64 all the same.

    Returns
    -------
    dict of ndarray
        `weights_`, `means_`, `covariances_`, `precisions_cholesky_` and `precisions_`, in the shapes of the mixture's structure.
    """
    p, shown = mixture._parameters, structure_named(mixture.covariance_type).shown
    precisions_cholesky, precisions = _precisions(p)
    arrays = {"weights_": p.weights, "means_": p.means, "covariances_": shown(p.covariances),
              "precisions_cholesky_": shown(precisions_cholesky), "precisions_": shown(precisions)}
    return {name: array.astype(real if _fits(array, real) else np.float64) for name, array in arrays.items()}


def _precisions(parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Upper Cholesky factors of the precisions, and the precisions, in the shape that Parameters keep covariances in."""
    factors = parameters.densities.factors
    if parameters.kind == Kind.DIAG:
        return factors, factors**2
    return np.swapaxes(factors, 1, 2).copy(), gram(factors)


def _fits(array: NDArray[np.float64], real: type[np.floating[Any]]) -> bool:
    """Whether all numbers lie in a type's range, neither too large for it nor so small that it would round them coarsely."""
    if real == np.float64:
        return True
    sizes = np.abs(array[array != 0])
    return bool(not sizes.size or np.finfo(real).tiny <= sizes.min() and sizes.max() <= np.finfo(real).max)


def mixture_of(structure: Structure, weights: ArrayLike | None, means: ArrayLike | None,
               precisions_cholesky: ArrayLike | None = None, covariances: ArrayLike | None = None) -> Mixture:
    """
    The mixture of attributes that were set by hand.

    Parameters
    ----------
    structure : Structure
    weights, means : array_like
        `weights_` and `means_`.
    precisions_cholesky : array_like, optional
        `precisions_cholesky_`, in the shape of the structure: upper triangular as scikit-learn's, or lower triangular, R_k of which
        R_k R_kᵀ is the precision.
    covariances : array_like, optional
        `covariances_`, in the shape of the structure, where there are no `precisions_cholesky`.

    Returns
    -------
    Mixture

    Raises
    ------
    ValueError
        Naming the attribute that is of another shape, not finite, or not what its name says.
    """
    means = _numbers("means_", means)
    if means.ndim != 2 or not means.size:
        raise ValueError(f"means_ must be of shape (K, D), not {means.shape}")
    parameters = Parameters(structure.kind, *means.shape)
    parameters.weights[...], parameters.means[...] = _weights(weights, len(means)), means
    shape = structure.shape(*means.shape)
    if precisions_cholesky is None:
        name, sick = "covariances_", "not positive definite"
        matrices = _numbers(name, covariances, shape)
        if structure.kind != Kind.DIAG:
            _check_symmetric(name, matrices, 1e-3 if np.asarray(covariances).dtype == np.float32 else 1e-9)
    else:
        name, sick = "precisions_cholesky_", "singular, or too large or small for double precision"
        matrices = _covariances(name, _numbers(name, precisions_cholesky, shape), structure.kind)
    parameters.covariances[...] = structure.kept(matrices.reshape(shape))
    singular = parameters.factorize()
    if singular >= 0:
        raise ValueError(f"{name}{'' if structure.kind == Kind.TIED else f'[{singular}]'} is {sick}")
    return Mixture.from_parameters(parameters, structure.name)


def _numbers(name: str, value: ArrayLike | None, shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """A float64 array of finite real numbers."""
    wanted = f"{name} must be an array of real numbers{'' if shape is None else f', of shape {shape}'}"
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiubO" or array.ndim == 0:
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{wanted}, not {shown(value)}") from None
    if shape is not None and array.shape != shape:
        raise ValueError(f"{wanted}, not {array.shape}")
    if not np.isfinite(array).all():
        where = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0]))
        raise ValueError(f"{name} must be finite, but {name}[{where}] is not")
    return array


def _weights(value: ArrayLike | None, n_components: int) -> NDArray[np.float64]:
    weights = _numbers("weights_", value, (n_components,))
    if (weights < 0).any():
        k = int(np.argmax(weights < 0))
        raise ValueError(f"weights_ must not be negative, but weights_[{k}] is {weights[k]:g}")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not abs(total - 1) <= (1e-4 if np.asarray(value).dtype == np.float32 else 1e-6):
        raise ValueError(f"weights_ must sum to one, but they sum to {total:.9g}")
    return weights


def _check_symmetric(name: str, matrices: NDArray[np.float64], tolerance: float) -> None:
    for k, matrix in enumerate(matrices.reshape(-1, *matrices.shape[-2:])):
        with np.errstate(over="ignore"):
            symmetric = np.allclose(matrix, matrix.T, rtol=1e-6, atol=tolerance * np.abs(matrix).max())
        if not symmetric:
            raise ValueError(f"{name}{f'[{k}]' if matrices.ndim == 3 else ''} is not symmetric")


def _covariances(name: str, roots: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    """Σ = R⁻ᵀ R⁻¹ of each R; not finite where there is none."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if kind == Kind.DIAG:
            return 1 / roots**2
        covariances = []
        for k, root in enumerate(roots.reshape(-1, *roots.shape[-2:])):
            if all(np.abs(part).max() > ROUNDING * np.abs(root).max() for part in (np.tril(root, -1), np.triu(root, 1))):
                raise ValueError(f"{name}{f'[{k}]' if roots.ndim == 3 else ''} must be triangular, as a Cholesky factor is")
            try:
                half = np.linalg.inv(root)
            except np.linalg.LinAlgError:
                half = np.full_like(root, np.inf)
            covariances.append(half.T @ half)
        return np.array(covariances)

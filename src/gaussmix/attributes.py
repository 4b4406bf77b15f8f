"""scikit-learn's attributes of a fitted mixture, and the mixture that these attributes describe where a user has set them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix.observations import shown
from gaussmix.mixture import Mixture
from gaussmix.structures import Structure

__all__ = ["attributes_of", "mixture_of"]


def attributes_of(mixture: Mixture, real: type[np.floating[Any]]) -> dict[str, NDArray[np.floating[Any]]]:
    """
    Convert a mixture to scikit-learn's attributes.

    Parameters
    ----------
    mixture : Mixture
    real : type
        float32 or float64. An array that float32 cannot hold becomes float64 in either case.

    Returns
    -------
    dict of ndarray
        `weights_`, `means_`, `covariances_`, `precisions_cholesky_` and `precisions_`, in the shapes of the mixture's structure.
    """
    p = mixture._parameters
    precisions_cholesky, precisions = mixture.structure.precisions(p)
    arrays = {"weights_": p.weights, "means_": p.means, "covariances_": p.covariances, "precisions_cholesky_": precisions_cholesky,
              "precisions_": precisions}
    return {name: array.astype(real if _fits(array, real) else np.float64) for name, array in arrays.items()}


def _fits(array: NDArray[np.float64], real: type[np.floating[Any]]) -> bool:
    """Whether all numbers lie in the range of a type: none is too large for it, or so small that it would be rounded coarsely."""
    if real == np.float64:
        return True
    sizes = np.abs(array[array != 0])
    return bool(not sizes.size or np.finfo(real).tiny <= sizes.min() and sizes.max() <= np.finfo(real).max)


def mixture_of(structure: Structure, weights: ArrayLike | None, means: ArrayLike | None,
               precisions_cholesky: ArrayLike | None = None, covariances: ArrayLike | None = None) -> Mixture:
    """
    Make the mixture that attributes describe which a user has set.

    Parameters
    ----------
    structure : Structure
    weights, means : array_like
        `weights_` and `means_`.
    precisions_cholesky : array_like, optional
        `precisions_cholesky_`, in the shape of the structure. The factors R_k, whose R_k R_kᵀ are the precisions, may be upper
        triangular as in scikit-learn, or lower triangular.
    covariances : array_like, optional
        `covariances_`, in the shape of the structure. They are used where there are no `precisions_cholesky`.

    Returns
    -------
    Mixture

    Raises
    ------
    ValueError
        Where an attribute has another shape, is not finite, or is not what its name says; the message names it.
    """
    means = _numbers("means_", means)
    if means.ndim != 2 or not means.size:
        raise ValueError(f"means_ must be of shape (K, D), a row for each component and a column for each feature, not {means.shape}")
    parameters = structure.parameters(*means.shape)
    parameters.weights[...], parameters.means[...] = _weights(weights, len(means)), means
    if precisions_cholesky is None:
        name, sick = "covariances_", "not positive definite: the variance in some direction is negative, or zero to double precision"
        parameters.covariances[...] = _numbers(name, covariances, parameters.covariances.shape)
        structure.check(parameters.covariances, name, 1e-3 if np.asarray(covariances).dtype == np.float32 else 1e-9)
    else:
        name, sick = "precisions_cholesky_", "singular, or too large or small for double precision"
        roots = _numbers(name, precisions_cholesky, structure.precisions_shape(*means.shape))
        parameters.covariances[...] = structure.from_roots(roots, name)
    singular = structure.factorize(parameters)
    if singular >= 0:
        raise ValueError(f"{structure.place(name, singular)} is {sick}")
    return Mixture.from_parameters(parameters, structure)


def _numbers(name: str, value: ArrayLike | None, shape: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Return a float64 array of finite real numbers, or raise ValueError."""
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

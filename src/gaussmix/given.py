"""What a user gives EM to start from: labels or responsibilities, weights, means and precisions; checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks, as_reals
from gaussmix.engines import Threads
from gaussmix.exceptions import InvalidParameterError, in_use
from gaussmix.initialization import STARTS, Allotment, Chosen, given_labels, given_responsibilities
from gaussmix.structures import Structure

__all__ = ["checked_parameters", "insert_parameters", "start_of"]


def start_of(init_params: str | ArrayLike, blocks: Blocks, n_components: int, rng: np.random.Generator,
             threads: Threads) -> Allotment | Chosen:
    """
    The start that `init_params` names or holds.

    Parameters
    ----------
    init_params : str or array_like
    blocks : Blocks
    n_components : int
    rng : numpy.random.Generator
    threads : Threads

    Returns
    -------
    callable or Chosen
        An `Allotment` or rows as means (`Chosen`).

    Raises
    ------
    ValueError
        Where an array holds neither labels nor responsibilities of these rows.
    """
    if isinstance(init_params, str):
        return STARTS[init_params](blocks, n_components, rng, threads)
    try:
        array = np.asarray(init_params)
    except ValueError:  # lists of different lengths
        array = np.empty((), dtype=object)
    if array.shape == (blocks.n_rows,) and array.dtype.kind in "iu":
        if array.min() < 0 or array.max() >= n_components:
            raise ValueError(f"init_params: labels must be from 0 to {n_components - 1}, not from {array.min()} to {array.max()}")
        return given_labels(np.require(array, np.int32, ["C", "A"]))
    if array.shape == (blocks.n_rows, n_components) and array.dtype.kind in "fiub":
        return given_responsibilities(_checked_responsibilities(as_reals(array, name="init_params")))
    raise in_use(InvalidParameterError)(
        f"init_params as an array must hold whole-number labels, shape ({blocks.n_rows},), or responsibilities, "
        f"shape ({blocks.n_rows}, {n_components}), not {array.dtype} of shape {array.shape}")


def _checked_responsibilities(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(shares).all() or (shares < 0).any():
        row = int(np.argmax((~np.isfinite(shares) | (shares < 0)).any(axis=1)))
        raise ValueError(f"init_params: responsibilities must be finite and not negative, but row {row} holds {shares[row]}")
    with np.errstate(over="ignore"):
        sums = shares.sum(axis=1)
    if not np.allclose(sums, 1, rtol=0, atol=1e-6):
        row = int(np.argmax(np.abs(sums - 1)))
        raise ValueError(f"init_params: the responsibilities of each row must sum to one; those of row {row} sum to {sums[row]:g}")
    return shares


def checked_parameters(
        weights: ArrayLike | None, means: ArrayLike | None, precisions: ArrayLike | None, structure: Structure, n_components: int,
        n_features: int) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """
    `weights_init`, `means_init` and `precisions_init` as arrays.

    Parameters
    ----------
    weights, means, precisions : array_like or None
    structure : Structure
    n_components, n_features : int

    Returns
    -------
    weights : ndarray, shape (K,), or None
    means : ndarray, shape (K, D), or None
    covariances : ndarray or None
        Of the precisions, as the structure keeps them.

    Raises
    ------
    ValueError
        Where one is of another shape or not finite, weights are negative or do not sum to one, or a precision is not
        positive definite.
    """
    return (None if weights is None else _checked_weights(weights, n_components),
            None if means is None else _array("means_init", means, (n_components, n_features)),
            None if precisions is None else structure.from_precisions(
                _array("precisions_init", precisions, structure.precisions_shape(n_components, n_features)), "precisions_init"))


def insert_parameters(start: Parameters, structure: Structure, weights: NDArray[np.float64] | None, means: NDArray[np.float64] | None,
                      covariances: NDArray[np.float64] | None) -> None:
    """Overwrite what is given of a start, and factorize it."""
    if weights is not None:
        start.weights[...] = weights
    if means is not None:
        start.means[...] = means
        start.densities.means_rest[...] = 0
    if covariances is not None:
        start.covariances[...] = covariances
    singular = structure.factorize(start)
    if singular >= 0:
        raise ValueError(f"{structure.place('precisions_init', singular)} is too close to singular, or too large or small, for double precision")


def _checked_weights(weights: ArrayLike, n_components: int) -> NDArray[np.float64]:
    array = _array("weights_init", weights, (n_components,))
    if (array < 0).any() or (array > 1).any():
        k = int(np.argmax((array < 0) | (array > 1)))
        raise ValueError(f"weights_init must be in the range from 0 to 1, but weights_init[{k}] is {array[k]:g}")
    if not abs(array.sum() - 1) <= (1e-6 if np.asarray(weights).dtype == np.float32 else 1e-8):
        raise ValueError(f"weights_init must sum to one, but they sum to {array.sum():.9g}")
    return array


def _array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        array = as_reals(value, name=name)
        if array.ndim == 0:
            raise TypeError
    except TypeError:
        raise in_use(InvalidParameterError)(f"{name} must be an array of real numbers, of shape {shape}") from None
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    if not np.isfinite(array).all():
        where = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0]))
        raise ValueError(f"{name} must be finite, but {name}[{where}] is not")
    return array

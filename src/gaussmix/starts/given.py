"""Starts that a user gives, after checks: labels, responsibilities, or some or all parameters."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.parameters import Parameters
from gaussmix.exceptions import InvalidParameterError, in_use
from gaussmix.observations import as_reals, shown
from gaussmix.problem import Problem
from gaussmix.starts.start import Labels, Responsibilities, Start, under_assignment
from gaussmix.structures import Structure

__all__ = ["FromLabels", "FromParameters", "FromResponsibilities", "PartlyGiven", "given_assignment"]


class FromLabels:
    """
    Start from the component of every row.

    Parameters
    ----------
    labels : ndarray, shape (N,), int32
        From 0 to K − 1.
    """

    has_covariances = True

    def __init__(self, labels: NDArray[np.int32]) -> None:
        self.labels = labels

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        return under_assignment(problem, Labels(self.labels))


class FromResponsibilities:
    """
    Start from the responsibilities of every row.

    Parameters
    ----------
    responsibilities : ndarray, shape (N, K), float64
    """

    has_covariances = True

    def __init__(self, responsibilities: NDArray[np.float64]) -> None:
        self.responsibilities = responsibilities

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        shares = self.responsibilities
        return under_assignment(problem, Responsibilities(lambda block: shares[block.start:block.start + len(block.rows.array)]))


class FromParameters:
    """
    Start from parameters, such as those of an earlier fit.

    Parameters
    ----------
    parameters : Parameters
        Factorized.
    """

    has_covariances = True

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        return self.parameters.copy()


class PartlyGiven:
    """
    Start from given weights, means or covariances. Those that are not given come from another start.

    Parameters
    ----------
    weights : ndarray, shape (K,), or None
    means : ndarray, shape (K, D), or None
    covariances : ndarray or None
        As the structure keeps them.
    otherwise : Start
    """

    def __init__(self, weights: NDArray[np.float64] | None, means: NDArray[np.float64] | None, covariances: NDArray[np.float64] | None,
                 otherwise: Start) -> None:
        self.weights, self.means, self.covariances, self.otherwise = weights, means, covariances, otherwise
        self.has_covariances = covariances is not None or otherwise.has_covariances

    @classmethod
    def checked(cls, weights: ArrayLike | None, means: ArrayLike | None, precisions: ArrayLike | None, otherwise: Start,
                structure: Structure, shape: tuple[int, int]) -> Self:
        """
        The start of what a user gives as `weights_init`, `means_init` and `precisions_init`.

        Parameters
        ----------
        weights, means, precisions : array_like or None
        otherwise : Start
        structure : Structure
        shape : (int, int)
            K and D.

        Returns
        -------
        PartlyGiven

        Raises
        ------
        ValueError
            Where one is of another shape or not finite, weights are negative or do not sum to one, or a precision is not
            positive definite.
        """
        return cls(None if weights is None else _checked_weights(weights, shape[0]),
                   None if means is None else _array("means_init", means, shape),
                   None if precisions is None else structure.from_precisions(
                       _array("precisions_init", precisions, structure.precisions_shape(*shape)), "precisions_init"), otherwise)

    def begin(self, problem: Problem, rng: np.random.Generator) -> Parameters:
        structure, missing = problem.structure, (self.weights is None, self.means is None, self.covariances is None)
        start = self.otherwise.begin(problem, rng) if any(missing) else structure.parameters(*problem.shape)
        if self.weights is not None:
            start.weights[...] = self.weights
        if self.means is not None:
            start.means[...] = self.means
            start.densities.means_rest[...] = 0
        if self.covariances is not None:
            start.covariances[...] = self.covariances
        singular = structure.factorize(start)
        if singular >= 0:
            raise ValueError(f"{structure.place('precisions_init', singular)} is too close to singular, or too large or small, for double "
                             "precision")
        return start


def given_assignment(value: ArrayLike, n_rows: int, n_components: int) -> FromLabels | FromResponsibilities:
    """
    The start of an array that a user gives as `init_params`.

    Parameters
    ----------
    value : array_like
        Labels, shape (N,), or responsibilities, shape (N, K).
    n_rows, n_components : int
        N and K.

    Returns
    -------
    FromLabels or FromResponsibilities

    Raises
    ------
    ValueError
        Where it holds neither labels nor responsibilities of these rows.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.empty((), dtype=object)
    if array.shape == (n_rows,) and array.dtype.kind in "iu":
        if array.min() < 0 or array.max() >= n_components:
            raise ValueError(f"init_params: labels must be from 0 to {n_components - 1}, not from {array.min()} to {array.max()}, as "
                             f"n_components is {n_components}")
        return FromLabels(np.require(array, np.int32, ["C", "A"]))
    if array.shape == (n_rows, n_components) and array.dtype.kind in "fiub":
        return FromResponsibilities(_checked_responsibilities(as_reals(array, name="init_params")))
    raise in_use(InvalidParameterError)(
        f"init_params as an array must hold whole-number labels, shape ({n_rows},), or responsibilities, "
        f"shape ({n_rows}, {n_components}), not {array.dtype} of shape {array.shape}")


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
        raise in_use(InvalidParameterError)(f"{name} must be an array of real numbers, of shape {shape}, not {shown(value)}") from None
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    if not np.isfinite(array).all():
        where = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0]))
        raise ValueError(f"{name} must be finite, but {name}[{where}] is not")
    return array

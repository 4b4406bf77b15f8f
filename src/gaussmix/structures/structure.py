"""The base class of covariance structures. A new structure is a subclass; `register` makes it known by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.linalg import gram, whiten
from gaussmix._core.mstep import MStep, MStepWithPrior
from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind, Statistics

__all__ = ["Prior", "Structure", "Table", "check_symmetric", "inverses", "inverses_of_squares"]

ROUNDING = 1e-6  # a number where a zero should be may be at most this part of the largest number of its matrix

Table = tuple[str, str, NDArray[np.float64]]


class Prior(Protocol):
    """
    Prior knowledge of the parameters, given as the statistics of imaginary rows.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import Statistics
    >>> from gaussmix.functional import m_step, moments
    >>> class OneRowAtZero:  # and a row's scatter of 1, for every component
    ...     def statistics(self, reference, kind):
    ...         s = Statistics(kind, *reference.shape)
    ...         s.weight[:], s.second[:] = 1.0, 1.0
    ...         return s.translated(reference)
    >>> s = moments([[3.0], [5.0]], [[1.0], [1.0]])
    >>> m_step(s).means, m_step(s, prior=OneRowAtZero()).means.round(3)
    (array([[4.]]), array([[2.667]]))
    """

    def statistics(self, reference: NDArray[np.float64], kind: Kind) -> Statistics:
        """Return new Statistics of the imaginary rows, about the given points, shape (K, D), with second moments of a kind."""

    def log_density(self, mixture: Any) -> float:
        """Return the logarithm of the prior density of a mixture's parameters, up to a constant."""


class Structure:
    """
    A constraint on covariances: how they are stored, estimated from Statistics, shown and counted.

    A subclass defines its names, `shape`, `n_covariance_parameters`, `matrices` and `covariances`. All other methods are defined
    by means of these, and a subclass may replace them by faster ones.

    Attributes
    ----------
    name : str
        scikit-learn's name, or a new one.
    alias : str
        mclust's name. Its letters stand for volume, shape and orientation: each is Equal, Variable or the Identity.
    shared : bool
        Whether all components have the same covariance.
    moments : Kind
        Which second moments the M step needs.
    factors : Kind
        Which kind of factors the densities have.

    Examples
    --------
    >>> from gaussmix.structures import structure_named
    >>> diagonal = structure_named("diag")
    >>> diagonal.alias, diagonal.shape(3, 2), diagonal.n_covariance_parameters(3, 2)
    ('VVI', (3, 2), 6)
    """

    name: str
    alias: str
    shared = False
    moments = Kind.FULL
    factors = Kind.FULL

    # What a subclass must define.

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape in which Parameters, `covariances_` and model files hold K covariances in D dimensions."""
        raise NotImplementedError

    def n_covariance_parameters(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters that the covariances of K components in D dimensions have."""
        raise NotImplementedError

    def matrices(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> NDArray[np.float64]:
        """
        Return covariances as matrices, from the form in which this structure stores them.

        Parameters
        ----------
        covariances : ndarray
            Of shape `shape(K, D)`.
        n_components, n_features : int

        Returns
        -------
        ndarray, shape (K, D, D)
        """
        raise NotImplementedError

    def covariances(self, statistics: Statistics, previous: NDArray[np.float64], added: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Compute the covariances (8) of an M step, for a structure that has no compiled M step.

        Parameters
        ----------
        statistics : Statistics
            Of kind `moments`; every component has weight.
        previous : ndarray
            The covariances of the previous iteration, of shape `shape(K, D)`; zero in the first iteration. An iterative M step may
            start from them.
        added : ndarray, shape (D,)
            Amounts to add to the variances of the features.

        Returns
        -------
        ndarray
            Of shape `shape(K, D)`.
        """
        raise NotImplementedError

    # What is defined by means of these.

    def m_step(self, added: float | NDArray[np.float64], n_features: int, prior: Prior | None = None) -> MStep:
        """
        The M step under this structure.

        Parameters
        ----------
        added : float or ndarray, shape (D,)
            One amount to add to every variance, or an amount for each feature.
        n_features : int
            D.
        prior : Prior, optional
            Its statistics are added.

        Returns
        -------
        gaussmix._core.mstep.MStep
        """
        amounts = np.zeros(n_features) + added
        step = self.m_step_of(amounts)
        return step if prior is None else MStepWithPrior(amounts, step, lambda reference: prior.statistics(reference, self.moments))

    def m_step_of(self, added: NDArray[np.float64]) -> MStep:
        """Return the M step that adds these amounts, shape (D,), to the variances. A subclass may return a compiled one."""
        return _PythonMStep(added, self)

    def parameters(self, n_components: int, n_features: int) -> Parameters:
        """Allocate parameters of this structure; all of them are zero."""
        return Parameters(self.factors, n_components, n_features, self.shape(n_components, n_features))

    def factorize(self, parameters: Parameters) -> int:
        """
        Compute the factors and constants of the densities from weights, means and covariances, which must be set already.

        Parameters
        ----------
        parameters : Parameters

        Returns
        -------
        int
            −1, or the index of the first component whose covariance is singular to double precision.
        """
        shape = parameters.n_components, parameters.n_features
        covariances = np.ascontiguousarray(self.matrices(parameters.covariances, *shape))
        if self.factors == Kind.DIAG:
            covariances = np.einsum("kii->ki", covariances).copy()
        elif self.factors == Kind.TIED:
            covariances = covariances[:1]
        return parameters.densities.factorize(parameters.weights, covariances)

    def maximize(self, statistics: Statistics, previous: Parameters | None = None, prior: Prior | None = None,
                 added: float | NDArray[np.float64] = 0.0) -> tuple[Parameters, int]:
        """
        Make an M step: (11), (7) and (8) under this structure.

        Parameters
        ----------
        statistics : Statistics
            Of kind `moments`.
        previous : Parameters, optional
            The parameters of the previous iteration.
        prior : Prior, optional
            Its statistics are added.
        added : float or ndarray, shape (D,)
            As in `m_step`.

        Returns
        -------
        parameters : Parameters
        singular : int
            −1, or the index of the first component that has no weight or a singular covariance. In that case the parameters must
            not be used.
        """
        shape = statistics.n_components, statistics.n_features
        parameters = self.parameters(*shape) if previous is None else previous.copy()
        return parameters, self.m_step(added, shape[1], prior).maximize(statistics, parameters)

    def points(self, means: NDArray[np.float64], variances: float | NDArray[np.float64]) -> tuple[Parameters, int]:
        """
        Make parameters with equal weights, in which features do not correlate and have the same variances in every component.

        Parameters
        ----------
        means : ndarray, shape (K, D)
        variances : float or ndarray, shape (D,)

        Returns
        -------
        parameters : Parameters
        singular : int
            As for `maximize`.
        """
        statistics = Statistics(self.moments, *means.shape)
        statistics.reference[...], statistics.weight[...] = means, 1.0
        return self.maximize(statistics, added=variances)

    def variances(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> NDArray[np.float64]:
        """Return the variance of every feature in every component, shape (K, D)."""
        variances: NDArray[np.float64] = np.einsum("kii->ki", self.matrices(covariances, n_components, n_features))
        return variances

    def root(self, covariances: NDArray[np.float64], shape: tuple[int, int], component: int) -> NDArray[np.float64]:
        """Return the Cholesky factor, shape (D, D), of the covariance of one component; `shape` is (K, D)."""
        root: NDArray[np.float64] = np.linalg.cholesky(self.matrices(covariances, *shape)[component])
        return root

    def precision_bounds(self, parameters: Parameters) -> NDArray[np.float64]:
        """Return an upper bound of the largest eigenvalue of each Σ_k⁻¹, shape (K,), e.g. the squared Frobenius norm of L_k⁻¹."""
        squares = parameters.densities.factors**2
        bounds: NDArray[np.float64] = squares.max(axis=1) if squares.ndim == 2 else squares.sum(axis=(1, 2))
        return np.resize(bounds, parameters.n_components)  # also where one factor serves all components

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """
        Return the number of free parameters of a mixture: covariances, means, and all weights but one.

        Examples
        --------
        >>> from gaussmix.structures import structure_named
        >>> structure_named("full").n_parameters(3, 2)
        17
        """
        return self.n_covariance_parameters(n_components, n_features) + n_components * n_features + n_components - 1

    def least_rows(self, n_features: int) -> int:
        """Return how many rows a component's covariance needs to be regular; 0 where the rows of all components determine it."""
        return 0 if self.shared else n_features + 1

    def check(self, covariances: NDArray[np.float64], name: str = "covariances", tolerance: float = 1e-9) -> None:
        """
        Raise where an array of the right shape does not hold covariances.

        Parameters
        ----------
        covariances : ndarray
            Finite, of shape `shape(K, D)`.
        name : str
            What the error calls them.
        tolerance : float
            How large rounding errors may be, as a part of the largest number of a matrix.

        Raises
        ------
        ValueError
        """

    def place(self, name: str, component: int) -> str:
        """Return what an error calls the covariance of a component, where the array of covariances is called `name`."""
        return name if self.shared else f"{name}[{component}]"

    def tables(self, covariances: NDArray[np.float64], n_components: int, n_features: int) -> Iterator[Table]:
        """
        Yield covariances as tables for a person to read.

        Yields
        ------
        title : str
        rows : {"features", "components"}
            What each row stands for. The columns are the features, or a single variance.
        numbers : ndarray, shape (D, D), (K, D) or (K, 1)
        """
        for k, matrix in enumerate(self.matrices(covariances, n_components, n_features)):
            yield f"Covariance of component {k}", "features", matrix

    # Precisions are the inverses of covariances. scikit-learn's attributes and starts use them.

    def precisions_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of precisions and of their Cholesky factors."""
        return n_components, n_features, n_features

    def precisions(self, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Compute the precisions of factorized parameters, and their upper Cholesky factors.

        Parameters
        ----------
        parameters : Parameters

        Returns
        -------
        precisions_cholesky, precisions : ndarray
            Of shape `precisions_shape(K, D)`.
        """
        K, D = parameters.n_components, parameters.n_features
        factors = parameters.densities.factors
        if factors.ndim == 2:
            factors = factors[:, :, None] * np.eye(D)
        factors = np.ascontiguousarray(np.broadcast_to(factors, (K, D, D)))
        return np.swapaxes(factors, 1, 2).copy(), gram(factors)

    def from_precisions(self, precisions: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """
        Compute covariances, in the form in which this structure stores them, from precisions.

        Parameters
        ----------
        precisions : ndarray
            Finite, of shape `precisions_shape(K, D)`.
        name : str
            What the errors call them.

        Returns
        -------
        ndarray
            Of shape `shape(K, D)`.

        Raises
        ------
        ValueError
            Where a precision is not symmetric and positive definite.
        """
        return self._nearest(inverses(precisions, name))

    def from_roots(self, roots: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """
        Compute covariances, in the form in which this structure stores them, from Cholesky factors of precisions.

        Parameters
        ----------
        roots : ndarray
            Finite, of shape `precisions_shape(K, D)`. The factors R_k, whose R_k R_kᵀ are the precisions, may be upper triangular
            as in scikit-learn, or lower triangular.
        name : str
            What the errors call them.

        Returns
        -------
        ndarray
            Of shape `shape(K, D)`; not finite where a factor is singular.

        Raises
        ------
        ValueError
            Where a factor is not triangular.
        """
        return self._nearest(inverses_of_squares(roots, name))

    def _nearest(self, matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the covariances that this structure gives to components of equal weight with these scatter matrices."""
        statistics = Statistics(self.moments, *matrices.shape[:2])
        statistics.weight[...] = 1.0
        statistics.second[...] = (np.einsum("kii->ki", matrices) if self.moments == Kind.DIAG else
                                  matrices.sum(axis=0, keepdims=True) if self.moments == Kind.TIED else matrices)
        return self.maximize(statistics)[0].covariances

    def __repr__(self) -> str:
        return f"<covariance structure {self.name} ({self.alias})>"


class _PythonMStep(MStep):
    """The M step of a structure that is written in Python."""

    def __new__(cls, added: NDArray[np.float64], structure: Structure) -> Self:
        step = super().__new__(cls, added)
        step.structure = structure
        return step

    structure: Structure

    def update(self, statistics: Any, parameters: Parameters) -> int:
        structure = self.structure
        covariances = structure.covariances(statistics, parameters.covariances.copy(), self.amounts)
        if np.shape(covariances) != parameters.covariances.shape:
            raise ValueError(f"{structure.name} covariances must be of shape {parameters.covariances.shape}, not {np.shape(covariances)}")
        parameters.covariances[...] = covariances
        return structure.factorize(parameters)

    def adopt(self, parameters: Parameters) -> int:
        roots = parameters.densities.factors
        if roots.ndim == 2:
            roots = roots[:, :, None] * np.eye(roots.shape[1])
        roots = np.broadcast_to(roots, (parameters.n_components, *roots.shape[1:]))
        parameters.covariances[...] = self.structure._nearest(np.einsum("kij,klj->kil", roots, roots))
        return self.structure.factorize(parameters)


def check_symmetric(matrices: NDArray[np.float64], name: str, tolerance: float) -> None:
    """
    Raise where matrices are not symmetric up to rounding.

    Parameters
    ----------
    matrices : ndarray, shape (K, D, D) or (D, D)
        Finite.
    name : str
    tolerance : float
        How large rounding errors may be, as a part of the largest number of a matrix.

    Raises
    ------
    ValueError
    """
    size = matrices.shape[-1]
    for k, matrix in enumerate(matrices.reshape(-1, size, size)):
        with np.errstate(over="ignore"):  # the difference of numbers near the end of the range is infinite
            away = np.abs(matrix - matrix.T)
        if not (away <= tolerance * np.abs(matrix).max() + 1e-6 * np.abs(matrix.T)).all():
            raise ValueError(f"{_place(name, matrices, k)} is not symmetric: it must be its own transpose, but for rounding")


def inverses(precisions: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """
    Compute the inverses of symmetric positive definite matrices.

    Parameters
    ----------
    precisions : ndarray, shape (K, D, D) or (D, D)
    name : str
        What the errors call them.

    Returns
    -------
    ndarray, of the same shape

    Raises
    ------
    ValueError
        Where a matrix is not symmetric and positive definite.
    """
    size = precisions.shape[-1]
    factors = [_inverse_factor(precision, _place(name, precisions, k)) for k, precision in enumerate(precisions.reshape(-1, size, size))]
    return gram(np.array(factors)).reshape(precisions.shape)


def _inverse_factor(matrix: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """L⁻¹ of a matrix L Lᵀ."""
    try:
        with np.errstate(over="ignore"):
            symmetric = np.allclose(matrix, matrix.T)
        if not symmetric:
            raise ValueError
        return whiten(matrix)[0]
    except ValueError:
        raise ValueError(f"{name} must be symmetric and positive definite") from None


def inverses_of_squares(roots: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """
    Compute (R Rᵀ)⁻¹ = R⁻ᵀ R⁻¹ of triangular matrices R.

    Parameters
    ----------
    roots : ndarray, shape (K, D, D) or (D, D)
    name : str
        What the errors call them.

    Returns
    -------
    ndarray, of the same shape
        Not finite where R is singular.

    Raises
    ------
    ValueError
        Where a matrix is not triangular.
    """
    size = roots.shape[-1]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = []
        for k, root in enumerate(roots.reshape(-1, size, size)):
            if all(np.abs(part).max() > ROUNDING * np.abs(root).max() for part in (np.tril(root, -1), np.triu(root, 1))):
                raise ValueError(f"{_place(name, roots, k)} must be triangular, as a Cholesky factor is")
            try:
                half = np.linalg.inv(root)
            except np.linalg.LinAlgError:
                half = np.full_like(root, np.inf)
            found.append(half.T @ half)
        return np.array(found).reshape(roots.shape)


def _place(name: str, matrices: NDArray[np.float64], k: int) -> str:
    return f"{name}[{k}]" if matrices.ndim == 3 else name

"""Mixture: the distribution itself, immutable."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.estep import CompleteRows, Workspace
from gaussmix._core.memory import read_only
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks, as_reals, as_table, as_weights, check_finite, shown
from gaussmix.engines import Threads, resolve_threads
from gaussmix.random_state import RandomState, as_generator
from gaussmix.statistics import Kind

__all__ = ["Mixture"]

# The structures that covariances kept in each shape may have, under scikit-learn's names; the first claims the least.
COVARIANCE_TYPES = {Kind.FULL: ("full",), Kind.TIED: ("tied",), Kind.DIAG: ("diag", "spherical")}


class Mixture:
    """
    A Gaussian mixture: p(x) = Σ_k π_k N(x | μ_k, Σ_k), equation (1).

    Immutable, and independent of how it was found. Its methods follow scipy.stats.

    Parameters
    ----------
    weights : array_like, shape (K,)
        π_k ≥ 0, which sum to one (2) (3).
    means : array_like, shape (K, D)
        μ_k, in the units of the data.
    covariances : array_like, shape (K, D, D)
        Σ_k, symmetric and positive definite, in the units of the data squared.

    Attributes
    ----------
    weights : ndarray, shape (K,)
    means : ndarray, shape (K, D)
    covariances : ndarray, shape (K, D, D)
        Read-only, float64.
    covariance_type : str
        The structure that the covariances were fitted under, by scikit-learn's name; "full" where nothing is known of them.
    n_components, n_features : int

    Raises
    ------
    ValueError
        Where shapes do not fit together, weights do not sum to one, or a covariance is not symmetric and positive definite.

    Examples
    --------
    >>> from gaussmix import Mixture
    >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
    >>> m.pdf([[2.0]]).round(4)
    array([0.054])
    >>> m.responsibilities([[2.0]])
    array([[0.5, 0.5]])
    """

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> None:
        pi, mu, sigma = checked_arrays(weights, means, covariances, lambda K, D: (K, D, D))
        check_symmetric(sigma)
        parameters = Parameters(Kind.FULL, *mu.shape)
        parameters.weights[...], parameters.means[...], parameters.covariances[...] = pi, mu, sigma
        self._take(parameters, "full")

    @classmethod
    def from_parameters(cls, parameters: Parameters, covariance_type: str | None = None) -> Self:
        """
        A mixture of parameters in the compact shape of their structure, which stays how it computes.

        Its means are rounded to double; what EM knows of them beyond (`means_rest`) is left out, so that the same weights,
        means and covariances always give the same mixture.

        Parameters
        ----------
        parameters : gaussmix._core.parameters.Parameters
            Factorized, or about to be; copied.
        covariance_type : str, optional
            scikit-learn's name of their structure. None means "full", "tied" or "diag", by their shape.

        Returns
        -------
        Mixture

        Raises
        ------
        ValueError
            Where a covariance is not positive definite, or parameters of that shape have not that structure.
        """
        possible = COVARIANCE_TYPES[parameters.kind]
        if covariance_type not in (None, *possible):
            raise ValueError(f"covariance_type must be {' or '.join(map(repr, possible))} for covariances of shape "
                             f"{parameters.covariances.shape}, not {covariance_type!r}")
        own = Parameters(parameters.kind, parameters.n_components, parameters.n_features)
        own.weights[...], own.means[...] = parameters.weights, parameters.means
        own.covariances[...] = parameters.covariances
        mixture = cls.__new__(cls)
        mixture._take(own, covariance_type or possible[0])
        return mixture

    def _take(self, parameters: Parameters, covariance_type: str) -> None:
        singular = parameters.factorize()
        if singular >= 0:
            which = "" if parameters.kind == Kind.TIED else f"[{singular}]"
            raise ValueError(f"covariances{which} is not positive definite")
        parameters.freeze()
        self._parameters = parameters
        self._covariance_type = covariance_type

    @property
    def covariance_type(self) -> str:
        return self._covariance_type

    @property
    def n_components(self) -> int:
        return self._parameters.n_components

    @property
    def n_features(self) -> int:
        return self._parameters.n_features

    @property
    def weights(self) -> NDArray[np.float64]:
        return self._parameters.weights

    @property
    def means(self) -> NDArray[np.float64]:
        return self._parameters.means

    @property
    def covariances(self) -> NDArray[np.float64]:
        p = self._parameters
        if p.kind == Kind.FULL:
            return p.covariances
        if p.kind == Kind.TIED:
            return np.broadcast_to(p.covariances, (p.n_components, p.n_features, p.n_features))
        return read_only(p.covariances[:, :, None] * np.eye(p.n_features))

    def logpdf(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.floating[Any]]:
        """
        ln p(x) of every row, equation (1).

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            None means `GAUSSMIX_NUM_THREADS` if set, else the CPUs that this process may run on.

        Returns
        -------
        ndarray, shape (N,)
            float32 for float32 X, else float64.

        Raises
        ------
        ValueError
            Where X is not two-dimensional, has another number of columns than the means, or holds NaN or infinity.
        """
        return self._evaluate(X, "logpdf", n_threads)

    def pdf(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.floating[Any]]:
        """
        p(x) of every row, equation (1).

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            As for `logpdf`.

        Returns
        -------
        ndarray, shape (N,)
        """
        density: NDArray[np.floating[Any]] = np.exp(self.logpdf(X, n_threads=n_threads))
        return density

    def responsibilities(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.floating[Any]]:
        """
        γ_nk of every row and component, equation (5).

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            As for `logpdf`.

        Returns
        -------
        ndarray, shape (N, K)
            Each row sums to one.
        """
        return self._evaluate(X, "responsibilities", n_threads)

    def classify(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.intp]:
        """
        The component with the largest responsibility (5) for every row; the first of several.

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            As for `logpdf`.

        Returns
        -------
        ndarray of int, shape (N,)
        """
        return self._evaluate(X, "labels", n_threads)

    def log_likelihood(self, X: ArrayLike, sample_weight: ArrayLike | None = None, *, n_threads: int | None = None) -> float:
        """
        L = Σ_n w_n ln p(x_n), equation (6).

        Parameters
        ----------
        X : array_like, shape (N, D)
        sample_weight : array_like, shape (N,), optional
            w_n, ones by default.
        n_threads : int, optional
            As for `logpdf`.

        Returns
        -------
        float
        """
        log_p = self.logpdf(X, n_threads=n_threads).astype(np.float64, copy=False)
        weights = as_weights(sample_weight, len(log_p))
        if weights is None:
            return float(log_p.sum())
        return float((log_p[weights > 0] * weights[weights > 0]).sum())

    def rvs(self, size: int = 1, random_state: RandomState = None) -> NDArray[np.float64]:
        """
        Draw from the mixture.

        Parameters
        ----------
        size : int
            How many rows.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray, shape (size, D)
            In random order of components.
        """
        rng = as_generator(random_state)
        rows, _ = self.labelled_rvs(size, rng)
        return rows[rng.permutation(len(rows))]

    def labelled_rvs(self, size: int = 1, random_state: RandomState = None) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """
        Draw from the mixture, with the component of each row.

        Parameters
        ----------
        size : int
        random_state : None, int, RandomState or Generator

        Returns
        -------
        rows : ndarray, shape (size, D)
        labels : ndarray of int, shape (size,)
            In ascending order.

        Raises
        ------
        ValueError
            Where size is negative, or more than an array can have.
        """
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise ValueError(f"size must be a whole number of rows, not {size!r}")
        if size < 0:
            raise ValueError(f"size must not be negative, not {size}")
        if size > np.iinfo(np.intp).max // (8 * self.n_features):
            raise ValueError(f"no array can have {shown(size)} rows of {self.n_features} numbers: draw fewer")
        rng = as_generator(random_state)
        labels = np.repeat(np.arange(self.n_components), rng.multinomial(size, self.weights / self.weights.sum()))
        rows = rng.standard_normal((size, self.n_features))
        for k in range(self.n_components):
            mine = labels == k
            if mine.any():
                with np.errstate(over="ignore"):  # a row that is out of range is infinite
                    rows[mine] = self.means[k] + rows[mine] @ self._root(k).T
        return rows, labels

    def _root(self, k: int) -> NDArray[np.float64]:
        """A square root of Σ_k: its Cholesky factor."""
        p = self._parameters
        if p.kind == Kind.DIAG:
            return np.diag(np.sqrt(p.covariances[k]))
        return np.linalg.cholesky(p.covariances[0 if p.kind == Kind.TIED else k])

    @property
    def mean(self) -> NDArray[np.float64]:
        """E[x] = Σ_k π_k μ_k, shape (D,)."""
        return self.weights @ self.means

    @property
    def cov(self) -> NDArray[np.float64]:
        """Cov[x] = Σ_k π_k (Σ_k + (μ_k − E x)(μ_k − E x)ᵀ), shape (D, D); infinite where it is out of range."""
        with np.errstate(over="ignore", invalid="ignore"):
            away = self.means - self.mean
            total: NDArray[np.float64] = np.einsum("k,kij->ij", self.weights, self.covariances) + (self.weights * away.T) @ away
            return total

    def _evaluate(self, X: ArrayLike, wanted: str, n_threads: int | None) -> NDArray[Any]:
        table, _ = as_table(X)
        if table.shape[1] != self.n_features:
            raise ValueError(f"X has {table.shape[1]} features, but the mixture has {self.n_features}")
        check_finite(table)
        return evaluate(self._parameters, table, wanted, n_threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write the mixture to a model file, as `gaussmix.save` does.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            Where the file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     m.save(os.path.join(folder, "model.json"))
        ...     Mixture.load(os.path.join(folder, "model.json")) == m
        True
        """
        from gaussmix.modelfile import save

        save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """
        The mixture in a model file, whoever wrote it. The names of its columns are left out; `gaussmix.load` gives them too.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        Mixture
            It gives the same bits as the one saved.

        Raises
        ------
        OSError
            Where the file cannot be read.
        ModelFileError
            A ValueError that names the file and says where it is damaged.
        """
        from gaussmix.modelfile import load

        mixture = load(path).mixture
        return cls.from_parameters(mixture._parameters, mixture.covariance_type)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mixture) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("weights", "means", "covariances"))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        p = self._parameters
        return _restored, (int(p.kind), p.weights, p.means, p.covariances, self._covariance_type)

    def __repr__(self) -> str:
        with np.printoptions(precision=4, threshold=20, edgeitems=3):
            parts = [f"{name}={np.array2string(getattr(self, name), separator=', ', prefix=' ' * (9 + len(name)))}"
                     for name in ("weights", "means", "covariances")]
        return "Mixture(" + (",\n" + " " * 8).join(parts) + ")"


def _restored(kind: int, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str | None = None) -> Mixture:
    """
    The mixture in a pickle. One of version 0.1 holds no `covariance_type`, and its spherical covariances are known by their
    equal variances.
    """
    if np.ndim(means) != 2:
        raise ValueError(f"the means of a pickled mixture must be of shape (K, D), not {np.shape(means)}")
    parameters = Parameters(Kind(kind), *np.shape(means))
    for name, value in (("weights", weights), ("means", means), ("covariances", covariances)):
        place = getattr(parameters, name)
        if np.shape(value) != place.shape:
            raise ValueError(f"the {name} of a pickled mixture must be of shape {place.shape}, not {np.shape(value)}")
        place[...] = value
    if covariance_type is None and parameters.kind == Kind.DIAG:
        covariance_type = "spherical" if (parameters.covariances == parameters.covariances[:, :1]).all() else "diag"
    return Mixture.from_parameters(parameters, covariance_type)


def checked_arrays(weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, shape: Callable[[int, int], tuple[int, ...]],
                   ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """
    What a mixture is made of, as arrays of float64 that fit together.

    Parameters
    ----------
    weights : array_like, shape (K,)
    means : array_like, shape (K, D)
    covariances : array_like
    shape : callable
        From K and D to the shape that the covariances must have.

    Returns
    -------
    weights, means, covariances : ndarray

    Raises
    ------
    ValueError
        Where shapes do not fit together, a number is not finite, or weights are negative or do not sum to one.
    """
    weights, means, covariances = _array(weights, "weights"), _array(means, "means"), _array(covariances, "covariances")
    if means.ndim != 2 or 0 in means.shape:
        raise ValueError(f"means must be of shape (K, D), not {means.shape}")
    if weights.shape != means.shape[:1]:
        raise ValueError(f"weights must be of shape ({len(means)},), one a mean, not {weights.shape}")
    if covariances.shape != shape(*means.shape):
        raise ValueError(f"covariances must be of shape {shape(*means.shape)}, not {covariances.shape}")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if (weights < 0).any() or not abs(total - 1) <= 1e-6:
        raise ValueError(f"weights must not be negative and sum to one; they sum to {total:g}")
    return weights, means, covariances


def check_symmetric(covariances: NDArray[np.float64]) -> None:
    """
    Raise ValueError where a covariance is not symmetric but for rounding.

    Parameters
    ----------
    covariances : ndarray, shape (K, D, D) or (D, D)
        Finite.
    """
    matrices = covariances if covariances.ndim == 3 else covariances[None]
    for k, matrix in enumerate(matrices):
        with np.errstate(over="ignore"):  # numbers near the end of the range, whose difference is infinite
            away = np.abs(matrix - matrix.T)
        if not (away <= 1e-9 * np.abs(matrix).max() + 1e-6 * np.abs(matrix.T)).all():
            raise ValueError(f"covariances{f'[{k}]' if covariances.ndim == 3 else ''} is not symmetric")


def _array(value: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = as_reals(value, name=name)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return array


def evaluate(parameters: Parameters, X: NDArray[Any], wanted: str, n_threads: int | None = None) -> NDArray[Any]:
    """
    One pass that writes a result for every row.

    Parameters
    ----------
    parameters : Parameters
        Factorized.
    X : ndarray, shape (N, D)
        Finite.
    wanted : {"logpdf", "responsibilities", "labels"}
    n_threads : int, optional

    Returns
    -------
    ndarray, shape (N,) or (N, K)
    """
    blocks = Blocks(X, parameters.n_components)
    blocks.widen_for(parameters.densities)
    shape = parameters.n_components, parameters.n_features
    real = np.float32 if X.dtype == np.float32 else np.float64
    out: NDArray[Any] = np.empty((len(X), shape[0]) if wanted == "responsibilities" else len(X), np.intp if wanted == "labels" else real)
    computed: type[np.generic] = np.int32 if wanted == "labels" else np.float64
    estep = CompleteRows(parameters.kind, *shape, blocks.size, parameters.kind)
    estep.prepare(parameters.densities)
    with Threads(resolve_threads(n_threads)) as threads:
        spaces = [Workspace(*shape, blocks.size) for _ in range(min(threads.n_threads, len(blocks)))]

        def compute(worker: int, index: int) -> None:
            start, stop = blocks.bounds[index]
            part: NDArray[Any] = out[start:stop] if out.dtype == computed else np.empty((stop - start, *out.shape[1:]), computed)
            log_p, shares, labels = (part if wanted == name else None for name in ("logpdf", "responsibilities", "labels"))
            estep.evaluate(blocks.block(index).rows, log_p, shares, labels, spaces[worker])
            if out.dtype != computed:
                with np.errstate(over="ignore"):  # densities that float32 cannot hold are −∞ there
                    out[start:stop] = part

        threads.each(len(blocks), compute, lambda index, nothing: None)
    return out


def component_log_densities(parameters: Parameters, X: NDArray[Any], n_threads: int | None = None) -> NDArray[np.floating[Any]]:
    """
    ln N(x_n | μ_k, Σ_k) of every row and component: for each component the density of a mixture that is nothing else.

    Parameters
    ----------
    parameters : Parameters
        Factorized.
    X : ndarray, shape (N, D)
        Finite.
    n_threads : int, optional

    Returns
    -------
    ndarray, shape (N, K)
    """
    densities: NDArray[np.floating[Any]] = np.empty((len(X), parameters.n_components), np.float32 if X.dtype == np.float32 else np.float64)
    for k in range(parameters.n_components):
        alone = Parameters(parameters.kind, 1, parameters.n_features)
        alone.weights[...], alone.means[...] = 1.0, parameters.means[k]
        alone.covariances[...] = parameters.covariances[0 if parameters.kind == Kind.TIED else k]
        alone.factorize()
        densities[:, k] = evaluate(alone, X, "logpdf", n_threads)
    return densities

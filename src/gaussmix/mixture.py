"""Mixture: a Gaussian mixture distribution, which cannot be changed once it is made."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.estep import CompleteRows, Rows, Workspace
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Blocks
from gaussmix.engines import Threads, resolve_threads
from gaussmix.notebook import mixture_html
from gaussmix.observations import as_reals, as_table, as_weights, check_finite, shown
from gaussmix.random_state import RandomState, as_generator
from gaussmix.structures import Structure, structure_named

__all__ = ["Mixture", "component_log_densities", "joint_log_densities", "labels", "log_density", "responsibilities", "title_of"]

class Mixture:
    """
    A Gaussian mixture: p(x) = Σ_k π_k N(x | μ_k, Σ_k), equation (1).

    A Mixture is immutable, and does not depend on how its parameters were found. Its methods follow scipy.stats.

    Parameters
    ----------
    weights : array_like, shape (K,)
        π_k ≥ 0, which sum to one (2) (3).
    means : array_like, shape (K, D)
        μ_k, in the units of the data.
    covariances : array_like
        Σ_k, symmetric and positive definite, in the units of the data squared: shape (K, D, D) for full, (D, D) for tied, (K, D) for
        diag, (K,) for spherical.
    covariance_type : str, default="full"
        The structure of the covariances, by scikit-learn's or mclust's name.

    Attributes
    ----------
    weights : ndarray, shape (K,)
    means : ndarray, shape (K, D)
    covariances : ndarray, shape (K, D, D)
        Read-only, float64.
    structure : Structure
        The structure of the covariances.
    covariance_type : str
        scikit-learn's name of the structure.
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

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str = "full") -> None:
        structure = structure_named(covariance_type)
        self._take(_checked_parameters(weights, means, covariances, structure), structure)

    @classmethod
    def from_parameters(cls, parameters: Parameters, structure: Structure) -> Self:
        """
        Make a mixture from parameters, in the form in which their structure keeps them.

        Its means are rounded to double. The part of the means beyond double precision that EM keeps (`means_rest`) is left out,
        so that the same weights, means and covariances always give the same mixture.

        Parameters
        ----------
        parameters : gaussmix._core.parameters.Parameters
            They are copied, and need not be factorized.
        structure : Structure

        Returns
        -------
        Mixture

        Raises
        ------
        ValueError
            Where a covariance is not positive definite, or the shape of the covariances is not that of this structure.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> from gaussmix.structures import structure_named
        >>> spherical = structure_named("spherical")
        >>> p = spherical.parameters(1, 2)
        >>> p.weights[:], p.means[:], p.covariances[:] = 1.0, 3.0, 4.0
        >>> Mixture.from_parameters(p, spherical).cov
        array([[4., 0.],
               [0., 4.]])
        """
        own = structure.parameters(parameters.n_components, parameters.n_features)
        if own.covariances.shape != parameters.covariances.shape:
            raise ValueError(f"{structure.name} covariances are of shape {own.covariances.shape}, not {parameters.covariances.shape}")
        own.weights[...], own.means[...], own.covariances[...] = parameters.weights, parameters.means, parameters.covariances
        mixture = cls.__new__(cls)
        mixture._take(own, structure)
        return mixture

    def _take(self, parameters: Parameters, structure: Structure) -> None:
        singular = structure.factorize(parameters)
        if singular >= 0:
            raise ValueError(f"{structure.place('covariances', singular)} is not positive definite: the variance in some direction is negative, "
                             "or zero to double precision")
        parameters.freeze()
        self._parameters = parameters
        self._structure = structure

    @property
    def structure(self) -> Structure:
        return self._structure

    @property
    def densities(self) -> Densities:
        """
        The means, factors and constants that an E step reads.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.densities.n_components, m.densities.n_features
        (2, 1)
        """
        return self._parameters.densities

    @property
    def covariance_type(self) -> str:
        return self._structure.name

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
        return self._structure.matrices(self._parameters.covariances, self.n_components, self.n_features)

    def logpdf(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.floating[Any]]:
        """
        ln p(x) of every row, equation (1).

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            None means the value of `GAUSSMIX_NUM_THREADS` if it is set, else the number of CPUs that this process may run on.

        Returns
        -------
        ndarray, shape (N,)
            float32 for float32 X, else float64.

        Raises
        ------
        ValueError
            Where X is not two-dimensional, has another number of columns than the means, or holds NaN or infinity.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.logpdf([[0.0], [2.0]]).round(3)
        array([-1.612, -2.919])
        """
        return log_density(self.densities, self._checked(X), n_threads)

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

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.pdf([[0.0], [2.0]]).round(3)
        array([0.2  , 0.054])
        """
        density: NDArray[np.floating[Any]] = np.exp(self.logpdf(X, n_threads=n_threads))
        return density

    def component_logpdf(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.floating[Any]]:
        """
        ln N(x | μ_k, Σ_k) of every row and component, without the weights, as for the emissions of an HMM.

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            As for `logpdf`.

        Returns
        -------
        ndarray, shape (N, K)

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.component_logpdf([[0.0]]).round(3)
        array([[-0.919, -8.919]])
        """
        return component_log_densities(self, self._checked(X), n_threads)

    def log_joint(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.floating[Any]]:
        """
        ln π_k N(x | μ_k, Σ_k) of every row and component; −∞ where π_k is 0.

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            As for `logpdf`.

        Returns
        -------
        ndarray, shape (N, K)

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.log_joint([[0.0]]).round(3)
        array([[-1.612, -9.612]])
        """
        return joint_log_densities(self, self._checked(X), n_threads)

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

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.responsibilities([[1.0], [2.0]]).round(3)
        array([[0.982, 0.018],
               [0.5  , 0.5  ]])
        """
        return responsibilities(self.densities, self._checked(X), n_threads)

    def classify(self, X: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.intp]:
        """
        Return for every row the component with the largest responsibility (5), the first of them where several are equal.

        Parameters
        ----------
        X : array_like, shape (N, D)
        n_threads : int, optional
            As for `logpdf`.

        Returns
        -------
        ndarray of int, shape (N,)

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.classify([[1.0], [3.0]])
        array([0, 1])
        """
        return labels(self.densities, self._checked(X), n_threads)

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

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> round(m.log_likelihood([[0.0], [2.0]], sample_weight=[1, 2]), 3)
        -7.45
        """
        log_p = self.logpdf(X, n_threads=n_threads).astype(np.float64, copy=False)
        weights = as_weights(sample_weight, len(log_p))
        if weights is None:
            return float(log_p.sum())
        return float((log_p[weights > 0] * weights[weights > 0]).sum())

    def rvs(self, size: int = 1, random_state: RandomState = None) -> NDArray[np.float64]:
        """
        Draw rows from the mixture.

        Parameters
        ----------
        size : int
            How many rows.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray, shape (size, D)
            The components of the rows are in random order.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.rvs(1000, random_state=0).shape
        (1000, 1)
        """
        rng = as_generator(random_state)
        rows, _ = self.labelled_rvs(size, rng)
        return rows[rng.permutation(len(rows))]

    def labelled_rvs(self, size: int = 1, random_state: RandomState = None) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """
        Draw rows from the mixture, and return the component of each row too.

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
            Where size is negative, or an array cannot have as many rows.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> rows, labels = m.labelled_rvs(4, random_state=0)
        >>> rows.shape, labels
        ((4, 1), array([0, 0, 1, 1]))
        """
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise ValueError(f"size must be a whole number of rows, not {size!r}")
        if size < 0:
            raise ValueError(f"size must not be negative, not {size}")
        if size > np.iinfo(np.intp).max // (8 * self.n_features):
            raise ValueError(f"no array can have {shown(size)} rows of {self.n_features} numbers: draw fewer")
        rng = as_generator(random_state)
        labels = np.repeat(np.arange(self.n_components), rng.multinomial(size, self.weights / self.weights.sum()))
        rows, covariances = rng.standard_normal((size, self.n_features)), self._parameters.covariances
        shape = self.n_components, self.n_features
        for k in range(self.n_components):
            mine = labels == k
            if mine.any():
                with np.errstate(over="ignore"):  # a row that is out of range is infinite
                    rows[mine] = self.means[k] + rows[mine] @ self._structure.root(covariances, shape, k).T
        return rows, labels

    @property
    def mean(self) -> NDArray[np.float64]:
        """
        E[x] = Σ_k π_k μ_k, shape (D,).

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.mean
        array([2.])
        """
        return self.weights @ self.means

    @property
    def cov(self) -> NDArray[np.float64]:
        """
        Cov[x] = Σ_k π_k (Σ_k + (μ_k − E x)(μ_k − E x)ᵀ), shape (D, D); infinite where it is out of range.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> m.cov  # the variance within components, and that of their means
        array([[5.]])
        """
        with np.errstate(over="ignore", invalid="ignore"):
            away = self.means - self.mean
            total: NDArray[np.float64] = np.einsum("k,kij->ij", self.weights, self.covariances) + (self.weights * away.T) @ away
            return total

    def _checked(self, X: ArrayLike) -> NDArray[Any]:
        """Check that this mixture can read some rows, and return them as an array."""
        table, _ = as_table(X)
        if table.shape[1] != self.n_features:
            raise ValueError(f"X has {table.shape[1]} features, but the mixture has {self.n_features}")
        check_finite(table)
        return table

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
        Read a mixture from a model file, which another program may have written.

        The names of the columns are not read; `gaussmix.load` gives them too.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        Mixture
            Its results are the same, bit for bit, as those of the mixture that was saved.

        Raises
        ------
        OSError
            Where the file cannot be read.
        ModelFileError
            A ValueError that names the file and says where it is damaged.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     m.save(os.path.join(folder, "model.json"))
        ...     Mixture.load(os.path.join(folder, "model.json")).covariance_type
        'spherical'
        """
        from gaussmix.modelfile import load

        mixture = load(path).mixture
        return cls.from_parameters(mixture._parameters, mixture.structure)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mixture) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("weights", "means", "covariances"))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        p = self._parameters
        return Mixture, (p.weights, p.means, p.covariances, self.covariance_type)

    def __repr__(self) -> str:
        with np.printoptions(precision=4, threshold=20, edgeitems=3):
            parts = [f"{name}={np.array2string(getattr(self, name), separator=', ', prefix=' ' * (9 + len(name)))}"
                     for name in ("weights", "means", "covariances")]
        return "Mixture(" + (",\n" + " " * 8).join(parts) + ")"

    def _repr_html_(self) -> str:
        """Show a notebook a table of the components and a picture."""
        return mixture_html(title_of(self), self.weights, self.means, self.covariances)


def title_of(mixture: Mixture) -> str:
    """
    Describe a mixture in one line.

    Parameters
    ----------
    mixture : Mixture

    Returns
    -------
    str
    """
    return f"Gaussian mixture, {mixture.n_components} components, {mixture.n_features} features, {mixture.covariance_type} covariances"


def _checked_parameters(weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, structure: Structure) -> Parameters:
    """Check weights, means and covariances, and return them as parameters that are not factorized yet."""
    pi, mu, sigma = _array(weights, "weights"), _array(means, "means"), _array(covariances, "covariances")
    if mu.ndim != 2 or 0 in mu.shape:
        raise ValueError(f"means must be of shape (K, D), a row for each component and a column for each feature, not {mu.shape}")
    if pi.shape != mu.shape[:1]:
        raise ValueError(f"weights must be of shape ({len(mu)},), one for each row of means, not {pi.shape}")
    parameters = structure.parameters(*mu.shape)
    if sigma.shape != parameters.covariances.shape:
        raise ValueError(f"covariances must be of shape {parameters.covariances.shape}, as covariance_type is {structure.name!r} and means "
                         f"are of shape {mu.shape}, not {sigma.shape}")
    with np.errstate(over="ignore"):
        total = pi.sum()
    if (pi < 0).any():
        k = int(np.argmax(pi < 0))
        raise ValueError(f"weights must not be negative, but weights[{k}] is {pi[k]:g}")
    if not abs(total - 1) <= 1e-6:
        raise ValueError(f"weights must sum to one, but they sum to {total:.9g}")
    structure.check(sigma)
    parameters.weights[...], parameters.means[...], parameters.covariances[...] = pi, mu, sigma
    return parameters


def _array(value: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = as_reals(value, name=name)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not np.isfinite(array).all():
        where = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0]))
        raise ValueError(f"{name} must be finite, but {name}[{where}] is not")
    return array


def log_density(densities: Densities, X: NDArray[Any], n_threads: int | None = None) -> NDArray[np.floating[Any]]:
    """
    ln p(x_n) of every row (1).

    Parameters
    ----------
    densities : Densities
    X : ndarray, shape (N, D)
        Finite.
    n_threads : int, optional

    Returns
    -------
    ndarray, shape (N,)
        float32 for float32 X, else float64.
    """
    def fill(estep: CompleteRows, rows: Rows, part: NDArray[Any], work: Workspace) -> None:
        estep.evaluate(rows, part, None, None, work)

    return _by_block(densities, X, np.empty(len(X), _real(X)), np.float64, fill, n_threads)


def responsibilities(densities: Densities, X: NDArray[Any], n_threads: int | None = None) -> NDArray[np.floating[Any]]:
    """
    γ_nk of every row and component (5).

    Parameters
    ----------
    densities, X, n_threads
        As for `log_density`.

    Returns
    -------
    ndarray, shape (N, K)
        float32 for float32 X, else float64.
    """
    def fill(estep: CompleteRows, rows: Rows, part: NDArray[Any], work: Workspace) -> None:
        estep.evaluate(rows, None, part, None, work)

    return _by_block(densities, X, np.empty((len(X), densities.n_components), _real(X)), np.float64, fill, n_threads)


def labels(densities: Densities, X: NDArray[Any], n_threads: int | None = None) -> NDArray[np.intp]:
    """
    Return for every row the component with the largest responsibility (5), the first of them where several are equal.

    Parameters
    ----------
    densities, X, n_threads
        As for `log_density`.

    Returns
    -------
    ndarray of int, shape (N,)
    """
    def fill(estep: CompleteRows, rows: Rows, part: NDArray[Any], work: Workspace) -> None:
        estep.evaluate(rows, None, None, part, work)

    return _by_block(densities, X, np.empty(len(X), np.intp), np.int32, fill, n_threads)


def _real(X: NDArray[Any]) -> type[np.floating[Any]]:
    return np.float32 if X.dtype == np.float32 else np.float64


def _by_block(densities: Densities, X: NDArray[Any], out: NDArray[Any], computed: type[np.generic],
              fill: Callable[[CompleteRows, Rows, NDArray[Any], Workspace], None], n_threads: int | None) -> NDArray[Any]:
    """Make one pass: `fill` writes results of type `computed` for the rows of every block, which are then converted into `out`."""
    blocks = Blocks(X, densities.n_components)
    blocks.widen_for(densities)
    shape = densities.n_components, densities.n_features
    estep = CompleteRows(densities.kind, *shape, blocks.size, densities.kind)
    estep.prepare(densities)
    with Threads(resolve_threads(n_threads)) as threads:
        spaces = [Workspace(*shape, blocks.size) for _ in range(threads.n_workers(blocks.pieces()))]

        def compute(worker: int, index: int) -> None:
            start, stop = blocks.bounds[index]
            part: NDArray[Any] = out[start:stop] if out.dtype == computed else np.empty((stop - start, *out.shape[1:]), computed)
            fill(estep, blocks.block(index).rows, part, spaces[worker])
            if out.dtype != computed:
                with np.errstate(over="ignore"):  # densities that float32 cannot hold are −∞ there
                    out[start:stop] = part

        threads.each(blocks.pieces(), compute, lambda nothing: None)
    return out


def component_log_densities(mixture: Mixture, X: NDArray[Any], n_threads: int | None = None) -> NDArray[np.floating[Any]]:
    """
    ln N(x_n | μ_k, Σ_k) of every row and component.

    Parameters
    ----------
    mixture : Mixture
    X : ndarray, shape (N, D)
        Finite.
    n_threads : int, optional

    Returns
    -------
    ndarray, shape (N, K)
    """
    def fill(estep: CompleteRows, rows: Rows, part: NDArray[Any], work: Workspace) -> None:
        estep.evaluate_components(rows, part, work)

    return _by_block(mixture.densities, X, np.empty((len(X), mixture.n_components), _real(X)), np.float64, fill, n_threads)


def joint_log_densities(mixture: Mixture, X: NDArray[Any], n_threads: int | None = None) -> NDArray[np.floating[Any]]:
    """
    ln π_k N(x_n | μ_k, Σ_k) of every row and component; −∞ where π_k is 0.

    Parameters
    ----------
    mixture, X, n_threads
        As for `component_log_densities`.

    Returns
    -------
    ndarray, shape (N, K)
    """
    joint = component_log_densities(mixture, X, n_threads)
    joint += mixture._parameters.log_weights.astype(joint.dtype)
    return joint

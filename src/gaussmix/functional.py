"""The parts of EM as functions, for authors of other libraries: E step, M step and the whole loop. They need no estimator."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.estep import Block, CompleteRows, EStep, GivenResponsibilities
from gaussmix._core.statistics import Statistics as Sums
from gaussmix.blocks import LARGEST, Blocks
from gaussmix.em import ALGORITHMS, STOPPING
from gaussmix.engines import Threads, resolve_threads
from gaussmix.fitting import Fit, Fitting, Outcome, Request
from gaussmix.mixture import Mixture
from gaussmix.observations import as_reals, as_table, as_weights, check_finite, shown
from gaussmix.starts import FromParameters
from gaussmix.starts.start import at_points
from gaussmix.statistics import Kind, Statistics
from gaussmix.streams import moments_of
from gaussmix.structures import Prior, structure_named

__all__ = ["Fit", "Outcome", "Prior", "e_step", "em", "m_step", "moments"]


def e_step(X: ArrayLike, mixture: Mixture, sample_weight: ArrayLike | None = None, *, n_threads: int | None = None) -> Statistics:
    """
    Make an E step: compute the moments of rows under their responsibilities (5), and the log-likelihood (6).

    Parameters
    ----------
    X : array_like, shape (N, D)
    mixture : Mixture
    sample_weight : array_like, shape (N,), optional
        w_n, ones by default.
    n_threads : int, optional
        As for `Mixture.logpdf`.

    Returns
    -------
    Statistics
        Its moments are about the mixture's means, and its second moments are those that the mixture's structure needs. The
        statistics of different rows can be added.

    Raises
    ------
    ValueError
        Where X or the weights are not usable, or X has not as many columns as the mixture has features.
    TypeError
        Where `mixture` is no Mixture.

    Examples
    --------
    >>> from gaussmix import Mixture
    >>> from gaussmix.functional import e_step
    >>> s = e_step([[-1.0], [1.0], [2.0]], Mixture([1.0], [[0.0]], [[[1.0]]]))
    >>> s.weight, s.first, s.second
    (array([3.]), array([[2.]]), array([[[6.]]]))
    """
    _check_kind("mixture", mixture, Mixture)
    blocks = _blocks(X, mixture.n_components, sample_weight)
    if blocks.n_features != mixture.n_features:
        raise ValueError(f"X has {blocks.n_features} features, but the mixture has {mixture.n_features}")
    structure = mixture.structure
    estep = CompleteRows(structure.moments, mixture.n_components, mixture.n_features, blocks.size, structure.factors)
    with Threads(resolve_threads(n_threads)) as threads:
        return _as_given(threads.passes(blocks, estep).sum(mixture.densities), blocks)


def moments(X: ArrayLike, responsibilities: ArrayLike, sample_weight: ArrayLike | None = None, covariance_type: str = "full",
            reference: ArrayLike | None = None, *, n_threads: int | None = None) -> Statistics:
    """
    Compute the moments of rows under given responsibilities.

    These may come from a forward-backward pass, from a gating network or from a person.

    Parameters
    ----------
    X : array_like, shape (N, D)
    responsibilities : array_like, shape (N, K)
        γ_nk ≥ 0. Those of a row need not sum to one, and may all be zero.
    sample_weight : array_like, shape (N,), optional
        w_n, ones by default.
    covariance_type : str
        The structure whose second moments are taken.
    reference : array_like, shape (K, D), optional
        The points that the moments are taken about. By default these are the components' means. Second moments then lose no
        digits, however far the rows are from the origin, but finding the means takes one more pass.
    n_threads : int, optional
        As for `Mixture.logpdf`.

    Returns
    -------
    Statistics
        `log_likelihood` is NaN.

    Raises
    ------
    ValueError
        Where an argument is not usable.
    TypeError
        For masked arrays.

    Examples
    --------
    >>> from gaussmix.functional import moments
    >>> s = moments([[0.0], [2.0], [7.0]], [[1, 0], [1, 0], [0, 1]], covariance_type="diag")
    >>> s.weight, s.reference, s.second
    (array([2., 1.]), array([[1.],
           [7.]]), array([[2.],
           [0.]]))
    """
    structure, shares = structure_named(covariance_type), _shares(responsibilities)
    blocks = _blocks(X, shares.shape[1], sample_weight)
    if len(shares) != blocks.n_rows:
        raise ValueError(f"responsibilities must be of shape ({blocks.n_rows}, K), a row for each row of X and a column for each "
                         f"component, not {shares.shape}")
    shape = shares.shape[1], blocks.n_features

    def of_block(block: Block) -> NDArray[np.float64]:
        return shares[block.start:block.start + len(block.rows.array)]

    def taken(kind: Kind, points: NDArray[np.float64]) -> Statistics:
        estep: EStep = GivenResponsibilities(kind, *shape, blocks.size, of_block)
        return _as_given(threads.passes(blocks, estep).sum(at_points(points)), blocks)

    with Threads(resolve_threads(n_threads)) as threads:
        if reference is None:
            somewhere = taken(Kind.DIAG, np.tile(np.asarray(blocks.row(0), dtype=np.float64), (shape[0], 1)))
            present = somewhere.weight[:, None] > 0
            points = somewhere.reference + np.divide(somewhere.first, somewhere.weight[:, None], where=present, out=np.zeros(shape))
        else:
            points = as_reals(reference, name="reference")
            if points.shape != shape:
                raise ValueError(f"reference must be points of shape {shape}, one for each component, not {points.shape}")
            check_finite(points, name="reference", largest=LARGEST)
        statistics = taken(structure.moments, points)
    statistics.log_likelihood = math.nan
    return statistics


def m_step(statistics: Statistics, covariance_type: str = "full", prior: Prior | None = None, reg_covar: float = 0.0) -> Mixture:
    """
    Make an M step: compute the mixture of given moments, with its weights (11), means (7) and covariances (8).

    Parameters
    ----------
    statistics : Statistics
        Its second moments must be of the kind that the structure needs, or full.
    covariance_type : str
        The structure of the covariances.
    prior : Prior, optional
        An object with a method `statistics(reference, kind)`. It returns new Statistics about the given points, shape (K, D), with
        second moments of the given `Kind`. They are added to `statistics`.
    reg_covar : float
        Added to every variance.

    Returns
    -------
    Mixture
        Its weights are weight_k / Σ_j weight_j.

    Raises
    ------
    ValueError
        Where a component has no weight or a singular covariance; the message names it.
    TypeError
        Where `statistics` are no Statistics.

    Examples
    --------
    >>> from gaussmix.functional import m_step, moments
    >>> m = m_step(moments([[0.0], [2.0], [7.0], [9.0]], [[1, 0], [1, 0], [0, 1], [0, 1]]))
    >>> m.weights, m.means, m.covariances[:, 0, 0]
    (array([0.5, 0.5]), array([[1.],
           [8.]]), array([1., 1.]))
    """
    structure = structure_named(covariance_type)
    _check_kind("statistics", statistics, Statistics)
    try:
        statistics = statistics.of_kind(structure.moments)
    except ValueError as error:
        raise ValueError(f"{structure.name} covariances need other moments: {error}; take the statistics with covariance_type="
                         f"{structure.name!r} from moments, or from e_step under a mixture of that structure") from None
    _check_prior(prior, "statistics")
    parameters, singular = structure.maximize(statistics, prior=prior, added=_amount("reg_covar", reg_covar))
    if singular >= 0:
        alone = statistics if prior is None else statistics + prior.statistics(statistics.reference, structure.moments)
        why, instead = (("has a singular covariance", "give reg_covar or a prior") if (alone.weight > 0).all() else
                        ("has no weight", "leave it out, or give a prior"))
        raise ValueError(f"component {singular} {why}: no mixture with {structure.name} covariances has these moments; "
                         f"{instead}")
    return Mixture.from_parameters(parameters, structure)


def em(X: ArrayLike, start: Mixture, covariance_type: str = "full", *, sample_weight: ArrayLike | None = None, reg_covar: float = 0.0,
       prior: Prior | None = None, tol: float = 1e-3, max_iter: int = 100,
       callback: Callable[[int, float, Mixture], object] | None = None, n_threads: int | None = None, algorithm: str = "em",
       stopping: str = "change") -> Fit:
    """
    Run EM from a given mixture. It gives no warnings: `outcome` says how it ended.

    Parameters
    ----------
    X : array_like, shape (N, D)
    start : Mixture
        Where its structure is not `covariance_type`, EM begins from the mixture of that structure with the same moments.
    covariance_type : str
    sample_weight : array_like, shape (N,), optional
        w_n, ones by default.
    reg_covar : float
        Added to every variance in every M step.
    prior : Prior, optional
        As for `m_step`, with a second method `log_density(mixture)`, whose result is added to the log-likelihood. EM then raises
        the posterior density, and `history` holds its logarithm divided by Σ_n w_n.
    tol : float
        EM stops when the mean log-likelihood of a row changes by less than this.
    max_iter : int
        EM stops after this many iterations.
    callback : callable, optional
        Called in every iteration with three arguments: the number of the iteration (from 1), the mean log-likelihood that its
        E step found, and the `Mixture` with that log-likelihood. EM ends when it returns something true.
    n_threads : int, optional
        As for `Mixture.logpdf`.
    algorithm : {"em", "accelerated"}
    stopping : {"change", "distance"}
        As for `GaussianMixture`.

    Returns
    -------
    Fit
        With `mixture`, `history`, `converged`, `n_iter` and `outcome`.

    Raises
    ------
    ValueError
        Where an argument is not usable.
    TypeError
        Where `start` is no Mixture.

    Examples
    --------
    >>> from gaussmix import Mixture
    >>> from gaussmix.functional import em
    >>> fit = em([[0.0], [2.0], [7.0], [9.0]], Mixture([0.5, 0.5], [[0.0], [9.0]], [[[1.0]], [[1.0]]]))
    >>> fit.outcome.value, fit.mixture.means.round(1).ravel()
    ('converged', array([1., 8.]))
    """
    structure = structure_named(covariance_type)
    _check_kind("start", start, Mixture)
    blocks = _blocks(X, start.n_components, sample_weight)
    if blocks.n_features != start.n_features:
        raise ValueError(f"X has {blocks.n_features} features, but the start has {start.n_features}")
    tol = _amount("tol", tol)
    if callback is not None and not callable(callback):
        raise ValueError(f"callback must be callable or None, not {callback!r}")
    if isinstance(max_iter, bool) or not isinstance(max_iter, (int, np.integer)) or max_iter < 0:
        raise ValueError(f"max_iter must be a whole number of at least 0, not {max_iter!r}")
    for name, value, choices in (("algorithm", algorithm, tuple(ALGORITHMS)), ("stopping", stopping, STOPPING)):
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    _check_prior(prior, "statistics", "log_density")
    begun = start if start.structure.name == structure.name else m_step(moments_of(start), structure.name)
    request = Request(structure, start.n_components, FromParameters(begun._parameters), _amount("reg_covar", reg_covar), tol,
                      int(max_iter), prior=prior, stopping=stopping, algorithm=algorithm)

    def report(iteration: int, objective: float, parameters: Any) -> bool:
        assert callback is not None
        return bool(callback(iteration, objective, Mixture.from_parameters(parameters, structure)))

    with Threads(resolve_threads(n_threads)) as threads:
        return Fitting(request, blocks, threads).fit(np.random.default_rng(0), report=None if callback is None else report)


def _blocks(X: ArrayLike, n_components: int, sample_weight: ArrayLike | None) -> Blocks:
    """Check rows and weights, and return them as blocks."""
    table, _ = as_table(X)
    if 0 in table.shape:
        raise ValueError(f"X must have at least one row and one column, not shape {table.shape}")
    check_finite(table, largest=LARGEST)
    return Blocks(table, n_components, as_weights(sample_weight, len(table)))


def _shares(responsibilities: ArrayLike) -> NDArray[np.float64]:
    if isinstance(responsibilities, np.ma.MaskedArray):
        raise TypeError("responsibilities are a masked array, and masked entries have no value here: fill them, with 0 perhaps")
    try:
        shares = as_reals(responsibilities, name="responsibilities")
    except TypeError as error:
        raise ValueError(str(error)) from None
    if shares.ndim != 2 or not shares.shape[1]:
        raise ValueError("responsibilities must be of shape (N, K), a row for each row of X and a column for each component, not "
                         f"{shares.shape}")
    wrong = ~(np.isfinite(shares) & (shares >= 0))
    if wrong.any():
        row, component = np.argwhere(wrong)[0]
        raise ValueError(f"responsibilities must be finite and not negative, but that of row {row} and component {component} is "
                         f"{shares[row, component]}")
    return shares


def _check_prior(prior: object, *methods: str) -> None:
    lacking = None if prior is None else next((name for name in methods if not callable(getattr(prior, name, None))), None)
    if lacking is not None:
        raise TypeError(f"prior must have the method {lacking}, as gaussmix.functional.Prior describes, not {shown(prior)}")


def _amount(name: str, value: float) -> float:
    """A finite number that is not negative."""
    try:
        amount = float(value)
        if isinstance(value, str) or not 0 <= amount < math.inf:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a finite number of at least 0, not {shown(value)}") from None
    return amount


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {shown(value)}")


def _as_given(total: Sums, blocks: Blocks) -> Statistics:
    """Copy sums, and undo the scaling of the weights: the loops multiply extreme weights by a power of two."""
    statistics = Statistics(total.kind, total.n_components, total.n_features)
    statistics.reference[...] = total.reference
    statistics.accumulate(total)
    statistics *= blocks.scale
    return statistics

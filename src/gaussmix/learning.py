"""What the methods of an estimator that learn do, as functions that leave the estimator as it is until all has gone well."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix.blocks import LARGEST, Blocks
from gaussmix.checkpoint import Checkpoint
from gaussmix.data import Data, data_of
from gaussmix.engines import Threads, resolve_threads
from gaussmix.fitting import Fit, Fitting, Request
from gaussmix.mixture import Mixture
from gaussmix.observations import as_table, as_weights, check_finite, check_names, shown
from gaussmix.outcome_warnings import stream_warnings, warnings_of
from gaussmix.parameter_checks import as_parameter, check_enough_rows, checked_start, checked_steps, checked_structure, continued_start
from gaussmix.progress import Progress, SearchProgress
from gaussmix.random_state import as_generator
from gaussmix.regularization import regularization_for
from gaussmix.search import Search
from gaussmix.search.budget import Budget
from gaussmix.search.rounds import best_optimum, sought
from gaussmix.search.several import best_fit
from gaussmix.starts import STARTS, FromParameters
from gaussmix.starts.sampled import OnSample
from gaussmix.streams import Stream, adapted, e_step, moments_of
from gaussmix.structures import Structure

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["Fitted", "Streamed", "adapted_by", "fitted_by", "observed", "streamed_by", "take_on"]


@dataclass(frozen=True)
class Fitted:
    """
    A fit, and what an estimator needs besides to take it on.

    Attributes
    ----------
    fit : Fit
    warnings : list of Warning
        The warnings to give the user, in order.
    data : Data
    search : Search or None
        What a search for the best optimum found.
    """

    fit: Fit
    warnings: list[Warning]
    data: Data
    search: Search | None = None


def observed(model: GaussianMixture, X: Any, sample_weight: ArrayLike | None, report: Callable[[int], object] | None = None) -> Data:
    """
    Check what a user passes to a fit of a model.

    Parameters
    ----------
    model : GaussianMixture
    X : array_like, DataFrame, or what `gaussmix.sources.open_source` opens
    sample_weight : array_like, shape (N,), or None
    report : callable, optional
        Called with the number of rows of each block that is read from a source.

    Returns
    -------
    Data

    Raises
    ------
    ValueError
        As `GaussianMixture.fit`.
    """
    model._refuse_hooks()
    checked_structure(model)
    return data_of(X, sample_weight, int(model.start_sample), model.random_state, report)


def fitted_by(model: GaussianMixture, data: Data, checkpoint: Checkpoint | None = None) -> Fitted:
    """
    Fit a model without changing it. No warnings are given; the result holds them.

    Parameters
    ----------
    model : GaussianMixture
    data : Data
    checkpoint : Checkpoint, optional
        Where it has kept the state of this fit, the fit goes on from there.

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError
        As `GaussianMixture.fit`.
    """
    structure = checked_structure(model)
    check_enough_rows(data, model.n_components)
    rng = as_parameter(as_generator, model.random_state)
    continued = bool(model.warm_start) and model.__sklearn_is_fitted__()
    with Threads(resolve_threads(model.n_threads)) as threads:
        start = (continued_start(model, model.mixture_, structure, data.n_features) if continued else
                 checked_start(model, structure, data, threads))
        request = Request(structure, model.n_components, start, model.reg_covar, model.tol, int(model.max_iter),
                          stopping=model.stopping, algorithm=model.algorithm)
        anywhere = isinstance(start, OnSample) or any(start is known for known in STARTS.values())
        if model.n_init == "auto" and anywhere and model.max_iter > 0:
            return _searched(model, request, data, threads, rng, checkpoint)
        previous = getattr(model, "lower_bound_", -math.inf) if continued else -math.inf
        progress = Progress(model.verbose, model.verbose_interval, model.progress, model.max_iter, model.callback, structure)
        with closing(progress):
            n_init = 1 if continued or model.n_init == "auto" else int(model.n_init)
            fit = best_fit(request, data.observations(model.n_components), data.engine(threads), rng, progress, n_init=n_init,
                           previous=previous, checkpoint=checkpoint)
    return Fitted(fit, warnings_of(fit, request, data.columns), data)


def _searched(model: GaussianMixture, request: Request, data: Data, threads: Threads, rng: np.random.Generator,
              checkpoint: Checkpoint | None) -> Fitted:
    """Search for the best optimum of the rows at hand; where these are a sample, go on from it with all rows."""
    request, at_hand = sought(request), data.at_hand(model.n_components)
    search = None if checkpoint is None else checkpoint.searched()
    if checkpoint is not None and search is not None:
        fit = checkpoint.found(Fitting(request, at_hand, threads))
    else:
        listener = SearchProgress(model.verbose, model.progress, model.callback, request.structure)
        with closing(listener):
            fit, search = best_optimum(request, at_hand, threads, rng, listener, Budget.of(model.search_budget))
        if checkpoint is not None and search.ended_by != "callback":
            checkpoint.search_ended(fit, search)
    if not data.is_whole:
        fit = _from_one_start(model, replace(request, start=FromParameters(fit.parameters)), data, threads, rng, checkpoint)
    return Fitted(fit, warnings_of(fit, request, data.columns, search), data, search)


def _from_one_start(model: GaussianMixture, request: Request, data: Data, threads: Threads, rng: np.random.Generator,
                    checkpoint: Checkpoint | None) -> Fit:
    progress = Progress(model.verbose, model.verbose_interval, model.progress, model.max_iter, model.callback, request.structure)
    with closing(progress):
        return best_fit(request, data.observations(model.n_components), data.engine(threads), rng, progress, checkpoint=checkpoint)


@dataclass(frozen=True)
class Streamed:
    """
    What a call of `partial_fit` found, and what an estimator needs to take it on.

    Attributes
    ----------
    stream : Stream
    history : list of float
    warnings : list of Warning
    real : type
        The number type of the data.
    first : Fitted or None
        The fit that the stream began with.
    """

    stream: Stream
    history: list[float]
    warnings: list[Warning]
    real: type[np.floating[Any]]
    first: Fitted | None

    def take_on(self, model: GaussianMixture) -> None:
        """Set the fitted attributes of a model."""
        if self.first is not None:
            take_on(model, self.first)
            model._stream = self.stream, model.mixture_, model.reg_covar
            return
        columns = list(model.feature_names_in_) if hasattr(model, "feature_names_in_") else None
        model._hold(Mixture.from_parameters(self.stream.parameters, self.stream.structure), columns, self.real)
        model._n_rows = self.stream.n_rows
        model.converged_, model.n_iter_ = False, self.stream.n_steps
        if self.history:
            model.lower_bound_, model.lower_bounds_ = float(np.mean(self.history)), self.history
        vars(model).pop("search_", None)
        model._stream = self.stream, model.mixture_, model.reg_covar


def streamed_by(model: GaussianMixture, X: ArrayLike, sample_weight: ArrayLike | None) -> Streamed:
    """
    Go on with a stream without changing the model.

    Parameters
    ----------
    model : GaussianMixture
    X : array_like or DataFrame, shape (N, D)
    sample_weight : array_like, shape (N,), or None

    Returns
    -------
    Streamed

    Raises
    ------
    ValueError
        As `GaussianMixture.partial_fit`.
    """
    model._refuse_hooks()
    structure = checked_structure(model)
    steps = checked_steps(model)
    if not model.__sklearn_is_fitted__():
        first = fitted_by(model, observed(model, X, sample_weight))
        rows, parameters = first.data.observations(model.n_components), first.fit.parameters
        with Threads(resolve_threads(model.n_threads)) as threads:
            stream = Stream(structure, parameters, e_step(rows, structure, parameters, first.data.engine(threads)), rows.total_weight,
                            first.fit.regularization.added)
        return Streamed(stream, [], first.warnings, first.data.real, first)
    table = _rows_like_before(model, X)
    blocks = Blocks(table, model.n_components, as_weights(sample_weight, len(table)))
    with Threads(resolve_threads(model.n_threads)) as threads:
        stream, history = _stream_of(model, structure, blocks, threads).after(blocks, threads, steps)
    return Streamed(stream, history, stream_warnings(stream.starving(), stream.singular), _real(table), None)


def _stream_of(model: GaussianMixture, structure: Structure, blocks: Blocks, engine: Threads) -> Stream:
    """The stream that a model is in, or one that begins with its mixture, however that was found."""
    known: tuple[Stream, Mixture, float | str] | None = getattr(model, "_stream", None)
    mixture = model.mixture_
    for name, before, now in (("n_components", mixture.n_components, model.n_components),
                              ("covariance_type", mixture.covariance_type, structure.name)):
        if before != now:
            raise ValueError(f"partial_fit goes on from the last fit, in which {name} was {before!r}, not {now!r}: fit anew instead")
    if known is not None and known[1] != mixture:  # parameters were set by hand since
        known = None
    if known is not None and known[2] == model.reg_covar:
        return known[0]
    added = regularization_for(model.reg_covar, blocks, engine).added
    if known is not None:
        return known[0].regularized_by(added)
    return Stream(structure, mixture._parameters, moments_of(mixture).of_kind(structure.moments), getattr(model, "_n_rows", 1.0), added)


def _rows_like_before(model: GaussianMixture, X: ArrayLike) -> NDArray[Any]:
    """A table with the features of the fit, whose numbers moments can be taken of."""
    table, columns = as_table(X)
    check_names(columns, getattr(model, "feature_names_in_", None), type(model).__name__, stacklevel=5)
    table, _ = model._checked_rows(table)
    check_finite(table, largest=LARGEST)
    return table


def _real(table: NDArray[Any]) -> type[np.floating[Any]]:
    return np.float32 if table.dtype == np.float32 else np.float64


def adapted_by(model: GaussianMixture, X: ArrayLike, factor: float, weights: bool, covariances: bool,
               sample_weight: ArrayLike | None) -> Mixture:
    """The mixture that `GaussianMixture.adapt` takes on; the model does not change."""
    if isinstance(factor, bool) or not isinstance(factor, (int, float, np.integer, np.floating)) or not 0 < factor < math.inf:
        raise ValueError(f"relevance_factor must be a finite number of more than 0, not {shown(factor)}")
    for name, flag in (("weights", weights), ("covariances", covariances)):
        if not isinstance(flag, (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, whether the {name} are adapted, not {shown(flag)}")
    table = _rows_like_before(model, X)
    mixture = model.mixture_
    blocks = Blocks(table, mixture.n_components, as_weights(sample_weight, len(table)))
    with Threads(resolve_threads(model.n_threads)) as threads:
        statistics = e_step(blocks, mixture.structure, mixture._parameters, threads)
    statistics *= blocks.scale
    return adapted(mixture, statistics, float(factor), weights=bool(weights), covariances=bool(covariances))


def take_on(model: GaussianMixture, fitted: Fitted) -> None:
    """
    Set the fitted attributes of a model from a fit.

    Parameters
    ----------
    model : GaussianMixture
    fitted : Fitted
    """
    fit = fitted.fit
    model._hold(fit.mixture, fitted.data.columns, fitted.data.real)
    model._n_rows = fitted.data.total_weight
    model.converged_ = fit.converged
    model.n_iter_ = fit.n_iter
    model.lower_bound_ = fit.log_likelihood
    model.lower_bounds_ = fit.history
    for name in ("search_", "_stream"):  # of an earlier fit
        vars(model).pop(name, None)
    if fitted.search is not None:
        model.search_ = fitted.search



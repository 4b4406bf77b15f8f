"""GaussianMixture: scikit-learn's conventions over the loop, the starts and the mixture."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import math
import os
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix._core.estep import CompleteRows
from gaussmix._core.mstep import MStep
from gaussmix._core.passes import Passes
from gaussmix.attributes import attributes_of, mixture_of
from gaussmix.blocks import (LARGEST, Blocks, as_table, as_weights, block_bounds, check_finite, check_names, shown, sum_of_weights,
                             weighted_mean)
from gaussmix.collapse import Spurious, effective_rows, spurious_components
from gaussmix.em import Fit, SingularStart, allotted_start, chosen_start, feature_variances, maximize_likelihood
from gaussmix.engines import Threads, resolve_threads
from gaussmix.exceptions import CollapseWarning, ConvergenceWarning, InvalidParameterError, SpuriousOptimumWarning, in_use
from gaussmix.given import checked_parameters, insert_parameters, start_of
from gaussmix.initialization import STARTS, Chosen
from gaussmix.mixture import Mixture, component_log_densities, evaluate
from gaussmix.modelfile import load, save
from gaussmix.progress import Progress
from gaussmix.random_state import RandomState, as_generator
from gaussmix.scikit_learn import Estimator, refuse_hooks
from gaussmix.summary import summary_text
from gaussmix._core.parameters import Parameters
from gaussmix.structures import Structure, structure_named

__all__ = ["GaussianMixture"]

_Read = TypeVar("_Read")  # what a parameter is understood as

AUTO = 1e-6  # reg_covar="auto", as a part of each feature's variance
RUINOUS = 1e-3  # a reg_covar of more than this part of a feature's variance gets a warning


@dataclass(frozen=True)
class Outcome:
    """
    What a fit came to, before an estimator takes it on.

    Attributes
    ----------
    fit : Fit
        The best of its starts.
    spurious : list of Spurious
        The components of that fit that make a spurious optimum.
    caveats : list of Warning
        What the user must be told, in order.
    structure : Structure
    table : ndarray, shape (N, D)
        The data.
    columns : list of str or None
        The names of the features.
    total_weight : float
        What the sample weights sum to as they were given, or N.
    """

    fit: Fit
    spurious: list[Spurious]
    caveats: list[Warning]
    structure: Structure
    table: NDArray[Any]
    columns: list[str] | None
    total_weight: float


class GaussianMixture(Estimator):
    """
    Gaussian mixture learned by EM, with the interface of scikit-learn's class of the same name.

    Parameters
    ----------
    n_components : int, default=1
        K.
    covariance_type : str, default="full"
        "full" (VVV), "tied" (EEE), "diag" (VVI) or "spherical" (VII); mclust's names in brackets serve too.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood of a row changes by less.
    reg_covar : float or "auto", default=1e-6
        Added to every variance, in the units of the data squared; "auto" adds a millionth of each feature's variance (their mean
        for "spherical"), so that the fit does not depend on the units.
    max_iter : int, default=100
        EM stops after so many iterations.
    n_init : int, default=1
        How many starts; the best fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array_like, default="kmeans"
        Where EM starts. An array of whole numbers, shape (N,), gives the label of every row; one of shape (N, K) the
        responsibilities.
        EM then begins with an M step. "k-means++" and "random_from_data" choose K rows as means, with equal weights and
        a variance next to nothing (and `reg_covar`), so that the first E step gives every row to the nearest.
    weights_init : array_like, shape (K,), optional
    means_init : array_like, shape (K, D), optional
    precisions_init : array_like, optional
        Parameters to start from; what is not given comes from `init_params`. Precisions have the shape of `precisions_`.
    random_state : None, int, RandomState or Generator, default=None
    warm_start : bool, default=False
        Whether `fit` starts from the last solution.
    verbose : int, default=0
        1 prints each start and every `verbose_interval`-th iteration, 2 time and the log-likelihood's change as well.
    verbose_interval : int, default=10
    n_threads : int, optional
        None means `GAUSSMIX_NUM_THREADS` if set, else the CPUs that this process may run on. The result does not depend on it.
        In a worker process of multiprocessing or joblib None means one.
    progress : bool, default=False
        Whether to show a progress bar (tqdm's where it is installed).
    callback : callable, optional
        Called in every iteration with its number (from 1), the mean log-likelihood of a row that its E step found, and the
        `Mixture` that has it; the fit ends there where it returns something true.

    Attributes
    ----------
    weights_ : ndarray, shape (K,)
    means_ : ndarray, shape (K, D)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Shape (K, D, D) for full, (D, D) for tied, (K, D) for diag, (K,) for spherical. These and the two above are float32 after
        float32 data, as scikit-learn's, float64 after others. Any of them that float32 cannot hold stays float64.
    mixture_ : Mixture
        The fitted distribution.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        The mean log-likelihood that the last E step found.
    lower_bounds_, history_ : list of float
        The same of every iteration of the best start.
    n_parameters_ : int
        Free parameters: what AIC and BIC count.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (D,)
        Only after a table whose column names are all strings.

    Notes
    -----
    A subclass may override any public method, and `_n_parameters`. The other private methods that scikit-learn's loop calls
    (`_m_step`, `_estimate_log_prob` …) are not called here, so that a subclass that overrides one is refused with a TypeError, which
    says what serves instead.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture
    >>> X = np.array([[1., 2.], [1., 4.], [1.5, 0.], [10., 2.], [10., 4.], [10.5, 0.]])
    >>> gm = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> np.sort(gm.means_[:, 0]).round(3)
    array([ 1.167, 10.167])
    >>> int(gm.predict([[0., 0.]])[0]) == int(gm.predict(X)[0])
    True
    """

    weights_: NDArray[np.floating[Any]]
    means_: NDArray[np.floating[Any]]
    covariances_: NDArray[np.floating[Any]]
    precisions_: NDArray[np.floating[Any]]
    precisions_cholesky_: NDArray[np.floating[Any]]
    converged_: bool
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    def __init__(self, n_components: int = 1, *, covariance_type: str = "full", tol: float = 1e-3, reg_covar: float | str = 1e-6,
                 max_iter: int = 100, n_init: int = 1, init_params: str | ArrayLike = "kmeans",
                 weights_init: ArrayLike | None = None, means_init: ArrayLike | None = None,
                 precisions_init: ArrayLike | None = None, random_state: RandomState = None, warm_start: bool = False,
                 verbose: int = 0, verbose_interval: int = 10, n_threads: int | None = None, progress: bool = False,
                 callback: Callable[[int, float, Mixture], object] | None = None) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.n_threads = n_threads
        self.progress = progress
        self.callback = callback

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_hooks(cls, GaussianMixture)

    # Fitting.

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Estimate the parameters by EM.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        y : None
            Not used.
        sample_weight : array_like, shape (N,), optional
            A row of weight 2 counts as two rows, one of weight 0 as none.

        Returns
        -------
        GaussianMixture
            This one. After an error it is as it was before.

        Raises
        ------
        ValueError
            Where a parameter or the data are not usable, or every start is singular.

        Warns
        -----
        ConvergenceWarning
            Where `max_iter` iterations were not enough.
        CollapseWarning
            Where a covariance became singular; the parameters are then the last valid ones (docs/collapse.md).
        SpuriousOptimumWarning
            A CollapseWarning, where every start led to a spurious optimum.
        UserWarning
            Where `reg_covar` is more than a thousandth of a feature's variance.
        """
        if type(self).fit_predict is not GaussianMixture.fit_predict:  # a subclass's, which scikit-learn's `fit` calls too
            self.fit_predict(X, y, **({} if sample_weight is None else {"sample_weight": sample_weight}))
        else:
            self._take_on(self._fit(X, sample_weight))
        return self

    def fit_predict(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> NDArray[np.intp]:
        """
        Fit, and return the labels that `predict` then gives to the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        ndarray of int, shape (N,)
        """
        outcome = self._fit(X, sample_weight)
        self._take_on(outcome)
        return evaluate(self.mixture_._parameters.densities, outcome.table, "labels", self.n_threads)

    def _take_on(self, outcome: Outcome) -> None:
        """Warn of an outcome and keep it; where a warning is an error, this estimator stays as it was."""
        for caveat in outcome.caveats:
            warnings.warn(caveat, stacklevel=3)
        self._keep(outcome)

    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Outcome:
        """The Outcome of a fit. Nothing is told, and this estimator stays as it is."""
        refuse_hooks(type(self), GaussianMixture, vars(self))
        structure = self._checked_structure()
        table, columns = as_table(X)
        blocks = self._blocks(table, sample_weight)
        given = checked_parameters(self.weights_init, self.means_init, self.precisions_init, structure, self.n_components,
                                   blocks.n_features)
        rng = _parameter(as_generator, self.random_state)
        warm = self._warm_parameters(structure, blocks.n_features)
        progress = Progress(self.verbose, self.verbose_interval, self.progress, self.max_iter, self.callback, structure)
        with Threads(resolve_threads(self.n_threads)) as threads:
            reg_covar, blur = self._regularization(blocks, threads, columns)
            m_step = structure.m_step(reg_covar, blocks.n_features)
            passes = threads.passes(blocks, CompleteRows(structure.moments, self.n_components, blocks.n_features,
                                                         blocks.size, structure.factors))

            def start() -> tuple[Parameters, bool]:
                """Parameters, and whether they are only points, in need of an M step."""
                if warm is not None:
                    return warm, False
                points = False
                if all(value is not None for value in given):
                    first = structure.parameters(self.n_components, blocks.n_features)
                else:
                    found = start_of(self.init_params, blocks, self.n_components, rng, threads)
                    points = isinstance(found, Chosen) and self.precisions_init is None
                    first = (chosen_start(found, structure, reg_covar) if isinstance(found, Chosen) else
                             allotted_start(blocks, threads, structure, self.n_components, found, m_step,
                                            share=isinstance(self.init_params, str)))
                if any(value is not None for value in given):
                    insert_parameters(first, structure, *given)
                return first, points

            try:
                best, spurious = self._best_fit(blocks, passes, structure, m_step, start, reg_covar, progress, warm is not None)
            finally:
                progress.close()
        caveats = [caveat for caveat in (blur, self._caveat_of(best, spurious, progress.stopped)) if caveat is not None]
        return Outcome(best, spurious, caveats, structure, table, columns, blocks.total_weight)

    def _blocks(self, table: NDArray[Any], sample_weight: ArrayLike | None) -> Blocks:
        n_rows, n_features = table.shape
        if n_features < 1:
            raise ValueError(f"Found array with 0 feature(s) (shape={table.shape}) while a minimum of 1 is required.")
        check_finite(table, largest=LARGEST)
        if n_rows < 2:
            raise ValueError(f"Found array with {n_rows} sample(s) (shape={table.shape}) while a minimum of 2 is required.")
        weights = as_weights(sample_weight, n_rows)
        n_alive = n_rows if weights is None else int(np.count_nonzero(weights))
        if n_alive < self.n_components:
            raise ValueError(f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = {n_alive}"
                             + (" with a positive sample_weight" if n_alive < n_rows else ""))
        return Blocks(table, self.n_components, weights)

    def _warm_parameters(self, structure: Structure, n_features: int) -> Parameters | None:
        """What the last fit ended with, where this one starts from it."""
        if not (self.warm_start and self.__sklearn_is_fitted__()):
            return None
        last = self.mixture_
        for name, before, now in (("n_components", last.n_components, self.n_components),
                                  ("covariance_type", last.covariance_type, structure.name),
                                  ("the number of features", last.n_features, n_features)):
            if before != now:
                raise ValueError(f"warm_start goes on from the last fit, in which {name} was {before!r}, not {now!r}: set "
                                 "warm_start=False to start anew")
        return last._parameters

    def _regularization(self, blocks: Blocks, threads: Threads,
                        columns: list[str] | None) -> tuple[float | NDArray[np.float64], UserWarning | None]:
        """What is added to every variance, and a warning where it is large for the data, or None."""
        if not self.reg_covar:
            return 0.0, None
        variances = feature_variances(blocks, threads)
        if not isinstance(self.reg_covar, str) and self.reg_covar <= RUINOUS * variances.min():
            return float(self.reg_covar), None
        for constant in np.flatnonzero(variances == 0):
            values = blocks.X[:, constant] if blocks.weights is None else blocks.X[blocks.weights > 0, constant]
            if (values != values[0]).any():
                variances[constant] = np.finfo(np.float64).tiny  # not constant: its squares underflow
        varying = variances[variances > 0]
        if isinstance(self.reg_covar, str):
            if not varying.size:
                return AUTO, None
            return AUTO * np.where(variances > 0, variances, varying.mean()), None
        blur = None
        if varying.size and self.reg_covar > RUINOUS * varying.min():
            feature = int(np.flatnonzero(variances == varying.min())[0])
            name = f"feature {feature}" if columns is None else f"feature {columns[feature]!r}"
            blur = UserWarning(
                f"reg_covar={self.reg_covar:g} is more than a thousandth of the variance of {name}, {varying.min():.3g}, and "
                "will blur the fit: give a smaller one, reg_covar='auto', which goes by each feature's variance, or data in larger "
                "units.")
        return float(self.reg_covar), blur

    def _best_fit(self, blocks: Blocks, passes: Passes, structure: Structure, m_step: MStep,
                  start: Callable[[], tuple[Parameters, bool]],
                  reg_covar: float | NDArray[np.float64], progress: Progress, warm: bool) -> tuple[Fit, list[Spurious]]:
        """The best of several starts, and its spurious components: proper optima first, then by log-likelihood."""
        n_rows = effective_rows(blocks)
        best: Fit | None = None
        spurious: list[Spurious] = []
        failure: SingularStart | None = None
        for number in range(1 if warm else int(self.n_init)):
            if progress.stopped:
                break
            previous = getattr(self, "lower_bound_", -math.inf) if warm else -math.inf
            progress.begin(number, previous)
            try:
                first, points = start()
                fit = maximize_likelihood(passes, first, m_step, tol=self.tol, max_iter=int(self.max_iter), previous=previous,
                                          report=progress.listener)
                if points and fit.collapsed is not None and len(fit.history) == 1:
                    raise SingularStart.covariance(fit.collapsed)
            except SingularStart as error:
                failure = error
                progress.end(None)
                continue
            progress.end(fit)
            found = (spurious_components(fit.parameters, structure, n_rows, reg_covar, np.finfo(blocks.dtype).eps)
                     if fit.history else [])
            if best is None or _rank(fit, found) > _rank(best, spurious):
                best, spurious = fit, found
        if best is None:
            assert failure is not None
            raise failure
        return best, spurious

    def _caveat_of(self, fit: Fit, spurious: list[Spurious], stopped: bool) -> Warning | None:
        """The warning that a fit deserves, or None."""
        kind: type[ConvergenceWarning]
        if fit.collapsed is not None:
            kind, weight = CollapseWarning, fit.parameters.weights[fit.collapsed]
            message = (f"Component {fit.collapsed} (weight {weight:.3g}) collapsed in iteration {len(fit.history)}: its covariance "
                       "became singular, as its rows lie in a subspace or are too few. The parameters are those of the iteration "
                       "before. Increase reg_covar or n_init, use fewer components, or a simpler covariance_type.")
        elif spurious:
            kind, more = SpuriousOptimumWarning, ", ".join(str(one.component) for one in spurious[1:])
            others = f" The like holds of component{'s' if len(spurious) > 2 else ''} {more}." if more else ""
            message = (f"A spurious optimum, as every start gave: {spurious[0]}.{others} Its log-likelihood says little about the data. "
                       "Increase n_init, use fewer components, or a simpler covariance_type.")
        elif not fit.converged and self.max_iter > 0 and not stopped:
            kind = ConvergenceWarning
            message = ("Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or "
                       f"check for degenerate data: {self.max_iter} iterations were not enough for the mean log-likelihood to change "
                       f"by less than tol={self.tol:g}.")
        else:
            return None
        return in_use(kind)(message)

    def _checked_structure(self) -> Structure:
        """The structure that `covariance_type` names, after a look at the other parameters too."""
        structure = _parameter(structure_named, self.covariance_type)
        for name, least, whole in (("n_components", 1, True), ("n_init", 1, True), ("max_iter", 0, True),
                                   ("verbose_interval", 1, True), ("verbose", 0, True), ("tol", 0, False), ("reg_covar", 0, False)):
            value = getattr(self, name)
            if name == "reg_covar" and isinstance(value, str) and value == "auto" or name == "verbose" and isinstance(value, np.bool_):
                continue
            number = isinstance(value, (int, np.integer) if whole else (int, float, np.integer, np.floating))
            if name == "n_components" and isinstance(value, bool):  # of the others True is 1, as in scikit-learn
                number = False
            if isinstance(value, np.timedelta64):  # a whole number to NumPy
                number = False
            if not number or not least <= value or not (whole or _is_finite(value)):
                wanted = f"{name} must be a {'whole ' if whole else 'finite '}number of at least {least}"
                raise in_use(InvalidParameterError)(f"{wanted}{' or auto' if name == 'reg_covar' else ''}, not {shown(value)}")
        for name in ("warm_start", "progress"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise in_use(InvalidParameterError)(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.callback is not None and not callable(self.callback):
            raise in_use(InvalidParameterError)(f"callback must be callable or None, not {self.callback!r}")
        init = self.init_params
        if isinstance(init, str) and init not in STARTS or init is None:
            raise in_use(InvalidParameterError)(f"init_params must be one of {', '.join(map(repr, STARTS))}, or an array of labels or "
                                                f"responsibilities, not {init!r}")
        return structure

    def _keep(self, outcome: Outcome) -> None:
        fit = outcome.fit
        self._hold(Mixture.from_parameters(fit.parameters, outcome.structure), outcome.columns,
                   np.float32 if outcome.table.dtype == np.float32 else np.float64)
        self._n_rows = outcome.total_weight
        self.converged_ = fit.converged
        self.n_iter_ = len(fit.history)
        self.lower_bound_ = fit.history[-1] if fit.history else -math.inf
        self.lower_bounds_ = fit.history

    def _hold(self, mixture: Mixture, columns: list[str] | None, real: type[np.floating[Any]]) -> None:
        """Take on a mixture: its arrays, and the names of its features."""
        vars(self).update(attributes_of(mixture, real))
        self._fitted = mixture, self._fingerprint()
        self.n_features_in_ = mixture.n_features
        if columns is not None:
            self.feature_names_in_ = np.array(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # Model files.

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write the fitted mixture, the structure that it was fitted under and the feature names to a model file.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        NotFittedError
        OSError
            Where the file cannot be written.
        ValueError
            Where two features have the same name or one that UTF-8 cannot hold.
        """
        self._require_fit()
        save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """
        A fitted estimator from a model file, whoever wrote it.

        A model file holds a mixture and the names of its features, but not how it was found. So `mixture_` and all that follows
        from it are there, in float64, and `n_components` and `covariance_type` are the mixture's. The other parameters have their
        defaults, and `converged_`, `n_iter_`, `lower_bound_`, `lower_bounds_` and `history_` are missing. With `warm_start=True`
        EM goes on from the mixture.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        GaussianMixture
            Its predictions have the same bits as those of the mixture that was saved.

        Raises
        ------
        OSError
            Where the file cannot be read.
        ModelFileError
            A ValueError that names the file and says where it is damaged.

        Examples
        --------
        >>> import os, tempfile
        >>> from gaussmix import GaussianMixture
        >>> gm = GaussianMixture(covariance_type="diag").fit([[1., 2.], [2., 4.], [4., 1.]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gm.save(os.path.join(folder, "model.json"))
        ...     again = GaussianMixture.load(os.path.join(folder, "model.json"))
        >>> again, again.mixture_ == gm.mixture_
        (GaussianMixture(covariance_type='diag'), True)
        """
        model = load(path)
        estimator = cls(n_components=model.mixture.n_components, covariance_type=model.covariance_type)
        estimator._hold(model.mixture, model.columns, np.float64)
        return estimator

    # The fitted mixture, and attributes that a user set instead of fitting.

    def _fingerprint(self) -> list[object]:
        """Tells whether a user has set another array, or changed one in place, since the fit."""
        return [_fingerprint_of(getattr(self, name, ())) for name in ("weights_", "means_", "covariances_", "precisions_cholesky_")]

    @property
    def mixture_(self) -> Mixture:
        """
        The fitted distribution: the fit's own or, where attributes were set by hand, one of them.

        Of attributes set by hand `precisions_cholesky_` counts, as in scikit-learn, and `covariances_` only where it was changed
        alone or there is nothing else. What the fit left of them is of the structure that was fitted, whatever `covariance_type`
        has been set since.
        """
        self._require_fit()
        structure, by_covariances = self.covariance_type, not hasattr(self, "precisions_cholesky_")
        if "_fitted" in vars(self):
            (mixture, before), now = self._fitted, self._fingerprint()
            if now == before:
                return mixture
            by_covariances |= now[-1] == before[-1] and now[-2] != before[-2]
            which = -2 if by_covariances else -1
            if now[which] == before[which]:
                structure = mixture.covariance_type
        weights, means, covariances, roots = (getattr(self, name, None) for name in (
            "weights_", "means_", "covariances_", "precisions_cholesky_"))
        return mixture_of(structure_named(structure), weights, means, None if by_covariances else roots, covariances)

    @property
    def history_(self) -> list[float]:
        """The mean log-likelihood that each iteration's E step found; scikit-learn's `lower_bounds_`."""
        self._require_fit()
        return self.lower_bounds_

    @property
    def n_parameters_(self) -> int:
        """How many free parameters the fitted mixture has."""
        self._require_fit()
        return self._n_parameters()

    # What a fitted mixture answers.

    def _evaluate(self, X: ArrayLike, wanted: str) -> NDArray[Any]:
        table, mixture = self._checked(X)
        result = evaluate(mixture._parameters.densities, table, wanted, self.n_threads)
        return result if wanted == "labels" else self._as_fitted(result)

    def _as_fitted(self, result: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """As scikit-learn: float32 only where the model and X are."""
        return result if np.asarray(self.means_).dtype == np.float32 else result.astype(np.float64, copy=False)

    def _checked(self, X: ArrayLike) -> tuple[NDArray[Any], Mixture]:
        self._require_fit()
        table, columns = as_table(X)
        check_names(columns, getattr(self, "feature_names_in_", None), type(self).__name__, stacklevel=5)
        return self._checked_rows(table)

    def _checked_rows(self, table: NDArray[Any]) -> tuple[NDArray[Any], Mixture]:
        """A table that the mixture can read, and the mixture."""
        mixture = self.mixture_
        if table.shape[1] != mixture.n_features:
            raise ValueError(f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                             f"{mixture.n_features} features as input")
        if not len(table):
            raise ValueError(f"Found array with 0 sample(s) (shape={table.shape}) while a minimum of 1 is required.")
        check_finite(table)
        return table, mixture

    def _estimate_log_prob(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        ln N(x_n | μ_k, Σ_k) of every row and component, under scikit-learn's name. It is there to be called, not overridden.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray, shape (N, K)
        """
        self._require_fit()
        table, mixture = self._checked_rows(as_table(X)[0])  # scikit-learn calls it after its check of the names
        return self._as_fitted(component_log_densities(mixture, table, self.n_threads))

    def _estimate_weighted_log_prob(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        ln π_k N(x_n | μ_k, Σ_k) of every row and component, under scikit-learn's name. It is there to be called, not overridden.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray, shape (N, K)
        """
        joint = self._estimate_log_prob(X)
        with np.errstate(divide="ignore"):
            return joint + np.log(self.mixture_.weights).astype(joint.dtype)

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """
        The component with the largest responsibility (5) for every row.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray of int, shape (N,)

        Raises
        ------
        NotFittedError
        ValueError
            Where X is not of the width or with the names of the fit, or not finite.
        """
        return self._evaluate(X, "labels")

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        The responsibilities γ_nk (5).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray, shape (N, K)
        """
        return self._evaluate(X, "responsibilities")

    def score_samples(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        ln p(x_n) of every row (1).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray, shape (N,)
        """
        return self._evaluate(X, "logpdf")

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """
        The mean log-likelihood of a row, (6) over Σ_n w_n.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        y : None
            Not used.
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        float
        """
        return self._mean_log_likelihood(X, sample_weight)[0]

    def sample(self, n_samples: int = 1) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """
        Draw rows from the fitted mixture.

        A whole number as `random_state` gives the same rows in each call, a RandomState or Generator goes on. The numbers are those
        of a Generator, and so are not scikit-learn's from the same seed.

        Parameters
        ----------
        n_samples : int

        Returns
        -------
        X : ndarray, shape (n_samples, D)
        y : ndarray of int, shape (n_samples,)
            The component of each row, in ascending order.
        """
        self._require_fit()
        if not isinstance(n_samples, (int, float, np.integer, np.floating)):
            raise TypeError(f"n_samples must be a whole number of rows, not {n_samples!r}")
        if not n_samples >= 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        if n_samples == math.inf:
            raise ValueError("n_samples must be a finite number of rows")
        return self.mixture_.labelled_rvs(int(n_samples), as_generator(self.random_state))

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """
        The Bayesian information criterion, −2 L + p ln Σ_n w_n; lower is better.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        float
        """
        mean, total = self._mean_log_likelihood(X, sample_weight)
        return -2 * mean * total + self._n_parameters() * math.log(total)

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """
        The Akaike information criterion, −2 L + 2 p; lower is better.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        float
        """
        mean, total = self._mean_log_likelihood(X, sample_weight)
        return -2 * mean * total + 2 * self._n_parameters()

    def icl(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """
        The integrated completed likelihood criterion, BIC − 2 Σ_n w_n ln max_k γ_nk; lower is better.

        It asks for components that do not overlap, where BIC asks for a good density.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        float

        References
        ----------
        Biernacki, Celeux and Govaert, "Assessing a mixture model for clustering with the integrated completed likelihood",
        IEEE Transactions on Pattern Analysis and Machine Intelligence 22 (2000).
        """
        table, mixture = self._checked(X)
        weights, certainty = as_weights(sample_weight, len(table)), np.empty(len(table))
        for start, stop in block_bounds(table.shape[0], table.shape[1], mixture.n_components):
            shares = evaluate(mixture._parameters.densities, table[start:stop], "responsibilities", self.n_threads)
            certainty[start:stop] = np.log(shares.max(axis=1), dtype=np.float64)
        total = len(table) if weights is None else sum_of_weights(weights)
        return self.bic(X, sample_weight) - 2 * total * (certainty.mean() if weights is None else weighted_mean(certainty, weights))

    def summary(self, X: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> str:
        """
        The fit as a table: a row for each component, and the criteria.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D), optional
            What the criteria are computed on, as by `bic`, `aic` and `icl`. Without it they are those of the data and weights of
            the fit at its last E step, before the M step that followed (the summary says so), ICL is left out, and so are they all
            where the fitted attributes were changed since.
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        str
        """
        self._require_fit()
        if X is not None:
            mean, rows = self._mean_log_likelihood(X, sample_weight)
            return summary_text(self, rows, mean * rows, self.icl(X, sample_weight))
        if sample_weight is not None:
            raise ValueError("summary takes sample_weight only together with the rows that the weights are of")
        if not hasattr(self, "_n_rows") or self.mixture_ is not self._fitted[0]:  # set by hand, or from a file
            return summary_text(self, None, None, None)
        at_last_e_step = self.lower_bound_ * self._n_rows if self.lower_bounds_ else None
        return summary_text(self, self._n_rows, at_last_e_step, None, of_the_fit=True)

    def _mean_log_likelihood(self, X: ArrayLike, sample_weight: ArrayLike | None) -> tuple[float, float]:
        """L / Σ_n w_n (6), and Σ_n w_n."""
        log_p = self.score_samples(X).astype(np.float64, copy=False)
        weights = as_weights(sample_weight, len(log_p))
        if weights is None:
            return float(log_p.mean()), len(log_p)
        return weighted_mean(log_p, weights), sum_of_weights(weights)

    def _n_parameters(self) -> int:
        mixture = self.mixture_
        return mixture.structure.n_parameters(mixture.n_components, mixture.n_features)


def _parameter(read: Callable[[Any], _Read], value: Any) -> _Read:
    """A parameter as `read` understands it, or the error of a wrong parameter."""
    try:
        return read(value)
    except ValueError as error:
        raise in_use(InvalidParameterError)(str(error)) from None


def _is_finite(number: float) -> bool:
    """Whether it is a number in double precision."""
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond
        return False


def _fingerprint_of(value: Any) -> object:
    try:
        array = np.ascontiguousarray(value)
        return array.shape, array.dtype.str, zlib.crc32(array.data)
    except (TypeError, ValueError):  # what holds no numbers is no fit's
        return repr(value)


def _rank(fit: Fit, spurious: list[Spurious]) -> tuple[bool, bool, float]:
    return fit.collapsed is None, not spurious, fit.history[-1] if fit.history else -math.inf

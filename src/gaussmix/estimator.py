"""GaussianMixture: an estimator that follows scikit-learn's conventions."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import math
import os
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix import criteria
from gaussmix.answers import (
    CERTAINTY, LABELS, LOG_DENSITY, RESPONSIBILITIES, Question, answer, check_out, collected, delivered, drawn_parts, mean_of,
    part_answers)
from gaussmix.attributes import attributes_of, mixture_of
from gaussmix.checkpoint import Checkpoint, checked_interval, identity_of
from gaussmix.blocks import sum_of_weights, weighted_mean
from gaussmix.engines.dask import check_table, is_dask, lazily, lazy_mean
from gaussmix.engines.spark import beside_rows, is_spark, mean_beside
from gaussmix.learning import Fitted, adapted_by, fitted_by, observed, streamed_by, take_on
from gaussmix.mixture import Mixture, component_log_densities, joint_log_densities
from gaussmix.modelfile import load, save
from gaussmix.observations import as_table, as_weights, check_finite, check_names
from gaussmix.random_state import RandomState, as_generator
from gaussmix.scikit_learn import Estimator, refuse_hooks
from gaussmix.search import Search
from gaussmix.sources import Source, is_source
from gaussmix.sources.opening import open_like
from gaussmix.sources.source import RowsLike
from gaussmix.streams import Stream
from gaussmix.structures import structure_named
from gaussmix.summary import summary_html, summary_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GaussianMixture"]

ASKED = "gaussmix: asked"  # a column that a Spark DataFrame has for a moment


class GaussianMixture(Estimator):
    """
    Gaussian mixture learned by EM, with the interface of scikit-learn's class of the same name.

    Parameters
    ----------
    n_components : int, default=1
        K, how many components there are.
    covariance_type : str, default="full"
        "full" (VVV), "tied" (EEE), "diag" (VVI) or "spherical" (VII). mclust's names, in brackets, are accepted too.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood of a row changes by less than this.
    reg_covar : float or "auto", default=1e-6
        The amount added to every variance, in squared units of the data. "auto" adds a millionth of each feature's variance (for
        "spherical", of the mean of these variances), so that the fit does not depend on the units.
    max_iter : int, default=100
        EM stops after this many iterations.
    n_init : int or "auto", default=1
        How many starts; the best fit is kept. "auto" searches for the best proper optimum until another round of the search is
        unlikely to find a better one, or `search_budget` is spent; `search_` then tells what it found. It makes starts of all
        kinds, whatever `init_params` says, and follows them by the accelerated algorithm to within 0.1 nats of their limits,
        whatever `tol`, `stopping` and `algorithm` say; `max_iter` bounds the E steps of each. Where `weights_init`, `means_init`,
        `precisions_init`, an array as `init_params` or `warm_start` after an earlier fit say where to start, "auto" means 1: EM
        goes on from there, without swaps.
    init_params : str or array_like, default="kmeans"
        Where EM starts: "kmeans", "k-means++", "random", "random_from_data", or, in units of the data's own spread so that the
        start does not depend on the units of the features, "kmeans_standardized", "kmeans_whitened", "k-means++_standardized" or
        "k-means++_whitened". The last two assign each row to the nearest of K chosen rows. An array of whole numbers, shape (N,),
        gives the label of every row; an array of shape (N, K) gives the responsibilities. With either, EM begins with an M step.
        "k-means++" and "random_from_data" choose K rows as means, with equal weights. The variances are then almost zero, plus
        `reg_covar`, so that the first E step gives every row to the nearest mean.
    weights_init : array_like, shape (K,), optional
    means_init : array_like, shape (K, D), optional
    precisions_init : array_like, optional
        Parameters to start from. Those that are not given come from `init_params`. Precisions have the shape of `precisions_`.
    random_state : None, int, RandomState or Generator, default=None
    warm_start : bool, default=False
        Whether `fit` starts from the last solution.
    verbose : int, default=0
        1 prints each start and every `verbose_interval`-th iteration. 2 also prints the time and the change of the log-likelihood.
    verbose_interval : int, default=10
    n_threads : int, optional
        None means the value of `GAUSSMIX_NUM_THREADS` if it is set, else the number of CPUs that this process may run on; in a
        worker process of multiprocessing or joblib it means one. The result does not depend on the number of threads.
    progress : bool, default=False
        Whether to show a progress bar (tqdm's where it is installed).
    callback : callable, optional
        Called in every iteration with three arguments: the number of the iteration (from 1), the mean log-likelihood of a row that
        its E step found, and the `Mixture` with that log-likelihood. The fit ends when it returns something true.
    algorithm : {"em", "accelerated"}, default="em"
        "accelerated" extrapolates the course of EM (Anderson's method with memory 1) and needs several times fewer E steps where
        EM is slow. An E step that did not raise the log-likelihood counts in `n_iter_`, but is not in `history_`.
    stopping : {"change", "distance"}, default="change"
        Under "distance", EM stops when the log-likelihood of all rows is estimated to be less than `tol` nats below its limit, in ten
        iterations in a row.
    step_exponent, step_offset : float, default=0.6, 2
        For `partial_fit`: its step t = 0, 1, … gives the new rows the share (t + offset)^(−exponent) in the statistics. The
        exponent is more than ½ and at most 1, the offset at least 1.
    half_life : float or None, default=None
        For `partial_fit` to data that drift: rows count for half after so many further rows, instead of the shares above.
    search_budget : int, str or None, default=None
        The most that a search with n_init="auto" may cost: a number of starts, or a time such as "10 s". A search that ends by
        time may find something else the next time.
    start_sample : int, default=100_000
        Of rows that are not in memory (docs/guide/out-of-core.md), the start and the search for it see a random sample of this many.
        EM then goes over all rows.

    Attributes
    ----------
    weights_ : ndarray, shape (K,)
    means_ : ndarray, shape (K, D)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Shape (K, D, D) for full, (D, D) for tied, (K, D) for diag, (K,) for spherical. As in scikit-learn, these arrays,
        `weights_` and `means_` are float32 after a fit to float32 data, else float64. An array that float32 cannot hold stays
        float64.
    mixture_ : Mixture
        The fitted distribution.
    converged_ : bool
    n_iter_ : int
        How many E steps the best start made.
    lower_bound_ : float
        The mean log-likelihood that the last E step found.
    lower_bounds_, history_ : list of float
        The mean log-likelihood that each iteration of the best start found.
    search_ : Search
        Exists only after a fit with n_init="auto": the optima that were found and how often, and the chance that there is a
        better one.
    n_parameters_ : int
        The number of free parameters, which AIC and BIC count.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (D,)
        Exists only after a fit to a table whose column names are all strings.

    Notes
    -----
    A subclass may override any public method, and `_n_parameters`. The other private methods that scikit-learn's loop calls
    (`_m_step`, `_estimate_log_prob` …) are not called here. A subclass that overrides one of them is therefore refused with a
    TypeError, which says what to use instead.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[0.0, 0.0], [10.0, 5.0]], 100, axis=0)
    >>> gm = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> gm.means_[gm.means_[:, 0].argsort()].round(1)
    array([[-0.1,  0.1],
           [ 9.9,  4.9]])
    >>> int(gm.predict([[1.0, 1.0]])[0]) == int(gm.predict(X)[0])
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
    search_: Search
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    _n_rows: float
    _stream: tuple[Stream, Mixture, float | str]

    def __init__(self, n_components: int = 1, *, covariance_type: str = "full", tol: float = 1e-3, reg_covar: float | str = 1e-6,
                 max_iter: int = 100, n_init: int | str = 1, init_params: str | ArrayLike = "kmeans",
                 weights_init: ArrayLike | None = None, means_init: ArrayLike | None = None,
                 precisions_init: ArrayLike | None = None, random_state: RandomState = None, warm_start: bool = False,
                 verbose: int = 0, verbose_interval: int = 10, n_threads: int | None = None, progress: bool = False,
                 callback: Callable[[int, float, Mixture], object] | None = None, algorithm: str = "em", stopping: str = "change",
                 search_budget: int | str | None = None, step_exponent: float = 0.6, step_offset: float = 2.0,
                 half_life: float | None = None, start_sample: int = 100_000) -> None:
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
        self.algorithm = algorithm
        self.stopping = stopping
        self.search_budget = search_budget
        self.step_exponent = step_exponent
        self.step_offset = step_offset
        self.half_life = half_life
        self.start_sample = start_sample

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_hooks(cls, GaussianMixture)

    def _refuse_hooks(self) -> None:
        """Raise TypeError where a private method that is not called here was set on this object."""
        refuse_hooks(type(self), GaussianMixture, vars(self))

    # Fitting.

    def fit(self, X: RowsLike, y: object = None, sample_weight: ArrayLike | None = None, *,
            checkpoint: str | os.PathLike[str] | None = None, checkpoint_every: int | str = "1 s") -> Self:
        """
        Estimate the parameters by EM.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
            Or what `gaussmix.sources.open_source` opens, such as the path of a file: its rows are read block by block in every
            iteration (docs/guide/out-of-core.md).
        y : None
            Not used.
        sample_weight : array_like, shape (N,), optional
            A row of weight 2 counts as two rows, one of weight 0 as none.
        checkpoint : path, optional
            A file in which the state of the fit is kept. Where it exists, the fit goes on from it, to the same bits as if it had
            not been interrupted; after success, the same call returns its result at once.
        checkpoint_every : int or str, default="1 s"
            After how many iterations the state is written, or after what time, such as "10 min".

        Returns
        -------
        GaussianMixture
            The estimator itself. After an error it is unchanged.

        Raises
        ------
        ValueError
            Where a parameter or the data are not usable, every start is singular, or `checkpoint` is that of another fit.
        SourceError
            A ValueError that says where a source failed, and has the mixture of the last whole iteration.

        Warns
        -----
        ConvergenceWarning
            Where `max_iter` iterations were not enough.
        CollapseWarning
            Where a covariance became singular; the parameters are then the last valid ones (docs/collapse.md).
        SpuriousOptimumWarning
            A kind of CollapseWarning, where every start led to a spurious optimum.
        UserWarning
            Where `reg_covar` is more than a thousandth of a feature's variance.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1]).fit(X, sample_weight=[1, 1, 1, 1, 1, 3])
        >>> gm.weights_.round(3), gm.means_.round(2).ravel()
        (array([0.375, 0.625]), array([1. , 9.4]))
        """
        if type(self).fit_predict is not GaussianMixture.fit_predict:  # a subclass's, which scikit-learn's `fit` calls too
            if checkpoint is not None:
                raise TypeError("a subclass with a fit_predict of its own fits without a checkpoint: override fit as well, or leave it out")
            self.fit_predict(X, y, **({} if sample_weight is None else {"sample_weight": sample_weight}))
            return self
        checked_interval(checkpoint_every)
        data = observed(self, X, sample_weight)
        kept = None if checkpoint is None else Checkpoint(checkpoint, identity_of(self, data), checkpoint_every)
        self._tell_and_take_on(fitted_by(self, data, kept))
        return self

    def fit_predict(self, X: RowsLike, y: object = None, sample_weight: ArrayLike | None = None) -> NDArray[np.intp]:
        """
        Fit, and return the labels that `predict` would then give to the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        ndarray of int, shape (N,)

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1]).fit_predict(X)
        array([0, 0, 0, 1, 1, 1])
        """
        fitted = fitted_by(self, observed(self, X, sample_weight))
        found = fitted.data.labels(fitted.fit.mixture, self.n_threads)
        self._tell_and_take_on(fitted)
        return found

    def _tell_and_take_on(self, fitted: Fitted) -> None:
        """Give the warnings of a fit, then take it on. Where a warning is raised as an error, this estimator stays unchanged."""
        for warning in fitted.warnings:
            warnings.warn(warning, stacklevel=3)
        take_on(self, fitted)

    def _hold(self, mixture: Mixture, columns: list[str] | None, real: type[np.floating[Any]]) -> None:
        """Set the attributes from a mixture: its arrays, and the names of its features."""
        vars(self).update(attributes_of(mixture, real))
        self._fitted = mixture, self._fingerprint()
        self.n_features_in_ = mixture.n_features
        if columns is not None:
            self.feature_names_in_ = np.array(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # Streams.

    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Go on with rows that come later, by stepwise EM.

        The statistics of earlier rows decay, and those of the new rows are added (Cappé and Moulines 2009). Rows are taken in steps of
        a thousand, each of which is an E step and an M step. `step_exponent`, `step_offset` and `half_life` say how fast earlier rows
        are forgotten. The first call fits the model to its rows as `fit` does, unless the model is fitted already; it should have
        enough rows to tell the components apart.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        y : None
            Not used.
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        GaussianMixture
            The estimator itself. After an error it is unchanged. `history_` has the mean log-likelihood of a row that the E step of
            each step of this call found, `lower_bound_` their mean, and `n_iter_` the number of all steps so far. `converged_` is
            False.

        Raises
        ------
        ValueError
            Where a parameter or the data are not usable, or have other features than before.

        Warns
        -----
        CollapseWarning
            Where a component starves, as few of the rows that are not forgotten belong to it, or where a covariance became
            singular, so that the parameters stay as they were.

        Examples
        --------
        >>> import numpy as np
        >>> from gaussmix import GaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> gm = GaussianMixture(2, random_state=0)
        >>> for _ in range(5):
        ...     gm = gm.partial_fit(rng.normal(size=(2000, 1)) + rng.choice([0.0, 8.0], size=(2000, 1)))
        >>> np.sort(gm.means_.ravel()).round(1) + 0.0, gm.n_iter_
        (array([0., 8.]), 8)
        """
        streamed = streamed_by(self, X, sample_weight)
        for warning in streamed.warnings:
            warnings.warn(warning, stacklevel=2)
        streamed.take_on(self)
        return self

    def adapt(self, X: ArrayLike, relevance_factor: float = 16, *, weights: bool = False, covariances: bool = False,
              sample_weight: ArrayLike | None = None) -> Self:
        """
        Adapt a fitted mixture to other data, by maximum a posteriori (Reynolds, Quatieri and Dunn 2000).

        The new mean of a component is α_k times that of its rows plus 1 − α_k times its old one, with α_k = n_k/(n_k + r): a component
        with few rows stays where it was. This is an M step with a prior of r imaginary rows for each component.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        relevance_factor : float, default=16
            r, more than 0: as many rows move a mean half of the way.
        weights, covariances : bool, default=False
            Whether to adapt these too.
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        GaussianMixture
            The estimator itself, which is changed in place. After an error it is unchanged. What told of the fit does not hold
            any more: `converged_` is False, `n_iter_` is 0, `history_` is empty, `lower_bound_` is −∞, and `search_` is gone.

        Raises
        ------
        NotFittedError
        TypeError
            Where `weights` or `covariances` is not True or False.
        ValueError
            Where another argument or the data are not usable.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> gm = GaussianMixture(1).fit([[-1.0], [0.0], [1.0], [0.0]])
        >>> gm.adapt([[3.0]] * 16).means_
        array([[1.5]])
        """
        self._require_fit()
        mixture = adapted_by(self, X, relevance_factor, weights, covariances, sample_weight)
        vars(self).update(attributes_of(mixture, self.means_.dtype.type))
        self._fitted = mixture, self._fingerprint()
        self.converged_, self.n_iter_, self.lower_bound_, self.lower_bounds_ = False, 0, -math.inf, []
        vars(self).pop("search_", None)
        return self

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
            Where two features have the same name, or UTF-8 cannot hold a name.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gm.save(os.path.join(folder, "model.json"))
        ...     GaussianMixture.load(os.path.join(folder, "model.json")).mixture_ == gm.mixture_
        True
        """
        self._require_fit()
        save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """
        Make a fitted estimator from a model file, which another program may have written.

        A model file holds a mixture and the names of its features, but not how the mixture was found. The estimator therefore has
        `mixture_` and the attributes that follow from it, in float64. Its `n_components` and `covariance_type` are those of the
        mixture, and its other parameters have their default values. It has no `converged_`, `n_iter_`, `lower_bound_`,
        `lower_bounds_` or `history_`. With `warm_start=True` EM goes on from the mixture.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        GaussianMixture
            Its predictions are the same, bit for bit, as those of the mixture that was saved.

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
        """Return a value that changes when a user sets another array, or changes one in place, after the fit."""
        return [_fingerprint_of(getattr(self, name, ())) for name in ("weights_", "means_", "covariances_", "precisions_cholesky_")]

    @property
    def mixture_(self) -> Mixture:
        """
        The fitted distribution or, where a user has set fitted attributes, the distribution that these attributes describe.

        Where a user has set attributes, `precisions_cholesky_` is used, as in scikit-learn. `covariances_` is used only where it
        alone was changed, or where there is no `precisions_cholesky_`. If the one that is used is still as the fit left it, it has
        the structure that was fitted, even if `covariance_type` has been set to another since.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.mixture_.mean, gm.mixture_.cov.round(2)
        (array([5.]), array([[16.67]]))
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
        """
        The mean log-likelihood that the E step of each iteration found; scikit-learn calls it `lower_bounds_`.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> len(gm.history_) == gm.n_iter_, gm.history_[-1] == gm.lower_bound_
        (True, True)
        """
        self._require_fit()
        return self.lower_bounds_

    @property
    def n_parameters_(self) -> int:
        """
        How many free parameters the fitted mixture has.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.n_parameters_  # one weight, two means, two variances
        5
        """
        self._require_fit()
        return self._n_parameters()

    # What a fitted mixture answers.

    def _as_fitted(self, result: NDArray[Any]) -> NDArray[Any]:
        """Convert a result to the type that scikit-learn gives: float32 only where both the model and X are float32."""
        if np.asarray(self.means_).dtype == np.float32 or result.dtype.kind != "f":
            return result
        return result.astype(np.float64, copy=False)

    def _asked(self, question: Question, X: Any, out: Any = None) -> Any:
        """Answer a question for every row of X, which may be a source, and return the answers or write them to `out`."""
        self._require_fit()
        check_out(out, X, question, self.mixture_.n_components)
        if is_dask(X) or is_spark(X):
            if out is not None:
                raise TypeError("the answers for rows on a cluster are lazy, and come without out: store them by the cluster's own means")
            return self._lazily(question, X)
        if is_source(X):
            source = self._checked_source(X, stacklevel=4)
            return answer(question, self.mixture_, source, self.n_threads, out, self._as_fitted)
        table, mixture = self._checked(X, stacklevel=5)
        answers = self._as_fitted(question.of(mixture, table, self.n_threads))
        return delivered(answers, question.columns(mixture.n_components), out)

    def _lazily(self, question: Question, X: Any, column: str | None = None) -> Any:
        """The answers for rows on a cluster, as a collection of Dask or a DataFrame of Spark; each is computed by one thread."""
        mixture, real = self.mixture_, np.asarray(self.means_).dtype
        if is_spark(X):
            names = getattr(self, "feature_names_in_", None)
            of_rows = np.dtype(np.intp) if question is LABELS else np.dtype(float)
            return beside_rows(X, partial(part_answers, question, mixture, of_rows), column or question.plural, question.is_wide,
                               question is LABELS, None if names is None else list(names), mixture.n_features)
        check_table(X)
        self._check_features(X.shape[1])
        given = list(getattr(X, "columns", []))
        columns = given if given and all(isinstance(name, str) for name in given) else None
        check_names(columns, getattr(self, "feature_names_in_", None), type(self).__name__, stacklevel=5)
        of_rows = np.dtype(np.intp) if question is LABELS else real if getattr(X, "dtype", None) == real == np.float32 else np.dtype(float)
        return lazily(X, partial(part_answers, question, mixture, of_rows), question.columns(mixture.n_components), question.is_wide, of_rows)

    def _checked_source(self, X: Any, stacklevel: int) -> Source:
        """A source that the mixture can read. Of a source with names, the columns of the fit are taken."""
        names = getattr(self, "feature_names_in_", None)
        source = open_like(X, None if names is None else list(names))
        check_names(source.columns, names, type(self).__name__, stacklevel=stacklevel + 1)
        self._check_features(source.n_features)
        return source

    def _opened(self, X: Any) -> Any:
        """X, or where it is a source, one that several questions may be asked of."""
        self._require_fit()
        return self._checked_source(X, stacklevel=4) if is_source(X) else X

    def _checked(self, X: ArrayLike, stacklevel: int) -> tuple[NDArray[Any], Mixture]:
        self._require_fit()
        table, columns = as_table(X)
        check_names(columns, getattr(self, "feature_names_in_", None), type(self).__name__, stacklevel=stacklevel)
        return self._checked_rows(table)

    def _check_features(self, n_features: int) -> None:
        if n_features != self.mixture_.n_features:
            raise ValueError(f"X has {n_features} features, but {type(self).__name__} is expecting {self.mixture_.n_features} features as "
                             "input")

    def _checked_rows(self, table: NDArray[Any]) -> tuple[NDArray[Any], Mixture]:
        """A table that the mixture can read, and the mixture."""
        mixture = self.mixture_
        self._check_features(table.shape[1])
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
        return self._component_wise(component_log_densities, X)

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
        return self._component_wise(joint_log_densities, X)

    def _component_wise(self, of: Callable[..., NDArray[Any]], X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Call a function with the mixture and the rows. Scikit-learn calls this after its own check of the feature names."""
        self._require_fit()
        table, mixture = self._checked_rows(as_table(X)[0])
        return self._as_fitted(of(mixture, table, self.n_threads))

    def predict(self, X: RowsLike, *, out: Any = None) -> NDArray[np.intp]:
        """
        Return for every row the component with the largest responsibility (5).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
            Or what `gaussmix.sources.open_source` opens, whose rows are read block by block.
        out : ndarray, memory map or path, optional
            Where to put the result: an array of its shape, or a `.npy`, `.parquet` or CSV file, which is written block by block.

        Returns
        -------
        ndarray of int, shape (N,)
            Or `out`, where it is given.

        Raises
        ------
        NotFittedError
        ValueError
            Where X has not the columns of the fit, by number or by name, or is not finite.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.predict([[3.0], [7.0]])
        array([0, 1])
        """
        found: NDArray[np.intp] = self._asked(LABELS, X, out)
        return found

    def predict_proba(self, X: RowsLike, *, out: Any = None) -> NDArray[np.floating[Any]]:
        """
        The responsibilities γ_nk (5).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
            Or what `gaussmix.sources.open_source` opens, whose rows are read block by block.
        out : ndarray, memory map or path, optional
            Where to put the result: an array of its shape, or a `.npy`, `.parquet` or CSV file, which is written block by block.

        Returns
        -------
        ndarray, shape (N, K)
            Or `out`, where it is given.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.predict_proba([[4.0], [5.0]]).round(3)
        array([[1. , 0. ],
               [0.5, 0.5]])
        """
        found: NDArray[np.floating[Any]] = self._asked(RESPONSIBILITIES, X, out)
        return found

    def score_samples(self, X: RowsLike, *, out: Any = None) -> NDArray[np.floating[Any]]:
        """
        ln p(x_n) of every row (1).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
            Or what `gaussmix.sources.open_source` opens, whose rows are read block by block.
        out : ndarray, memory map or path, optional
            Where to put the result: an array of its shape, or a `.npy`, `.parquet` or CSV file, which is written block by block.

        Returns
        -------
        ndarray, shape (N,)
            Or `out`, where it is given.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.score_samples([[1.0], [9.0]]).round(3)
        array([-1.409, -1.409])
        """
        found: NDArray[np.floating[Any]] = self._asked(LOG_DENSITY, X, out)
        return found

    def score(self, X: RowsLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> round(gm.score(X), 3)
        -1.909
        """
        return self._mean_log_likelihood(X, sample_weight)[0]

    def sample(self, n_samples: int = 1, *, out: Any = None) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """
        Draw rows from the fitted mixture.

        Where `random_state` is a whole number, each call gives the same rows; a RandomState or Generator gives new rows in each
        call. The random numbers come from a numpy Generator, so that they differ from those of scikit-learn with the same seed.

        Parameters
        ----------
        n_samples : int
        out : ndarray, memory map or path, optional
            Where to put the rows, part by part and in random order: an array of shape (n_samples, D), or a `.npy`, `.parquet` or CSV
            file. It is then returned instead.

        Returns
        -------
        X : ndarray, shape (n_samples, D)
        y : ndarray of int, shape (n_samples,)
            The component of each row, in ascending order.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> rows, labels = gm.sample(5)
        >>> rows.shape, labels
        ((5, 1), array([0, 0, 0, 1, 1]))
        """
        self._require_fit()
        if not isinstance(n_samples, (int, float, np.integer, np.floating)):
            raise TypeError(f"n_samples must be a whole number of rows, not {n_samples!r}")
        if not n_samples >= 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        if n_samples == math.inf:
            raise ValueError("n_samples must be a finite number of rows")
        if out is not None:
            check_out(out)
            names = list(getattr(self, "feature_names_in_", [])) or [f"x{i + 1}" for i in range(self.n_features_in_)]
            collected(drawn_parts(self.mixture_, int(n_samples), as_generator(self.random_state)), names, out, int(n_samples))
            return out  # type: ignore[no-any-return]  # whatever it is
        return self.mixture_.labelled_rvs(int(n_samples), as_generator(self.random_state))

    def bic(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
        """
        The Bayesian information criterion, −2 L + p ln Σ_n w_n; lower is better.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        float

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> [round(GaussianMixture(k, random_state=0).fit(X).bic(X), 1) for k in (1, 2)]
        [37.5, 31.9]
        """
        mean, total = self._mean_log_likelihood(X, sample_weight)
        return criteria.bic(mean * total, self._n_parameters(), total)

    def aic(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
        """
        The Akaike information criterion, −2 L + 2 p; lower is better.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        float

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> [round(GaussianMixture(k, random_state=0).fit(X).aic(X), 1) for k in (1, 2)]
        [37.9, 32.9]
        """
        mean, total = self._mean_log_likelihood(X, sample_weight)
        return criteria.aic(mean * total, self._n_parameters())

    def icl(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> round(float(gm.icl(X)), 1), round(gm.bic(X), 1)  # these components do not overlap
        (31.9, 31.9)

        References
        ----------
        Biernacki, Celeux and Govaert, "Assessing a mixture model for clustering with the integrated completed likelihood",
        IEEE Transactions on Pattern Analysis and Machine Intelligence 22 (2000).
        """
        X = self._opened(X)
        mean_certainty, _ = self._mean(CERTAINTY, X, sample_weight)
        mean, total = self._mean_log_likelihood(X, sample_weight)
        return criteria.icl(mean * total, self._n_parameters(), total, mean_certainty * total)

    def summary(self, X: RowsLike | None = None, sample_weight: ArrayLike | None = None) -> str:
        """
        The fit as a table: a row for each component, and the criteria.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D), optional
            Rows to compute the criteria on, as `bic`, `aic` and `icl` do. Without X the criteria are those of the data and weights
            of the fit at its last E step, before the M step that followed; the summary says so. ICL is then left out. All criteria
            are left out where the fitted attributes have been changed since the fit.
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        str

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> print(gm.summary(X))
        Gaussian mixture, 2 components, 1 features, full covariances: converged after 2 iterations
        <BLANKLINE>
        component  weight  rows  mean x0   sd x0  log det
                0     0.5     3        1  0.8165  -0.4055
                1     0.5     3        9  0.8165  -0.4055
        <BLANKLINE>
        rows 6, free parameters 5, log-likelihood -11.4561, BIC 31.8710, AIC 32.9122, ICL 31.8710
        """
        self._require_fit()
        if X is not None:
            X = self._opened(X)
            mean, rows = self._mean_log_likelihood(X, sample_weight)
            return summary_text(self, rows, mean * rows, self.icl(X, sample_weight))
        if sample_weight is not None:
            raise ValueError("summary takes sample_weight only together with the rows that the weights are of: give X as well")
        return summary_text(self, *self._of_the_fit(), None, of_the_fit=True)

    def _repr_html_(self) -> str:
        """Show a notebook the table and a picture of a fit, and scikit-learn's diagram where scikit-learn is in use."""
        fitted = summary_html(self, *self._of_the_fit()) if self.__sklearn_is_fitted__() else ""
        return fitted + super()._repr_html_()

    def _of_the_fit(self) -> tuple[float | None, float | None]:
        """Return Σ_n w_n of the fitted rows, and L (6) as the last E step found it; each is None where it is not known."""
        if not hasattr(self, "_n_rows") or self.mixture_ is not self._fitted[0]:  # set by hand, or from a file
            return None, None
        return self._n_rows, self.lower_bound_ * self._n_rows if self.lower_bounds_ else None

    def plot(self, X: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes | NDArray[np.object_]:
        """
        Draw the fit in a way that suits its number of features; `gaussmix.plotting` has all kinds of pictures.

        One feature is shown by a histogram and densities. Two features are shown by the rows, in the colours of their components,
        with ellipses that hold 50 % and 95 % of each component. More features are shown by a matrix of panels. Of more than six
        features, it shows the six with the largest share of their variance between the components' means.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D), optional
            Rows to show. Of many rows only a random sample is drawn, the same each time.
        ax : matplotlib.axes.Axes, optional
            The axes to draw a single panel in. By default a new pyplot figure is made.

        Returns
        -------
        Axes, or ndarray of Axes
            An array where there are several panels.

        Raises
        ------
        ImportError
            Where matplotlib is not installed: pip install "gaussmix[plot]".

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0.0], [9.0]], 30, axis=0)
        >>> ax = GaussianMixture(n_components=2, random_state=0).fit(X).plot(X)
        >>> ax.get_xlabel()
        'x0'
        """
        from gaussmix.plotting import plot

        self._require_fit()
        return plot(self, X, ax=ax)

    def _mean_log_likelihood(self, X: RowsLike, sample_weight: ArrayLike | None) -> tuple[float, float]:
        """L / Σ_n w_n (6), and Σ_n w_n."""
        if is_source(X) or is_dask(X) or is_spark(X):
            return self._mean(LOG_DENSITY, X, sample_weight)
        return _weighted(self.score_samples(X), sample_weight)

    def _mean(self, question: Question, X: Any, sample_weight: ArrayLike | None) -> tuple[float, float]:
        """The mean over all rows of a question with one answer a row, and Σ_n w_n."""
        self._require_fit()
        if is_dask(X):
            return lazy_mean(self._lazily(question, X), sample_weight)
        if is_spark(X):
            return mean_beside(self._lazily(question, X, ASKED), ASKED, sample_weight)
        if is_source(X):
            return mean_of(question, self.mixture_, self._checked_source(X, stacklevel=4), sample_weight, self.n_threads)
        table, mixture = self._checked(X, stacklevel=5)
        return _weighted(question.of(mixture, table, self.n_threads), sample_weight)

    def _n_parameters(self) -> int:
        mixture = self.mixture_
        return mixture.structure.n_parameters(mixture.n_components, mixture.n_features)


def _weighted(values: NDArray[np.floating[Any]], sample_weight: ArrayLike | None) -> tuple[float, float]:
    """The weighted mean of numbers, and the sum of the weights."""
    numbers = values.astype(np.float64, copy=False)
    weights = as_weights(sample_weight, len(numbers))
    return (float(numbers.mean()), len(numbers)) if weights is None else (weighted_mean(numbers, weights), sum_of_weights(weights))


def _fingerprint_of(value: Any) -> object:
    try:
        array = np.ascontiguousarray(value)
        return array.shape, array.dtype.str, zlib.crc32(array.data)
    except (TypeError, ValueError):  # a value that holds no numbers was not set by a fit
        return repr(value)

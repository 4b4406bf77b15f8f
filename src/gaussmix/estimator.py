"""GaussianMixture: scikit-learn's conventions over the loop, the starts and the mixture."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import math
import os
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix import criteria
from gaussmix.attributes import attributes_of, mixture_of
from gaussmix.blocks import block_bounds, sum_of_weights, weighted_mean
from gaussmix.engines import Threads, resolve_threads
from gaussmix.fitting import Fit, Request
from gaussmix.mixture import Mixture, component_log_densities, joint_log_densities, labels, log_density, responsibilities
from gaussmix.modelfile import load, save
from gaussmix.observations import as_table, as_weights, check_finite, check_names
from gaussmix.outcome_warnings import warnings_of
from gaussmix.parameter_checks import as_parameter, checked_blocks, checked_start, checked_structure, continued_start
from gaussmix.progress import Progress
from gaussmix.random_state import RandomState, as_generator
from gaussmix.scikit_learn import Estimator, refuse_hooks
from gaussmix.search import best_fit
from gaussmix.structures import structure_named
from gaussmix.summary import summary_html, summary_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Fitted", "GaussianMixture", "fitted_by", "take_on"]


@dataclass(frozen=True)
class Fitted:
    """
    A fit with what an estimator makes of it.

    Attributes
    ----------
    fit : Fit
    warnings : list of Warning
        What the user must be told, in order.
    table : ndarray, shape (N, D)
        The data.
    columns : list of str or None
        The names of the features.
    total_weight : float
        What the sample weights sum to as they were given, or N.
    """

    fit: Fit
    warnings: list[Warning]
    table: NDArray[Any]
    columns: list[str] | None
    total_weight: float


class GaussianMixture(Estimator):
    """
    Gaussian mixture learned by EM, with the interface of scikit-learn's class of the same name.

    Parameters
    ----------
    n_components : int, default=1
        K, how many components there are.
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
    _n_rows: float

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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1]).fit(X, sample_weight=[1, 1, 1, 1, 1, 3])
        >>> gm.weights_.round(3), gm.means_.round(2).ravel()
        (array([0.375, 0.625]), array([1. , 9.4]))
        """
        if type(self).fit_predict is not GaussianMixture.fit_predict:  # a subclass's, which scikit-learn's `fit` calls too
            self.fit_predict(X, y, **({} if sample_weight is None else {"sample_weight": sample_weight}))
        else:
            self._tell_and_take_on(fitted_by(self, X, sample_weight))
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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1]).fit_predict(X)
        array([0, 0, 0, 1, 1, 1])
        """
        fitted = fitted_by(self, X, sample_weight)
        self._tell_and_take_on(fitted)
        return labels(self.mixture_.densities, fitted.table, self.n_threads)

    def _tell_and_take_on(self, fitted: Fitted) -> None:
        """Warn of what a fit came to, and take it on; where a warning is an error, this estimator stays as it was."""
        for warning in fitted.warnings:
            warnings.warn(warning, stacklevel=3)
        take_on(self, fitted)

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
        The mean log-likelihood that each iteration's E step found; scikit-learn's `lower_bounds_`.

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

    def _as_fitted(self, result: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """As scikit-learn: float32 only where the model and X are."""
        return result if np.asarray(self.means_).dtype == np.float32 else result.astype(np.float64, copy=False)

    def _checked(self, X: ArrayLike) -> tuple[NDArray[Any], Mixture]:
        self._require_fit()
        table, columns = as_table(X)
        check_names(columns, getattr(self, "feature_names_in_", None), type(self).__name__, stacklevel=4)
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
        """What a function of the mixture and rows gives; scikit-learn calls it after its check of the names."""
        self._require_fit()
        table, mixture = self._checked_rows(as_table(X)[0])
        return self._as_fitted(of(mixture, table, self.n_threads))

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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.predict([[3.0], [7.0]])
        array([0, 1])
        """
        table, mixture = self._checked(X)
        return labels(mixture.densities, table, self.n_threads)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        The responsibilities γ_nk (5).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray, shape (N, K)

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.predict_proba([[4.0], [5.0]]).round(3)
        array([[1. , 0. ],
               [0.5, 0.5]])
        """
        table, mixture = self._checked(X)
        return self._as_fitted(responsibilities(mixture.densities, table, self.n_threads))

    def score_samples(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        ln p(x_n) of every row (1).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray, shape (N,)

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> gm.score_samples([[1.0], [9.0]]).round(3)
        array([-1.409, -1.409])
        """
        table, mixture = self._checked(X)
        return self._as_fitted(log_density(mixture.densities, table, self.n_threads))

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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, init_params=[0, 0, 0, 1, 1, 1], random_state=0).fit(X)
        >>> round(gm.score(X), 3)
        -1.909
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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> [round(GaussianMixture(k, random_state=0).fit(X).bic(X), 1) for k in (1, 2)]
        [37.5, 31.9]
        """
        mean, total = self._mean_log_likelihood(X, sample_weight)
        return criteria.bic(mean * total, self._n_parameters(), total)

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

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> [round(GaussianMixture(k, random_state=0).fit(X).aic(X), 1) for k in (1, 2)]
        [37.9, 32.9]
        """
        mean, total = self._mean_log_likelihood(X, sample_weight)
        return criteria.aic(mean * total, self._n_parameters())

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
        table, mixture = self._checked(X)
        weights, certainty = as_weights(sample_weight, len(table)), np.empty(len(table))
        for start, stop in block_bounds(table.shape[0], table.shape[1], mixture.n_components):
            shares = responsibilities(mixture.densities, table[start:stop], self.n_threads)
            certainty[start:stop] = np.log(shares.max(axis=1), dtype=np.float64)
        mean, total = self._mean_log_likelihood(X, sample_weight)
        mean_certainty = certainty.mean() if weights is None else weighted_mean(certainty, weights)
        return criteria.icl(mean * total, self._n_parameters(), total, mean_certainty * total)

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
            mean, rows = self._mean_log_likelihood(X, sample_weight)
            return summary_text(self, rows, mean * rows, self.icl(X, sample_weight))
        if sample_weight is not None:
            raise ValueError("summary takes sample_weight only together with the rows that the weights are of: give X as well")
        return summary_text(self, *self._of_the_fit(), None, of_the_fit=True)

    def _repr_html_(self) -> str:
        """What a notebook shows: the table and a picture of a fit, and scikit-learn's diagram where that is in use."""
        fitted = summary_html(self, *self._of_the_fit()) if self.__sklearn_is_fitted__() else ""
        return fitted + super()._repr_html_()

    def _of_the_fit(self) -> tuple[float | None, float | None]:
        """Σ_n w_n of the rows that were fitted, and L (6) as the last E step found it, where they are known."""
        if not hasattr(self, "_n_rows") or self.mixture_ is not self._fitted[0]:  # set by hand, or from a file
            return None, None
        return self._n_rows, self.lower_bound_ * self._n_rows if self.lower_bounds_ else None

    def plot(self, X: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes | NDArray[np.object_]:
        """
        Draw the fit in the way that suits it; `gaussmix.plotting` has every way.

        One feature is shown by a histogram and densities, two by the rows in the colours of their components, with ellipses that
        hold 50 % and 95 % of each; more by a matrix of such panels: of more than six features, those six of whose variance the
        largest share lies between the components' means.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D), optional
            Rows to show. Of many a sample is drawn, the same each time.
        ax : matplotlib.axes.Axes, optional
            What to draw in, one panel. By default a new figure of pyplot's.

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
        >>> X = [[1.0, 2.0], [1.0, 4.0], [1.5, 0.0], [10.0, 2.0], [10.0, 4.0], [10.5, 0.0]]
        >>> ax = GaussianMixture(n_components=2, random_state=0).fit(X).plot(X)
        >>> ax.get_xlabel()
        'x0'
        """
        from gaussmix.plotting import plot

        self._require_fit()
        return plot(self, X, ax=ax)

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


def fitted_by(model: GaussianMixture, X: ArrayLike, sample_weight: ArrayLike | None) -> Fitted:
    """
    What a fit of a model would come to. Nothing is told, and the model stays as it is.

    Parameters
    ----------
    model : GaussianMixture
    X : array_like or DataFrame, shape (N, D)
    sample_weight : array_like, shape (N,), or None

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError
        As `GaussianMixture.fit`.
    """
    refuse_hooks(type(model), GaussianMixture, vars(model))
    structure = checked_structure(model)
    table, columns = as_table(X)
    blocks = checked_blocks(table, sample_weight, model.n_components)
    rng = as_parameter(as_generator, model.random_state)
    if model.warm_start and model.__sklearn_is_fitted__():
        start, n_init = continued_start(model, model.mixture_, structure, blocks.n_features), 1
        previous = getattr(model, "lower_bound_", -math.inf)
    else:
        start, n_init, previous = checked_start(model, structure, blocks), int(model.n_init), -math.inf
    request = Request(structure, model.n_components, start, model.reg_covar, model.tol, int(model.max_iter))
    progress = Progress(model.verbose, model.verbose_interval, model.progress, model.max_iter, model.callback, structure)
    with Threads(resolve_threads(model.n_threads)) as threads:
        try:
            fit = best_fit(request, blocks, threads, rng, progress, n_init=n_init, previous=previous)
        finally:
            progress.close()
    return Fitted(fit, warnings_of(fit, request, columns), table, columns, blocks.total_weight)


def take_on(model: GaussianMixture, fitted: Fitted) -> None:
    """
    Have a model be what a fit came to.

    Parameters
    ----------
    model : GaussianMixture
    fitted : Fitted
    """
    fit = fitted.fit
    model._hold(fit.mixture, fitted.columns, np.float32 if fitted.table.dtype == np.float32 else np.float64)
    model._n_rows = fitted.total_weight
    model.converged_ = fit.converged
    model.n_iter_ = fit.n_iter
    model.lower_bound_ = fit.log_likelihood
    model.lower_bounds_ = fit.history


def _fingerprint_of(value: Any) -> object:
    try:
        array = np.ascontiguousarray(value)
        return array.shape, array.dtype.str, zlib.crc32(array.data)
    except (TypeError, ValueError):  # what holds no numbers is no fit's
        return repr(value)

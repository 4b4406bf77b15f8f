"""GaussianMixture: scikit-learn's conventions over the loop, the starts and the mixture."""

import inspect
import math
import warnings

import numpy as np
from scipy import linalg

from gaussmix.blocks import LARGEST, Blocks, as_table, as_weights, check_finite
from gaussmix.em import Passes, SingularStart, allotted_start, maximize_likelihood
from gaussmix.engines import Threads, resolve_threads
from gaussmix.initialization import STARTS, as_generator, given_labels, given_responsibilities
from gaussmix.mixture import Mixture, evaluate
from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind
from gaussmix.structures import structure_named

__all__ = ["CollapseWarning", "ConvergenceWarning", "GaussianMixture", "NotFittedError"]


class NotFittedError(ValueError, AttributeError):
    """A method was called that needs a fitted model."""


class ConvergenceWarning(UserWarning):
    """EM ended before the log-likelihood stopped rising."""


class CollapseWarning(ConvergenceWarning):
    """EM ended because a component's covariance became singular, or because a component lost all its rows."""


class GaussianMixture:
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
    reg_covar : float, default=1e-6
        Added to every variance, in the units of the data squared.
    max_iter : int, default=100
        EM stops after so many iterations.
    n_init : int, default=1
        How many starts; the best fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array_like, default="kmeans"
        Where EM starts. An array of whole numbers, shape (N,), gives the label of every row; one of shape (N, K) the
        responsibilities.
        EM then begins with an M step. "k-means++" and "random_from_data" choose K rows; every row then belongs to the nearest.
    weights_init : array_like, shape (K,), optional
    means_init : array_like, shape (K, D), optional
    precisions_init : array_like, optional
        Parameters to start from; what is not given comes from `init_params`. Precisions have the shape of `precisions_`.
    random_state : None, int, RandomState or Generator, default=None
    warm_start : bool, default=False
        Whether `fit` starts from the last solution.
    verbose : int, default=0
        1 prints each start and every `verbose_interval`-th iteration, 2 the log-likelihood's change as well.
    verbose_interval : int, default=10
    n_threads : int, optional
        None means `GAUSSMIX_NUM_THREADS` if set, else the CPUs that this process may run on. The result does not depend on it.

    Attributes
    ----------
    weights_ : ndarray, shape (K,)
    means_ : ndarray, shape (K, D)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Shape (K, D, D) for full, (D, D) for tied, (K, D) for diag, (K,) for spherical.
    mixture_ : Mixture
        The fitted distribution.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        The mean log-likelihood that the last E step found.
    lower_bounds_, history_ : list of float
        The same of every iteration of the best start.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (D,)
        Only after a table whose column names are all strings.

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

    _estimator_type = "density_estimator"

    def __init__(self, n_components=1, *, covariance_type="full", tol=1e-3, reg_covar=1e-6, max_iter=100, n_init=1,
                 init_params="kmeans", weights_init=None, means_init=None, precisions_init=None, random_state=None,
                 warm_start=False, verbose=0, verbose_interval=10, n_threads=None):
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

    # Parameters, as scikit-learn's BaseEstimator has them.

    @classmethod
    def _parameter_defaults(cls):
        return {name: parameter.default for name, parameter in inspect.signature(cls.__init__).parameters.items()
                if name != "self"}

    def get_params(self, deep=True):
        """
        The constructor's arguments.

        Parameters
        ----------
        deep : bool
            Without meaning here.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in self._parameter_defaults()}

    def set_params(self, **params):
        """
        Set some of the constructor's arguments.

        Returns
        -------
        GaussianMixture
            This one.

        Raises
        ------
        ValueError
            Where a name is not an argument of the constructor.
        """
        known = self._parameter_defaults()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: {sorted(known)!r}.")
            setattr(self, name, value)
        return self

    def __repr__(self):
        set_here = []
        for name, default in self._parameter_defaults().items():
            value = getattr(self, name)
            if isinstance(value, np.ndarray) or not (value is default or value == default):
                with np.printoptions(threshold=6, edgeitems=2):
                    set_here.append(f"{name}={value!r}".replace("\n", ""))
        return f"{type(self).__name__}({', '.join(set_here)})"

    # Fitting.

    def fit(self, X, y=None, sample_weight=None):
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
            Where a covariance became singular; the parameters are then the last valid ones.
        """
        self._fit(X, sample_weight)
        return self

    def fit_predict(self, X, y=None, sample_weight=None):
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
        table = self._fit(X, sample_weight)
        return evaluate(self.mixture_._parameters, table, "labels", self.n_threads)

    def _fit(self, X, sample_weight):
        structure = self._check_parameters()
        table, columns = as_table(X)
        n_rows, n_features = table.shape
        if n_rows < self.n_components or n_rows < 1:
            raise ValueError(f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = {n_rows}")
        if n_features < 1:
            raise ValueError(f"X has 0 feature(s) (shape={table.shape}) while a minimum of 1 is required.")
        check_finite(table, largest=LARGEST)
        blocks = Blocks(table, self.n_components, as_weights(sample_weight, n_rows))
        rng = as_generator(self.random_state)
        warm = self.warm_start and hasattr(self, "mixture_")
        if warm and self.mixture_.means.shape != (self.n_components, n_features):
            raise ValueError(f"warm_start needs the shape of the last fit, {self.mixture_.means.shape}, not "
                             f"{(self.n_components, n_features)}")
        with Threads(resolve_threads(self.n_threads)) as threads:
            passes = Passes(blocks, structure.kind, self.n_components, threads)
            best = self._best_fit(passes, structure, rng, [self.mixture_._parameters] if warm else None)
        if best.collapsed is not None:
            self._warn_collapse(best)
        elif not best.converged and self.max_iter > 0:
            warnings.warn(f"EM did not converge in {self.max_iter} iterations: the mean log-likelihood still changed by "
                          f"{abs(best.history[-1] - best.history[-2]) if len(best.history) > 1 else math.inf:.3g}; "
                          "increase max_iter or tol, or try another start.", ConvergenceWarning, stacklevel=3)
        self._keep(best, structure, table, columns)
        return table

    def _best_fit(self, passes, structure, rng, warm):
        """The best of several starts: proper optima before collapsed ones, then by log-likelihood."""
        best, failure = None, None
        for number in range(1 if warm else int(self.n_init)):
            if self.verbose:
                print(f"Initialization {number}")
            try:
                start = warm[0] if warm else self._start(passes, structure, rng)
            except SingularStart as error:
                failure = error
                continue
            fit = maximize_likelihood(passes, start, structure, tol=self.tol, max_iter=int(self.max_iter),
                                      reg_covar=self.reg_covar, report=self._report())
            if best is None or _rank(fit) > _rank(best):
                best = fit
        if best is None:
            raise failure
        return best

    def _report(self):
        if not self.verbose:
            return None
        last = [-math.inf]

        def report(iteration, log_likelihood, parameters):
            if iteration % self.verbose_interval == 0:
                change = f"\t ll change {log_likelihood - last[0]:.5f}" if self.verbose > 1 else ""
                print(f"  Iteration {iteration}{change}")
            last[0] = log_likelihood

        return report

    def _start(self, passes, structure, rng):
        given = self.weights_init, self.means_init, self.precisions_init
        n_components, n_features = passes.n_components, passes.blocks.n_features
        if all(value is not None for value in given):
            start = Parameters(structure.kind, n_components, n_features)
        else:
            start = allotted_start(passes, self._allotment(passes, rng), structure, self.reg_covar)
        if any(value is not None for value in given):
            self._insert_given(start, structure)
        return start

    def _allotment(self, passes, rng):
        blocks = passes.blocks
        if isinstance(self.init_params, str):
            return STARTS[self.init_params](blocks, passes.n_components, rng, passes.threads)
        array = np.asarray(self.init_params)
        if array.shape == (blocks.n_rows,) and array.dtype.kind in "iu":
            if array.min() < 0 or array.max() >= passes.n_components:
                raise ValueError(f"init_params: labels must be from 0 to {passes.n_components - 1}, "
                                 f"not from {array.min()} to {array.max()}")
            return given_labels(np.ascontiguousarray(array, dtype=np.int32))
        if array.shape == (blocks.n_rows, passes.n_components) and array.dtype.kind in "fiub":
            shares = np.asarray(array, dtype=np.float64)
            if not np.isfinite(shares).all() or (shares < 0).any():
                raise ValueError("init_params: responsibilities must be finite and not negative")
            if not np.allclose(shares.sum(axis=1), 1, atol=1e-6):
                row = int(np.argmax(np.abs(shares.sum(axis=1) - 1)))
                raise ValueError(f"init_params: the responsibilities of each row must sum to one; those of row {row} "
                                 f"sum to {shares[row].sum():g}")
            return given_responsibilities(shares)
        raise ValueError(f"init_params as an array must hold whole-number labels, shape ({blocks.n_rows},), or responsibilities, "
                         f"shape ({blocks.n_rows}, {passes.n_components}), not {array.dtype} of shape {array.shape}")

    def _insert_given(self, start, structure):
        """Overwrite what weights_init, means_init and precisions_init give."""
        if self.weights_init is not None:
            start.weights[...] = self._given("weights_init", start.weights.shape)
            if (start.weights < 0).any() or not np.isclose(start.weights.sum(), 1.0, rtol=0, atol=1e-6):
                raise ValueError("weights_init must not be negative and sum to one, but they sum to "
                                 f"{start.weights.sum():.5f}")
        if self.means_init is not None:
            start.means[...] = self._given("means_init", start.means.shape)
            start.means_rest[...] = 0
        if self.precisions_init is not None:
            shape = {"tied": start.covariances.shape[1:], "spherical": (self.n_components,)}.get(
                structure.name, start.covariances.shape)
            precisions = self._given("precisions_init", shape)
            if structure.kind == Kind.DIAG:
                if not (precisions > 0).all():
                    raise ValueError(f"precisions_init must be positive for covariance_type={structure.name!r}")
                start.covariances[...] = 1 / (precisions[:, None] if structure.name == "spherical" else precisions)
            else:
                for k, precision in enumerate(precisions.reshape(-1, *precisions.shape[-2:])):
                    start.covariances[k] = _inverse(precision, k)
        singular = start.factorize()
        if singular >= 0:
            raise ValueError(f"precisions_init: component {singular} has no positive definite covariance")

    def _given(self, name, shape):
        try:
            array = np.asarray(getattr(self, name), dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be an array of numbers") from None
        if array.shape != shape:
            raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
        return array

    def _check_parameters(self):
        structure = structure_named(self.covariance_type)
        for name, least, whole in (("n_components", 1, True), ("n_init", 1, True), ("max_iter", 0, True),
                                   ("verbose_interval", 1, True), ("tol", 0, False), ("reg_covar", 0, False)):
            value = getattr(self, name)
            number = isinstance(value, (int, np.integer) if whole else (int, float, np.integer, np.floating))
            if not number or isinstance(value, bool) or not value >= least or value == math.inf:
                raise ValueError(f"{name} must be a {'whole ' if whole else ''}number of at least {least}, not {value!r}")
        if isinstance(self.init_params, str) and self.init_params not in STARTS:
            raise ValueError(f"init_params must be one of {', '.join(map(repr, STARTS))}, or an array of labels or "
                             f"responsibilities, not {self.init_params!r}")
        return structure

    def _warn_collapse(self, fit):
        weight = fit.parameters.weights[fit.collapsed]
        warnings.warn(
            f"Component {fit.collapsed} (weight {weight:.3g}) collapsed in iteration {len(fit.history)}: its covariance became "
            "singular, as its rows lie in a subspace or are too few. The parameters are those of the iteration before. "
            "Increase reg_covar, use fewer components, or a simpler covariance_type.", CollapseWarning, stacklevel=4)

    def _keep(self, fit, structure, table, columns):
        p = fit.parameters
        real = np.float32 if table.dtype == np.float32 else np.float64
        mixture = Mixture.from_parameters(p)
        precisions_cholesky, precisions = _precisions(mixture._parameters)
        shape = {"tied": lambda a: a[0], "spherical": lambda a: a[:, 0]}.get(structure.name, lambda a: a)
        self.weights_, self.means_ = p.weights.astype(real), p.means.astype(real)
        self.covariances_ = shape(p.covariances).astype(real)
        self.precisions_cholesky_ = shape(precisions_cholesky).astype(real)
        self.precisions_ = shape(precisions).astype(real)
        self.mixture_ = mixture
        self.converged_ = fit.converged
        self.n_iter_ = len(fit.history)
        self.lower_bound_ = fit.history[-1] if fit.history else -math.inf
        self.history_ = self.lower_bounds_ = fit.history
        self.n_features_in_ = table.shape[1]
        if columns is not None:
            self.feature_names_in_ = np.array(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # What a fitted mixture answers.

    def _evaluate(self, X, wanted):
        table = self._checked(X)
        return evaluate(self.mixture_._parameters, table, wanted, self.n_threads)

    def _checked(self, X):
        if not hasattr(self, "mixture_"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments "
                                 "before using this estimator.")
        table, columns = as_table(X)
        if columns is not None and hasattr(self, "feature_names_in_") and columns != list(self.feature_names_in_):
            raise ValueError("The feature names should match those that were passed during fit: "
                             f"{list(self.feature_names_in_)}, not {columns}")
        if table.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                             f"{self.n_features_in_} features as input")
        check_finite(table)
        return table

    def predict(self, X):
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

    def predict_proba(self, X):
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

    def score_samples(self, X):
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

    def score(self, X, y=None, sample_weight=None):
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
        log_p = self.score_samples(X).astype(np.float64, copy=False)
        weights = as_weights(sample_weight, len(log_p))
        return float(log_p.mean() if weights is None else np.average(log_p, weights=weights))

    def sample(self, n_samples=1):
        """
        Draw rows from the fitted mixture.

        Parameters
        ----------
        n_samples : int

        Returns
        -------
        X : ndarray, shape (n_samples, D)
        y : ndarray of int, shape (n_samples,)
            The component of each row, in ascending order.
        """
        if not hasattr(self, "mixture_"):
            self._checked(None)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        rows, labels = self.mixture_.labelled_rvs(n_samples, as_generator(self.random_state))
        return rows.astype(self.means_.dtype, copy=False), labels

    def bic(self, X, sample_weight=None):
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
        log_likelihood, total = self._log_likelihood(X, sample_weight)
        return -2 * log_likelihood + self._n_parameters() * math.log(total)

    def aic(self, X, sample_weight=None):
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
        return -2 * self._log_likelihood(X, sample_weight)[0] + 2 * self._n_parameters()

    def _log_likelihood(self, X, sample_weight):
        log_p = self.score_samples(X).astype(np.float64, copy=False)
        weights = as_weights(sample_weight, len(log_p))
        return (float(log_p.sum()), len(log_p)) if weights is None else (float(log_p @ weights), float(weights.sum()))

    def _n_parameters(self):
        return structure_named(self.covariance_type).n_parameters(*self.means_.shape)


def _rank(fit):
    return fit.collapsed is None, fit.history[-1] if fit.history else -math.inf


def _inverse(precision, k):
    """The covariance of a precision matrix."""
    try:
        if not np.allclose(precision, precision.T):
            raise linalg.LinAlgError
        root = linalg.cholesky(precision, lower=True)
    except linalg.LinAlgError:
        raise ValueError(f"precisions_init[{k}] must be symmetric and positive definite") from None
    half = linalg.solve_triangular(root, np.eye(len(root)), lower=True)
    return half.T @ half


def _precisions(parameters):
    """Upper Cholesky factors of the precisions, and the precisions, in the shape of the covariances."""
    factors = parameters.factors
    if parameters.kind == Kind.DIAG:
        return factors, factors**2
    return np.swapaxes(factors, 1, 2).copy(), np.matmul(np.swapaxes(factors, 1, 2), factors)

"""The interface that scikit-learn expects of an estimator, without inheriting from its classes.

Only methods that scikit-learn's own code, or a user of its features, calls import scikit-learn.
"""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import html
import inspect
import sys
from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from gaussmix.exceptions import NotFittedError, in_use

if TYPE_CHECKING:
    import sklearn.mixture
    from sklearn.utils import Tags
    from sklearn.utils.metadata_routing import MetadataRequest

    from gaussmix.mixture import Mixture

_Model = TypeVar("_Model")

__all__ = ["Estimator", "refuse_hooks"]

WEIGHTED = ("fit", "score")  # the methods whose sample_weight scikit-learn's metadata routing may fill
FITTED = ("weights_", "means_", "covariances_", "precisions_cholesky_", "precisions_", "converged_", "n_iter_", "lower_bound_",
          "lower_bounds_", "n_features_in_", "feature_names_in_")
UNCHANGED = "$UNCHANGED$"  # scikit-learn's word for a request that stays as it is

# Hooks: a subclass of scikit-learn's class changes the loop by overriding these. Here the loop is compiled and calls none of them.
# The texts say what to use instead.
CHECK = "check in a fit of your own, before super().fit"
START = "give labels or responsibilities as init_params, or weights_init, means_init and precisions_init"
M_STEP = ("fit with max_iter=1 and warm_start=True, which makes one iteration, and change weights_, means_ and precisions_cholesky_ "
          "between two fits")
E_STEP = "fit with max_iter=0 and responsibilities of your own as init_params, which makes one M step from them"
DENSITY = E_STEP + ", and override predict, predict_proba and score_samples"
RESULT = "change weights_, means_ and precisions_cholesky_ in a fit of your own, after super().fit"
LISTEN = "give a callback, which hears of every iteration and may end the fit"
HOOKS = {
    "_check_parameters": CHECK, "_initialize_parameters": START, "_initialize": START, "_e_step": E_STEP, "_m_step": M_STEP,
    "_estimate_log_prob": DENSITY, "_estimate_weighted_log_prob": DENSITY, "_estimate_log_prob_resp": DENSITY,
    "_estimate_log_weights": DENSITY, "_compute_lower_bound": LISTEN, "_get_parameters": RESULT, "_set_parameters": RESULT,
    "_print_verbose_msg_init_beg": LISTEN, "_print_verbose_msg_iter_end": LISTEN, "_print_verbose_msg_init_end": LISTEN,
}
OPEN = ("_n_parameters", "_get_param_names", "_repr_html_", "_estimator_type")  # private names that a subclass may define


class Estimator:
    """Parameters, tags, metadata routing and representations of an estimator."""

    _estimator_type = "density_estimator"

    if TYPE_CHECKING:  # what the estimator brings
        init_params: Any
        n_init: Any
        random_state: Any
        reg_covar: Any
        covariance_type: str

        @property
        def mixture_(self) -> Mixture: ...

        def summary(self) -> str: ...

    @classmethod
    def _parameter_defaults(cls) -> dict[str, Any]:
        """The constructor's arguments, as scikit-learn counts them: no `**kwargs`, and a constructor with `*args` is refused."""
        signature = inspect.signature(cls.__init__)
        arguments = [argument for name, argument in signature.parameters.items() if name != "self"]
        if any(argument.kind == argument.VAR_POSITIONAL for argument in arguments):
            raise RuntimeError("scikit-learn estimators should always specify their parameters in the signature of their __init__ "
                               f"(no varargs). {cls} with constructor {signature} doesn't follow this convention.")
        return {argument.name: argument.default for argument in arguments if argument.kind != argument.VAR_KEYWORD}

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(cls._parameter_defaults())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """
        The constructor's arguments.

        Parameters
        ----------
        deep : bool
            Whether to include the parameters of arguments, as `argument__name`. Only a subclass may have such arguments.

        Returns
        -------
        dict

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> GaussianMixture(n_components=3).get_params()["n_components"]
        3
        """
        found: dict[str, Any] = {}
        for name in self._get_param_names():
            value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                found.update((f"{name}__{inner}", part) for inner, part in value.get_params().items())
            found[name] = value
        return found

    def set_params(self, **params: Any) -> Self:
        """
        Set some of the constructor's arguments or, as `argument__name`, the parameters of an argument.

        Returns
        -------
        GaussianMixture
            This one.

        Raises
        ------
        ValueError
            Where a name is not an argument of the constructor. Nothing is set then.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> GaussianMixture().set_params(n_components=3, tol=1e-6)
        GaussianMixture(n_components=3, tol=1e-06)
        """
        known = self._get_param_names()
        for name in params:
            if name.partition("__")[0] not in known:
                raise ValueError(f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: {known!r}.")
        nested: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            outer, inside, inner = name.partition("__")
            if inside:
                nested.setdefault(outer, {})[inner] = value
            else:
                setattr(self, name, value)
        for outer, values in nested.items():
            getattr(self, outer).set_params(**values)
        return self

    def __repr__(self) -> str:
        set_here = []
        for name, default in self._parameter_defaults().items():
            value = getattr(self, name)
            if not (value is default or (np.isscalar(value) and np.isscalar(default) and value == default)):
                with np.printoptions(threshold=6, edgeitems=2):
                    set_here.append(f"{name}={value!r}".replace("\n", ""))
        return f"{type(self).__name__}({', '.join(set_here)})"

    def _repr_html_(self) -> str:
        """Show a notebook scikit-learn's diagram where scikit-learn is in use, else the text."""
        if "sklearn" in sys.modules:
            from sklearn import get_config
            from sklearn.utils import estimator_html_repr

            if get_config()["display"] == "diagram":
                return str(estimator_html_repr(self))
        return f"<pre>{html.escape(repr(self))}</pre>"

    def __sklearn_is_fitted__(self) -> bool:
        return "weights_" in vars(self)

    def _require_fit(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise in_use(NotFittedError)(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate "
                                         "arguments before using this estimator.")

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(estimator_type=self._estimator_type, target_tags=TargetTags(required=False), transformer_tags=None,
                    regressor_tags=None, classifier_tags=None, input_tags=InputTags())

    # Metadata routing of sample_weight.

    def get_metadata_routing(self) -> MetadataRequest:
        """
        Which metadata `fit` and `score` ask a scikit-learn meta-estimator for.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> GaussianMixture().get_metadata_routing().fit.requests
        {'sample_weight': None}
        """
        from sklearn.utils.metadata_routing import MetadataRequest

        if hasattr(self, "_metadata_request"):
            return deepcopy(self._metadata_request)
        requests = MetadataRequest(owner=type(self).__name__)
        for method in WEIGHTED:
            getattr(requests, method).add_request(param="sample_weight", alias=None)
        return requests

    def set_fit_request(self, *, sample_weight: bool | str | None = UNCHANGED) -> Self:
        """
        Ask scikit-learn's meta-estimators to pass `sample_weight` to `fit`.

        Parameters
        ----------
        sample_weight : bool, None or str
            True passes it, False does not, None raises where it is given, a string is another name for it.

        Returns
        -------
        GaussianMixture
            This one.

        Raises
        ------
        RuntimeError
            Where `sklearn.set_config(enable_metadata_routing=True)` was not called.

        Examples
        --------
        >>> import sklearn
        >>> from gaussmix import GaussianMixture
        >>> with sklearn.config_context(enable_metadata_routing=True):
        ...     GaussianMixture().set_fit_request(sample_weight=True).get_metadata_routing().fit.requests
        {'sample_weight': True}
        """
        return self._request("fit", sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None = UNCHANGED) -> Self:
        """
        Ask scikit-learn's meta-estimators to pass `sample_weight` to `score`.

        Parameters
        ----------
        sample_weight : bool, None or str
            As for `set_fit_request`.

        Returns
        -------
        GaussianMixture
            This one.

        Raises
        ------
        RuntimeError
            Where `sklearn.set_config(enable_metadata_routing=True)` was not called.

        Examples
        --------
        >>> import sklearn
        >>> from gaussmix import GaussianMixture
        >>> with sklearn.config_context(enable_metadata_routing=True):
        ...     GaussianMixture().set_score_request(sample_weight="weight").get_metadata_routing().score.requests
        {'sample_weight': 'weight'}
        """
        return self._request("score", sample_weight)

    def _request(self, method: str, alias: bool | str | None) -> Self:
        from sklearn import get_config

        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError("This method is only available when metadata routing is enabled. You can enable it using "
                               "sklearn.set_config(enable_metadata_routing=True).")
        requests = self.get_metadata_routing()
        if alias != UNCHANGED:
            getattr(requests, method).add_request(param="sample_weight", alias=alias)
        self._metadata_request = requests
        return self

    # To scikit-learn's class and back.

    def to_sklearn(self) -> sklearn.mixture.GaussianMixture:
        """
        Convert the model to a `sklearn.mixture.GaussianMixture`.

        Parameters and, after a fit, attributes are the same to the last bit. Parameters that scikit-learn does not have
        (`n_threads`, `progress`, `callback`) are left out. `covariance_type` is that of the fit, even if another has been set
        since.

        Returns
        -------
        sklearn.mixture.GaussianMixture

        Raises
        ------
        ValueError
            Where `init_params` is an array or `reg_covar` is "auto", which scikit-learn does not support.

        Examples
        --------
        >>> from gaussmix import GaussianMixture
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gm = GaussianMixture(n_components=2, random_state=0).fit(X)
        >>> theirs = gm.to_sklearn()
        >>> type(theirs).__module__, bool((theirs.means_ == gm.means_).all())
        ('sklearn.mixture._gaussian_mixture', True)
        """
        from sklearn.mixture import GaussianMixture

        from gaussmix.structures import structure_named

        if not isinstance(self.init_params, str) or isinstance(self.reg_covar, str):
            raise ValueError("scikit-learn's class takes no array as init_params and no reg_covar='auto': before to_sklearn() set "
                             "init_params to a name, such as 'kmeans', and reg_covar to a number")
        if self.n_init == "auto" or self.init_params not in ("kmeans", "k-means++", "random", "random_from_data"):
            raise ValueError(f"scikit-learn's class has neither n_init='auto' nor init_params={self.init_params!r}: before to_sklearn() set "
                             "n_init to a number, and init_params to 'kmeans', 'k-means++', 'random' or 'random_from_data'")
        if isinstance(self.random_state, np.random.Generator):
            raise ValueError("scikit-learn's class takes no Generator as random_state: before to_sklearn() set it to a whole number or None")
        parameters = {name: getattr(self, name) for name in GaussianMixture().get_params()}
        name = structure_named(self.mixture_.covariance_type if self.__sklearn_is_fitted__() else self.covariance_type).name
        if name not in ("full", "tied", "diag", "spherical"):
            raise ValueError(f"scikit-learn has no covariance_type {name!r}, only 'full', 'tied', 'diag' and 'spherical'")
        return _copy_fit(self, GaussianMixture(**parameters | {"covariance_type": name}))

    @classmethod
    def from_sklearn(cls, model: sklearn.mixture.GaussianMixture) -> Self:
        """
        Convert a `sklearn.mixture.GaussianMixture` to this class.

        Parameters
        ----------
        model : sklearn.mixture.GaussianMixture
            Fitted or not.

        Returns
        -------
        GaussianMixture
            Its parameters and attributes are the same to the last bit.

        Raises
        ------
        TypeError
            Where `model` is of another class.

        Examples
        --------
        >>> import sklearn.mixture
        >>> from gaussmix import GaussianMixture
        >>> theirs = sklearn.mixture.GaussianMixture(2, random_state=0).fit([[0.0], [1.0], [8.0], [9.0]])
        >>> bool((GaussianMixture.from_sklearn(theirs).means_ == theirs.means_).all())
        True
        """
        from sklearn.mixture import GaussianMixture

        if not isinstance(model, GaussianMixture):
            raise TypeError(f"from_sklearn takes a sklearn.mixture.GaussianMixture, not {type(model).__name__}")
        return _copy_fit(model, cls(**model.get_params(deep=False)))


def _copy_fit(source: Any, target: _Model) -> _Model:
    for name in FITTED:
        if hasattr(source, name):
            value = getattr(source, name)
            setattr(target, name, value.copy() if isinstance(value, (np.ndarray, list)) else value)
    return target


def refuse_hooks(kind: type, base: type, attributes: Iterable[str] = ()) -> None:
    """
    Refuse a class that overrides a hook that only scikit-learn calls, or by chance a private name of this package.

    Parameters
    ----------
    kind : type
        A subclass of `base`, or `base`.
    base : type
        The estimator of this package; classes that follow it in the method resolution order override nothing.
    attributes : iterable of str
        The names of attributes that an instance has set itself.

    Raises
    ------
    TypeError
        Where a class is refused. The message names the hook and what to use instead.
    """
    if kind is base and HOOKS.keys().isdisjoint(attributes):
        return
    first = kind.__mro__.index(base)
    names = {name for one in kind.__mro__[:first] for name in vars(one)} | {name for name in attributes if name in HOOKS}
    for name, instead in HOOKS.items():
        if name in names:
            raise TypeError(f"{kind.__name__} overrides {name}, which scikit-learn's {base.__name__} calls and gaussmix's does not: "
                            f"instead {instead}")
    private = {name for one in (base, Estimator) for name in vars(one) if name.startswith("_") and not name.endswith("__")}
    for name in sorted(private.intersection(names).difference(OPEN)):
        raise TypeError(f"{kind.__name__} has a method {name}, a name that is private to gaussmix's {base.__name__}: give yours another "
                        "name")

"""Checks of an estimator's parameters and data, which turn them into what a fit needs: a structure and a start."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gaussmix.blocks import LARGEST
from gaussmix.data import Data, InMemory
from gaussmix.em import ALGORITHMS, STOPPING
from gaussmix.engines import Threads
from gaussmix.exceptions import InvalidParameterError, in_use
from gaussmix.mixture import Mixture
from gaussmix.observations import shown
from gaussmix.search.budget import Budget
from gaussmix.sources.rows import SourceRows
from gaussmix.starts import STARTS, FromParameters, PartlyGiven, Start
from gaussmix.starts.given import given_assignment
from gaussmix.starts.sampled import FromOwnLabels, FromOwnResponsibilities, OnSample
from gaussmix.streams import Steps
from gaussmix.structures import Structure, structure_named

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["as_parameter", "check_enough_rows", "checked_start", "checked_steps", "checked_structure", "continued_start"]

AUTOMATIC = ("n_init", "reg_covar")  # which may also be "auto"
CHOICES = {"algorithm": tuple(ALGORITHMS), "stopping": STOPPING}

# Starts that only a source has.
OWN: dict[str, Callable[[SourceRows], Start]] = {"labels": FromOwnLabels, "responsibilities": FromOwnResponsibilities}

_Read = TypeVar("_Read")  # what a parameter is understood as

# Name, least value, and whether it must be a whole number.
NUMBERS = (("n_components", 1, True), ("n_init", 1, True), ("max_iter", 0, True), ("verbose_interval", 1, True), ("verbose", 0, True),
           ("tol", 0, False), ("reg_covar", 0, False), ("start_sample", 1, True))


def as_parameter(read: Callable[[Any], _Read], value: Any) -> _Read:
    """
    Convert a parameter by `read`.

    Raises
    ------
    InvalidParameterError
        Where `read` raises ValueError.
    """
    try:
        return read(value)
    except ValueError as error:
        raise in_use(InvalidParameterError)(str(error)) from None


def checked_structure(model: GaussianMixture) -> Structure:
    """
    Return the structure that `covariance_type` names, after checking the other parameters that are numbers, choices or callables.

    Raises
    ------
    InvalidParameterError
        Naming the first parameter that is wrong.
    """
    structure = as_parameter(structure_named, model.covariance_type)
    for name, least, whole in NUMBERS:
        _check_number(name, getattr(model, name), least, whole)
    for name in ("warm_start", "progress"):
        if not isinstance(getattr(model, name), (bool, np.bool_)):
            raise in_use(InvalidParameterError)(f"{name} must be True or False, not {getattr(model, name)!r}")
    for name, choices in CHOICES.items():
        if not isinstance(getattr(model, name), str) or getattr(model, name) not in choices:
            raise in_use(InvalidParameterError)(f"{name} must be one of {', '.join(map(repr, choices))}, not {getattr(model, name)!r}")
    as_parameter(Budget.of, model.search_budget)
    if model.search_budget is not None and model.n_init != "auto":
        raise in_use(InvalidParameterError)(f"search_budget is for n_init='auto' only, not for n_init={model.n_init!r}: give one or the other")
    if model.callback is not None and not callable(model.callback):
        raise in_use(InvalidParameterError)(f"callback must be callable or None, not {model.callback!r}")
    init = model.init_params
    if isinstance(init, str) and init not in (*STARTS, *OWN) or init is None:
        raise in_use(InvalidParameterError)(f"init_params must be one of {', '.join(map(repr, (*STARTS, *OWN)))}, or an array of labels or "
                                            f"responsibilities, not {init!r}")
    return structure


def checked_steps(model: GaussianMixture) -> Steps:
    """
    Return the sizes of the steps of `partial_fit`.

    Raises
    ------
    InvalidParameterError
        Naming the parameter that is wrong.
    """
    for name, least, most, wanted in (("step_exponent", np.nextafter(0.5, 1), 1, "more than 0.5 and at most 1"),
                                      ("step_offset", 1, LARGEST, "of at least 1"),
                                      ("half_life", np.nextafter(0, 1), LARGEST, "of more than 0, or None")):
        value = getattr(model, name)
        if name == "half_life" and value is None:
            continue
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.timedelta64))
        if not number or not least <= value <= most:
            raise in_use(InvalidParameterError)(f"{name} must be a number {wanted}, not {shown(value)}")
    return Steps(float(model.step_exponent), float(model.step_offset), None if model.half_life is None else float(model.half_life))


def _check_number(name: str, value: Any, least: int, whole: bool) -> None:
    if name in AUTOMATIC and isinstance(value, str) and value == "auto" or name == "verbose" and isinstance(value, np.bool_):
        return
    number = isinstance(value, (int, np.integer) if whole else (int, float, np.integer, np.floating))
    if name == "n_components" and isinstance(value, bool):  # of the others True is 1, as in scikit-learn
        number = False
    if isinstance(value, np.timedelta64):  # a whole number to NumPy
        number = False
    if not number or not least <= value or not (whole or _is_finite(value)):
        wanted = f"{name} must be a {'whole ' if whole else 'finite '}number of at least {least}"
        other = " or 'auto'" if name in AUTOMATIC else ""
        raise in_use(InvalidParameterError)(f"{wanted}{other}, not {shown(value)}")


def _is_finite(number: float) -> bool:
    """Whether it is a number in double precision."""
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond
        return False


def check_enough_rows(data: Data, n_components: int) -> None:
    """
    Raise ValueError where there are too few rows for so many components.

    Parameters
    ----------
    data : Data
    n_components : int
    """
    if data.n_rows < 2:
        raise ValueError(f"Found array with {data.n_rows} sample(s) (shape={(data.n_rows, data.n_features)}) while a minimum of 2 is "
                         "required.")
    if data.n_positive < n_components:
        raise ValueError(f"Expected n_samples >= n_components but got n_components = {n_components}, n_samples = {data.n_positive}"
                         + (" with a positive sample_weight" if data.n_positive < data.n_rows else ""))


def checked_start(model: GaussianMixture, structure: Structure, data: Data, threads: Threads) -> Start:
    """
    Return the start that `init_params`, `weights_init`, `means_init` and `precisions_init` describe.

    Parameters
    ----------
    model : GaussianMixture
    structure : Structure
    data : Data
    threads : Threads
        Make the passes over a sample, where not all rows are in memory.

    Raises
    ------
    ValueError
        Naming the one that does not fit the data.
    """
    given, init = (model.weights_init, model.means_init, model.precisions_init), model.init_params
    n_given, K = sum(value is not None for value in given), model.n_components
    if isinstance(init, str) and init in OWN and n_given < len(given):
        rows = data.observations(K)
        if not isinstance(rows, SourceRows):
            raise in_use(InvalidParameterError)(f"init_params={init!r} is for a source that has {init} of its own: pass them as an array")
        otherwise: Start = OWN[init](rows)
    elif isinstance(init, str) or n_given == len(given):  # then it is not needed
        otherwise = STARTS[init if isinstance(init, str) and init in STARTS else "kmeans"]
        if not isinstance(data, InMemory):
            otherwise = OnSample(otherwise, data.at_hand(K), threads)
    else:
        otherwise = given_assignment(init, data.n_rows, K)
    shape = K, data.n_features
    return PartlyGiven.checked(*given, otherwise, structure, shape) if n_given else otherwise


def continued_start(model: GaussianMixture, last: Mixture, structure: Structure, n_features: int) -> Start:
    """
    Return the start that goes on from the result of the last fit.

    Raises
    ------
    ValueError
        Where the last fit had another structure or shape.
    """
    for name, before, now in (("n_components", last.n_components, model.n_components),
                              ("covariance_type", last.covariance_type, structure.name),
                              ("the number of features", last.n_features, n_features)):
        if before != now:
            raise ValueError(f"warm_start goes on from the last fit, in which {name} was {before!r}, not {now!r}: set "
                             "warm_start=False to start anew")
    return FromParameters(last._parameters)

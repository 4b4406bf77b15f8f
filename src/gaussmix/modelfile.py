"""Model files: a mixture as JSON, which gives back the same bits. The format is described in docs/model-file.md."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gaussmix._core.parameters import Parameters
from gaussmix.mixture import Mixture
from gaussmix.outputs import whole_file
from gaussmix.statistics import Kind
from gaussmix.structures import structure_named

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["Model", "ModelFileError", "load", "save"]

FORMAT = "gaussmix model"
VERSION = 1
ENTRIES = ("format", "version", "covariance_type", "n_components", "n_features", "columns", "weights", "means",
           "covariances")
KIND_NAMES = {Kind.FULL: "full", Kind.TIED: "tied", Kind.DIAG: "diag"}


class ModelFileError(ValueError):
    """A file is not a model file, or a damaged one."""


@dataclass(frozen=True)
class Model:
    """
    What a model file holds.

    Attributes
    ----------
    mixture : Mixture
    covariance_type : str
        scikit-learn's name of the structure.
    columns : list of str or None
        The names of the features, where they have names.
    """

    mixture: Mixture
    covariance_type: str
    columns: list[str] | None


def save(path: str | os.PathLike[str], model: GaussianMixture | Mixture | Model) -> None:
    """
    Write a mixture to a model file (JSON, no pickle), whole or not at all.

    Parameters
    ----------
    path : str or path-like
    model : GaussianMixture, Mixture or Model
        A GaussianMixture must be fitted; its structure and its feature names are kept too.

    Raises
    ------
    OSError
        Where the file cannot be written.
    ValueError
        Where a GaussianMixture is not fitted.

    Examples
    --------
    >>> import gaussmix, os, tempfile
    >>> m = gaussmix.Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.json")
    ...     gaussmix.save(path, m)
    ...     gaussmix.load(path).mixture == m
    True
    """
    model = _as_model(model)
    parameters = model.mixture._parameters
    covariances = {"tied": lambda a: a[0], "spherical": lambda a: a[:, 0]}.get(model.covariance_type, lambda a: a)(
        parameters.covariances)
    entries = dict(zip(ENTRIES, (
        FORMAT, VERSION, model.covariance_type, parameters.n_components, parameters.n_features, model.columns,
        parameters.weights.tolist(), parameters.means.tolist(), covariances.tolist())))
    text = "{\n" + ",\n".join(f'  "{name}": {_laid_out(value)}' for name, value in entries.items()) + "\n}\n"
    with whole_file(path) as file:
        file.write(text.encode())


def _as_model(model):
    if isinstance(model, Model):
        return model
    if isinstance(model, Mixture):
        return Model(model, KIND_NAMES[model._parameters.kind], None)
    if not hasattr(model, "mixture_"):
        raise ValueError(f"only a Mixture or a fitted GaussianMixture can be saved, not {model!r}")
    columns = [str(name) for name in model.feature_names_in_] if hasattr(model, "feature_names_in_") else None
    return Model(model.mixture_, structure_named(model.covariance_type).name, columns)


def _laid_out(value, depth=1):
    """JSON with one row of numbers on a line."""
    if not (isinstance(value, list) and value and isinstance(value[0], list)):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    indent = "  " * (depth + 1)
    return "[\n" + ",\n".join(indent + _laid_out(item, depth + 1) for item in value) + "\n" + "  " * depth + "]"


def load(path: str | os.PathLike[str]) -> Model:
    """
    Read a model file. Its content is not trusted: everything is checked, and nothing in it can run.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Model
        With `mixture`, `covariance_type` and `columns`. The mixture gives the same bits as the one saved.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ModelFileError
        A ValueError that names the file and says where it is damaged.
    """
    try:
        with open(path, "rb") as file:
            return _model(_entries(file.read()))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None


def _entries(content):
    """The JSON object in a file."""
    try:
        entries = json.loads(content.decode(), object_pairs_hook=_without_repetition)
    except UnicodeDecodeError:
        raise ModelFileError("is not a model file: it is not text") from None
    except json.JSONDecodeError as error:
        raise ModelFileError(f"is not a whole JSON file: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ModelFileError("is not a model file: its lists are nested too deeply") from None
    except ModelFileError:
        raise
    except ValueError as error:  # whole numbers of thousands of digits
        raise ModelFileError(f"is not a model file: {error}") from None
    if not isinstance(entries, dict) or entries.get("format") != FORMAT:
        raise ModelFileError(f'is not a model file: "format" must be "{FORMAT}"')
    version = entries.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ModelFileError(f"is of version {version!r} of the format, but this gaussmix reads version {VERSION}")
    for name in ENTRIES:
        if name not in entries:
            raise ModelFileError(f'has no "{name}"')
    for name in entries:
        if name not in ENTRIES:
            raise ModelFileError(f'has an unknown entry "{name}"')
    return entries


def _without_repetition(pairs):
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ModelFileError("has an entry twice")
    return entries


def _model(entries):
    """The model that entries describe, all checked."""
    K, D = (_count(entries, name) for name in ("n_components", "n_features"))
    try:
        structure = structure_named(entries["covariance_type"])
    except ValueError as error:
        raise ModelFileError(str(error)) from None
    weights = _numbers(entries["weights"], (K,), "weights")
    means = _numbers(entries["means"], (K, D), "means")
    shape = {"tied": (D, D), "diag": (K, D), "spherical": (K,)}.get(structure.name, (K, D, D))
    covariances = _numbers(entries["covariances"], shape, "covariances")
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
        raise ModelFileError(f"weights must not be negative and must sum to one, but they sum to {weights.sum():g}")
    if structure.kind != Kind.DIAG:
        _check_symmetric(covariances)
    parameters = Parameters(structure.kind, K, D)
    parameters.weights[...], parameters.means[...] = weights, means
    parameters.covariances[...] = covariances[:, None] if structure.name == "spherical" else covariances
    try:
        mixture = Mixture.from_parameters(parameters)
    except ValueError as error:
        raise ModelFileError(str(error)) from None
    return Model(mixture, structure.name, _columns(entries["columns"], D))


def _count(entries, name):
    value = entries[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelFileError(f"{name} must be a whole number of at least 1, not {_short(value)}")
    return value


def _numbers(value, shape, name):
    """Nested lists of finite numbers as an array of exactly this shape."""
    _check_numbers(value, shape, name)
    return np.array(value, dtype=np.float64)


def _check_numbers(value, shape, name):
    if shape:
        if not isinstance(value, list) or len(value) != shape[0]:
            found = f"one of {len(value)}" if isinstance(value, list) else _short(value)
            raise ModelFileError(f"{name} must be a list of {shape[0]}, not {found}")
        for index, item in enumerate(value):
            _check_numbers(item, shape[1:], f"{name}[{index}]")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ModelFileError(f"{name} must be a number, not {_short(value)}")
    elif not abs(value) <= sys.float_info.max:
        raise ModelFileError(f"{name} must be finite, not {'NaN' if value != value else 'infinite or beyond float64'}")


def _check_symmetric(covariances):
    matrices = covariances if covariances.ndim == 3 else covariances[None]
    for k, matrix in enumerate(matrices):
        if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * np.abs(matrix).max()):
            raise ModelFileError(f"covariances{f'[{k}]' if covariances.ndim == 3 else ''} is not symmetric")


def _columns(columns, n_features):
    if columns is None:
        return None
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        raise ModelFileError(f"columns must be null or a list of names, not {_short(columns)}")
    if len(columns) != n_features or len(set(columns)) != n_features:
        raise ModelFileError(f"columns must be {n_features} different names, not {_short(columns)}")
    return columns


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."

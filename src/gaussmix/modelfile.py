"""Model files: a mixture as JSON, read back bit for bit. The format is described in docs/model-file.md."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import json
import os
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaussmix.mixture import Mixture
from gaussmix.observations import as_table, check_names
from gaussmix.outputs import whole_file
from gaussmix.structures import structure_named

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["Model", "ModelFileError", "load", "save"]

FORMAT = "gaussmix model"
VERSION = 1
ENTRIES = ("format", "version", "covariance_type", "n_components", "n_features", "columns", "weights", "means",
           "covariances")
HEAD = 2**20  # bytes: the JSON object must begin among them, so that endless files are not read
LONGEST_SHOWN = 40  # letters of a wrong value that an error repeats


class ModelFileError(ValueError):
    """
    A file is not a model file, or is damaged.

    Examples
    --------
    >>> import gaussmix, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.json")
    ...     with open(path, "w") as file:
    ...         _ = file.write('{"format": "gaussmix model", "version": 1}')
    ...     try:
    ...         gaussmix.load(path)
    ...     except gaussmix.modelfile.ModelFileError as error:
    ...         print(str(error).replace(path, "model.json"))
    model.json: has no "covariance_type", which a model file must have
    """


@dataclass(frozen=True)
class Model:
    """
    The content of a model file. It can predict, and checks the column names of new data as `GaussianMixture` does.

    Attributes
    ----------
    mixture : Mixture
    covariance_type : str
        scikit-learn's name of the mixture's structure.
    columns : list of str or None
        The names of the features, where they have names.

    Raises
    ------
    ValueError
        Where the mixture has another structure, or `columns` does not hold a different name for each feature of the mixture.

    Examples
    --------
    >>> from gaussmix import Mixture
    >>> from gaussmix.modelfile import Model
    >>> model = Model(Mixture([1.0], [[0.0, 0.0]], [1.0], "spherical"), "spherical", ["height", "mass"])
    >>> model.columns, model.mixture.n_features
    (['height', 'mass'], 2)
    """

    mixture: Mixture
    covariance_type: str
    columns: list[str] | None

    def __post_init__(self) -> None:
        if self.covariance_type != self.mixture.covariance_type:
            raise ValueError(f"covariance_type must be that of the mixture, {self.mixture.covariance_type!r}, "
                             f"not {self.covariance_type!r}")
        _check_columns(self.columns, self.mixture.n_features)

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """
        Return for every row the component with the largest responsibility (5).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)

        Returns
        -------
        ndarray of int, shape (N,)

        Raises
        ------
        ValueError
            Where X has not the columns of the model, by number or by name, or is not finite.

        Warns
        -----
        UserWarning
            Where only one of X and the model has names.

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> from gaussmix.modelfile import Model
        >>> Model(m, "spherical", None).predict([[1.0], [3.0]])
        array([0, 1])
        """
        return self.mixture.classify(self._table(X))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        The responsibilities γ_nk (5).

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
            As for `predict`.

        Returns
        -------
        ndarray, shape (N, K)

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> from gaussmix.modelfile import Model
        >>> Model(m, "spherical", None).predict_proba([[2.0]])
        array([[0.5, 0.5]])
        """
        return self.mixture.responsibilities(self._table(X))

    def score_samples(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """
        ln p(x_n) of every row (1), as `mixture.logpdf` gives it.

        Parameters
        ----------
        X : array_like or DataFrame, shape (N, D)
            As for `predict`.

        Returns
        -------
        ndarray, shape (N,)

        Examples
        --------
        >>> from gaussmix import Mixture
        >>> m = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> from gaussmix.modelfile import Model
        >>> Model(m, "spherical", None).score_samples([[2.0]]).round(3)
        array([-2.919])
        """
        return self.mixture.logpdf(self._table(X))

    def _table(self, X: ArrayLike) -> NDArray[Any]:
        table, columns = as_table(X)
        check_names(columns, self.columns, "Model", stacklevel=4)
        return table


def save(path: str | os.PathLike[str], model: GaussianMixture | Mixture | Model) -> None:
    """
    Write a mixture to a model file (JSON, not a pickle). The file is written as a whole or not at all.

    Parameters
    ----------
    path : str or path-like
    model : GaussianMixture, Mixture or Model
        A GaussianMixture must be fitted. Its feature names are written too. The structure is the one that it was fitted with.

    Raises
    ------
    OSError
        Where the file cannot be written.
    ValueError
        Where a GaussianMixture is not fitted, two features have the same name, or UTF-8 cannot hold a name.
    TypeError
        Where the model comes first and the path second, as in `joblib.dump`.

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
    if isinstance(model, (str, bytes, os.PathLike)):
        raise TypeError(f"the path comes first, as in save(path, model), and not a {type(path).__name__}")
    checked = _as_model(model)
    parameters = checked.mixture._parameters
    entries = dict(zip(ENTRIES, (
        FORMAT, VERSION, checked.covariance_type, parameters.n_components, parameters.n_features, checked.columns,
        parameters.weights.tolist(), parameters.means.tolist(), parameters.covariances.tolist())))
    text = "{\n" + ",\n".join(f'  "{name}": {_laid_out(value)}' for name, value in entries.items()) + "\n}\n"
    content = text.encode()
    with whole_file(path) as file:
        file.write(content)


def _as_model(model: GaussianMixture | Mixture | Model) -> Model:
    if isinstance(model, Model):
        return Model(model.mixture, model.covariance_type, model.columns)  # checked again, as its list of columns may have been changed
    mixture = model if isinstance(model, Mixture) else getattr(model, "mixture_", None)
    if not isinstance(mixture, Mixture):
        raise ValueError(f"only a Mixture, a Model or a fitted GaussianMixture can be saved, not {model!r}")
    columns = getattr(model, "feature_names_in_", None)
    return Model(mixture, mixture.covariance_type, None if columns is None else [str(name) for name in columns])


def _laid_out(value: Any, depth: int = 1) -> str:
    """Return a value as JSON with one row of numbers per line."""
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
        With `mixture`, `covariance_type` and `columns`. The mixture gives the same results, bit for bit, as the one saved.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ModelFileError
        A ValueError that names the file and says where it is damaged.

    Examples
    --------
    >>> import gaussmix, os, tempfile
    >>> gm = gaussmix.GaussianMixture(random_state=0).fit([[1.0], [2.0], [4.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gm.save(os.path.join(folder, "model.json"))
    ...     model = gaussmix.load(os.path.join(folder, "model.json"))
    >>> model.covariance_type, model.columns, model.predict([[3.0]])
    ('full', None, array([0]))
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            return _model(_entries(_content(file)))
    except ModelFileError as error:
        raise ModelFileError(f"{os.fsdecode(path)}: {error}") from None
    except MemoryError:
        raise ModelFileError(f"{os.fsdecode(path)}: does not fit into memory") from None


def _content(file: IO[bytes]) -> bytes:
    """Read a whole file, but no more than its head where that does not begin a JSON object."""
    head = file.read(HEAD)
    if len(head) == HEAD and not head.lstrip().startswith(b"{"):
        raise ModelFileError("is not a model file: it does not begin with {")
    return head + file.read()


def _entries(content: bytes) -> dict[str, Any]:
    """Parse the JSON object of a file, and check which entries it has."""
    try:
        entries = json.loads(content.decode(), object_pairs_hook=_without_repetition)
    except UnicodeDecodeError:
        raise ModelFileError("is not a model file: it is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ModelFileError(f"is not a whole JSON file: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ModelFileError("is not a model file: its lists are nested too deeply") from None
    except ModelFileError:
        raise
    except ValueError:
        raise ModelFileError("is not a model file: it holds a whole number of thousands of digits") from None
    if not isinstance(entries, dict) or entries.get("format") != FORMAT:
        raise ModelFileError(f'is not a model file: "format" must be "{FORMAT}"')
    version = entries.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ModelFileError(f"is of version {_short(version)} of the format, but this gaussmix reads version {VERSION}")
    for name in ENTRIES:
        if name not in entries:
            raise ModelFileError(f'has no "{name}", which a model file must have')
    for name in entries:
        if name not in ENTRIES:
            raise ModelFileError(f"has an unknown entry {_short(name)}, which a model file of version {VERSION} must not have")
    return entries


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for name, value in pairs:
        if name in entries:
            raise ModelFileError(f"has the entry {_short(name)} twice")
        entries[name] = value
    return entries


def _model(entries: dict[str, Any]) -> Model:
    """Make the model that the entries describe, and check each of them."""
    K, D = (_count(entries, name) for name in ("n_components", "n_features"))
    try:
        structure = structure_named(entries["covariance_type"])
        shapes = {"weights": (K,), "means": (K, D), "covariances": structure.shape(K, D)}
        weights, means, covariances = (_numbers(entries[name], shape, name) for name, shape in shapes.items())
        mixture = Mixture(weights, means, covariances, structure.name)
        return Model(mixture, structure.name, entries["columns"])
    except ValueError as error:
        raise ModelFileError(str(error)) from None


def _count(entries: dict[str, Any], name: str) -> int:
    value = entries[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelFileError(f"{name} must be a whole number of at least 1, not {_short(value)}")
    return value


def _numbers(value: Any, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Return nested lists of finite numbers as an array, which must have exactly this shape."""
    _check_numbers(value, shape, name)
    return np.array(value, dtype=np.float64)


def _check_numbers(value: Any, shape: tuple[int, ...], name: str) -> None:
    if shape:
        if not isinstance(value, list) or len(value) != shape[0]:
            found = f"one of {len(value)}" if isinstance(value, list) else _short(value)
            raise ModelFileError(f"{name} must be a list of {_short(shape[0])}, not {found}")
        for index, item in enumerate(value):
            _check_numbers(item, shape[1:], f"{name}[{index}]")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ModelFileError(f"{name} must be a number, not {_short(value)}")
    elif not abs(value) <= sys.float_info.max:
        raise ModelFileError(f"{name} must be finite, not {'NaN' if value != value else 'infinite or beyond float64'}")


def _check_columns(columns: Any, n_features: int) -> None:
    if columns is None:
        return
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        raise ValueError(f"columns must be null or a list of names, which are texts, not {_short(columns)}")
    if len(columns) != n_features:
        raise ValueError(f"columns must be {n_features} different names, not {len(columns)}")
    before: set[str] = set()
    for index, column in enumerate(columns):
        if not _is_text(column):
            raise ValueError(f"columns[{index}] must be text that UTF-8 can hold, not {_short(column)}")
        if column in before:
            raise ValueError(f"columns must be {n_features} different names, but {_short(column)} is there twice")
        before.add(column)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _short(value: Any) -> str:
    """Show a wrong value in a few letters, in the notation of JSON."""
    if isinstance(value, (list, dict)):
        return f"a list of {len(value)}" if isinstance(value, list) else "an object"
    text = json.dumps(value[:LONGEST_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN - 3] + "..."

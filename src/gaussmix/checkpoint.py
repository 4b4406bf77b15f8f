"""Checkpoints: the state of a fit in a file, from which the same fit goes on after the process has ended in any way."""

from __future__ import annotations

import copy
import dataclasses
import errno
import hashlib
import json
import os
import time
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.em import EM
from gaussmix._version import __version__
from gaussmix.blocks import Counted
from gaussmix.data import Data
from gaussmix.em import Run
from gaussmix.fitting import Fit, Fitting
from gaussmix.observations import as_reals
from gaussmix.outputs import check_output, whole_file
from gaussmix.random_state import as_generator
from gaussmix.search import Optimum, Search
from gaussmix.search.budget import seconds_of
from gaussmix.starts import SingularStart

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["Checkpoint", "checked_interval", "identity_of"]

FORMAT = 1
# Parameters of the estimator that do not change the result.
FREE = ("n_threads", "verbose", "verbose_interval", "progress", "callback", "step_exponent", "step_offset", "half_life")


def checked_interval(every: object) -> tuple[float, float]:
    """
    Return after how many iterations, and after how many seconds, a state is due.

    Parameters
    ----------
    every : int or str
        A number of iterations, or a time such as "10 min".

    Raises
    ------
    ValueError
    """
    if isinstance(every, (int, np.integer)) and not isinstance(every, bool) and every >= 1:
        return int(every), 0.0
    seconds = seconds_of(every)
    if seconds is None:
        raise ValueError(f"checkpoint_every must be a number of iterations, or a time such as '10 min', not {every!r}")
    return 1, seconds


def identity_of(model: GaussianMixture, data: Data) -> dict[str, Any]:
    """
    Return what must be the same where a fit goes on: the version, the parameters, and the data.

    Parameters
    ----------
    model : GaussianMixture
    data : Data

    Returns
    -------
    dict
        Of texts and numbers.
    """
    parameters = {name: _shown(name, value) for name, value in model.get_params(deep=False).items() if name not in (*FREE, "random_state")}
    parameters["random_state"] = _shown_source(model.random_state)
    if model.warm_start and model.__sklearn_is_fitted__():
        parameters["the mixture that warm_start goes on from"] = [_shown("mixture_", one) for one in model.mixture_._parameters.numbers()]
    return {"format": FORMAT, "version": __version__, "parameters": parameters,
            "data": {"rows": data.n_rows, "features": data.n_features, "names": data.columns, "checksum": data.checksum()}}


def _shown(name: str, value: Any) -> Any:
    """A value of a parameter as JSON can hold it; of an array its shape and a checksum."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.bool_, np.integer)):
        return value.item()
    if isinstance(value, np.floating):
        return float(value)
    array = np.ascontiguousarray(as_reals(value, name=name))
    return [array.dtype.str, list(array.shape), zlib.crc32(array.data.cast("B") if array.size else b"")]


def _shown_source(random_state: Any) -> Any:
    """A source of random numbers as JSON can hold it; of one that moves on, the state, which is left as it is."""
    if random_state is None or isinstance(random_state, (int, np.integer)):
        return None if random_state is None else int(random_state)
    kept = np.random.mtrand._rand if random_state is np.random else random_state
    state = as_generator(copy.deepcopy(kept)).bit_generator.state
    return f"a {type(kept).__name__} in state {zlib.crc32(repr(state).encode()):08x}"


class Checkpoint:
    """
    The state of a fit, which is written to a file now and then.

    Parameters
    ----------
    path : str or path-like
        Where a file is there, the fit goes on from it.
    identity : dict
        As `identity_of` makes it.
    every : int or str
        As for `checked_interval`.

    Raises
    ------
    OSError
        Where the file cannot be read or written.
    ValueError
        Where it is no checkpoint, or that of another fit.
    """

    def __init__(self, path: str | os.PathLike[str], identity: dict[str, Any], every: object) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"checkpoint must be the path of a file, not {path!r}")
        self.path, self.identity = os.fspath(path), identity
        self.iterations, self.seconds = checked_interval(every)
        check_output(self.path)
        self.header: dict[str, Any] = {"identity": identity, "start": 0, "rng": None, "best": None, "search": None, "wide": False}
        self.arrays: dict[str, NDArray[Any]] = {}
        if os.path.exists(self.path):
            self.header, self.arrays = self._read()
        self._written_at, self._written = time.monotonic(), self.header.get("n_iter", 0)
        self._rng: np.random.Generator | None = None
        self._rows: Counted[Any] | None = None

    # The file.

    def _read(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        try:
            if not zipfile.is_zipfile(self.path):
                raise ValueError("it is no archive of arrays")
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            text = arrays.pop("header").tobytes()
            if arrays.pop("digest").tobytes() != _digest(text, arrays):
                raise ValueError("its content is not what was written")
            header = json.loads(text)
            identity = header["identity"]
            _ = header["start"], header["rng"], header["best"], header["search"], header["wide"], identity["parameters"]
        except (OSError, MemoryError) as error:
            if isinstance(error, MemoryError) or error.filename is not None:
                raise
            raise self._damaged(error) from None
        except Exception as error:  # a damaged file can raise nearly anything
            raise self._damaged(error) from None
        for what in ("format", "version", "parameters", "data"):
            self._compare(what, identity.get(what), json.loads(json.dumps(self.identity[what])))
        return header, arrays

    def _damaged(self, error: Exception) -> ValueError:
        what = str(error).splitlines()[0] if str(error) else repr(error)
        return ValueError(f"{self.path}: is not a checkpoint of gaussmix, or is damaged: {what}; give another name, or delete the file to "
                          "begin anew")

    def _compare(self, what: str, before: Any, now: Any) -> None:
        if before == now:
            return
        detail = what
        if isinstance(before, dict) and isinstance(now, dict):
            name = next((name for name in {**now, **before} if before.get(name) != now.get(name)), None)
            detail = f"{name} was {before.get(name)!r}, not {now.get(name)!r}" if what == "parameters" else f"the {name} of the data differ"
        elif what in ("version", "format"):
            detail = f"the {what} of gaussmix was {before}, not {now}"
        raise ValueError(f"{self.path}: is the checkpoint of another fit, as {detail}: give another name, or delete the file to begin anew")

    def _write(self) -> None:
        self.header["wide"] = self._rows is not None and self._rows.size == 8
        text = json.dumps(self.header).encode()
        header, digest = (np.frombuffer(part, dtype=np.uint8) for part in (text, _digest(text, self.arrays)))
        try:
            with whole_file(self.path, partial=f".{os.path.basename(self.path)}.part") as file:
                np.savez(file, allow_pickle=False, header=header, digest=digest, **self.arrays)
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "cannot be written: its folder is gone, or another fit keeps its state there too",
                                    self.path) from None
        self._written_at = time.monotonic()

    # One start after another.

    def starts(self, fitting: Fitting, rng: np.random.Generator) -> tuple[int, Fit | None]:
        """
        Begin, or go on.

        Parameters
        ----------
        fitting : Fitting
        rng : numpy.random.Generator
            Takes on the state that it had.

        Returns
        -------
        int
            The number of the start that is next, or under way.
        Fit or None
            The best of those before it.
        """
        self._rng, self._rows = rng, fitting.observations
        if self.header["wide"]:
            self._rows.work_in(np.float64)
        start, ended = self.header["start"], self.header["best"] is not None or self.header.get("failure") is not None
        if not isinstance(start, int) or start < 0 or start > 0 and not ended:
            raise self._damaged(ValueError(f"its start is {start!r}"))
        if self.header["rng"] is None:
            self.header["rng"] = _state_of(rng)
        else:
            try:
                rng.bit_generator.state = _with_arrays(self.header["rng"])
            except Exception as error:
                raise self._damaged(error) from None
        best = self._fit("best", fitting) if self.header["best"] is not None else None
        return self.header["start"], best

    @property
    def has_begun(self) -> bool:
        """Whether the state of a start that is under way is known."""
        return "history" in self.arrays

    def resume(self, loop: EM) -> list[float]:
        """Put the start that is under way into a new loop, and return its history."""
        try:
            loop.restore([self.arrays[f"loop{number}"] for number in range(self.header["n_arrays"])])
            history: list[float] = self.arrays["history"].tolist()
        except Exception as error:
            raise self._damaged(error) from None
        return history

    def keep(self, loop: EM, history: list[float]) -> None:
        """Write the state after an iteration, if it is due."""
        late = time.monotonic() - self._written_at >= self.seconds
        if not late or loop.n_passes - self._written < self.iterations and loop.n_passes > self._written:
            return
        self._written = loop.n_passes
        self._forget("loop", "history")
        state = loop.state()
        self.arrays.update({f"loop{number}": array for number, array in enumerate(state)}, history=np.array(history))
        assert self._rng is not None
        self.header.update(n_arrays=len(state), n_iter=loop.n_passes, rng=_state_of(self._rng))
        self._write()

    def ended(self, number: int, best: Fit | None, failure: SingularStart | None) -> None:
        """A start has ended; write which is the best so far, and why the last one that failed did."""
        assert self._rng is not None
        self._forget("loop", "history")
        self._written = 0
        self.header.update(start=number + 1, rng=_state_of(self._rng), n_iter=0)
        self.header["failure"] = None if failure is None else str(failure)
        if best is not None:
            self._hold("best", best)
        self._write()

    @property
    def failure(self) -> SingularStart | None:
        """Why the last start that ended could not begin."""
        text = self.header.get("failure")
        return None if text is None else SingularStart(str(text))

    # A search.

    def searched(self) -> Search | None:
        """Return what the search found that came before, where it has ended."""
        if self.header["search"] is None:
            return None
        values = dict(self.header["search"])
        return Search(**{**values, "optima": [Optimum(**one) for one in values["optima"]]})

    def found(self, fitting: Fitting) -> Fit:
        """Return the fit that the search found."""
        return self._fit("found", fitting)

    def search_ended(self, fit: Fit, search: Search) -> None:
        """The search has ended; write what it found."""
        self.header["search"] = dataclasses.asdict(search)
        self._hold("found", fit)
        self._write()

    # Fits.

    def _hold(self, name: str, fit: Fit) -> None:
        self._forget(name)
        numbers = fit.parameters.numbers()
        self.arrays.update({f"{name}{number}": array for number, array in enumerate(numbers)})
        self.arrays[f"{name}_history"] = np.array(fit.history)
        self.header[name] = {"n_iter": fit.n_iter, "converged": fit.converged, "collapsed": fit.collapsed, "stopped": fit.stopped}

    def _fit(self, name: str, fitting: Fitting) -> Fit:
        parameters = fitting.request.structure.parameters(*fitting.problem.shape)
        try:
            for number, array in enumerate(parameters.numbers()):
                array[...] = self.arrays[f"{name}{number}"]
            return fitting.judged(Run(parameters, self.arrays[f"{name}_history"].tolist(), **self.header[name]))
        except Exception as error:
            raise self._damaged(error) from None

    def _forget(self, *names: str) -> None:
        for key in [key for key in self.arrays if any(key == name or key[len(name):].isdigit() and key.startswith(name) for name in names)]:
            del self.arrays[key]


def _digest(text: bytes, arrays: dict[str, NDArray[Any]]) -> bytes:
    """What tells that a file holds what was written: of its header, and of the names, types and numbers of its arrays."""
    digest = hashlib.sha256(text)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _state_of(rng: np.random.Generator) -> Any:
    """The state of a generator as JSON can hold it."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        if isinstance(value, np.ndarray):
            return {"array": value.tolist(), "dtype": value.dtype.str}
        return value.item() if isinstance(value, np.generic) else value

    return plain(rng.bit_generator.state)


def _with_arrays(value: Any) -> Any:
    """The state of a generator from what `_state_of` made of it."""
    if isinstance(value, dict):
        if set(value) == {"array", "dtype"}:
            return np.array(value["array"], dtype=value["dtype"])
        return {name: _with_arrays(part) for name, part in value.items()}
    return value

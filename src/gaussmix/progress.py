"""The output of a long fit while it runs: scikit-learn's lines, a progress bar, and calls of a function that may stop it."""

from __future__ import annotations

import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from gaussmix.mixture import Mixture
from gaussmix.sources import RowBlock, Source

if TYPE_CHECKING:
    from gaussmix._core.parameters import Parameters
    from gaussmix.fitting import Fit
    from gaussmix.structures import Structure

__all__ = ["Progress", "SearchProgress", "Watched", "bar_size"]


class Progress:
    """
    Listens to the starts and iterations of one fit.

    Parameters
    ----------
    verbose : int
        1 prints scikit-learn's short lines, 2 or more its long ones.
    verbose_interval : int
        Every how many iterations.
    bar : bool
        Whether to show a progress bar.
    max_iter : int
    callback : callable, optional
        Called with three arguments: the number of the iteration (from 1), its mean log-likelihood, and the mixture with that
        log-likelihood. The whole fit ends when it returns something true.
    structure : Structure, optional
        The structure of those mixtures.

    Attributes
    ----------
    stopped : bool
        Whether the callback ended the fit.
    """

    def __init__(self, verbose: int = 0, verbose_interval: int = 10, bar: bool = False, max_iter: int = 100,
                 callback: Callable[[int, float, Mixture], object] | None = None, structure: Structure | None = None) -> None:
        self.verbose, self.interval = int(verbose), verbose_interval
        self.callback, self._structure = callback, structure
        self._max_iter = max_iter
        self.stopped = False
        self._bar = _bar(max_iter) if bar and sys.stderr is not None else None

    def begin(self, number: int, log_likelihood: float = -math.inf) -> None:
        """A start begins, from parameters that an earlier fit left at `log_likelihood`."""
        self._last = log_likelihood
        self._begun = self._ticked = time.perf_counter()
        if self.verbose:
            print(f"Initialization {number}")
        if self._bar is not None:
            self._bar.begin(number)

    @property
    def report(self) -> Callable[[int, float, Parameters], bool] | None:
        """Return the function that `maximize_likelihood` calls after each iteration, or None where there is nothing to report."""
        return self._iteration if self.verbose or self._bar is not None or self.callback is not None else None

    def _iteration(self, iteration: int, log_likelihood: float, parameters: Parameters) -> bool:
        change, self._last = log_likelihood - self._last, log_likelihood
        if self.verbose and iteration % self.interval == 0:
            now = time.perf_counter()
            detail = f"\t time lapse {now - self._ticked:.5f}s\t ll change {change:.5f}" if self.verbose > 1 else ""
            self._ticked = now
            print(f"  Iteration {iteration}{detail}")
        if self._bar is not None:
            self._bar.advance(iteration, log_likelihood, change)
        if self.callback is not None:
            assert self._structure is not None
            mixture = Mixture.from_parameters(parameters, self._structure)
            self.stopped = bool(self.callback(iteration, log_likelihood, mixture))
        return self.stopped

    def end(self, fit: Fit | None) -> None:
        """A start ended with `fit`, or, where it is None, could not begin."""
        if self._bar is not None:
            self._bar.end()
        if not self.verbose or not self._max_iter:
            return
        message = f"Initialization {'converged' if fit is not None and fit.converged else 'did not converge'}."
        if self.verbose > 1:
            bound = fit.history[-1] if fit is not None and fit.history else -math.inf
            message += f" time lapse {time.perf_counter() - self._begun:.5f}s\t lower bound {bound:.5f}."
        print(message)

    def close(self) -> None:
        """The fit ended, however."""
        if self._bar is not None:
            self._bar.end()


class SearchProgress:
    """
    Listens to a search for the best optimum: how many starts it has made, the best so far, and how often that was found.

    Parameters
    ----------
    verbose : int
        1 or more prints a line for each round.
    bar : bool
        Whether to show a line that is written over.
    callback : callable, optional
        Called in every iteration of every start, as by `Progress`. The search ends when it returns something true.
    structure : Structure, optional
        The structure of the mixtures that the callback is given.

    Attributes
    ----------
    stopped : bool
        Whether the callback ended the search.
    """

    def __init__(self, verbose: int = 0, bar: bool = False, callback: Callable[[int, float, Mixture], object] | None = None,
                 structure: Structure | None = None) -> None:
        self.verbose, self.stopped = int(verbose), False
        self.callback, self._structure = callback, structure
        self._bar = _Overwritten() if bar and sys.stderr is not None else None
        self._n_starts, self._found, self._lock = 0, "", threading.Lock()

    @property
    def report(self) -> Callable[[int, float, Parameters], bool] | None:
        """Return the function that `maximize_likelihood` calls after each iteration, or None where there is no callback."""
        return None if self.callback is None else self._iteration

    def _iteration(self, iteration: int, log_likelihood: float, parameters: Parameters) -> bool:
        assert self.callback is not None and self._structure is not None
        if not self.stopped:
            self.stopped = bool(self.callback(iteration, log_likelihood, Mixture.from_parameters(parameters, self._structure)))
        return self.stopped

    def tried(self) -> None:
        """Another start has come to its end. Several threads may tell so."""
        with self._lock:
            self._n_starts += 1
            if self._bar is not None:
                self._bar.show(f"search: {self._n_starts} starts{self._found}")

    def searched(self, n_starts: int, log_likelihood: float, times: int) -> None:
        """Another round or splice is over; the best so far has this log-likelihood, and this many of them ended there."""
        self._found = f", best log-likelihood {log_likelihood:.6g}, found {'once' if times == 1 else f'{times} times'}"
        if self.verbose:
            print(f"Search: {n_starts} starts{self._found}")

    def close(self) -> None:
        """The search ended, however."""
        if self._bar is not None:
            self._bar.end()


class Watched(Source):
    """
    Another source, which counts its rows and tells a progress bar of them.

    Parameters
    ----------
    source : Source
    bar : tqdm's bar, optional

    Attributes
    ----------
    title : str
        What the bar says before the number of the pass.
    """

    def __init__(self, source: Source, bar: Any = None) -> None:
        self.source, self.bar, self.title, self.n_passes = source, bar, "", 0
        self.name, self.n_features, self.columns, self.n_rows = source.name, source.n_features, source.columns, source.n_rows

    def begin(self, title: str) -> None:
        """Something new begins; its passes are counted anew."""
        self.title, self.n_passes = title, 0

    def blocks(self) -> Iterator[Any]:
        self.n_passes += 1
        if self.bar is not None:
            self.bar.reset(self.n_rows)
            self.bar.set_description(f"{self.title}pass {self.n_passes}")
        n_rows = 0
        for block in self.source.blocks():
            yield block
            size = len(block.rows if isinstance(block, RowBlock) else block)
            n_rows += size
            if self.bar is not None:
                self.bar.update(size)
        self.n_rows = n_rows

    def state(self) -> object:
        return self.source.state()


def bar_size(stream: IO[str]) -> dict[str, int]:
    """
    Return the arguments that tell tqdm the size of its progress bar.

    Parameters
    ----------
    stream : text file object
        Where it is shown.

    Returns
    -------
    dict
        `ncols` and `nrows` on a terminal that reports a size of zero, where tqdm would show nothing. Otherwise it is empty, as
        tqdm finds the size by itself.
    """
    size = _terminal_size(stream)
    if size is None or 0 not in size:
        return {}
    columns, rows = shutil.get_terminal_size()  # as the environment says, or 80 and 24
    return {"ncols": columns - 1, "nrows": rows}


def _terminal_size(stream: IO[str]) -> os.terminal_size | None:
    """Columns and rows, as a terminal tells them; None where there is no terminal."""
    try:
        return os.get_terminal_size(stream.fileno()) if stream.isatty() else None
    except (AttributeError, OSError, ValueError):
        return None


def _bar(max_iter: int) -> _Bar | _Lines:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Lines(max_iter)
    return _Bar(tqdm, max_iter)


class _Bar:
    """tqdm's bar, one for each start."""

    def __init__(self, tqdm: Callable[..., Any], max_iter: int) -> None:
        self._tqdm, self._max_iter = tqdm, max_iter
        self._shown: Any = None

    def begin(self, number: int) -> None:
        self._shown = self._tqdm(total=min(self._max_iter, sys.maxsize), desc=f"EM, start {number}", unit="it", leave=True,
                                 **bar_size(sys.stderr))

    def advance(self, iteration: int, log_likelihood: float, change: float) -> None:
        self._shown.set_postfix_str(f"log-likelihood {log_likelihood:.6g}, change {change:.2g}", refresh=False)
        self._shown.update(1)

    def end(self) -> None:
        if self._shown is not None:
            self._shown.close()
            self._shown = None


class _Lines:
    """Without tqdm: one line on standard error for each start, written over about ten times a second."""

    def __init__(self, max_iter: int) -> None:
        self._max_iter, self._number, self._line = max_iter, 0, _Overwritten()

    def begin(self, number: int) -> None:
        self._number, self._line = number, _Overwritten()

    def advance(self, iteration: int, log_likelihood: float, change: float) -> None:
        self._line.show(f"EM, start {self._number}: iteration {iteration} of {self._max_iter}, "
                        f"log-likelihood {log_likelihood:.6g}, change {change:.2g}")

    def end(self) -> None:
        self._line.end()


class _Overwritten:
    """One line on standard error that is written over about ten times a second."""

    def __init__(self) -> None:
        self._next, self._text, self._width = 0.0, "", 0

    def show(self, text: str) -> None:
        self._text = text
        if time.perf_counter() >= self._next:
            self._next = time.perf_counter() + 0.1
            self._write("")

    def _write(self, end: str) -> None:
        """Overwrite the line, but not beyond the last column of a terminal, where a second line would begin."""
        size = _terminal_size(sys.stderr)
        text = self._text if size is None else self._text[:(size.columns or 80) - 1]
        with suppress(ValueError):  # standard error has been closed
            print(f"\r{text:<{self._width}}", end=end, file=sys.stderr, flush=True)
        self._width = len(text)

    def end(self) -> None:
        if self._text:
            self._write("\n")
            self._text = ""

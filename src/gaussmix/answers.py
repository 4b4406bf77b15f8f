"""What a mixture answers for each row: labels, responsibilities and log-densities, of rows in memory or of a source."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix.blocks import block_bounds, weighted_mean
from gaussmix.datafiles import check_table_output, table_writer
from gaussmix.mixture import Mixture, labels, log_density, responsibilities
from gaussmix.observations import as_table, as_weights, check_finite
from gaussmix.outputs import check_not_read
from gaussmix.sources.ahead import ahead
from gaussmix.sources.arrow import PARQUET
from gaussmix.sources.opening import paths_of
from gaussmix.sources.rows import regrouped
from gaussmix.sources.source import RowBlock, Source
from gaussmix.sources.survey import checked, plain_blocks

__all__ = ["CERTAINTY", "LABELS", "LOG_DENSITY", "RESPONSIBILITIES", "Question", "answer", "check_out", "collected",
           "delivered", "drawn_parts", "mean_of", "part_answers", "parts_of"]

# How many rows of a source are answered for at once. A call takes some threads, so that it should not be short.
ROWS_AT_ONCE = 2**16

_Compute = Callable[[Densities, NDArray[Any], int | None], NDArray[Any]]


@dataclass(frozen=True)
class Question:
    """
    What is asked of a mixture for each row.

    Attributes
    ----------
    compute : callable
        From densities, rows in memory and a number of threads to an array with one answer a row.
    name : str
        What a column with the answers is called; with K answers a row, `name_0` to `name_{K−1}`.
    is_wide : bool
        Whether there are K answers a row.
    """

    compute: _Compute
    name: str
    is_wide: bool = False

    @property
    def plural(self) -> str:
        """What one column with all answers of a row is called."""
        return "responsibilities" if self.is_wide else self.name

    def fits(self, dtype: np.dtype[Any], n_components: int) -> bool:
        """Whether numbers of a type can hold the answers."""
        if dtype.kind == "f" or self.compute is not labels:
            return dtype.kind == "f"
        return dtype.kind in "iu" and np.iinfo(dtype).max >= n_components - 1

    def of(self, mixture: Mixture, rows: NDArray[Any], n_threads: int | None) -> NDArray[Any]:
        """Return the answers for rows in memory."""
        return self.compute(mixture.densities, rows, n_threads)

    def columns(self, n_components: int) -> list[str]:
        """Return the names of the columns with the answers."""
        return [f"{self.name}_{k}" for k in range(n_components)] if self.is_wide else [self.name]


def _certainty(densities: Densities, X: NDArray[Any], n_threads: int | None) -> NDArray[np.float64]:
    """ln max_k γ_nk. The responsibilities of a block only are kept."""
    found = np.empty(len(X))
    for start, stop in block_bounds(X.shape[0], X.shape[1], densities.n_components):
        shares = responsibilities(densities, X[start:stop], n_threads)
        found[start:stop] = np.log(shares.max(axis=1), dtype=np.float64)
    return found


LABELS = Question(labels, "label")
RESPONSIBILITIES = Question(responsibilities, "responsibility", is_wide=True)
LOG_DENSITY = Question(log_density, "log_density")
CERTAINTY = Question(_certainty, "certainty")


def parts_of(source: Source, report: Callable[[int], object] | None = None) -> Iterator[tuple[int, RowBlock]]:
    """
    Yield the rows of a source in parts that are worth a call, each with the number of its first row.

    Parameters
    ----------
    source : Source
    report : callable, optional
        Called with the number of rows of each part, after it has been used.

    Raises
    ------
    SourceError
        Where a row cannot be read, or is not finite.
    """
    first = 0
    numbered = (RowBlock(block.rows, block.sample_weight, np.full(len(block.rows), number))  # each row remembers its block
                for number, block in enumerate(plain_blocks(source)))
    with closing(ahead(regrouped(numbered, repeat(ROWS_AT_ONCE)))) as parts:
        for part in parts:
            numbers, before = np.asarray(part.labels), first
            checked(source, part.rows, part.sample_weight, first, lambda row: int(numbers[row - before]), math.inf)  # noqa: B023  # called at once
            yield first, part
            first += len(part.rows)
            if report is not None:
                report(len(part.rows))
    if not first:
        raise ValueError(f"{source.name}: has no rows")


def check_out(out: Any, X: Any = None, question: Question = LOG_DENSITY, n_components: int = 1) -> None:
    """
    Raise where answers cannot be written to what a user passes as `out`, before they are computed.

    Parameters
    ----------
    out : ndarray, path or None
    X : object
        The rows that are asked for.
    question : Question
    n_components : int

    Raises
    ------
    TypeError, OSError, ValueError
    """
    if isinstance(out, (str, os.PathLike)):
        check_table_output(os.fsdecode(out))
        check_not_read(os.fsdecode(out), paths_of(X), PARQUET)
    elif isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise ValueError("out is read-only: open a memory map with mode 'r+', or make another array")
        if not question.fits(out.dtype, n_components):
            wanted = f"an integer type that can hold {n_components - 1}" if question is LABELS else "a floating-point type such as float64"
            raise TypeError(f"out must have {wanted}, not {out.dtype}")
        if isinstance(X, np.memmap) and np.may_share_memory(X, out):
            raise ValueError("out lies in the memory of X, which is read while it is written: give another array")
    elif out is not None:
        raise TypeError(f"out must be an array, a memory map or the path of a file to write, not {type(out).__name__}")


def delivered(answers: NDArray[Any], columns: list[str], out: Any) -> Any:
    """
    Return answers, or write them to what a user passes as `out`, and return that.

    Parameters
    ----------
    answers : ndarray, shape (N,) or (N, K)
    columns : list of str
        Their names in a file.
    out : ndarray, path or None

    Returns
    -------
    ndarray or path
    """
    if out is None:
        return answers
    if isinstance(out, np.ndarray):
        if out.shape != answers.shape:
            raise ValueError(f"out must be of shape {answers.shape}, not {out.shape}")
        np.copyto(out, answers, casting="unsafe")
        return out
    with table_writer(os.fsdecode(out), columns) as write:
        write([answers])
    return out


def answer(question: Question, mixture: Mixture, source: Source, n_threads: int | None, out: Any = None,
           convert: Callable[[NDArray[Any]], NDArray[Any]] = lambda part: part) -> Any:
    """
    Answer a question for the rows of a source, part by part.

    Parameters
    ----------
    question : Question
    mixture : Mixture
    source : Source
    n_threads : int or None
    out : ndarray, path or None
        Where the answers go; by default they are collected in memory.
    convert : callable, optional
        Converts the answers of each part.

    Returns
    -------
    ndarray or path
        `out`, or a new array.
    """
    def answers() -> Iterator[tuple[int, NDArray[Any]]]:
        for first, part in parts_of(source):
            yield first, convert(question.of(mixture, part.rows, n_threads))

    if out is None:
        return np.concatenate([part for _, part in answers()])
    return collected((part for _, part in answers()), question.columns(mixture.n_components), out, source.n_rows)


def collected(parts: Generator[NDArray[Any]], columns: list[str], out: Any, n_rows: int | None) -> Any:
    """
    Write rows to an array or a file, part by part.

    Parameters
    ----------
    parts : iterator of ndarray, shape (n,) or (n, K)
    columns : list of str
        Their names in a file.
    out : ndarray or path
    n_rows : int or None
        How many rows there will be, where that is known.

    Returns
    -------
    ndarray or path
        `out`.
    """
    with closing(parts):  # whose source may be open
        return _written(parts, columns, out, n_rows)


def _written(parts: Iterator[NDArray[Any]], columns: list[str], out: Any, n_rows: int | None) -> Any:
    if isinstance(out, np.ndarray):
        stop = 0
        for part in parts:
            start, stop = stop, stop + len(part)
            if out.shape[1:] != part.shape[1:] or stop > len(out) or n_rows not in (None, len(out)):
                shape = (n_rows if n_rows is not None else f"at least {stop}", *part.shape[1:])
                raise ValueError(f"out must be of shape ({', '.join(map(str, shape))}{',' * (len(shape) == 1)}), not {out.shape}")
            np.copyto(out[start:stop], part, casting="unsafe")
        if stop < len(out):
            raise ValueError(f"out must have {stop} rows, not {len(out)}")
        return out
    kind = None  # that of the first part: float32 rows may come before others
    with table_writer(os.fsdecode(out), columns) as write:
        for part in parts:
            kind = part.dtype if kind is None else kind
            write([part.astype(kind, copy=False)])
    return out


def drawn_parts(mixture: Mixture, n_rows: int, rng: np.random.Generator) -> Generator[NDArray[np.float64]]:
    """
    Draw rows from a mixture, in parts that need little memory.

    Parameters
    ----------
    mixture : Mixture
    n_rows : int
    rng : numpy.random.Generator

    Yields
    ------
    ndarray, shape (n, D)
    """
    for start in range(0, n_rows, ROWS_AT_ONCE):
        yield mixture.rvs(min(ROWS_AT_ONCE, n_rows - start), rng)


def part_answers(question: Question, mixture: Mixture, dtype: np.dtype[Any], rows: Any) -> NDArray[Any]:
    """
    Answer a question for the rows of one partition, in one thread.

    Parameters
    ----------
    question : Question
    mixture : Mixture
    dtype : dtype
        Of the result.
    rows : array_like or DataFrame, shape (n, D)

    Returns
    -------
    ndarray, shape (n,) or (n, K)
    """
    table, _ = as_table(rows)
    check_finite(table)
    return question.of(mixture, table, 1).astype(dtype, copy=False)


def mean_of(question: Question, mixture: Mixture, source: Source, sample_weight: Any, n_threads: int | None) -> tuple[float, float]:
    """
    The mean over the rows of a source of a question with one answer a row, and Σ_n w_n.

    Parameters
    ----------
    question : Question
    mixture : Mixture
    source : Source
    sample_weight : array_like, shape (N,), or None
        Weights that do not come from the source.
    n_threads : int or None

    Returns
    -------
    mean, total : float
    """
    given: NDArray[np.float64] | None = None
    same = 1.0  # the weight of every row
    if sample_weight is not None and np.ndim(sample_weight) == 0:
        checked_weight = as_weights(sample_weight, 1)
        assert checked_weight is not None
        same = float(checked_weight[0])
    elif sample_weight is not None:
        given = as_weights(sample_weight, len(sample_weight))
    means, totals, n_rows = [], [], 0
    for first, part in parts_of(source):
        n_rows = first + len(part.rows)
        if sample_weight is not None and part.sample_weight is not None:
            raise ValueError("the source has weights of its own: give sample_weight or the source's, not both")
        weights = part.sample_weight if given is None else given[first:n_rows]
        values = question.of(mixture, part.rows, n_threads).astype(np.float64, copy=False)
        if weights is None:
            means.append(float(values.mean()))
            totals.append(same * len(values))
        else:
            w = np.asarray(weights, dtype=np.float64)
            if len(w) < len(values):
                break
            if w.any():
                means.append(weighted_mean(values, w))
                totals.append(float(w.sum()))
    if given is not None and n_rows != len(given):
        raise ValueError(f"sample_weight must be one weight a row, but it has {len(given)} and {source.name} has {source.n_rows or n_rows} rows")
    total = math.fsum(totals)
    if not total:
        raise ValueError("sample_weight is zero for every row; at least one weight must be positive")
    return math.fsum(mean * (part / total) for mean, part in zip(means, totals)), total

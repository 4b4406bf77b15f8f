"""The first pass over a source: it counts and checks the rows, and draws a sample of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix.blocks import LARGEST
from gaussmix.observations import as_table
from gaussmix.sources.ahead import ahead
from gaussmix.sources.source import RowBlock, Source, SourceError
from gaussmix.sources.tally import Tally, fault

# Which rows are compared with those of the first pass: every so many. All of them would take as long as the pass itself.
MARKED = 1_000

PARTS = ("sample_weight", "labels", "responsibilities")  # what a block may have beside its rows

__all__ = ["MARKED", "Survey", "checked", "marks_before", "marks_of", "plain_blocks", "state_of", "surveyed"]


@dataclass(frozen=True)
class Survey:
    """
    What the first pass over a source found.

    Attributes
    ----------
    tally : Tally
        Of all rows.
    starts : list of int
        The first row of each block of the source.
    sample : ndarray, shape (n, D)
        All rows, or a sample of those with weight, in their order.
    sample_weight : ndarray, shape (n,), or None
    state : object
        That of the source.
    checksum : int
        Of all rows and weights.
    marks : ndarray of uint32
        Checksums of every thousandth row, which tell that a later pass gives other rows or another order.
    """

    tally: Tally
    starts: list[int]
    sample: NDArray[Any]
    sample_weight: NDArray[np.float64] | None
    state: object
    checksum: int
    marks: NDArray[np.uint32]


def plain_blocks(source: Source) -> Iterator[RowBlock]:
    """
    Yield the blocks of a source, with the rows of each as a two-dimensional array of real numbers.

    Raises
    ------
    SourceError
        Where the source raises an error, or a block is not such an array or has another width.
    """
    before, number = 0, 0
    there: tuple[bool, ...] | None = None  # which of the parts the first block has
    try:
        for block in source.blocks():
            given = block if isinstance(block, RowBlock) else RowBlock(block)
            rows, names = as_table(given.rows, name="the block")
            if rows.shape[1] != source.n_features:
                raise ValueError(f"the block has {rows.shape[1]} columns, but the source has {source.n_features}")
            if names is not None and source.columns is not None and names != source.columns:
                raise ValueError(f"the block has the columns {names}, but the source has {source.columns}")
            shares = None if given.responsibilities is None else as_table(given.responsibilities, name="responsibilities")[0]
            if shares is not None and len(shares) != len(rows):
                raise ValueError(f"the block has {len(rows)} rows, but responsibilities of {len(shares)}")
            plain = RowBlock(rows, _vector(given.sample_weight, len(rows), "sample_weight"), _vector(given.labels, len(rows), "labels"), shares)
            parts = tuple(getattr(plain, name) is not None for name in PARTS)
            if there is not None and parts != there:
                name = next(name for name, one, other in zip(PARTS, parts, there) if one != other)
                raise ValueError(f"some blocks have {name} and others have not")
            there = parts
            yield plain if source.gives_new_memory else copied(plain)
            before, number = before + len(rows), number + 1
    except (SourceError, MemoryError):
        raise
    except Exception as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(source.name, what if isinstance(error, ValueError) else f"{type(error).__name__}: {what}", number, before) from error


def marks_before(row: int) -> int:
    """Return how many of the rows before one are marked."""
    return -(-row // MARKED)


def marks_of(block: RowBlock, first: int) -> list[int]:
    """Return checksums of the marked rows of a block and of their weights, by the number of its first row."""
    begin = marks_before(first) * MARKED - first
    rows, weights = (None if one is None else np.ascontiguousarray(one[begin::MARKED], np.float64) for one in (block.rows, block.sample_weight))
    assert rows is not None
    return [zlib.crc32(rows[n].data, 0 if weights is None else zlib.crc32(weights[n:n + 1].data)) for n in range(len(rows))]


def state_of(source: Source) -> object:
    """
    The state of a source, in a form that can be compared.

    Raises
    ------
    SourceError
        Where it cannot be told.
    """
    try:
        state = source.state()
        return state if isinstance(state == state, bool) else repr(state)
    except (SourceError, MemoryError):
        raise
    except Exception as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise SourceError(source.name, f"could not tell whether it has changed: {what}") from error


def copied(block: RowBlock) -> RowBlock:
    """Return a block with memory of its own: the next one may be put where it was."""
    return RowBlock(*(None if one is None else np.array(one) for one in (block.rows, *(getattr(block, name) for name in PARTS))))


def _vector(values: Any, n_rows: int, name: str) -> NDArray[Any] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape != (n_rows,) or array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be one number a row, shape ({n_rows},), not {array.dtype} of shape {array.shape}")
    return array


def checked(source: Source, rows: NDArray[Any], weights: NDArray[Any] | None, first: int, block_of: Callable[[int], int],
            largest: float = LARGEST) -> None:
    """
    Raise where rows or weights cannot be used.

    Parameters
    ----------
    source : Source
    rows : ndarray, shape (n, D)
    weights : ndarray, shape (n,), or None
    first : int
        The number of the first of these rows.
    block_of : callable
        From the number of a row to that of its block.
    largest : float

    Raises
    ------
    SourceError
        Naming the block and the row.
    """
    found = fault(rows, weights, largest)
    if found is not None:
        raise SourceError(source.name, found[1], block_of(first + found[0]), first + found[0])


class _Sample:
    """
    Rows drawn without replacement: those with the least of as many random numbers, however the rows are cut into blocks.

    Rows without weight are left out, unless there is room for all rows: then the sample is what an array would be.
    """

    def __init__(self, n_rows: int, seed: int) -> None:
        self.n_rows, self.rng = n_rows, np.random.default_rng(seed)
        self.most = np.inf  # the largest random number that may still be among the least
        self.used = self.seen = 0
        self.arrays: list[NDArray[Any]] = []  # the random numbers, the rows and perhaps the weights

    def add(self, rows: NDArray[Any], weights: NDArray[np.float64] | None) -> None:
        keys = self.rng.random(len(rows))
        wanted = keys < self.most
        self.seen += len(rows)
        if weights is not None and self.seen > self.n_rows:
            wanted &= weights > 0
            if self.seen - len(rows) <= self.n_rows and self.arrays:  # until now there was room for all rows, as in memory
                kept = np.flatnonzero(self.arrays[2][:self.used] > 0)
                self.arrays, self.used = [array[kept] for array in self.arrays], len(kept)
        chosen = np.flatnonzero(wanted)
        new = [keys[chosen], rows[chosen], *(() if weights is None else (weights[chosen],))]
        if not self.arrays:
            self.arrays = [np.empty((0, *one.shape[1:]), one.dtype) for one in new]
        if self.used + len(chosen) > self.limit:
            self.thin()
        stop = self.used + len(chosen)
        for position, one in enumerate(new):
            array = self.arrays[position]
            if np.result_type(array, one) != array.dtype:
                self.arrays[position] = array = array.astype(np.result_type(array, one))
            if stop > len(array):
                array.resize((min(max(2 * len(array), stop), max(self.limit, stop)), *array.shape[1:]), refcheck=False)
            array[self.used:stop] = one
        self.used = stop

    @property
    def limit(self) -> int:
        """How many rows to gather before those with large numbers are dropped."""
        return self.n_rows + self.n_rows // 8

    def thin(self) -> None:
        """Keep only as many rows as are wanted."""
        if self.used <= self.n_rows:
            return
        kept = np.sort(np.argpartition(self.arrays[0][:self.used], self.n_rows - 1)[:self.n_rows])
        for array in self.arrays:
            for start in range(0, self.n_rows, 4096):  # in place: row i comes from row i or a later one
                array[start:start + 4096][:self.n_rows - start] = array[kept[start:start + 4096]]
        self.used = self.n_rows
        self.most = float(self.arrays[0][:self.used].max())

    def ended(self) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """Return the rows, in their order, and their weights."""
        self.thin()
        _, rows, *weights = self.arrays
        return rows[:self.used], weights[0][:self.used] if weights else None


def surveyed(source: Source, sample_weight: NDArray[np.float64] | None, n_sample: int, seed: int,
             report: Callable[[int], object] | None = None) -> Survey:
    """
    Make the first pass over a source.

    Parameters
    ----------
    source : Source
    sample_weight : ndarray, shape (N,), or None
        Weights that do not come from the source.
    n_sample : int
        How many rows to draw, without replacement.
    seed : int
    report : callable, optional
        Called with the number of rows of each block.

    Returns
    -------
    Survey

    Raises
    ------
    SourceError
        Where a block cannot be used, naming the row.
    ValueError
        Where there are no rows, or another number of weights.
    """
    state, D = state_of(source), source.n_features
    sample = _Sample(n_sample, seed)
    starts: list[int] = []
    marks: list[int] = []
    tally, checksum = Tally.of(np.empty((0, D), np.float32)), 0
    with closing(ahead(plain_blocks(source))) as blocks:
        for number, block in enumerate(blocks):
            rows, weights, n_rows = block.rows, block.sample_weight, tally.n_rows
            starts.append(n_rows)
            if sample_weight is not None:
                if weights is not None:
                    raise ValueError("the source has weights of its own: give sample_weight or the source's, not both")
                weights = sample_weight[n_rows:n_rows + len(rows)]
                if len(weights) < len(rows):
                    raise ValueError(f"sample_weight must be one weight a row, but the source has more than {len(sample_weight)} rows")
            # Parts that stay in the cache, as each is read several times; a memory map may come in one block.
            step = max(1, 2**20 // max(rows.strides[0], rows.itemsize * D, 1))
            for start in range(0, len(rows), step):
                part = rows[start:start + step]
                w = None if weights is None else np.asarray(weights[start:start + step], dtype=np.float64)
                own = None if block.sample_weight is None else block.sample_weight[start:start + step]
                marks.extend(marks_of(RowBlock(part, own), n_rows + start))
                checked(source, part, w, n_rows + start, lambda row, number=number: number)  # type: ignore[misc]
                sample.add(part, w)
                checksum = zlib.crc32(np.ascontiguousarray(part).data, checksum)
                if w is not None:
                    checksum = zlib.crc32(w.data, checksum)
                tally += Tally.of(part, w)
            if report is not None:
                report(len(rows))
    if tally.n_rows and sample_weight is not None and len(sample_weight) != tally.n_rows:
        raise ValueError(f"sample_weight must be of shape ({tally.n_rows},), one weight a row, not ({len(sample_weight)},)")
    tally.check_rows(source.name)
    return Survey(tally, starts, *sample.ended(), state, checksum, np.array(marks, np.uint32))

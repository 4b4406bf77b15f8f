"""The rows of a source as observations, in the same blocks as if they were in memory."""

from __future__ import annotations

import bisect
import copy
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.estep import Block, Rows
from gaussmix.blocks import block_bounds, is_readable
from gaussmix.sources.ahead import ahead
from gaussmix.sources.source import RowBlock, Source, SourceError
from gaussmix.sources.survey import MARKED, Survey, checked, marks_before, marks_of, plain_blocks, state_of
from gaussmix.sources.tally import TalliedRows

__all__ = ["SourceRows", "recut", "regrouped"]

_Drawn = tuple[int, int, RowBlock]  # the number of a block, its first row, and what it holds


class SourceRows(TalliedRows):
    """
    The rows of a source, which are read anew in each pass and cut where `Blocks` cuts an array of as many rows.

    Parameters
    ----------
    source : Source
    survey : Survey
        Of this source.
    n_components : int
        K.
    sample_weight : ndarray, shape (N,), or None
        Weights that do not come from the source.
    report : callable, optional
        Called in each pass with the number of rows of each block that is read.
    """

    def __init__(self, source: Source, survey: Survey, n_components: int, sample_weight: NDArray[np.float64] | None = None,
                 report: Callable[[int], object] | None = None) -> None:
        super().__init__(survey.tally, n_components, source.name)
        self.source, self.survey, self.sample_weight, self.report = source, survey, sample_weight, report
        self.bounds = block_bounds(self.n_rows, self.n_features, n_components)
        self.labels: NDArray[np.int32] | None = None
        self.takes_labels = False
        self.shares: dict[int, NDArray[np.float64]] | None = None

    def with_labels(self, labels: NDArray[np.int32]) -> Self:
        """Return the same rows with labels, shape (N,)."""
        other = copy.copy(self)
        other.labels = labels
        return other

    def with_own_labels(self) -> Self:
        """Return the same rows with the labels that the source has for them."""
        other = copy.copy(self)
        other.takes_labels = True
        return other

    def with_own_responsibilities(self) -> Self:
        """Return the same rows; those responsibilities that the source has for a block are in `shares` while it is worked on."""
        other = copy.copy(self)
        other.shares = {}
        return other

    def pieces(self) -> _Pass:
        """Return the blocks of one pass, which are read as they are drawn."""
        return _Pass(self)

    def drawn(self) -> Generator[_Drawn]:
        """Yield the blocks of one pass, as they are read."""
        self._check_state()
        with closing(ahead(recut(plain_blocks(self.source), self.bounds, self.source.name))) as blocks:
            for index, block in enumerate(blocks):
                yield index, self.bounds[index][0], block
                if self.report is not None:
                    self.report(len(block.rows))
        self._check_state()

    def _check_unchanged(self, given: RowBlock, start: int) -> None:
        """Raise where the marked rows are not those of the first pass."""
        seen, weighted = marks_before(start), self.survey.sample_weight is not None and self.sample_weight is None
        if (given.sample_weight is not None) != weighted:
            raise self._error("gives weights in some passes only: it must give the same in each pass", start)
        for n, mark in enumerate(marks_of(given, start), seen):
            if mark != self.survey.marks[n]:
                raise self._error("gives other rows than in the first pass, or in another order, or with other weights: it must give the "
                                  "same in each pass", n * MARKED)

    def _check_state(self) -> None:
        if state_of(self.source) != self.survey.state:
            raise SourceError(self.source.name, "has changed since the first pass, in its size or its time of change")

    def block(self, piece: _Drawn) -> Block:
        """Return the block of a piece in the form that the compiled loops read."""
        index, start, given = piece
        stop = start + len(given.rows)
        self._check_unchanged(given, start)
        weights = given.sample_weight if self.sample_weight is None else self.sample_weight[start:stop]
        checked(self.source, given.rows, weights, start, self._block_of)
        labels = self._labels_of(given, start, stop)
        if self.shares is not None:
            self.shares[index] = self._responsibilities_of(given, start)
        rows = given.rows if is_readable(given.rows, self.dtype) else np.require(given.rows, self.dtype, ["C", "A"])
        scaled = None if weights is None else np.ldexp(np.asarray(weights, dtype=np.float64), -_exponent(self.scale))
        return Block(Rows(rows), scaled, labels, index, start)

    def _block_of(self, row: int) -> int:
        """The number of the source's block that has a row."""
        return bisect.bisect_right(self.survey.starts, row) - 1

    def _error(self, what: str, row: int) -> SourceError:
        return SourceError(self.source.name, what, self._block_of(row), row)

    def _labels_of(self, given: RowBlock, start: int, stop: int) -> NDArray[np.int32] | None:
        if not self.takes_labels:
            return None if self.labels is None else self.labels[start:stop]
        if given.labels is None:
            raise self._error("has no labels, which init_params='labels' begins with", start)
        labels = np.asarray(given.labels)
        bad = ~((labels >= 0) & (labels < self.n_components) & (labels == np.floor(labels)))
        if bad.any():
            row = int(np.argmax(bad))
            raise self._error(f"the label is {labels[row]:g}; labels must be whole numbers from 0 to {self.n_components - 1}", start + row)
        return labels.astype(np.int32)

    def _responsibilities_of(self, given: RowBlock, start: int) -> NDArray[np.float64]:
        if given.responsibilities is None:
            raise self._error("has no responsibilities, which init_params='responsibilities' begins with", start)
        shares = np.asarray(given.responsibilities, dtype=np.float64)
        if shares.shape != (len(given.rows), self.n_components):
            raise self._error(f"has {shares.shape[1]} responsibilities a row, not {self.n_components}", start)
        with np.errstate(invalid="ignore", over="ignore"):
            bad = ~((shares >= 0).all(axis=1) & (np.abs(shares.sum(axis=1) - 1) <= 1e-6))
        if bad.any():
            raise self._error("the responsibilities of the row are negative or do not sum to one", start + int(np.argmax(bad)))
        return shares


class _Pass:
    """The blocks of one pass. Their number is known before they are read."""

    def __init__(self, rows: SourceRows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows.bounds)

    def __iter__(self) -> Generator[_Drawn]:
        return self.rows.drawn()


def _exponent(scale: float) -> int:
    """The exponent of a power of two."""
    return int(np.frexp(scale)[1]) - 1


def regrouped(blocks: Iterator[RowBlock], sizes: Iterator[int]) -> Generator[RowBlock]:
    """Yield the same rows in blocks of these sizes, of which the last may be smaller."""
    kept, have, size = list[RowBlock](), 0, next(sizes)
    for block in blocks:
        offset = 0
        while size and have + len(block.rows) - offset >= size:
            taken = size - have
            yield _joined([*kept, _part(block, offset, offset + taken)])
            kept, have, offset, size = [], 0, offset + taken, next(sizes, 0)
        if offset < len(block.rows):
            kept.append(_part(block, offset, len(block.rows)))
            have += len(block.rows) - offset
    if kept:
        yield _joined(kept)


def recut(blocks: Iterator[RowBlock], bounds: list[tuple[int, int]], name: str) -> Generator[RowBlock]:
    """
    Yield the same rows in other blocks.

    Parameters
    ----------
    blocks : iterator of RowBlock
    bounds : list of (int, int)
        Where the blocks are to begin and end.
    name : str
        What the error calls the source.

    Raises
    ------
    SourceError
        Where there are fewer or more rows.
    """
    total = bounds[-1][1]

    def counted() -> Iterator[RowBlock]:
        given = 0
        for block in blocks:
            given += len(block.rows)
            if given > total:
                raise SourceError(name, f"gives more rows in this pass than the {total:,} of the first")
            yield block
        if given < total:
            raise SourceError(name, f"gives {given:,} rows in this pass, but gave {total:,} in the first", None, given)

    return regrouped(counted(), (stop - start for start, stop in bounds))


def _part(block: RowBlock, start: int, stop: int) -> RowBlock:
    if start == 0 and stop == len(block.rows):
        return block
    return RowBlock(block.rows[start:stop], *(None if one is None else np.asarray(one)[start:stop] for one in (
        block.sample_weight, block.labels, block.responsibilities)))


def _joined(parts: list[RowBlock]) -> RowBlock:
    if len(parts) == 1:
        return parts[0]
    return RowBlock(*(None if getattr(parts[0], name) is None else np.concatenate([getattr(part, name) for part in parts])
                      for name in ("rows", "sample_weight", "labels", "responsibilities")))

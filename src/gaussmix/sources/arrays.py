"""Sources that are arrays: memory maps, `.npy` files, and what has a shape and slices, such as datasets of HDF5 and zarr."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BufferedReader
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gaussmix.sources.source import Source, SourceError
from gaussmix.tables import Choice, chosen_columns, every_column

__all__ = ["NpyFiles", "Sliced", "file_state"]

ROWS_AT_ONCE = 2**16
BYTES_AT_ONCE = 2**25


def file_state(paths: list[str]) -> object:
    """Return the sizes and times of change of files."""
    states = [os.stat(path) for path in paths]
    return [(state.st_size, state.st_mtime_ns, state.st_ino) for state in states]


def rows_at_once(row_bytes: int) -> int:
    """Return how many rows to read in one piece."""
    return max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(row_bytes, 1)))


class Sliced(Source):
    """
    What is two-dimensional, with a shape and slices of rows that NumPy can read.

    Parameters
    ----------
    array : object
        A memory map is read in place.
    """

    gives_new_memory = True

    def __init__(self, array: Any) -> None:
        self.array = array
        path = getattr(array, "filename", None) if isinstance(array, np.memmap) else None
        self.path = None if path is None else os.fspath(path)
        self.name = self.path or getattr(array, "name", None) or type(array).__name__
        if len(array.shape) != 2:
            raise ValueError(f"Expected 2D array for {self.name}, got {len(array.shape)}D array of shape {tuple(array.shape)} instead: one "
                             "row a sample, one column a feature")
        self.n_rows, self.n_features = map(int, array.shape)

    def blocks(self) -> Iterator[NDArray[Any]]:
        if isinstance(self.array, np.ndarray):
            yield self.array
            return
        assert self.n_rows is not None
        step = rows_at_once(self.n_features * np.dtype(self.array.dtype).itemsize)
        chunks = getattr(self.array, "chunks", None)
        if chunks:  # whole chunks, each of which is then decoded once
            step = -(-step // int(chunks[0])) * int(chunks[0])
        for start in range(0, self.n_rows, step):
            yield np.asarray(self.array[start:min(start + step, self.n_rows)])

    def state(self) -> object:
        return None if self.path is None else file_state([self.path])


class NpyFiles(Source):
    """
    `.npy` files, one after the other.

    They are read, not mapped, so that a file that another program shortens is an error and not the end of the process.

    Parameters
    ----------
    paths : list of str
    choose : Choice, optional
        Chooses the columns; by default all.
    """

    gives_new_memory = True

    def __init__(self, paths: list[str], choose: Choice = every_column) -> None:
        self.paths = paths
        self.name = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        shapes = [self._header(path)[0] for path in paths]
        self.n_rows, self.n_features = sum(rows for rows, _ in shapes), shapes[0][1]
        for path, (_, width) in zip(paths, shapes):
            if width != self.n_features:
                raise SourceError(path, f"has {width} columns, but {paths[0]} has {self.n_features}")
        self.positions = chosen_columns(self.name, None, self.n_features, choose)
        self.takes_all = self.positions == list(range(self.n_features))
        self.n_features = len(self.positions)

    @staticmethod
    def _header(path: str, file: IO[bytes] | None = None) -> tuple[tuple[int, int], bool, np.dtype[Any]]:
        """Read the header of a file: its shape, whether it is stored by columns, and its type."""
        if file is None:
            with open(path, "rb") as opened:
                return NpyFiles._header(path, opened)
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(file)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a damaged header can raise nearly anything
            raise SourceError(path, f"is not a .npy file of numbers, or is damaged: {str(error).splitlines()[0]}") from None
        if dtype.kind not in "fiub":
            raise SourceError(path, f"must hold real numbers, not {dtype}")
        if len(shape) == 1:
            shape = (*shape, 1)
        if len(shape) != 2:
            raise SourceError(path, f"must hold an array of shape (rows, columns), not {shape}")
        return (int(shape[0]), int(shape[1])), bool(by_columns), dtype

    def blocks(self) -> Iterator[NDArray[Any]]:
        for block in self._whole_blocks():
            yield block if self.takes_all else block[:, self.positions]

    def _whole_blocks(self) -> Iterator[NDArray[Any]]:
        before, number = 0, 0
        for path in self.paths:
            with open(path, "rb") as file:
                (n_rows, width), by_columns, dtype = self._header(path, file)
                step, begin = rows_at_once(width * dtype.itemsize), file.tell()
                for start in range(0, n_rows, step):
                    stop = min(start + step, n_rows)
                    if by_columns and width > 1:
                        block = np.empty((width, stop - start), dtype)
                        for column in range(width):
                            file.seek(begin + (column * n_rows + start) * dtype.itemsize)
                            self._fill(block[column], file, path, number, before + start)
                        yield block.T
                    else:
                        block = np.empty((stop - start, width), dtype)
                        self._fill(block, file, path, number, before + start)
                        yield block
                    number += 1
            before += n_rows

    @staticmethod
    def _fill(block: NDArray[Any], file: BufferedReader, path: str, number: int, first: int) -> None:
        """Read numbers that stand next to each other."""
        found = file.readinto(block.data.cast("B")) if block.size else 0
        if found < block.nbytes:
            raise SourceError(path, "the file ends here", number, first + found // max(block[:1].nbytes, 1))

    def state(self) -> object:
        return file_state(self.paths)

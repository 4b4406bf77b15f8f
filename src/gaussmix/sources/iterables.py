"""Sources that are objects which can be iterated anew, such as the loaders of other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from numpy.typing import NDArray

from gaussmix.observations import as_table
from gaussmix.sources.source import RowBlock, Source, SourceError

__all__ = ["Iterated", "is_iterable_of_blocks"]

ARRAYS = ("__array__", "__array_interface__", "__array_namespace__", "__dlpack__", "__dataframe__", "__getitem__", "shape")


def is_iterable_of_blocks(X: object) -> bool:
    """Whether an object can be iterated and is neither a sequence, a mapping, a set nor an array."""
    return (isinstance(X, Iterable) and not isinstance(X, (Sequence, Mapping, Set, str, bytes))
            and not any(hasattr(X, name) for name in ARRAYS))


class Iterated(Source):
    """
    What gives arrays of rows, the same ones each time when it is iterated.

    Parameters
    ----------
    iterable : iterable of array_like or RowBlock

    Raises
    ------
    TypeError
        Where it can be iterated only once.
    """

    def __init__(self, iterable: Iterable[Any]) -> None:
        self.iterable, self.name = iterable, type(iterable).__name__
        iterator = iter(iterable)
        if iterator is iterable:
            raise TypeError(f"X is a one-shot iterator ({self.name}), but EM needs all rows anew in each pass: pass an object whose "
                            "__iter__ begins anew (docs/guide/out-of-core.md), or give its blocks to partial_fit one after the other")
        first = next(iterator, None)
        close = getattr(iterator, "close", None)
        if callable(close):
            close()
        if first is None:
            raise SourceError(self.name, "gives no blocks")
        rows, self.columns = as_table(first.rows if isinstance(first, RowBlock) else first, name="block 0 of X")
        self.n_features = rows.shape[1]

    def blocks(self) -> Iterator[NDArray[Any] | RowBlock]:
        return iter(self.iterable)

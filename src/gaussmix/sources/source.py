"""A source of rows, what its blocks hold, and the error that says where one failed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from gaussmix._core.parameters import Parameters
    from gaussmix.mixture import Mixture

__all__ = ["RowBlock", "RowsLike", "Source", "SourceError"]


# What `GaussianMixture.fit` and its like take as X: a table in memory, or what `open_source` opens.
RowsLike: TypeAlias = "ArrayLike | Source | os.PathLike[str] | Iterable[Any]"


class SourceError(ValueError):
    """
    A source could not give its rows, or gave other rows than before.

    Attributes
    ----------
    source : str
        The name of the source.
    block : int or None
        The number of its block, from 0.
    row : int or None
        The number of the row in the whole source, from 0.
    mixture : Mixture or None
        What the last whole iteration of a fit had found, where there was one. `GaussianMixture` goes on from it when it is given as
        `weights_init`, `means_init` and `precisions_init`.
    n_iter : int
        How many E steps that fit had made.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture
    >>> from gaussmix.sources import Source, SourceError
    >>> class Broken(Source):
    ...     name, n_features = "broken", 1
    ...     def blocks(self):
    ...         yield np.zeros((3, 1))
    ...         yield np.array([[1.0], [np.nan]])
    >>> try:
    ...     GaussianMixture().fit(Broken())
    ... except SourceError as error:
    ...     print(error)
    broken: block 1, row 4: column 0 holds NaN; all values must be finite
    """

    def __init__(self, source: str, what: str, block: int | None = None, row: int | None = None) -> None:
        where = ", ".join(f"{name} {number:,}" for name, number in (("block", block), ("row", row)) if number is not None)
        super().__init__(f"{source}: {where}: {what}" if where else f"{source}: {what}")
        self.source, self.what, self.block, self.row = source, what, block, row
        self.mixture: Mixture | None = None
        self.n_iter = 0
        self.parameters: Parameters | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return SourceError, (self.source, self.what, self.block, self.row), {"mixture": self.mixture, "n_iter": self.n_iter}


@dataclass(frozen=True)
class RowBlock:
    """
    Rows with what is known of each of them. A source whose blocks are rows only may give plain arrays instead.

    Attributes
    ----------
    rows : array_like, shape (n, D)
    sample_weight : array_like, shape (n,), optional
    labels : array_like of int, shape (n,), optional
        The component that each row begins with, under init_params="labels".
    responsibilities : array_like, shape (n, K), optional
        Those that EM begins with, under init_params="responsibilities".

    Examples
    --------
    >>> RowBlock([[1.0], [2.0]], sample_weight=[1, 3]).sample_weight
    [1, 3]
    """

    rows: Any
    sample_weight: Any = None
    labels: Any = None
    responsibilities: Any = None


class Source:
    """
    Rows that are asked for a block at a time, all of them anew in every pass over the data.

    A subclass sets `n_features` and defines `blocks`; the other attributes have defaults.

    Attributes
    ----------
    n_features : int
        D, the width of every block.
    name : str
        What errors call the source.
    n_rows : int or None
        N, where it is known before the rows are read.
    columns : list of str or None
        The names of the features.
    gives_new_memory : bool
        Whether every block has memory of its own, which nothing changes later. Where it may not, as by default, each block is copied.

    Examples
    --------
    A source that makes its rows when they are asked for:

    >>> import numpy as np
    >>> from gaussmix import GaussianMixture
    >>> from gaussmix.sources import Source
    >>> class Simulated(Source):
    ...     name, n_features = "simulation", 2
    ...     def blocks(self):
    ...         for seed in range(20):
    ...             rng = np.random.default_rng(seed)
    ...             yield rng.normal(size=(500, 2)) + rng.choice([0.0, 9.0], size=(500, 1))
    >>> gm = GaussianMixture(2, random_state=0).fit(Simulated())
    >>> np.sort(gm.means_[:, 0]).round(1) + 0.0
    array([0., 9.])
    """

    n_features: int
    name: str = "the source"
    n_rows: int | None = None
    columns: list[str] | None = None
    gives_new_memory: bool = False

    def blocks(self) -> Iterator[NDArray[Any] | RowBlock]:
        """
        Return an iterator over all rows, in the same order on each call.

        Yields
        ------
        array_like, shape (n, D), or RowBlock
            Blocks may have different numbers of rows; a few tens of thousands are a good number.
        """
        raise NotImplementedError(f"{type(self).__name__} must define blocks(), which returns an iterator over arrays of rows")

    def state(self) -> object:
        """Return a value that changes where the rows may have changed, such as the times of change of files."""
        return None

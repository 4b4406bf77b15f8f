"""Write a picture to a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from gaussmix.mixture import Mixture
from gaussmix.outputs import whole_file
from gaussmix.plotting.matrix import draw_pairs, draw_panel, pair_features
from gaussmix.plotting.style import size_for
from gaussmix.plotting.subject import Subject

__all__ = ["figure_of", "write"]

SIZE = 8, 6  # inches
DOTS = 150  # per inch
UNDATED: dict[str, dict[str, Any]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def write(path: str | os.PathLike[str], mixture: Mixture, X: NDArray[Any] | None, names: Sequence[str]) -> None:
    """
    Write the picture of a mixture that `plot` draws to a file. This needs neither a display nor pyplot.

    Parameters
    ----------
    path : str or path-like
        Its suffix decides the format: .png, .svg or .pdf. The file is written as a whole or not at all.
    mixture : Mixture
    X : ndarray, shape (N, D), or None
        Finite.
    names : sequence of str
        The names of the features.

    Raises
    ------
    OSError
        Where the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from gaussmix import Mixture, plotting
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plotting.write(os.path.join(folder, "m.svg"), Mixture([1.0], [[0.0]], [[[1.0]]]), None, ["x"])
    ...     os.listdir(folder)
    ['m.svg']
    """
    ending = os.path.splitext(os.fspath(path))[1].removeprefix(".").lower()
    figure = figure_of(Subject(mixture, X, list(names)))
    with whole_file(path) as file:
        figure.savefig(file, format=ending, dpi=DOTS, metadata=UNDATED[ending])


def figure_of(subject: Subject) -> Figure:
    """Draw the picture that suits a mixture in a new figure."""
    if subject.mixture.n_features <= 2:
        figure = Figure(SIZE, layout="constrained")
        draw_panel(figure.add_subplot(), subject)
        return figure
    features = pair_features(subject)
    figure = Figure(size_for(len(features)), layout="constrained")
    draw_pairs(subject, features, (0.95, 0.8, 0.5), figure)
    return figure

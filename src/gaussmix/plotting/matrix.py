"""A matrix of panels for many features, and the choice of a picture that suits a mixture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike, NDArray

from gaussmix.mixture import Mixture
from gaussmix.plotting.curves import SMALLEST_WITH_NUMBERS, curves_key, draw_marginal
from gaussmix.plotting.levels import checked_shares
from gaussmix.plotting.planes import draw_classification, draw_contours, draw_density, draw_ellipses
from gaussmix.plotting.style import (PART, axes_or_new, figure_key, figure_or_new, key, name_axes, number_fontsize, panel_fontsize,
                                     rows_key, small_panel)
from gaussmix.plotting.subject import Subject, features_of, marginal, separating, subject_of

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["draw_pairs", "draw_panel", "pair_features", "pairs", "plot"]

MOST_FEATURES = 6
MOST_POINTS_OF_A_PAIR = 5_000  # a panel of a matrix is small
MOST_NUMBERS = 9  # the numbers of more components would hide a small panel


def pairs(model: GaussianMixture | Mixture, X: ArrayLike | None = None, *, features: Iterable[int | str] | None = None,
          levels: Iterable[float] = (0.5, 0.8, 0.95), figure: Figure | SubFigure | None = None) -> NDArray[np.object_]:
    """
    Draw every feature against every other, in a matrix of panels.

    The panels below the diagonal show the rows in the colours of their components, with the ellipses that hold 95 % of each.
    The panels on it show the histogram and the densities of each feature, as in `marginals`. The panels above it show the
    smallest regions that hold given shares of the probability, as in `density`. The component of a row depends on all features,
    also on those that are not shown.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D), optional
        Of more than 5,000 rows, panels draw a random sample of that size, the same each time; the key above the panels says so.
        The histograms count all rows.
    features : sequence of int or str, optional
        Numbers from 0, or names. By default all features or, of more than six, the six that separate the components best. These
        have the largest share of their variance between the components' means.
    levels : sequence of float, default=(0.5, 0.8, 0.95)
        Shares of the probability, for the panels above the diagonal.
    figure : Figure or SubFigure, optional
        The figure to draw in; by default a new pyplot figure.

    Returns
    -------
    ndarray of Axes, shape (n, n)
        For n features.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture, plotting
    >>> X = np.random.default_rng(0).normal(size=(300, 3)) + np.repeat([[0], [4], [9]], 100, axis=0)
    >>> axes = plotting.pairs(GaussianMixture(3, random_state=0).fit(X), X)
    >>> axes.shape, axes[2, 1].get_xlabel(), axes[2, 0].get_ylabel()
    ((3, 3), 'x1', 'x2')
    """
    subject, shares = subject_of(model, X), checked_shares(levels)
    chosen = pair_features(subject) if features is None else features_of(subject, features)
    return draw_pairs(subject, chosen, shares, figure_or_new(figure, len(chosen)))


def pair_features(subject: Subject) -> tuple[int, ...]:
    """Return the features that a matrix shows, unless the user asks for others."""
    return separating(subject.mixture, MOST_FEATURES)


def draw_pairs(subject: Subject, features: Sequence[int], shares: Sequence[float], figure: Figure | SubFigure) -> NDArray[np.object_]:
    """Draw what `pairs` draws, in a given figure."""
    n = len(features)
    axes, fontsize = _grid_of_axes(figure, n), panel_fontsize(figure, n)
    numbers = 0.9 * fontsize if subject.mixture.n_components <= MOST_NUMBERS and fontsize >= SMALLEST_WITH_NUMBERS else None
    for i, row in enumerate(axes):
        for j, ax in enumerate(row):
            plane = features[j], features[i]
            if i == j:
                draw_marginal(ax, subject, features[i], None)
            elif i < j:
                draw_contours(ax, marginal(subject.mixture, plane), shares, fill=True)
            elif subject.rows is None:
                draw_ellipses(ax, marginal(subject.mixture, plane), [0.95], numbers)
            else:
                draw_classification(ax, subject, plane, [0.95], numbers, MOST_POINTS_OF_A_PAIR)
            small_panel(ax, fontsize)
            _name_outside(ax, subject.names[plane[0]] if i == n - 1 else None, subject.names[plane[1]] if j == 0 else None)
            if i == j:
                ax.yaxis.set_ticks([])
    if subject.rows is not None and len(subject.rows) > MOST_POINTS_OF_A_PAIR:
        figure_key(figure, [rows_key(MOST_POINTS_OF_A_PAIR, len(subject.rows))], fontsize)
    return axes


def _grid_of_axes(figure: Figure | SubFigure, n: int) -> NDArray[np.object_]:
    """Make panels that share x in each column, and y in each row. Only on the diagonal y is not shared, as it is a density."""
    axes = np.empty((n, n), dtype=object)
    for i in range(n):
        for j in range(n):
            first: Any = axes[i, 0 if i > 0 else min(1, n - 1)]
            axes[i, j] = figure.add_subplot(n, n, i * n + j + 1, sharex=axes[0, j], sharey=None if i == j else first)
    return axes


def _name_outside(ax: Axes, x: str | None, y: str | None) -> None:
    """Write names and numbers only at the left and at the bottom of the matrix."""
    name_axes(ax, x, y, part=PART)
    ax.tick_params(labelbottom=x is not None, labelleft=y is not None)
    ax.xaxis.get_offset_text().set_visible(x is not None)
    ax.yaxis.get_offset_text().set_visible(y is not None)


def plot(model: GaussianMixture | Mixture, X: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes | NDArray[np.object_]:
    """
    Draw the picture that suits a mixture.

    One feature is shown as by `marginals`. Two features are shown as by `classification` or, without rows, by ellipses and
    density. More features are shown as by `pairs`: all of them or, of more than six, the six that separate the components best.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D), optional
        Rows to show too.
    ax : Axes, optional
        The axes to draw in. Of more than two features, they show the two that separate the components best. By default a new
        pyplot figure is made.

    Returns
    -------
    Axes, or ndarray of Axes
        An array where there are several panels.

    Examples
    --------
    >>> from gaussmix import Mixture, plotting
    >>> m = Mixture([0.4, 0.6], [[0.0, 0.0], [4.0, 1.0]], [[1.0, 2.0], [1.0, 1.0]], "diag")
    >>> plotting.plot(m).get_ylabel()
    'x1'
    """
    subject = subject_of(model, X)
    if ax is None and subject.mixture.n_features > 2:
        chosen = pair_features(subject)
        return draw_pairs(subject, chosen, (0.95, 0.8, 0.5), figure_or_new(None, len(chosen)))
    ax = axes_or_new(ax)
    draw_panel(ax, subject)
    return ax


def draw_panel(ax: Axes, subject: Subject) -> None:
    """Draw a single panel that suits a mixture."""
    if subject.mixture.n_features == 1:
        draw_marginal(ax, subject, 0, number_fontsize(ax, subject.mixture.n_components))
        name_axes(ax, subject.names[0], "density")
        key(ax, curves_key(subject))
        return
    plane = separating(subject.mixture, 2)
    if subject.rows is None:
        handles = draw_density(ax, subject, plane, (0.95, 0.8, 0.5))
        draw_ellipses(ax, marginal(subject.mixture, plane), [0.95], number_fontsize(ax, subject.mixture.n_components), fill=0)
        handles[0].set_label(f"densest {handles[0].get_label()}")
    else:
        handles = draw_classification(ax, subject, plane, (0.95, 0.5), number_fontsize(ax, subject.mixture.n_components))
    name_axes(ax, *(subject.names[d] for d in plane))
    key(ax, handles)

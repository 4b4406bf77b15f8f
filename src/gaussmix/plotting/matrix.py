"""Many features: a matrix of panels; and the picture that suits a mixture."""

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
    Every feature against every other, in a matrix of panels.

    Below the diagonal stand the rows in the colours of their components, with the ellipses that hold 95 % of each; on it each
    feature's histogram and densities, as in `marginals`; above it the smallest regions that hold given shares of the
    probability, as in `density`. All features decide a row's component, also those that are not shown.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator is fitted.
    X : array_like or DataFrame, shape (N, D), optional
        A panel draws 5,000 rows at most, a sample that is the same each time; the key above says so. The histograms count all.
    features : sequence of int or str, optional
        Numbers from 0, or names. By default all or, of more than six, the six that separate the components best: those of whose
        variance the largest share lies between the components' means.
    levels : sequence of float, default=(0.5, 0.8, 0.95)
        Shares of the probability above the diagonal.
    figure : Figure or SubFigure, optional
        What to draw in; by default a new figure of pyplot's.

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
    """The features that a matrix shows unless others are asked for."""
    return separating(subject.mixture, MOST_FEATURES)


def draw_pairs(subject: Subject, features: Sequence[int], shares: Sequence[float], figure: Figure | SubFigure) -> NDArray[np.object_]:
    """What `pairs` draws."""
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
    """Panels of which a column shares x and a row shares y, but for the diagonal, where y is a density."""
    axes = np.empty((n, n), dtype=object)
    for i in range(n):
        for j in range(n):
            first: Any = axes[i, 0 if i > 0 else min(1, n - 1)]
            axes[i, j] = figure.add_subplot(n, n, i * n + j + 1, sharex=axes[0, j], sharey=None if i == j else first)
    return axes


def _name_outside(ax: Axes, x: str | None, y: str | None) -> None:
    """Names and numbers at the left and at the foot of the matrix only."""
    name_axes(ax, x, y, part=PART)
    ax.tick_params(labelbottom=x is not None, labelleft=y is not None)
    ax.xaxis.get_offset_text().set_visible(x is not None)
    ax.yaxis.get_offset_text().set_visible(y is not None)


def plot(model: GaussianMixture | Mixture, X: ArrayLike | None = None, *, ax: Axes | None = None) -> Axes | NDArray[np.object_]:
    """
    The picture that suits a mixture.

    One feature is shown as by `marginals`, two as by `classification` (without rows by ellipses and density), more as by `pairs`:
    all of them, or of more than six those six that separate the components best.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator is fitted.
    X : array_like or DataFrame, shape (N, D), optional
        Rows to show too.
    ax : Axes, optional
        What to draw in; of more than two features, the two that separate the components best. By default a new figure of
        pyplot's.

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
    """One panel that suits a mixture."""
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

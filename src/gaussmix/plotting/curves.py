"""Pictures of one feature: histograms, and densities as curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from gaussmix.mixture import Mixture
from gaussmix.plotting.labels import Labels
from gaussmix.plotting.levels import density_levels, line_of, radius
from gaussmix.plotting.style import (BLUE, GREY, INK, MOST_VECTORS, PART, colours_of, figure_key, figure_or_new, name_axes,
                                     panel_fontsize, rows_key, size_of, small_panel, thickness)
from gaussmix.plotting.subject import Subject, features_of, marginal, separating, subject_of

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["SMALLEST_WITH_NUMBERS", "curves_key", "draw_components", "draw_density_curve", "draw_histogram", "draw_marginal",
           "draw_marginals", "draw_rug", "line_for", "marginals", "stand_on_zero"]

MOST_BINS = 60
MOST_PANELS = 12
SHADE, BARS = 0.25, "#d9d9d9"
SMALLEST_WITH_NUMBERS = 6.5  # font size; in a panel with smaller letters numbers would hide the curves


def line_for(mixture: Mixture, values: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return where to draw the curves of a mixture of one feature: over all values, and over most of each component."""
    half = 3.5 * np.sqrt(mixture.covariances[:, 0, 0])
    alive = mixture.weights > 0
    low, high = (mixture.means[:, 0] - half)[alive].min(), (mixture.means[:, 0] + half)[alive].max()
    if values is not None:
        low, high = min(low, values.min()), max(high, values.max())
    return line_of(mixture, 0, low, high, even=401)


def draw_histogram(ax: Axes, values: NDArray[np.float64], *, fill: bool = True) -> None:
    """
    Draw a histogram of all values, as a density.

    The number of bins is that of Freedman and Diaconis' rule, or that of Rice's rule if it is larger. Where values lie in several
    separate groups, the first gives too few bins, as the quartiles say little. There are never more bins than a panel can show.
    """
    spread = np.subtract(*np.percentile(values, [75, 25]))
    width = 2 * spread / np.cbrt(len(values))
    bins = np.ptp(values) / width if width > 0 else MOST_BINS
    heights, edges = np.histogram(values, int(np.ceil(min(max(bins, 2 * np.cbrt(len(values))), MOST_BINS))), density=True)
    ax.stairs(heights, edges, fill=fill, color=BARS if fill else GREY, zorder=0.5)


def draw_rug(ax: Axes, values: NDArray[np.float64], colours: Any) -> None:
    """Draw a stroke for each value, along the bottom of the panel."""
    ax.scatter(values, np.full(len(values), 0.035), marker="|", s=(0.05 * size_of(ax)[1]) ** 2, c=colours, linewidths=0.6, zorder=3,
               alpha=float(np.clip(200 / len(values), 0.1, 0.8)), transform=ax.get_xaxis_transform(),
               rasterized=len(values) > MOST_VECTORS)


def draw_components(ax: Axes, mixture: Mixture, x: NDArray[np.float64], fontsize: float | None, shares: Sequence[float] = ()) -> None:
    """Draw the weighted density of each component with its number, shaded over the given shares of the component's rows."""
    joint = np.exp(mixture.log_joint(x[:, None]))
    for k, colour in enumerate(colours_of(mixture.n_components)):
        ax.plot(x, joint[:, k], color=colour, linewidth=1.1 * thickness(ax), zorder=2)
        for share in shares:
            away = np.abs(x - mixture.means[k, 0]) <= radius(share, 1) * np.sqrt(mixture.covariances[k, 0, 0])
            ax.fill_between(x, joint[:, k], where=away.tolist(), color=colour, alpha=0.25, linewidth=0, zorder=1)
    if fontsize is not None:
        some = np.argsort(-mixture.weights, kind="stable")
        peaks = np.exp(mixture.log_joint(mixture.means))[np.arange(mixture.n_components), np.arange(mixture.n_components)]
        Labels(ax, np.column_stack([mixture.means[:, 0], peaks])[some], [str(k) for k in some], fontsize, above=True)


def draw_mixture(ax: Axes, mixture: Mixture, x: NDArray[np.float64]) -> None:
    """Draw the density of the mixture."""
    ax.plot(x, mixture.pdf(x[:, None]), color=INK, linewidth=2.2 * thickness(ax), zorder=1.8)


def stand_on_zero(ax: Axes, fontsize: float | None = None) -> None:
    """Let y begin at 0, as no density is negative, and leave room for numbers above the peaks."""
    ax.autoscale_view()
    if ax.get_autoscaley_on():
        room = 0.05 if fontsize is None else 0.05 + 1.6 * fontsize / size_of(ax)[1]
        ax.set_ylim(0, (1 + room) * ax.dataLim.y1, auto=True)


def draw_density_curve(ax: Axes, subject: Subject, feature: int, shares: Sequence[float]) -> list[Artist]:
    """Draw the mixture's density over a histogram, shaded where it is highest; return the entries of the key."""
    mixture, values = marginal(subject.mixture, [feature]), subject.column(feature)
    x = line_for(mixture, values)
    if values is not None:
        draw_histogram(ax, values, fill=False)
    p = mixture.pdf(x[:, None])
    for level in density_levels(mixture, shares):
        ax.fill_between(x, p, where=(p >= np.exp(level)).tolist(), color=BLUE, alpha=SHADE, linewidth=0, zorder=1)
    draw_mixture(ax, mixture, x)
    stand_on_zero(ax)
    name_axes(ax, subject.names[feature], "density")
    handles: list[Artist] = [Patch(facecolor=BLUE, alpha=1 - (1 - SHADE) ** (i + 1), label=f"{100 * share:g} %")
                             for i, share in enumerate(shares)]  # the shades lie upon each other
    return handles[::-1]


def draw_marginal(ax: Axes, subject: Subject, feature: int, fontsize: float | None) -> None:
    """Draw a histogram with the densities of the mixture and of its weighted components."""
    mixture, values = marginal(subject.mixture, [feature]), subject.column(feature)
    x = line_for(mixture, values)
    if values is not None:
        draw_histogram(ax, values)
    draw_mixture(ax, mixture, x)
    draw_components(ax, mixture, x, fontsize)
    stand_on_zero(ax, fontsize)


def curves_key(subject: Subject) -> list[Artist]:
    """Return the entries of the key for a histogram with curves."""
    handles: list[Artist] = [Line2D([], [], color=INK, linewidth=2.2, label="mixture"),
                             Line2D([], [], color=BLUE, linewidth=1.1, label="components")]
    if subject.rows is not None:
        handles.append(Patch(facecolor=BARS, label=rows_key(len(subject.rows), len(subject.rows)).get_label()))
    return handles


def marginals(model: GaussianMixture | Mixture, X: ArrayLike | None = None, *, features: Iterable[int | str] | None = None,
              figure: Figure | SubFigure | None = None) -> NDArray[np.object_]:
    """
    Draw a panel for each feature, with a histogram of the rows and the densities of the mixture and of its components.

    The density of the mixture is black; those of the components are multiplied by their weights. The curves are exact, as the
    marginal of a Gaussian mixture is the mixture of the components' marginals.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D), optional
        The histograms count all rows. Without X only curves are drawn.
    features : sequence of int or str, optional
        Numbers from 0, or names. By default all features or, of more than twelve, the twelve that separate the components best.
        These have the largest share of their variance between the components' means.
    figure : Figure or SubFigure, optional
        The figure to draw in; by default a new pyplot figure. `density` draws one feature in given axes.

    Returns
    -------
    ndarray of Axes
        One for each feature.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture, plotting
    >>> X = np.random.default_rng(0).normal(size=(300, 3)) + np.repeat([[0], [4], [9]], 100, axis=0)
    >>> axes = plotting.marginals(GaussianMixture(3, random_state=0).fit(X), X)
    >>> [ax.get_xlabel() for ax in axes]
    ['x0', 'x1', 'x2']
    """
    subject = subject_of(model, X)
    chosen = separating(subject.mixture, MOST_PANELS) if features is None else features_of(subject, features)
    return draw_marginals(subject, chosen, figure_or_new(figure, side_of(len(chosen))))


def side_of(n_panels: int) -> int:
    """Return how many panels are side by side."""
    return int(np.ceil(np.sqrt(n_panels)))


def draw_marginals(subject: Subject, features: Sequence[int], figure: Figure | SubFigure) -> NDArray[np.object_]:
    """Draw what `marginals` draws, in a given figure."""
    columns = side_of(len(features))
    rows = -(-len(features) // columns)
    fontsize = panel_fontsize(figure, columns)
    numbers = fontsize if fontsize >= SMALLEST_WITH_NUMBERS else None
    panels: list[Axes] = []
    for place, feature in enumerate(features):
        ax = figure.add_subplot(rows, columns, place + 1)
        draw_marginal(ax, subject, feature, numbers)
        small_panel(ax, fontsize)
        name_axes(ax, subject.names[feature], "density" if place % columns == 0 else None, part=PART)
        panels.append(ax)
    figure_key(figure, curves_key(subject), fontsize)
    return np.array(panels, dtype=object)

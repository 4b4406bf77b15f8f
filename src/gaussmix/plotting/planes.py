"""Pictures of two features, with ellipses, contours and points. One feature is shown by curves and strokes instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch
from numpy.typing import ArrayLike, NDArray

from gaussmix.mixture import Mixture
from gaussmix.plotting.curves import draw_components, draw_density_curve, draw_histogram, draw_rug, line_for, stand_on_zero
from gaussmix.plotting.labels import Labels
from gaussmix.plotting.levels import bounds_of, checked_shares, density_levels, line_of, radii, radius
from gaussmix.plotting.style import (GREY, INK, MOST_POINTS, MOST_VECTORS, RED, axes_or_new, colours_of, key, markers_of, name_axes,
                                     number_fontsize, rows_key, size_of_points, thickness)
from gaussmix.plotting.subject import Subject, marginal, plane_of, subject_of, thinned

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture

__all__ = ["classification", "density", "draw_classification", "draw_contours", "draw_density", "draw_ellipses", "ellipses",
           "uncertainty"]

MOST_DOTS = 5_000  # where there are more rows, a plain panel shows how many lie in each hexagon


# Parts of a panel.

def draw_ellipses(ax: Axes, mixture: Mixture, shares: Sequence[float], fontsize: float | None, *, fill: float = 0.1) -> None:
    """Draw ellipses that hold given shares of each component's rows. The larger a component's weight, the thicker its lines."""
    some = np.argsort(-mixture.weights, kind="stable")
    heaviest = mixture.weights.max()
    values, vectors = np.linalg.eigh(mixture.covariances)
    colours = colours_of(mixture.n_components)
    for k in some:
        angle = float(np.degrees(np.arctan2(vectors[k, 1, 1], vectors[k, 0, 1])))
        for share in shares:
            height, width = 2 * radius(share, 2) * np.sqrt(np.maximum(values[k], 0))
            ax.add_patch(Ellipse(tuple(mixture.means[k]), width, height, angle=angle, facecolor=to_rgba(colours[k], fill),
                                 edgecolor=colours[k], linewidth=(0.7 + 1.3 * mixture.weights[k] / heaviest) * thickness(ax), zorder=3))
    if fontsize is not None:
        Labels(ax, mixture.means[some], [str(k) for k in some], fontsize)
    ax.autoscale_view()


def draw_dots(ax: Axes, points: NDArray[np.float64]) -> None:
    """Draw rows as plain dots."""
    ax.scatter(points[:, 0], points[:, 1], s=0.5 * size_of_points(len(points), ax), color=GREY, linewidths=0, zorder=2,
               rasterized=len(points) > MOST_VECTORS)


def draw_points(ax: Axes, points: NDArray[np.float64], labels: NDArray[np.intp], n_components: int) -> None:
    """Draw rows in the colour and with the marker of their component."""
    size = size_of_points(len(points), ax)
    opacity = float(np.clip(600 / len(points), 0.35, 0.8))
    for k, (colour, marker) in enumerate(zip(colours_of(n_components), markers_of(n_components))):
        mine = points[labels == k]
        if len(mine):
            ax.scatter(mine[:, 0], mine[:, 1], s=size, color=colour, marker=marker, alpha=opacity, linewidths=0, zorder=2,
                       rasterized=len(points) > MOST_VECTORS)


def draw_contours(ax: Axes, mixture: Mixture, shares: Sequence[float], *, fill: bool) -> list[Artist]:
    """Draw the regions of highest density, filled or as lines; return the entries of the key."""
    levels = density_levels(mixture, shares)
    distances = radii(mixture, levels.min())
    x, y = (_line_to(mixture, feature, distances) for feature in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    log_p = mixture.logpdf(grid).reshape(len(y), len(x))
    shades = matplotlib.colormaps["Blues"](np.linspace(0.25, 0.7, len(shares)))  # shades on which points can be seen
    names = [f"{100 * share:g} %" for share in shares]
    if fill:
        ax.contourf(x, y, log_p, levels=[*levels, max(log_p.max(), levels[-1]) + 1], colors=list(shades), zorder=1)
        handles: list[Artist] = [Patch(facecolor=shade, label=name) for shade, name in zip(shades, names)]
    else:
        widths = np.linspace(1.0, 2.0, len(shares)) * thickness(ax)
        ax.contour(x, y, log_p, levels=levels, colors=[RED], linewidths=widths, linestyles="solid", zorder=3)
        handles = [Line2D([], [], color=RED, linewidth=width, label=name) for width, name in zip(widths, names)]
    ax.autoscale_view()
    return handles[::-1]


def _line_to(mixture: Mixture, feature: int, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one side of a grid, so wide that no contour touches the edge of the panel."""
    low, high = bounds_of(mixture, feature, distances)
    room = 0.04 * (high - low)
    return line_of(mixture, feature, low - room, high + room, distances)


def draw_hexagons(ax: Axes, subject: Subject, plane: Sequence[int]) -> None:
    """Show how many of all rows lie in each hexagon. The shade of a hexagon depends on the logarithm of that number."""
    x, y = (subject.column(feature) for feature in plane)
    greys = ListedColormap(matplotlib.colormaps["Greys"](np.linspace(0.1, 0.7, 256)))  # black would hide the contours
    ax.hexbin(x, y, gridsize=60, bins="log", mincnt=1, cmap=greys, linewidths=0.3, zorder=0.5, rasterized=True)  # type: ignore[arg-type]


def draw_classification(ax: Axes, subject: Subject, plane: Sequence[int], shares: Sequence[float], fontsize: float | None,
                        at_most: int = MOST_POINTS) -> list[Artist]:
    """Draw rows by component, with ellipses; return the entries of the key."""
    assert subject.rows is not None
    rows = thinned(subject.rows, at_most)
    draw_points(ax, rows[:, list(plane)], subject.mixture.classify(rows), subject.mixture.n_components)
    draw_ellipses(ax, marginal(subject.mixture, plane), shares, fontsize)
    return [rows_key(len(rows), len(subject.rows))] if len(rows) < len(subject.rows) else []


def draw_component_curves(ax: Axes, subject: Subject, feature: int, shares: Sequence[float], fontsize: float | None) -> None:
    """Draw the components' densities of one feature over a histogram."""
    mixture, values = marginal(subject.mixture, [feature]), subject.column(feature)
    if values is not None:
        draw_histogram(ax, values)
    draw_components(ax, mixture, line_for(mixture, values), fontsize, shares)
    stand_on_zero(ax, fontsize)
    name_axes(ax, subject.names[feature], "density")


# Functions for users.

def ellipses(model: GaussianMixture | Mixture, X: ArrayLike | None = None, *,
             features: int | str | Iterable[int | str] | None = None, levels: Iterable[float] = (0.5, 0.95),
             ax: Axes | None = None) -> Axes:
    """
    Draw ellipses that hold given shares of each component's rows: by default 50 % and 95 %.

    In two dimensions the ellipse with the Mahalanobis distance √χ²₂(p) holds the share p. The larger the weight of a component,
    the thicker its lines. Its number is written at its mean. One feature is shown by the components' densities times their
    weights, shaded over the given shares.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D), optional
        Rows to show beneath. Of more than 20,000 rows, a random sample of that size is shown, the same each time.
    features : int or str, or two of them, optional
        Numbers from 0, or names; by default the first two. Where the mixture has more features, its marginal is shown.
    levels : sequence of float, default=(0.5, 0.95)
        Shares of a component's rows, between 0 and 1.
    ax : Axes, optional
        The axes to draw in; by default those of a new pyplot figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from gaussmix import Mixture, plotting
    >>> m = Mixture([0.4, 0.6], [[0.0, 0.0], [4.0, 1.0]], [[1.0, 2.0], [1.0, 1.0]], "diag")
    >>> ax = plotting.ellipses(m)
    >>> len(ax.patches), ax.get_xlabel()
    (4, 'x0')
    """
    subject, shares = subject_of(model, X), checked_shares(levels)
    plane, ax = plane_of(subject, features), axes_or_new(ax)
    rows = None if subject.rows is None else thinned(subject.rows, MOST_POINTS)[:, list(plane)]
    if len(plane) == 1:
        draw_component_curves(ax, subject, plane[0], shares, number_fontsize(ax, subject.mixture.n_components))
    else:
        if rows is not None:
            draw_dots(ax, rows)
        draw_ellipses(ax, marginal(subject.mixture, plane), shares, number_fontsize(ax, subject.mixture.n_components))
        name_axes(ax, *(subject.names[d] for d in plane))
        if rows is not None and subject.rows is not None and len(rows) < len(subject.rows):
            key(ax, [rows_key(len(rows), len(subject.rows))])
    return ax


def density(model: GaussianMixture | Mixture, X: ArrayLike | None = None, *,
            features: int | str | Iterable[int | str] | None = None, levels: Iterable[float] = (0.5, 0.8, 0.95),
            ax: Axes | None = None) -> Axes:
    """
    Draw the density by the smallest regions that hold given shares of the probability.

    The density at the edge of a region is estimated from 50,000 rows drawn from the mixture, the same each time. A region holds
    its share to within a few thousandths. With one feature the density is a curve, shaded where the regions are.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D), optional
        Rows to show too. Up to 5,000 rows are shown as points; more are counted in hexagons, whose shade depends on the logarithm
        of the count. With one feature they are shown as a histogram.
    features : int or str, or two of them, optional
        Numbers from 0, or names; by default the first two. Where the mixture has more features, its marginal is shown.
    levels : sequence of float, default=(0.5, 0.8, 0.95)
        Shares of the probability, between 0 and 1.
    ax : Axes, optional
        The axes to draw in; by default those of a new pyplot figure.

    Returns
    -------
    Axes

    References
    ----------
    Hyndman, "Computing and graphing highest density regions", The American Statistician 50 (1996).

    Examples
    --------
    >>> from gaussmix import Mixture, plotting
    >>> m = Mixture([0.4, 0.6], [[0.0, 0.0], [4.0, 1.0]], [[1.0, 2.0], [1.0, 1.0]], "diag")
    >>> ax = plotting.density(m, levels=[0.5, 0.9])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['densest 50 %', '90 %']
    """
    subject, shares = subject_of(model, X), checked_shares(levels)
    plane, ax = plane_of(subject, features), axes_or_new(ax)
    if len(plane) == 1:
        handles = draw_density_curve(ax, subject, plane[0], shares)
    else:
        handles = draw_density(ax, subject, plane, shares)
        name_axes(ax, *(subject.names[d] for d in plane))
    if handles:
        handles[0].set_label(f"densest {handles[0].get_label()}")
    key(ax, handles)
    return ax


def draw_density(ax: Axes, subject: Subject, plane: Sequence[int], shares: Sequence[float]) -> list[Artist]:
    """Draw contours and rows; return the entries of the key."""
    many = subject.rows is not None and len(subject.rows) > MOST_DOTS
    handles = draw_contours(ax, marginal(subject.mixture, plane), shares, fill=not many) if shares else []
    if subject.rows is None:
        return handles
    if many:
        draw_hexagons(ax, subject, plane)
        return handles + [rows_key(len(subject.rows), len(subject.rows), "h")]
    points = np.asarray(subject.rows[:, list(plane)], dtype=np.float64)
    ax.scatter(points[:, 0], points[:, 1], s=0.35 * size_of_points(len(points), ax), color=INK, alpha=0.7, linewidths=0, zorder=2,
               rasterized=len(points) > MOST_VECTORS)
    return handles


def classification(model: GaussianMixture | Mixture, X: ArrayLike, *, features: int | str | Iterable[int | str] | None = None,
                   levels: Iterable[float] = (0.5, 0.95), ax: Axes | None = None) -> Axes:
    """
    Draw rows in the colour and with the marker of their component, and the ellipses of the components.

    The component of a row is the one with the largest responsibility (5). It depends on all features, also on those that the
    panel does not show. The components' numbers are written at their means. One feature is shown by the components' densities
    times their weights, with a stroke for each row below.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D)
        Of more than 20,000 rows, a random sample of that size is drawn, the same each time; the key above the panel says so.
    features : int or str, or two of them, optional
        Numbers from 0, or names; by default the first two.
    levels : sequence of float, default=(0.5, 0.95)
        Shares of a component's rows that the ellipses hold. Where it is empty, no ellipses are drawn.
    ax : Axes, optional
        The axes to draw in; by default those of a new pyplot figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture, plotting
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[0], [5]], 100, axis=0)
    >>> ax = plotting.classification(GaussianMixture(2, random_state=0).fit(X), X)
    >>> sum(len(points.get_offsets()) for points in ax.collections)
    200
    """
    subject, shares = subject_of(model, X, rows_needed=True), checked_shares(levels)
    plane, ax = plane_of(subject, features), axes_or_new(ax)
    if len(plane) == 2:
        handles = draw_classification(ax, subject, plane, shares, number_fontsize(ax, subject.mixture.n_components))
        name_axes(ax, *(subject.names[d] for d in plane))
        key(ax, handles)
        return ax
    draw_component_curves(ax, subject, plane[0], shares, number_fontsize(ax, subject.mixture.n_components))
    assert subject.rows is not None
    rows = thinned(subject.rows, MOST_POINTS)
    colours = np.array([to_rgba(colour) for colour in colours_of(subject.mixture.n_components)])
    draw_rug(ax, rows[:, plane[0]], colours[subject.mixture.classify(rows)])
    stand_on_zero(ax, number_fontsize(ax, subject.mixture.n_components))
    key(ax, [rows_key(len(rows), len(subject.rows), "|")] if len(rows) < len(subject.rows) else [])
    return ax


def uncertainty(model: GaussianMixture | Mixture, X: ArrayLike, *, features: int | str | Iterable[int | str] | None = None,
                ax: Axes | None = None) -> Axes:
    """
    Draw how uncertain the component of each row is: one minus the largest responsibility (5) of the row.

    The more uncertain a row, the larger and darker its point. Where one feature is shown, points show the uncertainty of the
    rows. Where it is the mixture's only feature, a curve shows the uncertainty of all its values.

    Parameters
    ----------
    model : GaussianMixture or Mixture
        An estimator must be fitted.
    X : array_like or DataFrame, shape (N, D)
        Of more than 20,000 rows, a random sample of that size is drawn, the same each time; the key above the panel says so.
    features : int or str, or two of them, optional
        Numbers from 0, or names; by default the first two. The uncertainty of a row depends on all features.
    ax : Axes, optional
        The axes to draw in; by default those of a new pyplot figure. A colour bar takes a part of them.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture, plotting
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[0], [3]], 100, axis=0)
    >>> ax = plotting.uncertainty(GaussianMixture(2, random_state=0).fit(X), X)
    >>> bool(ax.collections[0].get_array().max() <= 0.5)
    True
    """
    subject = subject_of(model, X, rows_needed=True)
    plane, ax = plane_of(subject, features), axes_or_new(ax)
    assert subject.rows is not None
    rows, K = thinned(subject.rows, MOST_POINTS), subject.mixture.n_components
    doubt = 1 - subject.mixture.responsibilities(rows).max(axis=1)
    order = np.argsort(doubt, kind="stable")  # the most uncertain on top
    rows, doubt, most = rows[order], doubt[order], 1 - 1 / K if K > 1 else 1.0
    doubts = ListedColormap(matplotlib.colormaps["cividis"](np.linspace(0.88, 0, 256)))  # its brightest colours would be faint on white paper
    across = rows[:, plane[1]] if len(plane) == 2 else doubt
    points = ax.scatter(rows[:, plane[0]], across, c=doubt, s=size_of_points(len(rows), ax) * (0.5 + 2 * doubt / most), vmin=0,
                        vmax=most, cmap=doubts, linewidths=0, zorder=2, rasterized=len(rows) > MOST_VECTORS)
    name_axes(ax, subject.names[plane[0]], subject.names[plane[1]] if len(plane) == 2 else "uncertainty")
    if len(plane) == 2:
        figure: Any = ax.get_figure()
        figure.colorbar(points, ax=ax, label="uncertainty")
    elif subject.mixture.n_features == 1:
        x = line_for(subject.mixture, rows[:, 0])
        ax.plot(x, 1 - subject.mixture.responsibilities(x[:, None]).max(axis=1), color=INK, linewidth=1, zorder=1)
    key(ax, [rows_key(len(rows), len(subject.rows))] if len(rows) < len(subject.rows) else [])
    return ax

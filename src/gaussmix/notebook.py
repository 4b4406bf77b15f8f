"""The output for notebooks: tables as HTML and small pictures as SVG. It needs no drawing library."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["component_cells", "criteria_picture", "mixture_html", "mixture_picture", "page", "separating_features", "table"]

# Okabe and Ito's palette, which colour-blind readers can tell apart; black is left out, as the page may be black.
COLOURS = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442"
WIDTH, HEIGHT = 300, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 40
RADII = math.sqrt(-2 * math.log(0.5)), math.sqrt(-2 * math.log(0.05))  # the radii of ellipses that hold 50 % and 95 % of a normal
LONGEST_NAME = 28
MOST_FEATURES, MOST_COMPONENTS = 8, 40  # in a table


def page(title: str, *parts: str) -> str:
    """
    Put parts of HTML below each other, under a title.

    Parameters
    ----------
    title : str
        Text.
    *parts : str
        HTML.

    Returns
    -------
    str
    """
    return f"<div><p><strong>{html.escape(title)}</strong></p>{''.join(parts)}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], marked: int | None = None) -> str:
    """
    Make a table, with numbers aligned to the right.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
    marked : int, optional
        The number of a row to print in bold.

    Returns
    -------
    str
    """
    def line(cells: Sequence[str], tag: str, bold: bool = False) -> str:
        style = "text-align: right" + ("; font-weight: bold" if bold else "")
        return f"<tr>{''.join(f'<{tag} style={chr(34)}{style}{chr(34)}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(cells, "td", n == marked) for n, cells in enumerate(rows))
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>"


def component_cells(weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64], names: Sequence[str],
                    rows: float | None) -> tuple[list[str], list[list[str]]]:
    """
    Make the cells of a table of components.

    Parameters
    ----------
    weights : ndarray, shape (K,)
    means : ndarray, shape (K, D)
    covariances : ndarray, shape (K, D, D)
    names : sequence of str
        Of the features.
    rows : float or None
        Σ_n w_n.

    Returns
    -------
    header : list of str
    lines : list of list of str
        Number, weight, rows, means, standard deviations and the logarithm of the covariance's determinant of each component.
    """
    header = ["component", "weight", "rows", *(f"mean {name}" for name in names), *(f"sd {name}" for name in names), "log det"]
    lines = []
    for k, (weight, mean, covariance) in enumerate(zip(weights, means, covariances)):
        numbers = [weight, math.nan if rows is None else weight * rows, *mean, *np.sqrt(np.diag(covariance)),
                   np.linalg.slogdet(covariance)[1]]
        lines.append([str(k), *("-" if math.isnan(number) else f"{number:.4g}" for number in numbers)])
    return header, lines


def mixture_html(title: str, weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64],
                 names: Sequence[str] | None = None, rows: float | None = None, below: str = "") -> str:
    """
    Make the table of components and the picture of a mixture. The table is cut where it would be too large for a page.

    Parameters
    ----------
    title : str
    weights, means, covariances, rows
        As for `component_cells`.
    names : sequence of str, optional
        Of the features.
    below : str
        Text under the table.

    Returns
    -------
    str
        HTML.
    """
    K, D = means.shape
    names = [f"x{i}" for i in range(D)] if names is None else names
    header, lines = component_cells(weights[:MOST_COMPONENTS], means[:MOST_COMPONENTS], covariances[:MOST_COMPONENTS], names, rows)
    most = min(D, MOST_FEATURES)
    shown = [0, 1, 2, *range(3, 3 + most), *range(3 + D, 3 + D + most), len(header) - 1]
    left_out = [f"{total - most} more {what}" for total, most, what in ((K, MOST_COMPONENTS, "components"), (D, MOST_FEATURES, "features"))
                if total > most]
    notes = ([f"There are {' and '.join(left_out)}."] if left_out else []) + ([below] if below else [])
    return page(title, table([header[j] for j in shown], [[line[j] for j in shown] for line in lines]),
                *(f"<p>{html.escape(note)}</p>" for note in notes), mixture_picture(weights, means, covariances, names))


def separating_features(weights: NDArray[np.float64], means: NDArray[np.float64], variances: NDArray[np.float64],
                        count: int) -> list[int]:
    """
    Return the features that separate the components best, in ascending order.

    These are the features whose means vary most in relation to the variances within components:
    Σ_k π_k (μ_kj − μ̄_j)² / Σ_k π_k σ²_kj.

    Parameters
    ----------
    weights : ndarray, shape (K,)
    means, variances : ndarray, shape (K, D)
    count : int
        How many features to return at most.

    Returns
    -------
    list of int

    Examples
    --------
    >>> separating_features(np.array([0.5, 0.5]), np.array([[0.0, 5.0, 1.0], [0.0, 0.0, 9.0]]), np.ones((2, 3)), 2)
    [1, 2]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        between = weights @ (means - weights @ means)**2
        ratio = np.nan_to_num(between / (weights @ variances))
    return sorted(np.argsort(-ratio, kind="stable")[:count].tolist())


def mixture_picture(weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64],
                    names: Sequence[str]) -> str:
    """
    Draw a mixture as SVG: the density of one feature, or ellipses that hold 50 % and 95 % of each component in the two features
    that separate the components best.

    Parameters
    ----------
    weights : ndarray, shape (K,)
    means : ndarray, shape (K, D)
    covariances : ndarray, shape (K, D, D)
    names : sequence of str
        Of the features.

    Returns
    -------
    str
        Empty where the numbers are too large to be drawn.
    """
    features = separating_features(weights, means, np.einsum("kii->ki", covariances), 2)
    means, covariances = means[:, features], covariances[:, features][:, :, features]
    with np.errstate(over="ignore", invalid="ignore"):
        reach = 1.1 * RADII[1] * np.sqrt(np.einsum("kii->ki", covariances))
        low, high = (means - reach).min(axis=0), (means + reach).max(axis=0)
        if not np.isfinite(high - low).all() or not (high > low).all():
            return ""
    labels = [names[feature] for feature in features]
    if len(features) == 1:
        return _density(weights, means[:, 0], covariances[:, 0, 0], (low[0], high[0]), labels[0])
    return _ellipses(weights, means, covariances, low, high, labels)


def criteria_picture(n_components: Sequence[int], structures: Sequence[str], values: Sequence[float], chosen: int, name: str) -> str:
    """
    Draw a criterion over the number of components as SVG, with a line per structure and a ring around the chosen candidate.

    Parameters
    ----------
    n_components : sequence of int
    structures : sequence of str
    values : sequence of float
        The criterion of each candidate; NaN where it could not be fitted.
    chosen : int
        The number of the chosen candidate.
    name : str
        The name of the criterion.

    Returns
    -------
    str
        Empty where there are no two values to compare.
    """
    drawn = [n for n, value in enumerate(values) if math.isfinite(value)]
    if len(drawn) < 2:
        return ""
    low = np.array([min(n_components[n] for n in drawn) - 0.5, min(values[n] for n in drawn)])
    high = np.array([max(n_components[n] for n in drawn) + 0.5, max(values[n] for n in drawn)])
    margin = 0.06 * (high[1] - low[1]) or 1.0
    low[1], high[1] = low[1] - margin, high[1] + margin
    parts, kinds = [], list(dict.fromkeys(structures))
    for i, kind in enumerate(kinds):
        colour = COLOURS[i % len(COLOURS)]
        points = [_place((n_components[n], values[n]), low, high) for n in drawn if structures[n] == kind]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
        parts.append(f'<text x="{WIDTH + 6}" y="{TOP + 10 + 14 * i}" fill="{colour}">{html.escape(kind)}</text>')
    if chosen in drawn:
        x, y = _place((n_components[chosen], values[chosen]), low, high)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="currentColor"/>')
    whole = range(math.ceil(low[0]), math.floor(high[0]) + 1)
    ticks = list(whole)[::max(1, math.ceil(len(whole) / 8))]
    return _picture(f"{name} of {len(drawn)} candidates", low, high, ["components", name], parts, wider=80, ticks=ticks)


def _density(weights: NDArray[np.float64], means: NDArray[np.float64], variances: NDArray[np.float64], ends: tuple[float, float],
             label: str) -> str:
    x = np.linspace(*ends, 201)
    with np.errstate(under="ignore", over="ignore"):
        each = weights * np.exp(-0.5 * (x[:, None] - means)**2 / variances) / np.sqrt(2 * math.pi * variances)
    total = each.sum(axis=1)
    top = 1.08 * total.max()
    if not 0 < top < math.inf:
        return ""
    low, high = np.array([ends[0], 0.0]), np.array([ends[1], top])

    def line(values: NDArray[np.float64], style: str) -> str:
        points = " ".join(f"{u:.1f},{v:.1f}" for u, v in (_place(point, low, high) for point in zip(x, values)))
        return f'<polyline points="{points}" fill="none" {style}/>'

    parts = [line(each[:, k], f'stroke="{COLOURS[k % len(COLOURS)]}" stroke-width="1.5"') for k in range(len(weights))]
    parts.append(line(total, 'stroke="currentColor" stroke-width="1"'))
    return _picture("density of the mixture and its components", low, high, [label, "density"], parts)


def _ellipses(weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64], low: NDArray[np.float64],
              high: NDArray[np.float64], labels: list[str]) -> str:
    scale = np.array([WIDTH - LEFT - RIGHT, -(HEIGHT - TOP - BOTTOM)]) / (high - low)
    parts = []
    for k in np.argsort(-weights):  # the small ones on top of the large
        x, y = _place(means[k], low, high)
        with np.errstate(under="ignore"):
            variances, axes = np.linalg.eigh(covariances[k] * np.outer(scale, scale))
        angle = math.degrees(math.atan2(axes[1, 1], axes[0, 1]))
        colour = COLOURS[k % len(COLOURS)]
        for radius, opacity in zip(RADII, (0.35, 0.15)):
            minor, major = radius * np.sqrt(np.maximum(variances, 0.05))  # a line where it is too thin to be seen
            parts.append(f'<ellipse rx="{major:.1f}" ry="{minor:.1f}" transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})" '
                         f'fill="{colour}" fill-opacity="{opacity}" stroke="{colour}"/>')
    return _picture("ellipses that hold 50 % and 95 % of each component", low, high, labels, parts)


def _place(point: Sequence[float] | NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[float, float]:
    """Return the place of a data point in the picture."""
    u, v = (np.asarray(point) - low) / (high - low)
    return float(LEFT + u * (WIDTH - LEFT - RIGHT)), float(HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM))


def _picture(title: str, low: NDArray[np.float64], high: NDArray[np.float64], labels: Sequence[str], parts: Sequence[str],
             wider: int = 0, ticks: Sequence[float] = ()) -> str:
    """Return the picture: axes with their labels around the parts."""
    bottom, right, names = HEIGHT - BOTTOM, WIDTH - RIGHT, [html.escape(_shortened(label)) for label in labels]
    frame = f'<path d="M{LEFT} {TOP} V{bottom} H{right}" fill="none" stroke="currentColor"/>'
    texts = [f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{names[0]}</text>',
             f'<text transform="translate(12 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">{names[1]}</text>']
    for value in ticks or _round_numbers(low[0], high[0]):
        x, _ = _place((value, low[1]), low, high)
        texts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{value:.6g}</text>')
    for value in _round_numbers(low[1], high[1]):
        _, y = _place((low[0], value), low, high)
        texts.append(f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{value:.6g}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH + wider}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH + wider} {HEIGHT}" font-family="sans-serif" font-size="10" fill="currentColor">'
            f"<title>{html.escape(title)}</title>{''.join(parts)}{frame}{''.join(texts)}</svg>")


def _round_numbers(low: float, high: float) -> list[float]:
    """Return two to six round numbers between two numbers."""
    most = (high - low) / 2.2
    unit = 10.0**math.floor(math.log10(most))
    step = max(unit * factor for factor in (1, 2, 5) if unit * factor <= most)
    first = math.ceil(low / step)
    return [step * n for n in range(first, first + 6) if step * n <= high]


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME - 1] + "…"

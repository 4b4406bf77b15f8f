"""The look of pictures: colours, sizes, names on the axes, and the key above a panel. matplotlib's settings are not changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from gaussmix.observations import shown

__all__ = ["BLUE", "GREY", "INK", "MOST_POINTS", "MOST_VECTORS", "PART", "RED", "axes_or_new", "colours_of", "figure_key", "figure_or_new",
           "key", "markers_of", "name_axes", "number_fontsize", "panel_fontsize", "plain_numbers", "rows_key", "size_for",
           "size_of", "size_of_points", "small_panel", "thickness", "whole_numbers", "wrapped"]

MOST_POINTS = 20_000  # more cannot be told apart in a panel
MOST_VECTORS = 2_000  # where there are more points, SVG and PDF files hold them as a bitmap, to stay small
INK, GREY, BLUE, RED = "#222222", "#8c8c8c", "#0072B2", "#D55E00"

# Okabe and Ito, "Color universal design" (2008). Yellow, which is faint on white, comes last.
OKABE_ITO = (BLUE, "#E69F00", "#009E73", RED, "#CC79A7", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PART = 0.85  # the part of a panel's first size that is left when the numbers beside the panels have been drawn
LETTER = 0.58  # the width of most letters, as a part of their height
GOLDEN = 0.6180339887498949

KEY: dict[str, Any] = {"frameon": False, "borderaxespad": 0.3, "borderpad": 0, "handlelength": 1.4, "handletextpad": 0.5,
                       "columnspacing": 1.2}


def colours_of(n_components: int) -> list[Any]:
    """Return a colour per component: Okabe and Ito's or, for many, large steps on a colour map, so that neighbours differ."""
    if n_components <= len(OKABE_ITO):
        return list(OKABE_ITO[:n_components])
    places = 0.9 * ((np.arange(n_components) * GOLDEN) % 1)  # the end of the map is too bright for white paper
    return list(matplotlib.colormaps["viridis"](places))


def markers_of(n_components: int) -> list[str]:
    """Return a marker for each component, for readers who cannot tell the colours apart."""
    return [MARKERS[k % len(MARKERS)] for k in range(n_components)]


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the given axes, or those of a new pyplot figure, which notebooks show."""
    if isinstance(ax, Axes):
        return ax
    if ax is not None:
        raise TypeError(f"ax must be Axes of matplotlib or None, not {shown(ax)}")
    from matplotlib import pyplot

    return pyplot.figure(layout="constrained").add_subplot()


def figure_or_new(figure: Figure | SubFigure | None, side: int) -> Figure | SubFigure:
    """Return the given figure, or a new pyplot figure that is large enough for this many panels side by side."""
    if figure is not None:
        return figure
    from matplotlib import pyplot

    return pyplot.figure(figsize=size_for(side), layout="constrained")


def size_for(side: int) -> tuple[float, float]:
    """Return width and height, in inches, of a figure with this many panels side by side."""
    width = float(np.clip(1.6 * side, 6.4, 10))
    return width, 0.75 * width if side < 3 else 0.9 * width


def panel_fontsize(figure: Figure | SubFigure, side: int) -> float:
    """Return the font size, in points, that suits this many panels side by side."""
    inches = size_of(figure)[0] / 72 / side
    return float(np.clip(4 + 2.5 * inches, 4.5, 10))


def size_of(artist: Axes | Figure | SubFigure) -> tuple[float, float]:
    """Return width and height of a panel or a figure, in points."""
    points = 72 / cast(Figure, artist.figure if isinstance(artist, Axes) else artist).dpi
    return artist.bbox.width * points, artist.bbox.height * points


def small_panel(ax: Axes, fontsize: float) -> None:
    """Give a small panel few ticks and small letters."""
    width, height = size_of(ax)
    ax.tick_params(labelsize=0.85 * fontsize, length=0.3 * fontsize, pad=0.2 * fontsize, width=0.6)
    for axis, room in ((ax.xaxis, width / 3.5), (ax.yaxis, height / 2)):
        axis.label.set_fontsize(fontsize)
        axis.set_major_locator(MaxNLocator(int(np.clip(room / fontsize, 1, 3))))
        axis.get_offset_text().set_fontsize(0.8 * fontsize)


def size_of_points(n: int, ax: Axes) -> float:
    """Return the area of a marker, in points squared. It is smaller for more rows and for a smaller panel."""
    return float(np.clip(0.05 * np.prod(size_of(ax)) / max(n, 1), 2.5, 22))


def number_fontsize(ax: Axes, n_components: int) -> float:
    """Return the font size of the components' numbers: that of other texts, or less for many components in a small panel."""
    room = np.prod(size_of(ax)) / n_components
    return float(np.clip(np.sqrt(room / 12), 5.5, 0.9 * letters_of(ax)))


def thickness(ax: Axes) -> float:
    """Return the factor for the width of lines, which are thinner in a small panel."""
    return float(np.clip(np.sqrt(np.prod(size_of(ax))) / 250, 0.5, 1))


def letters_of(ax: Axes) -> float:
    """Return the font size of the axes' names, in points. Other texts take their size from it."""
    return max(float(axis.label.get_fontsize()) for axis in (ax.xaxis, ax.yaxis))  # one may be small for a long name


def words_of(name: str) -> list[str]:
    """Split a name into the words between which it may be broken: at spaces, and after _ and /."""
    return re.findall(r"\s*(?:[^\s_/]+[_/]*|[_/]+)", name)


def wrapped(name: str, room: float, fontsize: float, lines: int = 3) -> str:
    """Break a name into as few lines as it needs. Where `lines` lines are not enough, only its beginning is kept."""
    letters = max(int(room / (LETTER * fontsize)), 4)
    rows = [""]
    for word in words_of(name):
        for part in [word] if len(word.strip()) <= letters else re.findall(f".{{1,{letters}}}", word.strip()):
            if rows[-1] and len(rows[-1] + part) > letters:
                rows.append("")
            rows[-1] += part if rows[-1] else part.lstrip()
    if len(rows) > lines:
        rows[lines - 1:] = [rows[lines - 1][:letters - 1].rstrip() + "…"]
    return "\n".join(rows)


def name_axes(ax: Axes, x: str | None, y: str | None, *, part: float = 1.0) -> None:
    """Write names along the axes, or along a part of their length. They are shown as they are: a dollar sign begins no formula."""
    for axis, name, room in zip((ax.xaxis, ax.yaxis), (x, y), size_of(ax)):
        if name is not None:
            usual, longest = float(axis.label.get_fontsize()), max(map(len, words_of(name)), default=1)
            size = float(np.clip(part * room / (LETTER * longest), 0.75 * usual, usual))  # smaller letters are better than a broken word
            axis.set_label_text(wrapped(name, part * room, size), fontsize=size, parse_math=False)


def key(ax: Axes, handles: Sequence[Artist]) -> None:
    """Draw the key above the panel, where there are no data."""
    if not handles:
        return
    fontsize = 0.85 * letters_of(ax)
    ax.legend(handles=list(handles), loc="lower right", bbox_to_anchor=(1, 1), fontsize=fontsize,
              ncols=_columns(handles, fontsize, 1.12 * size_of(ax)[0]), **KEY)  # numbers and a name stand to the left of the panel


def figure_key(figure: Figure | SubFigure, handles: Sequence[Artist], fontsize: float) -> None:
    """Draw the key above all panels of a figure."""
    layout = figure.get_layout_engine()
    place: Any = "outside upper right" if isinstance(layout, ConstrainedLayoutEngine) else "upper right"
    columns = _columns(handles, fontsize, size_of(figure)[0])
    figure.legend(handles=list(handles), loc=place, fontsize=fontsize, ncols=columns, **KEY)


def _columns(handles: Sequence[Artist], fontsize: float, room: float) -> int:
    """Return how many columns of a key fit side by side. A key is filled column by column."""
    widths = np.array([0.6 * len(str(handle.get_label())) + 3.1 for handle in handles]) * fontsize
    for columns in range(len(handles), 1, -1):
        if sum(part.max() for part in np.array_split(widths, columns)) <= room:
            return columns
    return 1


def rows_key(drawn: int, n_rows: int, marker: str = "o") -> Line2D:
    """Return the entry of the key for the rows."""
    some = f"{n_rows:,}" if drawn == n_rows else f"{drawn:,} of {n_rows:,}"
    return Line2D([], [], linestyle="", marker=marker, color=GREY, markersize=4, label=f"{some} {'row' if n_rows == 1 else 'rows'}")


def whole_numbers(ax: Axes) -> None:
    """Put the ticks of x at whole numbers only."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plain_numbers(ax: Axes) -> None:
    """Write the ticks of y in full, without a common summand or factor above the panel, where the key is."""
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))

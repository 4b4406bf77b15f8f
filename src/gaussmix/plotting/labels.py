"""Labels with the numbers of components, placed so that they do not overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform
from numpy.typing import ArrayLike, NDArray

from gaussmix.plotting.style import INK

__all__ = ["Labels"]

RINGS, DIRECTIONS = 14, 12


class Labels(Artist):
    """
    Texts at places of a panel. A text that would overlap another one moves aside, and a line leads from it to its place.

    The texts are placed anew in each drawing, as the size of the panel is not known before.

    Parameters
    ----------
    ax : Axes
    places : array_like, shape (K, 2)
        In the units of the data.
    texts : sequence of str
        They are placed in this order.
    fontsize : float
        In points.
    above : bool
        Whether a text is drawn above its place instead of on it.

    Attributes
    ----------
    boxes : list of Bbox
        The boxes of the texts in the last drawing, in pixels.
    """

    def __init__(self, ax: Axes, places: ArrayLike, texts: Sequence[str], fontsize: float, *, above: bool = False) -> None:
        super().__init__()
        self.places: NDArray[np.float64] = np.asarray(places, dtype=np.float64)
        self.texts, self.fontsize, self.above = list(texts), fontsize, above
        self.boxes: list[Bbox] = []
        self.set_in_layout(False)
        self.set_zorder(6)
        ax.add_artist(self)

    def draw(self, renderer: RendererBase) -> None:
        """Place the texts and draw them."""
        self.boxes = []
        if not self.get_visible() or self.axes is None:
            return
        panel = self.axes.get_window_extent(renderer)
        for (x, y), text in zip(self.axes.transData.transform(self.places), self.texts):
            if panel.contains(x, y):
                self._draw_one(renderer, panel, x, y, text)
        self.stale = False

    def _draw_one(self, renderer: RendererBase, panel: Bbox, x: float, y: float, text: str) -> None:
        halo = [withStroke(linewidth=0.3 * self.fontsize, foreground="white")]
        label = self._own(Text(0, 0, text, fontsize=self.fontsize, weight="bold", color=INK, ha="center", va="center_baseline",
                               path_effects=halo))
        size = label.get_window_extent(renderer)
        for dx, dy in self._moves(size.height):
            box = Bbox.from_bounds(x + dx - size.width / 2, y + dy - size.height / 2, size.width, size.height)
            inside = panel.x0 <= box.x0 and box.x1 <= panel.x1 and panel.y0 <= box.y0 and box.y1 <= panel.y1
            if inside and not any(box.overlaps(other) for other in self.boxes):
                break
        else:  # no room at all: numbers that overlap could not be read
            return
        if math.hypot(dx, dy) > 1.2 * size.height:
            self._own(Line2D([x, x + dx], [y, y + dy], color=INK, linewidth=0.06 * self.fontsize)).draw(renderer)
        label.set_position((x + dx + (-size.x0 - size.x1) / 2, y + dy + (-size.y0 - size.y1) / 2))
        label.draw(renderer)
        self.boxes.append(box)

    def _moves(self, height: float) -> Iterator[tuple[float, float]]:
        """Yield the moves to try, the shortest first."""
        if not self.above:
            yield 0, 0
        for ring in range(1, RINGS):
            for step in range(DIRECTIONS):
                turn = math.pi / 2 + 2 * math.pi / DIRECTIONS * ((step + 1) // 2) * (-1) ** step
                yield 0.9 * ring * height * math.cos(turn), 0.9 * ring * height * math.sin(turn)

    def _own(self, artist: Any) -> Any:
        artist.set_figure(self.figure)
        artist.set_transform(IdentityTransform())
        return artist

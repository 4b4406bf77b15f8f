"""Pictures of how a mixture was found: over the iterations, among the optima of a search, and among candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from gaussmix.observations import shown
from gaussmix.plotting.style import BLUE, GREY, INK, axes_or_new, colours_of, key, markers_of, plain_numbers, whole_numbers
from gaussmix.selection import Candidate, Selection

if TYPE_CHECKING:
    from gaussmix.estimator import GaussianMixture
    from gaussmix.search import Search

__all__ = ["history", "optima", "selection"]


def history(model: GaussianMixture, *, ax: Axes | None = None) -> Axes:
    """
    Draw the mean log-likelihood of a row that each iteration of the best start found.

    Parameters
    ----------
    model : GaussianMixture
        Must be fitted.
    ax : Axes, optional
        The axes to draw in; by default those of a new pyplot figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        Where the model has no history, because it was not fitted or was read from a model file.

    Examples
    --------
    >>> from gaussmix import GaussianMixture, plotting
    >>> gm = GaussianMixture(2, random_state=0).fit([[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]])
    >>> ax = plotting.history(gm)
    >>> len(ax.lines[0].get_xdata()) == gm.n_iter_
    True
    """
    values = getattr(model, "history_", None)
    if not values:
        raise ValueError(f"model must have a history, as after fit, not {shown(model)}")
    ax = axes_or_new(ax)
    steps = np.arange(1, len(values) + 1)
    ax.plot(steps, values, color=BLUE, marker="o", markersize=3 if len(values) <= 60 else 0, linewidth=1.4)
    word = "converged" if model.converged_ else "stopped"
    end, = ax.plot(steps[-1:], values[-1:], linestyle="", marker="o", markersize=7, color=BLUE,
                   markerfacecolor=BLUE if model.converged_ else "white",
                   label=f"{word} after {len(values)} {'iteration' if len(values) == 1 else 'iterations'}")
    ax.set_xlabel("iteration")
    ax.set_ylabel("mean log-likelihood")
    whole_numbers(ax)
    plain_numbers(ax)
    key(ax, [end])
    return ax


def optima(search: Search, *, ax: Axes | None = None) -> Axes:
    """
    Draw the optima that a search found: how many of its first starts, of its rounds and of its splices ended in each.

    Parameters
    ----------
    search : Search
        The attribute `search_` of an estimator that was fitted with n_init="auto".
    ax : Axes, optional
        The axes to draw in; by default those of a new pyplot figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import GaussianMixture, plotting
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[0.0], [2.0]], 100, axis=0)
    >>> ax = plotting.optima(GaussianMixture(3, n_init="auto", search_budget=30, random_state=0).fit(X).search_)
    >>> ax.get_ylabel()
    'how many ended there'
    """
    if not hasattr(search, "optima"):
        raise TypeError(f"search must be the search_ of a model fitted with n_init='auto', not {shown(search)}")
    ax = axes_or_new(ax)
    for one in search.optima:
        colour = BLUE if one.proper else GREY
        ax.vlines(one.log_likelihood, 0, max(one.starts, one.rounds, one.splices), color=colour, linewidth=1)
        if one.starts:
            ax.plot(one.log_likelihood, one.starts, marker="o", markersize=4.5, color=colour, linestyle="")
        if one.rounds:
            ax.plot(one.log_likelihood, one.rounds, marker="D", markersize=6.5, color=colour, markerfacecolor="white", linestyle="")
        if one.splices:
            ax.plot(one.log_likelihood, one.splices, marker="^", markersize=5.5, color=colour, linestyle="")
    handles: list[Artist] = [Line2D([], [], color=INK, marker="o", markersize=4.5, linestyle="", label="first starts"),
                             Line2D([], [], color=INK, marker="D", markersize=6.5, markerfacecolor="white", linestyle="", label="rounds")]
    if any(one.splices for one in search.optima):
        handles.append(Line2D([], [], color=INK, marker="^", markersize=5.5, linestyle="", label="splices"))
    if any(one.proper for one in search.optima) and not all(one.proper for one in search.optima):
        handles.append(Line2D([], [], color=GREY, linewidth=3, label="spurious"))
    ax.set_xlabel("log-likelihood")
    ax.set_ylabel("how many ended there")
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    key(ax, handles)
    return ax


def selection(selection: Selection, *, ax: Axes | None = None) -> Axes:
    """
    Draw the criterion of every candidate over the number of components, with a line for each structure.

    A ring marks the chosen candidate. A hollow point marks a candidate that is a spurious optimum or in which a component
    collapsed; it is chosen only where there is no better one. A cross at the bottom marks a candidate that could not be fitted.

    Parameters
    ----------
    selection : Selection
    ax : Axes, optional
        The axes to draw in; by default those of a new pyplot figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        Where `selection` is no Selection.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import plotting, select
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) + np.repeat([[0], [9]], 100, axis=0)
    >>> ax = plotting.selection(select(X, range(1, 4), ["full", "diag"], random_state=0))
    >>> ax.get_ylabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('BIC', ['full', 'diag', 'chosen'])
    """
    if not isinstance(selection, Selection):
        raise TypeError(f"selection must be a Selection, as `select` returns it, not {shown(selection)}")
    ax = axes_or_new(ax)
    structures = list(dict.fromkeys(candidate.covariance_type for candidate in selection.candidates))
    handles: list[Artist] = []
    for name, colour, marker in zip(structures, colours_of(len(structures)), markers_of(len(structures))):
        mine = sorted((c for c in selection.candidates if c.covariance_type == name), key=lambda c: c.n_components)
        handles += ax.plot([c.n_components for c in mine], [getattr(c, selection.criterion) for c in mine], color=colour,
                           marker=marker, markersize=4.5, linewidth=1.2, label=name)
        if poor := [c for c in mine if c.collapsed or c.spurious]:
            ax.plot([c.n_components for c in poor], [getattr(c, selection.criterion) for c in poor], linestyle="", color=colour,
                    marker=marker, markersize=4.5, markerfacecolor="white", zorder=3)
    chosen = selection.chosen
    ax.plot(chosen.n_components, getattr(chosen, selection.criterion), linestyle="", marker="o", markersize=11,
            markerfacecolor="none", color=INK, zorder=4)
    handles.append(Line2D([], [], linestyle="", marker="o", markersize=7, markerfacecolor="none", color=INK, label="chosen"))
    if any(c.collapsed or c.spurious for c in selection.candidates):
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=4.5, markerfacecolor="white", color=GREY,
                              label="collapsed or spurious"))
    failed = [c for c in selection.candidates if c.failure]
    if failed:
        handles.append(_mark_failures(ax, failed, structures))
    ax.set_xlabel("number of components")
    ax.set_ylabel(selection.criterion.upper())
    whole_numbers(ax)
    plain_numbers(ax)
    key(ax, handles)
    return ax


def _mark_failures(ax: Axes, failed: list[Candidate], structures: list[str]) -> Artist:
    """Draw a cross for each candidate that could not be fitted, below all points, in a row for each structure that has any."""
    rows = [name for name in structures if any(c.covariance_type == name for c in failed)]
    colours = dict(zip(structures, colours_of(len(structures))))
    low, high = ax.get_ylim()
    step = 0.06 * (high - low)
    for c in failed:
        ax.plot(c.n_components, low - step * rows.index(c.covariance_type), linestyle="", marker="x", markersize=5,
                color=colours[c.covariance_type])
    return Line2D([], [], linestyle="", marker="x", markersize=5, color=GREY, label="not fitted")

"""Choose the number of components and the structure: fit every candidate, and take the best by an information criterion."""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import math
import numbers
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gaussmix.criteria import aic, bic
from gaussmix.data import Data
from gaussmix.engines import Threads, resolve_threads
from gaussmix.estimator import GaussianMixture
from gaussmix.fitting import Outcome
from gaussmix.learning import fitted_by, observed, take_on
from gaussmix.notebook import criteria_picture, page, table
from gaussmix.observations import shown
from gaussmix.random_state import RandomState
from gaussmix.sources.source import RowsLike
from gaussmix.starts import SingularStart
from gaussmix.structures import structure_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Candidate", "Selection", "select"]

CRITERIA = ("bic", "aic")


@dataclass(frozen=True)
class Candidate:
    """
    One candidate of a selection: a number of components with a structure. It is one row of the table.

    Attributes
    ----------
    n_components : int
    covariance_type : str
        scikit-learn's name of the structure.
    n_parameters : int
        The number of free parameters.
    log_likelihood : float
        L (6) of the data under the fitted mixture; NaN where the candidate could not be fitted.
    bic, aic : float
        −2 L + p ln Σ_n w_n and −2 L + 2 p; lower is better.
    converged : bool
    collapsed : bool
        Whether EM ended because a component became singular.
    spurious : bool
        Whether in every start a component fits an accident of a few rows, whose likelihood means nothing (docs/collapse.md).
    failure : str
        Why the candidate could not be fitted; empty where it could.

    Examples
    --------
    >>> from gaussmix import select
    >>> s = select([[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]], (1, 2, 7), random_state=0)
    >>> [(c.n_components, round(c.bic, 1), c.failure) for c in s.candidates]
    [(1, 37.5, ''), (2, 31.9, ''), (7, nan, 'more components (7) than rows (6)')]
    """

    n_components: int
    covariance_type: str
    n_parameters: int
    log_likelihood: float = math.nan
    bic: float = math.nan
    aic: float = math.nan
    converged: bool = False
    collapsed: bool = False
    spurious: bool = False
    failure: str = ""

    @property
    def note(self) -> str:
        """A few words on what is wrong with the candidate; empty where nothing is."""
        if self.failure:
            return re.split(", as |: ", self.failure)[0]
        if self.collapsed:
            return "a component collapsed"
        return "spurious optimum" if self.spurious else "" if self.converged else "not converged"


class Selection:
    """
    The candidates of a selection and the best of them.

    Printing it prints the table.

    Attributes
    ----------
    candidates : list of Candidate
        In the order in which they were fitted.
    criterion : {"bic", "aic"}
    chosen : Candidate
        The proper candidate with the lowest criterion. A spurious optimum is chosen only where no candidate is proper. A candidate
        in which a component collapsed is chosen only where there is nothing else.
    best : GaussianMixture
        The chosen candidate, fitted.

    Examples
    --------
    >>> from gaussmix import select
    >>> s = select([[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]], (1, 2), random_state=0)
    >>> print(s)
    components  covariance  log-likelihood  parameters           BIC
             1  full                -16.95           2         37.49
             2  full                -11.46           5         31.87 *
    >>> s.best.n_components
    2
    """

    def __init__(self, candidates: list[Candidate], criterion: str, chosen: Candidate, best: GaussianMixture) -> None:
        self.candidates, self.criterion, self.chosen, self.best = candidates, criterion, chosen, best

    def __str__(self) -> str:
        name, several = self.criterion.upper(), len(self.candidates) > 1
        lines = [f"components  covariance  log-likelihood  parameters  {name:>12}"]
        for c in self.candidates:
            start = f"{c.n_components:>10}  {c.covariance_type:<10}"
            if c.failure:
                lines.append(f"{start}  {c.note}")
                continue
            mark = f"{'*' if several and c is self.chosen else ' '} {c.note}"
            row = f"{start}  {c.log_likelihood:>14.2f}  {c.n_parameters:>10}  {getattr(c, self.criterion):>12.2f} {mark}"
            lines.append(row.rstrip())
        return "\n".join(lines)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """
        Draw the criterion of every candidate over the number of components, as `gaussmix.plotting.selection` does.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            The axes to draw in; by default those of a new pyplot figure.

        Returns
        -------
        Axes

        Raises
        ------
        ImportError
            Where matplotlib is not installed: pip install "gaussmix[plot]".

        Examples
        --------
        >>> from gaussmix import select
        >>> found = select([[1.0], [2.0], [3.0], [11.0], [12.0], [14.0]], [1, 2], random_state=0)
        >>> ax = found.plot()
        >>> ax.get_ylabel()
        'BIC'
        """
        from gaussmix.plotting import selection

        return selection(self, ax=ax)

    def __repr__(self) -> str:
        return f"<Selection of {len(self.candidates)} candidates by {self.criterion.upper()}>\n{self}"

    def _repr_html_(self) -> str:
        """Show a notebook the table, with the chosen candidate in bold, and a picture of the criterion."""
        name, chosen = self.criterion.upper(), self.candidates.index(self.chosen)
        values = [getattr(c, self.criterion) for c in self.candidates]
        rows = [[str(c.n_components), c.covariance_type, "" if c.failure else f"{c.log_likelihood:.2f}", str(c.n_parameters),
                 "" if c.failure else f"{value:.2f}", c.note] for c, value in zip(self.candidates, values)]
        return page(f"Selection of {len(rows)} candidates by {name}",
                    table(["components", "covariance", "log-likelihood", "parameters", name, ""], rows, chosen),
                    criteria_picture([c.n_components for c in self.candidates], [c.covariance_type for c in self.candidates], values,
                                     chosen, name))


def select(X: RowsLike, n_components: int | Iterable[int] = range(1, 10), covariance_types: str | Iterable[str] = ("full",),
           criterion: str = "bic", *, n_init: int | str = "auto", random_state: RandomState = None, n_threads: int | None = None,
           sample_weight: ArrayLike | None = None, tol: float = 1e-3, reg_covar: float | str = 1e-6, max_iter: int = 100,
           init_params: str | ArrayLike = "kmeans", progress: Callable[[Candidate], object] | None = None,
           search_budget: int | str | None = None) -> Selection:
    """
    Fit every number of components with every structure, and choose by an information criterion.

    A candidate may be impossible to fit: it has more components than there are rows with a positive weight, or its start is
    singular. The table then shows the reason in its row.

    Parameters
    ----------
    X : array_like or DataFrame, shape (N, D)
        Or what `gaussmix.sources.open_source` opens, such as the path of a file.
    n_components : int or iterable of int, default=range(1, 10)
    covariance_types : str or iterable of str, default=("full",)
        Names of structures, as for `GaussianMixture`.
    criterion : {"bic", "aic"}, default="bic"
        Lower is better.
    n_init, random_state, n_threads, tol, reg_covar, max_iter, init_params, search_budget
        As for `GaussianMixture`, except that by default each candidate is searched for its best optimum (n_init="auto"), as a
        comparison of poor optima says little. With n_init=1 every candidate has one start. `search_budget` is for
        each candidate. Where random_state is a whole number, every candidate is the same as if it were fitted alone.
    sample_weight : array_like, shape (N,), optional
    progress : callable, optional
        Called with each `Candidate` as soon as it is fitted.

    Returns
    -------
    Selection
        With `candidates`, `chosen` and `best`.

    Raises
    ------
    ValueError
        Where an argument or the data are not usable, or no candidate could be fitted.

    Warns
    -----
    ConvergenceWarning, CollapseWarning, SpuriousOptimumWarning, UserWarning
        Those of `GaussianMixture.fit`, for the chosen candidate only; the table has notes on the others.

    Examples
    --------
    >>> import numpy as np
    >>> from gaussmix import select
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-5, 1, (200, 2)), rng.normal(5, 1, (200, 2))])
    >>> s = select(X, range(1, 4), random_state=0)
    >>> s.chosen.n_components, s.best.means_.shape
    (2, (2, 2))
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(map(repr, CRITERIA))}, not {criterion!r}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function that is called with each candidate, not {shown(progress)}")
    counts = _listed(n_components, "n_components", numbers.Integral)
    names = [structure_named(name).name for name in _listed(covariance_types, "covariance_types", str)]
    options: dict[str, Any] = dict(n_init=n_init, random_state=random_state, n_threads=n_threads, tol=tol, reg_covar=reg_covar,
                                   max_iter=max_iter, init_params=init_params, search_budget=search_budget)
    models = [GaussianMixture(k, covariance_type=name, **options) for name in names for k in counts]
    data = observed(models[0], X, sample_weight)
    candidates: list[Candidate] = []
    chosen: Candidate | None = None
    best: GaussianMixture | None = None
    to_tell: list[Warning] = []
    for model in models:
        candidate, warned = _fitted(model, data)
        candidates.append(candidate)
        if not candidate.failure and (chosen is None or _rank(candidate, criterion) < _rank(chosen, criterion)):
            chosen, best, to_tell = candidate, model, warned
        if progress is not None:
            progress(candidate)
    if chosen is None or best is None:
        raise ValueError(candidates[0].failure if len(candidates) == 1 else
                         f"no candidate could be fitted; with {candidates[0].n_components} components, "
                         f"{candidates[0].covariance_type}: {candidates[0].failure}")
    for warning in to_tell:
        warnings.warn(warning, stacklevel=2)
    return Selection(candidates, criterion, chosen, best)


def _listed(value: Any, name: str, kind: type) -> list[Any]:
    values = [value] if isinstance(value, (kind, str, bytes)) or not np.iterable(value) else list(value)
    if not values or not all(isinstance(item, kind) and not isinstance(item, bool) for item in values):
        what = "a whole number or a list of whole numbers" if kind is numbers.Integral else "a name or a list of names"
        raise ValueError(f"{name} must be {what}, not {shown(value)}")
    return values


def _fitted(model: GaussianMixture, data: Data) -> tuple[Candidate, list[Warning]]:
    """Fit a model; return it as a candidate, with the warnings to give if it is chosen."""
    K, name = model.n_components, model.covariance_type
    p = structure_named(name).n_parameters(K, data.n_features)
    unfitted = partial(Candidate, K, name, p)
    if K > data.n_positive:
        rows = "rows" if data.n_positive == data.n_rows else "rows with a positive weight"
        return unfitted(failure=f"more components ({K}) than {rows} ({data.n_positive})"), []
    try:
        fitted = fitted_by(model, data)
    except SingularStart as error:
        return unfitted(failure=str(error)), []
    take_on(model, fitted)
    with Threads(resolve_threads(model.n_threads)) as threads:
        log_likelihood = data.log_likelihood(model.mixture_, data.engine(threads))
    outcome = fitted.fit.outcome
    return unfitted(log_likelihood, bic(log_likelihood, p, data.total_weight), aic(log_likelihood, p), model.converged_,
                    outcome is Outcome.COLLAPSED, outcome is Outcome.SPURIOUS), fitted.warnings


def _rank(candidate: Candidate, criterion: str) -> tuple[bool, bool, float]:
    return candidate.collapsed, candidate.spurious, getattr(candidate, criterion)

"""EM from one start to its end. The loops themselves are in `_core/em.pyx`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


from gaussmix._core.em import EM, AcceleratedEM, Objective, SmallChange, Stopping
from gaussmix._core.mstep import MStep
from gaussmix._core.parameters import Parameters
from gaussmix._core.passes import Passes
from gaussmix.sources.source import SourceError

__all__ = ["ALGORITHMS", "STOPPING", "Keeper", "Report", "Run", "maximize_likelihood"]

Report = Callable[[int, float, Parameters], bool]


class Keeper(Protocol):
    """Keeps the state of a run of EM where it outlives the process."""

    @property
    def has_begun(self) -> bool:
        """Whether the state of this run was kept."""

    def resume(self, loop: EM) -> list[float]:
        """Put the state that was kept into a new loop, and return its history."""

    def keep(self, loop: EM, history: list[float]) -> None:
        """Another iteration is over. The keeper decides whether to write its state."""


ALGORITHMS: dict[str, type[EM]] = {"em": EM, "accelerated": AcceleratedEM}
STOPPING = ("change", "distance")  # what `tol` bounds: the last change, or the estimated distance to the limit


@dataclass(frozen=True)
class Run:
    """
    The result of one run of EM.

    Attributes
    ----------
    parameters : Parameters
        The last valid ones.
    history : list of float
        The mean log-likelihood of a row that the E step of each iteration found.
    n_iter : int
        How many E steps were made. The accelerated algorithm makes some that do not count, and are not in `history`.
    converged : bool
        Whether the rule to stop was met.
    collapsed : int or None
        The component that ended the run, because its covariance became singular or it lost all its weight.
    stopped : bool
        Whether `report` ended the run.
    """

    parameters: Parameters
    history: list[float]
    n_iter: int
    converged: bool
    collapsed: int | None = None
    stopped: bool = False


def maximize_likelihood(passes: Passes, start: Parameters, m_step: MStep, *, tol: float, max_iter: int, previous: float = -math.inf,
                        report: Report | None = None, objective: Objective | None = None, algorithm: str = "em",
                        stopping: Stopping | None = None, keeper: Keeper | None = None) -> Run:
    """
    Run EM from one start: E step (5), M step (7) (8) (11), until the log-likelihood (6) stops rising.

    Parameters
    ----------
    passes : Passes
    start : Parameters
        Factorized; not changed.
    m_step : MStep
    tol : float
        Stop when the mean log-likelihood of a row changes by less than this.
    max_iter : int
        Stop after this many E steps.
    previous : float
        The mean log-likelihood to compare that of the first iteration with, where EM goes on from an earlier fit.
    report : callable, optional
        Called after each iteration with three arguments: the number of E steps so far, the mean log-likelihood that the last one
        found, and the parameters with that log-likelihood. EM stops when it returns True.
    objective : Objective, optional
        By default the mean log-likelihood of a row.
    algorithm : {"em", "accelerated"}
    stopping : Stopping, optional
        A new rule to stop by, instead of `tol`.
    keeper : Keeper, optional
        Where it has kept the state of this run, the run goes on from there.

    Returns
    -------
    Run

    Raises
    ------
    SourceError
        Where the rows could not be read. It has the parameters of the last whole iteration.
    """
    loop = ALGORITHMS[algorithm](passes, start, m_step, SmallChange(tol) if stopping is None else stopping, previous, objective)
    history: list[float] = []
    if keeper is not None and keeper.has_begun:
        history = keeper.resume(loop)
    stopped, at_once = False, passes.at_once if report is None and keeper is None else 1
    while loop.n_passes < max_iter and not (loop.converged or loop.collapsed >= 0 or stopped):
        try:
            found = loop.run(min(at_once, max_iter - loop.n_passes))
        except SourceError as error:
            error.parameters, error.n_iter = loop.current.copy() if history else None, loop.n_passes
            raise
        history += found
        stopped = bool(found) and report is not None and report(loop.n_passes, history[-1], loop.current)
        if keeper is not None:
            keeper.keep(loop, history)
    collapsed = loop.collapsed if loop.collapsed >= 0 else None
    return Run(loop.following if collapsed is None else loop.current, history, loop.n_passes, loop.converged, collapsed, stopped)

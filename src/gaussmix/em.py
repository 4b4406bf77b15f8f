"""EM from one start to its end. The loop itself is `_core/em.pyx`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gaussmix._core.em import EM, Objective
from gaussmix._core.mstep import MStep
from gaussmix._core.parameters import Parameters
from gaussmix._core.passes import Passes

__all__ = ["Report", "Run", "maximize_likelihood"]

Report = Callable[[int, float, Parameters], bool]


@dataclass(frozen=True)
class Run:
    """
    The result of one run of EM.

    Attributes
    ----------
    parameters : Parameters
        The last valid ones.
    history : list of float
        The mean log-likelihood of a row that each iteration's E step found.
    converged : bool
        Whether the mean log-likelihood changed by less than `tol` in the last iteration.
    collapsed : int or None
        The component that ended the run, because its covariance became singular or it lost all its weight.
    stopped : bool
        Whether `report` ended the run.
    """

    parameters: Parameters
    history: list[float]
    converged: bool
    collapsed: int | None = None
    stopped: bool = False


def maximize_likelihood(passes: Passes, start: Parameters, m_step: MStep, *, tol: float, max_iter: int, previous: float = -math.inf,
                        report: Report | None = None, objective: Objective | None = None) -> Run:
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
        Stop after this many iterations.
    previous : float
        The mean log-likelihood to compare that of the first iteration with, where EM goes on from an earlier fit.
    report : callable, optional
        Called after each iteration with three arguments: its number (from 1), the mean log-likelihood that its E step found, and
        the parameters with that log-likelihood. EM stops when it returns True.
    objective : Objective, optional
        By default the mean log-likelihood of a row.

    Returns
    -------
    Run
    """
    loop = EM(passes, start, m_step, tol, previous, objective)
    history: list[float] = []
    stopped, at_once = False, passes.at_once if report is None else 1
    while len(history) < max_iter and not (loop.converged or loop.collapsed >= 0 or stopped):
        history += loop.run(min(at_once, max_iter - len(history)))
        stopped = report is not None and report(len(history), history[-1], loop.current)
    if loop.collapsed >= 0:
        return Run(loop.current, history, False, loop.collapsed, stopped)
    return Run(loop.following, history, loop.converged, None, stopped)

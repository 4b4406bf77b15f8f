"""EM: the passes over the data that it makes, where it starts and where it ends. The loop itself is `_core/em.pyx`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.densities import Densities
from gaussmix._core.em import EM, maximize
from gaussmix._core.estep import Block, GivenResponsibilities
from gaussmix._core.mstep import MStep
from gaussmix._core.parameters import Parameters
from gaussmix._core.passes import Passes
from gaussmix.blocks import Blocks
from gaussmix.engines import Threads
from gaussmix.initialization import Allotment, Chosen
from gaussmix.statistics import Kind
from gaussmix.structures import Structure, structure_named

__all__ = ["Fit", "SingularStart", "allotted_start", "chosen_start", "feature_variances", "maximize_likelihood"]

# The variance of a component on one row, as a part of `Chosen.spread`: so small that the first E step gives each row to the
# nearest, so large that densities stay far inside the range.
POINT = 1e-10


class SingularStart(ValueError):
    """EM cannot begin: a component of the start has no rows, or a singular covariance."""

    @classmethod
    def covariance(cls, component: int) -> Self:
        return cls(
            f"the covariance of component {component} of the start is singular, as its rows lie in a subspace or are too few. Fitting "
            "the mixture model failed because some components have ill-defined empirical covariance (for instance caused by singleton "
            "or collapsed samples). Try to decrease the number of components, increase reg_covar, or scale the input data.")


@dataclass
class Fit:
    """
    Where one run of EM ended.

    Attributes
    ----------
    parameters : Parameters
        The last valid ones.
    history : list of float
        The mean log-likelihood that each iteration's E step found.
    converged : bool
        Whether it changed by less than `tol` in the last iteration.
    collapsed : int or None
        The component whose covariance became singular, or that lost all its weight, and ended the run.
    """

    parameters: Parameters
    history: list[float]
    converged: bool
    collapsed: int | None


def allotted_start(blocks: Blocks, threads: Threads, structure: Structure, n_components: int, allotment: Allotment, m_step: MStep, *,
                   share: bool = False) -> Parameters:
    """
    Parameters from given labels or responsibilities: an M step before the first E step.

    Two passes: means, unless they are known, then moments about them.

    Parameters
    ----------
    blocks : Blocks
    threads : Threads
    structure : Structure
    n_components : int
    allotment : Allotment
    m_step : MStep
    share : bool
        Whether a component without rows gets half of those of the largest one, so that both are the same; else it is refused.

    Returns
    -------
    Parameters

    Raises
    ------
    SingularStart
        Naming the component.
    """
    shape = n_components, blocks.n_features
    centres = Densities(Kind.DIAG, *shape)
    if allotment.means is not None:
        centres.means[...] = allotment.means
    else:
        centres.means[...], allotment = _means(blocks, threads, allotment, shape, share)
    parameters = structure.parameters(*shape)
    singular = maximize(allotment.passes(blocks, threads, structure.moments, *shape), centres, m_step, parameters)
    if singular >= 0:
        raise SingularStart.covariance(singular)
    return parameters


def _means(blocks: Blocks, threads: Threads, allotment: Allotment, shape: tuple[int, int],
           share: bool) -> tuple[NDArray[np.float64], Allotment]:
    """Every component's mean, and the allotment in which one without rows has half of those of the largest."""
    some_point = Densities(Kind.DIAG, *shape)
    some_point.means[...] = np.asarray(blocks.X[:1], dtype=np.float64)
    statistics = allotment.passes(blocks, threads, Kind.DIAG, *shape).sum(some_point)
    empty = np.flatnonzero(~(statistics.weight > 0))
    if not empty.size:
        return statistics.reference + statistics.first / statistics.weight[:, None], allotment
    if not share:
        raise SingularStart(f"component {empty[0]} of the start has no rows: use fewer than {shape[0]} components, or another start")
    shares = np.eye(shape[0])  # of each component in the rows of another
    for k in empty:
        donor = int(np.argmax(shares.T @ statistics.weight))
        shares[:, donor] /= 2
        shares[:, k] = shares[:, donor]
    return _means(blocks, threads, allotment.shared(shares), shape, False)


def chosen_start(chosen: Chosen, structure: Structure, reg_covar: float | NDArray[np.float64]) -> Parameters:
    """
    Parameters with rows as means, as scikit-learn's: equal weights and the same small variance everywhere.

    The first E step then gives each row to the nearest mean, and the first M step takes the moments of these.

    Parameters
    ----------
    chosen : Chosen
    structure : Structure
    reg_covar : float or ndarray, shape (D,)

    Returns
    -------
    Parameters

    Raises
    ------
    SingularStart
        Where all rows are among the chosen and `reg_covar` is 0.
    """
    # Relative amounts are in each feature's own unit, in which the nearest are then found.
    variance = reg_covar if np.ndim(reg_covar) > 0 else POINT * chosen.spread + reg_covar
    parameters, singular = structure.points(chosen.means, variance)
    if singular >= 0:
        raise SingularStart.covariance(singular)
    return parameters


def feature_variances(blocks: Blocks, threads: Threads) -> NDArray[np.float64]:
    """
    The variance of every feature, with sample weights.

    Parameters
    ----------
    blocks : Blocks
    threads : Threads

    Returns
    -------
    ndarray, shape (D,)
    """
    diagonal = structure_named("diag")
    first_row, parameters = Densities(Kind.DIAG, 1, blocks.n_features), diagonal.parameters(1, blocks.n_features)
    first_row.means[...] = np.asarray(blocks.X[:1], dtype=np.float64)
    passes = threads.passes(blocks, GivenResponsibilities(Kind.DIAG, 1, blocks.n_features, blocks.size, _everything))
    maximize(passes, first_row, diagonal.m_step(0.0, blocks.n_features), parameters)
    variances: NDArray[np.float64] = np.maximum(parameters.covariances[0], 0.0)
    return variances


def _everything(block: Block) -> NDArray[np.float64]:
    """The responsibilities of a single component."""
    return np.broadcast_to(1.0, (block.rows.array.shape[0], 1))


def maximize_likelihood(passes: Passes, start: Parameters, m_step: MStep, *, tol: float, max_iter: int, previous: float = -math.inf,
                        report: Callable[[int, float, Parameters], bool] | None = None) -> Fit:
    """
    EM from one start: E step (5), M step (7) (8) (11), until the log-likelihood (6) stops rising.

    Parameters
    ----------
    passes : Passes
    start : Parameters
        Factorized; not changed.
    m_step : MStep
    tol : float
        Stop when the mean log-likelihood of a row changes by less.
    max_iter : int
        Stop after so many iterations.
    previous : float
        The mean log-likelihood that the first iteration's is compared with, where EM goes on from an earlier fit.
    report : callable, optional
        Called after each iteration with its number (from 1), the mean log-likelihood that its E step found and the parameters
        that it is of. EM stops where it returns True.

    Returns
    -------
    Fit
    """
    loop = EM(passes, start, m_step, tol, previous)
    history: list[float] = []
    stop, at_once = False, passes.at_once if report is None else 1
    while len(history) < max_iter and not (loop.converged or loop.collapsed >= 0 or stop):
        history += loop.run(min(at_once, max_iter - len(history)))
        stop = report is not None and report(len(history), history[-1], loop.current)
    if loop.collapsed >= 0:
        return Fit(loop.current, history, False, loop.collapsed)
    return Fit(loop.following, history, loop.converged, None)

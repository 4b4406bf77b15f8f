"""EM: the passes over the data that it makes, where it starts and where it ends. The loop itself is `_core/em.pyx`."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from gaussmix._core.em import Ascent, Moments
from gaussmix._core.estep import Pass, Workspace
from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind, Statistics
from gaussmix.structures import structure_named

__all__ = ["Fit", "Passes", "SingularStart", "allotted_start", "chosen_start", "feature_variances", "maximize_likelihood"]

# The variance of a component on one row, as a part of `Chosen.spread`: so small that the first E step gives each row to the
# nearest, so large that densities stay far inside the range.
POINT = 1e-10


class SingularStart(ValueError):
    """EM cannot begin: a component of the start has no rows, or a singular covariance."""

    @classmethod
    def covariance(cls, component):
        return cls(
            f"the covariance of component {component} of the start is singular, as its rows lie in a subspace or are too few. Fitting "
            "the mixture model failed because some components have ill-defined empirical covariance (for instance caused by singleton "
            "or collapsed samples). Try to decrease the number of components, increase reg_covar, or scale the input data.")


class Passes:
    """
    The passes over the data that EM makes. Each leaves Statistics.

    Parameters
    ----------
    blocks : Blocks
    kind : Kind
    n_components : int
    threads : Threads
    """

    def __init__(self, blocks, kind, n_components, threads):
        self.blocks, self.kind, self.n_components, self.threads = blocks, kind, n_components, threads
        self._shape = n_components, blocks.n_features
        self.total = Statistics(kind, *self._shape)
        self._n_workers = min(threads.n_threads, len(blocks))
        n_alive = min(2 * self._n_workers, len(blocks))
        self._parts = [Statistics(kind, *self._shape) for _ in range(n_alive)] if len(blocks) > 1 else [self.total]
        self._allocate()

    def _allocate(self):
        self.the_pass = Pass(self.kind, *self._shape, self.blocks.size)
        self.workspaces = [Workspace(*self._shape, self.blocks.size) for _ in range(self._n_workers)]

    def _prepare(self, parameters, reference):
        self.blocks.widen_for(parameters)
        if self.the_pass.size != self.blocks.size:
            self._allocate()
        self.the_pass.prepare(parameters, reference)

    def expect(self, parameters, reference):
        """
        The E step: densities (1), responsibilities (5), log-likelihood (6) and the moments they weight.

        Parameters
        ----------
        parameters : Parameters
        reference : ndarray, shape (K, D)
            What the moments are taken about.

        Returns
        -------
        Statistics
            Overwritten by the next pass.
        """
        self._prepare(parameters, reference)
        return self._sum(lambda index, *block: self.the_pass.expect(*block))

    def allot(self, allotment, reference):
        """
        The moments under given labels or responsibilities, in place of an E step.

        Parameters
        ----------
        allotment : callable
            From the number of a block and its bounds to (labels, None) or (None, responsibilities).
        reference : ndarray, shape (K, D)

        Returns
        -------
        Statistics
            Overwritten by the next pass.
        """
        self._prepare(Parameters(self.kind, *self._shape), reference)

        def compute(index, rows, weights, part, workspace):
            self.the_pass.allot(rows, weights, *allotment(index, *self.blocks.bounds[index]), part, workspace)

        return self._sum(compute)

    def _sum(self, compute):
        blocks, total = self.blocks, self.total
        total.clear()

        free = deque(self._parts)

        def one(worker, index):
            part = free.popleft()
            part.clear()
            compute(index, blocks.rows(index), blocks.row_weights(index), part, self.workspaces[worker])
            return part

        def add(index, part):
            if part is total:  # the only block's
                return
            if index == 0:
                total.reference[...] = part.reference
            total.accumulate(part)
            free.append(part)

        self.threads.each(len(blocks), one, add)
        return total


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
    history: list
    converged: bool
    collapsed: int | None


def allotted_start(passes, allotment, m_step, *, share=False):
    """
    Parameters from given labels or responsibilities: an M step before the first E step.

    Two passes: means, unless they are known, then moments about them.

    Parameters
    ----------
    passes : Passes
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
    centres, donors = (allotment.means, []) if allotment.means is not None else _means(passes, allotment, share)

    def moments(reference):
        statistics = passes.allot(allotment, reference)
        _halve(statistics, donors)
        return statistics

    parameters = Parameters(passes.kind, passes.n_components, passes.blocks.n_features)
    singular = Moments(moments).maximize(centres, m_step, parameters)
    if singular >= 0:
        raise SingularStart.covariance(singular)
    return parameters


def _means(passes, allotment, share):
    """Every component's mean, and for each one without rows a pair of it and the one that it shares with."""
    blocks = passes.blocks
    first_row = np.asarray(blocks.X[:1], dtype=np.float64)
    some_point = np.repeat(first_row, passes.n_components, axis=0)
    means_only = passes if passes.kind == Kind.DIAG else Passes(blocks, Kind.DIAG, passes.n_components, passes.threads)
    statistics = means_only.allot(allotment, some_point)
    donors = []
    for k in np.flatnonzero(~(statistics.weight > 0)):
        if not share:
            raise SingularStart(f"component {k} of the start has no rows: use fewer than {passes.n_components} components, "
                                "or another start")
        donors.append((k, int(np.argmax(statistics.weight))))
        _halve(statistics, donors[-1:])
    return statistics.reference + statistics.first / statistics.weight[:, None], donors


def chosen_start(passes, chosen, structure, reg_covar):
    """
    Parameters with rows as means, as scikit-learn's: equal weights and the same small variance everywhere.

    The first E step then gives each row to the nearest mean, and the first M step takes the moments of these.

    Parameters
    ----------
    passes : Passes
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
    parameters = Parameters(passes.kind, *chosen.means.shape)
    parameters.weights[...] = 1 / len(chosen.means)
    parameters.means[...] = chosen.means
    # Relative amounts are in each feature's own unit, in which the nearest are then found.
    variance = reg_covar if np.ndim(reg_covar) > 0 else POINT * chosen.spread + reg_covar
    singular = structure.m_step(variance, passes.blocks.n_features).regularize(parameters)
    if singular >= 0:
        raise SingularStart.covariance(singular)
    return parameters


def _halve(statistics, donors):
    """Give each empty component half of its donor's rows, the two about the same point."""
    for k, donor in donors:
        for sums in (statistics.weight, statistics.first) + ((statistics.second,) if statistics.kind != Kind.TIED else ()):
            sums[donor] /= 2
            sums[k] = sums[donor]


def feature_variances(blocks, threads):
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
    passes = Passes(blocks, Kind.DIAG, 1, threads)
    longest = max(stop - start for start, stop in blocks.bounds)
    everyone = np.zeros(longest, dtype=np.int32)

    def moments(reference):
        return passes.allot(lambda index, start, stop: (everyone[:stop - start], None), reference)

    parameters = Parameters(Kind.DIAG, 1, blocks.n_features)
    first_row = np.array(blocks.X[:1], dtype=np.float64, order="C")
    Moments(moments).maximize(first_row, structure_named("diag").m_step(0.0, blocks.n_features), parameters)
    return np.maximum(parameters.covariances[0], 0.0)


def maximize_likelihood(passes, start, m_step, *, tol, max_iter, previous=-math.inf, report=None):
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
    ascent, history = Ascent(passes, start, m_step, tol, previous), []
    stop, at_once = False, passes.blocks.at_once if report is None else 1
    while len(history) < max_iter and not (ascent.converged or ascent.collapsed >= 0 or stop):
        history += ascent.run(min(at_once, max_iter - len(history)))
        stop = report is not None and report(len(history), history[-1], ascent.current)
    if ascent.collapsed >= 0:
        return Fit(ascent.current, history, False, ascent.collapsed)
    return Fit(ascent.following, history, ascent.converged, None)

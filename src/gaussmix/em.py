"""The EM loop: E step, M step, stop. It reads beside section 1 of the design."""

from dataclasses import dataclass, field

import numpy as np

from gaussmix._core import mstep
from gaussmix._core.estep import Pass, Workspace
from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind, Statistics

__all__ = ["Fit", "Passes", "SingularStart", "allotted_start", "maximize_likelihood"]

# A mean that moves by this many of its new standard deviations (squared) in one M step leaves second moments whose
# rounding error, about ε times this, is 1e-12 of the new covariance. Past it they are taken again about the new mean.
FAR = 1e4

# Each time the distance that is left falls by ε, so that these bring a mean home from the end of the range of double.
MOST_RETAKES = 25


class SingularStart(ValueError):
    """EM cannot begin: a component of the start has no rows, or a singular covariance."""


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
        self._parts = [Statistics(kind, *self._shape) for _ in range(min(threads.n_threads, len(blocks)))]
        self._total = Statistics(kind, *self._shape)
        self._allocate()

    def _allocate(self):
        self._pass = Pass(self.kind, *self._shape, self.blocks.size)
        self._workspaces = [Workspace(*self._shape, self.blocks.size) for _ in self._parts]

    def _prepare(self, parameters, reference):
        if self.blocks.widened_for(parameters.means, parameters.factors):
            self._allocate()
        self._pass.prepare(parameters, reference)

    def expect(self, parameters, reference=None):
        """
        The E step: densities (1), responsibilities (5), log-likelihood (6) and the moments they weight.

        Parameters
        ----------
        parameters : Parameters
        reference : ndarray, shape (K, D), optional
            What the moments are taken about; the means by default.

        Returns
        -------
        Statistics
            Overwritten by the next pass.
        """
        self._prepare(parameters, reference)
        return self._sum(self._pass.expect)

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

        def compute(rows, weights, part, workspace, index):
            self._pass.allot(rows, weights, *allotment(index, *self.blocks.bounds[index]), part, workspace)

        return self._sum(compute, numbered=True)

    def _sum(self, compute, numbered=False):
        blocks, total = self.blocks, self._total
        total.clear()

        def one(worker, index):
            part = self._parts[worker]
            part.clear()
            number = (index,) if numbered else ()
            compute(blocks.rows(index), blocks.row_weights(index), part, self._workspaces[worker], *number)

        def add(worker, index):
            if index == 0:
                total.reference[...] = self._parts[worker].reference
            total.accumulate(self._parts[worker])

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
    history: list = field(default_factory=list)
    converged: bool = False
    collapsed: int | None = None


def m_step(statistics, structure, parameters, reg_covar, again):
    """
    The M step, with second moments taken again where a mean went far.

    Parameters
    ----------
    statistics : Statistics
    structure : Structure
    parameters : Parameters
        Overwritten in place.
    reg_covar : float
    again : callable
        From reference points to the same Statistics about them.

    Returns
    -------
    int
        −1, or the index of the first component that has no weight or a singular covariance.
    """
    singular = structure.maximize(statistics, parameters, reg_covar)
    for _ in range(MOST_RETAKES):
        if singular >= 0 and not statistics.weight[singular] > 0:
            break
        far = mstep.displacement(statistics, parameters) if singular < 0 else mstep.shift(statistics)
        if far <= FAR:
            break
        statistics = again(parameters.means.copy())
        singular = structure.maximize(statistics, parameters, reg_covar)
    return singular


def allotted_start(passes, allotment, structure, reg_covar):
    """
    Parameters from given labels or responsibilities: an M step before the first E step.

    Two passes: means, then moments about them.

    Parameters
    ----------
    passes : Passes
    allotment : callable
        As for `Passes.allot`.
    structure : Structure
    reg_covar : float

    Returns
    -------
    Parameters

    Raises
    ------
    SingularStart
        Naming the component.
    """
    blocks = passes.blocks
    first_row = np.asarray(blocks.X[:1], dtype=np.float64)
    some_point = np.repeat(first_row, passes.n_components, axis=0)
    means_only = passes if passes.kind == Kind.DIAG else Passes(blocks, Kind.DIAG, passes.n_components, passes.threads)
    statistics = means_only.allot(allotment, some_point)
    for k in np.flatnonzero(~(statistics.weight > 0)):
        raise SingularStart(f"component {k} of the start has no rows: use fewer than {passes.n_components} components, "
                            "or another start")
    centres = statistics.reference + statistics.first / statistics.weight[:, None]
    parameters = Parameters(passes.kind, passes.n_components, blocks.n_features)
    statistics = passes.allot(allotment, centres)
    singular = m_step(statistics, structure, parameters, reg_covar, lambda means: passes.allot(allotment, means))
    if singular >= 0:
        raise SingularStart(
            f"the covariance of component {singular} of the start is singular (its rows lie in a subspace, or are fewer "
            "than the features need): increase reg_covar, use fewer components, or a simpler covariance_type")
    return parameters


def maximize_likelihood(passes, start, structure, *, tol, max_iter, reg_covar, report=None):
    """
    EM from one start: E step (5), M step (7) (8) (11), until the log-likelihood (6) stops rising.

    Parameters
    ----------
    passes : Passes
    start : Parameters
        Factorized; not changed.
    structure : Structure
    tol : float
        Stop when the mean log-likelihood of a row changes by less.
    max_iter : int
        Stop after so many iterations.
    reg_covar : float
        Added to every variance in each M step.
    report : callable, optional
        Called after each E step with the iteration (from 1), its mean log-likelihood and the parameters that it is of.
        EM stops where it returns True.

    Returns
    -------
    Fit
    """
    fit = Fit(start)
    following = Parameters(passes.kind, passes.n_components, passes.blocks.n_features)
    spare = Parameters(passes.kind, passes.n_components, passes.blocks.n_features)
    for iteration in range(1, max_iter + 1):
        current = fit.parameters
        statistics = passes.expect(current)
        fit.history.append(statistics.log_likelihood / statistics.total_weight)
        stop = report is not None and report(iteration, fit.history[-1], current)
        singular = m_step(statistics, structure, following, reg_covar, lambda means: passes.expect(current, means))
        if singular >= 0:
            fit.collapsed = singular
            break
        fit.parameters, following = following, (spare if current is start else current)
        fit.converged = iteration > 1 and abs(fit.history[-1] - fit.history[-2]) < tol
        if fit.converged or stop:
            break
    return fit

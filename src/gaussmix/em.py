"""The EM loop: E step, M step, stop. It reads beside section 1 of the design."""

import math
from dataclasses import dataclass, field

import numpy as np

from gaussmix._core import mstep
from gaussmix._core.estep import Pass, Workspace
from gaussmix._core.parameters import Parameters
from gaussmix.statistics import Kind, Statistics
from gaussmix.structures import structure_named

__all__ = ["Fit", "Passes", "SingularStart", "allotted_start", "chosen_start", "feature_variances", "maximize_likelihood"]

# A mean that moves by this many of its new standard deviations (squared) in one M step leaves second moments whose
# rounding error, about ε times this, is 1e-12 of the new covariance. Past it they are taken again about the new mean.
FAR = 1e4

# Each time the distance that is left falls by ε, so that these bring a mean home from the end of the range of double.
MOST_RETAKES = 25

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
        self._parts = [Statistics(kind, *self._shape) for _ in range(min(threads.n_threads, len(blocks)))]
        self._total = Statistics(kind, *self._shape)
        self._allocate()

    def _allocate(self):
        self._pass = Pass(self.kind, *self._shape, self.blocks.size)
        self._workspaces = [Workspace(*self._shape, self.blocks.size) for _ in self._parts]

    def _prepare(self, parameters, reference):
        self.blocks.widen_for(parameters)
        if self._pass.size != self.blocks.size:
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
        return self._sum(lambda index, *block: self._pass.expect(*block))

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
            self._pass.allot(rows, weights, *allotment(index, *self.blocks.bounds[index]), part, workspace)

        return self._sum(compute)

    def _sum(self, compute):
        blocks, total = self.blocks, self._total
        total.clear()

        def one(worker, index):
            part = self._parts[worker]
            part.clear()
            compute(index, blocks.rows(index), blocks.row_weights(index), part, self._workspaces[worker])

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
    reg_covar : float or ndarray, shape (D,)
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


def allotted_start(passes, allotment, structure, reg_covar, *, share=False):
    """
    Parameters from given labels or responsibilities: an M step before the first E step.

    Two passes: means, then moments about them.

    Parameters
    ----------
    passes : Passes
    allotment : callable
        As for `Passes.allot`.
    structure : Structure
    reg_covar : float or ndarray, shape (D,)
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
    centres = statistics.reference + statistics.first / statistics.weight[:, None]

    def moments(reference):
        statistics = passes.allot(allotment, reference)
        _halve(statistics, donors)
        return statistics

    parameters = Parameters(passes.kind, passes.n_components, blocks.n_features)
    singular = m_step(moments(centres), structure, parameters, reg_covar, moments)
    if singular >= 0:
        raise SingularStart.covariance(singular)
    return parameters


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
    parameters.covariances[...] = 0
    relative = np.ndim(reg_covar) > 0  # then the nearest are found in each feature's own unit
    structure.add_to_features(parameters, reg_covar if relative else np.full(len(chosen.means[0]), POINT * chosen.spread + reg_covar))
    singular = parameters.factorize()
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
    m_step(moments(np.array(blocks.X[:1], dtype=np.float64, order="C")), structure_named("diag"), parameters, 0.0, moments)
    return np.maximum(parameters.covariances[0], 0.0)


def maximize_likelihood(passes, start, structure, *, tol, max_iter, reg_covar, previous=-math.inf, report=None):
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
    reg_covar : float or ndarray, shape (D,)
        Added to every variance in each M step.
    previous : float
        The mean log-likelihood that the first iteration's is compared with, where EM goes on from an earlier fit.
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
        fit.converged = abs(fit.history[-1] - previous) < tol
        previous = fit.history[-1]
        if fit.converged or stop:
            break
    return fit

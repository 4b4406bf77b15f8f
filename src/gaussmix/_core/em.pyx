# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The EM loop: E step, M step, stop. It reads beside the equations of docs/mathematics.md.

It runs with the GIL released, and makes its E steps through `Passes`: where and how these are made it does not know.
"""
from libc.math cimport fabs
from gaussmix._core.densities cimport Densities
from gaussmix._core.mstep cimport MStep, displacement, shift
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.passes cimport Passes
from gaussmix._core.statistics cimport Statistics

import numpy as np

# A mean that moves by this many of its new standard deviations (squared) in one M step leaves second moments whose
# rounding error, about ε times this, is 1e-12 of the new covariance. Past it they are taken again about the new mean.
cdef double FAR = 1e4

# Each time the distance that is left falls by ε, so that these bring a mean home from the end of the range of double.
cdef enum:
    MOST_RETAKES = 25


cdef Py_ssize_t m_step(Passes passes, Densities densities, MStep step, Parameters p) except -2 nogil:
    """The M step after a pass under `densities`, with second moments taken again where a mean went far."""
    cdef Py_ssize_t singular = step.maximize_all(passes.total, p)
    cdef double far
    cdef int _again
    for _again in range(MOST_RETAKES):
        if singular >= 0 and not passes.total.s0[singular] > 0:
            break
        far = displacement(passes.total, p.densities) if singular < 0 else shift(passes.total)
        if far <= FAR:
            break
        passes.sum_all(densities, p.densities)
        singular = step.maximize_all(passes.total, p)
    return singular


def maximize(Passes passes not None, Densities about not None, MStep step not None, Parameters parameters not None):
    """
    An M step without an E step before it: under labels or responsibilities that are given.

    Parameters
    ----------
    passes : Passes
        Of an E step that reads no densities.
    about : Densities
        Whose means the moments are taken about at first.
    step : MStep
    parameters : Parameters
        Overwritten in place.

    Returns
    -------
    int
        −1, or the index of the first component that has no weight or a singular covariance.
    """
    passes.sum(about)
    if passes.is_short():
        return m_step(passes, about, step, parameters)
    with nogil:
        singular = m_step(passes, about, step, parameters)
    return singular


cdef class Objective:
    """What EM raises: the mean log-likelihood of a row, (6) over Σ_n w_n."""

    cdef double value(self, Statistics statistics, Parameters p) except? -1 nogil:
        """Its value under the parameters `p`, whose E step left `statistics`."""
        return statistics.log_likelihood / statistics.total_weight


cdef class Posterior(Objective):
    """
    The log-likelihood and the log-density of a prior, over Σ_n w_n.

    Parameters
    ----------
    log_prior : callable
        From Parameters to the logarithm of their prior density, but for a constant.
    """

    def __init__(self, log_prior):
        self.log_prior = log_prior

    cdef double value(self, Statistics statistics, Parameters p) except? -1 nogil:
        cdef double log_prior
        with gil:
            log_prior = self.log_prior(p)
        return (statistics.log_likelihood + log_prior) / statistics.total_weight


cdef class EM:
    """
    EM from one start, until the objective stops rising.

    Parameters
    ----------
    passes : Passes
        Makes the E steps.
    start : Parameters
        Factorized; not changed.
    step : MStep
    tol : float
        EM has converged when the objective changes by less.
    previous : float
        What the first iteration's objective is compared with.
    objective : Objective, optional
        By default the mean log-likelihood.

    Attributes
    ----------
    current : Parameters
        What the last E step was under.
    following : Parameters
        What its M step made of them.
    converged : bool
    collapsed : int
        The component for which that M step was not possible, or −1.
    """

    def __init__(self, Passes passes not None, Parameters start not None, MStep step not None, double tol, double previous,
                 Objective objective=None):
        self.passes, self.step, self.tol, self.previous = passes, step, tol, previous
        self.objective = Objective() if objective is None else objective
        self.current, self.following = start.copy(), start.copy()
        self.collapsed = -1

    def run(self, Py_ssize_t iterations):
        """
        Up to so many iterations.

        Returns
        -------
        list of float
            The objective that each iteration's E step found.
        """
        cdef double[::1] found = np.empty(iterations)
        cdef Py_ssize_t n = 0
        with nogil:
            while n < iterations and not self.converged and self.collapsed < 0:
                found[n] = self.iterate()
                n += 1
        return np.asarray(found)[:n].tolist()

    cdef double iterate(self) except? -1 nogil:
        """E step (5), M step (7) (8) (11); return the objective before it."""
        self.current.assign(self.following)
        self.passes.sum_all(self.current.densities, None)
        cdef double reached = self.objective.value(self.passes.total, self.current)
        self.collapsed = m_step(self.passes, self.current.densities, self.step, self.following)
        self.converged = self.collapsed < 0 and fabs(reached - self.previous) < self.tol
        self.previous = reached
        return reached

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The EM loop: E step, M step, and the test whether to stop. docs/mathematics.md has the equations.

The loop runs with the GIL released. It makes E steps through `Passes`, and does not know where and how these are carried out.
"""
from libc.math cimport fabs
from gaussmix._core.densities cimport Densities
from gaussmix._core.mstep cimport MStep, displacement, shift
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.passes cimport Passes
from gaussmix._core.statistics cimport Statistics

import numpy as np

# The square of how far a mean may move in one M step, in its new standard deviations. At this distance the rounding error of the
# second moments, about ε times this, is 1e-12 of the new covariance. Beyond it they are taken again about the new mean.
cdef double FAR = 1e4

# Each retake multiplies the remaining distance by ε. This many bring a mean to its place from the end of the range of double.
cdef enum:
    MOST_RETAKES = 25


cdef Py_ssize_t m_step(Passes passes, Densities densities, MStep step, Parameters p) except -2 nogil:
    """Make the M step after a pass under `densities`. Second moments are taken again where a mean moved far."""
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
    Make an M step without an E step before it, under given labels or responsibilities.

    Parameters
    ----------
    passes : Passes
        The passes of an E step that reads no densities.
    about : Densities
        The moments are first taken about the means of these.
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
    """The objective that EM raises: the mean log-likelihood of a row, which is (6) divided by Σ_n w_n."""

    cdef double value(self, Statistics statistics, Parameters p) except? -1 nogil:
        """Its value under the parameters `p`. `statistics` are the result of the E step under them."""
        return statistics.log_likelihood / statistics.total_weight


cdef class Posterior(Objective):
    """
    The sum of the log-likelihood and the log-density of a prior, divided by Σ_n w_n.

    Parameters
    ----------
    log_prior : callable
        Returns for Parameters the logarithm of their prior density, up to a constant.
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
        EM has converged when the objective changes by less than this.
    previous : float
        The value that the objective of the first iteration is compared with.
    objective : Objective, optional
        By default the mean log-likelihood.

    Attributes
    ----------
    current : Parameters
        The parameters of the last E step.
    following : Parameters
        The parameters that the M step after it made.
    converged : bool
    collapsed : int
        The component for which this M step was not possible, or −1.
    """

    def __init__(self, Passes passes not None, Parameters start not None, MStep step not None, double tol, double previous,
                 Objective objective=None):
        self.passes, self.step, self.tol, self.previous = passes, step, tol, previous
        self.objective = Objective() if objective is None else objective
        self.current, self.following = start.copy(), start.copy()
        self.collapsed = -1

    def run(self, Py_ssize_t iterations):
        """
        Make up to this many iterations.

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

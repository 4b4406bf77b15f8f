# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The EM loop: E step, M step, stop. It reads beside section 1 of the design.

The loop runs with the GIL released. Where the rows are a single block, which is passed over in a millisecond or less, nothing in
it needs Python, so that many small fits in as many threads wait for each other seldom; several blocks are mapped by the engine.
"""
from libc.math cimport fabs
from gaussmix._core.estep cimport start_of
from gaussmix._core.mstep cimport MStep, displacement, shift
from gaussmix._core.parameters cimport Parameters

import numpy as np

# A mean that moves by this many of its new standard deviations (squared) in one M step leaves second moments whose
# rounding error, about ε times this, is 1e-12 of the new covariance. Past it they are taken again about the new mean.
cdef double FAR = 1e4

# Each time the distance that is left falls by ε, so that these bring a mean home from the end of the range of double.
cdef enum:
    MOST_RETAKES = 25


cdef class Moments:
    """
    The Statistics of the same rows and responsibilities about whichever reference points the M step wants.

    Parameters
    ----------
    taken : callable
        From reference points, shape (K, D), to Statistics about them.
    """

    def __init__(self, taken):
        self.taken = taken

    cdef int take(self, Parameters about) except -1 nogil:
        """Leave in `statistics` the moments about the means of `about`."""
        with gil:
            self.statistics = self.taken(about.means)
        return 0

    cdef Py_ssize_t m_step(self, MStep step, Parameters p) except -2 nogil:
        """The M step, with second moments taken again where a mean went far."""
        cdef Py_ssize_t singular = step.maximize_all(self.statistics, p)
        cdef double far
        cdef int _again
        for _again in range(MOST_RETAKES):
            if singular >= 0 and not self.statistics.s0[singular] > 0:
                break
            far = displacement(self.statistics, p) if singular < 0 else shift(self.statistics)
            if far <= FAR:
                break
            self.take(p)
            singular = step.maximize_all(self.statistics, p)
        return singular

    def maximize(self, reference, MStep step not None, Parameters parameters not None):
        """
        The M step, on moments about `reference` at first.

        Parameters
        ----------
        reference : ndarray, shape (K, D)
        step : MStep
        parameters : Parameters
            Overwritten in place.

        Returns
        -------
        int
            −1, or the index of the first component that has no weight or a singular covariance.
        """
        self.statistics = self.taken(reference)
        with nogil:
            singular = self.m_step(step, parameters)
        return singular


cdef class Ascent(Moments):
    """
    EM from one start, which raises the log-likelihood (6) until it stops rising.

    Parameters
    ----------
    passes : Passes
        Its `expect` is the E step.
    start : Parameters
        Factorized; not changed.
    step : MStep
    tol : float
        EM has converged when the mean log-likelihood of a row changes by less.
    previous : float
        What the first iteration's is compared with.

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

    def __init__(self, passes, Parameters start not None, MStep step not None, double tol, double previous):
        self.passes, self.step, self.tol, self.previous = passes, step, tol, previous
        self.current = Parameters(start.kind, start.n_components, start.n_features)
        self.following = Parameters(start.kind, start.n_components, start.n_features)
        self.following.assign(start)
        self.collapsed = -1
        self.statistics = passes.total

    def run(self, Py_ssize_t iterations):
        """
        Up to so many iterations.

        Returns
        -------
        list of float
            The mean log-likelihood that each iteration's E step found.
        """
        cdef double[::1] found = np.empty(iterations)
        cdef Py_ssize_t n = 0
        self.face_block()
        with nogil:
            while n < iterations and not self.converged and self.collapsed < 0:
                found[n] = self.iterate()
                n += 1
        return np.asarray(found)[:n].tolist()

    cdef double iterate(self) except? -1 nogil:
        """E step (5), M step (7) (8) (11); return the mean log-likelihood (6) before it."""
        self.current.assign(self.following)
        self.take(self.current)
        cdef double log_likelihood = self.statistics.log_likelihood / self.statistics.total_weight
        self.collapsed = self.m_step(self.step, self.following)
        self.converged = self.collapsed < 0 and fabs(log_likelihood - self.previous) < self.tol
        self.previous = log_likelihood
        return log_likelihood

    cdef int take(self, Parameters about) except -1 nogil:
        """The E step under `current`, with moments about the means of `about`."""
        if self.rows is not None and self.current.largest_number() < self.limit:
            self.the_pass.prepare_all(self.current, about.mu)
            self.statistics.clear_sums()
            self.the_pass.expect_rows(self.rows, self.row_weights, self.statistics, self.work)
            return 0
        with gil:
            self.statistics = self.passes.expect(self.current, about.means)
            self.face_block()
        return 0

    cdef int face_block(self) except -1:
        """Have at hand the block, where it is the only one, and what passes over it."""
        blocks = self.passes.blocks
        if len(blocks) > 1:
            return 0
        self.weights = blocks.row_weights(0)
        self.rows, self.the_pass, self.work = blocks.rows(0), self.passes.the_pass, self.passes.workspaces[0]
        self.row_weights = start_of(self.weights)
        self.limit = blocks.limit
        self.the_pass.prepare(self.current)
        self.the_pass.check(self.rows, self.weights, self.statistics, self.work)
        return 0

from gaussmix._core.coordinates cimport Course
from gaussmix._core.densities cimport Densities
from gaussmix._core.mstep cimport MStep
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.passes cimport Passes
from gaussmix._core.statistics cimport Statistics

cdef Py_ssize_t m_step(Passes passes, Densities densities, MStep step, Parameters p) except -2 nogil

cdef class Objective:
    cdef double value(self, Statistics statistics, Parameters p) except? -1 nogil

cdef class Posterior(Objective):
    cdef object log_prior

cdef enum:
    LAST = 10
    HOPELESS = 3

cdef class Stopping:
    cdef double tol
    cdef bint needs_course
    cdef bint met(self, double reached, double change, Course course) noexcept nogil

cdef class NearLimit(Stopping):
    cdef double[LAST] rates
    cdef Py_ssize_t calm
    cdef Py_ssize_t hopeless
    cdef double worth

cdef class EM:
    cdef Passes passes
    cdef MStep step
    cdef Objective objective
    cdef Stopping stopping
    cdef readonly Course course
    cdef double previous
    cdef readonly Parameters current
    cdef readonly Parameters following
    cdef readonly Py_ssize_t n_passes
    cdef readonly bint converged
    cdef readonly Py_ssize_t collapsed
    cdef bint iterate(self) except -1 nogil
    cdef double evaluate(self, Parameters p) except? -1 nogil
    cdef int go_on(self, double reached) except -1 nogil

cdef class AcceleratedEM(EM):
    cdef Parameters ahead
    cdef double bound
    cdef bint bounded
    cdef bint is_ahead
    cdef int look_ahead(self) except -1 nogil

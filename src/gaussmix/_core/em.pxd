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

cdef class EM:
    cdef Passes passes
    cdef MStep step
    cdef Objective objective
    cdef double tol
    cdef double previous
    cdef readonly Parameters current
    cdef readonly Parameters following
    cdef readonly bint converged
    cdef readonly Py_ssize_t collapsed
    cdef double iterate(self) except? -1 nogil

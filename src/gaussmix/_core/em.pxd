from gaussmix._core.estep cimport Pass, Rows, Workspace
from gaussmix._core.mstep cimport MStep
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.statistics cimport Statistics

cdef class Moments:
    cdef object taken
    cdef Statistics statistics
    cdef int take(self, Parameters about) except -1 nogil
    cdef Py_ssize_t m_step(self, MStep step, Parameters p) except -2 nogil

cdef class Ascent(Moments):
    cdef object passes
    cdef MStep step
    cdef double tol
    cdef double previous
    cdef readonly Parameters current
    cdef readonly Parameters following
    cdef readonly bint converged
    cdef readonly Py_ssize_t collapsed
    cdef Rows rows
    cdef Pass the_pass
    cdef Workspace work
    cdef const double[::1] weights
    cdef const double *row_weights
    cdef double limit
    cdef double iterate(self) except? -1 nogil
    cdef int face_block(self) except -1

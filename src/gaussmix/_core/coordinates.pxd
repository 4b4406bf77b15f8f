from gaussmix._core.mstep cimport MStep
from gaussmix._core.parameters cimport Parameters

cdef class Coordinates:
    cdef Py_ssize_t K, D
    cdef Py_ssize_t n_factors
    cdef Py_ssize_t factor_size
    cdef readonly Py_ssize_t size
    cdef object memory
    cdef double *square
    cdef int write(self, Parameters p, double *x) except -1 nogil
    cdef Py_ssize_t read(self, double *x, MStep step, Parameters p) except -2 nogil
    cdef int whiten(self, Parameters at, const double *change, double *whitened) except -1 nogil

cdef class Course:
    cdef readonly Coordinates coordinates
    cdef object memory
    cdef double *x
    cdef double *residual
    cdef double *last_x
    cdef double *last_residual
    cdef double *beyond
    cdef double *whitened
    cdef readonly Py_ssize_t n_points
    cdef readonly double square
    cdef readonly double rate
    cdef double r_dr
    cdef double dr_dr
    cdef double r_dg
    cdef double dg_dg
    cdef int record(self, Parameters current, Parameters following) except -1 nogil
    cdef double extrapolate(self, double bound) noexcept nogil

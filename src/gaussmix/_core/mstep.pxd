from gaussmix._core.densities cimport Densities
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.statistics cimport Statistics

cdef class MStep:
    cdef readonly Py_ssize_t n_features
    cdef const double *added
    cdef readonly object amounts
    cdef Py_ssize_t maximize_all(self, Statistics s, Parameters p) except -2 nogil
    cdef bint knows(self, Statistics s, Parameters p) noexcept nogil
    cdef Py_ssize_t covariances(self, Statistics s, Parameters p) except -2 nogil
    cdef Py_ssize_t square_factors(self, Parameters p) except -2 nogil

cdef class MStepWithPrior(MStep):
    cdef MStep step
    cdef object statistics_of
    cdef Statistics with_prior(self, Statistics s)

cdef class MatrixMStep(MStep):
    pass

cdef class DiagonalMStep(MStep):
    pass

cdef class SphericalMStep(MStep):
    pass

cdef double displacement(Statistics s, Densities p) noexcept nogil
cdef double shift(Statistics s) noexcept nogil

from gaussmix._core.densities cimport Densities
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.statistics cimport Statistics

cdef class MStep:
    cdef readonly Py_ssize_t n_features
    cdef const double *added
    cdef object owner
    cdef Py_ssize_t maximize_all(self, Statistics s, Parameters p) except -2 nogil
    cdef Py_ssize_t regularize_all(self, Parameters p) except -2 nogil
    cdef void constrain(self, Parameters p) noexcept nogil

cdef class SphericalMStep(MStep):
    pass

cdef double displacement(Statistics s, Densities p) noexcept nogil
cdef double shift(Statistics s) noexcept nogil

from gaussmix._core.densities cimport Densities
from gaussmix._core.estep cimport Block, EStep, Workspace
from gaussmix._core.statistics cimport Statistics

cdef class Passes:
    cdef public EStep estep
    cdef readonly Statistics total
    cdef readonly Py_ssize_t at_once
    cdef bint is_short(self) noexcept nogil
    cdef int sum_all(self, Densities d, Densities about) except -1 nogil
    cdef int read_row(self, Py_ssize_t n, double *row) except -1 nogil

cdef class OneBlock(Passes):
    cdef Block block
    cdef Workspace work
    cdef double limit
    cdef object widened
    cdef int face(self, Block block) except -1

from libc.stdint cimport int32_t
from gaussmix._core.densities cimport Densities
from gaussmix._core.estep cimport Block, EStep, Workspace
from gaussmix._core.passes cimport Passes
from gaussmix._core.statistics cimport Statistics

cdef class Distances(EStep):
    cdef int distances_tile(self, Block block, Py_ssize_t start, Workspace work) noexcept nogil

cdef class Nearest(Distances):
    cdef int32_t[::1] labels
    cdef Py_ssize_t[::1] moved

cdef class Potentials(Distances):
    cdef double[::1] closest

cdef class Closest(Distances):
    cdef double[::1] closest
    cdef double[::1] masses

cdef class Lloyd:
    cdef readonly Passes passes
    cdef Py_ssize_t[::1] moved
    cdef double tol
    cdef double threshold
    cdef Densities at
    cdef readonly double inertia
    cdef readonly Py_ssize_t n_iter
    cdef readonly bint ended
    cdef readonly bint starved
    cdef int iterate(self) except -1 nogil
    cdef void move(self, Statistics s) noexcept nogil

cdef class Seeding:
    cdef Passes potentials
    cdef Passes lower
    cdef const double[::1] weights
    cdef const double *row_weights
    cdef const double[::1] closest
    cdef const double[::1] masses
    cdef const Py_ssize_t[::1] ends
    cdef Py_ssize_t n_chosen
    cdef Py_ssize_t[::1] candidates
    cdef Densities points
    cdef Densities best
    cdef Py_ssize_t drawn(self, double u) noexcept nogil
    cdef double mass(self, Py_ssize_t n, bint far) noexcept nogil
    cdef Py_ssize_t take(self, Py_ssize_t count) except -1 nogil

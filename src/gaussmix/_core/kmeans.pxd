from libc.stdint cimport int32_t
from gaussmix._core.estep cimport Rows, Workspace, gm_kernels

cdef class Centres:
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef size_t size
    cdef const gm_kernels *kernels
    cdef char *points
    cdef object owner
    cdef int distances_tile(self, Rows x, Py_ssize_t start, Workspace work) noexcept nogil
    cdef Py_ssize_t nearest_rows(self, Rows x, const double *weights, int32_t *labels, double *first, double *weight,
                                 double *inertia, Workspace work) noexcept nogil
    cdef void potentials_rows(self, Rows x, const double *weights, const double *closest, double *potential,
                              Workspace work) noexcept nogil
    cdef double approach_rows(self, Rows x, const double *weights, double *closest, Workspace work) noexcept nogil

cdef class Lloyd:
    cdef object distances
    cdef int32_t[::1] labels
    cdef double tol
    cdef double threshold
    cdef readonly object points
    cdef readonly object centres
    cdef readonly object weight
    cdef object first
    cdef readonly double inertia
    cdef readonly Py_ssize_t n_iter
    cdef readonly bint ended
    cdef readonly bint bereft
    cdef Centres at
    cdef double *point
    cdef double *centre
    cdef double *s0
    cdef double *s1
    cdef Rows rows
    cdef const double[::1] weights
    cdef const double *row_weights
    cdef Workspace work
    cdef int iterate(self) except -1 nogil
    cdef double mean_variance(self) noexcept nogil
    cdef Py_ssize_t assign(self) except -1 nogil

cdef class Seeding:
    cdef object distances
    cdef const double[::1] weights
    cdef const double *row_weights
    cdef double[::1] closest
    cdef double[::1] masses
    cdef const Py_ssize_t[::1] ends
    cdef Py_ssize_t n_chosen
    cdef Py_ssize_t[::1] candidates
    cdef double[::1] potential
    cdef Centres points
    cdef Centres best
    cdef Workspace work_of_points
    cdef Workspace work_of_best
    cdef Rows rows
    cdef Py_ssize_t drawn(self, double u) noexcept nogil
    cdef double mass(self, Py_ssize_t n, bint far) noexcept nogil
    cdef Py_ssize_t take(self, Py_ssize_t count) except -1 nogil

from gaussmix._core.densities cimport Densities

cdef class Parameters:
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly Densities densities
    cdef readonly object weights
    cdef readonly object covariances
    cdef Py_ssize_t n_numbers
    cdef double *pi
    cdef double *sigma
    cdef double log_weight(self, Py_ssize_t k) noexcept nogil
    cdef void assign(self, Parameters other) noexcept nogil

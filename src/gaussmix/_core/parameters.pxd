from gaussmix._core.densities cimport Densities, Kind

cdef class Parameters:
    cdef readonly Kind kind
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly Densities densities
    cdef readonly object weights
    cdef readonly object covariances
    cdef double *pi
    cdef double *sigma
    cdef Py_ssize_t factorize_all(self) except -2 nogil
    cdef void assign(self, Parameters other) noexcept nogil

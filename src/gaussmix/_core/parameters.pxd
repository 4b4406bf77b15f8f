cpdef enum Kind:
    FULL = 0
    TIED = 1
    DIAG = 2

cdef class Parameters:
    cdef readonly Kind kind
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly object weights
    cdef readonly object means
    cdef readonly object means_rest
    cdef readonly object covariances
    cdef readonly object factors
    cdef readonly object log_coefficients
    cdef double *pi
    cdef double *mu
    cdef double *mu_rest
    cdef double *sigma
    cdef double *factor
    cdef double *log_coefficient
    cdef Py_ssize_t matrix_size(self) noexcept nogil
    cdef Py_ssize_t factorize_all(self) except -2 nogil
    cdef void assign(self, Parameters other) noexcept nogil
    cdef double largest_number(self) noexcept nogil

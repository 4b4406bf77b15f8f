cpdef enum Kind:
    FULL = 0
    TIED = 1
    DIAG = 2

cdef Py_ssize_t n_matrices(Kind kind, Py_ssize_t n_components) noexcept nogil
cdef Py_ssize_t matrix_size(Kind kind, Py_ssize_t n_features) noexcept nogil
cdef tuple matrices_shape(Kind kind, Py_ssize_t n_components, Py_ssize_t n_features)

cdef class Densities:
    cdef readonly Kind kind
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly object means
    cdef readonly object means_rest
    cdef readonly object factors
    cdef readonly object log_constants
    cdef readonly object log_norms
    cdef double *mu
    cdef double *mu_rest
    cdef double *factor
    cdef double *log_constant
    cdef double *log_norm
    cdef void assign(self, Densities other) noexcept nogil
    cdef double largest_number(self) noexcept nogil
    cdef Py_ssize_t factorize_all(self, const double *weights, const double *covariances) except -2 nogil
    cdef Py_ssize_t factorize_spherical(self, const double *weights, const double *variances) except -2 nogil

from gaussmix._core.densities cimport Kind

cdef class Statistics:
    cdef readonly Kind kind
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly object reference
    cdef readonly object weight
    cdef readonly object first
    cdef readonly object second
    cdef public double log_likelihood
    cdef public double total_weight
    cdef Py_ssize_t second_size
    cdef double *m
    cdef double *s0
    cdef double *s1
    cdef double *s2
    cdef void clear_sums(self) noexcept nogil
    cdef void add_sums(self, Statistics other) noexcept nogil
    cdef Py_ssize_t kept(self, Py_ssize_t row) noexcept nogil

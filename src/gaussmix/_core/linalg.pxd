cdef int cholesky(double *a, Py_ssize_t n) noexcept nogil
cdef int invert_lower(double *l, Py_ssize_t n) noexcept nogil
cdef double half_log_determinant(const double *l, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t checked_size(Py_ssize_t a, Py_ssize_t b) except -1

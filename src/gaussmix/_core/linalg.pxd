cdef int cholesky(double *a, Py_ssize_t n) noexcept nogil
cdef enum:
    NO_ROOM = -1

cdef int invert_lower(double *l, Py_ssize_t n) noexcept nogil
cdef double half_log_determinant(const double *l, Py_ssize_t n) noexcept nogil
cdef void multiply_lower(const double *a, const double *b, double *product, Py_ssize_t n) noexcept nogil
cdef void square_lower(const double *a, double *product, Py_ssize_t n) noexcept nogil

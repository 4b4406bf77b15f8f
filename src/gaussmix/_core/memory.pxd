cdef bint is_short(double operations) noexcept nogil
cdef Py_ssize_t checked_size(Py_ssize_t a, Py_ssize_t b) except -1
cdef void *allocate(Py_ssize_t count, size_t size) except NULL
cdef object zeros(object shape)
cpdef object read_only(object array)
cdef double *first_number(object array) except NULL
cdef int check_alignment(const void *first, ptrdiff_t stride, size_t size) except -1

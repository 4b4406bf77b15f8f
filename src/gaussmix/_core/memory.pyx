# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Memory that compiled loops hold pointers into: its size, lifetime and alignment. Also when to release the GIL."""
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.stdlib cimport calloc

import numpy as np

cdef object FLOAT64 = np.dtype(np.float64)


cdef bint is_short(double operations) noexcept nogil:
    """
    Whether a call of this many operations should keep the GIL.

    A thread that releases the GIL while another one waits for it has to wait in turn. It is woken only after a tenth of a
    millisecond or more, while this many operations take a twentieth of a millisecond.
    """
    return operations < 1e6


cdef Py_ssize_t checked_size(Py_ssize_t a, Py_ssize_t b) except -1:
    """a · b, or MemoryError where the product does not fit."""
    if a < 0 or b < 0 or (b and a > PY_SSIZE_T_MAX // b):
        raise MemoryError("an array of %d x %d numbers is larger than this machine's address space" % (a, b))
    return a * b


cdef void *allocate(Py_ssize_t count, size_t size) except NULL:
    """Zeroed memory, for the caller to free."""
    cdef void *memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError("there is not enough memory for %d numbers" % count)
    return memory


cdef object zeros(object shape):
    """
    A float64 array whose memory stays in place as long as the array, or a view of it, is alive, so that pointers into it hold.

    `ndarray.resize` frees the memory of an array that owns it, even if other objects point there. This array does not own its
    memory: it belongs to a bytearray, which refuses to be resized while an array looks at it.
    """
    cdef Py_ssize_t count = sizeof(double)
    for length in shape:
        count = checked_size(count, length)
    return np.ndarray(shape, FLOAT64, bytearray(count))


cpdef object read_only(object array):
    """Return the same memory as an array that can neither be resized nor made writable."""
    return np.asarray(memoryview(array).toreadonly())


cdef double *first_number(object array) except NULL:
    """The address of a C-contiguous float64 array."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    first = <double *> view.buf
    itemsize = view.itemsize
    PyBuffer_Release(&view)
    if itemsize != sizeof(double):
        raise TypeError("numbers must be float64, not %s" % array.dtype)
    return first


cdef int check_alignment(const void *first, ptrdiff_t stride, size_t size) except -1:
    """Raise where the addresses of numbers are not multiples of their size: reading them would be undefined behaviour in C."""
    if <size_t> first % size or stride % <ptrdiff_t> size:
        raise ValueError("the numbers do not lie at multiples of %d bytes in memory: pass numpy.require(array, requirements='A')"
                         % size)
    return 0

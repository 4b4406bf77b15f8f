# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Cholesky factor, triangular inverse and log-determinant of row-major matrices, on SciPy's LAPACK.

LAPACK reads columns where C writes rows, so a row-major lower triangle is LAPACK's upper one:
A = L Lᵀ with L in the rows is A = Uᵀ U with U in the columns, the same numbers in the same places.
"""
from libc.limits cimport INT_MAX
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.math cimport log
from scipy.linalg.cython_lapack cimport dpotrf, dtrtri

import numpy as np


cdef int cholesky(double *a, Py_ssize_t n) noexcept nogil:
    """Overwrite the lower triangle of `a` by L with A = L Lᵀ; return 0, or the order of the minor that failed."""
    cdef int order = <int> n, info = 0
    if n > INT_MAX:
        return INT_MAX
    dpotrf(b'U', &order, a, &order, &info)
    return info


cdef int invert_lower(double *l, Py_ssize_t n) noexcept nogil:
    """Overwrite the lower triangular `l` by its inverse; return 0, or the (one-based) place of a zero pivot."""
    cdef int order = <int> n, info = 0
    if n > INT_MAX:
        return INT_MAX
    dtrtri(b'U', b'N', &order, l, &order, &info)
    return info


cdef double half_log_determinant(const double *l, Py_ssize_t n) noexcept nogil:
    """Σ ln diag L, half the log-determinant of L Lᵀ."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(n):
        total += log(l[i * n + i])
    return total


cdef Py_ssize_t checked_size(Py_ssize_t a, Py_ssize_t b) except -1:
    """a · b, or MemoryError where the product does not fit."""
    if a < 0 or b < 0 or (b and a > PY_SSIZE_T_MAX // b):
        raise MemoryError("an array of %d x %d numbers is larger than this machine's address space" % (a, b))
    return a * b


def whiten(covariance):
    """
    L⁻¹ and Σ ln diag L of one covariance, as the densities use them.

    Parameters
    ----------
    covariance : array_like, shape (D, D)
        Symmetric positive definite; only the lower triangle is read.

    Returns
    -------
    inverse : ndarray, shape (D, D)
        L⁻¹ with covariance = L Lᵀ, lower triangular.
    half_log_determinant : float

    Raises
    ------
    ValueError
        Where the matrix is not square or not positive definite.

    Examples
    --------
    >>> whiten([[4.0, 0.0], [0.0, 1.0]])[0]
    array([[0.5, 0. ],
           [0. , 1. ]])
    """
    result = np.tril(np.array(covariance, dtype=np.float64, order="C"))
    if result.ndim != 2 or result.shape[0] != result.shape[1]:
        raise ValueError("covariance must be a square matrix, not of shape %s" % (result.shape,))
    cdef Py_ssize_t n = result.shape[0]
    if n == 0:
        return result, 0.0
    cdef double[:, ::1] view = result
    if cholesky(&view[0, 0], n) != 0:
        raise ValueError("covariance is not positive definite")
    cdef double half = half_log_determinant(&view[0, 0], n)
    invert_lower(&view[0, 0], n)
    return result, half

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Cholesky factor, triangular inverse and log-determinant of row-major matrices, on SciPy's LAPACK.

LAPACK stores matrices by columns and C by rows, so a row-major lower triangle is an upper triangle to LAPACK. A = L Lᵀ with L
stored by rows is A = Uᵀ U with U stored by columns: the same numbers in the same places.
"""
from libc.limits cimport INT_MAX
from libc.math cimport fabs, hypot, log, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport dgemm, dtrsm
from scipy.linalg.cython_lapack cimport dpotrf, dtrtri
from gaussmix._core.memory cimport is_short

import numpy as np


# OpenBLAS runs larger calls on several threads. The limit differs by routine: dpotrf and dtrtri from order 17 on at the
# earliest, dtrsm from 8 right-hand sides, dgemm from 64³ multiplications. Smaller calls stay on the thread that made them.
# Matrices are therefore worked on in blocks below these limits. Several threads may then factorize at once without waiting for
# each other, and the bits do not depend on how many threads BLAS has.
cdef enum:
    BLOCK = 16
    RIGHT_SIDES = 7
    DEPTH = 64


cdef Py_ssize_t steps(Py_ssize_t start, Py_ssize_t stop, Py_ssize_t step) noexcept nogil:
    return (stop - start + step - 1) // step if stop > start else 0


cdef int cholesky(double *a, Py_ssize_t n) noexcept nogil:
    """Overwrite `a`, zero above its diagonal, by L with A = L Lᵀ; return 0, or the order of the minor that failed.

    It goes by columns of blocks: subtract what earlier columns contribute, factorize the diagonal block, solve for those below.
    """
    cdef Py_ssize_t j, i, rows, columns, j_block, i_block
    cdef int order, leading, info
    if n > INT_MAX:
        return INT_MAX
    leading = <int> n
    for j_block in range(steps(0, n, BLOCK)):
        j = j_block * BLOCK
        columns = min(n - j, <Py_ssize_t> BLOCK)
        order = <int> columns
        for i_block in range(steps(j, n, BLOCK)):
            i = j + i_block * BLOCK
            rows = min(n - i, <Py_ssize_t> BLOCK)
            multiply_add(b'T', a + j * n, a + i * n, a + i * n + j, columns, rows, j, n, n, -1)
        dpotrf(b'U', &order, a + j * n + j, &leading, &info)
        for i in range(columns):
            if info == 0 and not a[(j + i) * n + j + i] > 0:  # NaN, which LAPACK lets pass
                info = <int> i + 1
        if info != 0:
            return <int> j + info
        for i in range(columns):
            memset(a + (j + i) * n + j + i + 1, 0, (columns - i - 1) * sizeof(double))
        for i_block in range(steps(j + columns, n, RIGHT_SIDES)):
            i = j + columns + i_block * RIGHT_SIDES
            solve(a + j * n + j, columns, n, a + i * n + j, min(n - i, <Py_ssize_t> RIGHT_SIDES), n)
    return 0


cdef int invert_lower(double *l, Py_ssize_t n) noexcept nogil:
    """Overwrite `l`, zero above its diagonal, by W = L⁻¹; return 0, NO_ROOM without memory for it, or more than 0 where a pivot is zero.

    It goes by rows of blocks: L_ii W_ij = −Σ_t L_it W_tj, where the W_tj of earlier rows are computed already.
    """
    cdef Py_ssize_t i, j, t, rows, i_block, j_block
    cdef int order, leading, info = 0
    cdef double *sums
    if n > INT_MAX:
        return INT_MAX
    leading = <int> n
    if n <= BLOCK:
        dtrtri(b'U', b'N', &leading, l, &leading, &info)
        return info
    sums = <double *> malloc(n * BLOCK * sizeof(double))
    if sums == NULL:
        return NO_ROOM
    for i_block in range(steps(0, n, BLOCK)):
        i = i_block * BLOCK
        rows = min(n - i, <Py_ssize_t> BLOCK)
        memset(sums, 0, n * BLOCK * sizeof(double))
        for j_block in range(steps(0, i, DEPTH)):
            j = j_block * DEPTH
            multiply_add(b'N', l + j * n + j, l + i * n + j, sums + j, min(i - j, <Py_ssize_t> DEPTH), rows, i - j, n, n, -1)
        # BLAS reads row-major sums as their transpose: Wᵀ of one row of blocks solves Wᵀ L_iiᵀ = sumsᵀ.
        solve_right(l + i * n + i, rows, n, sums, i, n)
        for t in range(rows):
            memcpy(l + (i + t) * n, sums + t * n, i * sizeof(double))
        order = <int> rows
        dtrtri(b'U', b'N', &order, l + i * n + i, &leading, &info)
        if info != 0:
            break
    free(sums)
    return info


cdef void multiply_add(char transpose, double *x, double *y, double *sums, Py_ssize_t columns, Py_ssize_t rows,
                       Py_ssize_t depth, Py_ssize_t stride, Py_ssize_t sums_stride, double factor) noexcept nogil:
    """sums += factor · y op(x), row-major: y is rows × depth, sums rows × columns, op(x) depth × columns.

    It is computed in pieces of DEPTH, with at most DEPTH × BLOCK × DEPTH multiplications each.
    """
    cdef int m = <int> columns, k = <int> rows, d, leading = <int> stride, sums_leading = <int> sums_stride
    cdef Py_ssize_t t, t_block
    cdef double one = 1
    for t_block in range(steps(0, depth, DEPTH)):
        t = t_block * DEPTH
        d = <int> min(depth - t, <Py_ssize_t> DEPTH)
        dgemm(&transpose, b'N', &m, &k, &d, &factor, x + (t if transpose == b'T' else t * stride), &leading, y + t, &leading,
              &one, sums, &sums_leading)


cdef void solve(double *triangle, Py_ssize_t n, Py_ssize_t stride, double *x, Py_ssize_t count, Py_ssize_t x_stride) noexcept nogil:
    """Row by row, x ← x L⁻ᵀ for the n × n lower `triangle` L: each of `count` rows is a right-hand side."""
    cdef int m = <int> n, k = <int> count, leading = <int> stride, x_leading = <int> x_stride
    cdef double one = 1
    dtrsm(b'L', b'U', b'T', b'N', &m, &k, &one, triangle, &leading, x, &x_leading)


cdef void solve_right(double *triangle, Py_ssize_t n, Py_ssize_t stride, double *x, Py_ssize_t count,
                      Py_ssize_t x_stride) noexcept nogil:
    """Column by column, x ← L⁻¹ x for the n × n lower `triangle` L: each of `count` columns is a right-hand side."""
    cdef int m, k = <int> n, leading = <int> stride, x_leading = <int> x_stride
    cdef Py_ssize_t j, j_block
    cdef double one = 1
    for j_block in range(steps(0, count, RIGHT_SIDES)):
        j = j_block * RIGHT_SIDES
        m = <int> min(count - j, <Py_ssize_t> RIGHT_SIDES)
        dtrsm(b'R', b'U', b'N', b'N', &m, &k, &one, triangle, &leading, x + j, &x_leading)


cdef void multiply_lower(const double *a, const double *b, double *product, Py_ssize_t n) noexcept nogil:
    """A B of lower triangles, zero above their diagonals."""
    cdef Py_ssize_t i, j, i_block, j_block, rows
    memset(product, 0, n * n * sizeof(double))
    for i_block in range(steps(0, n, BLOCK)):
        i = i_block * BLOCK
        rows = min(n - i, <Py_ssize_t> BLOCK)
        for j_block in range(steps(0, i + rows, DEPTH)):
            j = j_block * DEPTH  # before row j the columns of B are zero
            multiply_add(b'N', <double *> b + j * n + j, <double *> a + i * n + j, product + i * n + j,
                         min(i + rows - j, <Py_ssize_t> DEPTH), rows, i + rows - j, n, n, 1)


cdef void square_lower(const double *a, double *product, Py_ssize_t n) noexcept nogil:
    """The lower triangle of A Aᵀ, of a lower triangle A that is zero above its diagonal."""
    cdef Py_ssize_t i, j, i_block, j_block, rows, columns
    memset(product, 0, n * n * sizeof(double))
    for i_block in range(steps(0, n, BLOCK)):
        i = i_block * BLOCK
        rows = min(n - i, <Py_ssize_t> BLOCK)
        for j_block in range(steps(0, i + rows, DEPTH)):
            j = j_block * DEPTH
            columns = min(i + rows - j, <Py_ssize_t> DEPTH)
            multiply_add(b'T', <double *> a + j * n, <double *> a + i * n, product + i * n + j, columns, rows, j + columns, n, n, 1)


cdef double half_log_determinant(const double *l, Py_ssize_t n) noexcept nogil:
    """Σ ln diag L, half the log-determinant of L Lᵀ."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(n):
        total += log(l[i * n + i])
    return total


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
    >>> whiten([[4.0, 2.0], [2.0, 2.0]])[0]
    array([[ 0.5,  0. ],
           [-0.5,  1. ]])
    """
    result = np.array(covariance, dtype=np.float64, order="C")
    if result.ndim != 2 or result.shape[0] != result.shape[1]:
        raise ValueError("covariance must be a square matrix, not of shape %s" % (result.shape,))
    result = np.tril(result)
    cdef Py_ssize_t n = result.shape[0]
    if n == 0:
        return result, 0.0
    cdef double[:, ::1] view = result
    if cholesky(&view[0, 0], n) != 0:
        raise ValueError("covariance is not positive definite")
    cdef double half = half_log_determinant(&view[0, 0], n)
    failed = invert_lower(&view[0, 0], n)
    if failed == NO_ROOM:
        raise MemoryError("no memory to invert a matrix of order %d" % n)
    if failed:
        raise ValueError("covariance is not positive definite")
    return result, half


# The power iteration for the narrowest direction ends at this precision, as its eigenvalue is only compared with round factors.
cdef double CLOSE = 1e-6
cdef enum:
    MOST_POWERS = 1000


def narrowest(const double[:, :] covariance not None, const double[:, :] reference not None):
    """
    The quotient of the variances of two covariances Σ and T in the direction v where it is smallest, and v.

    v solves Σ v = λ T v with the smallest λ. With Σ = L Lᵀ and v = L⁻ᵀ y this becomes L⁻¹ T L⁻ᵀ y = y / λ. Power iteration finds
    the largest eigenvalue of this. It starts from a random vector, which has a share of every direction. It is fast where one
    direction is far narrower than the others; where none is, it does not matter which one is found.

    Parameters
    ----------
    covariance, reference : ndarray, shape (D, D)
        Symmetric positive definite.

    Returns
    -------
    ratio : float
        1 where one of them is singular to rounding: the data lie in a subspace, where nothing counts as narrow.
    direction : ndarray, shape (D,)

    Examples
    --------
    >>> round(narrowest(np.diag([2.0, 0.5]), np.eye(2))[0], 6)
    0.5
    """
    cdef Py_ssize_t n = covariance.shape[0], i, j
    cdef int _power
    if covariance.shape[1] != n or reference.shape[0] != n or reference.shape[1] != n or n < 1:
        raise ValueError("both covariances must be square and of the same size, not of shapes (%d, %d) and (%d, %d)"
                         % (covariance.shape[0], covariance.shape[1], reference.shape[0], reference.shape[1]))
    cdef double[:, ::1] inverse = np.zeros((n, n)), units = np.zeros((n, n)), factor = np.zeros((n, n))
    cdef double[::1] y = np.random.default_rng(0).standard_normal(n), v = np.zeros(n), scale = np.zeros(n)
    cdef double largest = 0, before, length
    for i in range(n):
        scale[i] = sqrt(reference[i, i])
    for i in range(n):
        for j in range(i + 1):
            inverse[i, j] = covariance[i, j] / scale[i] / scale[j]
            units[i, j] = units[j, i] = factor[i, j] = reference[i, j] / scale[i] / scale[j]
    if (cholesky(&factor[0, 0], n) != 0 or cholesky(&inverse[0, 0], n) != 0 or invert_lower(&inverse[0, 0], n) != 0):
        return 1.0, np.zeros(n)
    for _power in range(MOST_POWERS):
        length = norm(&y[0], n)
        for i in range(n):
            y[i] /= length
        for j in range(n):
            v[j] = 0
            for i in range(j, n):
                v[j] += inverse[i, j] * y[i]
        for i in range(n):  # y serves as the product of T and v first
            y[i] = 0
            for j in range(n):
                y[i] += units[i, j] * v[j]
        for i in range(n - 1, -1, -1):
            length = 0
            for j in range(i + 1):
                length += inverse[i, j] * y[j]
            y[i] = length
        before, largest = largest, norm(&y[0], n)
        if fabs(largest - before) <= CLOSE * largest:
            break
    return 1 / largest, np.asarray(v) / np.asarray(scale)


cdef double norm(const double *y, Py_ssize_t n) noexcept nogil:
    """The length of a vector, without overflow or underflow of squares."""
    cdef Py_ssize_t i
    cdef double length = 0
    for i in range(n):
        length = hypot(length, y[i])
    return length


def gram(const double[:, :, ::1] lower not None):
    """
    Wᵀ W of lower triangular matrices: a precision from the inverse of a covariance's Cholesky factor, or the other way round.

    Parameters
    ----------
    lower : array, shape (K, D, D), float64

    Returns
    -------
    ndarray, shape (K, D, D)

    Raises
    ------
    ValueError
        Where the matrices are not square.

    Examples
    --------
    >>> gram(np.array([[[1.0, 0.0], [2.0, 3.0]]]))
    array([[[5., 6.],
            [6., 9.]]])
    """
    upper = np.array(np.swapaxes(lower, 1, 2), order="C")
    result = np.zeros_like(upper)
    cdef Py_ssize_t n = lower.shape[1], k
    if lower.shape[2] != n:
        raise ValueError("the matrices must be square, not of shape %s" % (upper.shape[1:],))
    if n > INT_MAX:
        raise MemoryError("matrices of order %d are too large" % n)
    cdef double[:, :, ::1] w = upper, sums = result
    if is_short(w.shape[0] * <double> n * n * n):
        for k in range(w.shape[0]):
            add_gram(&w[k, 0, 0], n, &sums[k, 0, 0])
    else:
        with nogil:
            for k in range(w.shape[0]):
                add_gram(&w[k, 0, 0], n, &sums[k, 0, 0])
    return result


cdef void add_gram(double *upper, Py_ssize_t n, double *sums) noexcept nogil:
    """sums += U Uᵀ of an upper triangle."""
    cdef Py_ssize_t i, j, first, i_block, j_block
    for i_block in range(steps(0, n, BLOCK)):
        i = i_block * BLOCK
        for j_block in range(steps(0, n, DEPTH)):
            j = j_block * DEPTH
            first = max(i, j)  # before, one of the two is zero
            multiply_add(b'T', upper + j * n + first, upper + i * n + first, sums + i * n + j, min(n - j, <Py_ssize_t> DEPTH),
                         min(n - i, <Py_ssize_t> BLOCK), n - first, n, n, 1)

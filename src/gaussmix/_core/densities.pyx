# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Densities: all that an E step reads of a mixture.

For each component a mean, a triangular factor and a logarithmic constant, so that

    ln π_k N(x | μ_k, Σ_k) = log_constants_k − ½ |factors_k (x − μ_k)|².

A mean is the sum of two doubles: `means`, and `means_rest`, the part that rounding left out of it. So a fit to X + c is the
same as a fit to X, however large c is.
"""
from libc.float cimport DBL_EPSILON, DBL_MIN
from libc.math cimport fabs, log, sqrt, M_PI, INFINITY
from libc.string cimport memcpy
from gaussmix._core.linalg cimport NO_ROOM, cholesky, invert_lower, half_log_determinant
from gaussmix._core.memory cimport first_number, is_short, read_only, zeros

cdef double EPSILON = DBL_EPSILON
cdef double SMALLEST_VARIANCE = DBL_MIN / DBL_EPSILON


cdef Py_ssize_t n_matrices(Kind kind, Py_ssize_t n_components) noexcept nogil:
    """How many matrices, or rows of diagonals, there are for K components."""
    return 1 if kind == TIED else n_components


cdef Py_ssize_t matrix_size(Kind kind, Py_ssize_t n_features) noexcept nogil:
    """How many numbers one matrix, or row of a diagonal, has."""
    return n_features if kind == DIAG else n_features * n_features


cdef tuple matrices_shape(Kind kind, Py_ssize_t n_components, Py_ssize_t n_features):
    """(K, D, D), (1, D, D) or (K, D)."""
    if kind == DIAG:
        return n_components, n_features
    return n_matrices(kind, n_components), n_features, n_features


cdef int invert_cholesky(const double *sigma, double *factor, Py_ssize_t D, double *half_log_det) except -1 nogil:
    """L⁻¹ and Σ ln diag L of one covariance; 0 where it is singular."""
    cdef Py_ssize_t i, j
    cdef double pivot
    for i in range(D):
        if not SMALLEST_VARIANCE <= sigma[i * D + i] < INFINITY:
            return 0
        memcpy(factor + i * D, sigma + i * D, (i + 1) * sizeof(double))
        for j in range(i + 1, D):
            factor[i * D + j] = 0
    if cholesky(factor, D) != 0:
        return 0
    for i in range(D):
        pivot = factor[i * D + i]
        if not pivot * pivot > 4 * D * EPSILON * sigma[i * D + i]:
            return 0
    half_log_det[0] = half_log_determinant(factor, D)
    cdef int failed = invert_lower(factor, D)
    if failed == NO_ROOM:
        with gil:
            raise MemoryError("no memory to invert a matrix of order %d" % D)
    return failed == 0


cdef int invert_deviations(const double *variance, double *factor, Py_ssize_t D, double *half_log_det) noexcept nogil:
    """1/σ and Σ ln σ of one diagonal covariance, which may be in the memory of its factor; 0 where it is singular."""
    cdef Py_ssize_t i
    half_log_det[0] = 0
    for i in range(D):
        if not SMALLEST_VARIANCE <= variance[i] < INFINITY:
            return 0
        half_log_det[0] += 0.5 * log(variance[i])
        factor[i] = 1 / sqrt(variance[i])
    return 1


cdef class Densities:
    """
    The numbers that an E step reads of K weighted normals in D dimensions.

    Parameters
    ----------
    kind : Kind
        The kind of the factors: FULL, a triangle for each component; TIED, one triangle for all; DIAG, diagonals only.
    n_components, n_features : int
        K and D, at least 1.

    Attributes
    ----------
    means, means_rest : ndarray, shape (K, D)
    factors : ndarray, shape (K, D, D), (1, D, D) or (K, D)
        L_k⁻¹ with Σ_k = L_k L_kᵀ; for DIAG 1/σ.
    log_constants : ndarray, shape (K,)
        ln π_k − D/2 ln 2π − Σ ln diag L_k.
    log_norms : ndarray, shape (K,)
        The same without ln π_k.
        All arrays are float64, and zero at first.
    """

    def __cinit__(self, kind, n_components, n_features):
        if n_components < 1 or n_features < 1:
            raise ValueError("n_components and n_features must be at least 1, not %r and %r" % (n_components, n_features))
        if kind not in (FULL, TIED, DIAG):
            raise ValueError("kind must be a Kind, not %r" % (kind,))
        self.kind = <Kind> (<int> kind)
        self.n_components = n_components
        self.n_features = n_features
        self.means = zeros((n_components, n_features))
        self.means_rest = zeros((n_components, n_features))
        self.factors = zeros(matrices_shape(self.kind, n_components, n_features))
        self.log_constants = zeros((n_components,))
        self.log_norms = zeros((n_components,))
        # The memory lives as long as this object and is never replaced, so that the addresses hold.
        self.mu = first_number(self.means)
        self.mu_rest = first_number(self.means_rest)
        self.factor = first_number(self.factors)
        self.log_constant = first_number(self.log_constants)
        self.log_norm = first_number(self.log_norms)

    cdef void assign(self, Densities other) noexcept nogil:
        """Copy all numbers of `other`, which has the same kind and size."""
        cdef Py_ssize_t points = self.n_components * self.n_features * sizeof(double)
        memcpy(self.mu, other.mu, points)
        memcpy(self.mu_rest, other.mu_rest, points)
        memcpy(self.factor, other.factor,
               n_matrices(self.kind, self.n_components) * matrix_size(self.kind, self.n_features) * sizeof(double))
        memcpy(self.log_constant, other.log_constant, self.n_components * sizeof(double))
        memcpy(self.log_norm, other.log_norm, self.n_components * sizeof(double))

    cdef double largest_number(self) noexcept nogil:
        """The largest number, in absolute value, among means and factors."""
        cdef Py_ssize_t i
        cdef double largest = 0
        for i in range(self.n_components * self.n_features):
            largest = max(largest, fabs(self.mu[i]))
        for i in range(n_matrices(self.kind, self.n_components) * matrix_size(self.kind, self.n_features)):
            largest = max(largest, fabs(self.factor[i]))
        return largest

    def largest(self):
        """The largest number, in absolute value, among means and factors."""
        return self.largest_number()

    cdef Py_ssize_t factorize_all(self, const double *weights, const double *covariances) except -2 nogil:
        """Fill factors and constants; return −1, or the first component whose covariance is singular.

        Let σ_j² be the variance of a feature, and s_j² the part of it that the features before it leave unexplained (the
        squared pivot of the Cholesky factor). A covariance counts as singular where

        - s_j² ≤ 4 D ε σ_j², ε = 2⁻⁵²: what is left may come from the rounding of D products alone, as each entry of a
          covariance is known to a few ε of σ_i σ_j at best; or
        - σ_j² < 2⁻¹⁰²²/ε ≈ 1e-292: squares of residuals are subnormal there and have lost digits.
        """
        cdef Py_ssize_t D = self.n_features, size = matrix_size(self.kind, self.n_features), k
        cdef Py_ssize_t matrices = n_matrices(self.kind, self.n_components)
        cdef int regular
        cdef double half_log_det = 0
        for k in range(self.n_components):
            if k < matrices:
                if self.kind == DIAG:
                    regular = invert_deviations(covariances + k * size, self.factor + k * size, D, &half_log_det)
                else:
                    regular = invert_cholesky(covariances + k * size, self.factor + k * size, D, &half_log_det)
                if not regular:
                    return k
            self.log_norm[k] = -0.5 * D * log(2 * M_PI) - half_log_det
            self.log_constant[k] = (log(weights[k]) if weights[k] > 0 else -INFINITY) - 0.5 * D * log(2 * M_PI) - half_log_det
        return -1

    cdef Py_ssize_t factorize_spherical(self, const double *weights, const double *variances) except -2 nogil:
        """`factorize_all` for diagonal covariances that have a single variance each."""
        cdef Py_ssize_t D = self.n_features, k, i
        for k in range(self.n_components):
            for i in range(D):
                self.factor[k * D + i] = variances[k]
        return self.factorize_all(weights, self.factor)

    def factorize(self, const double[::1] weights not None, covariances not None):
        """
        Fill `factors` and `log_constants` from weights and covariances.

        Parameters
        ----------
        weights : array, shape (K,), float64
        covariances : array, float64
            Of the shape of `factors`. Only the lower triangle of a matrix is read.

        Returns
        -------
        int
            −1, or the index of the first component whose covariance is singular to double precision (for TIED 0); factors and
            constants are then not to be used.
        """
        cdef const double[::1] numbers = covariances.reshape(-1)
        if weights.shape[0] != self.n_components or covariances.shape != self.factors.shape:
            raise ValueError("weights and covariances must be of shapes (%d,) and %s, not (%d,) and %s"
                             % (self.n_components, self.factors.shape, weights.shape[0], covariances.shape))
        if is_short(numbers.shape[0] * <double> self.n_features):
            return self.factorize_all(&weights[0], &numbers[0])
        with nogil:
            singular = self.factorize_all(&weights[0], &numbers[0])
        return singular

    def freeze(self):
        """Make the arrays read-only for good; they cannot be made writable again."""
        self.means, self.means_rest = read_only(self.means), read_only(self.means_rest)
        self.factors = read_only(self.factors)
        self.log_constants, self.log_norms = read_only(self.log_constants), read_only(self.log_norms)

    def __reduce__(self):
        return restored, (int(self.kind), *self.numbers())

    def numbers(self):
        """All arrays: means, means_rest, factors, log_constants, log_norms."""
        return self.means, self.means_rest, self.factors, self.log_constants, self.log_norms


def restored(kind, means, *further):
    """Make Densities from the content of a pickle."""
    densities = Densities(kind, *means.shape)
    for mine, given in zip(densities.numbers(), (means, *further)):
        mine[...] = given
    return densities

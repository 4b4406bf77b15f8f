# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Parameters: weights, means and covariances, with what the E step derives from them.

`covariances` and `factors` have the shape of the structure's kind, in which the second moments come too:
FULL (K, D, D), TIED (1, D, D), DIAG (K, D). `factors` holds L_k⁻¹ (for DIAG 1/σ), so that the whitened residual is
factors_k (x − μ_k), and `log_coefficients` holds ln π_k − D/2 ln 2π − Σ ln diag L_k, all of ln π_k N(x | μ_k, Σ_k) that
does not depend on x.

A mean is the sum of two doubles, `means` and what rounding left out of it, `means_rest`: so the fit of X + c is the fit
of X, however far c is.
"""
from libc.float cimport DBL_EPSILON, DBL_MIN
from libc.math cimport fabs, log, sqrt, M_PI, INFINITY
from libc.string cimport memcpy
from gaussmix._core.linalg cimport cholesky, invert_lower, half_log_determinant
from gaussmix._core.memory cimport first_number, read_only, zeros

cdef double EPSILON = DBL_EPSILON
cdef double SMALLEST_VARIANCE = DBL_MIN / DBL_EPSILON


cdef int invert_cholesky(const double *sigma, double *factor, Py_ssize_t D, double *half_log_det) except -1 nogil:
    """L⁻¹ and Σ ln diag L of one covariance; False where it is singular."""
    cdef Py_ssize_t i, j
    cdef double pivot
    for i in range(D):
        if not SMALLEST_VARIANCE <= sigma[i * D + i] < INFINITY:
            return False
        memcpy(factor + i * D, sigma + i * D, (i + 1) * sizeof(double))
        for j in range(i + 1, D):
            factor[i * D + j] = 0
    if cholesky(factor, D) != 0:
        return False
    for i in range(D):
        pivot = factor[i * D + i]
        if not pivot * pivot > 4 * D * EPSILON * sigma[i * D + i]:
            return False
    half_log_det[0] = half_log_determinant(factor, D)
    return invert_lower(factor, D) == 0


cdef bint invert_deviations(const double *variance, double *factor, Py_ssize_t D, double *half_log_det) noexcept nogil:
    """1/σ and Σ ln σ of one diagonal covariance; False where it is singular."""
    cdef Py_ssize_t i
    half_log_det[0] = 0
    for i in range(D):
        if not SMALLEST_VARIANCE <= variance[i] < INFINITY:
            return False
        factor[i] = 1 / sqrt(variance[i])
        half_log_det[0] += 0.5 * log(variance[i])
    return True


cdef class Parameters:
    """
    Weights, means and covariances of K normals in D dimensions.

    Parameters
    ----------
    kind : Kind
        The shape of the covariances: FULL, TIED or DIAG.
    n_components, n_features : int
        K and D, at least 1.

    Attributes
    ----------
    weights : ndarray, shape (K,)
    means, means_rest : ndarray, shape (K, D)
    covariances, factors : ndarray, shape (K, D, D), (1, D, D) or (K, D)
    log_coefficients : ndarray, shape (K,)
        All float64, and zero at first. After writing weights, means and covariances call `factorize`.
    """

    def __cinit__(self, kind, n_components, n_features):
        if n_components < 1 or n_features < 1:
            raise ValueError("n_components and n_features must be at least 1, not %r and %r" % (n_components, n_features))
        if kind not in (FULL, TIED, DIAG):
            raise ValueError("kind must be a Kind, not %r" % (kind,))
        self.kind = <Kind> (<int> kind)
        self.n_components = n_components
        self.n_features = n_features
        cdef Py_ssize_t matrices = 1 if self.kind == TIED else self.n_components
        cdef tuple shape = (matrices, n_features) if self.kind == DIAG else (matrices, n_features, n_features)
        self.weights = zeros((n_components,))
        self.means = zeros((n_components, n_features))
        self.means_rest = zeros((n_components, n_features))
        self.covariances = zeros(shape)
        self.factors = zeros(shape)
        self.log_coefficients = zeros((n_components,))
        # The memory lives as long as this object and is never replaced, so that the addresses hold.
        self.pi = first_number(self.weights)
        self.mu = first_number(self.means)
        self.mu_rest = first_number(self.means_rest)
        self.sigma = first_number(self.covariances)
        self.factor = first_number(self.factors)
        self.log_coefficient = first_number(self.log_coefficients)

    cdef Py_ssize_t matrix_size(self) noexcept nogil:
        """How many numbers one component's covariance has."""
        return self.n_features if self.kind == DIAG else self.n_features * self.n_features

    cdef Py_ssize_t factorize_all(self) except -2 nogil:
        """Fill `factors` and `log_coefficients`; return −1, or the first component that is singular.

        Singular is, for the variance σ_j² of a feature and the part s_j² of it that the features before it leave
        unexplained (the squared pivot of the Cholesky factor):

        - s_j² ≤ 4 D ε σ_j², ε = 2⁻⁵²: no more is left than the rounding of D products may have put there, as each entry
          of a covariance is known to a few ε of σ_i σ_j at best; or
        - σ_j² < 2⁻¹⁰²²/ε ≈ 1e-292: squares of residuals are subnormal there and have lost their digits.
        """
        cdef Py_ssize_t D = self.n_features, size = self.matrix_size(), k
        cdef Py_ssize_t matrices = 1 if self.kind == TIED else self.n_components
        cdef bint regular
        cdef double half_log_det = 0
        for k in range(self.n_components):
            if k < matrices:
                if self.kind == DIAG:
                    regular = invert_deviations(self.sigma + k * size, self.factor + k * size, D, &half_log_det)
                else:
                    regular = invert_cholesky(self.sigma + k * size, self.factor + k * size, D, &half_log_det)
                if not regular:
                    return k
            self.log_coefficient[k] = ((log(self.pi[k]) if self.pi[k] > 0 else -INFINITY)
                                       - 0.5 * D * log(2 * M_PI) - half_log_det)
        return -1

    cdef void assign(self, Parameters other) noexcept nogil:
        """Take on all numbers of `other`, of the same shape."""
        cdef Py_ssize_t points = self.n_components * self.n_features * sizeof(double)
        cdef Py_ssize_t matrices = (1 if self.kind == TIED else self.n_components) * self.matrix_size() * sizeof(double)
        memcpy(self.pi, other.pi, self.n_components * sizeof(double))
        memcpy(self.mu, other.mu, points)
        memcpy(self.mu_rest, other.mu_rest, points)
        memcpy(self.sigma, other.sigma, matrices)
        memcpy(self.factor, other.factor, matrices)
        memcpy(self.log_coefficient, other.log_coefficient, self.n_components * sizeof(double))

    cdef double largest_number(self) noexcept nogil:
        """The largest number, in absolute value, among means and factors."""
        cdef Py_ssize_t i
        cdef double largest = 0
        for i in range(self.n_components * self.n_features):
            largest = max(largest, fabs(self.mu[i]))
        for i in range((1 if self.kind == TIED else self.n_components) * self.matrix_size()):
            largest = max(largest, fabs(self.factor[i]))
        return largest

    def largest(self):
        """The largest number, in absolute value, among means and factors."""
        return self.largest_number()

    def factorize(self):
        """
        Derive `factors` and `log_coefficients` from weights and covariances.

        Returns
        -------
        int
            −1, or the index of the first component whose covariance is singular to double precision
            (for TIED 0); the derived arrays are then not to be used.
        """
        with nogil:
            singular = self.factorize_all()
        return singular

    def freeze(self):
        """Make the arrays read-only for good; they cannot be made writable again."""
        self.weights, self.means, self.means_rest = read_only(self.weights), read_only(self.means), read_only(self.means_rest)
        self.covariances, self.factors = read_only(self.covariances), read_only(self.factors)
        self.log_coefficients = read_only(self.log_coefficients)

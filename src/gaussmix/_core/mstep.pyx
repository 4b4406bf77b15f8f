# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The M step: from Statistics to weights (11), means (7) and covariances (8).

Let d_k = first_k / weight_k, the difference between the new mean and the reference point m_k. By the parallel-axis rule the
covariance about the new mean is second_k / weight_k − d_k d_kᵀ.
"""
from libc.math cimport INFINITY
from gaussmix._core.densities cimport Densities, Kind, TIED, DIAG, matrix_size, n_matrices
from gaussmix._core.linalg cimport square_lower
from gaussmix._core.memory cimport is_short, read_only
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.statistics cimport Statistics

import numpy as np


cdef class MStep:
    """
    The M step. Weights (11) and means (7) are the same under every structure; a subclass computes the covariances (8).

    A subclass in Python overrides `update`.

    Parameters
    ----------
    added : array_like, shape (D,)
        Added to the variances of each feature.
    """

    def __cinit__(self, added, *further):
        self.amounts = read_only(np.array(added, dtype=np.float64))
        cdef const double[::1] amounts = self.amounts
        if amounts.shape[0] < 1:
            raise ValueError("what is added to variances must be of shape (D,)")
        self.n_features = amounts.shape[0]
        self.added = &amounts[0]

    cdef Py_ssize_t maximize_all(self, Statistics s, Parameters p) except -2 nogil:
        """Overwrite `p`; return −1, or the index of the first component that has no weight or a singular covariance."""
        if s is None or s.n_components != p.n_components or s.n_features != p.n_features or not self.knows(s, p):
            with gil:
                raise ValueError("statistics and parameters are of different shapes")
        if self.n_features != p.n_features:
            with gil:
                raise ValueError("the M step has %d features, the parameters %d" % (self.n_features, p.n_features))
        cdef Py_ssize_t empty = means(s, p)
        if empty >= 0:
            return empty
        return self.covariances(s, p)

    cdef bint knows(self, Statistics s, Parameters p) noexcept nogil:
        """Whether statistics and parameters are of kinds that this M step works on."""
        return True

    cdef Py_ssize_t covariances(self, Statistics s, Parameters p) except -2 nogil:
        """Compute covariances about the new means, and the factors of the densities; return the same as `maximize_all`."""
        cdef Py_ssize_t singular
        with gil:
            singular = self.update(s, p)
        return singular

    def update(self, statistics, parameters):
        """
        Overwrite covariances, factors and constants; weights and means are new already. A subclass in Python overrides this.

        Parameters
        ----------
        statistics : Statistics
        parameters : Parameters
            The covariances are still those of the previous iteration.

        Returns
        -------
        int
            As from `maximize`.
        """
        raise NotImplementedError("%s must define update(statistics, parameters), which makes covariances" % type(self).__name__)

    cdef Py_ssize_t square_factors(self, Parameters p) except -2 nogil:
        """Set the covariances L_k L_kᵀ of the L_k that the densities hold in place of their factors, and then the factors.

        It returns −1, or the index of the first component whose covariance is singular.
        """
        cdef Py_ssize_t singular
        with gil:
            singular = self.adopt(p)
        return singular

    def adopt(self, parameters):
        """
        Set covariances from Cholesky factors. A subclass in Python overrides this.

        Parameters
        ----------
        parameters : Parameters
            The factors of its densities hold the L_k of L_k L_kᵀ. They are overwritten by those that belong to the covariances.

        Returns
        -------
        int
            As from `maximize`.
        """
        raise NotImplementedError("%s must define adopt(parameters), which sets covariances from factors" % type(self).__name__)

    def maximize(self, Statistics statistics not None, Parameters parameters not None):
        """
        Make the M step: (11), (7), (8) under this structure.

        Parameters
        ----------
        statistics : Statistics
        parameters : Parameters
            Overwritten in place.

        Returns
        -------
        int
            −1, or the index of the first component that has no weight or a singular covariance.
        """
        if is_short(statistics.second_size * <double> statistics.n_features):
            return self.maximize_all(statistics, parameters)
        with nogil:
            singular = self.maximize_all(statistics, parameters)
        return singular


cdef class MStepWithPrior(MStep):
    """
    Another M step, made from statistics to which those of a prior are added.

    Parameters
    ----------
    added : array_like, shape (D,)
        As for the other step.
    step : MStep
    statistics_of : callable
        Returns new Statistics of the prior about given reference points, shape (K, D).
    """

    def __cinit__(self, added, MStep step not None, statistics_of):
        self.step, self.statistics_of = step, statistics_of

    cdef Py_ssize_t maximize_all(self, Statistics s, Parameters p) except -2 nogil:
        cdef Py_ssize_t singular
        with gil:
            singular = self.step.maximize_all(self.with_prior(s), p)
        return singular

    cdef Py_ssize_t square_factors(self, Parameters p) except -2 nogil:
        return self.step.square_factors(p)

    cdef Statistics with_prior(self, Statistics s):
        cdef Statistics both = self.statistics_of(s.reference.copy())
        if both is None:
            raise TypeError("the method statistics of a prior must return Statistics, not None")
        if not np.array_equal(both.reference, s.reference):
            raise ValueError("the statistics of a prior must be about the points that it is given: their reference must be equal to "
                             "that argument")
        both.accumulate(s)
        return both


cdef class MatrixMStep(MStep):
    """One covariance matrix for each component, or their weighted mean for all (TIED)."""

    cdef bint knows(self, Statistics s, Parameters p) noexcept nogil:
        cdef Kind kind = p.densities.kind
        return s.kind == kind and kind != DIAG and p.n_numbers == n_matrices(kind, p.n_components) * matrix_size(kind, p.n_features)

    cdef Py_ssize_t covariances(self, Statistics s, Parameters p) except -2 nogil:
        cdef Py_ssize_t K = s.n_components, D = s.n_features, k, i
        if s.kind == TIED:
            pooled(s, p)
        else:
            for k in range(K):
                matrix(s.s1 + k * D, s.s2 + k * D * D, s.s0[k], p.sigma + k * D * D, D)
        for k in range(n_matrices(s.kind, K)):
            mirror(p.sigma + k * D * D, D)
            for i in range(D):
                p.sigma[(k * D + i) * D + i] += self.added[i]
        return p.densities.factorize_all(p.pi, p.sigma)

    cdef Py_ssize_t square_factors(self, Parameters p) except -2 nogil:
        cdef Py_ssize_t D = p.n_features, k
        for k in range(n_matrices(p.densities.kind, p.n_components)):
            square_lower(p.densities.factor + k * D * D, p.sigma + k * D * D, D)
            mirror(p.sigma + k * D * D, D)
        return p.densities.factorize_all(p.pi, p.sigma)


cdef class DiagonalMStep(MStep):
    """A variance for each feature of each component."""

    cdef bint knows(self, Statistics s, Parameters p) noexcept nogil:
        return s.kind == DIAG and p.densities.kind == DIAG and p.n_numbers == p.n_components * p.n_features

    cdef Py_ssize_t covariances(self, Statistics s, Parameters p) except -2 nogil:
        cdef Py_ssize_t D = s.n_features, k, i
        for k in range(s.n_components):
            diagonal(s.s1 + k * D, s.s2 + k * D, s.s0[k], p.sigma + k * D, D)
            for i in range(D):
                p.sigma[k * D + i] += self.added[i]
        return p.densities.factorize_all(p.pi, p.sigma)

    cdef Py_ssize_t square_factors(self, Parameters p) except -2 nogil:
        cdef Py_ssize_t i
        for i in range(p.n_numbers):
            p.sigma[i] = p.densities.factor[i] * p.densities.factor[i]
        return p.densities.factorize_all(p.pi, p.sigma)


cdef class SphericalMStep(MStep):
    """One variance for all features of a component: the mean of its variances."""

    cdef bint knows(self, Statistics s, Parameters p) noexcept nogil:
        return s.kind == DIAG and p.densities.kind == DIAG and p.n_numbers == p.n_components

    cdef Py_ssize_t covariances(self, Statistics s, Parameters p) except -2 nogil:
        cdef Py_ssize_t D = s.n_features, k, i
        cdef double total
        cdef double *variances
        for k in range(s.n_components):
            variances = p.densities.factor + k * D
            diagonal(s.s1 + k * D, s.s2 + k * D, s.s0[k], variances, D)
            total = 0
            for i in range(D):
                total += variances[i] + self.added[i]
            p.sigma[k] = total / D
        return p.densities.factorize_spherical(p.pi, p.sigma)

    cdef Py_ssize_t square_factors(self, Parameters p) except -2 nogil:
        cdef Py_ssize_t k
        for k in range(p.n_components):
            p.sigma[k] = p.densities.factor[k * p.n_features] * p.densities.factor[k * p.n_features]
        return p.densities.factorize_spherical(p.pi, p.sigma)


cdef Py_ssize_t means(Statistics s, Parameters p) noexcept nogil:
    """Compute weights (11) and means (7); return −1, or the index of the first component without weight, which has no mean."""
    cdef Py_ssize_t K = s.n_components, D = s.n_features, k, i
    cdef double total = 0, m, d, mean, part
    for k in range(K):
        if not s.s0[k] > 0:
            return k
        total += s.s0[k]
    for k in range(K):
        p.pi[k] = s.s0[k] / total
        for i in range(D):
            m = s.m[k * D + i]
            d = s.s1[k * D + i] / s.s0[k]
            mean = m + d  # the next lines find its rounding error by Knuth's two-sum
            part = mean - m
            p.densities.mu[k * D + i] = mean
            p.densities.mu_rest[k * D + i] = (m - (mean - part)) + (d - part)
    return -1


cdef void diagonal(const double *first, const double *second, double weight, double *variance, Py_ssize_t D) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(D):
        variance[i] = second[i] / weight - (first[i] / weight) * (first[i] / weight)


cdef void matrix(const double *first, const double *second, double weight, double *sigma, Py_ssize_t D) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(D):
        for j in range(i + 1):
            sigma[i * D + j] = second[i * D + j] / weight - (first[i] / weight) * (first[j] / weight)


cdef void pooled(Statistics s, Parameters p) noexcept nogil:
    """Σ_k (second_k − weight_k d_k d_kᵀ) / Σ_k weight_k."""
    cdef Py_ssize_t K = s.n_components, D = s.n_features, k, i, j
    cdef double total = 0, between
    cdef const double *first
    for k in range(K):
        total += s.s0[k]
    for i in range(D):
        for j in range(i + 1):
            between = 0
            for k in range(K):
                first = s.s1 + k * D
                between += first[i] * (first[j] / s.s0[k])
            p.sigma[i * D + j] = (s.s2[i * D + j] - between) / total


cdef void mirror(double *sigma, Py_ssize_t D) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(D):
        for j in range(i):
            sigma[j * D + i] = sigma[i * D + j]


cdef double displacement(Statistics s, Densities p) noexcept nogil:
    """How far the means moved in this M step, in new standard deviations: max_k |L_k⁻¹ d_k|².

    The rounding error of the new covariances grows with this number, as second_k contains d_k d_kᵀ besides the scatter.
    """
    cdef Py_ssize_t D = s.n_features, size = matrix_size(p.kind, p.n_features), k, i, j
    cdef const double *factor
    cdef const double *first
    cdef double farthest = 0, square, y
    for k in range(s.n_components):
        factor = p.factor + (0 if p.kind == TIED else k * size)
        first = s.s1 + k * D
        square = 0
        for i in range(D):
            if p.kind == DIAG:
                y = factor[i] * (first[i] / s.s0[k])
            else:
                y = 0
                for j in range(i + 1):
                    y += factor[i * D + j] * (first[j] / s.s0[k])
            square += y * y
        if not square <= farthest:
            farthest = square if square == square else INFINITY
    return farthest


cdef double shift(Statistics s) noexcept nogil:
    """How far the means moved in this M step, feature by feature: max d_kj² / variance_kj, or ∞ where no variance is left.

    It serves where `displacement` has no Cholesky factor to measure with.
    """
    cdef Py_ssize_t D = s.n_features, step = D + 1 if s.kind != DIAG else 1, k, j, group
    cdef double farthest = 0, moved, square
    for group in range(1 if s.kind == TIED else s.n_components):
        for j in range(D):
            moved = 0
            for k in range(0 if s.kind == TIED else group, s.n_components if s.kind == TIED else group + 1):
                moved += s.s1[k * D + j] * (s.s1[k * D + j] / s.s0[k])
            square = s.s2[group * (D if s.kind == DIAG else D * D) + j * step] - moved
            if moved > 0:
                farthest = max(farthest, moved / square if square > 0 else INFINITY)
    return farthest

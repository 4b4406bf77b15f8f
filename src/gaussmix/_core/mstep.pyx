# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The M step: from Statistics to weights (11), means (7) and covariances (8).

With d_k = first_k / weight_k, the way from the reference point m_k to the new mean, the covariance about the new mean is
second_k / weight_k − d_k d_kᵀ: the parallel-axis rule.
"""
from libc.math cimport INFINITY
from gaussmix._core.densities cimport Densities, FULL, TIED, DIAG, matrix_size
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.statistics cimport Statistics

import numpy as np


cdef class MStep:
    """
    The M step of free covariances, of whichever kind.

    A structure that constrains them is a subclass that overrides `constrain`.

    Parameters
    ----------
    added : array_like, shape (D,)
        Added to the variances of each feature.
    """

    def __cinit__(self, added):
        cdef double[::1] amounts = np.array(added, dtype=np.float64)
        if amounts.shape[0] < 1:
            raise ValueError("what is added to variances must be of shape (D,)")
        self.n_features = amounts.shape[0]
        self.added = &amounts[0]
        self.owner = amounts

    cdef Py_ssize_t maximize_all(self, Statistics s, Parameters p) except -2 nogil:
        """Overwrite `p`; return −1, or the index of the first component that has no weight or a singular covariance."""
        if s is None or s.kind != p.kind or s.n_components != p.n_components or s.n_features != p.n_features:
            with gil:
                raise ValueError("statistics and parameters are of different shapes")
        cdef Py_ssize_t empty = means(s, p)
        if empty >= 0:
            return empty
        covariances(s, p)
        return self.regularize_all(p)

    cdef Py_ssize_t regularize_all(self, Parameters p) except -2 nogil:
        if self.n_features != p.n_features:
            with gil:
                raise ValueError("the M step has %d features, the parameters %d" % (self.n_features, p.n_features))
        add_to_diagonal(p, self.added)
        self.constrain(p)
        return p.factorize_all()

    cdef void constrain(self, Parameters p) noexcept nogil:
        """Whatever is left to do to covariances of this kind."""

    def maximize(self, Statistics statistics not None, Parameters parameters not None):
        """
        The M step: (11), (7), (8) under this structure.

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
        with nogil:
            singular = self.maximize_all(statistics, parameters)
        return singular

    def regularize(self, Parameters parameters not None):
        """
        The end of the M step alone: add to the variances, constrain them, and factorize.

        Parameters
        ----------
        parameters : Parameters
            Changed in place.

        Returns
        -------
        int
            −1, or the index of the first component that has a singular covariance.
        """
        with nogil:
            singular = self.regularize_all(parameters)
        return singular


cdef class SphericalMStep(MStep):
    """One variance for all features of a component, the mean of its diagonal; kind DIAG."""

    cdef void constrain(self, Parameters p) noexcept nogil:
        cdef Py_ssize_t D = p.n_features, k, i
        cdef double mean
        for k in range(p.n_components):
            mean = 0
            for i in range(D):
                mean += p.sigma[k * D + i]
            for i in range(D):
                p.sigma[k * D + i] = mean / D


cdef Py_ssize_t means(Statistics s, Parameters p) noexcept nogil:
    """Weights (11) and means (7); return −1, or the index of the first component without weight, where nothing is defined."""
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
            mean = m + d  # and its rounding error, by Knuth's two-sum
            part = mean - m
            p.densities.mu[k * D + i] = mean
            p.densities.mu_rest[k * D + i] = (m - (mean - part)) + (d - part)
    return -1


cdef void covariances(Statistics s, Parameters p) noexcept nogil:
    """Covariances (8) about the new means: one a component, their weighted mean (TIED), or the diagonals."""
    cdef Py_ssize_t K = s.n_components, D = s.n_features, k
    if s.kind == DIAG:
        for k in range(K):
            diagonal(s.s1 + k * D, s.s2 + k * D, s.s0[k], p.sigma + k * D, D)
    elif s.kind == FULL:
        for k in range(K):
            matrix(s.s1 + k * D, s.s2 + k * D * D, s.s0[k], p.sigma + k * D * D, D)
    else:
        pooled(s, p)
    if s.kind != DIAG:
        for k in range(1 if s.kind == TIED else K):
            mirror(p.sigma + k * D * D, D)


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


cdef void add_to_diagonal(Parameters p, const double *amounts) noexcept nogil:
    """Add to the variances of each feature, in place."""
    cdef Py_ssize_t D = p.n_features, k, i
    for k in range(1 if p.kind == TIED else p.n_components):
        for i in range(D):
            if p.kind == DIAG:
                p.sigma[k * D + i] += amounts[i]
            else:
                p.sigma[(k * D + i) * D + i] += amounts[i]


cdef double displacement(Statistics s, Densities p) noexcept nogil:
    """How far the means moved in this M step, in new standard deviations: max_k |L_k⁻¹ d_k|².

    The rounding error of the new covariances grows with it, as second_k holds d_k d_kᵀ besides the scatter.
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

    What is left when `displacement` has no Cholesky factor to measure with.
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

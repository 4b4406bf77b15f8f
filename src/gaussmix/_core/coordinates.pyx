# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Parameters as points of a vector space, and the course that EM takes through it.

The coordinates of a point are ln π_k, μ_k, and the numbers of L_k with Σ_k = L_k L_kᵀ, the logarithms of those on its diagonal. Every
point of the space is a mixture, so that a course can be extrapolated.

Lengths are measured as statistics measures them: for a small change, half its squared length is the Kullback-Leibler divergence of a
row and its component before the change from those after it. Such lengths do not depend on the units of the data. With M = L⁻¹ dL the
square is Σ_k π_k ((d ln π_k)² + |L_k⁻¹ dμ_k|² + |M|² + |diag M|²).
"""
from libc.math cimport INFINITY, exp, log, sqrt
from libc.string cimport memcpy, memset
from gaussmix._core.densities cimport DIAG, TIED, matrix_size, n_matrices
from gaussmix._core.linalg cimport NO_ROOM, invert_lower, multiply_lower
from gaussmix._core.memory cimport checked_size, first_number, zeros
from gaussmix._core.mstep cimport MStep
from gaussmix._core.parameters cimport Parameters


# Squares of lengths up to this size may be the rounding errors of a pass in float32.
cdef double NOISE = 1e-13

import numpy as np


cdef class Coordinates:
    """
    The coordinates of parameters of one structure and size.

    Parameters
    ----------
    parameters : Parameters
        Any of that structure and size.

    Attributes
    ----------
    size : int
        How many coordinates there are.
    """

    def __cinit__(self, Parameters parameters not None):
        self.K, self.D = parameters.n_components, parameters.n_features
        self.n_factors = n_matrices(parameters.densities.kind, self.K)
        self.factor_size = matrix_size(parameters.densities.kind, self.D)
        self.size = self.K * (1 + self.D) + checked_size(self.n_factors, self.factor_size)
        self.memory = zeros((self.factor_size,))
        self.square = first_number(self.memory)

    cdef int write(self, Parameters p, double *x) except -1 nogil:
        """Write the coordinates of factorized parameters to `x`."""
        cdef Py_ssize_t D = self.D, k, i
        cdef double *factor = x + self.K * (1 + D)
        for k in range(self.K):
            x[k] = p.log_weight(k)
        memcpy(x + self.K, p.densities.mu, self.K * D * sizeof(double))
        if p.densities.kind == DIAG:
            for i in range(self.K * D):
                factor[i] = -log(p.densities.factor[i])
            return 0
        memcpy(factor, p.densities.factor, self.n_factors * self.factor_size * sizeof(double))
        for k in range(self.n_factors):
            if invert_lower(factor + k * D * D, D) == NO_ROOM:
                with gil:
                    raise MemoryError("no memory to invert a matrix of order %d" % D)
            for i in range(D):
                factor[(k * D + i) * D + i] = log(factor[(k * D + i) * D + i])
        return 0

    cdef Py_ssize_t read(self, double *x, MStep step, Parameters p) except -2 nogil:
        """Overwrite `p` by the point `x`, whose weights are made to sum to one; return −1, or the index of a singular covariance."""
        cdef Py_ssize_t D = self.D, k, i
        cdef double *factor = p.densities.factor
        cdef double largest = x[0], total = 0
        for k in range(1, self.K):
            largest = max(largest, x[k])
        for k in range(self.K):
            total += exp(x[k] - largest)
        for k in range(self.K):
            x[k] -= largest + log(total)
            p.pi[k] = exp(x[k])
        memcpy(p.densities.mu, x + self.K, self.K * D * sizeof(double))
        memset(p.densities.mu_rest, 0, self.K * D * sizeof(double))
        memcpy(factor, x + self.K * (1 + D), self.n_factors * self.factor_size * sizeof(double))
        if p.densities.kind == DIAG:
            for i in range(self.K * D):
                factor[i] = exp(factor[i])
        else:
            for k in range(self.n_factors):
                for i in range(D):
                    factor[(k * D + i) * D + i] = exp(factor[(k * D + i) * D + i])
        return step.square_factors(p)

    cdef int whiten(self, Parameters at, const double *change, double *whitened) except -1 nogil:
        """Turn a change of coordinates at a point into a vector with the same length in the ordinary sense."""
        cdef Py_ssize_t D = self.D, k, i, j
        cdef const double *factor
        cdef const double *d
        cdef double *out
        cdef double root, sum
        for k in range(self.K):
            root = sqrt(at.pi[k])
            whitened[k] = root * change[k]
            factor = at.densities.factor + (0 if self.n_factors == 1 else k * self.factor_size)
            d, out = change + self.K + k * D, whitened + self.K + k * D
            for i in range(D):
                if at.densities.kind == DIAG:
                    out[i] = root * factor[i] * d[i]
                else:
                    sum = 0
                    for j in range(i + 1):
                        sum += factor[i * D + j] * d[j]
                    out[i] = root * sum
        for k in range(self.n_factors):
            root = 1 if at.densities.kind == TIED else sqrt(at.pi[k])
            d, out = change + self.K * (1 + D) + k * self.factor_size, whitened + self.K * (1 + D) + k * self.factor_size
            if at.densities.kind == DIAG:
                for i in range(D):
                    out[i] = root * sqrt(2.0) * d[i]
                continue
            factor = at.densities.factor + k * self.factor_size
            memcpy(self.square, d, self.factor_size * sizeof(double))
            for i in range(D):  # dL of a logarithm
                self.square[i * D + i] /= factor[i * D + i]
            multiply_lower(factor, self.square, out, D)
            for i in range(D):
                for j in range(i):
                    out[i * D + j] *= root
                out[i * D + i] *= root * sqrt(2.0)
        return 0


cdef class Course:
    """
    The last two points of EM's course, and where EM moved from each: x, r = EM(x) − x, and the same of the point before.

    Parameters
    ----------
    parameters : Parameters
        Any of the structure and size.

    Attributes
    ----------
    n_points : int
        How many have been recorded.
    square : float
        |r|². Half of it is, up to higher orders, what the mean log-likelihood is sure to gain in this iteration.
    rate : float
        The part of the way to the limit that EM leaves in an iteration, along Δx: 1 + ⟨Δx, Δr⟩/|Δx|², where Δ is the change since the
        point before. −∞ where Δx may be rounding errors.
    """

    def __cinit__(self, Parameters parameters not None):
        self.coordinates = Coordinates(parameters)
        cdef Py_ssize_t size = self.coordinates.size
        self.memory = zeros((8, size))
        cdef double *first = first_number(self.memory)
        self.x, self.residual, self.last_x, self.last_residual = first, first + size, first + 2 * size, first + 3 * size
        self.beyond = first + 4 * size
        self.whitened = first + 5 * size

    def state(self):
        """Return what is known of the course, shape (n,)."""
        cdef double[:, ::1] points = np.empty((4, self.coordinates.size))
        cdef Py_ssize_t i
        for i in range(self.coordinates.size):
            points[0, i], points[1, i] = self.x[i], self.residual[i]
            points[2, i], points[3, i] = self.last_x[i], self.last_residual[i]
        return np.concatenate([[self.n_points, self.square, self.rate], np.reshape(points, -1)])

    def restore(self, state):
        """Take on what another course of this size knew."""
        cdef double[:, ::1] points = np.array(state[3:]).reshape(4, self.coordinates.size)
        cdef Py_ssize_t i
        self.n_points, self.square, self.rate = int(state[0]), state[1], state[2]
        for i in range(self.coordinates.size):
            self.x[i], self.residual[i] = points[0, i], points[1, i]
            self.last_x[i], self.last_residual[i] = points[2, i], points[3, i]

    cdef int record(self, Parameters current, Parameters following) except -1 nogil:
        """EM went from one point to another."""
        cdef Py_ssize_t size = self.coordinates.size, i
        cdef double *r = self.whitened
        cdef double *dr = r + size
        cdef double *dx = dr + size
        self.x, self.last_x = self.last_x, self.x
        self.residual, self.last_residual = self.last_residual, self.residual
        self.coordinates.write(current, self.x)
        self.coordinates.write(following, self.residual)
        for i in range(size):
            self.residual[i] -= self.x[i]
        self.coordinates.whiten(current, self.residual, r)
        self.square = dot(r, r, size)
        self.n_points += 1
        if self.n_points == 1:
            return 0
        for i in range(size):
            self.beyond[i] = self.residual[i] - self.last_residual[i]
        self.coordinates.whiten(current, self.beyond, dr)
        for i in range(size):
            self.beyond[i] = self.x[i] - self.last_x[i]
        self.coordinates.whiten(current, self.beyond, dx)
        for i in range(size):
            dx[i] += dr[i]  # from here on Δ EM(x)
        self.r_dr, self.dr_dr = dot(r, dr, size), dot(dr, dr, size)
        self.r_dg, self.dg_dg = dot(r, dx, size), dot(dx, dx, size)
        cdef double dr_dg = dot(dr, dx, size)
        cdef double length = self.dg_dg - 2 * dr_dg + self.dr_dr
        self.rate = (self.dg_dg - dr_dg) / length if length > NOISE else -INFINITY
        return 0

    cdef double extrapolate(self, double bound) noexcept nogil:
        """
        Put Anderson's next point, EM(x) − β Δ EM(x) with β = ⟨r, Δr⟩/|Δr|², into `beyond`.

        A step against EM's, ⟨step, r⟩ < 0, is turned round: there EM is leaving a point between two valleys, to which Anderson's
        method would go back. The step is no longer than `bound` times |r|.

        Returns
        -------
        float
            The length of the step before the bound, in multiples of |r|; NaN where there is none.
        """
        cdef double beta = self.r_dr / self.dr_dr
        cdef double length = sqrt((self.square - 2 * beta * self.r_dg + beta * beta * self.dg_dg) / self.square)
        cdef double change, factor = 1 if self.square >= beta * self.r_dg else -1
        cdef Py_ssize_t i
        if length > bound:
            factor *= bound / length
        for i in range(self.coordinates.size):
            change = self.residual[i] - self.last_residual[i] + self.x[i] - self.last_x[i]
            self.beyond[i] = self.x[i] + factor * (self.residual[i] - beta * change)
        return length


cdef double dot(const double *a, const double *b, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(size):
        total += a[i] * b[i]
    return total

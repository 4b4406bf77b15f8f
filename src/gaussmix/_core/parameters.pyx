# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Parameters: the weights, means and covariances that an M step makes, with the Densities that the next E step reads."""
from libc.math cimport INFINITY, log
from libc.string cimport memcpy
from gaussmix._core.densities cimport Densities
from gaussmix._core.memory cimport first_number, read_only, zeros

import numpy as np


cdef class Parameters:
    """
    Weights, means and covariances of K normals in D dimensions.

    Parameters
    ----------
    factors : Kind
        The kind of the densities.
    n_components, n_features : int
        K and D, at least 1.
    shape : tuple of int
        The shape of the covariances, as their structure stores them. Only the structure knows what their numbers mean.

    Attributes
    ----------
    weights : ndarray, shape (K,)
    covariances : ndarray
    densities : Densities
        They hold the means. All arrays are float64, and zero at first.
    """

    def __cinit__(self, factors, n_components, n_features, shape):
        self.densities = Densities(factors, n_components, n_features)
        self.n_components = n_components
        self.n_features = n_features
        self.weights = zeros((n_components,))
        self.covariances = zeros(shape)
        self.n_numbers = self.covariances.size
        # The memory lives as long as this object and is never replaced, so that the addresses hold.
        self.pi = first_number(self.weights)
        self.sigma = first_number(self.covariances)

    @property
    def means(self):
        return self.densities.means

    cdef double log_weight(self, Py_ssize_t k) noexcept nogil:
        return log(self.pi[k]) if self.pi[k] > 0 else -INFINITY

    def numbers(self):
        """All arrays: weights, covariances, and those of the densities."""
        return self.weights, self.covariances, *self.densities.numbers()

    @property
    def log_weights(self):
        """ln π_k, shape (K,)."""
        return np.array([self.log_weight(k) for k in range(self.n_components)])

    cdef void assign(self, Parameters other) noexcept nogil:
        """Copy all numbers of `other`, which has the same shape."""
        memcpy(self.pi, other.pi, self.n_components * sizeof(double))
        memcpy(self.sigma, other.sigma, self.n_numbers * sizeof(double))
        self.densities.assign(other.densities)

    def copy(self):
        """Return a copy."""
        other = Parameters(self.densities.kind, self.n_components, self.n_features, self.covariances.shape)
        other.assign(self)
        return other

    def freeze(self):
        """Make the arrays read-only for good; they cannot be made writable again."""
        self.weights, self.covariances = read_only(self.weights), read_only(self.covariances)
        self.densities.freeze()

    def __reduce__(self):
        return restored, (self.densities, self.weights, self.covariances)


def restored(densities, weights, covariances):
    """Make Parameters from the content of a pickle."""
    parameters = Parameters(densities.kind, densities.n_components, densities.n_features, covariances.shape)
    for mine, given in zip(parameters.densities.numbers(), densities.numbers()):
        mine[...] = given
    parameters.weights[...], parameters.covariances[...] = weights, covariances
    return parameters

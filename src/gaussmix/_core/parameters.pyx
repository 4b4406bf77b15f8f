# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Parameters: what an M step makes (weights, means, covariances), with the Densities that the next E step reads."""
from libc.string cimport memcpy
from gaussmix._core.densities cimport Densities, matrices_shape, matrix_size, n_matrices
from gaussmix._core.memory cimport first_number, read_only, zeros


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
    covariances : ndarray, shape (K, D, D), (1, D, D) or (K, D)
    densities : Densities
        With the means. All float64, and zero at first. After writing weights, means and covariances call `factorize`.
    """

    def __cinit__(self, kind, n_components, n_features):
        self.densities = Densities(kind, n_components, n_features)
        self.kind = self.densities.kind
        self.n_components = n_components
        self.n_features = n_features
        self.weights = zeros((n_components,))
        self.covariances = zeros(matrices_shape(self.kind, n_components, n_features))
        # The memory lives as long as this object and is never replaced, so that the addresses hold.
        self.pi = first_number(self.weights)
        self.sigma = first_number(self.covariances)

    @property
    def means(self):
        return self.densities.means

    cdef Py_ssize_t factorize_all(self) except -2 nogil:
        return self.densities.factorize_all(self.pi, self.sigma)

    cdef void assign(self, Parameters other) noexcept nogil:
        """Take on all numbers of `other`, of the same shape."""
        memcpy(self.pi, other.pi, self.n_components * sizeof(double))
        memcpy(self.sigma, other.sigma,
               n_matrices(self.kind, self.n_components) * matrix_size(self.kind, self.n_features) * sizeof(double))
        self.densities.assign(other.densities)

    def copy(self):
        """The same numbers in memory of their own."""
        other = Parameters(self.kind, self.n_components, self.n_features)
        other.assign(self)
        return other

    def factorize(self):
        """
        Derive the factors and constants of the densities from weights and covariances.

        Returns
        -------
        int
            As `Densities.factorize`.
        """
        with nogil:
            singular = self.factorize_all()
        return singular

    def freeze(self):
        """Make the arrays read-only for good; they cannot be made writable again."""
        self.weights, self.covariances = read_only(self.weights), read_only(self.covariances)
        self.densities.freeze()

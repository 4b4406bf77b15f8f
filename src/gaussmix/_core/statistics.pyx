# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Statistics: the sums that a pass leaves behind (docs/mathematics.md), as memory that the compiled loops write.

The operations here that run once for each block are less than a thousandth of its work. That is too short to release the GIL for.
"""
from libc.string cimport memset
from gaussmix._core.densities cimport Kind, FULL, TIED, DIAG, matrices_shape, matrix_size, n_matrices
from gaussmix._core.memory cimport first_number, zeros


cdef class Statistics:
    """
    Weight, first and second moments of each component about a reference point, and the log-likelihood.

    Parameters
    ----------
    kind : Kind
        Which second moments are kept: FULL one matrix per component, TIED their sum, DIAG their diagonals.
    n_components, n_features : int
        K and D, at least 1.

    Attributes
    ----------
    reference : ndarray, shape (K, D)
        The points m_k that the moments are taken about.
    weight : ndarray, shape (K,)
        Σ_n w_n γ_nk.
    first : ndarray, shape (K, D)
        Σ_n w_n γ_nk (x_n − m_k).
    second : ndarray, shape (K, D, D), (1, D, D) or (K, D)
        Σ_n w_n γ_nk (x_n − m_k)(x_n − m_k)ᵀ; of a matrix only the lower triangle is kept.
    log_likelihood : float
        Σ_n w_n ln p(x_n), equation (6).
    total_weight : float
        Σ_n w_n.
    """

    def __cinit__(self, kind, n_components, n_features):
        if n_components < 1 or n_features < 1:
            raise ValueError("n_components and n_features must be at least 1, not %r and %r" % (n_components, n_features))
        if kind not in (FULL, TIED, DIAG):
            raise ValueError("kind must be a Kind, not %r" % (kind,))
        self.kind = <Kind> (<int> kind)
        self.n_components = n_components
        self.n_features = n_features
        self.reference = zeros((n_components, n_features))
        self.weight = zeros((n_components,))
        self.first = zeros((n_components, n_features))
        self.second = zeros(matrices_shape(self.kind, n_components, n_features))
        self.second_size = n_matrices(self.kind, n_components) * matrix_size(self.kind, n_features)
        # The memory lives as long as this object and is never replaced, so that the addresses hold.
        self.m = first_number(self.reference)
        self.s0 = first_number(self.weight)
        self.s1 = first_number(self.first)
        self.s2 = first_number(self.second)

    cdef void clear_sums(self) noexcept nogil:
        cdef Py_ssize_t row
        memset(self.s0, 0, self.n_components * sizeof(double))
        memset(self.s1, 0, self.n_components * self.n_features * sizeof(double))
        for row in range(self.second_size // self.n_features):
            memset(self.s2 + row * self.n_features, 0, self.kept(row) * sizeof(double))
        self.log_likelihood = 0
        self.total_weight = 0

    cdef void add_sums(self, Statistics other) noexcept nogil:
        cdef Py_ssize_t i, row
        cdef double *mine
        cdef const double *others
        for i in range(self.n_components):
            self.s0[i] += other.s0[i]
        for i in range(self.n_components * self.n_features):
            self.s1[i] += other.s1[i]
        for row in range(self.second_size // self.n_features):
            mine = self.s2 + row * self.n_features
            others = other.s2 + row * self.n_features
            for i in range(self.kept(row)):
                mine[i] += others[i]
        self.log_likelihood += other.log_likelihood
        self.total_weight += other.total_weight

    cdef Py_ssize_t kept(self, Py_ssize_t row) noexcept nogil:
        """How many numbers of a row of second moments are used: those up to the diagonal of its matrix."""
        return self.n_features if self.kind == DIAG else row % self.n_features + 1

    def clear(self):
        """Set every sum to zero; the reference points stay."""
        self.clear_sums()

    def accumulate(self, Statistics other not None):
        """Add the sums of `other` in place. It must have the same shape and the same reference points."""
        if (other.kind != self.kind or other.n_components != self.n_components
                or other.n_features != self.n_features):
            raise ValueError("statistics add only where their second moments are of the same kind and their references of the same shape, "
                             "not " + " and ".join("%s of shape %r" % (one.kind.name, one.reference.shape)
                                                   for one in (<object> self, <object> other)))
        self.add_sums(other)

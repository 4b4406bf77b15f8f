# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""k-means++ and Lloyd's algorithm: E steps on the tile kernels, and the two loops over them.

The Densities of these E steps stand for points: only their means are read. A kernel computes −½ |x − c|², the logarithm of an
unnormalized unit normal, so that the nearest centre has the largest value.
"""
from libc.math cimport NAN
from libc.stdint cimport int32_t
from libc.string cimport memcpy
from gaussmix._core.densities cimport Densities, DIAG
from gaussmix._core.estep cimport Block, EStep, Workspace, fetch, start_of, tiles, GM_TILE
from gaussmix._core.passes cimport Passes
from gaussmix._core.statistics cimport Statistics

import numpy as np


cdef class Distances(EStep):
    """An E step that measures squared distances to the means of its Densities, whatever their kind."""

    cdef int distances_tile(self, Block block, Py_ssize_t start, Workspace work) noexcept nogil:
        """Write −½ |x_n − c_k|² of a tile to the workspace."""
        self.kernels.load(&work.w, block.rows.data + start * block.rows.stride, block.rows.stride,
                          <int> min(block.rows.n_rows - start, <Py_ssize_t> GM_TILE))
        self.kernels.distances(&work.w, self.reference)
        return work.w.rows


cdef class Nearest(Distances):
    """
    One pass of Lloyd's algorithm: label each row with its nearest centre, and add up the residuals about that centre.

    It fills `weight`, `first` and `total_weight` of the Statistics, and puts −½ Σ w_n |x_n − c|² into `log_likelihood`.

    Parameters
    ----------
    kind, n_components, n_features, size
        As for `EStep`.
    labels : ndarray of int32, shape (N,)
        Overwritten with the nearest centre of each row.
    moved : ndarray of intp, shape (number of blocks,)
        Overwritten with how many labels of each block changed.
    """

    def __cinit__(self, kind, n_components, n_features, size, int32_t[::1] labels not None, Py_ssize_t[::1] moved not None):
        self.labels, self.moved = labels, moved

    def arguments(self):
        return np.asarray(self.labels), np.asarray(self.moved)

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        cdef Py_ssize_t tile, start, moved = 0
        cdef int rows, n
        cdef int32_t label[GM_TILE]
        cdef double half_square[GM_TILE]
        cdef const double *w = NULL
        cdef int32_t *labels = &self.labels[block.start]
        require_places(block, self.labels.shape[0])
        self.begin(statistics)
        for tile in range(tiles(block.rows)):
            start = tile * GM_TILE
            rows = self.distances_tile(block, start, work)
            self.kernels.largest(&work.w, label, half_square)
            if block.w != NULL:
                w = block.w + start
            for n in range(rows):
                statistics.log_likelihood += (1 if w == NULL else w[n]) * half_square[n]
                statistics.total_weight += 1 if w == NULL else w[n]
                moved += label[n] != labels[start + n]
                labels[start + n] = label[n]
            self.kernels.residuals(&work.w, label, w, self.reference, statistics.s1, statistics.s0)
        self.moved[block.index] = moved
        return 0


cdef class Potentials(Distances):
    """
    Compute what the inertia would be with one more centre: `weight` of the Statistics becomes Σ w_n min(closest_n, |x_n − c_k|²).

    Parameters
    ----------
    kind, n_components, n_features, size
        As for `EStep`.
    closest : ndarray, shape (N,), float64
        The squared distance of each row to the nearest of the present centres.
    """

    def __cinit__(self, kind, n_components, n_features, size, double[::1] closest not None):
        self.closest = closest

    def arguments(self):
        return (np.asarray(self.closest),)

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        cdef Py_ssize_t tile, start, k
        cdef int rows, n
        cdef double total
        cdef const double *closest = &self.closest[block.start]
        require_places(block, self.closest.shape[0])
        self.begin(statistics)
        for tile in range(tiles(block.rows)):
            start = tile * GM_TILE
            rows = self.distances_tile(block, start, work)
            for k in range(self.n_components):
                total = 0
                for n in range(rows):
                    total += (1 if block.w == NULL else block.w[start + n]) * \
                        min(closest[start + n], -2 * fetch(work.w.gamma, k * GM_TILE + n, self.size))
                statistics.s0[k] += total
        return 0


cdef class Closest(Distances):
    """
    Lower `closest` of each row to its squared distance to the nearest of some points, where that is less.

    Parameters
    ----------
    kind, n_components, n_features, size
        As for `EStep`.
    closest : ndarray, shape (N,), float64
    masses : ndarray, shape (number of blocks,), float64
        Overwritten with Σ w_n closest_n of each block.
    """

    def __cinit__(self, kind, n_components, n_features, size, double[::1] closest not None, double[::1] masses not None):
        self.closest, self.masses = closest, masses

    def arguments(self):
        return np.asarray(self.closest), np.asarray(self.masses)

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        cdef Py_ssize_t tile, start
        cdef int rows, n
        cdef int32_t label[GM_TILE]
        cdef double half_square[GM_TILE]
        cdef double total = 0
        cdef double *closest = &self.closest[block.start]
        require_places(block, self.closest.shape[0])
        self.begin(statistics)
        for tile in range(tiles(block.rows)):
            start = tile * GM_TILE
            rows = self.distances_tile(block, start, work)
            self.kernels.largest(&work.w, label, half_square)
            for n in range(rows):
                closest[start + n] = min(closest[start + n], -2 * half_square[n])
                total += (1 if block.w == NULL else block.w[start + n]) * closest[start + n]
        self.masses[block.index] = total
        return 0


cdef int require_places(Block block, Py_ssize_t n_rows) except -1 nogil:
    """Raise where the rows of a block lie outside an array of this length."""
    if block.start < 0 or block.start + block.rows.n_rows > n_rows:
        with gil:
            raise ValueError("rows %d to %d have no place in an array of %d" % (block.start, block.start + block.rows.n_rows, n_rows))
    return 0


cdef class Lloyd:
    """
    Lloyd's algorithm: each row is assigned to the nearest centre, and each centre moves to the mean of its rows.

    Parameters
    ----------
    passes : Passes
        The passes of a `Nearest` E step with this `moved`.
    centres : array_like, shape (K, D)
    moved : ndarray of intp
    tol : float
        The algorithm ends when the squared shift of the centres is at most this part of the mean variance of the features.

    Attributes
    ----------
    centres : ndarray, shape (K, D)
        The centres after the last pass.
    inertia : float
        Σ w_n |x_n − c|², c the nearest of the centres before the last pass moved them.
    n_iter : int
    ended : bool
    starved : bool
        Whether a centre has lost all its rows. It must then be placed elsewhere.
    """

    def __cinit__(self, Passes passes not None, centres, Py_ssize_t[::1] moved not None, double tol):
        self.passes, self.moved, self.tol = passes, moved, tol
        self.at = Densities(DIAG, passes.total.n_components, passes.total.n_features)
        if np.shape(centres) != self.at.means.shape:
            raise ValueError("the centres must be of shape %s, not %s" % (self.at.means.shape, np.shape(centres)))
        self.at.means[...] = centres
        self.inertia = NAN

    @property
    def centres(self):
        return self.at.means

    def run(self, Py_ssize_t iterations):
        """Make up to this many iterations; stop earlier at the end, or where a centre has lost its rows."""
        cdef Py_ssize_t last = self.n_iter + iterations
        self.starved = False
        with nogil:
            while self.n_iter < last and not self.ended and not self.starved:
                self.iterate()

    cdef int iterate(self) except -1 nogil:
        self.passes.sum_all(self.at, None)
        self.move(self.passes.total)
        return 0

    cdef void move(self, Statistics s) noexcept nogil:
        """Move each centre to the mean of its rows, and decide whether the algorithm has ended."""
        cdef Py_ssize_t D = self.at.n_features, k, i, moved = 0
        cdef double shift = 0, point
        for i in range(self.moved.shape[0]):
            moved += self.moved[i]
        self.inertia = -2 * s.log_likelihood
        if self.n_iter == 0:
            self.threshold = self.tol * mean_variance(s)
        for k in range(self.at.n_components):
            for i in range(k * D, (k + 1) * D):
                point = s.m[i]
                self.at.mu[i] = point + s.s1[i] / (s.s0[k] if s.s0[k] > 0 else 1)
                shift += (self.at.mu[i] - point) * (self.at.mu[i] - point)
            self.starved |= not s.s0[k] > 0
        self.n_iter += 1
        # Either no row has changed its label, or every row is a centre, as there are fewer distinct rows than centres.
        self.ended = moved == 0 or self.inertia == 0 or (not self.starved and shift <= self.threshold)


cdef double mean_variance(Statistics s) noexcept nogil:
    """The variance of the rows, averaged over features. The parallel-axis rule gives it from the sums of a `Nearest` pass."""
    cdef Py_ssize_t K = s.n_components, D = s.n_features, k, i
    cdef double total = 0, square = -2 * s.log_likelihood, origin, mean, away
    for k in range(K):
        total += s.s0[k]
    for i in range(D):
        origin, mean = s.m[i], 0
        for k in range(K):
            mean += (s.s0[k] * (s.m[k * D + i] - origin) + s.s1[k * D + i]) / total
        for k in range(K):
            away = s.m[k * D + i] - origin - mean
            square += away * (2 * s.s1[k * D + i] + s.s0[k] * away)
    return max(square, 0.0) / total / D


cdef class Seeding:
    """
    Greedy k-means++. Candidate rows are drawn with probabilities in proportion to weight times squared distance to the nearest
    chosen row. Of several candidates the one with the least remaining inertia is chosen.

    Parameters
    ----------
    potentials : Passes
        The passes of a `Potentials` E step for as many points as there are candidates.
    closest : Passes
        The passes of a `Closest` E step for one point.
    weights : ndarray, shape (N,), float64, or None
    ends : sequence of int
        Where each block ends.
    distances : ndarray, shape (N,), float64
        The array `closest` of both E steps; infinite at first.
    masses : ndarray, shape (number of blocks,), float64
        The array `masses` of the second E step.
    """

    def __cinit__(self, Passes potentials not None, Passes closest not None, const double[::1] weights, ends,
                  const double[::1] distances not None, const double[::1] masses not None):
        self.potentials, self.lower, self.weights = potentials, closest, weights
        self.row_weights = start_of(weights)
        self.closest, self.masses = distances, masses
        self.ends = np.array(ends, dtype=np.intp)
        n_candidates, n_features = potentials.total.n_components, potentials.total.n_features
        self.candidates = np.zeros(n_candidates, dtype=np.intp)
        self.points, self.best = Densities(DIAG, n_candidates, n_features), Densities(DIAG, 1, n_features)
        if weights is not None and weights.shape[0] != distances.shape[0]:
            raise ValueError("weights and rows differ in number")
        if self.ends.shape[0] != masses.shape[0] or (masses.shape[0] and self.ends[masses.shape[0] - 1] != distances.shape[0]):
            raise ValueError("the blocks do not end where the rows do")

    def choose(self, const double[:, ::1] uniform not None):
        """
        Choose further rows.

        Parameters
        ----------
        uniform : array, shape (n_rows, at most n_candidates), float64
            Random numbers from 0 to 1, one for each candidate of each row to choose. The very first row is drawn by weight alone,
            from one candidate.

        Returns
        -------
        list of int
        """
        if not 1 <= uniform.shape[1] <= self.candidates.shape[0]:
            raise ValueError("there must be a random number for each candidate")
        cdef Py_ssize_t[::1] chosen = np.zeros(uniform.shape[0], dtype=np.intp)
        cdef Py_ssize_t k, i, count
        with nogil:
            for k in range(uniform.shape[0]):
                count = uniform.shape[1] if self.n_chosen else 1
                for i in range(count):
                    self.candidates[i] = self.drawn(uniform[k, i])
                chosen[k] = self.candidates[self.take(count)]
                self.n_chosen += 1
        return np.asarray(chosen).tolist()

    cdef Py_ssize_t drawn(self, double u) noexcept nogil:
        """Draw a row by the inverse of the cumulative mass; the last row with mass where rounding leaves that below the target."""
        cdef Py_ssize_t start = 0, stop = self.closest.shape[0], row = 0, n, block
        cdef double target = 0, before = 0, after = 0
        for block in range(self.masses.shape[0]):
            target += self.masses[block]
        cdef bint far = target > 0
        if far:
            target *= u
            for block in range(self.masses.shape[0]):
                if self.masses[block] > 0:
                    start, stop = self.ends[block - 1] if block else 0, self.ends[block]
                    before, after = after, after + self.masses[block]
                    if after > target:
                        break
        else:  # the first row, or there are fewer distinct rows than centres
            for n in range(stop):
                target += self.mass(n, far)
            target *= u
        for n in range(start, stop):
            if self.mass(n, far) > 0:
                row = n
                before += self.mass(n, far)
                if before > target:
                    break
        return row

    cdef double mass(self, Py_ssize_t n, bint far) noexcept nogil:
        return (self.closest[n] if far else 1) * (1 if self.row_weights == NULL else self.row_weights[n])

    cdef Py_ssize_t take(self, Py_ssize_t count) except -1 nogil:
        """Find the candidate that leaves the least inertia, and lower `closest` to the distances to it."""
        cdef Py_ssize_t D = self.best.n_features, i, least = 0
        for i in range(count):
            self.potentials.read_row(self.candidates[i], self.points.mu + i * D)
        if count > 1:
            self.potentials.sum_all(self.points, None)
            for i in range(count):
                if self.potentials.total.s0[i] < self.potentials.total.s0[least]:
                    least = i
        memcpy(self.best.mu, self.points.mu + least * D, D * sizeof(double))
        self.lower.sum_all(self.best, None)
        return least

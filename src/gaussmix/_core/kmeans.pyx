# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""k-means++ and Lloyd's algorithm, on the tile kernels of the E step.

A kernel leaves −½ |x − c|², the logarithm of an unnormalized unit normal, so that the nearest centre is the largest.
"""
from libc.math cimport NAN
from libc.stdint cimport int32_t
from libc.string cimport memset
from gaussmix._core.estep cimport Rows, Workspace, fetch, gm_kernels, kernels_for, start_of, store, tiles, GM_TILE

import numpy as np


cdef class Centres:
    """
    Points to measure distances to, in the number type of the rows.

    Parameters
    ----------
    points : array_like, shape (K, D)
    size : int
        Bytes of a real: 4 for float32 rows, 8 for float64.
    """

    def __cinit__(self, points, size):
        rounded = np.array(points, dtype=np.float32 if size == 4 else np.float64, order="C")
        if rounded.ndim != 2 or 0 in rounded.shape:
            raise ValueError("points must be of shape (K, D)")
        self.n_components, self.n_features = rounded.shape
        self.size = size
        self.kernels = kernels_for(self.size)
        self.owner = rounded
        self.points = address(rounded)

    cdef int distances_tile(self, Rows x, Py_ssize_t start, Workspace work) noexcept nogil:
        """Leave −½ |x_n − c_k|² of a tile in the workspace."""
        self.kernels.load(&work.w, x.data + start * x.stride, x.stride, <int> min(x.n_rows - start, <Py_ssize_t> GM_TILE))
        self.kernels.distances(&work.w, self.points)
        return work.w.rows

    def check(self, Rows x not None, const double[::1] weights, Workspace work not None):
        if x.n_features != self.n_features or x.size != self.size:
            raise ValueError("rows and centres are of different widths or types")
        if weights is not None and weights.shape[0] != x.n_rows:
            raise ValueError("weights and rows differ in number")
        if work.n_components != self.n_components or work.n_features != self.n_features or work.size != self.size:
            raise ValueError("the workspace is of another shape than the centres")

    def nearest(self, Rows x not None, const double[::1] weights, int32_t[::1] labels, double[:, ::1] first,
                double[::1] weight, Workspace work not None):
        """
        One pass of Lloyd's algorithm: label each row, and add up the residuals about its centre.

        Parameters
        ----------
        x : Rows
        weights : array, shape (N,), float64, or None
        labels : array, shape (N,), int32
            Overwritten with the nearest centre of each row.
        first, weight : arrays, shape (K, D) and (K,), float64
            Σ w_n (x_n − c_k) and Σ w_n over the rows of each centre are added.
        work : Workspace

        Returns
        -------
        inertia : float
            Σ w_n |x_n − c|², c the nearest centre.
        moved : int
            How many labels changed.
        """
        self.check(x, weights, work)
        if labels.shape[0] != x.n_rows or first.shape[0] != self.n_components or \
                first.shape[1] != self.n_features or weight.shape[0] != self.n_components:
            raise ValueError("an output array has the wrong shape")
        cdef const double *w = start_of(weights)
        cdef int32_t *label = &labels[0] if labels.shape[0] else NULL
        cdef double inertia = 0
        with nogil:
            moved = self.nearest_rows(x, w, label, &first[0, 0], &weight[0], &inertia, work)
        return inertia, moved

    cdef Py_ssize_t nearest_rows(self, Rows x, const double *weights, int32_t *labels, double *first, double *weight,
                                 double *inertia, Workspace work) noexcept nogil:
        cdef Py_ssize_t tile, start, moved = 0
        cdef int rows, n
        cdef int32_t label[GM_TILE]
        cdef double half_square[GM_TILE]
        cdef double w
        for tile in range(tiles(x)):
            start = tile * GM_TILE
            rows = self.distances_tile(x, start, work)
            self.kernels.largest(&work.w, label, half_square)
            for n in range(rows):
                w = 1 if weights == NULL else weights[start + n]
                inertia[0] -= 2 * w * half_square[n]
                moved += label[n] != labels[start + n]
                labels[start + n] = label[n]
                weight[label[n]] += w
                self.add_residual(x, start + n, label[n], w, first + label[n] * self.n_features)
        return moved

    cdef void add_residual(self, Rows x, Py_ssize_t n, Py_ssize_t k, double w, double *first) noexcept nogil:
        cdef Py_ssize_t i
        cdef const char *row = x.data + n * x.stride
        for i in range(self.n_features):
            if self.size == sizeof(float):
                first[i] += w * (<double> (<const float *> row)[i] - (<const float *> self.points)[k * self.n_features + i])
            else:
                first[i] += w * ((<const double *> row)[i] - (<const double *> self.points)[k * self.n_features + i])

    def potentials(self, Rows x not None, const double[::1] weights, const double[::1] closest, double[::1] potential,
                   Workspace work not None):
        """
        Add to `potential[k]` what Σ w_n d_n² of the block would be with centre k among the chosen ones.

        Parameters
        ----------
        x : Rows
        weights : array, shape (N,), float64, or None
        closest : array, shape (N,), float64
            The squared distance of each row to the centres chosen so far.
        potential : array, shape (K,), float64
        work : Workspace
        """
        self.check(x, weights, work)
        if closest.shape[0] != x.n_rows or potential.shape[0] != self.n_components:
            raise ValueError("an array has the wrong shape")
        cdef Py_ssize_t tile, start, k
        cdef int rows, n
        cdef double total
        with nogil:
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                rows = self.distances_tile(x, start, work)
                for k in range(self.n_components):
                    total = 0
                    for n in range(rows):
                        total += (1 if weights is None else weights[start + n]) * \
                            min(closest[start + n], -2 * fetch(work.w.gamma, k * GM_TILE + n, self.size))
                    potential[k] += total

    def approach(self, Rows x not None, const double[::1] weights, double[::1] closest, Workspace work not None):
        """
        Lower `closest` to the squared distance to these centres where that is less; return Σ w_n closest_n.
        """
        self.check(x, weights, work)
        if closest.shape[0] != x.n_rows:
            raise ValueError("an array has the wrong shape")
        cdef Py_ssize_t tile, start
        cdef int rows, n
        cdef int32_t label[GM_TILE]
        cdef double half_square[GM_TILE]
        cdef double total = 0
        with nogil:
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                rows = self.distances_tile(x, start, work)
                self.kernels.largest(&work.w, label, half_square)
                for n in range(rows):
                    closest[start + n] = min(closest[start + n], -2 * half_square[n])
                    total += (1 if weights is None else weights[start + n]) * closest[start + n]
        return total


cdef class Lloyd:
    """
    Lloyd's algorithm: each row goes to the nearest centre, each centre to the mean of its rows.

    It runs with the GIL released, and where the rows are a single block nothing in it needs Python.

    Parameters
    ----------
    distances : Distances
        Its `nearest` passes over the blocks.
    centres : array_like, shape (K, D)
    labels : array, shape (N,), int32
        Overwritten with the nearest of `points` for each row.
    tol : float
        It ends where the centres' squared shift is no more than this much of the mean variance of the features.

    Attributes
    ----------
    points, centres : ndarray, shape (K, D)
        Where the centres were in the last pass, in the number type of the rows, and where their rows moved them.
    weight : ndarray, shape (K,)
        Σ w_n over the rows of each.
    inertia : float
        Σ w_n |x_n − c|², c the nearest of `points`.
    n_iter : int
    ended : bool
    bereft : bool
        Whether a centre has lost all its rows: it is to be put elsewhere.
    """

    def __cinit__(self, distances, centres, int32_t[::1] labels not None, double tol):
        self.distances, self.labels, self.tol = distances, labels, tol
        self.centres = np.array(centres, dtype=np.float64, order="C")
        self.points, self.first = np.zeros_like(self.centres), np.zeros_like(self.centres)
        self.weight = np.zeros(len(self.centres))
        self.at = Centres(self.centres, distances.blocks.size)
        self.centre, self.point = <double *> address(self.centres), <double *> address(self.points)
        self.s0, self.s1 = <double *> address(self.weight), <double *> address(self.first)
        self.inertia = NAN
        if len(distances.blocks) > 1:
            return
        cdef const double[::1] weights = distances.blocks.row_weights(0)
        self.rows, self.row_weights = distances.blocks.rows(0), start_of(weights)
        self.work = Workspace(self.at.n_components, self.at.n_features, self.at.size)
        self.at.check(self.rows, weights, self.work)
        if labels.shape[0] != self.rows.n_rows:
            raise ValueError("labels and rows differ in number")

    def run(self, Py_ssize_t iterations):
        """Up to so many iterations; fewer where it ends, or a centre has lost its rows."""
        cdef Py_ssize_t last = self.n_iter + iterations
        self.bereft = False
        with nogil:
            while self.n_iter < last and not self.ended and not self.bereft:
                self.iterate()

    cdef int iterate(self) except -1 nogil:
        cdef Py_ssize_t D = self.at.n_features, k, i, moved
        cdef double shift = 0
        for i in range(self.at.n_components * D):
            store(self.at.points, i, self.centre[i], self.at.size)
            self.point[i] = fetch(self.at.points, i, self.at.size)
        moved = self.assign()
        if self.n_iter == 0:
            self.threshold = self.tol * self.mean_variance()
        for k in range(self.at.n_components):
            for i in range(k * D, (k + 1) * D):
                self.centre[i] = self.point[i] + self.s1[i] / (self.s0[k] if self.s0[k] > 0 else 1)
                shift += (self.centre[i] - self.point[i]) * (self.centre[i] - self.point[i])
            self.bereft |= not self.s0[k] > 0
        self.n_iter += 1
        # No row has moved, or every row is a centre, as there are fewer distinct rows than centres.
        self.ended = moved == 0 or self.inertia == 0 or (not self.bereft and shift <= self.threshold)
        return 0

    cdef double mean_variance(self) noexcept nogil:
        """The variance of the rows, averaged over features, by the parallel-axis rule from the sums of a pass."""
        cdef Py_ssize_t K = self.at.n_components, D = self.at.n_features, k, i
        cdef double total = 0, square = self.inertia, origin, mean, away
        for k in range(K):
            total += self.s0[k]
        for i in range(D):
            origin, mean = self.point[i], 0
            for k in range(K):
                mean += (self.s0[k] * (self.point[k * D + i] - origin) + self.s1[k * D + i]) / total
            for k in range(K):
                away = self.point[k * D + i] - origin - mean
                square += away * (2 * self.s1[k * D + i] + self.s0[k] * away)
        return max(square, 0.0) / total / D

    cdef Py_ssize_t assign(self) except -1 nogil:
        """Label the rows and add up their residuals; return how many labels changed."""
        cdef Py_ssize_t K = self.at.n_components, moved
        if self.rows is None:
            with gil:
                self.first[...], self.weight[...], self.inertia, moved = self.distances.nearest(self.points, np.asarray(self.labels))
            return moved
        memset(self.s0, 0, K * sizeof(double))
        memset(self.s1, 0, K * self.at.n_features * sizeof(double))
        self.inertia = 0
        return self.at.nearest_rows(self.rows, self.row_weights, &self.labels[0], self.s1, self.s0, &self.inertia, self.work)


def draw(const double[::1] uniform, const double[::1] parts, const double[::1] weights, const double[::1] masses,
         const Py_ssize_t[::1] ends):
    """
    Rows in proportion to their mass, by the inverse of the cumulative mass.

    Parameters
    ----------
    uniform : array, float64
        Random numbers from 0 to 1, one for each row to draw.
    parts : array, shape (N,), float64
        The mass of each row, without its weight.
    weights : array, shape (N,), float64, or None
        Sample weights, by which that is multiplied; None for ones.
    masses : array, shape (n_blocks,), float64
        What the masses of the rows of each block sum to, so that only the block of a drawn row need be searched.
    ends : array, shape (n_blocks,), intp
        Where each block ends; the next begins there, the first at 0.

    Returns
    -------
    list of int
    """
    if (weights is not None and weights.shape[0] != parts.shape[0]) or masses.shape[0] != ends.shape[0]:
        raise ValueError("an array has the wrong shape")
    cdef Py_ssize_t block, i, start = 0
    cdef double total = 0
    for block in range(ends.shape[0]):
        if not start <= ends[block] <= parts.shape[0]:
            raise ValueError("the blocks are not in order")
        start = ends[block]
        total += masses[block]
    cdef Py_ssize_t[::1] rows = np.empty(uniform.shape[0], dtype=np.intp)
    with nogil:
        for i in range(uniform.shape[0]):
            rows[i] = row_at(uniform[i] * total, parts, weights, masses, ends)
    return np.asarray(rows).tolist()


cdef Py_ssize_t row_at(double target, const double[::1] parts, const double[::1] weights, const double[::1] masses,
                       const Py_ssize_t[::1] ends) noexcept nogil:
    """Where the cumulative mass exceeds the target; the last row that has mass where rounding leaves it below."""
    cdef Py_ssize_t start = 0, stop = 0, row, block, n
    cdef double before = 0, after = 0, mass
    for block in range(ends.shape[0]):
        if masses[block] > 0:
            start, stop = ends[block - 1] if block else 0, ends[block]
            before, after = after, after + masses[block]
            if after > target:
                break
    row = start
    for n in range(start, stop):
        mass = parts[n] * (1 if weights is None else weights[n])
        if mass > 0:
            row = n
            before += mass
            if before > target:
                break
    return row


cdef char *address(array) except NULL:
    cdef unsigned char[::1] view = array.reshape(-1).view(np.uint8)
    return <char *> &view[0]

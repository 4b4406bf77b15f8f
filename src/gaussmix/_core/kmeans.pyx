# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""k-means++ and Lloyd's algorithm, on the tile kernels of the E step.

A kernel leaves −½ |x − c|², the logarithm of an unnormalized unit normal, so that the nearest centre is the largest.
"""
from libc.math cimport NAN
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset
from gaussmix._core.estep cimport Rows, Workspace, fetch, kernels_for, start_of, store, tiles, GM_TILE
from gaussmix._core.memory cimport check_alignment, first_number, zeros

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
        if size not in (4, 8):
            raise ValueError("a real has 4 or 8 bytes, not %r" % (size,))
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
        check_alignment(label, 0, sizeof(int32_t))
        check_alignment(&first[0, 0], 0, sizeof(double))
        check_alignment(&weight[0], 0, sizeof(double))
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
        cdef const double *w = NULL
        for tile in range(tiles(x)):
            start = tile * GM_TILE
            rows = self.distances_tile(x, start, work)
            self.kernels.largest(&work.w, label, half_square)
            if weights != NULL:
                w = weights + start
            for n in range(rows):
                inertia[0] -= 2 * (1 if w == NULL else w[n]) * half_square[n]
                moved += label[n] != labels[start + n]
                labels[start + n] = label[n]
            self.kernels.residuals(&work.w, label, w, self.points, first, weight)
        return moved

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
        cdef const double *w = start_of(weights)
        cdef const double *near = start_of(closest)
        check_alignment(&potential[0], 0, sizeof(double))
        with nogil:
            self.potentials_rows(x, w, near, &potential[0], work)

    cdef void potentials_rows(self, Rows x, const double *weights, const double *closest, double *potential,
                              Workspace work) noexcept nogil:
        cdef Py_ssize_t tile, start, k
        cdef int rows, n
        cdef double total
        for tile in range(tiles(x)):
            start = tile * GM_TILE
            rows = self.distances_tile(x, start, work)
            for k in range(self.n_components):
                total = 0
                for n in range(rows):
                    total += (1 if weights == NULL else weights[start + n]) * \
                        min(closest[start + n], -2 * fetch(work.w.gamma, k * GM_TILE + n, self.size))
                potential[k] += total

    def approach(self, Rows x not None, const double[::1] weights, double[::1] closest, Workspace work not None):
        """
        Lower `closest` to the squared distance to these centres where that is less; return Σ w_n closest_n.
        """
        self.check(x, weights, work)
        if closest.shape[0] != x.n_rows:
            raise ValueError("an array has the wrong shape")
        cdef const double *w = start_of(weights)
        cdef double *near = &closest[0] if closest.shape[0] else NULL
        check_alignment(near, 0, sizeof(double))
        with nogil:
            mass = self.approach_rows(x, w, near, work)
        return mass

    cdef double approach_rows(self, Rows x, const double *weights, double *closest, Workspace work) noexcept nogil:
        cdef Py_ssize_t tile, start
        cdef int rows, n
        cdef int32_t label[GM_TILE]
        cdef double half_square[GM_TILE]
        cdef double total = 0
        for tile in range(tiles(x)):
            start = tile * GM_TILE
            rows = self.distances_tile(x, start, work)
            self.kernels.largest(&work.w, label, half_square)
            for n in range(rows):
                closest[start + n] = min(closest[start + n], -2 * half_square[n])
                total += (1 if weights == NULL else weights[start + n]) * closest[start + n]
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
        shape = np.shape(centres)
        self.centres, self.points, self.first, self.weight = zeros(shape), zeros(shape), zeros(shape), zeros(shape[:1])
        self.centres[...] = centres
        self.at = Centres(self.centres, distances.blocks.size)
        self.centre, self.point = first_number(self.centres), first_number(self.points)
        self.s0, self.s1 = first_number(self.weight), first_number(self.first)
        self.inertia = NAN
        if len(distances.blocks) > 1:
            return
        self.weights = distances.blocks.row_weights(0)
        self.rows, self.row_weights = distances.blocks.rows(0), start_of(self.weights)
        self.work = Workspace(self.at.n_components, self.at.n_features, self.at.size)
        self.at.check(self.rows, self.weights, self.work)
        check_alignment(&labels[0], 0, sizeof(int32_t))
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


cdef class Seeding:
    """
    Greedy k-means++: rows are drawn by weight times squared distance to the nearest chosen one, and of several such
    candidates the one that leaves the least inertia is chosen.

    It runs with the GIL released, and where the rows are a single block nothing in it needs Python.

    Parameters
    ----------
    distances : Distances
        Its `choose` passes over the blocks.
    n_candidates : int
    """

    def __cinit__(self, distances, Py_ssize_t n_candidates):
        blocks = distances.blocks
        self.distances, self.weights = distances, blocks.weights
        self.row_weights = start_of(self.weights)
        self.closest, self.masses = np.full(blocks.n_rows, np.inf), np.zeros(len(blocks))
        self.ends = np.array([stop for _, stop in blocks.bounds], dtype=np.intp)
        self.candidates, self.potential = np.zeros(n_candidates, dtype=np.intp), np.zeros(n_candidates)
        if self.weights is not None and self.weights.shape[0] != self.closest.shape[0]:
            raise ValueError("weights and rows differ in number")
        if len(blocks) > 1:
            return
        points = np.zeros((n_candidates, blocks.n_features))
        self.points, self.best = Centres(points, blocks.size), Centres(points[:1], blocks.size)
        self.work_of_points = Workspace(n_candidates, blocks.n_features, blocks.size)
        self.work_of_best = Workspace(1, blocks.n_features, blocks.size)
        self.rows = blocks.rows(0)
        self.points.check(self.rows, self.closest, self.work_of_points)
        self.best.check(self.rows, self.closest, self.work_of_best)

    def choose(self, const double[:, ::1] uniform not None):
        """
        Choose further rows.

        Parameters
        ----------
        uniform : array, shape (n_rows, at most n_candidates), float64
            Random numbers from 0 to 1, one for each candidate of each row to choose. The first row of all is drawn by weight
            alone, and has one candidate.

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
        """A row by the inverse of the cumulative mass; the last that has mass, where rounding leaves that below the target."""
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
        """Which of the candidates leaves the least inertia; `closest` is lowered to the distances to it."""
        cdef Py_ssize_t size = self.best.n_features * self.best.size if self.rows is not None else 0, i, least = 0
        if self.rows is None:
            with gil:
                least, masses = self.distances.choose(np.asarray(self.candidates)[:count], np.asarray(self.closest))
                np.asarray(self.masses)[...] = masses
            return least
        for i in range(count):
            memcpy(self.points.points + i * size, self.rows.data + self.candidates[i] * self.rows.stride, size)
            self.potential[i] = 0
        if count > 1:
            self.points.potentials_rows(self.rows, self.row_weights, &self.closest[0], &self.potential[0], self.work_of_points)
            for i in range(count):
                if self.potential[i] < self.potential[least]:
                    least = i
        memcpy(self.best.points, self.points.points + least * size, size)
        self.masses[0] = self.best.approach_rows(self.rows, self.row_weights, &self.closest[0], self.work_of_best)
        return least


cdef char *address(array) except NULL:
    cdef unsigned char[::1] view = array.reshape(-1).view(np.uint8)
    return <char *> &view[0]

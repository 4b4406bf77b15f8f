# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""k-means++ and Lloyd's algorithm over one block of rows, on the tile kernels of the E step.

A kernel leaves −½ |x − c|², the logarithm of an unnormalized unit normal, so that the nearest centre is the largest.
"""
from libc.stdint cimport int32_t
from gaussmix._core.estep cimport Rows, Workspace, gm_kernels, kernels_for, tiles, GM_TILE

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
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef size_t size
    cdef const gm_kernels *kernels
    cdef const char *points
    cdef object owner

    def __cinit__(self, points, size):
        rounded = np.ascontiguousarray(points, dtype=np.float32 if size == 4 else np.float64)
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
        cdef Py_ssize_t tile, start, moved = 0
        cdef int rows, n
        cdef int32_t label[GM_TILE]
        cdef double half_square[GM_TILE]
        cdef double inertia = 0, w
        with nogil:
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                rows = self.distances_tile(x, start, work)
                self.kernels.largest(&work.w, label, half_square)
                for n in range(rows):
                    w = 1 if weights is None else weights[start + n]
                    inertia -= 2 * w * half_square[n]
                    moved += label[n] != labels[start + n]
                    labels[start + n] = label[n]
                    weight[label[n]] += w
                    self.add_residual(x, start + n, label[n], w, &first[label[n], 0])
        return inertia, moved

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
                            min(closest[start + n], -2 * gamma(work, k * GM_TILE + n))
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


cdef double gamma(Workspace work, Py_ssize_t i) noexcept nogil:
    """−½ |x − c|² as the kernel left it."""
    return (<float *> work.w.gamma)[i] if work.size == sizeof(float) else (<double *> work.w.gamma)[i]


cdef const char *address(array) except NULL:
    cdef const unsigned char[::1] view = array.reshape(-1).view(np.uint8)
    return <const char *> &view[0]

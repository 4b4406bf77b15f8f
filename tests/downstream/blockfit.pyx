# cython: language_level=3, boundscheck=False, wraparound=False
"""EM over blocks in threads of its own, as in a library that keeps its rows where gaussmix cannot read them."""
import threading

import numpy as np

from gaussmix cimport cython_mixture as gm

if gm.api_version() != gm.API_VERSION:
    raise ImportError("gaussmix has version %d of its compiled interface, not %d" % (gm.api_version(), gm.API_VERSION))


cdef int check(int code) except -1:
    if code != gm.OK:
        raise ValueError(gm.error_message(code).decode())
    return 0


cdef class Part:
    """Some rows, and what the thread that works on them needs: a workspace and Statistics of its own."""

    cdef const double[:, ::1] rows
    cdef gm.Statistics *statistics
    cdef gm.Workspace *workspace
    cdef int code

    def __cinit__(self, structure, Py_ssize_t n_components, const double[:, ::1] rows not None):
        self.rows = rows
        check(gm.statistics_new(structure, n_components, rows.shape[1], &self.statistics))
        check(gm.workspace_new(n_components, rows.shape[1], &self.workspace))

    def __dealloc__(self):
        gm.statistics_free(self.statistics)
        gm.workspace_free(self.workspace)

    cdef int e_step(self, const gm.Densities *mixture) noexcept nogil:
        cdef int code = gm.statistics_clear(self.statistics, NULL)
        if code != gm.OK:
            return code
        return gm.e_step(mixture, gm.FLOAT64, &self.rows[0, 0], self.rows.shape[0], self.rows.strides[0], NULL, self.statistics,
                         self.workspace)


cdef class Mixture:
    """A mixture whose EM runs in as many threads as there are parts of the rows."""

    cdef gm.Densities *handle
    cdef readonly Py_ssize_t n_components, n_features
    cdef bytes structure

    def __cinit__(self, structure, const double[::1] weights not None, const double[:, ::1] means not None, covariances):
        cdef const double[::1] numbers = np.ascontiguousarray(covariances, dtype=np.float64).reshape(-1)
        self.structure, self.n_components, self.n_features = structure.encode(), means.shape[0], means.shape[1]
        check(gm.densities_new(self.structure, means.shape[0], means.shape[1], &weights[0], &means[0, 0], &numbers[0], &self.handle))

    def __dealloc__(self):
        gm.densities_free(self.handle)

    def responsibilities(self, const double[:, ::1] rows not None):
        result = np.empty((rows.shape[0], self.n_components))
        cdef double[:, ::1] shares = result
        cdef Part part = Part(self.structure, self.n_components, rows)
        cdef int code
        with nogil:
            code = gm.responsibilities(self.handle, gm.FLOAT64, &rows[0, 0], rows.shape[0], rows.strides[0], &shares[0, 0],
                                       part.workspace)
        check(code)
        return result

    def _e_step(self, Part part not None):
        with nogil:
            part.code = part.e_step(self.handle)

    def em(self, parts, int iterations, double reg_covar=0):
        """So many iterations; returns the log-likelihood that each of them found."""
        cdef Part first, part
        cdef Py_ssize_t singular = -1
        cdef double log_likelihood
        cdef int code
        blocks = [Part(self.structure, self.n_components, rows) for rows in parts]
        first, history = blocks[0], []
        for _ in range(iterations):
            threads = [threading.Thread(target=self._e_step, args=(block,)) for block in blocks]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for part in blocks:
                check(part.code)
                if part is not first:
                    check(gm.statistics_add(first.statistics, part.statistics))
            check(gm.statistics_get(first.statistics, NULL, NULL, NULL, NULL, &log_likelihood, NULL))
            history.append(log_likelihood)
            with nogil:
                code = gm.m_step(first.statistics, reg_covar, self.handle, &singular)
            if code == gm.SINGULAR or code == gm.NO_WEIGHT:
                raise ValueError("component %d: %s" % (singular, gm.error_message(code).decode()))
            check(code)
        return history

    def parameters(self):
        """A `gaussmix.Mixture` with the same numbers."""
        return gm.mixture_of(self.handle)

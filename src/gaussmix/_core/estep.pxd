from gaussmix._core.parameters cimport Kind, Parameters
from gaussmix._core.statistics cimport Statistics

cdef extern from "kernels/kernels.h" nogil:
    enum: GM_TILE
    ctypedef struct gm_kernels:
        const char *isa
        size_t size
        int lanes
        void (*load)(const void *, ptrdiff_t, int, ptrdiff_t, void *) noexcept nogil
        void (*density_full)(const void *, ptrdiff_t, const void *, const void *, const void *, double, void *) noexcept nogil
        void (*density_diag)(const void *, ptrdiff_t, const void *, const void *, const void *, double, void *) noexcept nogil
        double (*normalize)(void *, ptrdiff_t, int, const double *, void *, int *) noexcept nogil
        void (*moments_full)(const void *, ptrdiff_t, const void *, const void *, double *, double *, double *) noexcept nogil
        void (*moments_diag)(const void *, ptrdiff_t, const void *, const void *, double *, double *, double *) noexcept nogil
    const gm_kernels *gm_kernels_for(size_t) noexcept nogil

cdef class Rows:
    cdef const char *data
    cdef Py_ssize_t n_rows
    cdef Py_ssize_t n_features
    cdef ptrdiff_t stride
    cdef size_t size
    cdef object owner

cdef Py_ssize_t tiles(Rows x) noexcept nogil

cdef class Workspace:
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly size_t size
    cdef void *panels
    cdef void *gamma
    cdef void *log_p
    cdef double *weights

cdef class Pass:
    cdef readonly Kind kind
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly size_t size
    cdef const gm_kernels *kernels
    cdef Py_ssize_t matrix_size
    cdef Parameters parameters
    cdef void *mean
    cdef void *factor
    cdef void *offset
    cdef void *reference
    cdef double *reference_point
    cdef void prepare_all(self, Parameters p, const double *reference) noexcept nogil
    cdef int load_tile(self, Rows x, const double *weights, Py_ssize_t start, Workspace work) noexcept nogil
    cdef double density_tile(self, Rows x, Py_ssize_t start, int rows, Workspace work) noexcept nogil
    cdef void moments_tile(self, Workspace work, Statistics statistics) noexcept nogil
    cdef double left_out(self, Py_ssize_t i) noexcept nogil
    cdef double far_square(self, Parameters p, const void *row, Py_ssize_t k, double t) noexcept nogil
    cdef double far_row(self, Parameters p, Rows x, Py_ssize_t n, int lane, Workspace work) noexcept nogil

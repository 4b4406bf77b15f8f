from libc.stdint cimport int32_t, uint64_t
from gaussmix._core.densities cimport Densities, Kind
from gaussmix._core.statistics cimport Statistics

cdef extern from "kernels/kernels.h" nogil:
    enum:
        GM_TILE
        GM_WIDEST_PANEL
    double GM_FAR_DOUBLE, GM_FAR_SINGLE

    ctypedef struct gm_workspace:
        ptrdiff_t D, K
        int rows
        int padded
        void *panels
        void *scratch
        void *gamma
        void *top
        void *bound
        void *likeliest
        uint64_t *likely
        double spared
        void *scale
        void *log_p
        double least
        void *weights
        int sum_only
        const char **pending_row
        void *pending_root
        int *pending_count

    ctypedef struct gm_sums:
        const void *reference
        double *weight
        double *first
        double *second

    ctypedef void (*gm_density)(gm_workspace *, ptrdiff_t, const void *, const void *, const void *, double) noexcept nogil

    ctypedef struct gm_kernels:
        void (*load)(gm_workspace *, const char *, ptrdiff_t, int) noexcept nogil
        gm_density density_full
        gm_density bound_full
        void (*find_likely)(gm_workspace *) noexcept nogil
        gm_density density_likely
        gm_density density_rest
        gm_density density_diag
        double (*normalize)(gm_workspace *, int *) noexcept nogil
        void (*moments_full)(gm_workspace *, ptrdiff_t, const gm_sums *) noexcept nogil
        void (*moments_diag)(gm_workspace *, ptrdiff_t, const gm_sums *) noexcept nogil
        void (*flush)(gm_workspace *, ptrdiff_t, const gm_sums *) noexcept nogil
        void (*responsibilities)(const gm_workspace *, double *, ptrdiff_t) noexcept nogil
        void (*largest)(const gm_workspace *, int32_t *, double *) noexcept nogil
        void (*distances)(gm_workspace *, const void *) noexcept nogil
        void (*residuals)(const gm_workspace *, const int32_t *, const double *, const void *, double *, double *) noexcept nogil
        void (*exps)(void *, ptrdiff_t) noexcept nogil
        void (*logs)(void *, ptrdiff_t) noexcept nogil


cdef const gm_kernels *kernels_for(size_t size) noexcept nogil
cdef void store(void *array, Py_ssize_t i, double value, size_t size) noexcept nogil
cdef double fetch(const void *array, Py_ssize_t i, size_t size) noexcept nogil
cdef const double *start_of(const double[::1] numbers) except? NULL

cdef class Rows:
    cdef const char *data
    cdef Py_ssize_t n_rows
    cdef Py_ssize_t n_features
    cdef ptrdiff_t stride
    cdef size_t size
    cdef object owner

cdef Py_ssize_t tiles(Rows x) noexcept nogil
cdef bint rows_within(const char *rows, Py_ssize_t n_rows, Py_ssize_t n_features, ptrdiff_t stride, size_t size,
                      double largest) noexcept nogil

cdef class Workspace:
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly size_t size
    cdef gm_workspace w
    cdef int n_ones  # the weights are this many ones, followed by zeros; 0 where there are other weights
    cdef int tiles_without_bounds  # how many tiles of the block are left until bounds are tried again
    cdef void *memory[13]
    cdef int n_arrays
    cdef void *zeros(self, Py_ssize_t count, size_t size) except NULL

cdef class Block:
    cdef readonly Rows rows
    cdef readonly Py_ssize_t index
    cdef readonly Py_ssize_t start
    cdef const double[::1] kept_weights
    cdef const int32_t[::1] kept_labels
    cdef const double *w
    cdef const int32_t *label

cdef class EStep:
    cdef readonly Kind kind
    cdef readonly Py_ssize_t n_components
    cdef readonly Py_ssize_t n_features
    cdef readonly size_t size
    cdef readonly Densities densities
    cdef const gm_kernels *kernels
    cdef Py_ssize_t matrix_size
    cdef void *reference
    cdef double *reference_point
    cdef int check_shape(self, Densities d) except -1
    cdef int check_densities(self, Densities densities) except -1
    cdef int prepare_all(self, Densities d, Densities about) except -1 nogil
    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil
    cdef int keep(self, Densities d) except -1 nogil
    cdef void take_moments_about(self, const double *points) noexcept nogil
    cdef void begin(self, Statistics statistics) noexcept nogil
    cdef void add_given(self, Block block, const double *gamma, ptrdiff_t rows_apart, ptrdiff_t columns_apart, Statistics statistics,
                        Workspace work) noexcept nogil
    cdef void add_labelled(self, Block block, Statistics statistics, Workspace work) noexcept nogil
    cdef gm_sums sums_of(self, Statistics statistics, Py_ssize_t k) noexcept nogil
    cdef void moments(self, Workspace work, Statistics statistics) noexcept nogil
    cdef void finish(self, Workspace work, Statistics statistics) noexcept nogil

cdef class GivenResponsibilities(EStep):
    cdef object responsibilities

cdef class GivenLabels(EStep):
    pass

cdef class EveryRow(EStep):
    pass

cdef class CompleteRows(EStep):
    cdef readonly Kind factors
    cdef Py_ssize_t factor_size
    cdef void *mean
    cdef void *factor
    cdef void *offset
    cdef double rounded_off(self, Densities d, Py_ssize_t i) noexcept nogil
    cdef void add_block(self, Block block, Statistics statistics, Workspace work) noexcept nogil
    cdef void evaluate_all(self, Rows x, double *log_p, double *responsibilities, ptrdiff_t apart, int32_t *labels,
                           Workspace work) noexcept nogil
    cdef void evaluate_each(self, Rows x, double *log_densities, Workspace work) noexcept nogil
    cdef void log_densities(self, Workspace work) noexcept nogil
    cdef void all_log_densities(self, const double *constants, Workspace work) noexcept nogil
    cdef void each_density(self, gm_density density, const double *constants, Workspace work) noexcept nogil
    cdef double normalized(self, Rows x, Py_ssize_t start, Workspace work) noexcept nogil
    cdef double far_row(self, Densities p, Rows x, Py_ssize_t n, int lane, Workspace work) noexcept nogil
    cdef double far_component(self, Rows x, Py_ssize_t n, Py_ssize_t k) noexcept nogil
    cdef double quarter_of_largest_residual(self, Densities p, const void *row, Py_ssize_t k) noexcept nogil
    cdef double far_square(self, Densities p, const void *row, Py_ssize_t k, double t) noexcept nogil

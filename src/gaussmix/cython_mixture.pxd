# Mixtures for compiled code, to cimport from the installed package: docs/cython.md. The types are opaque. Their content is not public,
# so that code that was compiled against this gaussmix works with later ones.
from libc.stdint cimport int32_t, uint64_t

cdef extern from *:
    """
    typedef struct gaussmix_densities gaussmix_densities;
    typedef struct gaussmix_statistics gaussmix_statistics;
    typedef struct gaussmix_workspace gaussmix_workspace;
    """
    ctypedef struct Densities "gaussmix_densities":
        pass
    ctypedef struct Statistics "gaussmix_statistics":
        pass
    ctypedef struct Workspace "gaussmix_workspace":
        pass

cdef enum:
    API_VERSION = 1  # the version that this file describes; api_version() returns that of the installed package

cdef enum:  # the codes that functions return
    OK = 0
    NULL_POINTER = 1
    WRONG_HANDLE = 2
    BAD_SIZE = 3
    OTHER_SHAPE = 4
    BAD_TYPE = 5
    UNALIGNED = 6
    NOT_FINITE = 7
    NEGATIVE = 8
    BAD_LABEL = 9
    UNKNOWN_STRUCTURE = 10
    BAD_PARAMETERS = 11
    NO_WEIGHT = 12
    SINGULAR = 13
    NO_MEMORY = 14
    PYTHON_ERROR = 15

cdef enum:  # the number type of rows
    FLOAT32 = 4
    FLOAT64 = 8

cdef int api_version() noexcept nogil
cdef const char *error_message(int code) noexcept nogil

cdef int densities_new(const char *covariance_type, Py_ssize_t n_components, Py_ssize_t n_features, const double *weights,
                       const double *means, const double *covariances, Densities **result) noexcept nogil
cdef int densities_get(const Densities *densities, double *weights, double *means, double *covariances) noexcept nogil
cdef int densities_free(Densities *densities) noexcept nogil

cdef int statistics_new(const char *covariance_type, Py_ssize_t n_components, Py_ssize_t n_features,
                        Statistics **result) noexcept nogil
cdef int statistics_clear(Statistics *statistics, const double *reference) noexcept nogil
cdef int statistics_get(const Statistics *statistics, double *reference, double *weight, double *first, double *second,
                        double *log_likelihood, double *total_weight) noexcept nogil
cdef int statistics_set(Statistics *statistics, const double *reference, const double *weight, const double *first,
                        const double *second, double log_likelihood, double total_weight) noexcept nogil
cdef int statistics_add(Statistics *statistics, const Statistics *other) noexcept nogil
cdef int statistics_scale(Statistics *statistics, double factor) noexcept nogil
cdef int statistics_free(Statistics *statistics) noexcept nogil

cdef int workspace_new(Py_ssize_t n_components, Py_ssize_t n_features, Workspace **result) noexcept nogil
cdef int workspace_free(Workspace *workspace) noexcept nogil

cdef int log_density(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *result,
                     Workspace *workspace) noexcept nogil
cdef int component_log_densities(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride,
                                 double *result, Workspace *workspace) noexcept nogil
cdef int log_joint(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *result,
                   Workspace *workspace) noexcept nogil
cdef int responsibilities(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride,
                          double *result, Workspace *workspace) noexcept nogil
cdef int labels(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, int32_t *result,
                Workspace *workspace) noexcept nogil

cdef int e_step(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride,
                const double *sample_weight, Statistics *statistics, Workspace *workspace) noexcept nogil
cdef int moments(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const double *responsibilities,
                 Py_ssize_t responsibilities_stride, const double *sample_weight, Statistics *statistics,
                 Workspace *workspace) noexcept nogil
cdef int moments_of_labels(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const int32_t *labels,
                           const double *sample_weight, Statistics *statistics, Workspace *workspace) noexcept nogil
cdef int m_step(const Statistics *statistics, double reg_covar, Densities *densities, Py_ssize_t *component) noexcept nogil

cdef int kmeans_plus_plus(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features,
                          const double *sample_weight, Py_ssize_t n_centres, uint64_t seed, double *centres) noexcept nogil
cdef int lloyd(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features,
               const double *sample_weight, Py_ssize_t n_centres, Py_ssize_t max_iter, double tol, double *centres,
               int32_t *labels, double *inertia, Py_ssize_t *n_iter) noexcept nogil

cdef int cholesky(const double *matrix, Py_ssize_t n, double *factor) noexcept nogil
cdef int invert_lower(const double *factor, Py_ssize_t n, double *inverse) noexcept nogil
cdef int log_determinant(const double *factor, Py_ssize_t n, double *result) noexcept nogil

# With the GIL, and with exceptions.
cdef Densities *densities_of(object mixture) except NULL
cdef object mixture_of(const Densities *densities)
cdef Statistics *statistics_of(object statistics, object covariance_type) except NULL
cdef object python_statistics(const Statistics *statistics)

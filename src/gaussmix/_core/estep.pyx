# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The E step over one block of rows: densities (1), responsibilities (5), log-likelihood (6), and the Statistics they leave.

Rows are taken a tile at a time. What happens inside a tile is C (kernels/); the loops over tiles and components are here.
"""
from libc.math cimport exp, fabs, log, sqrt, INFINITY
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from gaussmix._core.parameters cimport Kind, Parameters, FULL, TIED, DIAG
from gaussmix._core.statistics cimport Statistics
from gaussmix._core.memory cimport allocate, check_alignment, checked_size

import os

import numpy as np

cdef extern from *:
    """
    #ifdef __SANITIZE_ADDRESS__
    #include <sanitizer/asan_interface.h>
    #else
    #define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
    #endif
    """
    void ASAN_POISON_MEMORY_REGION(const void *start, size_t size)  # no one may read or write there

cdef extern from "kernels/dispatch.h" nogil:
    const char *gm_isa(int)
    const gm_kernels *gm_kernels_of(const char *, size_t)

TILE = GM_TILE
cdef enum:
    CACHE_LINE = 64
    FEWEST_FEATURES = 16  # for which a bound of eight features is much cheaper than the density
    PATIENCE = 16  # tiles without bounds after one in which they spared little
UNPREPARED = "the pass has no parameters yet: call prepare first"
# Densities and responsibilities are powers of two inside the kernels: their exponents are bits, ln x = ln 2 · log2 x.
cdef double BITS = 1 / log(2.0)


def instruction_sets():
    """The instruction sets that this machine can use, narrowest first."""
    names = []
    while gm_isa(<int> len(names)) != NULL:
        names.append(gm_isa(<int> len(names)).decode())
    return names


def chosen_instruction_set():
    """The widest, or the one that the environment variable GAUSSMIX_ISA names."""
    offered = instruction_sets()
    name = os.environ.get("GAUSSMIX_ISA") or offered[len(offered) - 1]
    if name not in offered:
        raise ImportError("GAUSSMIX_ISA must be one of %s on this machine, not %r" % (", ".join(offered), name))
    return name


ISA = chosen_instruction_set()
cdef const gm_kernels *SINGLE = gm_kernels_of(ISA.encode(), sizeof(float))
cdef const gm_kernels *DOUBLE = gm_kernels_of(ISA.encode(), sizeof(double))


cdef const gm_kernels *kernels_for(size_t size) noexcept nogil:
    return SINGLE if size == sizeof(float) else DOUBLE


def exp2_and_log(numbers):
    """
    2^−|x| and ln |x|, as the kernels compute them.

    Parameters
    ----------
    numbers : ndarray, float32 or float64

    Returns
    -------
    ndarray, ndarray

    Raises
    ------
    TypeError
        For numbers of another type.
    """
    if numbers.dtype != np.float32 and numbers.dtype != np.float64:
        raise TypeError("the numbers must be float32 or float64, not %s" % numbers.dtype)
    exps, logs = -abs(numbers.reshape(-1)), abs(numbers.reshape(-1))
    cdef unsigned char[::1] of_exps = exps.view("u1"), of_logs = logs.view("u1")
    if len(exps):
        kernels_for(numbers.itemsize).exps(&of_exps[0], len(exps))
        kernels_for(numbers.itemsize).logs(&of_logs[0], len(logs))
    return exps, logs


cdef void store(void *array, Py_ssize_t i, double value, size_t size) noexcept nogil:
    if size == sizeof(float):
        (<float *> array)[i] = <float> value
    else:
        (<double *> array)[i] = value


cdef double fetch(const void *array, Py_ssize_t i, size_t size) noexcept nogil:
    return (<const float *> array)[i] if size == sizeof(float) else (<const double *> array)[i]


cdef const double *start_of(const double[::1] numbers) except? NULL:
    if numbers is None or numbers.shape[0] == 0:
        return NULL
    check_alignment(&numbers[0], 0, sizeof(double))
    return &numbers[0]


cdef class Rows:
    """
    A block of rows as the loops read it: float32 or float64, the numbers of a row side by side.

    Parameters
    ----------
    x : array, shape (N, D), float32 or float64
        Rows may lie any distance apart. The block keeps it alive and never writes to it.

    Raises
    ------
    ValueError
        Where x is not two-dimensional, of another type, unaligned, or the numbers of a row are apart.
    """

    def __cinit__(self, x):
        cdef const double[:, :] double_rows
        cdef const float[:, :] single_rows
        self.size = x.dtype.itemsize
        if self.size == sizeof(double):
            double_rows = x
            self.n_rows, self.n_features, self.stride = double_rows.shape[0], double_rows.shape[1], double_rows.strides[0]
            apart = double_rows.strides[1] != sizeof(double) and self.n_features > 1
            if self.n_rows and self.n_features:
                self.data = <const char *> &double_rows[0, 0]
        else:
            single_rows = x
            self.n_rows, self.n_features, self.stride = single_rows.shape[0], single_rows.shape[1], single_rows.strides[0]
            apart = single_rows.strides[1] != sizeof(float) and self.n_features > 1
            if self.n_rows and self.n_features:
                self.data = <const char *> &single_rows[0, 0]
        if apart:
            raise ValueError("the numbers of a row must lie side by side")
        check_alignment(self.data, self.stride if self.n_rows > 1 else 0, self.size)
        self.owner = x


cdef Py_ssize_t tiles(Rows x) noexcept nogil:
    """How many tiles the rows fill, the last perhaps in part."""
    return x.n_rows // GM_TILE + (x.n_rows % GM_TILE != 0)


cdef class Workspace:
    """
    One thread's memory for a pass over K components, D features and reals of `size` bytes.
    """

    def __cinit__(self, n_components, n_features, size):
        if n_components < 1 or n_features < 1 or size not in (4, 8):
            raise ValueError("a workspace needs n_components >= 1, n_features >= 1 and a size of 4 or 8")
        self.n_components = self.w.K = n_components
        self.n_features = self.w.D = n_features
        self.size = size
        cdef Py_ssize_t places = checked_size(self.n_components, 2 * GM_TILE)
        self.w.panels = self.zeros(checked_size(self.n_features, GM_TILE), self.size)
        self.w.scratch = self.zeros(checked_size(self.n_features + GM_WIDEST_PANEL, GM_TILE), self.size)
        self.w.gamma = self.zeros(checked_size(self.n_components, GM_TILE), self.size)
        self.w.top = self.zeros(GM_TILE, self.size)
        self.w.bound = self.zeros(GM_TILE, self.size)
        self.w.likeliest = self.zeros(GM_TILE, self.size)
        self.w.likely = <uint64_t *> self.zeros(self.n_components, sizeof(uint64_t))
        self.w.scale = self.zeros(GM_TILE, self.size)
        self.w.log_p = self.zeros(GM_TILE, self.size)
        self.w.weights = self.zeros(GM_TILE, self.size)
        self.w.pending_row = <const char **> self.zeros(places, sizeof(char *))
        self.w.pending_root = self.zeros(places, self.size)
        self.w.pending_count = <int *> self.zeros(self.n_components, sizeof(int))

    cdef void *zeros(self, Py_ssize_t count, size_t size) except NULL:
        """Memory that is freed with the workspace. It starts with a cache line, so that no vector lies across two."""
        cdef Py_ssize_t wanted = checked_size(count, size), lines = wanted // CACHE_LINE + 2
        cdef char *memory = <char *> allocate(lines, CACHE_LINE)
        cdef char *first = memory + (CACHE_LINE - <size_t> memory % CACHE_LINE)
        self.memory[self.n_arrays] = memory
        self.n_arrays += 1
        ASAN_POISON_MEMORY_REGION(first + wanted, lines * CACHE_LINE - (first + wanted - memory))
        return first

    @property
    def spared(self):
        """The part of the operations on densities that bounds spared in the last tile in which they were tried."""
        return self.w.spared / (<double> self.w.D * self.w.D * self.w.K * GM_TILE)

    def __dealloc__(self):
        for i in range(self.n_arrays):
            free(self.memory[i])


cdef class Pass:
    """
    The parameters of one pass in the number type of the rows, shared by all threads of the pass.

    Parameters
    ----------
    kind : Kind
    n_components, n_features : int
    size : int
        Bytes of a real: 4 for float32 rows, 8 for float64.
    """

    def __cinit__(self, kind, n_components, n_features, size):
        if n_components < 1 or n_features < 1 or size not in (4, 8) or kind not in (FULL, TIED, DIAG):
            raise ValueError("a pass needs a kind, n_components >= 1, n_features >= 1 and a size of 4 or 8")
        self.kind = <Kind> (<int> kind)
        self.n_components = n_components
        self.n_features = n_features
        self.size = size
        self.kernels = kernels_for(self.size)
        self.matrix_size = self.n_features if self.kind == DIAG else checked_size(self.n_features, self.n_features)
        cdef Py_ssize_t points = checked_size(self.n_components, self.n_features)
        cdef Py_ssize_t matrices = 1 if self.kind == TIED else self.n_components
        self.mean = allocate(points, self.size)
        self.factor = allocate(checked_size(matrices, self.matrix_size), self.size)
        self.offset = allocate(points, self.size)
        self.reference = allocate(points, self.size)
        self.reference_point = <double *> allocate(points, sizeof(double))

    def __dealloc__(self):
        free(self.mean)
        free(self.factor)
        free(self.offset)
        free(self.reference)
        free(self.reference_point)

    def prepare(self, Parameters parameters not None, const double[:, ::1] reference=None):
        """
        Take on `parameters`; moments will be taken about `reference`, or about the means where it is None.

        Either is rounded to the number type of the rows; what rounding leaves out of a mean enters the density all the same.
        """
        if (parameters.kind != self.kind or parameters.n_components != self.n_components
                or parameters.n_features != self.n_features):
            raise ValueError("the parameters are of another shape than the pass")
        if reference is not None and (reference.shape[0] != self.n_components or reference.shape[1] != self.n_features):
            raise ValueError("the reference points are of another shape than the means")
        self.parameters = parameters
        cdef const double *points = NULL
        if reference is not None:
            points = &reference[0, 0]
        self.prepare_all(parameters, points)

    cdef void prepare_all(self, Parameters p, const double *reference) noexcept nogil:
        cdef Py_ssize_t D = self.n_features, k, i, j
        cdef Py_ssize_t matrices = 1 if self.kind == TIED else self.n_components
        cdef const double *factor
        cdef double z, unit = sqrt(BITS / 2)  # −½ |y|² nats are −|unit y|² bits
        for i in range(matrices * self.matrix_size):
            store(self.factor, i, unit * p.factor[i], self.size)
        for i in range(self.n_components * D):
            store(self.mean, i, p.mu[i], self.size)
            store(self.reference, i, p.mu[i] if reference == NULL else reference[i], self.size)
            self.reference_point[i] = fetch(self.reference, i, self.size)
        for k in range(self.n_components):
            factor = p.factor + (0 if self.kind == TIED else k * self.matrix_size)
            for i in range(D):
                if self.kind == DIAG:
                    z = factor[i] * self.rounded_off(k * D + i)
                else:
                    z = 0
                    for j in range(i + 1):
                        z += factor[i * D + j] * self.rounded_off(k * D + j)
                store(self.offset, k * D + i, unit * z, self.size)

    cdef double rounded_off(self, Py_ssize_t i) noexcept nogil:
        """The rounded mean less the true one."""
        return (fetch(self.mean, i, self.size) - self.parameters.mu[i]) - self.parameters.mu_rest[i]

    def expect(self, Rows x not None, const double[::1] weights, Statistics statistics not None,
               Workspace work not None):
        """
        Add to `statistics` what the E step leaves of one block.

        Parameters
        ----------
        x : Rows
        weights : array, shape (N,), float64, or None
            Sample weights w_n; None for ones.
        statistics : Statistics
            Taken about the reference points of `prepare`.
        work : Workspace
            Not in use by another thread.
        """
        self.check(x, weights, statistics, work)
        cdef const double *w = start_of(weights)
        with nogil:
            self.expect_rows(x, w, statistics, work)

    cdef int expect_rows(self, Rows x, const double *w, Statistics statistics, Workspace work) except -1 nogil:
        cdef Py_ssize_t tile
        if self.parameters is None:
            with gil:
                raise ValueError(UNPREPARED)
        work.patience = 0
        memcpy(statistics.m, self.reference_point, self.n_components * self.n_features * sizeof(double))
        for tile in range(tiles(x)):
            statistics.total_weight += load_tile(self.kernels, x, w, tile * GM_TILE, work)
            work.w.sum_only = w == NULL and work.w.rows == work.w.padded
            self.log_densities(work, False)
            statistics.log_likelihood += self.normalized(x, tile * GM_TILE, work)
            self.moments(work, statistics)
        self.finish(work, statistics)
        return 0

    def allot(self, Rows x not None, const double[::1] weights, labels, responsibilities,
              Statistics statistics not None, Workspace work not None):
        """
        Add to `statistics` the moments of one block under given labels or responsibilities; no density is involved.

        Parameters
        ----------
        x, weights, statistics, work
            As in `expect`.
        labels : array, shape (N,), int32, or None
        responsibilities : array, shape (N, K), float64, or None
            One of the two. Labels are from 0 to K − 1.

        Raises
        ------
        ValueError
            Where an array has another shape or is unaligned, or a label is out of range.
        """
        self.check(x, weights, statistics, work)
        cdef const int32_t[::1] label = labels
        cdef const double[:, :] gamma = responsibilities
        if (label is None) == (gamma is None):
            raise ValueError("either labels or responsibilities are needed")
        if label is not None and label.shape[0] != x.n_rows:
            raise ValueError("labels and rows differ in number")
        if gamma is not None and (gamma.shape[0] != x.n_rows or gamma.shape[1] != self.n_components):
            raise ValueError("responsibilities must be of shape (N, K)")
        cdef const double *w = start_of(weights)
        cdef Py_ssize_t tile, start, k
        cdef int n
        if label is not None:
            check_labels(label, self.n_components)
        if gamma is not None and gamma.shape[0]:
            check_alignment(&gamma[0, 0], gamma.strides[0], sizeof(double))
            check_alignment(&gamma[0, 0], gamma.strides[1], sizeof(double))
        with nogil:
            memcpy(statistics.m, self.reference_point, self.n_components * self.n_features * sizeof(double))
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                statistics.total_weight += load_tile(self.kernels, x, w, start, work)
                memcpy(work.w.scale, work.w.weights, GM_TILE * self.size)
                work.w.least = 0
                memset(work.w.gamma, 0, self.n_components * GM_TILE * self.size)
                for n in range(work.w.rows):
                    if label is not None:
                        store(work.w.gamma, label[start + n] * GM_TILE + n, 1, self.size)
                    else:
                        for k in range(self.n_components):
                            store(work.w.gamma, k * GM_TILE + n, gamma[start + n, k], self.size)
                self.moments(work, statistics)
            self.finish(work, statistics)

    def evaluate(self, Rows x not None, double[::1] log_p, double[:, :] responsibilities, int32_t[::1] labels,
                 Workspace work not None):
        """
        Write what is wanted of one block: ln p(x_n) (1), γ_nk (5), the k of the largest γ_nk; None for what is not.
        """
        self.check(x, None, None, work)
        if ((log_p is not None and log_p.shape[0] != x.n_rows) or (labels is not None and labels.shape[0] != x.n_rows)
                or (responsibilities is not None and (responsibilities.shape[0] != x.n_rows
                                                      or responsibilities.shape[1] != self.n_components))):
            raise ValueError("an output array has the wrong shape")
        if responsibilities is not None and responsibilities.strides[1] != sizeof(double) and self.n_components > 1:
            raise ValueError("the responsibilities of a row must lie side by side")
        if log_p is not None and log_p.shape[0]:
            check_alignment(&log_p[0], 0, sizeof(double))
        if responsibilities is not None and responsibilities.shape[0]:
            check_alignment(&responsibilities[0, 0], responsibilities.strides[0], sizeof(double))
        cdef Py_ssize_t tile, start
        cdef int lane
        cdef int32_t label[GM_TILE]
        cdef double value[GM_TILE]
        work.patience = 0
        with nogil:
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                load_tile(self.kernels, x, NULL, start, work)
                work.w.sum_only = False
                self.log_densities(work, responsibilities is not None)
                if labels is not None and log_p is None and responsibilities is None:
                    self.kernels.largest(&work.w, label, value)
                    if any_far(value, work):
                        self.normalized(x, start, work)
                        self.kernels.largest(&work.w, label, value)
                else:
                    self.normalized(x, start, work)
                    if labels is not None:
                        self.kernels.largest(&work.w, label, value)
                if labels is not None:
                    memcpy(&labels[start], label, work.w.rows * sizeof(int32_t))
                if log_p is not None:
                    for lane in range(work.w.rows):
                        log_p[start + lane] = fetch(work.w.log_p, lane, self.size)
                if responsibilities is not None:
                    self.kernels.responsibilities(&work.w, &responsibilities[start, 0],
                                                  responsibilities.strides[0] // <Py_ssize_t> sizeof(double))

    def check(self, Rows x not None, const double[::1] weights, Statistics statistics, Workspace work not None):
        if x.n_features != self.n_features or x.size != self.size:
            raise ValueError("the rows have %d features of %d bytes, the pass %d of %d"
                             % (x.n_features, x.size, self.n_features, self.size))
        if weights is not None and weights.shape[0] != x.n_rows:
            raise ValueError("weights and rows differ in number")
        if statistics is not None and (statistics.kind != self.kind or statistics.n_components != self.n_components
                                       or statistics.n_features != self.n_features):
            raise ValueError("the statistics are of another shape than the pass")
        if (work.n_components != self.n_components or work.n_features != self.n_features or work.size != self.size):
            raise ValueError("the workspace is of another shape than the pass")
        if self.parameters is None:
            raise ValueError(UNPREPARED)

    cdef void log_densities(self, Workspace work, bint all_wanted) noexcept nogil:
        """
        Leave log2 π_k N(x_n | μ_k, Σ_k) of a tile in the workspace.

        Unless all are wanted, those that count for nothing may be bounds. These are tried where they can spare much. Where they
        have not spared a tenth of the operations, about what they cost, the next tiles of the block go without: what is done to a
        tile depends on its block alone, not on what its thread did before.
        """
        if self.kind == DIAG:
            self.each_density(self.kernels.density_diag, work)
        elif all_wanted or self.n_features < FEWEST_FEATURES or self.n_components == 1 or work.patience:
            work.patience = max(work.patience - 1, 0)
            self.each_density(self.kernels.density_full, work)
        else:
            work.w.spared = 0
            self.each_density(self.kernels.bound_full, work)
            self.kernels.find_likely(&work.w)
            self.each_density(self.kernels.density_likely, work)
            self.each_density(self.kernels.density_rest, work)
            if work.w.spared < 0.1 * self.n_components * self.n_features * <double> self.n_features * work.w.padded:
                work.patience = PATIENCE

    cdef void each_density(self, gm_density density, Workspace work) noexcept nogil:
        cdef Py_ssize_t D = self.n_features, k
        cdef char *mean = <char *> self.mean
        cdef char *offset = <char *> self.offset
        cdef char *factor = <char *> self.factor
        cdef double *log_coefficient = self.parameters.log_coefficient
        for k in range(self.n_components):
            density(&work.w, k, mean, factor, offset, BITS * log_coefficient[k])
            mean += D * self.size
            offset += D * self.size
            factor += 0 if self.kind == TIED else self.matrix_size * self.size

    cdef double normalized(self, Rows x, Py_ssize_t start, Workspace work) noexcept nogil:
        """Make them γ_nk and ln p(x_n); return Σ w_n ln p(x_n) of the tile."""
        cdef int far_rows, lane
        cdef double total = self.kernels.normalize(&work.w, &far_rows)
        if far_rows:
            for lane in range(work.w.rows):
                if is_far(fetch(work.w.top, lane, self.size), self.size):
                    total += self.far_row(self.parameters, x, start + lane, lane, work)
        return total

    cdef void moments(self, Workspace work, Statistics statistics) noexcept nogil:
        """Add the moments of a tile."""
        cdef Py_ssize_t k
        cdef gm_sums sums
        for k in range(self.n_components):
            sums = self.sums_of(statistics, k)
            if self.kind == DIAG:
                self.kernels.moments_diag(&work.w, k, &sums)
            else:
                self.kernels.moments_full(&work.w, k, &sums)

    cdef void finish(self, Workspace work, Statistics statistics) noexcept nogil:
        """Add the moments of rows that still wait."""
        cdef Py_ssize_t k
        cdef gm_sums sums
        for k in range(self.n_components):
            if work.w.pending_count[k]:
                sums = self.sums_of(statistics, k)
                self.kernels.flush(&work.w, k, &sums)

    cdef gm_sums sums_of(self, Statistics statistics, Py_ssize_t k) noexcept nogil:
        cdef gm_sums sums
        sums.reference = <char *> self.reference + k * self.n_features * self.size
        sums.weight = statistics.s0 + k
        sums.first = statistics.s1 + k * self.n_features
        sums.second = statistics.s2 + (0 if self.kind == TIED else k * self.matrix_size)
        return sums

    cdef double far_row(self, Parameters p, Rows x, Py_ssize_t n, int lane, Workspace work) noexcept nogil:
        """Responsibilities and log-density of a row so far out that squares overflow: in double, its residuals scaled.

        With t a quarter of the largest residual, ln π_k N = c_k − 8 t² q_k where q_k = |L_k⁻¹ (x − μ_k) / 4t|². What
        counts between components is the difference of their q, which decides alone once t² leaves the range of double.
        """
        cdef Py_ssize_t D = self.n_features, k, i
        cdef const void *row = x.data + n * x.stride
        cdef double t = 0, y, q, best = INFINITY, c_best = 0, total = 0, share
        for k in range(self.n_components):
            for i in range(D):
                t = max(t, fabs(fetch(row, i, self.size) / 4 - p.mu[k * D + i] / 4))
        t = t if t > 0 else 1
        for k in range(self.n_components):
            if p.log_coefficient[k] == -INFINITY:
                continue
            q = self.far_square(p, row, k, t)
            if q < best or (q == best and p.log_coefficient[k] > c_best):
                best, c_best = q, p.log_coefficient[k]
        for k in range(self.n_components):
            if p.log_coefficient[k] == -INFINITY:
                share = 0
            else:
                q = self.far_square(p, row, k, t) - best
                share = exp(p.log_coefficient[k] - c_best - (8 * t * (t * q) if q > 0 else 0))
            total += share
            store(work.w.gamma, k * GM_TILE + lane, share, self.size)
        y = fetch(work.w.weights, lane, self.size)
        store(work.w.scale, lane, y / total, self.size)
        store(work.w.log_p, lane, c_best - 8 * t * (t * best) + log(total), self.size)
        return y * (c_best - 8 * t * (t * best) + log(total)) if y > 0 else 0

    cdef double far_square(self, Parameters p, const void *row, Py_ssize_t k, double t) noexcept nogil:
        """|L_k⁻¹ (x − μ_k) / 4t|²."""
        cdef Py_ssize_t D = self.n_features, i, j
        cdef const double *factor = p.factor + (0 if self.kind == TIED else k * self.matrix_size)
        cdef double y, q = 0
        for i in range(D):
            if self.kind == DIAG:
                y = factor[i] * scaled(row, i, p.mu[k * D + i], t, self.size)
            else:
                y = 0
                for j in range(i + 1):
                    y += factor[i * D + j] * scaled(row, j, p.mu[k * D + j], t, self.size)
            q += y * y
        return q


cdef int check_labels(const int32_t[::1] label, Py_ssize_t n_components) except -1:
    cdef Py_ssize_t n = 0
    if label.shape[0]:
        check_alignment(&label[0], 0, sizeof(int32_t))
    with nogil:
        while n < label.shape[0] and 0 <= label[n] < n_components:
            n += 1
    if n < label.shape[0]:
        raise ValueError("labels must be from 0 to %d, but label %d is %d" % (n_components - 1, n, label[n]))
    return 0


cdef double scaled(const void *row, Py_ssize_t i, double mean, double t, size_t size) noexcept nogil:
    """A residual over 4 t, in an order in which nothing overflows."""
    return (fetch(row, i, size) / 4 - mean / 4) / t


cdef double load_tile(const gm_kernels *kernels, Rows x, const double *weights, Py_ssize_t start,
                      Workspace work) noexcept nogil:
    """Make rows from `start` on the workspace's tile; return the sum of their weights."""
    cdef int rows = <int> min(x.n_rows - start, <Py_ssize_t> GM_TILE), lane
    cdef double weight, total = 0
    kernels.load(&work.w, x.data + start * x.stride, x.stride, rows)
    if weights == NULL and work.n_ones == rows:
        return rows
    for lane in range(work.w.padded):
        weight = 0 if lane >= rows else 1 if weights == NULL else weights[start + lane]
        store(work.w.weights, lane, weight, work.size)
        total += weight
    work.n_ones = rows if weights == NULL else 0
    return total


cdef bint is_far(double log_density, size_t size) noexcept nogil:
    return not log_density > (GM_FAR_SINGLE if size == sizeof(float) else GM_FAR_DOUBLE)


cdef bint any_far(const double *top, Workspace work) noexcept nogil:
    cdef int lane
    for lane in range(work.w.rows):
        if is_far(top[lane], work.size):
            return True
    return False

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The E step over one block of rows: densities (1), responsibilities (5), log-likelihood (6), and the Statistics.

Rows are worked on one tile at a time. The work inside a tile is done in C (kernels/); the loops over tiles and components are
here. An `EStep` computes Statistics from a block and Densities. Each other kind of observation has a subclass of its own.
"""
from libc.float cimport FLT_MAX
from libc.math cimport exp, fabs, log, sqrt, INFINITY
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from gaussmix._core.densities cimport Densities, Kind, FULL, TIED, DIAG, matrix_size, n_matrices
from gaussmix._core.statistics cimport Statistics
from gaussmix._core.memory cimport allocate, check_alignment, checked_size, is_short

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

cdef extern from *:
    """
    /* Whether |x| <= largest, a finite number, for all of the numbers. Without their sign, the bits of numbers are ordered as the
     * numbers are, and those of infinity and NaN come last. Compilers make vectors of integer differences, but not of such tests. */
    #define WITHIN(name, real, word, absolute)                                 \\
        static int name(const real *numbers, ptrdiff_t count, real largest)    \\
        {                                                                      \\
            word most, bits, outside = 0;                                      \\
            memcpy(&most, &largest, sizeof most);                              \\
            for (ptrdiff_t i = 0; i < count; i++) {                            \\
                memcpy(&bits, numbers + i, sizeof bits);                       \\
                outside |= most - (bits & absolute);                           \\
            }                                                                  \\
            return outside >= 0;                                               \\
        }
    WITHIN(gm_floats_within, float, int32_t, INT32_MAX)
    WITHIN(gm_doubles_within, double, int64_t, INT64_MAX)
    """
    bint floats_within "gm_floats_within"(const float *numbers, ptrdiff_t count, float largest) noexcept nogil
    bint doubles_within "gm_doubles_within"(const double *numbers, ptrdiff_t count, double largest) noexcept nogil

cdef extern from "kernels/dispatch.h" nogil:
    const char *gm_isa(int)
    const gm_kernels *gm_kernels_of(const char *, size_t)

TILE = GM_TILE
cdef enum:
    CACHE_LINE = 64
    FEWEST_FEATURES = 16  # from here on a bound from eight features is much cheaper than the density
    TILES_WITHOUT_BOUNDS = 16  # where bounds spared little in a tile, this many tiles follow without them
# Densities and responsibilities are powers of two inside the kernels: their exponents are bits, ln x = ln 2 · log2 x.
cdef double BITS = 1 / log(2.0)


def instruction_sets():
    """The instruction sets that this machine can use, narrowest first."""
    names = []
    while gm_isa(<int> len(names)) != NULL:
        names.append(gm_isa(<int> len(names)).decode())
    return names


def chosen_instruction_set():
    """The instruction set in use: the widest, or the one that the environment variable GAUSSMIX_ISA names."""
    offered = instruction_sets()
    name = os.environ.get("GAUSSMIX_ISA") or offered[len(offered) - 1]
    if name not in offered:
        raise ImportError("the environment variable GAUSSMIX_ISA must be one of %s on this machine, not %r" % (", ".join(offered), name))
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
    A block of rows in the form that the loops read: float32 or float64, with the numbers of a row next to each other.

    Parameters
    ----------
    x : array, shape (N, D), float32 or float64
        The distance between rows in memory is arbitrary. The block keeps the array alive and never writes to it.

    Raises
    ------
    ValueError
        Where x is not two-dimensional, of another type or unaligned, or the numbers of a row are not next to each other.
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

    @property
    def array(self):
        """The array that the rows were made from."""
        return self.owner

    def within(self, double largest):
        """Whether no number is NaN or beyond `largest` in absolute value."""
        if is_short(self.n_rows * <double> self.n_features):
            return rows_within(self.data, self.n_rows, self.n_features, self.stride, self.size, largest)
        with nogil:
            fine = rows_within(self.data, self.n_rows, self.n_features, self.stride, self.size, largest)
        return fine


cdef bint rows_within(const char *rows, Py_ssize_t n_rows, Py_ssize_t n_features, ptrdiff_t stride, size_t size,
                      double largest) noexcept nogil:
    cdef Py_ssize_t n
    cdef bint fine = True
    if stride == n_features * <ptrdiff_t> size:
        n_features, n_rows = n_features * n_rows, 1
    for n in range(n_rows):
        if size == sizeof(float):
            fine &= floats_within(<const float *> (rows + n * stride), n_features, <float> min(largest, <double> FLT_MAX))
        else:
            fine &= doubles_within(<const double *> (rows + n * stride), n_features, largest)
    return fine


cdef Py_ssize_t tiles(Rows x) noexcept nogil:
    """How many tiles hold the rows; the last one may be filled in part."""
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
        """Which part of the operations on densities the bounds spared, in the last tile where they were tried."""
        return self.w.spared / (<double> self.w.D * self.w.D * self.w.K * GM_TILE)

    def __dealloc__(self):
        for i in range(self.n_arrays):
            free(self.memory[i])


cdef class Block:
    """
    Some rows, with the weight and the label of each.

    A kind of observation with more information about its rows needs a subclass.

    Parameters
    ----------
    rows : Rows
    row_weights : array, shape (N,), float64, optional
        Sample weights w_n; ones by default.
    labels : array, shape (N,), int32, optional
        A component for each row.
    index, start : int
        The number of the block, and the number of its first row among all rows.

    Raises
    ------
    ValueError
        Where the arrays differ in their number of rows, or one is unaligned.
    """

    def __cinit__(self, Rows rows not None, const double[::1] row_weights=None, const int32_t[::1] labels=None, Py_ssize_t index=0,
                  Py_ssize_t start=0):
        if row_weights is not None and row_weights.shape[0] != rows.n_rows:
            raise ValueError("weights and rows differ in number")
        if labels is not None and labels.shape[0] != rows.n_rows:
            raise ValueError("labels and rows differ in number")
        self.rows, self.index, self.start = rows, index, start
        self.kept_weights, self.kept_labels = row_weights, labels
        self.w = start_of(row_weights)
        if labels is not None and rows.n_rows:
            check_alignment(&labels[0], 0, sizeof(int32_t))
            self.label = &labels[0]

    @property
    def row_weights(self):
        """The sample weights; None where all of them are one."""
        return None if self.kept_weights is None else np.asarray(self.kept_weights)

    @property
    def labels(self):
        """A component for each row, or None."""
        return None if self.kept_labels is None else np.asarray(self.kept_labels)


cdef class EStep:
    """
    Computes Statistics from a block of one kind of observation, under Densities.

    A compiled subclass overrides `prepare_all` and `accumulate_all`; a subclass in Python overrides `add`. To pickle an EStep, or
    to make it for another number type, it is constructed again from its arguments. `arguments` returns those that follow `size`.

    Parameters
    ----------
    kind : Kind
        Which second moments it computes.
    n_components, n_features : int
        K and D.
    size : int
        Bytes of a real: 4 for float32 rows, 8 for float64.

    Attributes
    ----------
    densities : Densities
        The densities that `prepare` took.
    """

    def __cinit__(self, kind, n_components, n_features, size, *further):
        if n_components < 1 or n_features < 1 or size not in (4, 8) or kind not in (FULL, TIED, DIAG):
            raise ValueError("an E step needs a kind, n_components >= 1, n_features >= 1 and a size of 4 or 8")
        self.kind = <Kind> (<int> kind)
        self.n_components = n_components
        self.n_features = n_features
        self.size = size
        self.kernels = kernels_for(self.size)
        self.matrix_size = matrix_size(self.kind, self.n_features)
        cdef Py_ssize_t points = checked_size(self.n_components, self.n_features)
        self.reference = allocate(points, self.size)
        self.reference_point = <double *> allocate(points, sizeof(double))

    def __dealloc__(self):
        free(self.reference)
        free(self.reference_point)

    def arguments(self):
        """The arguments that it was constructed from, beyond kind, shape and size."""
        return ()

    def with_size(self, size):
        """The same E step for reals of another size."""
        return type(self)(self.kind, self.n_components, self.n_features, size, *self.arguments())

    def __reduce__(self):
        return type(self), (int(self.kind), self.n_components, self.n_features, self.size, *self.arguments())

    def prepare(self, Densities densities not None, Densities about=None):
        """
        Prepare for `densities`. Moments will be taken about the means of `about`, or by default about those of `densities`.

        Both sets of means are rounded to the number type of the rows. The density still takes account of what rounding leaves out.
        """
        self.check_densities(densities)
        self.check_shape(densities)
        self.check_shape(about)
        if is_short(densities.factors.size):
            self.prepare_all(densities, about)
        else:
            with nogil:
                self.prepare_all(densities, about)

    cdef int check_shape(self, Densities d) except -1:
        if d is not None and (d.n_components != self.n_components or d.n_features != self.n_features):
            raise ValueError("the densities have %d components and %d features, the E step %d and %d"
                             % (d.n_components, d.n_features, self.n_components, self.n_features))
        return 0

    cdef int check_densities(self, Densities densities) except -1:
        """Refuse densities of a kind that this E step does not know."""
        return 0

    cdef int prepare_all(self, Densities d, Densities about) except -1 nogil:
        self.take_moments_about(d.mu if about is None else about.mu)
        self.keep(d)
        return 0

    cdef void take_moments_about(self, const double *points) noexcept nogil:
        """Set the K points that moments are taken about. They are rounded to the number type of the rows."""
        cdef Py_ssize_t i
        for i in range(self.n_components * self.n_features):
            store(self.reference, i, points[i], self.size)
            self.reference_point[i] = fetch(self.reference, i, self.size)

    cdef int keep(self, Densities d) except -1 nogil:
        if self.densities is not d:
            with gil:
                self.densities = d
        return 0

    def accumulate(self, Block block not None, Statistics statistics not None, Workspace work not None):
        """
        Add the sums of one block.

        Parameters
        ----------
        block : Block
        statistics : Statistics
            Taken about the reference points of `prepare`.
        work : Workspace
            Must not be in use by another thread.

        Raises
        ------
        ValueError
            Where an argument has another shape or number type than the E step, or `prepare` was not called.
        """
        self.check(block.rows, statistics, work)
        with nogil:
            self.accumulate_all(block, statistics, work)

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        with gil:
            np.asarray(statistics.reference)[...] = self.reference_points
            self.add(block, statistics)
        return 0

    def add(self, block, statistics):
        """
        Add the sums of one block. A subclass in Python overrides this method.

        Parameters
        ----------
        block : Block
            `block.rows.array` has its rows.
        statistics : Statistics
            Add to its `weight`, its `first` and `second` moments about `statistics.reference`, its `log_likelihood` and its
            `total_weight`.
        """
        raise NotImplementedError("%s must define add(block, statistics), which adds a block to the sums" % type(self).__name__)

    @property
    def reference_points(self):
        """The points that moments are taken about, shape (K, D)."""
        return np.asarray(<double[:self.n_components, :self.n_features]> self.reference_point).copy()

    def check(self, Rows x not None, Statistics statistics, Workspace work not None):
        if x.n_features != self.n_features or x.size != self.size:
            raise ValueError("the rows have %d features of %d bytes, the E step %d of %d"
                             % (x.n_features, x.size, self.n_features, self.size))
        if statistics is not None and (statistics.kind != self.kind or statistics.n_components != self.n_components
                                       or statistics.n_features != self.n_features):
            raise ValueError("the statistics are of another shape than the E step")
        if (work.n_components != self.n_components or work.n_features != self.n_features or work.size != self.size):
            raise ValueError("the workspace is of another shape than the E step")
        if self.densities is None:
            raise ValueError("the E step has no densities yet: call prepare first")

    cdef void begin(self, Statistics statistics) noexcept nogil:
        """Take moments about the points that `prepare` set."""
        memcpy(statistics.m, self.reference_point, self.n_components * self.n_features * sizeof(double))

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
        """Add the moments of the rows that still wait in the workspace."""
        cdef Py_ssize_t k
        cdef gm_sums sums
        for k in range(self.n_components):
            if work.w.pending_count[k]:
                sums = self.sums_of(statistics, k)
                self.kernels.flush(&work.w, k, &sums)

    cdef void add_given(self, Block block, const double *gamma, ptrdiff_t rows_apart, ptrdiff_t columns_apart, Statistics statistics,
                        Workspace work) noexcept nogil:
        """
        Add the moments of a block under γ_nk = gamma[n · rows_apart + k · columns_apart], about the reference points of the Statistics.

        For float32 rows the reference points must be those of `take_moments_about`.
        """
        cdef Py_ssize_t tile, start, k, n
        for tile in range(tiles(block.rows)):
            start = tile * GM_TILE
            statistics.total_weight += load_given(self.kernels, block, start, work)
            for n in range(work.w.rows):
                for k in range(self.n_components):
                    store(work.w.gamma, k * GM_TILE + n, gamma[(start + n) * rows_apart + k * columns_apart], self.size)
            self.moments(work, statistics)
        self.finish(work, statistics)

    cdef void add_labelled(self, Block block, Statistics statistics, Workspace work) noexcept nogil:
        """`add_given` for rows each of which belongs to the component of its label."""
        cdef Py_ssize_t tile, start, n
        for tile in range(tiles(block.rows)):
            start = tile * GM_TILE
            statistics.total_weight += load_given(self.kernels, block, start, work)
            for n in range(work.w.rows):
                store(work.w.gamma, block.label[start + n] * GM_TILE + n, 1, self.size)
            self.moments(work, statistics)
        self.finish(work, statistics)

    cdef gm_sums sums_of(self, Statistics statistics, Py_ssize_t k) noexcept nogil:
        cdef gm_sums sums
        sums.reference = statistics.m + k * self.n_features
        if self.size == sizeof(float):  # these numbers must be representable exactly
            sums.reference = <float *> self.reference + k * self.n_features
        sums.weight = statistics.s0 + k
        sums.first = statistics.s1 + k * self.n_features
        sums.second = statistics.s2 + (0 if self.kind == TIED else k * self.matrix_size)
        return sums


cdef class GivenResponsibilities(EStep):
    """
    Moments under given responsibilities; no density is computed.

    Parameters
    ----------
    kind, n_components, n_features, size
        As for `EStep`.
    responsibilities : callable
        Returns γ_nk for a `Block`, shape (N, K), float64. The numbers of a row need not sum to one.
    """

    def __cinit__(self, kind, n_components, n_features, size, responsibilities):
        self.responsibilities = responsibilities

    def arguments(self):
        return (self.responsibilities,)

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        cdef const double[:, :] gamma
        with gil:
            gamma = self.responsibilities(block)
            if gamma.shape[0] != block.rows.n_rows or gamma.shape[1] != self.n_components:
                raise ValueError("responsibilities must be of shape (%d, %d), not (%d, %d)"
                                 % (block.rows.n_rows, self.n_components, gamma.shape[0], gamma.shape[1]))
            if gamma.shape[0]:
                check_alignment(&gamma[0, 0], gamma.strides[0], sizeof(double))
                check_alignment(&gamma[0, 0], gamma.strides[1], sizeof(double))
        self.begin(statistics)
        if gamma.shape[0]:
            self.add_given(block, &gamma[0, 0], gamma.strides[0] // <ptrdiff_t> sizeof(double),
                           gamma.strides[1] // <ptrdiff_t> sizeof(double), statistics, work)
        return 0


cdef class GivenLabels(EStep):
    """Moments of the rows of each component, according to the labels of the block; no density is computed."""

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        check_labels(block, self.n_components)
        self.begin(statistics)
        self.add_labelled(block, statistics, work)
        return 0


cdef class EveryRow(EStep):
    """Moments of all rows, as if a single component were responsible for all of them."""

    def __cinit__(self, kind, n_components, n_features, size):
        if n_components != 1:
            raise ValueError("all rows belong to a single component, not to %d" % n_components)

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        cdef Py_ssize_t tile, n
        self.begin(statistics)
        for tile in range(tiles(block.rows)):
            statistics.total_weight += load_given(self.kernels, block, tile * GM_TILE, work)
            for n in range(work.w.rows):
                store(work.w.gamma, n, 1, self.size)
            self.moments(work, statistics)
        self.finish(work, statistics)
        return 0


cdef class CompleteRows(EStep):
    """
    The E step over rows without missing values: densities (1), responsibilities (5), log-likelihood (6).

    All threads of a pass share one object.

    Parameters
    ----------
    kind, n_components, n_features, size
        As for `EStep`.
    factors : Kind
        The kind of the densities.
    """

    def __cinit__(self, kind, n_components, n_features, size, factors):
        if factors not in (FULL, TIED, DIAG):
            raise ValueError("factors must be a Kind, not %r" % (factors,))
        self.factors = <Kind> (<int> factors)
        self.factor_size = matrix_size(self.factors, self.n_features)
        cdef Py_ssize_t points = checked_size(self.n_components, self.n_features)
        self.mean = allocate(points, self.size)
        self.factor = allocate(checked_size(n_matrices(self.factors, self.n_components), self.factor_size), self.size)
        self.offset = allocate(points, self.size)

    def __dealloc__(self):
        free(self.mean)
        free(self.factor)
        free(self.offset)

    def arguments(self):
        return (int(self.factors),)

    cdef int check_densities(self, Densities densities) except -1:
        if densities.kind != self.factors:
            raise ValueError("the densities are of another kind than the E step")
        return 0

    cdef int prepare_all(self, Densities d, Densities about) except -1 nogil:
        EStep.prepare_all(self, d, about)
        cdef Py_ssize_t D = self.n_features, k, i, j
        cdef const double *factor
        cdef double z, unit = sqrt(BITS / 2)  # −½ |y|² nats are −|unit y|² bits
        for i in range(n_matrices(self.factors, self.n_components) * self.factor_size):
            store(self.factor, i, unit * d.factor[i], self.size)
        for i in range(self.n_components * D):
            store(self.mean, i, d.mu[i], self.size)
        for k in range(self.n_components):
            factor = d.factor + (0 if self.factors == TIED else k * self.factor_size)
            for i in range(D):
                if self.factors == DIAG:
                    z = factor[i] * self.rounded_off(d, k * D + i)
                else:
                    z = 0
                    for j in range(i + 1):
                        z += factor[i * D + j] * self.rounded_off(d, k * D + j)
                store(self.offset, k * D + i, unit * z, self.size)
        return 0

    cdef double rounded_off(self, Densities d, Py_ssize_t i) noexcept nogil:
        """The rounded mean minus the true one."""
        return (fetch(self.mean, i, self.size) - d.mu[i]) - d.mu_rest[i]

    cdef int accumulate_all(self, Block block, Statistics statistics, Workspace work) except -1 nogil:
        self.begin(statistics)
        self.add_block(block, statistics, work)
        return 0

    cdef void add_block(self, Block block, Statistics statistics, Workspace work) noexcept nogil:
        """
        Add the sums of a block, about the reference points of the Statistics.

        For float32 rows the reference points must be those of `prepare`.
        """
        cdef Py_ssize_t tile
        work.tiles_without_bounds = 0
        for tile in range(tiles(block.rows)):
            statistics.total_weight += load_tile(self.kernels, block.rows, block.w, tile * GM_TILE, work)
            work.w.sum_only = block.w == NULL and work.w.rows == work.w.padded
            self.log_densities(work)
            statistics.log_likelihood += self.normalized(block.rows, tile * GM_TILE, work)
            self.moments(work, statistics)
        self.finish(work, statistics)

    def evaluate(self, Rows x not None, double[::1] log_p, double[:, :] responsibilities, int32_t[::1] labels,
                 Workspace work not None):
        """
        Write the results for one block: ln p(x_n) (1), γ_nk (5), and the k of the largest γ_nk. None leaves a result out.
        """
        self.check(x, None, work)
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
        cdef Py_ssize_t apart = 0 if responsibilities is None else responsibilities.strides[0] // <Py_ssize_t> sizeof(double)
        if x.n_rows:
            with nogil:
                self.evaluate_all(x, NULL if log_p is None else &log_p[0], NULL if responsibilities is None else &responsibilities[0, 0],
                                  apart, NULL if labels is None else &labels[0], work)

    cdef void evaluate_all(self, Rows x, double *log_p, double *responsibilities, ptrdiff_t apart, int32_t *labels,
                           Workspace work) noexcept nogil:
        """`evaluate` into memory. Rows of responsibilities are `apart` numbers from each other; NULL leaves a result out."""
        cdef Py_ssize_t tile, start
        cdef int lane
        cdef int32_t label[GM_TILE]
        cdef double value[GM_TILE]
        work.tiles_without_bounds = 0
        for tile in range(tiles(x)):
            start = tile * GM_TILE
            load_tile(self.kernels, x, NULL, start, work)
            work.w.sum_only = False
            if responsibilities == NULL:
                self.log_densities(work)
            else:  # even the smallest responsibilities are wanted
                self.all_log_densities(self.densities.log_constant, work)
            if labels != NULL and log_p == NULL and responsibilities == NULL:
                self.kernels.largest(&work.w, label, value)
                if any_far(value, work):
                    self.normalized(x, start, work)
                    self.kernels.largest(&work.w, label, value)
            else:
                self.normalized(x, start, work)
                if labels != NULL:
                    self.kernels.largest(&work.w, label, value)
            if labels != NULL:
                memcpy(labels + start, label, work.w.rows * sizeof(int32_t))
            if log_p != NULL:
                for lane in range(work.w.rows):
                    log_p[start + lane] = fetch(work.w.log_p, lane, self.size)
            if responsibilities != NULL:
                self.kernels.responsibilities(&work.w, responsibilities + start * apart, apart)

    def evaluate_components(self, Rows x not None, double[:, ::1] log_densities not None, Workspace work not None):
        """Write ln N(x_n | μ_k, Σ_k) of one block, shape (N, K)."""
        self.check(x, None, work)
        if log_densities.shape[0] != x.n_rows or log_densities.shape[1] != self.n_components:
            raise ValueError("the output array has the wrong shape")
        if x.n_rows:
            check_alignment(&log_densities[0, 0], 0, sizeof(double))
            with nogil:
                self.evaluate_each(x, &log_densities[0, 0], work)

    cdef void evaluate_each(self, Rows x, double *log_densities, Workspace work) noexcept nogil:
        """`evaluate_components` into memory."""
        cdef Py_ssize_t K = self.n_components, tile, k, n
        cdef int lane
        cdef double value
        for tile in range(tiles(x)):
            load_tile(self.kernels, x, NULL, tile * GM_TILE, work)
            self.all_log_densities(self.densities.log_norm, work)
            for lane in range(work.w.rows):
                n = tile * GM_TILE + lane
                for k in range(K):
                    value = fetch(work.w.gamma, k * GM_TILE + lane, self.size)
                    log_densities[n * K + k] = self.far_component(x, n, k) if is_far(value, self.size) else value / BITS

    cdef void log_densities(self, Workspace work) noexcept nogil:
        """
        Write log2 π_k N(x_n | μ_k, Σ_k) of a tile to the workspace, or a bound of it where the density is negligible.

        Bounds cost about a tenth of what the densities cost. Where they spared less than that in a tile, the next tiles of the
        block are computed without bounds. The count of these tiles begins anew in every block. So the computation for a tile
        depends only on its block, not on what its thread did before.
        """
        if self.factors == DIAG or self.n_features < FEWEST_FEATURES or self.n_components == 1 or work.tiles_without_bounds:
            work.tiles_without_bounds = max(work.tiles_without_bounds - 1, 0)
            self.all_log_densities(self.densities.log_constant, work)
            return
        work.w.spared = 0
        self.each_density(self.kernels.bound_full, self.densities.log_constant, work)
        self.kernels.find_likely(&work.w)
        self.each_density(self.kernels.density_likely, self.densities.log_constant, work)
        self.each_density(self.kernels.density_rest, self.densities.log_constant, work)
        if work.w.spared < 0.1 * self.n_components * self.n_features * <double> self.n_features * work.w.padded:
            work.tiles_without_bounds = TILES_WITHOUT_BOUNDS

    cdef void all_log_densities(self, const double *constants, Workspace work) noexcept nogil:
        """Write log2 π_k N(x_n | μ_k, Σ_k) of a tile to the workspace, with or without π_k, depending on the constants."""
        self.each_density(self.kernels.density_diag if self.factors == DIAG else self.kernels.density_full, constants, work)

    cdef void each_density(self, gm_density density, const double *constants, Workspace work) noexcept nogil:
        cdef Py_ssize_t D = self.n_features, k
        cdef char *mean = <char *> self.mean
        cdef char *offset = <char *> self.offset
        cdef char *factor = <char *> self.factor
        for k in range(self.n_components):
            density(&work.w, k, mean, factor, offset, BITS * constants[k])
            mean += D * self.size
            offset += D * self.size
            factor += 0 if self.factors == TIED else self.factor_size * self.size

    cdef double normalized(self, Rows x, Py_ssize_t start, Workspace work) noexcept nogil:
        """Turn log-densities into γ_nk and ln p(x_n); return Σ w_n ln p(x_n) of the tile."""
        cdef int far_rows, lane
        cdef double total = self.kernels.normalize(&work.w, &far_rows)
        if far_rows:
            for lane in range(work.w.rows):
                if is_far(fetch(work.w.top, lane, self.size), self.size):
                    total += self.far_row(self.densities, x, start + lane, lane, work)
        return total

    cdef double far_row(self, Densities p, Rows x, Py_ssize_t n, int lane, Workspace work) noexcept nogil:
        """Compute responsibilities and log-density of a row so far out that squares overflow, in double, with scaled residuals.

        With t a quarter of the largest residual, ln π_k N = c_k − 8 t² q_k where q_k = |L_k⁻¹ (x − μ_k) / 4t|². Components
        are compared by the differences of their q_k, which alone decide once t² leaves the range of double.
        """
        cdef Py_ssize_t k
        cdef const void *row = x.data + n * x.stride
        cdef double t = 0, y, q, best = INFINITY, c_best = 0, total = 0, share
        for k in range(self.n_components):
            t = max(t, self.quarter_of_largest_residual(p, row, k))
        t = t if t > 0 else 1
        for k in range(self.n_components):
            if p.log_constant[k] == -INFINITY:
                continue
            q = self.far_square(p, row, k, t)
            if q < best or (q == best and p.log_constant[k] > c_best):
                best, c_best = q, p.log_constant[k]
        for k in range(self.n_components):
            if p.log_constant[k] == -INFINITY:
                share = 0
            else:
                q = self.far_square(p, row, k, t) - best
                share = exp(p.log_constant[k] - c_best - (8 * t * (t * q) if q > 0 else 0))
            total += share
            store(work.w.gamma, k * GM_TILE + lane, share, self.size)
        y = fetch(work.w.weights, lane, self.size)
        store(work.w.scale, lane, y / total, self.size)
        store(work.w.log_p, lane, c_best - 8 * t * (t * best) + log(total), self.size)
        return y * (c_best - 8 * t * (t * best) + log(total)) if y > 0 else 0

    cdef double far_component(self, Rows x, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
        """ln N(x_n | μ_k, Σ_k) of a row so far out that squares overflow, as `far_row` computes it."""
        cdef const void *row = x.data + n * x.stride
        cdef double t = self.quarter_of_largest_residual(self.densities, row, k)
        return self.densities.log_norm[k] - (8 * t * (t * self.far_square(self.densities, row, k, t)) if t > 0 else 0)

    cdef double quarter_of_largest_residual(self, Densities p, const void *row, Py_ssize_t k) noexcept nogil:
        cdef Py_ssize_t D = self.n_features, i
        cdef double t = 0
        for i in range(D):
            t = max(t, fabs(fetch(row, i, self.size) / 4 - p.mu[k * D + i] / 4))
        return t

    cdef double far_square(self, Densities p, const void *row, Py_ssize_t k, double t) noexcept nogil:
        """|L_k⁻¹ (x − μ_k) / 4t|²."""
        cdef Py_ssize_t D = self.n_features, i, j
        cdef const double *factor = p.factor + (0 if self.factors == TIED else k * self.factor_size)
        cdef double y, q = 0
        for i in range(D):
            if self.factors == DIAG:
                y = factor[i] * scaled(row, i, p.mu[k * D + i], t, self.size)
            else:
                y = 0
                for j in range(i + 1):
                    y += factor[i * D + j] * scaled(row, j, p.mu[k * D + j], t, self.size)
            q += y * y
        return q


cdef int check_labels(Block block, Py_ssize_t n_components) except -1 nogil:
    cdef Py_ssize_t n
    if block.label == NULL and block.rows.n_rows:
        with gil:
            raise ValueError("the block has no labels")
    for n in range(block.rows.n_rows):
        if not 0 <= block.label[n] < n_components:
            with gil:
                raise ValueError("labels must be from 0 to %d, but label %d is %d" % (n_components - 1, n, block.label[n]))
    return 0


cdef double scaled(const void *row, Py_ssize_t i, double mean, double t, size_t size) noexcept nogil:
    """A residual over 4 t, in an order in which nothing overflows."""
    return (fetch(row, i, size) / 4 - mean / 4) / t


cdef double load_tile(const gm_kernels *kernels, Rows x, const double *weights, Py_ssize_t start,
                      Workspace work) noexcept nogil:
    """Load the rows from `start` on into the tile of the workspace; return the sum of their weights."""
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


cdef double load_given(const gm_kernels *kernels, Block block, Py_ssize_t start, Workspace work) noexcept nogil:
    """`load_tile` before given responsibilities are written into gamma: gamma is set to zero, and scale to the weights."""
    cdef double total = load_tile(kernels, block.rows, block.w, start, work)
    memcpy(work.w.scale, work.w.weights, GM_TILE * work.size)
    work.w.least = 0
    memset(work.w.gamma, 0, work.n_components * GM_TILE * work.size)
    return total


cdef bint is_far(double log_density, size_t size) noexcept nogil:
    return not log_density > (GM_FAR_SINGLE if size == sizeof(float) else GM_FAR_DOUBLE)


cdef bint any_far(const double *top, Workspace work) noexcept nogil:
    cdef int lane
    for lane in range(work.w.rows):
        if is_far(top[lane], work.size):
            return True
    return False

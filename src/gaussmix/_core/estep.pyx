# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The E step over one block of rows: densities (1), responsibilities (5), log-likelihood (6), and the Statistics they leave.

Rows are taken a tile at a time. What happens inside a tile is C (kernels/); the loops over tiles and components are here.
"""
from libc.math cimport exp, log, fabs, INFINITY
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from gaussmix._core.parameters cimport Kind, Parameters, FULL, TIED, DIAG
from gaussmix._core.statistics cimport Statistics
from gaussmix._core.linalg cimport checked_size

TILE = GM_TILE


cdef void *allocate(Py_ssize_t count, size_t size) except NULL:
    cdef void *memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError("no memory for %d numbers" % count)
    return memory


cdef void store(void *array, Py_ssize_t i, double value, size_t size) noexcept nogil:
    if size == sizeof(float):
        (<float *> array)[i] = <float> value
    else:
        (<double *> array)[i] = value


cdef double fetch(const void *array, Py_ssize_t i, size_t size) noexcept nogil:
    return (<const float *> array)[i] if size == sizeof(float) else (<const double *> array)[i]


cdef const double *start_of(const double[::1] numbers) noexcept:
    if numbers is None or numbers.shape[0] == 0:
        return NULL
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
        Where x is not two-dimensional, of another type, or the numbers of a row are apart.
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
        self.n_components = n_components
        self.n_features = n_features
        self.size = size
        self.panels = allocate(checked_size(self.n_features, GM_TILE), self.size)
        self.gamma = allocate(checked_size(self.n_components, GM_TILE), self.size)
        self.log_p = allocate(GM_TILE, self.size)
        self.weights = <double *> allocate(GM_TILE, sizeof(double))

    def __dealloc__(self):
        free(self.panels)
        free(self.gamma)
        free(self.log_p)
        free(self.weights)


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
        self.kind = <Kind> (<int> kind)
        self.n_components = n_components
        self.n_features = n_features
        self.size = size
        self.kernels = gm_kernels_for(self.size)
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
        with nogil:
            self.prepare_all(parameters, points)

    cdef void prepare_all(self, Parameters p, const double *reference) noexcept nogil:
        cdef Py_ssize_t D = self.n_features, k, i, j
        cdef Py_ssize_t matrices = 1 if self.kind == TIED else self.n_components
        cdef const double *factor
        cdef double z
        for i in range(matrices * self.matrix_size):
            store(self.factor, i, p.factor[i], self.size)
        for i in range(self.n_components * D):
            store(self.mean, i, p.mu[i], self.size)
            store(self.reference, i, p.mu[i] if reference == NULL else reference[i], self.size)
            self.reference_point[i] = fetch(self.reference, i, self.size)
        for k in range(self.n_components):
            factor = p.factor + (0 if self.kind == TIED else k * self.matrix_size)
            for i in range(D):
                if self.kind == DIAG:
                    z = factor[i] * self.left_out(k * D + i)
                else:
                    z = 0
                    for j in range(i + 1):
                        z += factor[i * D + j] * self.left_out(k * D + j)
                store(self.offset, k * D + i, z, self.size)

    cdef double left_out(self, Py_ssize_t i) noexcept nogil:
        """What the rounded mean lacks of the true one."""
        return (self.parameters.mu[i] - fetch(self.mean, i, self.size)) + self.parameters.mu_rest[i]

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
        cdef Py_ssize_t tile, start
        cdef int rows
        with nogil:
            memcpy(statistics.m, self.reference_point, self.n_components * self.n_features * sizeof(double))
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                rows = self.load_tile(x, w, start, work)
                statistics.log_likelihood += self.density_tile(x, start, rows, work)
                statistics.total_weight += tile_weight(work)
                self.moments_tile(work, statistics)

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
        cdef int rows, n
        cdef double share
        with nogil:
            memcpy(statistics.m, self.reference_point, self.n_components * self.n_features * sizeof(double))
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                rows = self.load_tile(x, w, start, work)
                for k in range(self.n_components):
                    for n in range(GM_TILE):
                        if n >= rows:
                            share = 0
                        elif label is not None:
                            share = label[start + n] == k
                        else:
                            share = gamma[start + n, k]
                        store(work.gamma, k * GM_TILE + n, share * work.weights[n], self.size)
                statistics.total_weight += tile_weight(work)
                self.moments_tile(work, statistics)

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
        cdef Py_ssize_t tile, start, k
        cdef int rows, n
        with nogil:
            for tile in range(tiles(x)):
                start = tile * GM_TILE
                rows = self.load_tile(x, NULL, start, work)
                self.density_tile(x, start, rows, work)
                for n in range(rows):
                    if log_p is not None:
                        log_p[start + n] = fetch(work.log_p, n, self.size)
                    if labels is not None:
                        labels[start + n] = largest(work, n)
                    if responsibilities is not None:
                        for k in range(self.n_components):
                            responsibilities[start + n, k] = fetch(work.gamma, k * GM_TILE + n, self.size)

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
            raise ValueError("the pass has not been prepared")

    cdef int load_tile(self, Rows x, const double *weights, Py_ssize_t start, Workspace work) noexcept nogil:
        cdef int rows = <int> min(x.n_rows - start, <Py_ssize_t> GM_TILE), n
        self.kernels.load(x.data + start * x.stride, x.stride, rows, self.n_features, work.panels)
        for n in range(GM_TILE):
            work.weights[n] = 0 if n >= rows else 1 if weights == NULL else weights[start + n]
        return rows

    cdef double density_tile(self, Rows x, Py_ssize_t start, int rows, Workspace work) noexcept nogil:
        """Leave w_n γ_nk and ln p(x_n) of a tile in the workspace; return the weighted sum of the latter."""
        cdef Py_ssize_t D = self.n_features, k
        cdef int far_rows, n
        cdef double total, far_limit = -1e37 if self.size == sizeof(float) else -1e300
        cdef char *mean = <char *> self.mean
        cdef char *offset = <char *> self.offset
        cdef char *factor = <char *> self.factor
        cdef char *gamma = <char *> work.gamma
        for k in range(self.n_components):
            if self.kind == DIAG:
                self.kernels.density_diag(work.panels, D, mean, factor, offset, self.parameters.log_coefficient[k], gamma)
            else:
                self.kernels.density_full(work.panels, D, mean, factor, offset, self.parameters.log_coefficient[k], gamma)
            mean += D * self.size
            offset += D * self.size
            factor += 0 if self.kind == TIED else self.matrix_size * self.size
            gamma += GM_TILE * self.size
        total = self.kernels.normalize(work.gamma, self.n_components, rows, work.weights, work.log_p, &far_rows)
        if far_rows:
            for n in range(rows):
                if not fetch(work.log_p, n, self.size) > far_limit:
                    total += self.far_row(self.parameters, x, start + n, n, work)
        return total

    cdef void moments_tile(self, Workspace work, Statistics s) noexcept nogil:
        cdef Py_ssize_t D = self.n_features, k
        cdef char *reference = <char *> self.reference
        cdef char *gamma = <char *> work.gamma
        cdef double *second = s.s2
        for k in range(self.n_components):
            if self.kind == DIAG:
                self.kernels.moments_diag(work.panels, D, reference, gamma, s.s0 + k, s.s1 + k * D, second)
            else:
                self.kernels.moments_full(work.panels, D, reference, gamma, s.s0 + k, s.s1 + k * D, second)
            reference += D * self.size
            gamma += GM_TILE * self.size
            second += 0 if self.kind == TIED else self.matrix_size

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
                share = exp(p.log_coefficient[k] - c_best - (8 * t * t * q if q > 0 else 0))
            total += share
            store(work.gamma, k * GM_TILE + lane, share, self.size)
        for k in range(self.n_components):
            share = fetch(work.gamma, k * GM_TILE + lane, self.size)
            store(work.gamma, k * GM_TILE + lane, share / total * work.weights[lane], self.size)
        y = c_best - 8 * t * t * best + log(total)
        store(work.log_p, lane, y, self.size)
        return work.weights[lane] * y if work.weights[lane] > 0 else 0

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


cdef double scaled(const void *row, Py_ssize_t i, double mean, double t, size_t size) noexcept nogil:
    """A residual over 4 t, in an order in which nothing overflows."""
    return (fetch(row, i, size) / 4 - mean / 4) / t


cdef double tile_weight(Workspace work) noexcept nogil:
    cdef double total = 0
    cdef int n
    for n in range(GM_TILE):
        total += work.weights[n]
    return total


cdef int32_t largest(Workspace work, int n) noexcept nogil:
    """The component with the largest responsibility of sample n of the tile."""
    cdef Py_ssize_t k
    cdef int32_t best = 0
    cdef double value, top = fetch(work.gamma, n, work.size)
    for k in range(1, work.n_components):
        value = fetch(work.gamma, k * GM_TILE + n, work.size)
        if value > top:
            top, best = value, <int32_t> k
    return best

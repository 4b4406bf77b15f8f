# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""
Mixtures for compiled code: E steps, M steps and densities as C functions, to cimport or to call through `__pyx_capi__`.

Every function checks its arguments, returns a code (0 for success) and does not need the GIL. docs/cython.md says how to use them.
A handle is a reference to an object of one of the classes below. Their layout is private.
"""
from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.object cimport PyObject
from cpython.pyport cimport PY_SSIZE_T_MAX
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.limits cimport INT_MAX
from libc.float cimport DBL_MAX
from libc.math cimport NAN, fabs, isfinite
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

from gaussmix._core cimport linalg
from gaussmix._core.densities cimport DIAG
from gaussmix._core.estep cimport Block, CompleteRows, EStep, Rows, fetch, rows_within
from gaussmix._core.estep cimport Workspace as Room
from gaussmix._core.memory cimport checked_size
from gaussmix._core.mstep cimport MStep
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.statistics cimport Statistics as Sums

import numpy as np

from gaussmix.blocks import Blocks, LARGEST as LARGEST_NUMBER, LARGEST_SINGLE as LARGEST_OF_SINGLE, SINGLE_RANGE, WEIGHT_RANGE
from gaussmix.engines import Threads
from gaussmix.mixture import Mixture
from gaussmix.starts.kmeans import k_means, k_means_plus_plus
from gaussmix.statistics import Statistics as PublicStatistics
from gaussmix.structures import structure_named

cdef double LARGEST = LARGEST_NUMBER
cdef double LARGEST_SINGLE = LARGEST_OF_SINGLE
cdef double SMALLEST_SPREAD = SINGLE_RANGE[0]
cdef double LARGEST_ROW = SINGLE_RANGE[1]
cdef double SMALLEST_WEIGHT = WEIGHT_RANGE[0]
cdef double LARGEST_WEIGHT = WEIGHT_RANGE[1]

cdef int INSTALLED_VERSION = API_VERSION

cdef const char *MESSAGES[16]
MESSAGES[OK] = b"success"
MESSAGES[NULL_POINTER] = b"a pointer is NULL that must not be"
MESSAGES[WRONG_HANDLE] = b"a handle is of another kind than the function takes"
MESSAGES[BAD_SIZE] = b"a count is too small, or too large for the address space"
MESSAGES[OTHER_SHAPE] = b"two handles differ in components, features or second moments"
MESSAGES[BAD_TYPE] = b"the number type is neither FLOAT32 nor FLOAT64"
MESSAGES[UNALIGNED] = b"numbers do not lie at addresses that are multiples of their size"
MESSAGES[NOT_FINITE] = b"a number is NaN, infinite or too large"
MESSAGES[NEGATIVE] = b"a weight, responsibility, tolerance or variance is negative"
MESSAGES[BAD_LABEL] = b"a label is less than 0, or not less than the number of components"
MESSAGES[UNKNOWN_STRUCTURE] = b"no covariance structure has that name"
MESSAGES[BAD_PARAMETERS] = b"weights do not sum to one, or a covariance is not symmetric and positive definite"
MESSAGES[NO_WEIGHT] = b"a component has no weight"
MESSAGES[SINGULAR] = b"a matrix or the covariance of a component is singular"
MESSAGES[NO_MEMORY] = b"there is not enough memory"
MESSAGES[PYTHON_ERROR] = b"Python code, such as that of a registered structure, raised an exception"


cdef int api_version() noexcept nogil:
    return INSTALLED_VERSION


cdef const char *error_message(int code) noexcept nogil:
    """The sentence for a code, in static memory; NULL where there is no such code."""
    return MESSAGES[code] if 0 <= code <= PYTHON_ERROR else NULL


# The objects that handles point to.

cdef class _Densities:
    """A mixture, and the E steps prepared for it."""

    cdef object structure
    cdef Parameters parameters
    cdef Parameters spare  # M steps are made here, so that one that fails changes nothing
    cdef CompleteRows double_rows
    cdef CompleteRows single_rows
    cdef bint fits_single
    cdef MStep step
    cdef double reg_covar

    def __cinit__(self, structure, Parameters parameters not None):
        shape = parameters.n_components, parameters.n_features
        self.structure, self.parameters, self.spare = structure, parameters, parameters.copy()
        self.double_rows = CompleteRows(structure.moments, *shape, sizeof(double), structure.factors)
        self.single_rows = CompleteRows(structure.moments, *shape, sizeof(float), structure.factors)
        self.double_rows.prepare(parameters.densities)
        self.single_rows.prepare(parameters.densities)
        self.take_on_parameters()
        self.set_reg_covar(0)

    cdef int set_reg_covar(self, double reg_covar) except -1:
        self.step, self.reg_covar = self.structure.m_step(reg_covar, self.parameters.n_features), reg_covar
        return 0

    cdef void *estep(self, bint single) noexcept nogil:
        return <void *> self.single_rows if single else <void *> self.double_rows

    cdef void take_on_parameters(self) noexcept nogil:
        self.fits_single = self.parameters.densities.largest_number() < LARGEST_SINGLE
        self.double_rows.prepare_all(self.parameters.densities, None)
        self.single_rows.prepare_all(self.parameters.densities, None)

    cdef bint is_for(self, Sums sums) noexcept nogil:
        """Whether an E step can add to these sums."""
        return (sums.n_components == self.parameters.n_components and sums.n_features == self.parameters.n_features
                and sums.kind == self.double_rows.kind)

    cdef void give(self, double *weights, double *means, double *covariances) noexcept nogil:
        copy_numbers(self.parameters.pi, self.parameters.n_components, weights)
        copy_numbers(self.parameters.densities.mu, self.parameters.n_components * self.parameters.n_features, means)
        copy_numbers(self.parameters.sigma, self.parameters.n_numbers, covariances)

    cdef int borrow_for(self, _Workspace work, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const void *result,
                        Py_ssize_t result_size) noexcept nogil:
        """Check the arguments of a function that evaluates the densities of a block, and lend the rows to the workspace."""
        if not work.is_for(self.parameters.n_components, self.parameters.n_features):
            return OTHER_SHAPE
        if n_rows > 0 and result == NULL:
            return NULL_POINTER
        if <size_t> result % result_size:
            return UNALIGNED
        return work.borrow(type, rows, n_rows, stride, NULL, DBL_MAX, self.fits_single)

    cdef int evaluate(self, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *log_p, double *shares,
                      int32_t *most_likely, _Workspace work) noexcept nogil:
        """Write the one of the three results that is not NULL."""
        cdef const void *result = most_likely
        if most_likely == NULL:
            result = log_p if log_p != NULL else shares
        cdef int code = self.borrow_for(work, type, rows, n_rows, stride, result,
                                        sizeof(double) if most_likely == NULL else sizeof(int32_t))
        if code == OK and n_rows:
            (<CompleteRows> self.estep(work.single)).evaluate_all((<Block> work.block).rows, log_p, shares,
                                                                  self.parameters.n_components, most_likely, <Room> work.room)
        work.give_back()
        return code

    cdef int evaluate_each(self, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *result, bint joint,
                           _Workspace work) noexcept nogil:
        """Write the log-densities of the components; joint ones include ln π_k."""
        cdef Py_ssize_t K = self.parameters.n_components, n, k
        cdef double log_weight
        cdef int code = self.borrow_for(work, type, rows, n_rows, stride, result, sizeof(double))
        if code == OK and n_rows:
            (<CompleteRows> self.estep(work.single)).evaluate_each((<Block> work.block).rows, result, <Room> work.room)
            for k in range(K if joint else 0):
                log_weight = self.parameters.log_weight(k)
                for n in range(n_rows):
                    result[n * K + k] += log_weight
        work.give_back()
        return code

    cdef int maximize(self, Sums sums, double reg_covar, Py_ssize_t *component) noexcept with gil:
        """
        Make an M step, and take its parameters over if it succeeds.

        A thread that Python did not start loses an exception when it releases the GIL for good, so the GIL is acquired here.
        """
        cdef Py_ssize_t failed
        try:
            if reg_covar != self.reg_covar:
                self.set_reg_covar(reg_covar)
            with nogil:
                self.spare.assign(self.parameters)
                failed = self.step.maximize_all(sums, self.spare)
        except Exception as error:
            return code_of(error)
        if failed >= 0:
            if component != NULL:
                component[0] = failed
            return SINGULAR if sums.s0[failed] > 0 else NO_WEIGHT
        with nogil:
            self.parameters.assign(self.spare)
            # As in a Mixture, the means are those that densities_get gives, without the part that rounding left out.
            memset(self.parameters.densities.mu_rest, 0, sums.n_components * sums.n_features * sizeof(double))
            self.take_on_parameters()
        return OK


cdef class _Statistics:
    """Statistics, and the E steps for given responsibilities."""

    cdef object structure
    cdef Sums sums
    cdef bint empty  # the reference points have not been chosen yet
    cdef EStep double_rows
    cdef EStep single_rows
    # For a first pass about any point, which finds where the rows of each component lie.
    cdef Sums around
    cdef EStep double_around
    cdef EStep single_around

    def __cinit__(self, structure, Py_ssize_t n_components, Py_ssize_t n_features):
        shape = n_components, n_features
        self.structure, self.empty = structure, True
        self.sums, self.around = PublicStatistics(structure.moments, *shape), PublicStatistics(DIAG, *shape)
        self.double_rows, self.single_rows = EStep(structure.moments, *shape, sizeof(double)), EStep(structure.moments, *shape, sizeof(float))
        self.double_around, self.single_around = EStep(DIAG, *shape, sizeof(double)), EStep(DIAG, *shape, sizeof(float))

    cdef void *estep(self, bint single) noexcept nogil:
        return <void *> self.single_rows if single else <void *> self.double_rows

    cdef void *around_estep(self, bint single) noexcept nogil:
        return <void *> self.single_around if single else <void *> self.double_around

    cdef bint is_about(self, EStep estep) noexcept nogil:
        """Whether the E step takes moments about these reference points."""
        cdef Py_ssize_t i
        for i in range(self.sums.n_components * self.sums.n_features):
            if self.sums.m[i] != estep.reference_point[i]:
                return False
        return True

    cdef void set_about(self, EStep estep) noexcept nogil:
        memcpy(self.sums.m, estep.reference_point, self.sums.n_components * self.sums.n_features * sizeof(double))
        self.empty = False

    cdef int clear(self, const double *reference) noexcept nogil:
        """Set all sums to zero, about these reference points or about points that the next rows will determine."""
        cdef Py_ssize_t points = self.sums.n_components * self.sums.n_features
        if <size_t> reference % sizeof(double):
            return UNALIGNED
        if reference != NULL and not all_within(reference, points, LARGEST):
            return NOT_FINITE
        self.sums.clear_sums()
        self.empty = reference == NULL
        if reference != NULL:
            memcpy(self.sums.m, reference, points * sizeof(double))
        return OK

    cdef int add(self, _Statistics other) noexcept nogil:
        """Add other sums, translated to the present reference points."""
        cdef Py_ssize_t points = self.sums.n_components * self.sums.n_features, i
        if (self.sums.kind != other.sums.kind or self.sums.n_components != other.sums.n_components
                or self.sums.n_features != other.sums.n_features):
            return OTHER_SHAPE
        if other.empty:
            return OK
        if self.empty:
            memcpy(self.sums.m, other.sums.m, points * sizeof(double))
            self.empty = False
        for i in range(points):
            if self.sums.m[i] != other.sums.m[i]:
                with gil:
                    try:
                        self.sums.accumulate(other.sums.translated(self.sums.reference))
                        return OK
                    except Exception as error:
                        return NOT_FINITE if isinstance(error, ValueError) else code_of(error)
        self.sums.add_sums(other.sums)
        return OK

    cdef int add_e_step(self, _Densities mixture, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride,
                        const double *weights, _Workspace work) noexcept nogil:
        """Add the sums of an E step over rows. Float64 is used where the reference points do not allow float32 sums."""
        cdef bint single = mixture.fits_single
        cdef int code
        if not work.is_for(self.sums.n_components, self.sums.n_features):
            return OTHER_SHAPE
        if single and not self.empty:
            single = self.is_about(mixture.single_rows)
        code = work.borrow(type, rows, n_rows, stride, weights, LARGEST, single)
        if code == OK and n_rows:
            if self.empty:
                self.set_about(<EStep> mixture.estep(type == FLOAT32 and mixture.fits_single))
            (<CompleteRows> mixture.estep(work.single)).add_block(<Block> work.block, self.sums, <Room> work.room)
        work.give_back()
        return code

    cdef int add_given(self, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const double *shares,
                       Py_ssize_t shares_stride, const int32_t *labels, const double *weights, _Workspace work) noexcept nogil:
        """Add the moments of rows under `shares`, or under `labels` where these are NULL."""
        cdef bint single = True
        cdef int code
        if not work.is_for(self.sums.n_components, self.sums.n_features):
            return OTHER_SHAPE
        if not self.empty:
            self.single_rows.take_moments_about(self.sums.m)
            single = self.is_about(self.single_rows)
        code = work.borrow(type, rows, n_rows, stride, weights, LARGEST, single)
        if code == OK:
            code = (check_labels(labels, n_rows, self.sums.n_components) if shares == NULL else
                    check_shares(shares, n_rows, shares_stride, self.sums.n_components))
        if code == OK and n_rows:
            if self.empty:
                self.choose_points(<EStep> self.around_estep(work.single), <Block> work.block, shares, shares_stride, labels,
                                   <Room> work.room)
                (<EStep> self.estep(type == FLOAT32)).take_moments_about(self.sums.m)
                self.set_about(<EStep> self.estep(type == FLOAT32))
            add_moments(<EStep> self.estep(work.single), <Block> work.block, shares, shares_stride, labels, self.sums, <Room> work.room)
            self.sums.log_likelihood = NAN
        work.give_back()
        return code

    cdef void choose_points(self, EStep estep, Block block, const double *shares, Py_ssize_t shares_stride, const int32_t *labels,
                            Room room) noexcept nogil:
        """Make each component's mean its reference point. A pass about the first row finds the means."""
        cdef Py_ssize_t D = self.sums.n_features, k, i, ki
        self.around.clear_sums()
        for k in range(self.sums.n_components):
            for i in range(D):
                self.around.m[k * D + i] = fetch(block.rows.data, i, block.rows.size)
        estep.take_moments_about(self.around.m)
        add_moments(estep, block, shares, shares_stride, labels, self.around, room)
        for k in range(self.sums.n_components):
            for i in range(D):
                ki = k * D + i
                self.sums.m[ki] = self.around.m[ki] + (self.around.s1[ki] / self.around.s0[k] if self.around.s0[k] > 0 else 0)


cdef void add_moments(EStep estep, Block block, const double *shares, Py_ssize_t shares_stride, const int32_t *labels, Sums sums,
                      Room room) noexcept nogil:
    if shares != NULL:
        estep.add_given(block, shares, shares_stride // <Py_ssize_t> sizeof(double), 1, sums, room)
    else:
        block.label = labels
        estep.add_labelled(block, sums, room)
        block.label = NULL


cdef class _Workspace:
    """One thread's memory, and the rows that are lent to it for a call."""

    cdef Room double_room
    cdef Room single_room
    cdef Block double_block
    cdef Block single_block
    cdef double[:, ::1] range_of  # the least and the largest value of each feature
    # What belongs to the present call.
    cdef bint single
    cdef void *block
    cdef void *room
    cdef void *converted

    def __cinit__(self, Py_ssize_t n_components, Py_ssize_t n_features):
        self.double_room, self.single_room = Room(n_components, n_features, sizeof(double)), Room(n_components, n_features, sizeof(float))
        self.double_block = Block(Rows(np.zeros((1, n_features))))
        self.single_block = Block(Rows(np.zeros((1, n_features), dtype=np.float32)))
        self.range_of = np.zeros((2, n_features))

    cdef bint is_for(self, Py_ssize_t n_components, Py_ssize_t n_features) noexcept nogil:
        return self.double_room.n_components == n_components and self.double_room.n_features == n_features

    cdef void use(self, bint single) noexcept nogil:
        self.single = single
        self.block = <void *> self.single_block if single else <void *> self.double_block
        self.room = <void *> self.single_room if single else <void *> self.double_room

    cdef int borrow(self, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const double *weights, double largest,
                    bint fits_single) noexcept nogil:
        """
        Check rows, with numbers up to `largest`, and their weights, and keep them for the call. Float32 rows are converted to
        float64 where `fits_single` is false, or where their squares or weights are out of float32's range.
        """
        cdef Py_ssize_t D = self.double_room.n_features
        cdef double heaviest = 1
        cdef int code = check_rows(type, rows, n_rows, stride, D, largest)
        if code == OK and weights != NULL:
            code = check_weights(weights, n_rows, &heaviest)
        if code != OK:
            return code
        self.use(type == FLOAT32 and fits_single and SMALLEST_WEIGHT < heaviest < LARGEST_WEIGHT
                 and self.in_range(<const char *> rows, n_rows, stride))
        if type == FLOAT32 and not self.single:
            self.converted = malloc(max(n_rows, 1) * D * sizeof(double))
            if self.converted == NULL:
                return NO_MEMORY
            widen(<const char *> rows, n_rows, stride, D, <double *> self.converted)
            rows, stride = self.converted, D * sizeof(double)
        lend(<Block> self.block, <const char *> rows, n_rows, stride, weights)
        return OK

    cdef void give_back(self) noexcept nogil:
        free(self.converted)
        self.converted = NULL

    cdef bint in_range(self, const char *rows, Py_ssize_t n_rows, Py_ssize_t stride) noexcept nogil:
        """Whether all squares of residuals stay well inside float32's range, as `blocks.fits_single` decides it."""
        cdef Py_ssize_t D = self.double_room.n_features, n, i
        cdef const float *row = <const float *> rows
        cdef double spread
        if n_rows == 0:
            return True
        for i in range(D):
            self.range_of[0, i] = self.range_of[1, i] = row[i]
        for n in range(n_rows):
            row = <const float *> (rows + n * stride)
            for i in range(D):
                self.range_of[0, i] = min(self.range_of[0, i], row[i])
                self.range_of[1, i] = max(self.range_of[1, i], row[i])
        for i in range(D):
            spread = self.range_of[1, i] - self.range_of[0, i]
            if not (max(fabs(self.range_of[0, i]), fabs(self.range_of[1, i])) < LARGEST_ROW
                    and (spread == 0 or spread > SMALLEST_SPREAD)):
                return False
        return True


cdef void lend(Block block, const char *rows, Py_ssize_t n_rows, Py_ssize_t stride, const double *weights) noexcept nogil:
    block.rows.data, block.rows.n_rows, block.rows.stride = rows, n_rows, stride
    block.w = weights


# Checks of arguments.

cdef int check_handle(const void *handle, const void *cls) noexcept nogil:
    if handle == NULL:
        return NULL_POINTER
    return OK if <const void *> (<const PyObject *> handle).ob_type == cls else WRONG_HANDLE


cdef int check_densities(const Densities *densities) noexcept nogil:
    return check_handle(densities, <const void *> _Densities)


cdef int check_statistics(const Statistics *statistics) noexcept nogil:
    return check_handle(statistics, <const void *> _Statistics)


cdef int check_workspace(const Workspace *workspace, Py_ssize_t n_components, Py_ssize_t n_features) noexcept nogil:
    cdef int code = check_handle(workspace, <const void *> _Workspace)
    if code != OK:
        return code
    return OK if (<_Workspace> <void *> workspace).is_for(n_components, n_features) else OTHER_SHAPE


cdef int check_rows(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features,
                    double largest) noexcept nogil:
    """Check that rows are finite numbers up to `largest`, and that a pointer can walk over them."""
    if type != FLOAT32 and type != FLOAT64:
        return BAD_TYPE
    if n_rows < 0 or n_features < 1 or n_features > PY_SSIZE_T_MAX // <Py_ssize_t> sizeof(double):
        return BAD_SIZE
    if n_rows == 0:
        return OK
    if rows == NULL:
        return NULL_POINTER
    if not fits(n_rows, stride) or not fits(n_rows, n_features * <Py_ssize_t> sizeof(double)):
        return BAD_SIZE
    if <size_t> rows % type or stride % type:
        return UNALIGNED
    return OK if rows_within(<const char *> rows, n_rows, n_features, stride, type, largest) else NOT_FINITE


cdef bint all_within(const double *numbers, Py_ssize_t count, double largest) noexcept nogil:
    return rows_within(<const char *> numbers, 1, count, count * sizeof(double), sizeof(double), largest)


cdef bint fits(Py_ssize_t count, Py_ssize_t stride) noexcept nogil:
    """Whether this many steps of a stride, forward or backward, stay within the address space."""
    return stride == 0 or -PY_SSIZE_T_MAX <= stride and count <= PY_SSIZE_T_MAX // (stride if stride > 0 else -stride)


cdef int check_weights(const double *weights, Py_ssize_t count, double *heaviest) noexcept nogil:
    """Check that numbers are finite and not negative, and find the largest of them."""
    cdef Py_ssize_t i
    if <size_t> weights % sizeof(double):
        return UNALIGNED
    heaviest[0] = 0
    for i in range(count):
        if not isfinite(weights[i]):
            return NOT_FINITE
        if weights[i] < 0:
            return NEGATIVE
        heaviest[0] = max(heaviest[0], weights[i])
    return OK


cdef int check_shares(const double *shares, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_components) noexcept nogil:
    """Check that responsibilities are finite and not negative."""
    cdef double heaviest
    cdef Py_ssize_t n
    cdef int code = OK
    if not fits(n_rows, stride) or not fits(n_rows, n_components * <Py_ssize_t> sizeof(double)):
        return BAD_SIZE
    if stride % <Py_ssize_t> sizeof(double):
        return UNALIGNED
    for n in range(n_rows):
        if code == OK:
            code = check_weights(<const double *> (<const char *> shares + n * stride), n_components, &heaviest)
    return code


cdef int check_labels(const int32_t *labels, Py_ssize_t n_rows, Py_ssize_t n_components) noexcept nogil:
    cdef Py_ssize_t n
    if <size_t> labels % sizeof(int32_t):
        return UNALIGNED
    for n in range(n_rows):
        if not 0 <= labels[n] < n_components:
            return BAD_LABEL
    return OK


cdef int check_numbers(const double *numbers, Py_ssize_t count) noexcept nogil:
    """Check that numbers are finite; NULL stands for none."""
    if numbers == NULL:
        return OK
    if <size_t> numbers % sizeof(double):
        return UNALIGNED
    return OK if all_within(numbers, count, DBL_MAX) else NOT_FINITE


cdef void widen(const char *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features, double *wide) noexcept nogil:
    cdef Py_ssize_t n, i
    for n in range(n_rows):
        for i in range(n_features):
            wide[n * n_features + i] = (<const float *> (rows + n * stride))[i]


cdef void copy_numbers(const double *numbers, Py_ssize_t count, double *result) noexcept nogil:
    """Copy numbers, unless the target is NULL."""
    if result != NULL:
        memcpy(result, numbers, count * sizeof(double))


cdef int code_of(error) noexcept:
    return NO_MEMORY if isinstance(error, MemoryError) else PYTHON_ERROR


cdef object array_of(const double *numbers, shape):
    """Return a copy of C-contiguous numbers."""
    count = 1
    for length in shape:
        count = checked_size(count, length)
    checked_size(count, sizeof(double))
    return np.frombuffer(PyMemoryView_FromMemory(<char *> numbers, count * sizeof(double), PyBUF_READ), np.float64).reshape(shape).copy()


cdef object rows_of(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features):
    """Return checked rows as an array that shares their memory."""
    cdef const char *first = <const char *> rows + (stride * (n_rows - 1) if stride < 0 else 0)
    cdef Py_ssize_t span = abs(stride) * (n_rows - 1) + n_features * type
    return np.ndarray((n_rows, n_features), np.float32 if type == FLOAT32 else np.float64,
                      PyMemoryView_FromMemory(<char *> first, span, PyBUF_READ), <const char *> rows - first, (stride, type))


# Handles.

cdef int densities_new(const char *covariance_type, Py_ssize_t n_components, Py_ssize_t n_features, const double *weights,
                       const double *means, const double *covariances, Densities **result) noexcept nogil:
    """Make densities from the arguments of `gaussmix.Mixture`, in the same shapes, C-contiguous."""
    if covariance_type == NULL or weights == NULL or means == NULL or covariances == NULL or result == NULL:
        return NULL_POINTER
    if n_components < 1 or n_features < 1:
        return BAD_SIZE
    if <size_t> weights % sizeof(double) or <size_t> means % sizeof(double) or <size_t> covariances % sizeof(double):
        return UNALIGNED
    with gil:
        return made_densities(covariance_type, n_components, n_features, weights, means, covariances, result)


cdef int made_densities(const char *covariance_type, Py_ssize_t n_components, Py_ssize_t n_features, const double *weights,
                        const double *means, const double *covariances, Densities **result) noexcept:
    try:
        structure = structure_named(covariance_type.decode())
    except ValueError:
        return UNKNOWN_STRUCTURE
    try:
        checked_size(n_components, checked_size(n_features, checked_size(n_features, sizeof(double))))
    except MemoryError:
        return BAD_SIZE
    try:
        numbers = (array_of(weights, (n_components,)), array_of(means, (n_components, n_features)),
                   array_of(covariances, structure.shape(n_components, n_features)))
        if not all(np.isfinite(part).all() for part in numbers):
            return NOT_FINITE
        result[0] = densities_of(Mixture(*numbers, structure.name))
    except ValueError:
        return BAD_PARAMETERS
    except Exception as error:
        return code_of(error)
    return OK


cdef Densities *densities_of(object mixture) except NULL:
    """Return a handle of a `Mixture`, to be freed by `densities_free`."""
    if not isinstance(mixture, Mixture):
        raise TypeError("mixture must be a gaussmix.Mixture, not %r" % type(mixture).__name__)
    handle = _Densities(mixture.structure, mixture._parameters.copy())
    Py_INCREF(handle)
    return <Densities *> <void *> handle


cdef object mixture_of(const Densities *densities):
    """Return the `Mixture` of a handle."""
    if check_densities(densities) != OK:
        raise ValueError(error_message(check_densities(densities)).decode())
    handle = <_Densities> <void *> densities
    return Mixture.from_parameters(handle.parameters.copy(), handle.structure)


cdef int densities_get(const Densities *densities, double *weights, double *means, double *covariances) noexcept nogil:
    cdef int code = check_densities(densities)
    if code != OK:
        return code
    (<_Densities> <void *> densities).give(weights, means, covariances)
    return OK


cdef int densities_free(Densities *densities) noexcept nogil:
    return free_handle(densities, <const void *> _Densities)


cdef int statistics_free(Statistics *statistics) noexcept nogil:
    return free_handle(statistics, <const void *> _Statistics)


cdef int workspace_free(Workspace *workspace) noexcept nogil:
    return free_handle(workspace, <const void *> _Workspace)


cdef int free_handle(void *handle, const void *cls) noexcept nogil:
    cdef int code = check_handle(handle, cls)
    if code == OK:
        with gil:
            Py_DECREF(<object> handle)
    return OK if handle == NULL else code


cdef int workspace_new(Py_ssize_t n_components, Py_ssize_t n_features, Workspace **result) noexcept nogil:
    if result == NULL:
        return NULL_POINTER
    if n_components < 1 or n_features < 1:
        return BAD_SIZE
    with gil:
        try:
            handle = _Workspace(n_components, n_features)
        except Exception as error:
            return code_of(error)
        Py_INCREF(handle)
        result[0] = <Workspace *> <void *> handle
        return OK


# Statistics.

cdef int statistics_new(const char *covariance_type, Py_ssize_t n_components, Py_ssize_t n_features,
                        Statistics **result) noexcept nogil:
    """Make empty Statistics, with the second moments that a structure needs."""
    if covariance_type == NULL or result == NULL:
        return NULL_POINTER
    if n_components < 1 or n_features < 1:
        return BAD_SIZE
    with gil:
        try:
            structure = structure_named(covariance_type.decode())
        except ValueError:
            return UNKNOWN_STRUCTURE
        try:
            handle = _Statistics(structure, n_components, n_features)
        except Exception as error:
            return code_of(error)
        Py_INCREF(handle)
        result[0] = <Statistics *> <void *> handle
        return OK


cdef Statistics *statistics_of(object statistics, object covariance_type) except NULL:
    """Return a handle of a copy of `gaussmix.Statistics`, to be freed by `statistics_free`. M steps use the given structure."""
    if not isinstance(statistics, PublicStatistics):
        raise TypeError("statistics must be gaussmix.Statistics, not %r" % type(statistics).__name__)
    structure = structure_named(covariance_type)
    handle = _Statistics(structure, statistics.n_components, statistics.n_features)
    handle.sums, handle.empty = statistics.of_kind(structure.moments).copy(), False
    Py_INCREF(handle)
    return <Statistics *> <void *> handle


cdef object python_statistics(const Statistics *statistics):
    """Return a copy of the `gaussmix.Statistics` of a handle."""
    if check_statistics(statistics) != OK:
        raise ValueError(error_message(check_statistics(statistics)).decode())
    return (<_Statistics> <void *> statistics).sums.copy()


cdef int statistics_clear(Statistics *statistics, const double *reference) noexcept nogil:
    """Set all sums to zero. Where no reference points are given, the next rows determine them."""
    cdef int code = check_statistics(statistics)
    if code != OK:
        return code
    return (<_Statistics> <void *> statistics).clear(reference)


cdef int statistics_get(const Statistics *statistics, double *reference, double *weight, double *first, double *second,
                        double *log_likelihood, double *total_weight) noexcept nogil:
    """Copy the numbers; NULL leaves some out. A matrix of second moments has zeros above its diagonal."""
    cdef int code = check_statistics(statistics)
    if code != OK:
        return code
    give_sums((<_Statistics> <void *> statistics).sums, reference, weight, first, second, log_likelihood, total_weight)
    return OK


cdef void give_sums(Sums sums, double *reference, double *weight, double *first, double *second, double *log_likelihood,
                    double *total_weight) noexcept nogil:
    cdef Py_ssize_t row
    copy_numbers(sums.m, sums.n_components * sums.n_features, reference)
    copy_numbers(sums.s0, sums.n_components, weight)
    copy_numbers(sums.s1, sums.n_components * sums.n_features, first)
    copy_numbers(&sums.log_likelihood, 1, log_likelihood)
    copy_numbers(&sums.total_weight, 1, total_weight)
    if second != NULL:
        memset(second, 0, sums.second_size * sizeof(double))
        for row in range(sums.second_size // sums.n_features):
            memcpy(second + row * sums.n_features, sums.s2 + row * sums.n_features, sums.kept(row) * sizeof(double))


cdef int statistics_set(Statistics *statistics, const double *reference, const double *weight, const double *first,
                        const double *second, double log_likelihood, double total_weight) noexcept nogil:
    """Overwrite all numbers, for example with those of `statistics_get`. Only the lower triangle of a matrix is read."""
    cdef int code = check_statistics(statistics)
    if code == OK and (reference == NULL or weight == NULL or first == NULL or second == NULL):
        code = NULL_POINTER
    if code == OK and not isfinite(total_weight):
        code = NOT_FINITE
    if code == OK and total_weight < 0:
        code = NEGATIVE
    if code == OK:
        code = check_sums((<_Statistics> <void *> statistics).sums, reference, weight, first, second)
    if code != OK:
        return code
    set_sums((<_Statistics> <void *> statistics).sums, reference, weight, first, second)
    (<_Statistics> <void *> statistics).sums.log_likelihood = log_likelihood
    (<_Statistics> <void *> statistics).sums.total_weight = total_weight
    (<_Statistics> <void *> statistics).empty = False
    return OK


cdef int check_sums(Sums sums, const double *reference, const double *weight, const double *first,
                    const double *second) noexcept nogil:
    cdef double heaviest
    cdef Py_ssize_t row
    cdef int code = check_weights(weight, sums.n_components, &heaviest)
    if code == OK:
        code = check_numbers(reference, sums.n_components * sums.n_features)
    if code == OK:
        code = check_numbers(first, sums.n_components * sums.n_features)
    for row in range(sums.second_size // sums.n_features):
        if code == OK:
            code = check_numbers(second + row * sums.n_features, sums.kept(row))
    return code


cdef void set_sums(Sums sums, const double *reference, const double *weight, const double *first, const double *second) noexcept nogil:
    cdef Py_ssize_t row
    memcpy(sums.m, reference, sums.n_components * sums.n_features * sizeof(double))
    memcpy(sums.s0, weight, sums.n_components * sizeof(double))
    memcpy(sums.s1, first, sums.n_components * sums.n_features * sizeof(double))
    for row in range(sums.second_size // sums.n_features):
        memcpy(sums.s2 + row * sums.n_features, second + row * sums.n_features, sums.kept(row) * sizeof(double))


cdef int statistics_add(Statistics *statistics, const Statistics *other) noexcept nogil:
    """Add the sums of other rows. They are translated where their reference points differ."""
    cdef int code = check_statistics(statistics)
    if code == OK:
        code = check_statistics(other)
    if code != OK:
        return code
    return (<_Statistics> <void *> statistics).add(<_Statistics> <void *> other)


cdef int statistics_scale(Statistics *statistics, double factor) noexcept nogil:
    """Multiply the weight of all rows by a factor."""
    cdef int code = check_statistics(statistics)
    if code != OK:
        return code
    if not isfinite(factor):
        return NOT_FINITE
    if factor < 0:
        return NEGATIVE
    scale((<_Statistics> <void *> statistics).sums, factor)
    return OK


cdef void scale(Sums sums, double factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(sums.n_components):
        sums.s0[i] *= factor
    for i in range(sums.n_components * sums.n_features):
        sums.s1[i] *= factor
    for i in range(sums.second_size):
        sums.s2[i] *= factor
    sums.log_likelihood *= factor
    sums.total_weight *= factor


# A block of rows.

cdef int check_both(const Densities *densities, const Workspace *workspace) noexcept nogil:
    cdef int code = check_densities(densities)
    return check_handle(workspace, <const void *> _Workspace) if code == OK else code


cdef int evaluated(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *log_p,
                   double *shares, int32_t *most_likely, Workspace *workspace) noexcept nogil:
    cdef int code = check_both(densities, workspace)
    if code != OK:
        return code
    return (<_Densities> <void *> densities).evaluate(type, rows, n_rows, stride, log_p, shares, most_likely,
                                                      <_Workspace> <void *> workspace)


cdef int log_density(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *result,
                     Workspace *workspace) noexcept nogil:
    """ln p(x_n) (1) of each row."""
    return evaluated(densities, type, rows, n_rows, stride, result, NULL, NULL, workspace)


cdef int responsibilities(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride,
                          double *result, Workspace *workspace) noexcept nogil:
    """γ_nk (5), n_rows × n_components."""
    return evaluated(densities, type, rows, n_rows, stride, NULL, result, NULL, workspace)


cdef int labels(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, int32_t *result,
                Workspace *workspace) noexcept nogil:
    """The component with the largest responsibility, the first of them where several are equal."""
    return evaluated(densities, type, rows, n_rows, stride, NULL, NULL, result, workspace)


cdef int each_evaluated(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *result,
                        bint joint, Workspace *workspace) noexcept nogil:
    cdef int code = check_both(densities, workspace)
    if code != OK:
        return code
    return (<_Densities> <void *> densities).evaluate_each(type, rows, n_rows, stride, result, joint, <_Workspace> <void *> workspace)


cdef int component_log_densities(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride,
                                 double *result, Workspace *workspace) noexcept nogil:
    """ln N(x_n | μ_k, Σ_k), n_rows × n_components."""
    return each_evaluated(densities, type, rows, n_rows, stride, result, False, workspace)


cdef int log_joint(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, double *result,
                   Workspace *workspace) noexcept nogil:
    """ln π_k N(x_n | μ_k, Σ_k), n_rows × n_components; −∞ where π_k is 0."""
    return each_evaluated(densities, type, rows, n_rows, stride, result, True, workspace)


cdef int e_step(const Densities *densities, int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride,
                const double *sample_weight, Statistics *statistics, Workspace *workspace) noexcept nogil:
    """
    Make an E step over a block, and add the moments under its responsibilities (5) and its log-likelihood (6).

    NULL stands for weights of one. Empty Statistics take the means as reference points, rounded for float32 rows; others keep
    theirs.
    """
    cdef int code = check_statistics(statistics)
    if code == OK:
        code = check_both(densities, workspace)
    if code != OK:
        return code
    if not (<_Densities> <void *> densities).is_for((<_Statistics> <void *> statistics).sums):
        return OTHER_SHAPE
    return (<_Statistics> <void *> statistics).add_e_step(<_Densities> <void *> densities, type, rows, n_rows, stride, sample_weight,
                                                          <_Workspace> <void *> workspace)


cdef int moments(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const double *responsibilities,
                 Py_ssize_t responsibilities_stride, const double *sample_weight, Statistics *statistics,
                 Workspace *workspace) noexcept nogil:
    """
    Add the moments of a block under given responsibilities, whose rows are `responsibilities_stride` bytes apart.

    Empty Statistics take each component's mean of these rows as its reference point; others keep theirs. log_likelihood becomes
    NaN.
    """
    return added(type, rows, n_rows, stride, responsibilities, responsibilities_stride, NULL, sample_weight, statistics, workspace)


cdef int moments_of_labels(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const int32_t *labels,
                           const double *sample_weight, Statistics *statistics, Workspace *workspace) noexcept nogil:
    """`moments` for rows each of which belongs to the component of its label."""
    return added(type, rows, n_rows, stride, NULL, 0, labels, sample_weight, statistics, workspace)


cdef int added(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, const double *shares, Py_ssize_t shares_stride,
               const int32_t *labels, const double *weights, Statistics *statistics, Workspace *workspace) noexcept nogil:
    cdef int code = check_statistics(statistics)
    if code == OK:
        code = check_handle(workspace, <const void *> _Workspace)
    if code == OK and n_rows > 0 and shares == NULL and labels == NULL:
        code = NULL_POINTER
    if code != OK:
        return code
    return (<_Statistics> <void *> statistics).add_given(type, rows, n_rows, stride, shares, shares_stride, labels, weights,
                                                         <_Workspace> <void *> workspace)


cdef int m_step(const Statistics *statistics, double reg_covar, Densities *densities, Py_ssize_t *component) noexcept nogil:
    """
    Make an M step, and overwrite densities with its weights (11), means (7) and covariances (8) under their structure.

    Where a component has no weight or a singular covariance, the densities stay as they were. The number of the component is
    written to `component`, if that is not NULL.
    """
    cdef int code = check_statistics(statistics)
    if code == OK:
        code = check_densities(densities)
    if code != OK:
        return code
    if not isfinite(reg_covar):
        return NOT_FINITE
    if reg_covar < 0:
        return NEGATIVE
    if not (<_Densities> <void *> densities).is_for((<_Statistics> <void *> statistics).sums):
        return OTHER_SHAPE
    return (<_Densities> <void *> densities).maximize((<_Statistics> <void *> statistics).sums, reg_covar, component)


# k-means.

cdef int kmeans_plus_plus(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features,
                          const double *sample_weight, Py_ssize_t n_centres, uint64_t seed, double *centres) noexcept nogil:
    """Choose rows far apart, n_centres × n_features, by greedy k-means++; `seed` goes to numpy.random.default_rng."""
    cdef int code = check_clustering(type, rows, n_rows, stride, n_features, sample_weight, n_centres, centres)
    if code != OK:
        return code
    with gil:
        try:
            data = blocks_of(type, rows, n_rows, stride, n_features, sample_weight, n_centres)
            with Threads(1) as engine:
                chosen = k_means_plus_plus(data, n_centres, np.random.default_rng(seed), engine)
            give_centres(data.X[chosen], centres)
        except Exception as error:
            return code_of(error)
        return OK


cdef int lloyd(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features,
               const double *sample_weight, Py_ssize_t n_centres, Py_ssize_t max_iter, double tol, double *centres,
               int32_t *labels, double *inertia, Py_ssize_t *n_iter) noexcept nogil:
    """
    Run Lloyd's algorithm from `centres`, which are overwritten. Each of the last three arguments may be NULL.

    It ends after max_iter iterations, or when the centres' squared shift falls below tol times the mean variance of the features.
    """
    cdef int code = check_clustering(type, rows, n_rows, stride, n_features, sample_weight, n_centres, centres)
    if code == OK and max_iter < 1:
        code = BAD_SIZE
    if code == OK and <size_t> labels % sizeof(int32_t):
        code = UNALIGNED
    if code == OK and not isfinite(tol):
        code = NOT_FINITE
    if code == OK and tol < 0:
        code = NEGATIVE
    if code == OK and not all_within(centres, n_centres * n_features, LARGEST):
        code = NOT_FINITE
    if code != OK:
        return code
    with gil:
        try:
            data = blocks_of(type, rows, n_rows, stride, n_features, sample_weight, n_centres)
            with Threads(1) as engine:
                nearest, found, total, count = k_means(data, array_of(centres, (n_centres, n_features)), engine, max_iter=max_iter, tol=tol)
            give_centres(found, centres)
            if labels != NULL:
                np.ndarray((n_rows,), np.int32, PyMemoryView_FromMemory(<char *> labels, n_rows * sizeof(int32_t), PyBUF_WRITE))[...] = nearest
            if inertia != NULL:
                inertia[0] = total * data.scale
            if n_iter != NULL:
                n_iter[0] = count
        except Exception as error:
            return code_of(error)
        return OK


cdef int check_clustering(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features,
                          const double *weights, Py_ssize_t n_centres, const double *centres) noexcept nogil:
    cdef double heaviest = 1
    cdef int code = check_rows(type, rows, n_rows, stride, n_features, LARGEST)
    if code == OK and (n_rows < 1 or n_centres < 1 or n_features < 1
                       or n_centres > PY_SSIZE_T_MAX // <Py_ssize_t> sizeof(double) // n_features):
        code = BAD_SIZE
    if code == OK and centres == NULL:
        code = NULL_POINTER
    if code == OK and <size_t> centres % sizeof(double):
        code = UNALIGNED
    if code == OK and weights != NULL:
        code = check_weights(weights, n_rows, &heaviest)
    return NO_WEIGHT if code == OK and not heaviest > 0 else code


cdef object blocks_of(int type, const void *rows, Py_ssize_t n_rows, Py_ssize_t stride, Py_ssize_t n_features,
                      const double *weights, Py_ssize_t n_centres):
    return Blocks(rows_of(type, rows, n_rows, stride, n_features), n_centres,
                  None if weights == NULL else array_of(weights, (n_rows,)))


cdef int give_centres(object found, double *centres) except -1:
    cdef double[:, ::1] numbers = np.array(found, dtype=np.float64, order="C")
    memcpy(centres, &numbers[0, 0], numbers.shape[0] * numbers.shape[1] * sizeof(double))
    return 0


# Linear algebra of row-major n × n matrices. A result may overwrite its argument.

cdef int check_matrix(const double *matrix, Py_ssize_t n, const double *result) noexcept nogil:
    if matrix == NULL or result == NULL:
        return NULL_POINTER
    if n < 1 or n > INT_MAX or n > PY_SSIZE_T_MAX // <Py_ssize_t> sizeof(double) // n:
        return BAD_SIZE
    return UNALIGNED if <size_t> matrix % sizeof(double) or <size_t> result % sizeof(double) else OK


cdef void copy_lower(const double *matrix, Py_ssize_t n, double *result) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        memmove(result + i * n, matrix + i * n, (i + 1) * sizeof(double))
        memset(result + i * n + i + 1, 0, (n - i - 1) * sizeof(double))


cdef int cholesky(const double *matrix, Py_ssize_t n, double *factor) noexcept nogil:
    """L with matrix = L Lᵀ, zero above its diagonal. Only the lower triangle of the matrix is read."""
    cdef int code = check_matrix(matrix, n, factor)
    if code != OK:
        return code
    copy_lower(matrix, n, factor)
    return OK if linalg.cholesky(factor, n) == 0 else SINGULAR


cdef int invert_lower(const double *factor, Py_ssize_t n, double *inverse) noexcept nogil:
    """L⁻¹, zero above its diagonal, of a lower triangle."""
    cdef int code = check_matrix(factor, n, inverse)
    if code != OK:
        return code
    copy_lower(factor, n, inverse)
    code = linalg.invert_lower(inverse, n)
    return OK if code == 0 else NO_MEMORY if code == linalg.NO_ROOM else SINGULAR


cdef int log_determinant(const double *factor, Py_ssize_t n, double *result) noexcept nogil:
    """ln det(L Lᵀ) = 2 Σ ln L_ii of a lower triangle with a positive diagonal."""
    cdef int code = check_matrix(factor, n, result)
    cdef Py_ssize_t i
    if code != OK:
        return code
    for i in range(n):
        if not factor[i * n + i] > 0:
            return SINGULAR
    result[0] = 2 * linalg.half_log_determinant(factor, n)
    return OK

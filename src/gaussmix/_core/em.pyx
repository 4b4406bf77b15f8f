# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The EM loop: E step, M step, and the test whether to stop. docs/mathematics.md has the equations.

The loop runs with the GIL released. It makes E steps through `Passes`, and does not know where and how these are carried out.
"""
from libc.math cimport INFINITY, fabs, isfinite
from gaussmix._core.coordinates cimport Course
from gaussmix._core.densities cimport Densities
from gaussmix._core.mstep cimport MStep, displacement, shift
from gaussmix._core.parameters cimport Parameters
from gaussmix._core.passes cimport Passes
from gaussmix._core.statistics cimport Statistics

import numpy as np

# The square of how far a mean may move in one M step, in its new standard deviations. At this distance the rounding error of the
# second moments, about ε times this, is 1e-12 of the new covariance. Beyond it they are taken again about the new mean.
cdef double FAR = 1e4

# Each retake multiplies the remaining distance by ε. This many bring a mean to its place from the end of the range of double.
cdef enum:
    MOST_RETAKES = 25


# How much nearer to the limit than asked the estimate must be (`NearLimit`), in LAST iterations in a row.
cdef double MARGIN = 0.01

# Acceleration begins where EM moves less than this (the square of `Course`) and leaves more than this part of the way in an
# iteration. Before, the course is bent too much to be extrapolated; and fast fits gain nothing.
cdef double SETTLED = 0.01
cdef double SLOW = 0.5


cdef Py_ssize_t m_step(Passes passes, Densities densities, MStep step, Parameters p) except -2 nogil:
    """Make the M step after a pass under `densities`. Second moments are taken again where a mean moved far."""
    cdef Py_ssize_t singular = step.maximize_all(passes.total, p)
    cdef double far
    cdef int _again
    for _again in range(MOST_RETAKES):
        if singular >= 0 and not passes.total.s0[singular] > 0:
            break
        far = displacement(passes.total, p.densities) if singular < 0 else shift(passes.total)
        if far <= FAR:
            break
        passes.sum_all(densities, p.densities)
        singular = step.maximize_all(passes.total, p)
    return singular


def maximize(Passes passes not None, Densities about not None, MStep step not None, Parameters parameters not None):
    """
    Make an M step without an E step before it, under given labels or responsibilities.

    Parameters
    ----------
    passes : Passes
        The passes of an E step that reads no densities.
    about : Densities
        The moments are first taken about the means of these.
    step : MStep
    parameters : Parameters
        Overwritten in place.

    Returns
    -------
    int
        −1, or the index of the first component that has no weight or a singular covariance.
    """
    passes.sum(about)
    if passes.is_short():
        return m_step(passes, about, step, parameters)
    with nogil:
        singular = m_step(passes, about, step, parameters)
    return singular


cdef class Objective:
    """The objective that EM raises: the mean log-likelihood of a row, which is (6) divided by Σ_n w_n."""

    cdef double value(self, Statistics statistics, Parameters p) except? -1 nogil:
        """Its value under the parameters `p`. `statistics` are the result of the E step under them."""
        return statistics.log_likelihood / statistics.total_weight


cdef class Posterior(Objective):
    """
    The sum of the log-likelihood and the log-density of a prior, divided by Σ_n w_n.

    Parameters
    ----------
    log_prior : callable
        Returns for Parameters the logarithm of their prior density, up to a constant.
    """

    def __init__(self, log_prior):
        self.log_prior = log_prior

    cdef double value(self, Statistics statistics, Parameters p) except? -1 nogil:
        cdef double log_prior
        with gil:
            log_prior = self.log_prior(p)
        return (statistics.log_likelihood + log_prior) / statistics.total_weight


cdef class Stopping:
    """
    A rule by which EM stops.

    Parameters
    ----------
    tol : float
    """

    def __init__(self, double tol):
        self.tol = tol

    def state(self):
        """Return what the rule remembers, shape (n,)."""
        return np.empty(0)

    def restore(self, state):
        """Take on what another rule of this kind remembered."""

    cdef bint met(self, double reached, double change, Course course) noexcept nogil:
        """Whether EM may stop where the objective has reached a value and changed by this much in the last iteration."""
        return False


cdef class SmallChange(Stopping):
    """Stop where the objective changed by less than `tol`."""

    cdef bint met(self, double reached, double change, Course course) noexcept nogil:
        return fabs(change) < self.tol


cdef class NearLimit(Stopping):
    """
    Stop where the objective is estimated to be less than `tol` below its limit.

    Near the limit x*, EM's map is linear, EM(x) − x* = J (x − x*), and r = (I − J)(x* − x). The objective is then ½ rᵀ (I − J)⁻¹ r below
    its limit, in the metric of the coordinates, in which J is symmetric. This is at most ½ |r|² / (1 − λ) with the largest
    eigenvalue λ of J, for which the largest of the last ten `rate`s stands. On a plateau, where EM is about to leave a saddle, rates
    are 1 or more, but only when what grows has become larger than what still decays. Therefore this bound must be a hundredth of `tol`
    or less in ten iterations in a row.

    Parameters
    ----------
    tol : float
    worth : float
        Stop also where a hundred times this bound does not reach as high as this, in three iterations in a row.
    """

    def __init__(self, double tol, double worth=-INFINITY):
        Stopping.__init__(self, tol)
        self.worth = worth
        self.needs_course = True

    def state(self):
        return np.array([self.calm, self.hopeless, *[self.rates[i] for i in range(LAST)]])

    def restore(self, state):
        self.calm, self.hopeless = int(state[0]), int(state[1])
        for i in range(LAST):
            self.rates[i] = state[2 + i]

    cdef bint met(self, double reached, double change, Course course) noexcept nogil:
        cdef Py_ssize_t i
        cdef double largest = 0, left
        if course.n_points < 2:
            return False
        self.rates[course.n_points % LAST] = course.rate
        for i in range(LAST):
            largest = max(largest, self.rates[i])
        left = 0.5 * course.square / (1 - largest) / MARGIN if largest < 1 else INFINITY
        self.calm = self.calm + 1 if left < self.tol else 0
        self.hopeless = self.hopeless + 1 if reached + left < self.worth else 0
        return self.calm >= LAST or self.hopeless >= HOPELESS


cdef class EM:
    """
    EM from one start, until a rule stops it.

    Parameters
    ----------
    passes : Passes
        Makes the E steps.
    start : Parameters
        Factorized; not changed.
    step : MStep
    stopping : Stopping
        A new one, as it remembers the course of EM.
    previous : float
        The value that the objective of the first iteration is compared with.
    objective : Objective, optional
        By default the mean log-likelihood.

    Attributes
    ----------
    current : Parameters
        The parameters of the last E step that counts.
    following : Parameters
        The parameters that the M step after it made.
    n_passes : int
        How many E steps have been made.
    converged : bool
    collapsed : int
        The component for which this M step was not possible, or −1.
    """

    def __init__(self, Passes passes not None, Parameters start not None, MStep step not None, Stopping stopping not None,
                 double previous, Objective objective=None):
        self.passes, self.step, self.stopping, self.previous = passes, step, stopping, previous
        self.objective = Objective() if objective is None else objective
        self.current, self.following = start.copy(), start.copy()
        self.course = Course(start) if stopping.needs_course else None
        self.collapsed = -1

    def run(self, Py_ssize_t n_passes):
        """
        Make up to this many E steps.

        Returns
        -------
        list of float
            The objective that each of them found, without those that do not count.
        """
        cdef double[::1] found = np.empty(n_passes)
        cdef Py_ssize_t last = self.n_passes + n_passes, n = 0
        with nogil:
            while self.n_passes < last and not self.converged and self.collapsed < 0:
                if self.iterate():
                    found[n] = self.previous
                    n += 1
        return np.asarray(found)[:n].tolist()

    def points(self):
        """The parameters that the next iteration depends on."""
        return [self.current, self.following]

    def scalars(self):
        """The numbers beside them."""
        return [self.previous, self.n_passes, self.converged, self.collapsed]

    def set_scalars(self, scalars):
        """Take on the numbers of another loop."""
        self.previous, self.n_passes, self.converged, self.collapsed = scalars[0], int(scalars[1]), bool(scalars[2]), int(scalars[3])

    def state(self):
        """
        All that the next iterations depend on.

        Returns
        -------
        list of ndarray, float64
            `restore` puts them into a new loop of the same kind, which then goes on as this one would.
        """
        numbers = [number.copy() for point in self.points() for number in point.numbers()]
        course = np.empty(0) if self.course is None else self.course.state()
        return [np.array(self.scalars(), dtype=np.float64), self.stopping.state(), course, *numbers]

    def restore(self, state):
        """
        Go on where another loop was.

        Parameters
        ----------
        state : list of ndarray

        Raises
        ------
        ValueError
            Where it is not that of a loop of this kind and size.
        """
        scalars, stopping, course, *numbers = state
        mine = [number for point in self.points() for number in point.numbers()]
        known = [len(self.scalars()), len(self.stopping.state()), 0 if self.course is None else len(self.course.state())]
        if [part.shape for part in mine] != [part.shape for part in numbers] or known != [len(part) for part in (scalars, stopping, course)]:
            raise ValueError("the state is that of another loop")
        for own, given in zip(mine, numbers):
            own[...] = given
        self.set_scalars(scalars)
        self.stopping.restore(stopping)
        if self.course is not None:
            self.course.restore(course)

    cdef bint iterate(self) except -1 nogil:
        """E step (5), M step (7) (8) (11); return whether the E step counts."""
        self.current.assign(self.following)
        self.go_on(self.evaluate(self.current))
        return True

    cdef double evaluate(self, Parameters p) except? -1 nogil:
        """The objective, by an E step."""
        self.passes.sum_all(p.densities, None)
        self.n_passes += 1
        return self.objective.value(self.passes.total, p)

    cdef int go_on(self, double reached) except -1 nogil:
        """The M step after an E step at `current`, and the test whether to stop."""
        cdef double change = reached - self.previous
        self.previous = reached
        self.collapsed = m_step(self.passes, self.current.densities, self.step, self.following)
        if self.collapsed < 0:
            if self.course is not None:
                self.course.record(self.current, self.following)
                change = max(fabs(change), 0.5 * self.course.square)  # what an accelerated step gained may be less than what EM will
            self.converged = self.stopping.met(reached, change, self.course)
        return 0


cdef class AcceleratedEM(EM):
    """
    EM with Anderson's method of memory 1, which goes on along the course that the last two M steps took.

    An E step at the point that it proposes counts only where the objective did not fall. Otherwise EM goes on from where the last
    M step led.

    Parameters
    ----------
    passes, start, step, stopping, previous, objective
        As for `EM`.

    References
    ----------
    Walker and Ni, "Anderson acceleration for fixed-point iterations", SIAM Journal on Numerical Analysis 49 (2011).
    Varadhan and Roland, "Simple and globally convergent methods for accelerating the convergence of any EM algorithm",
    Scandinavian Journal of Statistics 35 (2008), section 6: the bound on the length of a step.
    """

    def __init__(self, Passes passes not None, Parameters start not None, MStep step not None, Stopping stopping not None,
                 double previous, Objective objective=None):
        EM.__init__(self, passes, start, step, stopping, previous, objective)
        self.course, self.ahead, self.bound = Course(start), start.copy(), 4

    def points(self):
        return [self.current, self.following, self.ahead]

    def scalars(self):
        return [*EM.scalars(self), self.bound, self.bounded, self.is_ahead]

    def set_scalars(self, scalars):
        EM.set_scalars(self, scalars)
        self.bound, self.bounded, self.is_ahead = scalars[4], bool(scalars[5]), bool(scalars[6])

    cdef bint iterate(self) except -1 nogil:
        cdef double reached
        cdef bint rose = True
        if not self.is_ahead:
            self.current.assign(self.following)
            reached = self.evaluate(self.current)
            rose = reached > self.previous
        else:
            self.is_ahead = False
            reached = self.evaluate(self.ahead)
            if not reached >= self.previous:
                self.bound = max(1.0, self.bound / 4)
                return False
            self.current.assign(self.ahead)
            if self.bounded:
                self.bound *= 4
        self.go_on(reached)
        # Where what is added to variances makes EM itself lower the objective, its limit is not where the objective is highest.
        if self.collapsed < 0 and not self.converged and rose:
            self.look_ahead()
        return True

    cdef int look_ahead(self) except -1 nogil:
        """Propose a point for the next E step, where there is one."""
        cdef double length
        if self.course.n_points < 2 or not (self.course.square < SETTLED and self.course.rate > SLOW):
            return 0
        length = self.course.extrapolate(self.bound)
        self.bounded = length > self.bound
        self.is_ahead = isfinite(length) and self.course.coordinates.read(self.course.beyond, self.step, self.ahead) < 0
        return 0

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Passes: an E step over all rows of some observations, as often as a loop asks for it.

An engine decides how a pass is carried out, by the subclass that it returns. The subclass for a single block is here. It needs
neither an engine nor Python, so that many small fits in as many threads seldom wait for each other.
"""
from libc.math cimport INFINITY
from gaussmix._core.densities cimport Densities
from gaussmix._core.estep cimport Block, EStep, Workspace, fetch
from gaussmix._core.statistics cimport Statistics

import numpy as np


cdef class Passes:
    """
    An E step over all rows of some observations.

    A subclass in Python overrides `sum_blocks` and `row`.

    Parameters
    ----------
    estep : EStep
    at_once : int
        How many passes a compiled loop may make before it has to check for Ctrl-C.

    Attributes
    ----------
    total : Statistics
        The sums of the last pass.
    """

    def __init__(self, EStep estep not None, at_once=1):
        self.estep, self.at_once = estep, at_once
        self.total = Statistics(estep.kind, estep.n_components, estep.n_features)

    cdef int sum_all(self, Densities d, Densities about) except -1 nogil:
        with gil:
            self.sum_blocks(d, about)
        return 0

    cdef int read_row(self, Py_ssize_t n, double *row) except -1 nogil:
        with gil:
            (<double[:self.estep.n_features]> row)[...] = np.ascontiguousarray(self.row(n), dtype=np.float64)
        return 0

    def sum(self, Densities densities not None, Densities about=None):
        """
        Make one pass over all rows.

        Parameters
        ----------
        densities : Densities
        about : Densities, optional
            The moments are taken about the means of these; by default about those of `densities`.

        Returns
        -------
        Statistics
            Overwritten by the next pass.
        """
        self.estep.check_shape(densities)
        self.estep.check_shape(about)
        if self.is_short():
            self.sum_all(densities, about)
        else:
            with nogil:
                self.sum_all(densities, about)
        return self.total

    cdef bint is_short(self) noexcept nogil:
        """Whether a pass is so short that it should keep the GIL, as many of them are made in one call."""
        return self.at_once > 100

    def sum_blocks(self, densities, about):
        """Make a pass and put its sums in `total`, with the blocks added in their order. A subclass in Python overrides this."""
        raise NotImplementedError("%s must define sum_blocks(densities, about), which makes a pass" % type(self).__name__)

    def row(self, n):
        """Return row n of the observations, shape (D,). A subclass in Python overrides this."""
        raise NotImplementedError("%s must define row(n), which reads a row" % type(self).__name__)


cdef class OneBlock(Passes):
    """
    Passes over observations that are a single block, made by the calling thread without the GIL.

    Parameters
    ----------
    block : Block
    estep : EStep
        In any number type; the passes convert it to that of the block.
    at_once : int
    limit : float
        Densities with a number of this size need a wider type than that of the block.
    widened : callable
        Called with such Densities. It returns the block in the wider type, which has no limit.
    """

    def __init__(self, Block block not None, EStep estep not None, at_once=1, double limit=INFINITY, widened=None):
        Passes.__init__(self, estep, at_once)
        self.limit, self.widened = limit, widened
        self.face(block)

    cdef int face(self, Block block) except -1:
        """Set the block, and make the E step and the memory for it in its number type."""
        if block is None:
            raise TypeError("there is no block to pass over")
        if self.estep.size != block.rows.size:
            self.estep = self.estep.with_size(block.rows.size)
        self.block, self.work = block, Workspace(self.estep.n_components, self.estep.n_features, self.estep.size)
        if block.rows.n_features != self.estep.n_features:
            raise ValueError("the rows have %d features, the E step %d" % (block.rows.n_features, self.estep.n_features))
        return 0

    cdef int sum_all(self, Densities d, Densities about) except -1 nogil:
        if self.limit < INFINITY and not d.largest_number() < self.limit:
            with gil:
                self.face(self.widened(d))
                self.limit = INFINITY
        if self.estep.densities is not d:
            with gil:
                self.estep.prepare(d, about)  # which checks them
        else:
            self.estep.prepare_all(d, about)
        self.total.clear_sums()
        self.estep.accumulate_all(self.block, self.total, self.work)
        return 0

    cdef int read_row(self, Py_ssize_t n, double *row) except -1 nogil:
        cdef Py_ssize_t i
        for i in range(self.estep.n_features):
            row[i] = fetch(self.block.rows.data + n * self.block.rows.stride, i, self.block.rows.size)
        return 0

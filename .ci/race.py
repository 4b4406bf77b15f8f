"""A data race in compiled code that the thread sanitizer must find: two threads pass over rows with the same workspace."""

import threading

import numpy as np

from gaussmix._core.densities import Densities, Kind
from gaussmix._core.estep import Block, CompleteRows, Rows, Workspace
from gaussmix._core.statistics import Statistics

shape = 2, 3
densities = Densities(Kind.DIAG, *shape)
densities.means[:] = [[0], [1]]
densities.factorize(np.full(2, 0.5), np.ones(shape))
estep, workspace, block = CompleteRows(Kind.DIAG, *shape, 8, Kind.DIAG), Workspace(*shape, 8), Block(Rows(np.zeros((500_000, 3))))
estep.prepare(densities)
both = [threading.Thread(target=estep.accumulate, args=(block, Statistics(Kind.DIAG, *shape), workspace)) for _ in range(2)]
for thread in both:
    thread.start()
for thread in both:
    thread.join()

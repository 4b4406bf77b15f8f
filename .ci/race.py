"""A race in what is compiled, which the thread sanitizer must find: two threads pass over rows with one workspace."""

import threading

import numpy as np

from gaussmix._core.estep import Pass, Rows, Workspace
from gaussmix._core.parameters import Kind, Parameters
from gaussmix._core.statistics import Statistics

shape = 2, 3
parameters = Parameters(Kind.DIAG, *shape)
parameters.weights[:], parameters.means[:], parameters.covariances[:] = 0.5, [[0], [1]], 1
parameters.factorize()
the_pass, workspace, rows = Pass(Kind.DIAG, *shape, 8), Workspace(*shape, 8), Rows(np.zeros((500_000, 3)))
the_pass.prepare(parameters)
both = [threading.Thread(target=the_pass.expect, args=(rows, None, Statistics(Kind.DIAG, *shape), workspace)) for _ in range(2)]
for thread in both:
    thread.start()
for thread in both:
    thread.join()

"""Pictures of mixtures, of fits and of selections. Only this part of the package needs matplotlib."""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError:
    raise ImportError('gaussmix.plotting needs matplotlib: pip install "gaussmix[plot]"') from None

from gaussmix.plotting.courses import history, optima, selection
from gaussmix.plotting.curves import marginals
from gaussmix.plotting.files import write
from gaussmix.plotting.matrix import pairs, plot
from gaussmix.plotting.planes import classification, density, ellipses, uncertainty

__all__ = ["classification", "density", "ellipses", "history", "marginals", "optima", "pairs", "plot", "selection", "uncertainty", "write"]

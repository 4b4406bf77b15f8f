"""Gaussian mixtures by EM: fast, exact, and at home in the scientific Python ecosystem."""

from gaussmix._version import __version__
from gaussmix.config import show_config
from gaussmix.estimator import GaussianMixture
from gaussmix.exceptions import (CollapseWarning, ConvergenceWarning, InvalidParameterError, NotFittedError,
                                 SpuriousOptimumWarning)
from gaussmix.mixture import Mixture
from gaussmix.modelfile import load, save
from gaussmix.selection import select
from gaussmix.statistics import Statistics

__all__ = ["CollapseWarning", "ConvergenceWarning", "GaussianMixture", "InvalidParameterError", "Mixture", "NotFittedError",
           "SpuriousOptimumWarning", "Statistics", "load", "save", "select", "show_config", "__version__"]

"""A problem: the observations and the kind of mixture to fit, which are the same for every start of EM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix._core.em import Objective, Posterior
from gaussmix._core.estep import CompleteRows, EStep
from gaussmix._core.mstep import MStep
from gaussmix._core.passes import Passes
from gaussmix.blocks import Counted
from gaussmix.engines import Engine
from gaussmix.mixture import Mixture
from gaussmix.structures import Prior, Structure

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """
    A mixture with K components of one structure, for some observations.

    Attributes
    ----------
    observations : Counted
    engine : Engine
    structure : Structure
    n_components : int
        K.
    added : float or ndarray, shape (D,)
        Added to the variances of each feature by every M step.
    estep : EStep, optional
        By default that of complete rows.
    prior : Prior, optional
    """

    observations: Counted[Any]
    engine: Engine
    structure: Structure
    n_components: int
    added: float | NDArray[np.float64] = 0.0
    estep: EStep | None = None
    prior: Prior | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """K and D."""
        return self.n_components, self.observations.n_features

    @cached_property
    def m_step(self) -> MStep:
        """The M step under the structure."""
        return self.structure.m_step(self.added, self.observations.n_features, self.prior)

    @cached_property
    def objective(self) -> Objective:
        """The objective that EM raises."""
        prior, structure = self.prior, self.structure
        if prior is None:
            return Objective()
        return Posterior(lambda parameters: prior.log_density(Mixture.from_parameters(parameters, structure)))

    @cached_property
    def passes(self) -> Passes:
        """The passes of EM's E step."""
        estep = self.estep
        if estep is None:
            estep = CompleteRows(self.structure.moments, *self.shape, self.observations.size, self.structure.factors)
        return self.engine.passes(self.observations, estep)

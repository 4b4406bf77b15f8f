"""A fit: it goes from observations and a request to a mixture, its history and its outcome, all of which are values."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from gaussmix._core.em import NearLimit, SmallChange
from gaussmix._core.estep import EStep
from gaussmix._core.parameters import Parameters
from gaussmix.blocks import Counted
from gaussmix.collapse import Spurious, effective_rows, spurious_components
from gaussmix.em import Keeper, Report, Run, maximize_likelihood
from gaussmix.engines import Engine
from gaussmix.mixture import Mixture
from gaussmix.problem import Problem
from gaussmix.regularization import Regularization, regularization_for
from gaussmix.sources.source import SourceError
from gaussmix.starts import SingularStart, Start
from gaussmix.structures import Prior, Structure

__all__ = ["Fit", "Fitting", "Outcome", "Request"]


class Outcome(enum.Enum):
    """
    How a fit ended.

    Examples
    --------
    >>> from gaussmix import Mixture
    >>> from gaussmix.functional import Outcome, em
    >>> fit = em([[0.0], [2.0], [7.0], [9.0]], Mixture([0.5, 0.5], [[0.0], [9.0]], [1.0, 1.0], "spherical"), max_iter=1)
    >>> fit.outcome is Outcome.UNFINISHED, fit.outcome.value
    (True, 'not converged')
    """

    CONVERGED = "converged"
    UNFINISHED = "not converged"
    STOPPED = "stopped"
    SPURIOUS = "spurious optimum"
    COLLAPSED = "a component collapsed"


@dataclass(frozen=True)
class Request:
    """
    A description of what to fit.

    Attributes
    ----------
    structure : Structure
    n_components : int
        K.
    start : Start
    reg_covar : float or "auto"
        Added to every variance (`regularization_for`).
    tol : float
    max_iter : int
        When EM stops (`maximize_likelihood`).
    estep : EStep, optional
        By default that of complete rows.
    prior : Prior, optional
        Where there is a prior, EM raises the posterior density.
    stopping : {"change", "distance"}
        What `tol` bounds: the last change of the mean log-likelihood of a row, or the estimated distance of the log-likelihood of all
        rows to its limit.
    algorithm : {"em", "accelerated"}
    """

    structure: Structure
    n_components: int
    start: Start
    reg_covar: float | str = 1e-6
    tol: float = 1e-3
    max_iter: int = 100
    estep: EStep | None = None
    prior: Prior | None = None
    stopping: str = "change"
    algorithm: str = "em"


@dataclass(frozen=True)
class Fit(Run):
    """
    The result of one run of EM, and whether it is a proper optimum.

    Attributes
    ----------
    structure : Structure
    spurious : list of Spurious
        The components that fit accidents of a few rows; empty for a proper optimum.
    regularization : Regularization
        What the M steps added to variances.

    Examples
    --------
    >>> from gaussmix import Mixture
    >>> from gaussmix.functional import em
    >>> fit = em([[0.0], [2.0], [7.0], [9.0]], Mixture([0.5, 0.5], [[0.0], [9.0]], [1.0, 1.0], "spherical"))
    >>> fit.converged, fit.n_iter == len(fit.history), fit.mixture.n_components
    (True, True, 2)
    """

    structure: Structure = field(kw_only=True)
    spurious: list[Spurious] = field(kw_only=True)
    regularization: Regularization = field(kw_only=True)

    @cached_property
    def mixture(self) -> Mixture:
        """The fitted distribution."""
        return Mixture.from_parameters(self.parameters, self.structure)

    @property
    def log_likelihood(self) -> float:
        """The mean log-likelihood of a row that the last E step found; −∞ where there was none."""
        return self.history[-1] if self.history else -math.inf

    @property
    def outcome(self) -> Outcome:
        """How the fit ended; where several outcomes apply, the worst of them."""
        if self.collapsed is not None:
            return Outcome.COLLAPSED
        if self.spurious:
            return Outcome.SPURIOUS
        return Outcome.CONVERGED if self.converged else Outcome.STOPPED if self.stopped else Outcome.UNFINISHED


class Fitting:
    """
    A request with observations and an engine, which can be carried out for one start after another.

    Parameters
    ----------
    request : Request
    observations : Counted
    engine : Engine
    regularization : Regularization, optional
        That of the request for these observations, where it is known.
    """

    def __init__(self, request: Request, observations: Counted[Any], engine: Engine, regularization: Regularization | None = None) -> None:
        self.request, self.observations = request, observations
        self.regularization = regularization_for(request.reg_covar, observations, engine) if regularization is None else regularization
        self.problem = Problem(observations, engine, request.structure, request.n_components, self.regularization.added, request.estep,
                               request.prior)

    def fit(self, rng: np.random.Generator, *, previous: float = -math.inf, report: Report | None = None, start: Start | None = None,
            worth: float = -math.inf, keeper: Keeper | None = None) -> Fit:
        """
        Make one fit from a start.

        Parameters
        ----------
        rng : numpy.random.Generator
        previous, report
            As for `maximize_likelihood`.
        start : Start, optional
            By default that of the request.
        worth : float
            As for `climb`.
        keeper : Keeper, optional
            Where it has kept the state of this fit, the fit goes on from there.

        Returns
        -------
        Fit

        Raises
        ------
        SingularStart
            Where EM cannot begin.
        """
        start = self.request.start if start is None else start
        known = keeper is not None and keeper.has_begun
        begun = self.request.structure.parameters(*self.problem.shape) if known else start.begin(self.problem, rng)
        fit = self.climb(begun, previous=previous, report=report, worth=worth, keeper=keeper)
        if fit.collapsed is not None and fit.n_iter == 1 and not start.has_covariances:
            raise SingularStart.covariance(fit.collapsed)
        return fit

    def climb(self, begun: Parameters, *, previous: float = -math.inf, report: Report | None = None, worth: float = -math.inf,
              keeper: Keeper | None = None) -> Fit:
        """
        Make one fit from given parameters.

        Parameters
        ----------
        begun : Parameters
            Factorized.
        previous, report
            As for `maximize_likelihood`.
        worth : float
            Where EM stops by the distance to its limit, it gives up where that limit does not seem to be as high as this.
        keeper : Keeper, optional
            As for `maximize_likelihood`.

        Returns
        -------
        Fit
        """
        request, problem = self.request, self.problem
        stopping = NearLimit(request.tol / self.observations.total_weight, worth) if request.stopping == "distance" else SmallChange(request.tol)
        try:
            run = maximize_likelihood(problem.passes, begun, problem.m_step, tol=request.tol, max_iter=request.max_iter, previous=previous,
                                      report=report, objective=problem.objective, algorithm=request.algorithm, stopping=stopping,
                                      keeper=keeper)
        except SourceError as error:
            error.mixture = None if error.parameters is None else Mixture.from_parameters(error.parameters, request.structure)
            raise
        return self.judged(run)

    def judged(self, run: Run) -> Fit:
        """Return a run as a fit, whose spurious components are known."""
        rows, structure = self.observations, self.request.structure
        spurious = spurious_components(run.parameters, structure, effective_rows(rows), self.problem.added,
                                       np.finfo(rows.dtype).eps) if run.history else []
        of_run = {one.name: getattr(run, one.name) for one in fields(Run)}
        return Fit(**of_run, structure=structure, spurious=spurious, regularization=self.regularization)

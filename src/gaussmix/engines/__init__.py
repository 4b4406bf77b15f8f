"""Engines: they decide where E steps over the blocks of observations run, and add the results in block order."""

from __future__ import annotations

from typing import Any, Protocol

from gaussmix._core.estep import EStep
from gaussmix._core.passes import Passes
from gaussmix.blocks import Observations
from gaussmix.engines.threads import Threads, available_cpus, in_worker_process, resolve_threads

__all__ = ["Engine", "Threads", "available_cpus", "in_worker_process", "resolve_threads"]


class Engine(Protocol):
    """Carries out E steps. Its `passes` turn Densities into Statistics; both can be pickled and sent to other processes."""

    def passes(self, observations: Observations[Any], estep: EStep) -> Passes:
        """
        Return the passes of an E step over all rows.

        Parameters
        ----------
        observations : Observations
        estep : EStep
            In any number type.

        Returns
        -------
        Passes
            Their sums do not depend on where they are carried out.
        """

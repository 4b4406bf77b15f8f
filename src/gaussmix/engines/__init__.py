"""Engines: where E steps are carried out over the blocks of some observations, and that their sum comes back in block order."""

from __future__ import annotations

from typing import Any, Protocol

from gaussmix._core.estep import EStep
from gaussmix._core.passes import Passes
from gaussmix.blocks import Observations
from gaussmix.engines.threads import Threads, available_cpus, in_worker_process, resolve_threads

__all__ = ["Engine", "Threads", "available_cpus", "in_worker_process", "resolve_threads"]


class Engine(Protocol):
    """Carries E steps out. What it hands out makes a pass under Densities and leaves Statistics; both pickle, and so may travel."""

    def passes(self, observations: Observations[Any], estep: EStep) -> Passes:
        """
        The passes of an E step over all rows.

        Parameters
        ----------
        observations : Observations
        estep : EStep
            In whatever number type.

        Returns
        -------
        Passes
            Its sums do not depend on who carries them out.
        """

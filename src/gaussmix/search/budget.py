"""How much a search may cost."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

import numpy as np

__all__ = ["Budget", "seconds_of"]

UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """
    The most that a search may cost.

    Attributes
    ----------
    starts : float
        How many starts.
    seconds : float

    Examples
    --------
    >>> Budget.of("10 s"), Budget.of(100)
    (Budget(starts=inf, seconds=10.0), Budget(starts=100, seconds=inf))
    """

    starts: float = math.inf
    seconds: float = math.inf

    @classmethod
    def of(cls, value: object) -> Self:
        """
        The budget that a user gives as `search_budget`.

        Parameters
        ----------
        value : int, str or None
            A number of starts, a time such as "10 s" or "2 min", or no limit.

        Returns
        -------
        Budget

        Raises
        ------
        ValueError
        """
        if value is None:
            return cls()
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1:
            return cls(starts=int(value))
        seconds = seconds_of(value)
        if seconds is not None:
            return cls(seconds=seconds)
        raise ValueError(f"search_budget must be a number of starts, a time such as '10 s' (units: {', '.join(UNITS)}), or None, "
                         f"not {value!r}")


def seconds_of(value: object) -> float | None:
    """Return a time such as "10 s" or "2 min" in seconds; None for anything else."""
    if isinstance(value, str) and (time := re.fullmatch(rf"\s*(\d+\.?\d*|\.\d+)\s*({'|'.join(UNITS)})\s*", value)):
        seconds = float(time[1]) * UNITS[time[2]]
        if 0 < seconds < math.inf:
            return seconds
    return None

"""The record of a search: which optima it found, how often, and how likely it is that there is a better one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Optimum", "Search", "chance_of_better"]

SHOWN = 10  # optima in the table


@dataclass(frozen=True)
class Optimum:
    """
    An optimum that a search found.

    Attributes
    ----------
    log_likelihood : float
        L (6) of all rows, in nats, to 0.1 nats.
    proper : bool
        Whether no component is spurious or collapsed (docs/collapse.md).
    rounds : int
        How many rounds of the search ended there.
    starts : int
        How many of the first starts of the rounds, which no swap had improved yet, ended there; 0 where the rounds searched in samples
        of the rows, in which log-likelihoods are others.
    splices : int
        How many splices of two other optima, which the search made after its rounds, ended there.

    Examples
    --------
    >>> Optimum(-1114.4, True, rounds=3, starts=5).proper
    True
    """

    log_likelihood: float
    proper: bool
    rounds: int
    starts: int
    splices: int = 0


@dataclass(frozen=True)
class Search:
    """
    What a search for the best optimum tried and found. Printing it prints a table.

    Attributes
    ----------
    optima : list of Optimum
        The best first. Ends closer than 0.2 nats to each other count as the same optimum.
    n_rounds : int
        A round makes two starts, and improves the better of them by swaps until none helps any more. After the rounds, components of
        two of the best optima are put together, for each two, and again as long as other optima come of it.
    n_starts : int
        From how many points EM began, swaps and splices included.
    n_passes : int
        How many E steps were made in all.
    chance_of_better : float
        An estimate of the probability that one more round would find a better optimum: (s + 1)/(n + 1) · 1/(m + 1), where n rounds
        found m optima, s of them once. The first factor is Good's estimate of the share of optima unseen; the second is the
        probability that a new one is the best of all.
    ended_by : {"chance", "starts", "time", "callback"}
        Why the search ended: a better optimum is unlikely, or the budget was spent, or the callback wished it. The result of a
        search that ended by time may differ from run to run.
    seconds : float
        How long it took.

    References
    ----------
    Good, "The population frequencies of species and the estimation of population parameters", Biometrika 40 (1953).

    Examples
    --------
    >>> print(Search([Optimum(-1114.44, True, 4, 9), Optimum(-1119.21, True, 0, 12)], 4, 168, 3120, 0.1, "starts", 0.05))
    Search of 168 starts in 4 rounds (0.05 s), ended by starts; the chance that one more round finds a better optimum is 10.0 %
    log-likelihood  rounds  first starts  splices
          -1114.44       4             9        0
          -1119.21       0            12        0
    """

    optima: list[Optimum]
    n_rounds: int
    n_starts: int
    n_passes: int
    chance_of_better: float
    ended_by: str
    seconds: float

    def __str__(self) -> str:
        lines = [f"Search of {self.n_starts} starts in {self.n_rounds} rounds ({self.seconds:.2g} s), ended by {self.ended_by}; the chance "
                 f"that one more round finds a better optimum is {100 * self.chance_of_better:.1f} %",
                 "log-likelihood  rounds  first starts  splices"]
        lines += [f"{one.log_likelihood:>14.2f}  {one.rounds:>6}  {one.starts:>12}  {one.splices:>7}{'' if one.proper else '  spurious'}"
                  for one in self.optima[:SHOWN]]
        if len(self.optima) > SHOWN:
            lines.append(f"and {len(self.optima) - SHOWN} more")
        return "\n".join(lines)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """
        Draw the optima that the search found, as `gaussmix.plotting.optima` does.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            The axes to draw in; by default those of a new pyplot figure.

        Returns
        -------
        Axes

        Raises
        ------
        ImportError
            Where matplotlib is not installed: pip install "gaussmix[plot]".

        Examples
        --------
        >>> ax = Search([Optimum(-1114.44, True, 4, 9)], 4, 168, 3120, 0.1, "starts", 0.05).plot()
        >>> ax.get_xlabel()
        'log-likelihood'
        """
        from gaussmix.plotting import optima

        return optima(self, ax=ax)


def chance_of_better(times: Sequence[int]) -> float:
    """
    Estimate the probability that one more round finds a better optimum (`Search`).

    Parameters
    ----------
    times : sequence of int
        How often each optimum was found.

    Returns
    -------
    float

    Examples
    --------
    >>> chance_of_better([5])  # every time the same
    0.08333333333333333
    >>> chance_of_better([1, 1, 1, 1, 1])  # every time another one
    0.16666666666666666
    """
    singles = sum(count == 1 for count in times)
    return (singles + 1) / (sum(times) + 1) / (len(times) + 1)

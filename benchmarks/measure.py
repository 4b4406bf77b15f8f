"""
How time is measured.

An iteration: each library fits with 1 and with 1 + m iterations from the same given parameters; the difference of
the best times, over the difference of the iterations that it reports to have run, is its time for one iteration. Whatever stands outside
the iterations (checking the input, converting it, starting threads, scikit-learn's last E step) is in both, for every library alike, and
falls out.
m is the same for all libraries and depends on the shape only (`Shape.iterations`).

A call (a prediction, a whole fit): the best wall-clock time, everything included.

Libraries take turns, round by round, so that a busy or throttled spell of the machine meets all of them. The first round warms up and is thrown
away. A library drops out when it has used up its seconds, at the earliest after one counted round; one whose warm-up round alone took
longer than four times that keeps that round as its measurement. Before each turn there is a pause, in which the threads of the
library before go to sleep.
"""

from dataclasses import dataclass
from time import perf_counter, sleep


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds at most, seconds for each library, and the operations that a shape may ask for."""

    rounds: int = 30
    seconds: float = 6.0
    operations: float = float("inf")


# Threads that a library leaves behind go on spinning for a while, and would take the processors from the next one.
PAUSE = 0.2

QUICK = Effort(rounds=3, seconds=0.5, operations=2e8)


def best_times(runs, effort):
    """
    The best wall-clock time of each run.

    Parameters
    ----------
    runs : dict
        From a name to a list of functions without arguments, which are called in turn in each round.
    effort : Effort

    Returns
    -------
    times : dict
        From the name to a list of seconds, one for each function.
    results : dict
        From the name to what the functions returned last.
    """
    times, results, spent, live = {}, {}, dict.fromkeys(runs, 0.0), list(runs)
    for number in range(1 + effort.rounds):
        for name in list(live):
            seconds, results[name] = _timed(runs[name])
            spent[name] += sum(seconds)
            if number == 1:  # what went before was the warm-up
                times[name] = seconds
            times[name] = [min(pair) for pair in zip(times.get(name, seconds), seconds)]
            if spent[name] > effort.seconds and (number > 0 or spent[name] > 4 * effort.seconds):
                live.remove(name)
    return times, results


def _timed(functions):
    sleep(PAUSE)
    seconds, results = [], []
    for function in functions:
        begin = perf_counter()
        results.append(function())
        seconds.append(perf_counter() - begin)
    return seconds, results


def iteration_times(fits, iterations, effort):
    """
    The time of one EM iteration in each library.

    Parameters
    ----------
    fits : dict
        From a name to a function that takes a number of iterations and returns a `peers.Outcome`.
    iterations : int
        The difference of the two numbers of iterations.
    effort : Effort

    Returns
    -------
    dict
        From the name to {"seconds", "log_likelihood", "n_iter"}; seconds is None where the library would not run more
        than one iteration, or where the difference drowned in noise.
    """
    runs = {name: [lambda fit=fit: fit(1), lambda fit=fit: fit(1 + iterations)] for name, fit in fits.items()}
    times, results = best_times(runs, effort)
    found = {}
    for name, (few, many) in results.items():
        ran, difference = many.n_iter - few.n_iter, times[name][1] - times[name][0]
        found[name] = {"seconds": difference / ran if ran > 0 and difference > 0 else None,
                       "log_likelihood": many.log_likelihood, "n_iter": many.n_iter}
    return found

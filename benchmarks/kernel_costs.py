"""The cost of each kernel on one tile. The constants in tile.c that decide between kernels are chosen from these numbers."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from benchmarks.one_tile import TILE, Tile, library
from gaussmix._core.estep import instruction_sets

COMPONENTS = 8
BATCH = 5e-4  # seconds that a batch of calls of one kernel takes


@dataclass(frozen=True)
class Cost:
    """
    One kernel's best time.

    Attributes
    ----------
    isa, dtype, kernel : str
    n_features : int
    seconds, ticks : float
        The time of one call. Ticks are those of the time stamp counter, 0 where there is none.
    units : int
        How many pairs of a row and a component one call works on.
    operations : int
        Multiplications and additions for each pair; 0 where they are not counted.
    """

    isa: str
    dtype: str
    kernel: str
    n_features: int
    seconds: float
    ticks: float
    units: int
    operations: int


@dataclass(frozen=True)
class _Call:
    """A kernel by its name in one_tile.c; the rest as in `Cost`."""

    kernel: str
    units: int = TILE
    operations: int = 0
    alive: int = 1  # one row in this many is alive


def _calls(D):
    """By the names of the table's columns."""
    calls = {"load": _Call("load"), "density": _Call("density_full", operations=D * (D + 1))}
    if D >= 16:
        calls["bound"] = _Call("bound_full")
    calls["density, diag"] = _Call("density_diag", operations=5 * D)
    calls["normalize"] = _Call("restore_and_normalize", units=COMPONENTS * TILE)
    if D <= 4:
        calls["tiny"] = _Call("tiny", operations=D * (D + 1))
    return calls | {
        "bands": _Call("bands", operations=D * (D + 1)),
        "dense": _Call("dense", operations=D * (D + 1)),
        "sparse, 1/2": _Call("sparse", operations=D * (D + 1), alive=2),
        "sparse, 1/8": _Call("sparse", operations=D * (D + 1), alive=8),
        "moments, diag": _Call("moments_diag", operations=5 * D),
        "largest": _Call("largest", units=COMPONENTS * TILE),
        "distances": _Call("distances", units=COMPONENTS * TILE, operations=3 * D),
        "residuals": _Call("residuals"),
    }


def measured(features, rounds):
    """
    Time every kernel.

    Parameters
    ----------
    features : list of int
    rounds : int
        Kernels take turns for this many rounds, and the best time is kept.

    Yields
    ------
    Cost
        The costs of all kernels, for each number type, instruction set and number of features. There are none where kernels cannot
        be compiled.
    """
    for dtype in ("float64", "float32"):
        for isa in instruction_sets():
            if library(isa, dtype) is None:
                return
            for D in features:
                tile, calls = _prepared(isa, dtype, D), _calls(D)
                for name, (seconds, ticks) in _best(tile, calls, rounds).items():
                    yield Cost(isa, dtype, name, D, float(seconds), float(ticks), calls[name].units, calls[name].operations)


def _prepared(isa, dtype, D):
    """A full tile of normal rows, with everything that kernels read."""
    rng = np.random.default_rng(D)
    tile = Tile(isa, dtype, COMPONENTS, D)

    def real(array):
        return np.ascontiguousarray(array, dtype=tile.dtype)

    tile["mean"] = tile["reference"] = tile["offset"] = real(np.zeros(D))
    tile["factor"] = real(np.tril(rng.normal(size=(D, D))) / np.sqrt(D))
    tile["points"] = real(rng.normal(size=(COMPONENTS, D)))
    tile["weight"], tile["first"] = tile.array(COMPONENTS, np.float64), tile.array((COMPONENTS, D), np.float64)
    tile["second"] = tile.array(D * D, np.float64)
    tile["row_weights"] = None
    tile["label"][...] = rng.integers(0, COMPONENTS, size=TILE)
    tile["weights"][...] = tile["scale"][...] = 1
    tile["sum_only"] = 1
    tile.load(real(rng.normal(size=(TILE, D))))
    tile["kept"] = real(rng.uniform(-20, 0, size=(COMPONENTS, TILE)))
    return tile


def _best(tile, calls, rounds):
    """Seconds and ticks of one call of each kernel."""
    calls = calls | {"restore": _Call("restore")}  # of the log-densities that normalize overwrites
    times = {name: _times(tile, call) for name, call in calls.items()}
    best = dict.fromkeys(calls, np.inf)
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = np.minimum(best[name], _cost(tile, call, times[name]))
    best["normalize"] = best["normalize"] - best.pop("restore")
    return best


def _times(tile, call):
    """How many calls take BATCH."""
    times = 1
    while (seconds := _cost(tile, call, times)[0] * times) < BATCH:
        times = int(times * min(10, max(2, 1.2 * BATCH / max(seconds, 1e-9))))
    return times


def _cost(tile, call, times):
    """Seconds and ticks of one of so many calls, with responsibilities of one and zero."""
    tile["top"][...] = 0
    tile["gamma"][...] = np.arange(TILE) % call.alive == 0
    tile["pending_count"][...] = 0
    begin = perf_counter()
    ticks = tile.call(call.kernel, times=times)
    return np.array([perf_counter() - begin, ticks]) / times

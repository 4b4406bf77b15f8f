"""
The sections of the benchmark. Each takes the libraries and the effort, and returns tables.

A time is in seconds, a ratio is a peer's time over ours (above one, gaussmix is faster), and a log-likelihood is that of all rows.
"""

import importlib.util
import itertools
import os
import pickle
import shutil
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from time import perf_counter

import numpy as np

from benchmarks import clusters, kernel_costs, machine, measure, optima, out_of_core, shapes
from benchmarks.measure import best_times, iteration_times
from benchmarks.peers import Outcome
from gaussmix import functional

OURS = "gaussmix"


@dataclass
class Table:
    """Rows under a title; the columns are the keys of the rows, in the order of their first appearance."""

    title: str
    rows: list = field(default_factory=list)
    note: str = ""


def _ratio(peer, ours):
    return peer / ours if peer and ours else None


def _compared(row, found):
    """Add times, ratios and log-likelihoods of all libraries to a row."""
    ours = found[OURS]
    for name, one in found.items():
        row[f"{name} ms"] = one["seconds"] and one["seconds"] * 1e3
    for name, one in found.items():
        if name != OURS:
            row[f"{name} / {OURS}"] = _ratio(one["seconds"], ours["seconds"])
    row["L of gaussmix"] = ours["log_likelihood"]
    for name, one in found.items():
        if name == OURS:
            continue
        if one["n_iter"] == ours["n_iter"]:
            row[f"L of {name}, relative difference"] = (one["log_likelihood"] - ours["log_likelihood"]) / max(
                1, abs(ours["log_likelihood"]))
        else:
            row[f"L of {name}, relative difference"] = f"stopped after {one['n_iter']}"
    row["iterations"] = ours["n_iter"]
    return row


def _em(libraries, shape, effort, structure="full", problem=None):
    problem = problem or shapes.problem(shape)
    fits = {name: (lambda n, peer=peer: peer.em(problem, n, structure)) for name, peer in libraries.items()
            if structure in peer.structures}
    return iteration_times(fits, shape.iterations, effort)


def full(libraries, effort):
    """One iteration with full covariances, float64."""
    table = Table("One EM iteration, full covariances, float64")
    for shape in shapes.affordable(shapes.FULL, effort.operations):
        table.rows.append(_compared({"N · D · K": str(shape)}, _em(libraries, shape, effort)))
    return [table]


def curve(libraries, effort):
    """GFLOP/s against D, K and N, on one thread and on all, beside the machine's own peak."""
    n_threads = libraries[OURS].n_threads
    counts = sorted({1, n_threads})
    effort = replace(effort, seconds=effort.seconds / 3)  # so many shapes
    table = Table("GFLOP/s by the count 2·N·K·D·(D+1), full covariances, float64",
                  note="The peak is the best rate of a fused-multiply-add loop on as many threads, before and after each shape.")
    for varied, members in shapes.curve():
        for shape in shapes.affordable(members, effort.operations):
            fits = {f"{OURS}, {n} thread(s)": type(libraries[OURS])(n) for n in counts}
            fits |= {name: peer for name, peer in libraries.items() if name == "oneDAL"}
            peak = machine.peak(n_threads)
            found = _em(fits, shape, effort)
            peak = peak and max(peak, machine.peak(n_threads))
            row = {"varied": varied, "N": shape.N, "D": shape.D, "K": shape.K}
            for name, one in found.items():
                row[name] = one["seconds"] and shape.operations / one["seconds"] / 1e9
            ours = found[f"{OURS}, {n_threads} thread(s)"]["seconds"]
            row["peak"] = peak and peak / 1e9
            row["share of peak, %"] = peak and ours and 100 * shape.operations / ours / peak
            table.rows.append(row)
    return [table]


def float32(libraries, effort):
    """float32 against our own float64 and oneDAL's float32, on the same rounded data."""
    table = Table("One EM iteration, full covariances, float32",
                  note="Log-likelihoods are compared with those of gaussmix in float64 on the same data, rounded to float32.")
    ours = libraries[OURS]
    for shape in shapes.affordable(shapes.FULL, effort.operations):
        single = shapes.problem(shape).rounded(np.float32)
        double = single.rounded(np.float64)
        fits = {"float64": lambda n: ours.em(double, n), "float32": lambda n: ours.em(single, n)}
        if "oneDAL" in libraries:
            fits["oneDAL float32"] = lambda n: libraries["oneDAL"].em(single, n)
        found = iteration_times(fits, shape.iterations, effort)
        exact = found["float64"]
        row = {"N · D · K": str(shape)} | {f"{name} ms": one["seconds"] and one["seconds"] * 1e3 for name, one in found.items()}
        for name in set(found) - {"float32"}:
            row[f"{name} / float32"] = _ratio(found[name]["seconds"], found["float32"]["seconds"])
        row["L of float64"] = exact["log_likelihood"]
        for name in [name for name in found if name != "float64"]:
            one = found[name]
            row[f"L of {name}, relative difference"] = (
                (one["log_likelihood"] - exact["log_likelihood"]) / max(1, abs(exact["log_likelihood"]))
                if one["n_iter"] == exact["n_iter"] else f"stopped after {one['n_iter']}")
        table.rows.append(row)
    return [table]


def diag(libraries, effort):
    """Diagonal, spherical and tied covariances."""
    table = Table("One EM iteration, other covariances, float64",
                  note="oneDAL has no spherical covariances; its diagonal ones stand beside ours, with another log-likelihood.")
    for shape in shapes.affordable(shapes.DIAG, effort.operations):
        found = {structure: _em(libraries, shape, effort, structure) for structure in ("diag", "spherical", "tied")}
        for structure, times in found.items():
            row = _compared({"N · D · K": str(shape), "covariances": structure}, times)
            if structure == "spherical" and "oneDAL" in found["diag"]:
                row["oneDAL / gaussmix"] = _ratio(found["diag"]["oneDAL"]["seconds"], times[OURS]["seconds"])
            table.rows.append(row)
    return [table]


def predict(libraries, effort):
    """Whole calls of predict, predict_proba and score_samples."""
    table = Table("Whole calls of a fitted mixture, float64")
    for shape in shapes.affordable(shapes.PREDICT, effort.operations):
        problem = shapes.problem(shape)
        models = {name: _fitted(peer, problem) for name, peer in libraries.items() if hasattr(peer, "estimator")}
        for method in ("predict", "predict_proba", "score_samples"):
            times, results = best_times({name: [lambda model=model: getattr(model, method)(problem.X)]
                                         for name, model in models.items()}, effort)
            row = {"N · D · K": str(shape), "method": method} | {f"{name} ms": t[0] * 1e3 for name, t in times.items()}
            for name in times:
                if name != OURS:
                    row[f"{name} / {OURS}"] = _ratio(times[name][0], times[OURS][0])
                    row["largest difference"] = float(np.abs(results[name][0] - results[OURS][0]).max())
            table.rows.append(row)
    return [table]


def _fitted(peer, problem):
    """The peer's own estimator, holding the start: fitted with no more than one iteration from it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peer.estimator(problem.shape.K, max_iter=1, reg_covar=0, weights_init=problem.weights, means_init=problem.means,
                              precisions_init=problem.unit_matrices("full")).fit(problem.X)


def kmeans(libraries, effort):
    """An iteration of Lloyd's algorithm from the same centres, against scikit-learn's KMeans."""
    table = Table("One iteration of k-means (Lloyd), float64")
    for shape in shapes.affordable(shapes.KMEANS, effort.operations):
        problem = shapes.problem(shape)
        iterations = 5
        runs = {name: [lambda n=n, peer=peer: peer.k_means(problem.X, problem.means, n) for n in (1, 1 + iterations)]
                for name, peer in libraries.items() if hasattr(peer, "k_means")}
        times, results = best_times(runs, effort)
        row = {"N · D · K": str(shape)}
        for name, (few, many) in results.items():
            ran, difference = many[1] - few[1], times[name][1] - times[name][0]
            row[f"{name} ms"] = difference / ran * 1e3 if ran > 0 and difference > 0 else None
        for name, (_, many) in results.items():
            if name != OURS:
                row[f"{name} / {OURS}"] = _ratio(row[f"{name} ms"], row[f"{OURS} ms"])
                row["largest difference of a centre"] = float(np.abs(many[0] - results[OURS][1][0]).max())
        row["iterations"] = " and ".join(str(many[1]) for _, many in results.values())
        table.rows.append(row)
    return [table]


def fit(libraries, effort):
    """A whole fit with default parameters, its start included."""
    table = Table("A whole fit with default parameters, float64", note="Each library with its own start, random_state=0.")
    for shape in shapes.affordable(shapes.FIT, effort.operations):
        problem = shapes.problem(shape)
        times, results = best_times({name: [lambda peer=peer: peer.default_fit(problem, 0)] for name, peer in libraries.items()
                                     if hasattr(peer, "default_fit")}, effort)
        row = {"N · D · K": str(shape)} | {f"{name} s": t[0] for name, t in times.items()}
        for name in times:
            if name != OURS:
                row[f"{name} / {OURS}"] = _ratio(times[name][0], times[OURS][0])
        for name, (model,) in results.items():
            row[f"L of {name}"] = float(model.score(problem.X)) * shape.N
            row[f"iterations of {name}"] = model.n_iter_
        table.rows.append(row)
    return [table]


def threads(libraries, effort):
    """One thread against two, and the bits for 1, 2, 3 and 7."""
    table = Table("Threads: one EM iteration, full covariances, float64",
                  note="Two halves: each half of the rows fitted by itself on a thread of its own, which is what the machine gives "
                       "two threads that never wait for each other.")
    ours = type(libraries[OURS])
    for shape in shapes.affordable(shapes.THREADS, effort.operations):
        problem = shapes.problem(shape)
        runs = {n: lambda i, n=n: ours(n).em(problem, i) for n in (1, 2)} | {"halves": lambda i: _two_halves(ours, problem, i)}
        found = iteration_times(runs, shape.iterations, effort)
        fits, _ = best_times({n: [lambda n=n: ours(n).em(problem, 3)] for n in (1, 2)}, effort)
        one, two, halves = (found[n]["seconds"] for n in (1, 2, "halves"))
        table.rows.append({"N · D · K": str(shape), "1 thread ms": one and one * 1e3, "2 threads ms": two and two * 1e3,
                           "1 / 2 threads": _ratio(one, two),
                           "1 thread / two halves": _ratio(one, halves), "fit of 3 iterations, 1 / 2 threads": fits[1][0] / fits[2][0],
                           "same bits for 1, 2, 3, 7": "yes" if _same_bits(ours, problem) else "NO"})
    return [table]


def _two_halves(ours, problem, iterations):
    """Each half of the rows fitted on a thread of its own: what the machine gives two threads that need not wait for each other."""
    def fit(X):
        return ours(1).from_start(shapes.Problem(problem.shape, X, problem.weights, problem.means), iterations)

    with ThreadPoolExecutor(2) as pool:
        gm = quietly(lambda: list(pool.map(fit, np.array_split(problem.X, 2))))[0]
    return Outcome(float(gm.lower_bound_), gm.n_iter_)


def _same_bits(ours, problem):
    bits = {b"".join(np.ascontiguousarray(array).tobytes() for array in (m.weights_, m.means_, m.covariances_, m.lower_bounds_))
            for m in (_fitted(ours(n), problem) for n in (1, 2, 3, 7))}
    return len(bits) == 1


def parallel(libraries, effort):
    """Many small fits from Python threads, beside two processes, which never wait for each other."""
    table = Table("Forty whole fits at once, from a ThreadPoolExecutor",
                  note="One thread is one worker with n_threads=1; the other threads are fits with n_threads=None, which share the CPUs. "
                       "Pinned workers stay on one CPU each. Two processes show what the machine gives two fits that share nothing.")
    for shape in shapes.PARALLEL:
        runs = {"1 thread": lambda shape=shape: _in_threads(shape, 1, n_threads=1),
                "2 workers": lambda shape=shape: _in_threads(shape, 2)}
        if hasattr(os, "sched_setaffinity"):
            runs["2 pinned workers"] = lambda shape=shape: _in_threads(shape, 2, pinned=True)
        with ProcessPoolExecutor(2, get_context("spawn"), _in_silence) as pool:
            runs["2 processes"] = lambda shape=shape, pool=pool: list(pool.map(_fit_of_seed, [(shape, seed, 1) for seed in range(40)],
                                                                              chunksize=20))
            times, results = best_times({name: [run] for name, run in runs.items()}, effort)
        one = times["1 thread"][0]
        others = [name for name in runs if name != "1 thread"]
        table.rows.append({"N · D · K": str(shape)} | {f"{name} ms": times[name][0] * 1e3 for name in runs}
                          | {f"1 thread / {name}": one / times[name][0] for name in others}
                          | {"same results": "yes" if all(results[name] == results["1 thread"] for name in others) else "NO"})
    return [table]


def _in_threads(shape, workers, n_threads=None, pinned=False):
    """Forty fits from so many threads; pinned ones have one CPU each."""
    cpus = itertools.cycle(sorted(os.sched_getaffinity(0))) if pinned else None
    begin = (lambda: os.sched_setaffinity(0, {next(cpus)})) if pinned else None
    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        return quietly(lambda: list(pool.map(_fit_of_seed, [(shape, seed, n_threads) for seed in range(40)])))


def _in_silence():
    warnings.simplefilter("ignore")


def _fit_of_seed(task):
    from gaussmix import GaussianMixture

    shape, seed, n_threads = task
    return GaussianMixture(shape.K, random_state=seed, tol=0, max_iter=20, n_threads=n_threads).fit(shapes.problem(shape).X).lower_bound_


def quietly(function, *arguments):
    """Without the warnings of fits that are not meant to converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


def clustered(libraries, effort):
    """Many components, of which few have a say in a row; beside the same shape with overlapping clusters."""
    peak = machine.peak(libraries[OURS].n_threads)
    table = Table("Many components, full covariances, float64",
                  note="GFLOP/s by the dense count 2·N·K·D·(D+1), as if every responsibility were alive"
                  + (f"; the machine's peak is {peak / 1e9:.1f}." if peak else "."))
    for shape in shapes.affordable(shapes.CLUSTERED, effort.operations):
        problem = shapes.problem(shape)
        found = _em({name: peer for name, peer in libraries.items() if name != "scikit-learn"}, shape, effort)
        alive = np.mean(_fitted(libraries[OURS], problem).predict_proba(problem.X[:20_000]) > 1e-16)
        row = _compared({"N · D · K": str(shape), "separation": shape.separation, "alive, %": 100 * float(alive)}, found)
        row["GFLOP/s"] = found[OURS]["seconds"] and shape.operations / found[OURS]["seconds"] / 1e9
        row["of peak, %"] = row["GFLOP/s"] and peak and 100e9 * row["GFLOP/s"] / peak
        table.rows.append(row)
    return [table]


def hmm(libraries, effort):
    """Ten iterations of Baum-Welch, by the example of the documentation, against hmmlearn."""
    table = Table("Ten iterations of Baum-Welch for a hidden Markov model, full covariances, float64",
                  note="Whole calls. hmmlearn has its priors off, and passes with logarithms, its default, or with scaling; "
                       "ours are those of docs/examples/hidden-markov.md, in NumPy.")
    for shape in shapes.affordable(shapes.HMM, effort.operations / 10):
        problem = shapes.problem(shape)
        times, results = best_times({name: [lambda peer=peer: peer.hidden_markov(problem, 10)] for name, peer in libraries.items()
                                     if hasattr(peer, "hidden_markov")}, effort)
        found = {name: {"seconds": t[0], "log_likelihood": results[name][0].log_likelihood, "n_iter": results[name][0].n_iter}
                 for name, t in times.items()}
        table.rows.append(_compared({"N · D · K": str(shape)}, found))
    return [table]


def optimum(libraries, effort):
    """Where fits end: one start, a search in the time of one fit by scikit-learn, and a search without a budget."""
    quick = effort is measure.QUICK
    if "scikit-learn" not in libraries:
        return [Table("Optima", note="scikit-learn is not installed.")]
    return [_success(libraries, quick), _silent(libraries, quick), _selected(libraries, quick), _polished(libraries, effort)]


def _success(libraries, quick):
    seeds = range(2 if quick else 10)
    table = Table("Fits less than 0.5 nats below the best proper optimum known, full covariances",
                  note="Gaps are medians over seeds, in nats; ∞ where most fits are not proper. Times are medians, in multiples of one "
                       "default fit by scikit-learn. The search with a budget has the time of one such fit, measured just before.")
    known, ends = optima.Known(), {}
    for name, K in optima.problems(quick):
        X, found = optima.rows_of(name), {}
        for seed in seeds:
            peer = min((optima.end_of(libraries["scikit-learn"].estimator(K, random_state=seed), X) for _ in range(2)),
                       key=lambda end: end.seconds)
            for column, one in (("scikit-learn", peer),
                                ("one start", optima.end_of(_ours(libraries, K, seed), X)),
                                ("budget", optima.end_of(_ours(libraries, K, seed, n_init="auto", search_budget=f"{peer.seconds:.6f} s"), X)),
                                ("auto", optima.end_of(_ours(libraries, K, seed, n_init="auto"), X))):
                found.setdefault(column, []).append(one)
                if one.proper:
                    known.see(name, K, one.log_likelihood, f"{column}, seed {seed}")
        ends[name, K] = found
    if not quick:
        known.save()
    success = {column: [] for column in ("scikit-learn", "one start", "budget", "auto")}
    for (name, K), found in ends.items():
        row, best = {"data": name, "K": K, "L of the best": known.best(name, K)}, known.best(name, K)
        for column, fits in found.items():
            gaps = [best - one.log_likelihood if one.proper else np.inf for one in fits]
            success[column].append(np.mean([gap < 0.5 for gap in gaps]))
            row[f"{column}: success, %"] = 100 * float(success[column][-1])
            row[f"{column}: gap"] = float(np.median(gaps)) if np.isfinite(np.median(gaps)) else "∞"
        for column in ("one start", "budget", "auto"):
            row[f"{column}: time"] = float(np.median([one.seconds / peer.seconds for one, peer in zip(found[column], found["scikit-learn"])]))
        row["auto: seconds"] = float(np.median([one.seconds for one in found["auto"]]))
        row["degenerate"] = sum(one.silent for column, fits in found.items() if column != "scikit-learn" for one in fits)
        table.rows.append(row)
    table.rows.append({"data": "all"} | {f"{column}: success, %": 100 * float(np.mean(values)) for column, values in success.items()})
    return table


def _ours(libraries, K, seed, **options):
    return libraries[OURS].estimator(K, random_state=seed, **options)


def _silent(libraries, quick):
    """Fits that end in a degenerate optimum without a warning."""
    n_fits, n_silent, n_warned = 0, 0, 0
    members = [(name, K) for name, K in optima.problems(quick) if len(optima.rows_of(name)) <= 1_000]
    for seed in range(4 if quick else 140):
        for name, K in members:
            for start in ("kmeans", "k-means++", "random", "kmeans_whitened"):
                end = optima.end_of(_ours(libraries, K, seed, init_params=start, max_iter=1000), optima.rows_of(name))
                n_fits, n_silent, n_warned = n_fits + 1, n_silent + end.silent, n_warned + (not end.proper and not end.silent)
    return Table("Degenerate optima, single fits with full covariances",
                 [{"fits": n_fits, "with a warning": n_warned, "degenerate without a warning": n_silent}])


def _selected(libraries, quick):
    """BIC of `select` over the four structures, against mclust's best."""
    from gaussmix import select

    table = Table("BIC of the chosen model (lower is better), four structures, 1 to 9 components", note="mclust: its best proper one.")
    for name in optima.REAL[:1] if quick else optima.REAL:
        counts = range(1, 4) if quick else range(1, 10)
        theirs, model = optima.mclust_best(name, counts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begin = perf_counter()
            found = select(optima.rows_of(name), counts, ("full", "tied", "diag", "spherical"), random_state=0, reg_covar=0,
                           n_threads=libraries[OURS].n_threads)
        table.rows.append({"data": name, "gaussmix": found.chosen.bic, "chosen": f"{found.chosen.covariance_type}, {found.chosen.n_components}",
                           "mclust": theirs, "mclust's": model, "gaussmix − mclust": found.chosen.bic - theirs,
                           "seconds": perf_counter() - begin})
    return table


def _polished(libraries, effort):
    """A fit to within 0.1 nats of its limit, where clusters overlap."""
    shape = shapes.Shape(500_000 if effort is not measure.QUICK else 20_000, 4, 3, separation=1.5)
    problem = shapes.problem(shape)
    start = dict(weights_init=problem.weights, means_init=problem.means, precisions_init=problem.unit_matrices("full"))
    fits = {"accelerated": dict(algorithm="accelerated", stopping="distance", tol=0.1), "EM": dict(tol=0)}
    limit = quietly(_ours(libraries, shape.K, 0, algorithm="accelerated", tol=0, max_iter=3000, **start).fit, problem.X).lower_bound_
    begin = perf_counter()
    polished = quietly(_ours(libraries, shape.K, 0, max_iter=3000, **fits["accelerated"], **start).fit, problem.X)
    seconds = perf_counter() - begin
    plain = quietly(_ours(libraries, shape.K, 0, max_iter=6000, tol=0, **start).fit, problem.X)
    left = (limit - np.array(plain.history_)) * shape.N
    n_iter = int(np.argmax(left < 0.1)) + 1 if (left < 0.1).any() else None
    times = _em({name: libraries[name] for name in (OURS, "scikit-learn")}, shape, effort)
    theirs = n_iter and n_iter * times["scikit-learn"]["seconds"]
    return Table("A fit to within 0.1 nats of its limit, overlapping clusters, full covariances", [
        {"N · D · K": str(shape), "nats left": (limit - polished.lower_bound_) * shape.N, "E steps": polished.n_iter_, "s": seconds,
         "EM's iterations": n_iter, "scikit-learn s": theirs, "scikit-learn / gaussmix": _ratio(theirs, seconds)}],
        note="All from the same start. scikit-learn's time is that of one of its iterations times how many plain EM takes.")


def kernels(libraries, effort):
    """Each kernel on one tile, by features, number type and instruction set, on one thread."""
    note = ("Best times of calls for the same tile and component, which stay in the caches. Bands, dense and sparse are alternatives from "
            "five features on, tiny is instead of them up to four; sparse is given a half or an eighth of the rows alive.")
    costs = list(kernel_costs.measured(shapes.KERNELS_D, effort.rounds))
    if not costs:
        return [Table("Kernels on one tile", note="They cannot be compiled here: no C compiler, or the package's source is missing.")]
    rate = max(cost.ticks / cost.seconds for cost in costs)
    unit = f"Reference cycles (of the time stamp counter, {rate / 1e9:.2f} GHz)" if rate else "Nanoseconds"
    slow = Table(f"{unit} for each row and component", note=note + " Load and residuals are for each row.")
    fast = Table("GFLOP/s of kernels on one tile", note=note + " Multiplications and additions for each row and component: D (D + 1) for "
                 "the density and for moments, whether a row is alive or not; 5 D for diagonal ones, 3 D for a distance.")
    for cost in costs:
        head = {"number type": cost.dtype, "instruction set": cost.isa, "D": cost.n_features}
        for table in (slow, fast):
            if not table.rows or table.rows[-1] | head != table.rows[-1]:
                table.rows.append(dict(head))
        slow.rows[-1][cost.kernel] = (cost.ticks if rate else cost.seconds * 1e9) / cost.units
        if cost.operations:
            fast.rows[-1][cost.kernel] = cost.operations * cost.units / cost.seconds / 1e9
    return [fast, slow]


def stream(libraries, effort):
    """How near one and two passes of stepwise EM come to full EM from the same start."""
    from gaussmix import GaussianMixture

    n_rows, D, K = (20_000, 4, 4) if effort.operations < float("inf") else (1_000_000, 8, 16)
    table = Table(f"Nats a row below full EM (tol=1e-7), {n_rows:,} · {D} · {K}, batches of a fortieth of the rows, shuffled",
                  note="Means are planted with this standard deviation, in those of a component. Every fit starts at them plus a tenth.")
    for spread in (1.0, 3.0):
        rng = np.random.default_rng(0)
        means = spread * rng.normal(size=(K, D))
        X = means[rng.integers(0, K, n_rows)] + rng.normal(size=(n_rows, D))
        start = dict(weights_init=np.full(K, 1 / K), means_init=means + 0.1 * rng.normal(size=means.shape),
                     precisions_init=np.tile(np.eye(D), (K, 1, 1)), n_threads=libraries[OURS].n_threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            full_score = GaussianMixture(K, tol=1e-7, max_iter=1_000, **start).fit(X).score(X)
            gm = GaussianMixture(K, max_iter=0, **start).fit(X[:1_000])
            row = {"spread": spread}
            for passes in ("one pass", "two passes"):
                for batch in np.array_split(X[rng.permutation(n_rows)], 40):
                    gm.partial_fit(batch)
                row[passes] = full_score - gm.score(X)
        table.rows.append(row)
    return [table]


def outofcore(libraries, effort):
    """EM over a 4 GB file with 1 GB of memory, beside the same rows in memory."""
    n_rows, limit = (200_000, 0) if effort.operations < float("inf") else (62_500_000, 2**30)
    n_threads = libraries[OURS].n_threads
    table = Table(f"One EM iteration over {n_rows:,} rows of {out_of_core.D} float64 columns, K = {out_of_core.K}, in the page cache",
                  note="In the files' processes RLIMIT_DATA is 1 GB. The bound of Parquet is the processor time of decoding and of the "
                       "iteration in memory together, over the number of threads.")
    with tempfile.TemporaryDirectory() as folder:
        npy, parquet = out_of_core.write_files(folder, n_rows)
        memory = out_of_core.run("memory", npy, n_threads, 0)
        decoding = out_of_core.run("decode", parquet, n_threads, limit)
        for name, kind, path in (("in memory", "memory", npy), (".npy, memory map", "map", npy), (".npy, path", "file", npy),
                                 ("Parquet, path", "file", parquet)):
            found = memory if kind == "memory" else out_of_core.run(kind, path, n_threads, limit)
            row = {"rows": name, "s": found["seconds"], "rate, % of in memory": 100 * memory["seconds"] / found["seconds"],
                   "peak of anonymous memory, MB": found["peak"]}
            if path == parquet:
                bound = (memory["cpu"] + decoding["cpu"]) / n_threads
                row |= {"decoding alone, s": decoding["seconds"], "bound, s": bound, "of the bound's rate, %": 100 * bound / found["seconds"]}
            for what in ("means", "covariances"):
                row[f"{what}, difference"] = float(np.abs(np.array(found[what]) - memory[what]).max())
            table.rows.append(row)
        model = os.path.join(folder, "model.json")
        fit = "fit", parquet, "--components", str(out_of_core.K), "--n-init", "1", "--max-iter", "2", "--output", model
        command = Table("The command line on the Parquet file: peak of all resident memory, libraries included", [
            {"command": "gaussmix fit", "MB": out_of_core.command_peak(*fit)},
            {"command": "gaussmix predict",
             "MB": out_of_core.command_peak("predict", model, parquet, "--output", os.path.join(folder, "labels.npy"))}])
    return [table, command]


def cluster(libraries, effort):
    """What an iteration costs and sends on a cluster of this machine's processes; Spark's own mixtures beside it."""
    quick = effort.operations < float("inf")
    sizes = ((2, 2), (8, 16)) if quick else ((2, 2), (8, 16), (32, 32), (64, 32), (128, 32))
    counts, iterations = ((1, 8), 2) if quick else ((1, 2, 4, 8, 32, 128), 10)
    by_size = Table("One EM iteration on a Dask cluster of two processes with one thread each, 40,000 rows",
                    note="Statistics and Densities are the bytes of one of each, pickled. Sent is all that the machine sent to itself.")
    by_rows = Table("Bytes that an iteration sends, D = 8, K = 16, 8 partitions")
    if not _has("distributed", "dask"):
        return []
    import dask.array as da

    with clusters.dask_cluster(2):
        for D, K in sizes:
            for n_parts in counts:
                X = da.from_array(clusters.rows(40_000, D, K), chunks=(-(-40_000 // n_parts), -1))
                seconds, sent, fitted = clusters.iterations_of(X, D, K, iterations)
                statistics = len(pickle.dumps(functional.e_step(np.zeros((2, D)), fitted.mixture_)))
                densities = len(pickle.dumps(fitted.mixture_.densities))
                by_size.rows.append({"D · K": f"{D} · {K}", "partitions": n_parts, "ms": 1e3 * seconds, "Statistics, kB": statistics / 1e3,
                                     "Densities, kB": densities / 1e3, "sent, kB": sent and sent / 1e3})
        for N in (10_000, 40_000) if quick else (10_000, 100_000, 1_000_000):
            X = da.from_array(clusters.rows(N, 8, 16), chunks=(-(-N // 8), -1))
            seconds, sent, _ = clusters.iterations_of(X, 8, 16, iterations)
            by_rows.rows.append({"rows": N, "sent, kB": sent and sent / 1e3, "ms": 1e3 * seconds})
    tables = [by_size, by_rows]
    if not quick and _has("pyspark") and shutil.which("java"):
        with clusters.spark_session(libraries[OURS].n_threads) as session, tempfile.TemporaryDirectory() as folder:
            shapes_of_spark = (200_000, 8, 16), (4_000_000, 8, 16), (500_000, 32, 32)
            tables.append(Table("One EM iteration on Spark, 8 cached partitions, and L after as many iterations from the libraries' own starts",
                                [clusters.spark_beside_mllib(session, *shape, 3, folder) for shape in shapes_of_spark],
                                "MLlib adds 2e-16 to every density before it takes logarithms, which its own count shows."))
    return tables


def _has(*modules):
    return all(importlib.util.find_spec(module) for module in modules)


SECTIONS = {section.__name__: section for section in (full, curve, float32, diag, predict, kmeans, fit, threads, parallel, clustered,
                                                      hmm, optimum, stream, outofcore, cluster, kernels)}

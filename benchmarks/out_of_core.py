"""
EM over files, each in a process of its own with a limit of memory: `python -m benchmarks.out_of_core KIND PATH THREADS LIMIT`.

KIND is "memory" for the array, "map" for a memory map of a `.npy` file, "file" for a path, "decode" for reading the rows only, and
"parameters" for what all kinds begin with. It prints JSON.
"""

import itertools
import json
import resource
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np

D, K = 8, 16
ITERATIONS = 5


def means():
    return 3 * np.random.default_rng(0).normal(size=(K, D))


def write_files(folder, n_rows, at_once=1_000_000):
    """Write the same rows as `.npy` and as Parquet, a part at a time; return both paths."""
    import pyarrow
    from pyarrow import parquet

    rng, centres = np.random.default_rng(1), means()
    npy, pq = Path(folder) / "rows.npy", Path(folder) / "rows.parquet"
    array = np.lib.format.open_memmap(npy, "w+", np.float64, (n_rows, D))
    schema = pyarrow.schema([(f"x{i}", pyarrow.float64()) for i in range(D)])
    with parquet.ParquetWriter(pq, schema) as writer:
        for start in range(0, n_rows, at_once):
            stop = min(start + at_once, n_rows)
            rows = centres[rng.integers(0, K, stop - start)] + rng.normal(size=(stop - start, D))
            array[start:stop] = rows
            writer.write_table(pyarrow.table(dict(zip(schema.names, rows.T)), schema=schema))
    array.flush()
    return str(npy), str(pq)


def run(kind, path, n_threads, limit):
    """One measurement in a process of its own, whose data may have `limit` bytes (0: any)."""
    found = subprocess.run([sys.executable, "-m", "benchmarks.out_of_core", kind, path, str(n_threads), str(limit)], capture_output=True,
                           text=True, check=True, cwd=Path(__file__).parents[1])
    return json.loads(found.stdout)


def command_peak(*arguments):
    """The peak of the resident memory of the command line, in MB."""
    peak = 0
    with subprocess.Popen([sys.executable, "-m", "gaussmix", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:  # what the operating system tells afterwards counts this process before it became the command
            peak = max(peak, _kilobytes(process.pid, "VmHWM"))
            time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(f"gaussmix {' '.join(arguments)} ended with status {process.returncode}")
    return peak / 1024


def _kilobytes(process, what):
    """A figure of a process in /proc; 0 where it has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        return int(text.partition(f"{what}:")[2].split()[0])
    except (OSError, IndexError):
        return 0


class _Peak:
    """The largest anonymous resident memory of this process, looked at every hundredth of a second."""

    def __init__(self):
        self.kilobytes = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while True:
            self.kilobytes = max(self.kilobytes, _kilobytes("self", "RssAnon"))
            time.sleep(0.01)


def _decoded(path):
    from gaussmix.sources import open_source

    best = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in open_source(path).blocks():
            pass
        best.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = min(best)
    return {"seconds": wall, "cpu": cpu}


def _fitted(kind, path, n_threads):
    from gaussmix import GaussianMixture

    at = []

    def callback(iteration, log_likelihood, mixture):
        at.append((time.perf_counter(), time.process_time()))

    X = np.load(path, mmap_mode="r" if kind == "map" else None) if kind in ("memory", "map") else path
    gm = GaussianMixture(K, means_init=means(), weights_init=np.full(K, 1 / K), precisions_init=np.tile(np.eye(D), (K, 1, 1)),
                         max_iter=1 + ITERATIONS, tol=0, reg_covar=0, n_threads=n_threads, callback=callback)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gm.fit(X)
    seconds, cpu = min((later[0] - earlier[0], later[1] - earlier[1]) for earlier, later in itertools.pairwise(at))
    return {"seconds": seconds, "cpu": cpu, "log_likelihood": gm.lower_bound_, "means": gm.means_.tolist(),
            "covariances": gm.covariances_.tolist()}


def main(kind, path, n_threads, limit):
    if int(limit):
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
    peak = _Peak()
    found = _decoded(path) if kind == "decode" else _fitted(kind, path, int(n_threads))
    print(json.dumps({**found, "peak": peak.kilobytes / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])

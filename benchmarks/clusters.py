"""EM on a cluster of this machine's processes: what an iteration costs and sends, and Spark's own mixtures beside it."""

import itertools
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def means(D, K):
    return 3 * np.random.default_rng(0).normal(size=(K, D))


def rows(N, D, K, seed=1):
    rng = np.random.default_rng(seed)
    return means(D, K)[rng.integers(0, K, N)] + rng.normal(size=(N, D))


def loopback_bytes():
    """How many bytes this machine has sent to itself; None where the operating system does not say."""
    try:
        lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split(":")[1].split()[8]) for line in lines if line.strip().startswith("lo:")), None)


def model(D, K, iterations, callback=None):
    from gaussmix import GaussianMixture

    return GaussianMixture(K, means_init=means(D, K), weights_init=np.full(K, 1 / K), precisions_init=np.tile(np.eye(D), (K, 1, 1)),
                           max_iter=iterations, tol=0, reg_covar=0, start_sample=K, callback=callback)


def iterations_of(X, D, K, n):
    """The least time of an iteration in seconds, and the median of the bytes that it sends, on whatever cluster is active."""
    at = []

    def callback(iteration, log_likelihood, mixture):
        at.append((time.perf_counter(), loopback_bytes()))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model(D, K, n + 1, callback).fit(X)
    steps = list(itertools.pairwise(at))
    seconds = min(later[0] - earlier[0] for earlier, later in steps)
    # In the middle, as Dask may copy a partition to a second worker once, so that the next iterations are balanced better.
    sent = None if at[0][1] is None else float(np.median([later[1] - earlier[1] for earlier, later in steps]))
    return seconds, sent, fitted


@contextmanager
def dask_cluster(n_workers):
    """A cluster of processes with one thread each."""
    import distributed

    with distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=None) as one, \
            distributed.Client(one):
        yield


@contextmanager
def spark_session(n_threads):
    """A Spark of this machine."""
    import os

    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    session = (SparkSession.builder.master(f"local[{n_threads}]").config("spark.ui.enabled", "false")
               .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.driver.memory", "4g").config("spark.log.level", "ERROR").getOrCreate())
    try:
        yield session
    finally:
        session.stop()


def spark_beside_mllib(session, N, D, K, n, folder):
    """One iteration of ours and of MLlib's on the same cached rows, and the log-likelihoods after as many iterations from own starts."""
    import pyarrow
    from pyarrow import parquet
    from pyspark.ml.clustering import GaussianMixture as Theirs
    from pyspark.ml.feature import VectorAssembler

    from gaussmix import GaussianMixture, Mixture

    X, names = rows(N, D, K), [f"x{i}" for i in range(D)]
    path = f"{folder}/{N}.parquet"
    parquet.write_table(pyarrow.table(dict(zip(names, X.T, strict=True))), path)
    table = session.read.parquet(path).repartition(8).cache()
    table.count()
    vectors = VectorAssembler(inputCols=names, outputCol="features").transform(table).select("features").cache()
    vectors.count()
    ours, _, _ = iterations_of(table, D, K, n)

    def theirs(iterations):
        begin = time.perf_counter()
        fitted = Theirs(k=K, maxIter=iterations, tol=0.0, seed=1).fit(vectors)
        return time.perf_counter() - begin, fitted

    theirs(1)
    few = min(theirs(1)[0] for _ in range(2))
    many, their_model = min((theirs(1 + n) for _ in range(2)), key=lambda found: found[0])
    normals = their_model.gaussiansDF.collect()
    their_mixture = Mixture(np.array(their_model.weights) / sum(their_model.weights), [one.mean.toArray() for one in normals],
                            [one.cov.toArray() for one in normals])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = GaussianMixture(K, max_iter=1 + n, tol=0, random_state=0).fit(table)
    return {"N · D · K": f"{N:,} · {D} · {K}", "gaussmix, s": ours, "MLlib, s": (many - few) / n, "MLlib / gaussmix": (many - few) / n / ours,
            "L of gaussmix": fitted.mixture_.log_likelihood(X), "L of MLlib": their_mixture.log_likelihood(X),
            "L by MLlib's own count": their_model.summary.logLikelihood}

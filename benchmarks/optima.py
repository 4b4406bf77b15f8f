"""
How good the optima are that fits end in.

The best proper optimum known of each data set and number of components stands in `optima.json`, with how it was found. A run that
finds a better one writes it there. A fit succeeds where it is proper and less than half a nat below. What is proper is checked here
anew, by NumPy: each component has D + 1 rows or more, and three times as many where in some direction its variance is less than a
hundredth of that of the data.
"""

import csv
import json
import math
import time
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import linalg

from benchmarks.report import write_whole

HERE = Path(__file__).parent
KNOWN = HERE / "optima.json"
REFERENCE = HERE.parent / "tests" / "data" / "reference"
REAL = ("acidity", "diabetes", "faithful", "iris", "quakes")
STRUCTURES = {"EEE": "tied", "VVI": "diag", "VII": "spherical", "VVV": "full", "E": "tied", "V": "full"}  # mclust's names


@dataclass(frozen=True)
class Planted:
    """N rows in D features of a mixture of K components, whose means have standard deviation `spread` and covariances are random."""

    N: int
    D: int
    K: int
    spread: float
    seed: int

    def __str__(self):
        return f"planted {self.N} · {self.D} · {self.K}"

    def rows(self):
        rng = np.random.default_rng(self.seed)
        weights, means = rng.dirichlet(np.full(self.K, 4.0)), self.spread * rng.normal(size=(self.K, self.D))
        roots = rng.normal(size=(self.K, self.D, self.D)) / np.sqrt(self.D) + 0.7 * np.eye(self.D)
        labels = rng.choice(self.K, self.N, p=weights)
        return means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(self.N, self.D)))


PLANTED = (Planted(300, 2, 4, 1.5, 1), Planted(1_000, 4, 6, 1.2, 2), Planted(3_000, 8, 8, 1.0, 3), Planted(5_000, 2, 10, 2.0, 4),
           Planted(20_000, 4, 12, 1.5, 5), Planted(20_000, 16, 8, 1.0, 6))


@cache
def rows_of(name):
    """The rows of a data set, by its name."""
    if name in REAL:
        return np.loadtxt(REFERENCE / f"{name}.csv", delimiter=",", ndmin=2)
    return next(planted for planted in PLANTED if str(planted) == name).rows()


def problems(quick):
    """Names of data sets, and numbers of components."""
    if quick:
        return [("faithful", 3), ("iris", 3)]
    return [(name, K) for name in (*REAL, *map(str, PLANTED)) for K in (3, 5, 8)]


def is_degenerate(X, weights, means, covariances):
    """Whether a component has too few rows for what it is: what the package must never call proper (full covariances)."""
    rows, least = len(X) * np.asarray(weights), X.shape[1] + 1
    data = np.atleast_2d(np.cov(X.T, bias=True))
    narrow = np.array([linalg.eigh(covariance, data, eigvals_only=True)[0] < 0.01 for covariance in covariances])
    # Other components may have a share in a row, which is then missing: a hundredth of one is forgiven.
    return bool((rows < least - 0.01).any() or (narrow & (rows < 3 * least - 0.01)).any())


class Known:
    """The best optima known, as the file holds them."""

    def __init__(self):
        self.found = json.loads(KNOWN.read_text(encoding="utf-8")) if KNOWN.exists() else {}

    def best(self, name, n_components):
        """The log-likelihood; −∞ where no proper optimum is known."""
        return self.found.get(name, {}).get(str(n_components), {}).get("log_likelihood", -math.inf)

    def see(self, name, n_components, log_likelihood, how):
        """Keep a better one."""
        if log_likelihood > self.best(name, n_components) + 1e-3:
            self.found.setdefault(name, {})[str(n_components)] = {"log_likelihood": log_likelihood, "how": how}

    def save(self):
        write_whole(KNOWN, json.dumps(self.found, indent=1, ensure_ascii=False) + "\n")


@dataclass
class End:
    """Where a fit ended, and how long it took."""

    log_likelihood: float
    proper: bool
    silent: bool
    seconds: float


def end_of(model, X):
    """Fit a model of ours or of scikit-learn: the end, whether it is proper, and whether it is degenerate without a warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begin = time.perf_counter()
        model.fit(X)
        seconds = time.perf_counter() - begin
    warned = any("Collapse" in one.category.__name__ or "Spurious" in one.category.__name__ for one in caught)
    degenerate = is_degenerate(X, model.weights_, model.means_, model.covariances_)
    return End(float(model.score_samples(X).sum()), not degenerate and not warned, degenerate and not warned, seconds)


def mclust_best(name, counts):
    """The lowest BIC that mclust reaches with a proper optimum of the four structures and so many components, and its model."""
    from gaussmix import GaussianMixture

    X = rows_of(name)
    labels = np.loadtxt(REFERENCE / f"{name}.init.csv", delimiter=",", dtype=int, ndmin=2) - 1
    best = math.inf, ""
    with open(REFERENCE / f"{name}.mclust.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["model"] not in STRUCTURES or row["loglik"] == "NA" or -float(row["bic"]) >= best[0]:
                continue
            K = int(row["G"])
            if K not in counts:
                continue
            model = GaussianMixture(K, covariance_type=STRUCTURES[row["model"]], init_params=labels[:, K - 1], reg_covar=0, tol=1e-12,
                                    max_iter=5000)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.fit(X)
            if not any("Collapse" in one.category.__name__ or "Spurious" in one.category.__name__ for one in caught):
                best = -float(row["bic"]), f"{row['model']}, {K}"
    return best

"""
The problems: shapes, data and the start that every library gets.

Data are drawn from a mixture with a fixed seed, N rows at once. Weights are Dirichlet(5, …, 5). Any two means lie about
`separation` apart, whatever D: means are N(0, s² I / 2D). Each covariance is Q diag(e) Qᵀ with Q a random rotation and ln e uniform
within ±ln 2 · min(1, √(8 / D)): determinants stay near one (oneDAL multiplies the diagonal of a Cholesky factor, which
overflows otherwise for large D), and covariances alone do not tell components apart however large D. With the default separation of 3
clusters overlap moderately; with 15 or 30 most responsibilities are zero to rounding.

EM starts from uniform weights, the true means moved by N(0, 0.01) in every feature, and unit covariances.

Where a shape has `staying`, the rows are a Markov chain: with that probability a row comes from the component of the row before
it, and otherwise from any component.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Shape:
    """N rows, D features, K components, how far apart two means lie, and how likely a component goes on for another row."""

    N: int
    D: int
    K: int
    separation: float = 3.0
    staying: float = 0.0

    def __str__(self):
        return f"{self.N:,} · {self.D} · {self.K}"

    @property
    def operations(self):
        """Floating-point operations of one iteration with full covariances that cannot be avoided: 2 N K D (D + 1)."""
        return 2 * self.N * self.K * self.D * (self.D + 1)

    @property
    def iterations(self):
        """How many iterations are timed: enough to stand out from the rest of a fit, but few where one takes long."""
        cost = self.operations + 40 * self.N * self.K  # an exponential and what goes with it counts as 40
        return int(min(max(4e9 / cost, 2 if cost < 5e10 else 1), 1000))

    def shrunk(self, operations):
        """The same D and K with fewer rows, but enough for K covariances to be well determined."""
        rows = operations / (self.operations + 40 * self.N * self.K) * self.N
        return replace(self, N=int(min(self.N, max(rows, 6 * self.D * self.K, 256))))


FULL = [Shape(272, 2, 2), Shape(1_000_000, 2, 8), Shape(500_000, 8, 16), Shape(200_000, 32, 32), Shape(100_000, 39, 256),
        Shape(50_000, 128, 16), Shape(20_000, 512, 8)]
DIAG = [Shape(500_000, 8, 16)]
PREDICT = [Shape(1_000_000, 2, 8), Shape(500_000, 8, 16), Shape(200_000, 32, 32)]
KMEANS = [Shape(1_000_000, 2, 8), Shape(500_000, 8, 16), Shape(200_000, 32, 32), Shape(50_000, 128, 16)]
FIT = [Shape(500_000, 8, 16), Shape(200_000, 32, 32)]
THREADS = [Shape(272, 2, 2), Shape(2_000, 4, 3), Shape(20_000, 8, 8), Shape(1_000_000, 2, 8), Shape(500_000, 8, 16),
           Shape(200_000, 32, 32), Shape(100_000, 64, 8), Shape(100_000, 128, 8)]
PARALLEL = [Shape(5_000, 4, 3), Shape(20_000, 8, 8)]
HMM = [Shape(N, D, K, staying=0.9) for N, D, K in ((10_000, 2, 3), (20_000, 8, 8), (20_000, 32, 16))]
CLUSTERED = [Shape(100_000, 39, 256, separation) for separation in (30.0, 15.0, 3.0)]

# The numbers of features for which kernels are timed. They lie on both sides of each limit between two kernels.
KERNELS_D = [1, 2, 3, 4, 5, 8, 12, 16, 20, 24, 25, 29, 32, 33, 48, 64, 65, 100, 128]

# What the curve varies. The number of rows keeps an iteration at about CURVE_OPERATIONS.
CURVE_OPERATIONS = 2e9
CURVE_D = [1, 2, 3, 5, 8, 13, 16, 17, 32, 33, 64, 100, 128, 200, 256, 300, 512]
CURVE_K = [1, 3, 7, 16, 40, 100]
CURVE_N = [300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000]


def curve():
    """
    The shapes of the curve.

    Returns
    -------
    list of (str, list of Shape)
        What is varied, with its shapes.
    """
    def fixed_work(D, K):
        return Shape(1_000_000, D, K).shrunk(CURVE_OPERATIONS)

    return [("D (K = 7)", [fixed_work(D, 7) for D in CURVE_D]),
            ("K (D = 8)", [fixed_work(8, K) for K in CURVE_K]),
            ("K (D = 32)", [fixed_work(32, K) for K in CURVE_K]),
            ("N (D = 2, K = 3)", [Shape(N, 2, 3) for N in CURVE_N]),
            ("N (D = 16, K = 7)", [Shape(N, 16, 7) for N in CURVE_N if N >= 1_000])]


def affordable(members, operations):
    """Shrink shapes to about this many operations per iteration. Those with too many features or components are left out."""
    shrunk = (shape.shrunk(operations) for shape in members)
    return [shape for shape in shrunk if shape.operations <= 50 * operations]


@dataclass(frozen=True)
class Problem:
    """
    Data and start.

    Attributes
    ----------
    shape : Shape
    X : ndarray, shape (N, D)
    weights, means : ndarray, shape (K,) and (K, D)
        Of the start; its covariances are unit matrices.
    """

    shape: Shape
    X: np.ndarray
    weights: np.ndarray
    means: np.ndarray

    def unit_matrices(self, structure):
        """The start's covariances (and precisions), in the shape of scikit-learn's `precisions_init`."""
        D, K = self.shape.D, self.shape.K
        return {"full": lambda: np.tile(np.eye(D), (K, 1, 1)), "tied": lambda: np.eye(D), "diag": lambda: np.ones((K, D)),
                "spherical": lambda: np.ones(K)}[structure]()

    def rounded(self, dtype):
        """The same problem with data rounded to `dtype`."""
        return Problem(self.shape, self.X.astype(dtype), self.weights, self.means)


@lru_cache(maxsize=1)
def problem(shape):
    """Draw the data of a shape, always the same."""
    rng = np.random.default_rng([shape.N, shape.D, shape.K, int(shape.separation)])
    N, D, K = shape.N, shape.D, shape.K
    means = rng.normal(size=(K, D)) * shape.separation / np.sqrt(2 * D)
    labels = rng.choice(K, size=N, p=rng.dirichlet(np.full(K, 5.0)))
    if shape.staying:
        drawn = np.where(rng.random(N) < shape.staying, 0, np.arange(N))
        labels = labels[np.maximum.accumulate(drawn)]
    X = rng.normal(size=(N, D))
    spread = np.log(2) * min(1, np.sqrt(8 / D))
    for k in range(K):
        rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
        eigenvalues = np.exp(rng.uniform(-spread, spread, size=D))
        rows = labels == k
        X[rows] = means[k] + X[rows] @ (rotation * np.sqrt(eigenvalues)).T
    return Problem(shape, X, np.full(K, 1 / K), means + 0.1 * rng.normal(size=(K, D)))

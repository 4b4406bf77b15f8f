"""
The libraries, each behind the same few methods.

`em` runs EM from the problem's start for `n_iter` iterations, each with one E and one M step, without regularisation. It returns
the log-likelihood (6) that the E step of the last iteration found, and how many iterations were run.

What is particular about oneDAL's `em_gmm`: it has no `reg_covar` (a covariance is regularised only after its Cholesky
factorisation failed); it reports the log-likelihood before the last M step, as the others do; its accuracyThreshold cannot be negative, and
it stops when the log-likelihood has not risen by more, so that with 0 it stops early where rounding lowers it (in float32 soon).
Iterations are therefore counted as it reports them. It offers full and diagonal covariances.

hmmlearn has hidden Markov models only. `hidden_markov` runs Baum-Welch as `em` runs EM, with full covariances and without priors; ours is the
code of docs/examples/hidden-markov.md.
"""

import importlib.util
import warnings
from dataclasses import dataclass

import numpy as np

from benchmarks import pages


@dataclass(frozen=True)
class Outcome:
    """The result of a run of EM."""

    log_likelihood: float
    n_iter: int


class _ScikitLearnInterface:
    """EM through the class GaussianMixture, which scikit-learn and gaussmix both have."""

    structures = "full", "tied", "diag", "spherical"

    def em(self, problem, n_iter, structure="full"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged: on purpose
            gm = self.from_start(problem, n_iter, structure)
        return Outcome(float(gm.lower_bound_) * problem.shape.N, gm.n_iter_)

    def from_start(self, problem, n_iter, structure="full"):
        return self.estimator(problem.shape.K, covariance_type=structure, tol=0, reg_covar=0, max_iter=n_iter,
                              weights_init=problem.weights, means_init=problem.means,
                              precisions_init=problem.unit_matrices(structure)).fit(problem.X)

    def default_fit(self, problem, seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.estimator(problem.shape.K, random_state=seed).fit(problem.X)


class Gaussmix(_ScikitLearnInterface):
    """This library."""

    name = "gaussmix"

    def __init__(self, n_threads):
        self.n_threads = n_threads

    def estimator(self, *args, **kwargs):
        import gaussmix

        return gaussmix.GaussianMixture(*args, n_threads=self.n_threads, **kwargs)

    def k_means(self, X, centres, n_iter):
        """Lloyd's algorithm: the centres, and how many iterations were run."""
        from gaussmix.blocks import Blocks
        from gaussmix.engines import Threads
        from gaussmix.starts.kmeans import k_means

        with Threads(self.n_threads) as threads:
            _, found, _, iterations = k_means(Blocks(X, len(centres)), centres, threads, max_iter=n_iter, tol=0)
        return found, iterations

    def hidden_markov(self, problem, n_iter):
        from gaussmix import Mixture

        K = problem.shape.K
        start = Mixture(problem.weights, problem.means, problem.unit_matrices("full"))
        *_, history = pages.run("hidden-markov.md")["baum_welch"](
            problem.X, [problem.shape.N], problem.weights, np.full((K, K), 1 / K), start, n_iter, n_threads=self.n_threads)
        return Outcome(float(history[-1]), len(history))


class ScikitLearn(_ScikitLearnInterface):
    """scikit-learn; its threads are the BLAS pool's and OpenMP's, which the caller limits."""

    name = "scikit-learn"

    def __init__(self, n_threads):
        pass

    def estimator(self, *args, **kwargs):
        from sklearn.mixture import GaussianMixture

        return GaussianMixture(*args, **kwargs)

    def k_means(self, X, centres, n_iter):
        """Lloyd's algorithm: the centres, and how many iterations were run."""
        from sklearn.cluster import KMeans

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = KMeans(len(centres), init=centres, n_init=1, max_iter=n_iter, tol=0, algorithm="lloyd").fit(X)
        return model.cluster_centers_, model.n_iter_


class OneDAL:
    """oneDAL's em_gmm through daal4py, which scikit-learn-intelex installs."""

    name = "oneDAL"
    structures = "full", "diag"

    def __init__(self, n_threads):
        import daal4py

        daal4py.daalinit(n_threads)

    def em(self, problem, n_iter, structure="full"):
        import daal4py

        real = problem.X.dtype
        covariances = problem.unit_matrices(structure).astype(real)
        if structure == "diag":
            covariances = covariances[:, None, :]  # oneDAL wants (1, D) each
        found = daal4py.em_gmm(
            nComponents=problem.shape.K, maxIterations=n_iter, accuracyThreshold=0.0,
            covarianceStorage={"full": "full", "diag": "diagonal"}[structure], fptype="float" if real == np.float32 else "double",
        ).compute(problem.X, problem.weights[None, :].astype(real), problem.means.astype(real), list(covariances))
        return Outcome(float(found.goalFunction[0, 0]), int(found.nIterations[0, 0]))


class HMMLearn:
    """hmmlearn with its default, logarithms in the passes; its threads are the BLAS pool's, which the caller limits."""

    name = "hmmlearn"
    structures = ()
    implementation = "log"

    def __init__(self, n_threads):
        pass

    def hidden_markov(self, problem, n_iter):
        from hmmlearn.hmm import GaussianHMM

        K = problem.shape.K
        model = GaussianHMM(K, "full", covars_prior=0, n_iter=n_iter, tol=-np.inf, init_params="", implementation=self.implementation)
        model.startprob_, model.transmat_ = problem.weights, np.full((K, K), 1 / K)
        model.means_, model.covars_ = problem.means, problem.unit_matrices("full")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy, that hmmlearn sets the shape of an array
            model.fit(problem.X)
        return Outcome(float(model.monitor_.history[-1]), model.monitor_.iter)


class HMMLearnScaling(HMMLearn):
    """hmmlearn with scaled probabilities in the passes, as ours are."""

    name = "hmmlearn scaling"
    implementation = "scaling"


def installed(n_threads):
    """
    gaussmix and every peer that can be imported.

    Parameters
    ----------
    n_threads : int

    Returns
    -------
    dict
        From the name to the library; gaussmix first.
    """
    modules = {Gaussmix: "gaussmix", ScikitLearn: "sklearn", OneDAL: "daal4py", HMMLearn: "hmmlearn", HMMLearnScaling: "hmmlearn"}
    return {peer.name: peer(n_threads) for peer, module in modules.items() if importlib.util.find_spec(module)}

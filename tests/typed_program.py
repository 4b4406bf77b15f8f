"""A user's program with types, which `mypy --strict` accepts against the installed package. It uses every public name."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gaussmix
from gaussmix import (CollapseWarning, ConvergenceWarning, GaussianMixture, InvalidParameterError, Mixture, NotFittedError,
                      SpuriousOptimumWarning, load, save, select, show_config)
from gaussmix.functional import Fit, Outcome, e_step, em, m_step, moments
from gaussmix.modelfile import Model, ModelFileError
from gaussmix.selection import Candidate, Selection
from gaussmix.statistics import Kind, Statistics


def rows() -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(-5, 1, (100, 2)), rng.normal(5, 1, (100, 2))])


class Named(GaussianMixture):
    """A subclass keeps its type through chains and files."""

    def name(self) -> str:
        return f"{self.n_components} components"


def fit(X: NDArray[np.float64]) -> GaussianMixture:
    weights = np.ones(len(X))
    gm: GaussianMixture = GaussianMixture(
        2, covariance_type="full", tol=1e-4, reg_covar="auto", max_iter=200, n_init=2, init_params="kmeans", random_state=0,
        warm_start=False, verbose=0, n_threads=1, progress=False, callback=heard)
    gm = gm.set_params(tol=1e-3).fit(X, sample_weight=weights)
    labels: NDArray[np.intp] = gm.fit_predict(X.tolist())
    shares = gm.predict_proba(X)
    one: float = gm.score(X) + gm.bic(X) + gm.aic(X, sample_weight=weights) + gm.icl(X)
    history: list[float] = gm.history_
    drawn, components = gm.sample(10)
    text: str = gm.summary(X) + repr(gm) + str(gm.get_params()["tol"])
    ended: tuple[bool, int, float, int] = gm.converged_, gm.n_iter_, gm.lower_bound_, gm.n_parameters_
    print(labels[:3], shares.sum(), gm.score_samples(X).max(), one, history[-1], drawn.shape, components.dtype, len(text), ended)
    print(gm.weights_.shape, gm.means_ + gm.means_, gm.covariances_.dtype, gm.precisions_.ndim, gm.precisions_cholesky_[0, 0])
    return gm


def heard(iteration: int, log_likelihood: float, mixture: Mixture) -> bool:
    return iteration > 1000 or log_likelihood > 0 or mixture.n_components > 2


def parts(X: NDArray[np.float64], mixture: Mixture) -> Mixture:
    statistics: Statistics = sum([e_step(X, mixture), e_step(X, mixture, np.ones(len(X)))], start=Statistics(Kind.FULL, 2, 2))
    under_labels = moments(X, np.eye(2)[np.arange(len(X)) % 2], covariance_type="diag")
    found: Mixture = m_step(statistics, reg_covar=1e-6)
    fit: Fit = em(X, found, tol=1e-6, callback=heard)
    print(under_labels.second.shape, fit.outcome is not Outcome.COLLAPSED, fit.n_iter)
    print(fit.mixture.log_joint(X).sum() + fit.mixture.component_logpdf(X).max())
    return fit.mixture


def distribution(X: NDArray[np.float64]) -> Mixture:
    m = Mixture(weights=[0.5, 0.5], means=[[-5.0, -5.0], [5.0, 5.0]], covariances=[np.eye(2), np.eye(2)])
    density: NDArray[np.float64] = m.pdf(X).astype(np.float64)
    total: float = m.log_likelihood(X, np.ones(len(X)))
    draws: NDArray[np.float64] = m.rvs(5, random_state=np.random.default_rng(0))
    labelled, labels = m.labelled_rvs(5, random_state=1)
    print(density.sum() + m.logpdf(X, n_threads=1).sum() + total, m.responsibilities(X).shape, m.classify(X).dtype)
    print(draws, labelled, labels)
    print(m.mean + m.cov.diagonal(), m.weights, m.means, m.covariances, m.n_features, m.covariance_type.upper())
    return m


def files(gm: GaussianMixture, m: Mixture, X: NDArray[np.float64]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        save(path, gm)
        save(str(path), m)
        m.save(path)
        gm.save(path)
        model: Model = load(path)
        save(path, model)
        columns: list[str] | None = model.columns
        again: GaussianMixture = GaussianMixture.load(path)
        named: Named = Named.load(path).set_params(tol=1e-2)
        mixture: Mixture = Mixture.load(path)
        print(columns, model.covariance_type, model.predict(X)[0], model.predict_proba(X)[0, 0], model.score_samples(X).sum())
        print(again.predict(X)[0], named.name(), mixture == model.mixture)
        try:
            load(Path(folder) / "missing.json")
        except (ModelFileError, OSError) as error:
            print(type(error).__name__)


def selection(X: NDArray[np.float64]) -> None:
    told: list[Candidate] = []
    s: Selection = select(X, range(1, 4), ("full", "diag"), "bic", random_state=0, progress=told.append)
    chosen: Candidate = s.chosen
    best: GaussianMixture = s.best
    numbers: list[float] = [candidate.bic + candidate.aic + candidate.log_likelihood for candidate in s.candidates]
    print(s, chosen.n_components, chosen.note, best.mixture_.n_components, numbers, len(told))


def sums() -> Statistics:
    s = Statistics(Kind.DIAG, 1, 1)
    s.weight[:], s.first[:], s.second[:] = 2.0, 4.0, 10.0
    total: Statistics = s + s.translated([[2.0]]).copy()
    return total


def main() -> None:
    X = rows()
    with warnings.catch_warnings():
        for kind in (ConvergenceWarning, CollapseWarning, SpuriousOptimumWarning):
            warnings.simplefilter("ignore", kind)
        gm = fit(X)
    try:
        GaussianMixture().predict(X)
    except NotFittedError as error:
        print(error)
    try:
        GaussianMixture(0).fit(X)
    except InvalidParameterError as error:
        print(error)
    print(parts(X, distribution(X)).n_components)
    files(gm, distribution(X), X)
    selection(X)
    print(sums(), gaussmix.__version__)
    show_config()


if __name__ == "__main__":
    main()

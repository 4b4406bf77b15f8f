"""What the compiled project finds against gaussmix's Python functions, to the bit."""

import numpy as np

import blockfit
import gaussmix
from gaussmix.functional import e_step, m_step


def main():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 3)) + 4 * rng.integers(3, size=(4000, 1))
    parts = [X[:1500], X[1500:1600], X[1600:]]
    starts = {"full": np.array([np.eye(3)] * 3), "tied": np.eye(3), "diag": np.ones((3, 3)), "spherical": np.ones(3)}
    for structure, covariances in starts.items():
        weights, means = np.array([0.2, 0.3, 0.5]), np.ascontiguousarray(X[:3])
        compiled = blockfit.Mixture(structure, weights, means, covariances)
        mixture = gaussmix.Mixture(weights, means, covariances, structure)
        assert compiled.parameters() == mixture
        np.testing.assert_array_equal(compiled.responsibilities(X), mixture.responsibilities(X))
        history = []
        for _ in range(5):
            total = sum(e_step(part, mixture) for part in parts)
            history.append(total.log_likelihood)
            mixture = m_step(total, structure, reg_covar=1e-6)
        assert compiled.em(parts, 5, reg_covar=1e-6) == history
        assert compiled.parameters() == mixture
        np.testing.assert_array_equal(compiled.responsibilities(X), mixture.responsibilities(X))

    lost = blockfit.Mixture("full", np.array([0.5, 0.5]), np.array([[0.0] * 3, [1e9] * 3]), np.array([np.eye(3)] * 2))
    try:
        lost.em(parts, 1)
    except ValueError as error:
        assert str(error) == "component 1: a component has no weight", error
    else:
        raise AssertionError("a component without rows has no mean")
    try:
        lost.responsibilities(np.array([[0.0, np.nan, 0.0]]))
    except ValueError as error:
        assert "NaN" in str(error)
    else:
        raise AssertionError("NaN is no row")
    print("blockfit finds the bits of gaussmix", gaussmix.__version__)


main()

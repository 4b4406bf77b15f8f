"""
A component that collapses
==========================

The likelihood of a Gaussian mixture has no maximum: a component that shrinks onto a few rows with a common value raises it without
bound. With five components on the iris data, many starts end in this way. gaussmix recognizes these optima, and keeps them only where
no start is better (:doc:`../collapse`).
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from gaussmix import GaussianMixture, SpuriousOptimumWarning

X = load_iris().data


def fit(**options):
    """A fit, and whether it warned of a spurious optimum."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gm = GaussianMixture(5, max_iter=1000, **options).fit(X)
    return gm, any(isinstance(w.message, SpuriousOptimumWarning) for w in caught)


# %%
# Each of forty starts is fitted on its own. None of the proper optima has the largest log-likelihood.

fits = [fit(random_state=seed, init_params="k-means++") for seed in range(40)]
scores = np.array([gm.score(X) * len(X) for gm, _ in fits])
spurious = np.array([is_spurious for _, is_spurious in fits])
smallest = np.array([np.linalg.eigvalsh(gm.covariances_).min() ** 0.5 for gm, _ in fits])
print(f"{spurious.sum()} of {len(fits)} are spurious")
print(f"largest log-likelihood: {scores[spurious].max():.1f} spurious, {scores[~spurious].max():.1f} proper")


# %%
# The spurious optima with the highest log-likelihood have a component whose smallest standard deviation is 0.001 cm. This is the square root
# of ``reg_covar``, 1e-6. Nothing else keeps that component from shrinking, and a smaller ``reg_covar`` would make the log-likelihood
# larger still. The others have a component that is too narrow for its few rows. With ``n_init=40`` the best of the proper optima is chosen.

gm, warned = fit(n_init=40, random_state=0, init_params="k-means++")
print(f"n_init=40: log-likelihood {gm.score(X) * len(X):.1f}, {'spurious' if warned else 'proper'}")

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for which, marker, colour, label in ((spurious, "x", "tab:red", "spurious"), (~spurious, "o", "tab:blue", "proper")):
    ax.plot(smallest[which], scores[which], marker, color=colour, label=label)
ax.axhline(gm.score(X) * len(X), color="0.5", ls="--", lw=1, label="chosen by n_init=40")
ax.set(xscale="log", xlabel="smallest standard deviation of any component, in any direction (cm)", ylabel="log-likelihood",
       title="A higher log-likelihood may be worth nothing")
ax.legend()
plt.show()

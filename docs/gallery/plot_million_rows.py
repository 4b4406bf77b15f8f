"""
A million rows
==============

Any number of rows can be drawn from a mixture that was fitted to real data. Here gaussmix and scikit-learn fit a million of them, with
the four features of the iris data, from the same start, for the same number of iterations.
The times in this page are those of the machine that built it; :doc:`../speed` has measurements that were made with more care.
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import sklearn.mixture
from sklearn.datasets import load_iris

from gaussmix import GaussianMixture

source = GaussianMixture(3, n_init=5, random_state=0).fit(load_iris().data).mixture_
X = source.rvs(1_000_000, random_state=0)
start = dict(weights_init=np.full(3, 1 / 3), means_init=X[:3], precisions_init=np.tile(np.eye(4), (3, 1, 1)), tol=0, max_iter=4,
             init_params="random_from_data", random_state=0)

# %%
# Each makes four iterations, because with ``tol=0`` neither stops before. Neither has converged then, so the warning is switched off.

warnings.filterwarnings("ignore", "Best performing initialization did not converge")
seconds, fits = {}, {}
for name, kind in (("gaussmix", GaussianMixture), ("scikit-learn", sklearn.mixture.GaussianMixture)):
    model = kind(3, **start)
    begun = time.perf_counter()
    fits[name] = model.fit(X)
    seconds[name] = time.perf_counter() - begun
    print(f"{name}: {seconds[name]:.2f} s for a fit of four iterations, mean log-likelihood {model.lower_bound_:.12f}")
difference = np.abs(fits["gaussmix"].means_ - fits["scikit-learn"].means_).max()
print(f"largest difference of a mean: {difference:.1e}")

fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
bars = ax.barh(list(seconds), list(seconds.values()), color=["tab:blue", "0.6"])
ax.bar_label(bars, [f"{value:.2f} s" for value in seconds.values()], padding=4)
ax.margins(x=0.15)
ax.set(xlabel="seconds for a fit of four iterations", title="A million rows, four features, three components")
plt.show()

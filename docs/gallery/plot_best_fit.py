"""
Is this the best fit?
=====================

The likelihood has many optima, and EM ends in the one that its start leads to. ``n_init="auto"`` searches for the best one, and tells
what it found (:doc:`../guide/best-fit`).
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

from gaussmix import GaussianMixture

X = load_wine().data[:, [0, 6, 9, 12]]  # alcohol, flavanoids, colour, proline

# %%
# A search with five components. Each of its rounds makes two starts, takes the better end, and improves it by swaps: a component
# is taken away where it is and put elsewhere, and EM begins anew from there. At the end the best optima are spliced, two at a time, and
# what comes of it is improved in turn.

gm = GaussianMixture(5, n_init="auto", random_state=0, reg_covar="auto").fit(X)
print(gm.search_)

# %%
# Dots count where the first starts of the rounds ended, diamonds where the rounds did, triangles where splices did. Single starts end all
# over, and those in grey are spurious. Most rounds end in the same optimum: that makes a better one unlikely.

fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
gm.search_.plot(ax=ax)
ax.set_title("Where EM ends on the wine data", loc="left")
plt.show()

# %%
# What ``tol=1e-3`` leaves on the table. EM stops where the mean log-likelihood of a row changes by less than ``tol``. Where components
# overlap, this is long before the limit: every step gains little, but there are many of them.

rng = np.random.default_rng(0)
Z = np.concatenate([rng.normal(centre, 1, (10_000, 2)) for centre in (0.0, 1.5, 3.0)])
start = dict(random_state=0, init_params="kmeans")
plain = GaussianMixture(3, tol=0, max_iter=3000, **start)
accelerated = GaussianMixture(3, tol=0.1, stopping="distance", algorithm="accelerated", max_iter=3000, **start).fit(Z)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # with tol=0 it does not converge
    plain.fit(Z)
limit = max(plain.history_[-1], accelerated.history_[-1])
left = (limit - np.array(plain.history_)) * len(Z)
stopped = int(np.argmax(np.abs(np.diff(plain.history_)) < 1e-3)) + 1
print(f"tol=1e-3 stops after {stopped + 1} iterations, {left[stopped]:.0f} nats below the limit; "
      f"accelerated, within 0.1 nats: {accelerated.n_iter_} E steps")

fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
ax.plot(np.arange(1, len(left) + 1), left, label="EM")
ax.plot(np.arange(1, len(accelerated.history_) + 1), (limit - np.array(accelerated.history_)) * len(Z), label='algorithm="accelerated"')
ax.plot(stopped + 1, left[stopped], "o", color="tab:red", label="where tol=1e-3 stops")
ax.axhline(0.1, color="0.6", lw=1, ls="--")
ax.set(yscale="log", ylim=(0.01, None), xlim=(0, 600), xlabel="E step", ylabel="log-likelihood below the limit, in nats",
       title="Three clusters that overlap, 30,000 rows")
ax.legend()
plt.show()

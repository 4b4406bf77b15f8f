"""
A few labels as a start
=======================

EM finds the optimum that is near its start, and numbers components as the start does. A few labelled rows can say both where to begin
and which component is which. The labels only set the start, and EM may move a labelled row to another component.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from gaussmix import GaussianMixture

wine = load_wine()
kinds = wine.target
Z = PCA(2, svd_solver="full").fit_transform(StandardScaler().fit_transform(wine.data))
precision = np.linalg.inv(np.cov(Z.T))  # wide at first, so that every row has a share in every component


def fit(rng, n_labels):
    """A fit that begins at the means of labelled rows, and which rows these are: so many of each kind."""
    labelled = np.array([rng.choice(np.flatnonzero(kinds == kind), n_labels, replace=False) for kind in range(3)])
    gm = GaussianMixture(3, weights_init=np.full(3, 1 / 3), means_init=Z[labelled].mean(axis=1),
                         precisions_init=np.tile(precision, (3, 1, 1)), max_iter=500)
    return gm.fit(Z), labelled.ravel()


def accuracy(gm, labelled):
    """How many of the rows without a label get the number of their kind."""
    others = np.setdiff1d(np.arange(len(Z)), labelled)
    return (gm.predict(Z[others]) == kinds[others]).mean()


# %%
# For each number of labels, the rows that have them are chosen twenty times.

counts = [1, 2, 3, 5, 10]
found = {n: [accuracy(*fit(np.random.default_rng(seed), n)) for seed in range(20)] for n in counts}
for n, values in found.items():
    print(f"{n:2} of each kind labelled: {np.mean(values):.1%} of the others right on average, {min(values):.1%} at worst")

# %%
# If only one wine of each kind has a label, it may be an unusual wine. EM may then end with two components exchanged.

gm, labelled = fit(np.random.default_rng(0), 3)
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
axes[0].scatter(*Z.T, c=gm.predict(Z), cmap="viridis", s=14)
axes[0].scatter(*Z[labelled].T, c=kinds[labelled], cmap="viridis", s=90, edgecolor="black", lw=1.5, label="labelled")
axes[0].set(xlabel="first principal component", ylabel="second", title="Three labels of each kind, and what was found")
axes[0].legend()
for n, values in found.items():
    axes[1].plot(np.full(len(values), n), values, "o", color="tab:blue", alpha=0.4, ms=5)
axes[1].plot(counts, [np.mean(values) for values in found.values()], "k-", label="mean")
axes[1].set(xlabel="labelled rows of each kind", ylabel="share of the other rows that is right", title="Twenty choices each")
axes[1].legend()
plt.show()

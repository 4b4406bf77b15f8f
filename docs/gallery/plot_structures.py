"""
Covariance structures on the irises
===================================

Three components are fitted to the iris data under each of the four structures. A structure says what the components' ellipses may look
like: any ellipse each (full), one ellipse for all (tied), ellipses along the axes (diag), circles (spherical).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from gaussmix import GaussianMixture

iris = load_iris()
X = iris.data[:, 2:]  # length and width of the petals
angle = np.linspace(0, 2 * np.pi, 200)
circle = np.column_stack([np.cos(angle), np.sin(angle)])

fig, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, sharey=True, layout="constrained")
for ax, structure in zip(axes.flat, ("full", "tied", "diag", "spherical")):
    gm = GaussianMixture(3, covariance_type=structure, n_init=10, random_state=0).fit(X)
    order = np.argsort(gm.means_[:, 0])  # so that a colour means the same cluster in each picture
    names = np.argsort(order)[gm.predict(X)]
    ax.scatter(*X.T, c=names, cmap="viridis", s=14)
    for k in order:
        covariance = gm.mixture_.covariances[k]  # a matrix, whatever the structure
        ax.plot(*(gm.means_[k] + 2.45 * circle @ np.linalg.cholesky(covariance).T).T, color="black", lw=1.2)
    ax.set_aspect("equal")  # a circle is to look like one
    ax.set_title(f"{structure}: {gm.n_parameters_} parameters, BIC {gm.bic(X):.0f}")
fig.supxlabel("petal length (cm)")
fig.supylabel("petal width (cm)")
plt.show()

# %%
# The components were found without the names of the species. The table compares them with the species.

gm = GaussianMixture(3, n_init=10, random_state=0).fit(X)
table = np.zeros((3, 3), dtype=int)
np.add.at(table, (iris.target, np.argsort(np.argsort(gm.means_[:, 0]))[gm.predict(X)]), 1)
for name, line in zip(iris.target_names, table):
    print(f"{name:>12}", *(f"{n:4}" for n in line))

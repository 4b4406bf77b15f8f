"""
Clusters of Old Faithful
========================

The geyser Old Faithful erupts either for a short or for a long time, and the wait until its next eruption is short or long
accordingly. A mixture of two components finds the two kinds of eruption without being told of them.
"""

import matplotlib.pyplot as plt
import numpy as np

from gaussmix import GaussianMixture

X = np.loadtxt("../../examples/faithful.csv", delimiter=",", skiprows=1)
gm = GaussianMixture(n_components=2, random_state=0).fit(X)
print(gm.summary(X))

# %%
# An ellipse holds the rows whose squared Mahalanobis distance from the mean is at most 5.99, which are 95 % of a normal distribution
# in two dimensions. Its axes are the eigenvectors of the covariance.
# The colour of a row is its responsibility of component 0. Only a few rows are between the two.


def ellipse(mean, covariance, distance):
    """The points at a squared Mahalanobis distance from the mean."""
    angle = np.linspace(0, 2 * np.pi, 200)
    values, vectors = np.linalg.eigh(covariance)
    return mean + np.column_stack([np.cos(angle), np.sin(angle)]) * np.sqrt(distance * values) @ vectors.T


fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
rows = ax.scatter(*X.T, c=gm.predict_proba(X)[:, 0], cmap="coolwarm", s=18)
for mean, covariance in zip(gm.means_, gm.covariances_):
    ax.plot(*ellipse(mean, covariance, 5.99).T, color="black", lw=1.5)
    ax.plot(*mean, "k+", ms=12)
fig.colorbar(rows, label="responsibility of component 0")
ax.set(xlabel="eruption (minutes)", ylabel="waiting (minutes)", title="95 % of each of two components")
plt.show()

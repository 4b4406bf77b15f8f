"""
Sample weights
==============

A row of weight 2 counts as two rows. Weights are useful for rows that were counted and for rows that are more or less certain. Here
they are the energy of earthquakes near Fiji. Without weights the mixture says where earthquakes are frequent. With weights it says where
energy is released.
"""

import matplotlib.pyplot as plt
import numpy as np

from gaussmix import GaussianMixture

latitude, longitude, depth, magnitude = np.loadtxt("../../tests/data/reference/quakes.csv", delimiter=",").T
X = np.column_stack([longitude, latitude])
energy = 10 ** (1.5 * magnitude)  # one magnitude is a factor of about 32 in energy
energy *= len(X) / energy.sum()
print(f"half of the energy is that of the {np.searchsorted(np.cumsum(np.sort(energy)[::-1]), len(X) / 2) + 1} strongest of {len(X)}")

# %%
# Both mixtures begin at the same place, the clusters that k-means finds.

fits = {
    "every earthquake counts as one": GaussianMixture(3, random_state=0).fit(X),
    "every earthquake counts by its energy": GaussianMixture(3, random_state=0).fit(X, sample_weight=energy),
}
x, y = np.meshgrid(np.linspace(164, 190, 250), np.linspace(-40, -9, 250))
grid = np.column_stack([x.ravel(), y.ravel()])
fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), sharex=True, sharey=True, layout="constrained")
for ax, (title, gm) in zip(axes, fits.items()):
    ax.contourf(x, y, gm.mixture_.pdf(grid).reshape(x.shape), levels=20, cmap="YlOrBr")
    ax.scatter(*X.T, s=2 + 8 * energy / energy.mean(), facecolor="none", edgecolor="black", lw=0.5)
    ax.set(title=title, xlabel="longitude (degrees)")
axes[0].set_ylabel("latitude (degrees)")
plt.show()

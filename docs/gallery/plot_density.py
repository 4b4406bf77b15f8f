"""
Density and highest-density regions
===================================

A mixture is a density. Its *highest-density region* of 90 % is the smallest region that holds 90 % of the probability. The density is
at least some level t everywhere inside it, and t is the 10 % quantile of the density at rows drawn from the mixture: nine in ten of
these rows have a higher density.
"""

import matplotlib.pyplot as plt
import numpy as np

from gaussmix import GaussianMixture

X = np.loadtxt("../../examples/faithful.csv", delimiter=",", skiprows=1)
mixture = GaussianMixture(3, covariance_type="tied", n_init=5, random_state=0).fit(X).mixture_

shares = [0.99, 0.9, 0.5]
drawn = mixture.pdf(mixture.rvs(100_000, random_state=0))
levels = np.quantile(drawn, [1 - share for share in shares])
inside = [(mixture.pdf(X) >= level).mean() for level in levels]
for share, found in zip(shares, inside):
    print(f"region of {share:.0%}: {found:.1%} of the rows of the data are in it")

# %%
# The density on a grid, with the border of each region.

x, y = np.meshgrid(np.linspace(1, 6, 300), np.linspace(35, 105, 300))
density = mixture.pdf(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)

fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
ax.contourf(x, y, density, levels=30, cmap="Blues")
borders = ax.contour(x, y, density, levels=levels, colors=["#fdae61", "#d7191c", "#7b0000"])
ax.clabel(borders, fmt=dict(zip(borders.levels, (f"{share:.0%}" for share in shares))))
ax.plot(*X.T, "k.", ms=3)
ax.set(xlabel="eruption (minutes)", ylabel="waiting (minutes)", title="Highest-density regions")
plt.show()

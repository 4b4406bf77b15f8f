"""
How many components?
====================

:func:`gaussmix.select` fits every number of components under every covariance structure and keeps the fit with the lowest BIC. BIC
weighs the log-likelihood against the number of free parameters, so that more components do not always have a lower BIC.
"""

import matplotlib.pyplot as plt
import numpy as np

from gaussmix import select

X = np.loadtxt("../../examples/faithful.csv", delimiter=",", skiprows=1)
structures = ["full", "tied", "diag", "spherical"]
selection = select(X, range(1, 8), structures, n_init=5, random_state=0)
print(selection)

# %%
# Spherical components cannot follow these clusters, as minutes of waiting vary much more than minutes of eruption: their BIC is far
# above the others and goes on falling, because many small circles are needed to cover one ellipse. They are left out of the second
# picture, which shows that three components with a common covariance are a little ahead of two with covariances of their own.

fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, shown in zip(axes, (structures, structures[:3])):
    for name in shown:
        candidates = [c for c in selection.candidates if c.covariance_type == name]
        ax.plot([c.n_components for c in candidates], [c.bic for c in candidates], "o-", ms=4, label=name)
    ax.plot(selection.chosen.n_components, selection.chosen.bic, "o", ms=13, mfc="none", mec="black", label="chosen")
    ax.set(xlabel="components", ylabel="BIC (lower is better)")
    ax.legend()
axes[1].set_ylim(2300, 2420)
plt.show()

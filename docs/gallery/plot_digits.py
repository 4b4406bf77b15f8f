"""
Drawing new digits
==================

New rows can be drawn from a density. Here, handwritten digits of 8 × 8 pixels are projected to 20 principal components, and a mixture is
fitted to them. Rows drawn from the mixture are projected back, and give digits that nobody wrote.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from gaussmix import select

X = load_digits().data
pca = PCA(20, whiten=False, svd_solver="full").fit(X)
Z = pca.transform(X)
selection = select(Z, range(5, 41, 5), "full", n_init=2, reg_covar=1e-2, random_state=0)
print(selection)

# %%
# Left: digits of the data. Right: rows of the mixture that BIC chose.

rng = np.random.default_rng(0)
real = X[rng.choice(len(X), 30, replace=False)]
drawn = pca.inverse_transform(selection.best.mixture_.rvs(30, random_state=0))
fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", gridspec_kw={"wspace": 0.1})
for ax, digits, title in zip(axes, (real, drawn), ("from the data", "from the mixture")):
    framed = np.pad(digits.reshape(5, 6, 8, 8), [(0, 0), (0, 0), (1, 1), (1, 1)])
    ax.imshow(framed.transpose(0, 2, 1, 3).reshape(50, 60), cmap="gray_r", vmin=0, vmax=16)
    ax.set_title(title)
    ax.set_axis_off()
plt.show()

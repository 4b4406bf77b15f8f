"""
Segments of a photograph
========================

The pixels of a photograph are rows of red, green and blue. A mixture of their colours gives each pixel a component, and the mean of a
component is a colour. The picture is redrawn with eight of these colours.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from gaussmix import GaussianMixture

image = load_sample_image("china.jpg")
pixels = image.reshape(-1, 3).astype(np.float32) / 255
begun = time.perf_counter()
gm = GaussianMixture(8, reg_covar="auto", max_iter=200, random_state=0).fit(pixels)
labels = gm.predict(pixels)
print(f"{len(pixels):,} pixels: {gm.n_iter_} iterations, {time.perf_counter() - begun:.1f} s with the labels")

# %%
# The time is that of the machine that built this page; the fit is the same everywhere but for rounding.

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
axes[0].imshow(image)
axes[0].set_title("the photograph")
axes[1].imshow(gm.means_[labels].reshape(image.shape))
axes[1].set_title("each pixel in the mean colour of its component")
for ax in axes:
    ax.set_axis_off()
plt.show()

# %%
# Each picture shows the responsibilities of one component. The largest components come first.

shares = gm.predict_proba(pixels)
fig, axes = plt.subplots(2, 4, figsize=(10, 4), layout="constrained")
for ax, k in zip(axes.flat, np.argsort(-gm.weights_)):
    ax.imshow(shares[:, k].reshape(image.shape[:2]), cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{gm.weights_[k]:.0%}", color=np.clip(gm.means_[k] * 0.8, 0, 1), weight="bold")
    ax.set_axis_off()
plt.show()

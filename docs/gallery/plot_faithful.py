"""
Clusters of Old Faithful
========================

The geyser Old Faithful erupts for a short or for a long time, and the wait until the next eruption is short or long accordingly.
A mixture of two components finds the two kinds without being told of them.
"""

import matplotlib.pyplot as plt
import numpy as np

from gaussmix import GaussianMixture

X = np.loadtxt("../../examples/faithful.csv", delimiter=",", skiprows=1)
gm = GaussianMixture(n_components=2, random_state=0).fit(X)
labels = gm.predict(X)
plt.scatter(*X.T, c=labels)

"""
Anomalies by log-density
========================

A mixture that was fitted to ordinary rows gives a low density to unusual ones. Here it is fitted to measurements of benign tumours. It
is then applied to malignant tumours, and to benign ones that were not in the fit. The fit uses no information about malignant tumours.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from gaussmix import select

data = load_breast_cancer()
names = ["worst radius", "worst texture", "worst smoothness", "worst symmetry"]
X = np.log(data.data[:, [list(data.feature_names).index(name) for name in names]])
benign, malignant = X[data.target == 1], X[data.target == 0]
rng = np.random.default_rng(0)
benign = benign[rng.permutation(len(benign))]
known, unseen = benign[:250], benign[250:]

selection = select(known, range(1, 6), ["full", "tied", "diag"], n_init=3, random_state=0)
gm = selection.best
print(gm)

# %%
# The score of a row is the logarithm of its density. The threshold is the value below which one in twenty of the known rows lies.

threshold = np.quantile(gm.score_samples(known), 0.05)
scores = {"benign, not seen before": gm.score_samples(unseen), "malignant": gm.score_samples(malignant)}
for name, values in scores.items():
    print(f"{name}: {np.mean(values < threshold):.0%} of {len(values)} are below the threshold")
truth = np.repeat([0, 1], [len(unseen), len(malignant)])
print(f"area under the ROC curve: {roc_auc_score(truth, -np.concatenate(list(scores.values()))):.3f}")

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
bins = np.linspace(-16, 5, 43)
for (name, values), colour in zip(scores.items(), ("tab:blue", "tab:red")):
    ax.hist(np.clip(values, bins[0], bins[-1]), bins, density=True, alpha=0.6, color=colour, label=name)
ax.axvline(threshold, color="black", ls="--", label="threshold")
ax.set(xlabel="log-density (lower ones in the first bin)", ylabel="share of rows per unit", title="What the mixture has not seen")
ax.legend()
plt.show()

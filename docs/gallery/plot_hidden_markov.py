"""
Old Faithful as a Markov chain
==============================

The eruptions in the file follow one another. Does the length of one tell the length of the next? A hidden Markov model can answer
this. Its states are components, and a transition matrix takes the place of the weights. gaussmix has the parts that such a model needs:
:meth:`gaussmix.Mixture.component_logpdf`, :func:`gaussmix.functional.moments` and :func:`gaussmix.functional.m_step`. Between
them comes a forward-backward pass. :doc:`../examples/hidden-markov` has a faster one, and explains it.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp

from gaussmix import GaussianMixture
from gaussmix.functional import m_step, moments

X = np.loadtxt("../../examples/faithful.csv", delimiter=",", skiprows=1)


def forward_backward(log_emissions, start, transitions):
    """Posteriors of states (N, K), expected numbers of transitions (K, K), log-likelihood; with logarithms throughout."""
    ahead, back, log_transitions = np.empty_like(log_emissions), np.zeros_like(log_emissions), np.log(transitions)
    ahead[0] = np.log(np.maximum(start, 1e-300)) + log_emissions[0]
    for n in range(1, len(ahead)):
        ahead[n] = logsumexp(ahead[n - 1][:, None] + log_transitions, axis=0) + log_emissions[n]
    for n in range(len(back) - 1, 0, -1):
        back[n - 1] = logsumexp(log_transitions + log_emissions[n] + back[n], axis=1)
    total = logsumexp(ahead[-1])
    pairs = ahead[:-1, :, None] + log_transitions + (log_emissions + back)[1:, None, :] - total
    return np.exp(ahead + back - total), np.exp(pairs).sum(axis=0), total


# %%
# Baum and Welch's algorithm from the mixture of the same number of components:

mixture = GaussianMixture(2, random_state=0).fit(X).mixture_
start, transitions = mixture.weights, np.tile(mixture.weights, (2, 1))
history = []
for _ in range(50):
    posteriors, counts, log_likelihood = forward_backward(mixture.component_logpdf(X), start, transitions)
    history.append(log_likelihood)
    start, transitions = posteriors[0], counts / counts.sum(axis=1, keepdims=True)
    mixture = m_step(moments(X, posteriors, reference=mixture.means))
short, long = np.argsort(mixture.means[:, 0])
print(f"log-likelihood {history[0]:.1f} of a mixture, {history[-1]:.1f} of a chain")
for k, name in ((short, "short"), (long, "long")):
    print(f"after a {name} eruption: {transitions[k, short]:.0%} short, {transitions[k, long]:.0%} long")

# %%
# A short eruption is almost always followed by a long one.

fig, axes = plt.subplots(2, 1, figsize=(9, 5.5), layout="constrained")
colours = np.where(posteriors[:, long] > 0.5, "tab:red", "tab:blue")
axes[0].plot(X[:80, 0], color="0.8", zorder=0)
axes[0].scatter(range(80), X[:80, 0], c=colours[:80], s=20)
axes[0].set(xlabel="eruption, in the order of the file", ylabel="minutes", title="The first eighty eruptions, coloured by their state")
axes[1].scatter(X[:-1, 0], X[1:, 0], c=colours[:-1], s=14)
axes[1].set(xlabel="minutes of an eruption", ylabel="minutes of the next one")
plt.show()

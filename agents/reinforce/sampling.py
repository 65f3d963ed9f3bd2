"""The actions of a softmax policy.

N observations, A actions.
"""

from __future__ import annotations

import numpy as np

from tengen.types import Array, Bools, Floats, Ints


def sample_softmax(preferences: Array, legal: Bools | None, rng: np.random.Generator) -> Ints:
    """Return an action for each row [N], drawn from the softmax of the legal actions' preferences.

    The greatest of preferences with Gumbel noise is distributed so, and is legal whatever is rounded.

    Args:
        preferences: [N, A].
        legal: [N, A]; None: all actions are.
        rng: Draws the noise.
    """
    noisy = preferences + rng.gumbel(size=preferences.shape)
    if legal is not None:
        noisy[~legal] = -np.inf
    actions: Ints = noisy.argmax(1)
    return actions


def softmax(preferences: Array, legal: Bools | None) -> Floats:
    """Return the probabilities [N, A] that `sample_softmax` draws with.

    Args:
        preferences: [N, A].
        legal: [N, A]; None: all actions are.
    """
    masked = preferences if legal is None else np.where(legal, preferences, -np.inf)
    weights = np.exp(masked - masked.max(1, keepdims=True))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float64)

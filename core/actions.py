"""Random actions, for exploring and for evaluations that ask for some."""

from __future__ import annotations

import numpy as np

from tengen.types import Floats, Ints, TimeStep


def random_actions(step: TimeStep, num_actions: int, rng: np.random.Generator) -> Ints:
    """Return a uniformly drawn legal action for each row, int64 [B]."""
    if step.legal is None:
        return rng.integers(num_actions, size=len(step.reward))
    chosen = rng.integers(np.count_nonzero(step.legal, axis=1))  # [B], the how-manieth legal action
    actions: Ints = (step.legal.cumsum(axis=1) > chosen[:, None]).argmax(axis=1)
    return actions


def random_probabilities(step: TimeStep, num_actions: int) -> Floats:
    """Return the probability of each action that `random_actions` draws with, [B, A]."""
    if step.legal is None:
        return np.full((len(step.reward), num_actions), 1.0 / num_actions)
    probabilities: Floats = step.legal / step.legal.sum(axis=1, keepdims=True)
    return probabilities

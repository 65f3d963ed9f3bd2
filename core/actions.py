"""Random actions, for exploring and for evaluations that ask for some."""

from __future__ import annotations

import numpy as np

from tengen.types import Ints, TimeStep


def random_actions(step: TimeStep, num_actions: int, rng: np.random.Generator) -> Ints:
    """Return a uniformly drawn legal action for each row, int64 [B]."""
    if step.legal is None:
        return rng.integers(num_actions, size=len(step.reward))
    chosen = rng.integers(np.count_nonzero(step.legal, axis=1))  # [B], the how-manieth legal action
    actions: Ints = (step.legal.cumsum(axis=1) > chosen[:, None]).argmax(axis=1)
    return actions

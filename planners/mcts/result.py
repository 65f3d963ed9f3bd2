"""What a search has found, and what is read off it: the action to play, whether to resign.

B games, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen.types import Array, Bools, Floats, Ints


class SearchResult(NamedTuple):
    """What B searches believe of their roots. Values are for the side to move at the root."""

    visits: Ints  # [B, A], those of a kept subtree included
    values: Floats  # [B, A], mean values of the actions; 0 where there are no visits
    value: Floats  # [B], the mean over all visits
    priors: Array  # float32 [B, A], without noise
    policy: Floats  # [B, A], to learn from: the share of visits, or gumbel's improved policy
    actions: Ints  # [B], the most visited (by gumbel: the winner of sequential halving)
    num_simulations: int  # new ones in each game


def sample_actions(result: SearchResult, temperature: float, rngs: list[np.random.Generator]) -> Ints:
    """Draw actions [B] with probabilities proportional to visits ** (1 / temperature).

    Args:
        result: Of a search with at least one simulation.
        temperature: 0 plays the most visited.
        rngs: One generator for each game, [B].
    """
    if temperature == 0:
        return result.actions
    drawn = np.empty(len(result.visits), np.int64)
    for row, (visits, rng) in enumerate(zip(result.visits, rngs, strict=True)):
        weights = (visits / visits.max()) ** (1 / temperature)
        drawn[row] = rng.choice(len(weights), p=weights / weights.sum())
    return drawn


def should_resign(result: SearchResult, threshold: float) -> Bools:
    """Return which games are lost, [B]: even the best of the actions tried is worth less than `threshold`."""
    tried = np.where(result.visits > 0, result.values, -np.inf)
    best = tried[np.arange(len(tried)), result.actions]
    lost: Bools = (np.maximum(best, result.value) < threshold) & np.isfinite(best)
    return lost

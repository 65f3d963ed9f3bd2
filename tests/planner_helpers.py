"""Small decision processes, and what is slow and obvious about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from tengen.tables import Outcome, TransitionTables, tables_from_gymnasium, tabulate
from tengen.types import Bools, Floats


def toy(env_id: str, **kwargs: Any) -> TransitionTables:
    """The tables of a Gymnasium toy-text environment."""
    env: Any = gym.make(env_id, **kwargs).unwrapped
    return tables_from_gymnasium(env.P, env.initial_state_distrib)


def random_tables(
    seed: int,
    discounts: Sequence[float] = (0.0, 1.0),
    *,
    masked: bool = False,
    num_states: int = 6,
    num_actions: int = 3,
) -> TransitionTables:
    """A decision process without rhyme or reason; with `masked` some actions are illegal."""
    rng = np.random.default_rng(seed)

    def outcomes(state: int, action: int) -> list[Outcome]:
        return [
            (float(p), int(rng.integers(num_states)), float(rng.normal()), float(rng.choice(discounts)))
            for p in rng.dirichlet(np.ones(rng.integers(1, 4)))
        ]

    legal = rng.random((num_states, num_actions)) < 0.6
    legal[np.arange(num_states), rng.integers(num_actions, size=num_states)] = True
    initial = rng.dirichlet(np.ones(num_states))
    return tabulate(num_states, num_actions, outcomes, initial, legal=legal if masked else None)


class Dense:
    """The same decision process as full matrices, which Bellman's equations are written down with."""

    def __init__(self, tables: TransitionTables, gamma: float) -> None:
        num_states, num_actions = tables.num_states, tables.num_actions
        self.rewards = np.zeros((num_states, num_actions))
        self.follows = np.zeros((num_states, num_actions, num_states))  # probability times gamma times discount
        for state in range(num_states):
            for action in range(num_actions):
                for probability, next_state, reward, discount in tables.outcomes(state, action):
                    self.rewards[state, action] += probability * reward
                    self.follows[state, action, next_state] += probability * gamma * discount
        self.legal: Bools = tables.legal if len(tables.legal) else np.ones((num_states, num_actions), np.bool_)

    def q(self, values: Floats) -> Floats:
        """What each action is worth."""
        return np.asarray(self.rewards + self.follows @ values)

    def best(self, values: Floats) -> Floats:
        """What the best legal action is worth."""
        return np.asarray(np.where(self.legal, self.q(values), -np.inf).max(1))

    def under(self, policy: Floats, values: Floats) -> Floats:
        """What a policy [S, A] makes of a state."""
        return np.asarray((policy * self.q(values)).sum(1))

    def optimal_values(self, sweeps: int = 3_000) -> Floats:
        """By so many backups of everything."""
        values = np.zeros(len(self.rewards))
        for _ in range(sweeps):
            values = self.best(values)
        return values

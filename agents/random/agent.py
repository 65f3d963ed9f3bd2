"""The agent that chooses uniformly among the legal actions.

B batch, A actions.
"""

from __future__ import annotations

import numpy as np

from tengen.actions import random_actions, random_probabilities
from tengen.types import Decision, Floats, Ints, Metrics, State, TimeStep


class RandomPolicy:
    """Uniform among the legal actions."""

    def __init__(self, num_actions: int) -> None:
        self._num_actions = num_actions

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        return random_actions(step, self._num_actions, rng)

    def probabilities(self, step: TimeStep) -> Floats:
        """Return the probability of each action in each row, [B, A]."""
        return random_probabilities(step, self._num_actions)


class RandomAgent:
    """Uniform among the legal actions; there is nothing to learn."""

    def __init__(self, num_actions: int, rng: np.random.Generator) -> None:
        self._policy = RandomPolicy(num_actions)
        self._rng = rng

    def act(self, step: TimeStep) -> Decision:
        """Choose a legal action for each row."""
        return Decision(self._policy.act(step, self._rng))

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Learn nothing."""
        return {}

    def policy(self) -> RandomPolicy:
        """Return the uniform policy."""
        return self._policy

    def state_dict(self) -> State:
        """Return the generator's state."""
        return {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._rng.bit_generator.state = state["rng"]

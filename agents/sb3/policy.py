"""What a model of stable-baselines3 has learnt, as a Policy.

B rows, A actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tengen.types import Floats, Ints, TimeStep


class SB3Policy:
    """The likeliest or best actions: `model.predict(observation, deterministic=True)`.

    Args:
        policy: stable-baselines3's policy. Its memory is shared.
    """

    def __init__(self, policy: Any) -> None:
        self._policy = policy

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one action for each row, [B]. Draws nothing."""
        actions, _ = self._policy.predict(np.array(step.observation), deterministic=True)
        return np.asarray(actions, np.int64)


class SB3StochasticPolicy:
    """Actions drawn by an actor's own probabilities.

    Args:
        policy: stable-baselines3's policy, of an actor and a critic. Its memory is shared.
    """

    def __init__(self, policy: Any) -> None:
        self._policy = policy

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one action for each row, [B]."""
        sums = self.probabilities(step).cumsum(1)
        drawn: Ints = (rng.random((len(sums), 1)) * sums[:, -1:] >= sums).sum(1)
        return drawn

    @torch.no_grad()
    def probabilities(self, step: TimeStep) -> Floats:
        """Return the probability of each action in each row, [B, A]."""
        self._policy.set_training_mode(False)
        observation, _ = self._policy.obs_to_tensor(np.array(step.observation))
        distribution = self._policy.get_distribution(observation).distribution
        probabilities: Floats = distribution.probs.cpu().numpy().astype(np.float64)
        probabilities /= probabilities.sum(1, keepdims=True)
        return probabilities

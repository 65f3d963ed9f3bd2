"""How a learner practises: which transitions it is given, and what becomes of its errors."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from tengen.agents.dqn.learner import Learner
from tengen.contracts import PrioritizingReplay, Replay
from tengen.types import Metrics, Transition


class Practice(Protocol):
    """One update."""

    def __call__(self, learner: Learner, num_steps: int) -> Metrics:
        """Let a learner make one update after a number of environment steps."""
        ...


class UniformPractice:
    """Every transition counts the same.

    Args:
        replay: Gives the batches.
        batch_size: N.
    """

    def __init__(self, replay: Replay[Transition], batch_size: int) -> None:
        self.replay, self.batch_size = replay, batch_size

    def __call__(self, learner: Learner, num_steps: int) -> Metrics:
        """Learn from a batch."""
        return learner.update(self.replay.sample(self.batch_size), num_steps).metrics


class PrioritizedPractice:
    """Transitions that were predicted badly come back more often, and weigh less (Schaul et al. 2016, algorithm 1).

    Args:
        replay: Gives the batches, and is told the errors.
        batch_size: N.
    """

    def __init__(self, replay: PrioritizingReplay, batch_size: int) -> None:
        self.replay, self.batch_size = replay, batch_size

    def __call__(self, learner: Learner, num_steps: int) -> Metrics:
        """Learn from a batch, and renew the priorities of its transitions."""
        batch, weights, indices = self.replay.sample(self.batch_size)
        metrics, errors = learner.update(batch, num_steps, weights)
        of_each = errors.cpu().numpy() if isinstance(errors, torch.Tensor) else errors
        self.replay.update_priorities(indices, of_each.astype(np.float64))
        return {**metrics, "losses/mean_weight": float(weights.mean())}

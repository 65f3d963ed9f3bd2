"""No replay: the latest step only, for learning online and for showing what replay is good for."""

from __future__ import annotations

import numpy as np

from tengen.types import Decision, State, TimeStep, Transition


class LatestStep:
    """Holds the transitions of the latest step; a sample is all of them, whatever size is asked for.

    Args:
        num_envs: B.
        gamma: Discount factor.
    """

    def __init__(self, num_envs: int, gamma: float) -> None:
        self.capacity = num_envs
        self.gamma = gamma
        self._latest: Transition | None = None

    def __len__(self) -> int:
        return 0 if self._latest is None else len(self._latest.action)

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        """Forget the step before, remember this one."""
        self._latest = Transition(
            step.observation,
            decision.actions,
            next_step.reward.astype(np.float32),
            (self.gamma * next_step.discount).astype(np.float32),
            next_step.observation,
            next_step.legal,
        )

    def sample(self, batch_size: int) -> Transition:
        """Return the latest step of every environment."""
        assert self._latest is not None, "nothing was added yet"
        return self._latest

    def state_dict(self) -> State:
        """Return the latest step."""
        return {} if self._latest is None else dict(self._latest._asdict())

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self._latest = Transition(**state) if state else None

"""A world of two steps with known values, for one side or for two that take turns.

In state 0 action 1 earns 1 and action 0 nothing; in state 1 either costs 2, and the episode ends. Of two sides the
other one moves in state 1, where action 1 is illegal.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from tengen.types import Bools, EnvSpec, Floats, Ints, State, TimeStep

COST = 2.0


class TwoSteps:
    """Rows that go through their episodes together.

    Args:
        num_envs: B.
        sides: 1 or 2.
    """

    def __init__(self, num_envs: int, sides: int) -> None:
        observations, actions = gym.spaces.Box(0, 1, (2,), np.float32), gym.spaces.Discrete(2)
        game = sides == 2
        self.spec = EnvSpec("two steps", observations, actions, num_envs, has_legal=game, alternates=game)
        self._now = self._start()

    def reset(self, seed: int | Ints) -> TimeStep:
        self._now = self._start()
        return self._now

    def step(self, actions: Ints) -> TimeStep:
        if self._now.observation[0, 0] == 1:
            discount = -1.0 if self.spec.alternates else 1.0
            self._now = self._show(1, (actions == 1).astype(np.float64), discount)
        else:
            self._now = self._show(1, np.full(self.spec.num_envs, -COST), 0.0)
        return self._now

    def reset_done(self, seeds: Ints | None = None) -> TimeStep:
        if self._now.last[0]:
            self._now = self._start()
        return self._now

    def state_dict(self) -> State:
        raise NotImplementedError

    def load_state_dict(self, state: State) -> None:
        raise NotImplementedError

    def close(self) -> None: ...

    def _start(self) -> TimeStep:
        return self._show(0, np.zeros(self.spec.num_envs), 1.0, first=True)

    def _show(self, state: int, reward: Floats, discount: float, *, first: bool = False) -> TimeStep:
        num = self.spec.num_envs
        last = np.full(num, discount == 0)
        legal: Bools | None = None
        if self.spec.has_legal:
            legal = np.ones((num, 2), np.bool_)
            legal[:, 1] = state == 0 or discount == 0
        observation = np.tile(np.eye(2, dtype=np.float32)[state], (num, 1))
        return TimeStep(observation, reward, np.full(num, discount), np.full(num, first), last, legal)


def true_values(gamma: float, sides: int, reward_clip: float | None) -> Floats:
    """The values [2, 2] of states and actions; of an illegal action NaN."""
    cost = min(COST, reward_clip or COST)
    after = gamma * (cost if sides == 2 else -cost)
    return np.array([[after, 1 + after], [-cost, np.nan if sides == 2 else -cost]])

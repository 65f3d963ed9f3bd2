"""What PQN remembers: the latest T steps of every environment, from one update to the next.

T time, B environments, A actions, N = T * B transitions.
"""

from __future__ import annotations

import numpy as np

from tengen.returns import lambda_returns
from tengen.types import Array, Decision, EnvSpec, Floats, State, TimeStep


class Rollout:
    """Steps in the order in which they came, each array [T, B, ...].

    Args:
        spec: The environment.
        length: T.
    """

    def __init__(self, spec: EnvSpec, length: int) -> None:
        space = spec.observation_space
        assert space.shape is not None
        shape = (length, spec.num_envs)
        self.length = length
        self.num_steps = 0  # held, of each environment
        self.observation: Array = np.zeros((*shape, *space.shape), space.dtype)  # [T, B, ...]
        self.action = np.zeros(shape, np.int64)
        self.reward = np.zeros(shape)
        self.discount = np.zeros(shape)
        self.last = np.zeros(shape, np.bool_)
        self.value = np.zeros(shape)  # of `observation`
        self.final_value = np.zeros(shape)  # of what followed, where it isn't the next step's observation

    @property
    def is_full(self) -> bool:
        """Whether T steps are held."""
        return self.num_steps == self.length

    @property
    def will_be_full(self) -> bool:
        """Whether the next step is the last that fits."""
        return self.num_steps == self.length - 1

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep, final_value: Floats) -> None:
        """Remember one step of every environment.

        Args:
            step: What was acted upon.
            decision: The actions; its extras hold the `value` [B] of `step`.
            next_step: What followed.
            final_value: [B], of `next_step` where its episode was cut off there, or where no further step fits.
        """
        t = self.num_steps
        self.observation[t] = step.observation
        self.action[t] = decision.actions
        self.reward[t] = next_step.reward
        self.discount[t] = next_step.discount
        self.last[t] = next_step.last
        self.value[t] = decision.extras["value"]
        self.final_value[t] = final_value
        self.num_steps += 1

    def targets(self, gamma: float, trace_decay: float) -> Floats:
        """Return the lambda-returns [T, B] of the actions held, where it is full (Gallici et al. 2024, algorithm 1)."""
        assert self.is_full
        next_value = self.final_value.copy()
        next_value[:-1] = np.where(self.last[:-1], self.final_value[:-1], self.value[1:])
        return lambda_returns(self.reward, self.discount, next_value, self.last, gamma=gamma, lambda_=trace_decay)

    def clear(self) -> None:
        """Forget everything."""
        self.num_steps = 0

    def state_dict(self) -> State:
        """Return the steps held."""
        return {name: array[: self.num_steps] for name, array in self._arrays().items()}

    def load_state_dict(self, state: State) -> None:
        """Hold the steps of a state."""
        self.num_steps = len(state["action"])
        for name, array in self._arrays().items():
            array[: self.num_steps] = state[name]

    def _arrays(self) -> dict[str, Array]:
        return {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}

"""The parts that tabular agents are put together from."""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen.agents._learner_kernels import Linear, StepSize
from tengen.agents.tabular.agent import GreedyTable, TabularAgent
from tengen.agents.tabular.config import ControlConfig, TabularConfig
from tengen.agents.tabular.states import states_of
from tengen.schedules import LinearSchedule
from tengen.types import EnvSpec, Floats, Ints


class Parts:
    """Makes the parts of a tabular agent that its config and its environment call for.

    Args:
        agent: The agent's name, for messages.
        config: Its settings.
        spec: The environment.

    Raises:
        UserError: The observations can't be numbered.
    """

    def __init__(self, agent: str, config: TabularConfig, spec: EnvSpec) -> None:
        self.config = config
        self.spec = spec
        self.states = states_of(spec, agent, config.discretiser, config.bins, config.low, config.high)
        self.num_actions = spec.num_actions

    def table(self) -> Floats:
        """Return action values to begin with, [S, A]."""
        return np.full((self.states.num_states, self.num_actions), self.config.initial_value)

    def values(self) -> Floats:
        """Return state values to begin with, [S]."""
        return np.full(self.states.num_states, self.config.initial_value)

    def no_actions(self) -> Ints:
        """Return that no environment's next action is decided, [B]."""
        return np.full(self.spec.num_envs, -1, np.int64)

    def step_size(self, num_tables: int = 1) -> StepSize:
        """Return the step size, with counters of visits where they count: [S, A] for each table."""
        power = self.config.step_size_power
        visits = (num_tables * self.states.num_states, self.num_actions) if power > 0 else (0, 0)
        return StepSize(_linear(self._step_size_schedule()), float(power), np.zeros(visits, np.int64))

    def epsilon(self) -> Linear:
        """Return the exploration."""
        return _linear(self._epsilon_schedule())

    def control_agent(
        self, learner: Any, rng: np.random.Generator, table: Floats | None = None, num_tables: int = 1
    ) -> TabularAgent:
        """Return an agent that learns action values and whose policy is greedy.

        Args:
            learner: Its NamedTuple.
            rng: The agent's generator.
            table: The values [S, A] that the policy goes by; the learner's `q` unless given.
            num_tables: They are the sum of so many tables of values.
        """
        policy = GreedyTable(self.states, learner.q if table is None else table, num_tables)
        schedules = {"charts/epsilon": self._epsilon_schedule(), "charts/step_size": self._step_size_schedule()}
        return TabularAgent(learner, self.states, policy, rng, schedules)

    def _step_size_schedule(self) -> LinearSchedule:
        config = self.config
        end = config.step_size if config.step_size_end is None else config.step_size_end
        return LinearSchedule(config.step_size, end, config.step_size_decay_steps)

    def _epsilon_schedule(self) -> LinearSchedule:
        assert isinstance(self.config, ControlConfig)
        return LinearSchedule(self.config.epsilon_start, self.config.epsilon_end, self.config.epsilon_decay_steps)


def _linear(schedule: LinearSchedule) -> Linear:
    return Linear(float(schedule.start), float(schedule.end), schedule.num_steps)

"""REINFORCE in a table: its policy, and how the agent is put together.

B environments side by side, S states, A actions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tengen.agents._learner_kernels import Linear
from tengen.agents._trees import empty_trajectory
from tengen.agents.reinforce._reinforce_kernels import Reinforce
from tengen.agents.reinforce.config import ReinforceConfig
from tengen.agents.reinforce.sampling import sample_softmax, softmax
from tengen.agents.tabular.agent import TabularAgent
from tengen.agents.tabular.states import states_of
from tengen.errors import UserError
from tengen.schedules import LinearSchedule
from tengen.types import Array, EnvSpec, Floats, Ints, TimeStep


class SoftmaxTable:
    """Draws a legal action by the softmax of its preferences (S&B eq. 13.2).

    Args:
        states: Numbers observations.
        theta: Preferences [S, A]; they may go on learning.
        baseline: State values [S] that returns are compared with; [0]: there are none. They may go on learning.
    """

    def __init__(self, states: Callable[[Array], Ints], theta: Floats, baseline: Floats) -> None:
        self.states = states
        self.theta = theta
        self.baseline = baseline

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        return sample_softmax(self.theta[self.states(step.observation)], step.legal, rng)

    def probabilities(self, step: TimeStep) -> Floats:
        """Return the probability of each action in each row, [B, A]."""
        return softmax(self.theta[self.states(step.observation)], step.legal)

    def state_values(self, step: TimeStep) -> Floats | None:
        """Return the value of each row's state, [B]; None without a baseline."""
        return self.baseline[self.states(step.observation)] if len(self.baseline) else None


def build(config: ReinforceConfig, spec: EnvSpec, rng: np.random.Generator) -> TabularAgent:
    """Return the agent that a config describes.

    Raises:
        UserError: The observations can't be numbered, or the preferences are not one for each action.
    """
    states = states_of(spec, "reinforce", config.discretiser, config.bins, config.low, config.high)
    num_states, num_actions = states.num_states, spec.num_actions
    preferences = config.initial_preferences or (0.0,) * num_actions
    if len(preferences) != num_actions:
        raise UserError(
            f"agent.initial_preferences must have {num_actions} values for {spec.id}, one for each action,"
            f" got {len(preferences)}"
        )
    policy_step_size = _schedule(config.policy_step_size, config.policy_step_size_end, config.step_size_decay_steps)
    baseline_step_size = _schedule(
        config.baseline_step_size, config.baseline_step_size_end, config.step_size_decay_steps
    )
    learner = Reinforce(
        theta=np.tile(np.array(preferences, np.float64), (num_states, 1)),
        baseline=np.zeros(num_states if config.baseline else 0),
        policy_step_size=_linear(policy_step_size),
        baseline_step_size=_linear(baseline_step_size),
        gamma=float(config.gamma),
        discounted=config.discount_updates,
        legal=np.ones((num_states if spec.has_legal else 0, num_actions), np.bool_),
        episode=empty_trajectory(spec.num_envs),
    )
    schedules = {"charts/policy_step_size": policy_step_size}
    if config.baseline:
        schedules["charts/baseline_step_size"] = baseline_step_size
    return TabularAgent(learner, states, SoftmaxTable(states, learner.theta, learner.baseline), rng, schedules)


def _schedule(start: float, end: float | None, num_steps: int) -> LinearSchedule:
    return LinearSchedule(start, start if end is None else end, num_steps)


def _linear(schedule: LinearSchedule) -> Linear:
    return Linear(float(schedule.start), float(schedule.end), schedule.num_steps)

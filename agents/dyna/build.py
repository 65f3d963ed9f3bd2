"""The parts that Dyna agents are put together from."""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen.agents._learner_kernels import growing
from tengen.agents.dyna._dyna_kernels import Dyna
from tengen.agents.dyna.config import DynaConfig
from tengen.agents.tabular._one_step_kernels import QLearning
from tengen.agents.tabular.agent import TabularAgent
from tengen.agents.tabular.build import Parts
from tengen.planners._background_kernels import ExpectedUpdates, OneStepPlanner, Prioritized, SampleUpdates
from tengen.planners._dp_queue_kernels import make_queue
from tengen.planners._model_kernels import LastOutcomes, Outcomes
from tengen.planners.models import CountModel, DeterministicModel, empty_counts, empty_last_outcomes
from tengen.types import EnvSpec

growing(Outcomes)  # at most one a step of each row


def learned_model(agent: TabularAgent, unvisited_value: float | None = None) -> DeterministicModel | CountModel:
    """Return what a Dyna agent knows of the world, for any planner. Ask anew after it has learnt more.

    Args:
        agent: A Dyna agent.
        unvisited_value: See the models' `tables`.

    Raises:
        TypeError: The agent learns no model.
        UserError: `unvisited_value` is not finite.
    """
    if not isinstance(agent.learner, Dyna):
        raise TypeError(f"a {type(agent.learner).__name__} learner has no model of the world")
    model = agent.learner.model
    kind = DeterministicModel if isinstance(model, LastOutcomes) else CountModel
    return kind(model, agent.states, unvisited_value)


class DynaParts:
    """Makes the parts of a Dyna agent that its config and its environment call for.

    Args:
        agent: The agent's name, for messages.
        config: Its settings.
        spec: The environment.

    Raises:
        UserError: The observations can't be numbered.
    """

    def __init__(self, agent: str, config: DynaConfig, spec: EnvSpec) -> None:
        self.config = config
        self.parts = Parts(agent, config, spec)
        self.num_states, self.num_actions = self.parts.states.num_states, self.parts.num_actions
        self.has_legal = spec.has_legal

    def model(self, *, with_predecessors: bool = False) -> Any:
        """Return a model that knows nothing yet; with or without lists of what leads to each state."""
        if self.config.model == "counts":
            return empty_counts(self.num_states, self.num_actions, has_legal=self.has_legal)
        return empty_last_outcomes(
            self.num_states, self.num_actions, has_legal=self.has_legal, with_predecessors=with_predecessors
        )

    def planner(self, *, expected: bool, kappa: float = 0.0) -> OneStepPlanner:
        """Return a background planner; see its class."""
        updates = ExpectedUpdates() if expected else SampleUpdates()
        return OneStepPlanner(self.config.planning_steps, updates, float(kappa), np.zeros(1, np.int64))

    def queue(self, theta: float) -> Prioritized:
        """Return the search control of prioritized sweeping."""
        return Prioritized(float(theta), make_queue(self.num_states * self.num_actions))

    def agent(
        self,
        model: Any,
        control: Any,
        planner: OneStepPlanner,
        rng: np.random.Generator,
        *,
        learns_directly: bool = True,
    ) -> TabularAgent:
        """Return the agent, which learns the values of Q-learning."""
        parts = self.parts
        learner = QLearning(parts.table(), parts.step_size(), parts.epsilon(), self.config.gamma)
        return parts.control_agent(Dyna(learner, model, control, planner, learns_directly), rng, learner.q)

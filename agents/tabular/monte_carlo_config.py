"""Settings of the Monte Carlo control agents. Standard library only.

S & B is Sutton & Barto, "Reinforcement Learning: An Introduction", 2nd edition, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from tengen.agents.tabular.config import ControlConfig, TabularConfig
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class MonteCarloConfig(ControlConfig):
    """Monte Carlo control (S & B sections 5.3 and 5.4): learns from what whole episodes returned."""

    step_size: float = 1.0
    """Step size (alpha) at step 0; for a constant one set step_size_power to 0 as well."""
    step_size_power: float = 1.0
    """Divide the step size by the visits of the state and action to this power; 1 with step_size 1: sample averages."""
    visits: Literal["first", "every"] = "first"
    """Learn from the first visit to a state and action in each episode, or from every one."""
    exploring_starts: bool = False
    """Take each episode's first action at random and act greedily from then on, whatever epsilon is."""

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents._trees import empty_trajectory
        from tengen.agents.tabular import _monte_carlo_kernels as kernels
        from tengen.agents.tabular.agent import GreedyTable, TabularAgent
        from tengen.agents.tabular.build import Parts
        from tengen.schedules import LinearSchedule

        parts = Parts("monte_carlo", self, spec)
        table, size = parts.table(), parts.step_size()
        gamma, first_visit, episode = float(self.gamma), self.visits == "first", empty_trajectory(spec.num_envs)
        if not self.exploring_starts:
            learner = kernels.MonteCarlo(table, size, parts.epsilon(), gamma, first_visit, episode)
            return parts.control_agent(learner, rng)
        starting = kernels.ExploringStarts(table, size, gamma, first_visit, episode)
        schedules = {"charts/step_size": LinearSchedule(*size.schedule)}
        return TabularAgent(starting, parts.states, GreedyTable(parts.states, table), rng, schedules)


@dataclass(frozen=True)
class OffPolicyMonteCarloConfig(ControlConfig):
    """Off-policy Monte Carlo control by weighted importance sampling (S & B section 5.7). It has no step size."""

    behaviour: Literal["epsilon_greedy", "uniform"] = "epsilon_greedy"
    """The policy that acts; the policy learnt is greedy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in fields(TabularConfig):
            if field.name.startswith("step_size") and getattr(self, field.name) != field.default:
                raise UserError(
                    "off_policy_monte_carlo averages returns by their importance and has no step size: leave"
                    f" agent.{field.name} out, got {getattr(self, field.name)}"
                )

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        import numpy as np

        from tengen.agents._learner_kernels import Linear
        from tengen.agents.tabular import _monte_carlo_kernels as kernels
        from tengen.agents.tabular.agent import GreedyTable, TabularAgent
        from tengen.agents.tabular.build import Parts
        from tengen.schedules import LinearSchedule

        parts = Parts("off_policy_monte_carlo", self, spec)
        table = parts.table()
        masked = spec.has_legal or (spec.model is not None and len(spec.model.legal) > 0)
        learner = kernels.OffPolicyMonteCarlo(
            q=table,
            weight=np.zeros_like(table),
            epsilon=Linear(1.0, 1.0, 0) if self.behaviour == "uniform" else parts.epsilon(),
            gamma=float(self.gamma),
            legal=np.ones((len(table) if masked else 0, parts.num_actions), np.bool_),
            probability=np.zeros(spec.num_envs),
            episode=kernels.no_episodes(spec.num_envs),
        )
        schedules = {"charts/epsilon": LinearSchedule(*learner.epsilon)}
        return TabularAgent(learner, parts.states, GreedyTable(parts.states, table), rng, schedules)

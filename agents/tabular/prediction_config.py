"""Settings of the agent that learns the values of a given policy. Standard library only.

S & B is Sutton & Barto, "Reinforcement Learning: An Introduction", 2nd edition, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tengen.agents.tabular.config import TabularConfig
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec, Floats


@dataclass(frozen=True)
class PredictionConfig(TabularConfig):
    """Prediction: follows a given policy and learns what each state is worth under it (S & B chapters 5, 6, 7, 12)."""

    policy: str = "random"
    """The policy: random, optimal (greedy on Q* of the environment's tables, at gamma), or the folder of a run."""
    method: Literal["td", "n_step", "lambda", "true_online", "mc", "batch_td", "batch_mc"] = "td"
    """TD(0), n-step TD, TD(lambda), true online TD(lambda), Monte Carlo, batch TD(0), or batch Monte Carlo."""
    n_step: int = 4
    """Rewards summed in each return, of method n_step."""
    trace_decay: float = 0.9
    """lambda, of the methods lambda and true_online: 0 gives TD(0), 1 Monte Carlo."""
    traces: Literal["accumulating", "replacing"] = "accumulating"
    """What a visit does to its trace, of method lambda: adds to it, or sets it to 1."""
    visits: Literal["first", "every"] = "every"
    """Learn from the first visit to a state in each episode or from every one, of the methods mc and batch_mc."""
    tolerance: float = 1e-6
    """Sweep over all episodes so far until no value changes by more, of the batch methods."""
    max_sweeps: int = 100_000
    """Give up after so many sweeps until the next episode, of the batch methods."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.n_step <= 10_000:
            raise UserError(
                f"agent.n_step must be from 1 to 10000, got {self.n_step}: for whole episodes take method mc"
            )
        if not 0 <= self.trace_decay <= 1:
            raise UserError(f"agent.trace_decay must be between 0 and 1, got {self.trace_decay}")
        if not 0 <= self.tolerance < float("inf"):
            raise UserError(f"agent.tolerance must be finite and not negative, got {self.tolerance}")
        if self.max_sweeps < 1:
            raise UserError(f"agent.max_sweeps must be at least 1, got {self.max_sweeps}")
        if self.method.startswith("batch") and self.step_size_power > 0:
            raise UserError(
                "agent.step_size_power is not for the batch methods, which average over visits as it is: leave it out,"
                f" got {self.step_size_power}"
            )

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.tabular.build import Parts
        from tengen.agents.tabular.prediction import (
            FollowedPolicy,
            PredictionAgent,
            empty_policy,
            make_learner,
            policy_table,
        )
        from tengen.schedules import LinearSchedule

        parts = Parts("td", self, spec)
        num_states = parts.states.num_states
        policy = empty_policy(self.policy, num_states, parts.num_actions)
        learner = make_learner(self, parts, policy)
        schedules = {"charts/step_size": LinearSchedule(*parts.step_size().schedule)}
        followed = FollowedPolicy(parts.states, policy, learner.v)

        def make_table() -> Floats:
            return policy_table(self, spec, num_states)

        return PredictionAgent(learner, parts.states, followed, rng, schedules, make_table)

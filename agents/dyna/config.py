"""Settings of the agents that learn a model and plan with it. Standard library only.

S & B is Sutton & Barto, "Reinforcement Learning: An Introduction", 2nd edition, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tengen.agents.tabular.config import ControlConfig
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class DynaConfig(ControlConfig):
    """What the agents share that plan between real steps."""

    planning_steps: int = 10
    """Updates from the model after each real step."""
    model: Literal["deterministic", "counts"] = "deterministic"
    """What the model keeps of each state and action: the last outcome, or how often it saw each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.planning_steps < 0:
            raise UserError(f"agent.planning_steps must not be negative, got {self.planning_steps}")
        if self.model not in ("deterministic", "counts"):
            raise UserError(f"agent.model must be deterministic or counts, got {self.model!r}")


@dataclass(frozen=True)
class DynaQConfig(DynaConfig):
    """Dyna-Q (Sutton 1990; S & B section 8.2): Q-learning, from real steps and from remembered ones."""

    expected_updates: bool = False
    """Plan with the mean over all that the model has seen follow, rather than with one draw."""
    search_control: Literal["states", "pairs"] = "states"
    """Draw any state and then one of the actions that were tried in it, or any pair that was tried."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.search_control not in ("states", "pairs"):
            raise UserError(f"agent.search_control must be states or pairs, got {self.search_control!r}")

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.dyna.build import DynaParts
        from tengen.planners._background_kernels import RandomPairs, RandomStates

        parts = DynaParts("dyna_q", self, spec)
        control = RandomPairs() if self.search_control == "pairs" else RandomStates(untried=False)
        return parts.agent(parts.model(), control, parts.planner(expected=self.expected_updates), rng)


@dataclass(frozen=True)
class DynaQPlusConfig(DynaConfig):
    """Dyna-Q+ (Sutton 1990; S & B section 8.3): plans with a bonus on what it has not tried for long."""

    kappa: float = 1e-3
    """The bonus is kappa times the square root of the steps since the last try."""
    expected_updates: bool = False
    """Plan with the mean over all that the model has seen follow, rather than with one draw."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.kappa < float("inf"):
            raise UserError(f"agent.kappa must be finite and not negative, got {self.kappa}")

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.dyna.build import DynaParts
        from tengen.planners._background_kernels import RandomStates

        parts = DynaParts("dyna_q_plus", self, spec)
        planner = parts.planner(expected=self.expected_updates, kappa=self.kappa)
        return parts.agent(parts.model(), RandomStates(untried=True), planner, rng)


@dataclass(frozen=True)
class PrioritizedSweepingConfig(DynaConfig):
    """Prioritized sweeping (Moore & Atkeson 1993; S & B section 8.4): plans first where values change most."""

    step_size: float = 1.0
    """Step size (alpha) at step 0. A mean over the model has no noise that a smaller one would average out."""
    model: Literal["deterministic", "counts"] = "counts"
    """What the model keeps of each state and action: the last outcome, or how often it saw each."""
    theta: float = 1e-4
    """Changes up to this one are not worth an update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.theta < float("inf"):
            raise UserError(f"agent.theta must be finite and not negative, got {self.theta}")
        if self.planning_steps < 1:
            raise UserError(
                f"agent.planning_steps must be at least 1 for prioritized_sweeping, which learns by planning alone, got"
                f" {self.planning_steps}"
            )

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.dyna.build import DynaParts

        parts = DynaParts("prioritized_sweeping", self, spec)
        model = parts.model(with_predecessors=True)
        return parts.agent(model, parts.queue(self.theta), parts.planner(expected=True), rng, learns_directly=False)

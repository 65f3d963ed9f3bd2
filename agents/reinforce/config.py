"""Settings of REINFORCE, in a table and with networks. Standard library only.

S & B is Sutton & Barto, "Reinforcement Learning: An Introduction", 2nd edition, 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from tengen.agents._checks import check_widths
from tengen.agents.tabular.config import TabularConfig
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class ReinforceConfig:
    """REINFORCE in a table (Williams 1992; S & B sections 13.3 and 13.4): learns a stochastic policy, no values."""

    uses_torch: ClassVar[bool] = False

    gamma: float = 0.99
    """Discount factor."""
    policy_step_size: float = 0.05
    """Step size of the preferences (alpha^theta) at step 0."""
    policy_step_size_end: float | None = None
    """The same after `step_size_decay_steps`; constant unless given."""
    baseline: bool = True
    """Learn each state's value, and learn from how much better than it a return was."""
    baseline_step_size: float = 0.1
    """Step size of the baseline (alpha^w) at step 0."""
    baseline_step_size_end: float | None = None
    """The same after `step_size_decay_steps`; constant unless given."""
    step_size_decay_steps: int = 100_000
    """Environment steps over which the step sizes go to their ends in a straight line."""
    discount_updates: bool = True
    """Weigh what is learnt at time t of an episode by gamma^t, as the book does; many leave it out."""
    initial_preferences: tuple[float, ...] = ()
    """What each action's preference begins at, in every state; 0 unless given."""
    discretiser: Literal["none", "uniform"] = "none"
    """How real observations become states: uniform bins of equal width."""
    bins: tuple[int, ...] = (10,)
    """Bins of each part of an observation; one number serves all parts."""
    low: tuple[float, ...] = ()
    """Lower end of each part's bins; the space's own unless given."""
    high: tuple[float, ...] = ()
    """Upper end of each part's bins; the space's own unless given."""

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise UserError(f"agent.gamma must be between 0 and 1, got {self.gamma}")
        for name in ("policy_step_size", "policy_step_size_end", "baseline_step_size", "baseline_step_size_end"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise UserError(f"agent.{name} must not be negative, and finite, got {value}")
        if self.step_size_decay_steps < 0:
            raise UserError(f"agent.step_size_decay_steps must not be negative, got {self.step_size_decay_steps}")
        if not all(map(math.isfinite, self.initial_preferences)):
            raise UserError(f"agent.initial_preferences must be finite, got {self.initial_preferences}")
        if not self.bins or min(self.bins) < 1:
            raise UserError(f"agent.bins must be positive whole numbers, got {self.bins}")

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why a table can't take these spaces, or None."""
        return TabularConfig.refusal(spec)

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.reinforce.table import build

        return build(self, spec, rng)


@dataclass(frozen=True)
class ReinforceNetworkConfig:
    """REINFORCE with networks for the policy and its baseline (Williams 1992; S & B section 13.4)."""

    gamma: float = 0.99
    """Discount factor."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the fully connected layers of each network."""
    policy_learning_rate: float = 1e-3
    """Step size of the policy's optimizer (Adam)."""
    baseline: bool = True
    """Learn each observation's value, and learn from how much better than it a return was."""
    baseline_learning_rate: float = 1e-3
    """Step size of the baseline's optimizer (Adam)."""
    baseline_updates: int = 1
    """Gradient steps of the baseline on each batch of episodes."""
    episodes_per_update: int = 1
    """Episodes in a batch; the policy makes one gradient step on each."""
    discount_updates: bool = False
    """Weigh what is learnt at time t of an episode by gamma^t, as the book does."""

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise UserError(f"agent.gamma must be between 0 and 1, got {self.gamma}")
        for name in ("policy_learning_rate", "baseline_learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"agent.{name} must be greater than 0, and finite, got {getattr(self, name)}")
        for name in ("baseline_updates", "episodes_per_update"):
            if getattr(self, name) < 1:
                raise UserError(f"agent.{name} must be at least 1, got {getattr(self, name)}")
        check_widths("hidden", self.hidden)

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why the networks can't take these spaces, or None."""
        from gymnasium.spaces import Box, Discrete  # loaded already: the spec holds its spaces

        if not isinstance(spec.action_space, Discrete):
            return f"reinforce_network needs a discrete action space, {spec.id} has {spec.action_space}"
        if not isinstance(spec.observation_space, Box | Discrete):
            return f"reinforce_network needs Box or Discrete observations, {spec.id} has {spec.observation_space}"
        return None

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent; imports torch."""
        from tengen.agents.reinforce.network import build

        return build(self, spec, rng, device)

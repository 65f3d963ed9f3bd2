"""PQN's settings; standard library only, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tengen.agents._checks import check_learning_rates, check_widths
from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.agents.pqn.agent import PQN
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class PQNConfig:
    """Parallelised Q-network (Gallici et al. 2024): no replay, no target network. Wants many environments side by side.

    Steps are decisions of the agent, summed over environments, where nothing else is said.
    """

    gamma: float = 0.99
    """Discount factor."""
    trace_decay: float = 0.65
    """lambda of the returns that it learns: 0 gives one-step targets, 1 Monte Carlo."""
    rollout_length: int = 32
    """Steps of each environment between learning."""
    num_epochs: int = 2
    """Times that it goes through what it gathered."""
    batch_size: int = 128
    """Transitions in an update, at most; what was gathered is split evenly."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the fully connected layers (behind the convolutions where observations are pictures)."""
    layer_norm: bool = True
    """Normalise the output of each hidden layer: what makes it stable."""
    learning_rate: float = 2.5e-4
    """Step size of the optimizer, RAdam."""
    learning_rate_end: float | None = None
    """Step size after `learning_rate_decay_steps`; constant unless given."""
    learning_rate_decay_steps: int = 500_000
    """Steps over which the step size goes to its end in a straight line."""
    epsilon_start: float = 1.0
    """Probability of a random action at step 0."""
    epsilon_end: float = 0.05
    """Probability of a random action after `epsilon_decay_steps`."""
    epsilon_decay_steps: int = 50_000
    """Steps over which epsilon goes to its end in a straight line."""
    reward_clip: float | None = None
    """Clip rewards to [-x, x] before learning; Atari protocols clip by themselves."""
    gradient_clip: float | None = 10.0
    """Largest norm of the gradient; none unless given."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Arithmetic of forward and backward passes; auto takes bfloat16 where the run starts on a processor with it."""

    def __post_init__(self) -> None:
        for name in ("rollout_length", "num_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"agent.{name} must be at least 1, got {getattr(self, name)}")
        if self.rollout_length > 10**9:
            raise UserError(f"agent.rollout_length must be at most {10**9:,}, got {self.rollout_length}")
        for name in ("gamma", "trace_decay", "epsilon_start", "epsilon_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"agent.{name} must be between 0 and 1, got {getattr(self, name)}")
        check_learning_rates(self.learning_rate, self.learning_rate_end)
        check_widths("hidden", self.hidden)
        for name in ("epsilon_decay_steps", "learning_rate_decay_steps"):
            if getattr(self, name) < 0:
                raise UserError(f"agent.{name} must not be negative, got {getattr(self, name)}")
        for name in ("reward_clip", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"agent.{name} must be greater than 0, or none, got {value}")

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why PQN can't take these spaces, or None."""
        from gymnasium.spaces import Box, Discrete  # loaded already: the spec holds its spaces

        if not isinstance(spec.action_space, Discrete):
            return f"pqn needs a discrete action space, {spec.id} has {spec.action_space}"
        if not isinstance(spec.observation_space, Box | Discrete):
            return f"pqn needs Box or Discrete observations, {spec.id} has {spec.observation_space}"
        return None

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> PQN:
        """Assemble the agent; imports torch."""
        from tengen.agents.pqn.build import build

        return build(self, spec, rng, device)

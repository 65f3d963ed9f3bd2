"""Settings of the agents with linear function approximation. Standard library only.

S & B is Sutton & Barto, "Reinforcement Learning: An Introduction", 2nd edition, 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec

_MOST_PARTS = 16  # of an observation; tiles grow with their power


@dataclass(frozen=True)
class TileCodingConfig:
    """What the agents share that act epsilon-greedily on the tiles of an observation."""

    uses_torch: ClassVar[bool] = False

    gamma: float = 1.0
    """Discount factor."""
    step_size: float = 0.5
    """Step size at step 0, shared among the tilings: the book's alpha is this divided by `num_tilings`."""
    step_size_end: float | None = None
    """Step size after `step_size_decay_steps`; constant unless given."""
    step_size_decay_steps: int = 100_000
    """Environment steps over which the step size goes to its end in a straight line."""
    epsilon_start: float = 0.0
    """Probability of a random action at step 0. With 0, values that begin too high make an agent explore."""
    epsilon_end: float = 0.0
    """Probability of a random action after `epsilon_decay_steps`."""
    epsilon_decay_steps: int = 100_000
    """Environment steps over which epsilon goes to its end in a straight line."""
    initial_value: float = 0.0
    """What every action's value begins at."""
    num_tilings: int = 8
    """Grids over the observation, each shifted by a fraction of a tile."""
    tiles: tuple[int, ...] = (8,)
    """Tiles of each part of an observation; one number serves all parts."""
    low: tuple[float, ...] = ()
    """Lower end of each part's tiles; the space's own unless given. What lies outside is clipped."""
    high: tuple[float, ...] = ()
    """Upper end of each part's tiles; the space's own unless given."""
    max_features: int = 65_536
    """Weights of each action at most. Where there are more tiles they are hashed, and several share a weight."""

    def __post_init__(self) -> None:
        for name in ("gamma", "epsilon_start", "epsilon_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"agent.{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("step_size", "step_size_end"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 2:
                raise UserError(f"agent.{name} must be at least 0 and below 2, where updates diverge, got {value}")
        for name in ("step_size_decay_steps", "epsilon_decay_steps"):
            if getattr(self, name) < 0:
                raise UserError(f"agent.{name} must not be negative, got {getattr(self, name)}")
        if not math.isfinite(self.initial_value):
            raise UserError(f"agent.initial_value must be finite, got {self.initial_value}")
        if not 1 <= self.num_tilings <= 1_024:
            raise UserError(f"agent.num_tilings must be from 1 to 1024, got {self.num_tilings}")
        if not self.tiles or min(self.tiles) < 1:
            raise UserError(f"agent.tiles must be positive whole numbers, got {self.tiles}")
        if not 1 <= self.max_features <= 100_000_000:
            raise UserError(f"agent.max_features must be from 1 to 100000000, got {self.max_features}")

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why tile coding can't take these spaces, or None."""
        from gymnasium.spaces import Box, Discrete  # loaded already: the spec holds its spaces

        if not isinstance(spec.action_space, Discrete):
            return f"tile coding needs a discrete action space, {spec.id} has {spec.action_space}"
        space = spec.observation_space
        if not isinstance(space, Box):
            return f"tile coding needs Box observations, {spec.id} has {space}: take a tabular agent"
        if not 1 <= math.prod(space.shape) <= _MOST_PARTS:
            return (
                f"tile coding takes observations of 1 to {_MOST_PARTS} numbers, {spec.id} has the shape {space.shape}"
            )
        return None


@dataclass(frozen=True)
class SemiGradientSarsaConfig(TileCodingConfig):
    """Episodic semi-gradient Sarsa with tile coding, one-step or n-step (S & B sections 10.1 and 10.2)."""

    n_step: int = 1
    """Rewards summed before bootstrapping."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.n_step <= 10_000:
            raise UserError(f"agent.n_step must be from 1 to 10000, got {self.n_step}")

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.linear import _linear_kernels as kernels
        from tengen.agents.linear.build import Parts

        parts = Parts("semi_gradient_sarsa", self, spec)
        window = kernels.empty_window(spec.num_envs, self.n_step, self.num_tilings)
        learner = kernels.SemiGradientSarsa(
            parts.weights(), parts.step_size(), parts.epsilon(), float(self.gamma), parts.no_actions(), window
        )
        return parts.agent(learner, rng)


@dataclass(frozen=True)
class SemiGradientSarsaLambdaConfig(TileCodingConfig):
    """Semi-gradient Sarsa(lambda) with tile coding (S & B section 12.7)."""

    trace_decay: float = 0.9
    """lambda: 0 gives one-step Sarsa, 1 Monte Carlo."""
    traces: Literal["accumulating", "replacing"] = "replacing"
    """What a visit does to a trace: adds 1, or sets it to 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.trace_decay <= 1:
            raise UserError(f"agent.trace_decay must be between 0 and 1, got {self.trace_decay}")

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.linear import _linear_kernels as kernels
        from tengen.agents.linear.build import Parts

        parts = Parts("semi_gradient_sarsa_lambda", self, spec)
        learner = kernels.SemiGradientSarsaLambda(
            parts.weights(),
            parts.step_size(),
            parts.epsilon(),
            float(self.gamma),
            parts.no_actions(),
            float(self.trace_decay),
            parts.traces(self.traces == "replacing", self.gamma * self.trace_decay),
        )
        return parts.agent(learner, rng)

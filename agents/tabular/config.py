"""Settings of the tabular agents. Standard library only.

S & B is Sutton & Barto, "Reinforcement Learning: An Introduction", 2nd edition, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from tengen.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class TabularConfig:
    """What all tabular agents share."""

    uses_torch: ClassVar[bool] = False

    gamma: float = 0.99
    """Discount factor."""
    step_size: float = 0.1
    """Step size (alpha) at step 0."""
    step_size_end: float | None = None
    """Step size after `step_size_decay_steps`; constant unless given."""
    step_size_decay_steps: int = 100_000
    """Environment steps over which the step size goes to its end in a straight line."""
    step_size_power: float = 0.0
    """Divide the step size by the visits of the state and action to this power; 1 with step_size 1: sample averages."""
    initial_value: float = 0.0
    """What every value begins at; high ones make an agent explore."""
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
        for name in ("step_size", "step_size_end"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UserError(f"agent.{name} must be between 0 and 1, got {value}")
        if self.step_size_decay_steps < 0:
            raise UserError(f"agent.step_size_decay_steps must not be negative, got {self.step_size_decay_steps}")
        if not 0 <= self.step_size_power <= 1:
            raise UserError(f"agent.step_size_power must be between 0 and 1, got {self.step_size_power}")
        if not abs(self.initial_value) < float("inf"):
            raise UserError(f"agent.initial_value must be finite, got {self.initial_value}")
        if not self.bins or min(self.bins) < 1:
            raise UserError(f"agent.bins must be positive whole numbers, got {self.bins}")

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why a table can't take these spaces, or None."""
        from gymnasium.spaces import Box, Discrete, MultiDiscrete  # loaded already: the spec holds its spaces

        if not isinstance(spec.action_space, Discrete):
            return f"a table needs a discrete action space, {spec.id} has {spec.action_space}"
        space = spec.observation_space
        if not isinstance(space, Discrete | MultiDiscrete | Box):
            return f"a table needs Discrete, MultiDiscrete or Box observations, {spec.id} has {space}"
        return None


@dataclass(frozen=True)
class ControlConfig(TabularConfig):
    """What the agents share that act epsilon-greedily on action values."""

    epsilon_start: float = 0.1
    """Probability of a random action at step 0."""
    epsilon_end: float = 0.1
    """Probability of a random action after `epsilon_decay_steps`."""
    epsilon_decay_steps: int = 100_000
    """Environment steps over which epsilon goes to its end in a straight line."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epsilon_start", "epsilon_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"agent.{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.epsilon_decay_steps < 0:
            raise UserError(f"agent.epsilon_decay_steps must not be negative, got {self.epsilon_decay_steps}")


@dataclass(frozen=True)
class QLearningConfig(ControlConfig):
    """Q-learning (Watkins 1989; S & B eq. 6.8): learns the greedy policy's values while it explores."""

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.tabular import _one_step_kernels as kernels
        from tengen.agents.tabular.build import Parts

        parts = Parts("q_learning", self, spec)
        learner = kernels.QLearning(parts.table(), parts.step_size(), parts.epsilon(), self.gamma)
        return parts.control_agent(learner, rng)


@dataclass(frozen=True)
class SarsaConfig(ControlConfig):
    """Sarsa (Rummery & Niranjan 1994; S & B eq. 6.7): learns the values of the policy that it follows."""

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.tabular import _one_step_kernels as kernels
        from tengen.agents.tabular.build import Parts

        parts = Parts("sarsa", self, spec)
        learner = kernels.Sarsa(parts.table(), parts.step_size(), parts.epsilon(), self.gamma, parts.no_actions())
        return parts.control_agent(learner, rng)


@dataclass(frozen=True)
class ExpectedSarsaConfig(ControlConfig):
    """Expected Sarsa (van Seijen et al. 2009; S & B eq. 6.9): Sarsa without the chance in its next action."""

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        from tengen.agents.tabular import _one_step_kernels as kernels
        from tengen.agents.tabular.build import Parts

        parts = Parts("expected_sarsa", self, spec)
        learner = kernels.ExpectedSarsa(parts.table(), parts.step_size(), parts.epsilon(), self.gamma)
        return parts.control_agent(learner, rng)


@dataclass(frozen=True)
class DoubleQLearningConfig(ControlConfig):
    """Double Q-learning (van Hasselt 2010; S & B section 6.7): two tables, of which one values what the other chose."""

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Assemble the agent."""
        import numpy as np

        from tengen.agents.tabular import _one_step_kernels as kernels
        from tengen.agents.tabular.build import Parts

        parts = Parts("double_q_learning", self, spec)
        both = np.stack([parts.table(), parts.table()])
        learner = kernels.DoubleQLearning(both[0] + both[1], both, parts.step_size(2), parts.epsilon(), self.gamma)
        return parts.control_agent(learner, rng, num_tables=2)

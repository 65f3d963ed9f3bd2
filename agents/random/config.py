"""Settings of the random agent. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class RandomConfig:
    """Chooses uniformly among the legal actions, and learns nothing: the floor that an agent is measured from."""

    uses_torch: ClassVar[bool] = False

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why it can't act here, or None."""
        from gymnasium.spaces import Discrete  # loaded already: the spec holds its spaces

        if not isinstance(spec.action_space, Discrete):
            return f"random needs a discrete action space, {spec.id} has {spec.action_space}"
        return None

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Return the agent; it has no use for a device."""
        from tengen.agents.random.agent import RandomAgent

        return RandomAgent(spec.num_actions, rng)

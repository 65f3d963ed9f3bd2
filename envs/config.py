"""What it takes to make an environment; standard library only, so that the command line stays light."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tengen.errors import UserError


@dataclass(frozen=True)
class EnvConfig:
    """Settings of an environment."""

    id: str = "CartPole-v1"
    """An environment's id: a Gymnasium id, `ALE/<Game>-v5`, or one from `tengen list envs`."""
    num_envs: int = 1
    """Environments side by side."""
    protocol: str | None = None
    """A named protocol (`tengen list protocols`); Atari uses nature2015 unless told otherwise."""
    action_mask: bool = False
    """Honour `info["action_mask"]` of a Gymnasium environment as its legal actions."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further keyword arguments of the environment's constructor."""

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise UserError(f"the number of environments must be at least 1, got {self.num_envs}")

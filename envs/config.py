"""What it takes to make an environment; standard library only, so that the command line stays light."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tengen.errors import UserError

_MOST_ENVS = 65_536


@dataclass(frozen=True)
class EnvConfig:
    """Settings of an environment."""

    id: str = "CartPole-v1"
    """An environment's id: a Gymnasium id, `ALE/<Game>-v5`, or one from `tengen list envs`."""
    num_envs: int = 1
    """Environments side by side."""
    protocol: str | dict[str, Any] | None = None
    """An Atari protocol (`tengen list protocols`), or a .toml, whose content is kept; nature2015 unless given."""
    action_mask: bool = False
    """Honour `info["action_mask"]` of a Gymnasium environment as its legal actions."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further keyword arguments of the environment's constructor."""

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise UserError(f"the number of environments must be at least 1, got {self.num_envs}")
        if self.num_envs > _MOST_ENVS:
            raise UserError(f"the number of environments must be at most {_MOST_ENVS}, got {self.num_envs}")

    def refuse_protocol(self) -> None:
        """For environments that are not Atari's.

        Raises:
            UserError: There is a protocol.
        """
        if self.protocol is not None:
            raise UserError(
                f"{self.id} has no protocol {self.protocol!r}: protocols are for Atari (ALE/...); leave --protocol out"
            )

    def refuse_settings(self) -> None:
        """For environments that have none, but for the picture that they are drawn as.

        Raises:
            UserError: There are some.
        """
        allowed = ("render_mode", "rgb_array")
        if settings := {name: value for name, value in self.kwargs.items() if (name, value) != allowed}:
            raise UserError(f"{self.id} has no settings but render_mode='rgb_array', got {settings}")

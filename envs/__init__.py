"""Environments: whatever can be stepped, behind one batched interface that never resets itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tengen.envs.config import EnvConfig

if TYPE_CHECKING:
    from tengen.contracts import Environment

__all__ = ["EnvConfig", "make_env"]


def make_env(config: EnvConfig, *, training: bool) -> Environment:
    """Make the environment that a config describes.

    Args:
        config: Its settings.
        training: Whether an agent learns on it: protocols may clip rewards and signal life losses then. An evaluation
            passes False and gets whole games and their own score.

    Raises:
        UserError: The id, the protocol or a setting is wrong.
    """
    from tengen.registry import resolve_env

    environment: Environment = resolve_env(config.id)(config, training=training)
    return environment


def _register_with_gymnasium() -> None:
    """Have Gymnasium know our own environment of Go, if it is imported already: to import it here would take long."""
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is not None and hasattr(gymnasium, "register") and "tengen/Go-v0" not in gymnasium.registry:
        gymnasium.register("tengen/Go-v0", "tengen.envs.go.gymnasium_env:GoEnv")


_register_with_gymnasium()

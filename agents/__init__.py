"""Agents, one folder per family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tengen.agents.dqn import DQN, DQNConfig
    from tengen.agents.random import RandomAgent, RandomConfig

__all__ = ["DQN", "DQNConfig", "RandomAgent", "RandomConfig"]

_HOME = {
    "DQN": "tengen.agents.dqn",
    "DQNConfig": "tengen.agents.dqn",
    "RandomAgent": "tengen.agents.random",
    "RandomConfig": "tengen.agents.random",
}


def __getattr__(name: str) -> Any:  # lazily: naming an agent must not import torch
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module 'tengen.agents' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

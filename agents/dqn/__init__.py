"""Deep Q-networks. Start reading at `agent.py`; `build.py` puts its parts together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tengen.agents.dqn.config import DQNConfig

if TYPE_CHECKING:
    from tengen.agents.dqn.agent import DQN

__all__ = ["DQN", "DQNConfig"]


def __getattr__(name: str) -> Any:  # lazily: a config needs no torch
    if name != "DQN":
        raise AttributeError(f"module 'tengen.agents.dqn' has no attribute {name!r}")
    from tengen.agents.dqn.agent import DQN

    return DQN

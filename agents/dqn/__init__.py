"""Deep Q-networks. Start reading at `agent.py`; `build.py` puts its parts together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.dqn.config import DQNConfig

if TYPE_CHECKING:
    from tengen.agents.dqn.agent import DQN

__all__ = ["DQN", "DQNConfig"]

__getattr__ = lazy_exports(__name__, {"DQN": "tengen.agents.dqn.agent"})

"""stable-baselines3's agents in Tengen's loop. Start reading at `agent.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.sb3.config import SB3A2CConfig, SB3DQNConfig, SB3PPOConfig, SB3QRDQNConfig

if TYPE_CHECKING:
    from tengen.agents.sb3.agent import SB3Agent

__all__ = ["SB3A2CConfig", "SB3Agent", "SB3DQNConfig", "SB3PPOConfig", "SB3QRDQNConfig"]

__getattr__ = lazy_exports(__name__, {"SB3Agent": "tengen.agents.sb3.agent"})

"""Parallelised Q-networks. Start reading at `agent.py`; `build.py` puts its parts together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.pqn.config import PQNConfig

if TYPE_CHECKING:
    from tengen.agents.pqn.agent import PQN

__all__ = ["PQN", "PQNConfig"]

__getattr__ = lazy_exports(__name__, {"PQN": "tengen.agents.pqn.agent"})

"""Monte-Carlo tree search as an agent: it searches, and learns nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.mcts.config import MCTSConfig

if TYPE_CHECKING:
    from tengen.agents.mcts.agent import MCTSAgent, MCTSPolicy

__all__ = ["MCTSAgent", "MCTSConfig", "MCTSPolicy"]

__getattr__ = lazy_exports(
    __name__, {"MCTSAgent": "tengen.agents.mcts.agent", "MCTSPolicy": "tengen.agents.mcts.agent"}
)

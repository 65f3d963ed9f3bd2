"""The agent that picks a legal action at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.random.config import RandomConfig

if TYPE_CHECKING:
    from tengen.agents.random.agent import RandomAgent, RandomPolicy

__all__ = ["RandomAgent", "RandomConfig", "RandomPolicy"]

__getattr__ = lazy_exports(
    __name__, {"RandomAgent": "tengen.agents.random.agent", "RandomPolicy": "tengen.agents.random.agent"}
)

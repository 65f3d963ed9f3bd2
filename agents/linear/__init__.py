"""Linear function approximation: semi-gradient Sarsa on the tiles of an observation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.linear.config import SemiGradientSarsaConfig, SemiGradientSarsaLambdaConfig

if TYPE_CHECKING:
    from tengen.agents.linear.agent import GreedyTiles, LinearAgent

__all__ = ["GreedyTiles", "LinearAgent", "SemiGradientSarsaConfig", "SemiGradientSarsaLambdaConfig"]

__getattr__ = lazy_exports(
    __name__, {"GreedyTiles": "tengen.agents.linear.agent", "LinearAgent": "tengen.agents.linear.agent"}
)

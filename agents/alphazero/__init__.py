"""AlphaZero: a policy and value network that learns from its own search, by self-play."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.agents.alphazero.agent import AlphaZero
    from tengen.agents.alphazero.config import AlphaZeroConfig

__all__ = ["AlphaZero", "AlphaZeroConfig"]

__getattr__ = lazy_exports(
    __name__,
    {"AlphaZero": "tengen.agents.alphazero.agent", "AlphaZeroConfig": "tengen.agents.alphazero.config"},
)

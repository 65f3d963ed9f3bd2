"""Agents that learn a model of the world beside their values, and plan with it between two real steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.dyna.config import DynaConfig, DynaQConfig, DynaQPlusConfig, PrioritizedSweepingConfig

if TYPE_CHECKING:
    from tengen.agents.dyna.build import learned_model

__all__ = ["DynaConfig", "DynaQConfig", "DynaQPlusConfig", "PrioritizedSweepingConfig", "learned_model"]

__getattr__ = lazy_exports(__name__, {"learned_model": "tengen.agents.dyna.build"})

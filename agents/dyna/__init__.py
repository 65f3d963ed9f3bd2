"""Agents that learn a model of the world beside their values, and plan with it between two real steps."""

from __future__ import annotations

from tengen.agents.dyna.config import DynaConfig, DynaQConfig, DynaQPlusConfig, PrioritizedSweepingConfig

__all__ = ["DynaConfig", "DynaQConfig", "DynaQPlusConfig", "PrioritizedSweepingConfig"]

"""Agents, one folder per family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.agents.dqn import DQN, DQNConfig
    from tengen.agents.dyna import DynaQConfig, DynaQPlusConfig, PrioritizedSweepingConfig
    from tengen.agents.random import RandomAgent, RandomConfig

__all__ = [
    "DQN",
    "DQNConfig",
    "DynaQConfig",
    "DynaQPlusConfig",
    "PrioritizedSweepingConfig",
    "RandomAgent",
    "RandomConfig",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "DQN": "tengen.agents.dqn",
        "DQNConfig": "tengen.agents.dqn",
        "DynaQConfig": "tengen.agents.dyna",
        "DynaQPlusConfig": "tengen.agents.dyna",
        "PrioritizedSweepingConfig": "tengen.agents.dyna",
        "RandomAgent": "tengen.agents.random",
        "RandomConfig": "tengen.agents.random",
    },
)

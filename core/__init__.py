"""Tengen: one loop for every kind of reinforcement-learning agent."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tengen.contracts import Agent, Environment, Policy, Replay, Simulator, Tracker
    from tengen.errors import UserError
    from tengen.loop import Tick, interact
    from tengen.types import Decision, EnvSpec, TimeStep, Transition

__version__ = "0.1.0"

_HOME = {
    "Agent": "tengen.contracts",
    "Decision": "tengen.types",
    "EnvSpec": "tengen.types",
    "Environment": "tengen.contracts",
    "Policy": "tengen.contracts",
    "Replay": "tengen.contracts",
    "Simulator": "tengen.contracts",
    "Tick": "tengen.loop",
    "TimeStep": "tengen.types",
    "Tracker": "tengen.contracts",
    "Transition": "tengen.types",
    "UserError": "tengen.errors",
    "interact": "tengen.loop",
}

__all__ = [
    "Agent",
    "Decision",
    "EnvSpec",
    "Environment",
    "Policy",
    "Replay",
    "Simulator",
    "Tick",
    "TimeStep",
    "Tracker",
    "Transition",
    "UserError",
    "interact",
]


def __getattr__(name: str) -> Any:  # lazily, so that `import tengen` stays light
    if name not in _HOME:
        raise AttributeError(f"module 'tengen' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)

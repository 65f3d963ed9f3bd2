"""Tengen: one loop for every kind of reinforcement-learning agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports

if TYPE_CHECKING:
    from tengen.contracts import Agent, Environment, Policy, Replay, Simulator, Tracker
    from tengen.errors import UserError
    from tengen.loop import Tick, interact
    from tengen.types import Decision, EnvSpec, TimeStep, Transition

__version__ = "0.1.0"

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

__getattr__ = lazy_exports(
    __name__,
    {
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
    },
)

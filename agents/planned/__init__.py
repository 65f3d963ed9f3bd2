"""The agent that follows a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tengen._lazy import lazy_exports
from tengen.agents.planned.config import PlannedConfig

if TYPE_CHECKING:
    from tengen.agents.planned.agent import PlannedAgent, PlannedPolicy
    from tengen.agents.planned.table import PlanTable, tabulate_plan

__all__ = ["PlanTable", "PlannedAgent", "PlannedConfig", "PlannedPolicy", "tabulate_plan"]

__getattr__ = lazy_exports(
    __name__,
    {
        "PlanTable": "tengen.agents.planned.table",
        "PlannedAgent": "tengen.agents.planned.agent",
        "PlannedPolicy": "tengen.agents.planned.agent",
        "tabulate_plan": "tengen.agents.planned.table",
    },
)

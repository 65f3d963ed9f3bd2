"""Settings of the agent that follows a plan. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tengen.errors import UserError
from tengen.registry import resolve_planner
from tengen.typed import build, check_values

if TYPE_CHECKING:
    import numpy as np

    from tengen.contracts import Agent
    from tengen.types import EnvSpec


@dataclass(frozen=True)
class PlannedConfig:
    """Follows what a planner makes of the environment's transition tables, and learns nothing (see `tengen plan`)."""

    uses_torch: ClassVar[bool] = False

    planner: str = "value_iteration"
    """The planner's name (`tengen list planners`)."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Its settings, such as {gamma = 0.95}."""

    def __post_init__(self) -> None:
        self.make_planner()

    def make_planner(self) -> Any:
        """Return the planner.

        Raises:
            UserError: There is none of this name, or a setting is wrong.
        """
        planner_class = resolve_planner(self.planner)
        settings = check_values(planner_class, self.settings, f"the settings of {self.planner}", "planner.")
        return build(planner_class, settings)

    @property
    def gamma(self) -> float:
        """The planner's discount factor."""
        return float(self.make_planner().gamma)

    @classmethod
    def refusal(cls, spec: EnvSpec) -> str | None:
        """Return why it can't plan here, or None."""
        from tengen.agents.planned.table import numbering

        if spec.model is None:
            return f"planned needs an environment with transition tables, {spec.id} has none"
        try:
            numbering(spec)
        except UserError as error:
            return str(error)
        return None

    def build(self, spec: EnvSpec, rng: np.random.Generator, device: str) -> Agent:
        """Return the agent, which plans when it first acts unless it is given a plan by then; it draws nothing."""
        from tengen.agents.planned.agent import PlannedAgent
        from tengen.agents.planned.table import numbering, tabulate_plan

        planner = self.make_planner()
        return PlannedAgent(numbering(spec), lambda: tabulate_plan(spec, planner.plan(spec.model)))

"""The agent that follows a plan.

B environments side by side, O observations, A actions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tengen.agents.planned.table import PlanTable
from tengen.types import Array, Decision, Floats, Ints, Metrics, State, TimeStep


class PlannedPolicy:
    """Takes the planned action; where that is illegal, the legal one of the greatest value.

    Args:
        number: Numbers observations.
        table: The plan.
    """

    def __init__(self, number: Callable[[Array], Ints], table: PlanTable) -> None:
        self._number = number
        self._table = table

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]. Draws nothing."""
        return self.choose(step)

    def action_values(self, step: TimeStep) -> Floats:
        """Return the value of each action in each row, [B, A]."""
        values: Floats = self._table.q[self._number(step.observation)]
        return values

    def state_values(self, step: TimeStep) -> Floats:
        """Return the value of each row's state, [B]."""
        values: Floats = self._table.v[self._number(step.observation)]
        return values

    def choose(self, step: TimeStep) -> Ints:
        """Return one legal action for each row, [B]."""
        observations = self._number(step.observation)  # [B]
        actions: Ints = self._table.policy[observations]
        if step.legal is None:
            return actions
        best: Ints = np.where(step.legal, self._table.q[observations], -np.inf).argmax(1)
        return np.where(step.legal[np.arange(len(actions)), actions], actions, best)


class PlannedAgent:
    """Follows a plan and learns nothing.

    Args:
        number: Numbers observations.
        make_table: Plans. Called when the agent first acts, unless it has loaded a plan by then.
    """

    def __init__(self, number: Callable[[Array], Ints], make_table: Callable[[], PlanTable]) -> None:
        self._number = number
        self._make_table = make_table
        self._table: PlanTable | None = None

    def act(self, step: TimeStep) -> Decision:
        """Take the planned actions."""
        return Decision(self.policy().choose(step))

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Learn nothing."""
        return {}

    def policy(self) -> PlannedPolicy:
        """Return the plan as a policy."""
        return PlannedPolicy(self._number, self._planned())

    def state_dict(self) -> State:
        """Return the plan: `q` [O, A], `v` [O] and `policy` [O]."""
        return self._planned()._asdict()

    def load_state_dict(self, state: State) -> None:
        """Follow another plan."""
        self._table = PlanTable(np.array(state["q"]), np.array(state["v"]), np.array(state["policy"]))

    def _planned(self) -> PlanTable:
        if self._table is None:
            self._table = self._make_table()
        return self._table

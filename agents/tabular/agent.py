"""The agent around a tabular learner's kernels.

B environments side by side, S states, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tengen.agents._row_kernels import act_rows, update_rows
from tengen.agents._trees import arrays_of, grows, load_arrays, reserve
from tengen.contracts import Policy
from tengen.schedules import LinearSchedule
from tengen.tables import EpisodeLog, World
from tengen.types import Array, Bools, Decision, Floats, Ints, Metrics, State, TimeStep

_ALL_LEGAL = np.ones((0, 0), np.bool_)


class GreedyTable:
    """Takes the legal action of the greatest value in a table; ties go to the first.

    Args:
        states: Numbers observations.
        table: Values [S, A]; it may go on learning.
        num_tables: `table` is the sum of so many tables of values.
    """

    def __init__(self, states: Callable[[Array], Ints], table: Floats, num_tables: int = 1) -> None:
        self.states = states
        self.table = table
        self.num_tables = num_tables

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        values = self.table[self.states(step.observation)]  # [B, A]
        if step.legal is not None:
            values = np.where(step.legal, values, -np.inf)
        actions: Ints = values.argmax(1)
        return actions

    def action_values(self, step: TimeStep) -> Floats:
        """Return the value of each action in each row, [B, A]."""
        values: Floats = self.table[self.states(step.observation)] / self.num_tables
        return values


class TabularAgent:
    """Acts and learns by a learner's kernels: step by step here, or in the compiled loop of `drive`.

    Args:
        learner: A NamedTuple that `act` and `update` of `_learner_kernels` know.
        states: Numbers observations.
        policy: What it has learnt, sharing the learner's arrays.
        rng: Draws all that the learner draws.
        schedules: Reported with the metrics, by their names.
    """

    def __init__(
        self,
        learner: Any,
        states: Callable[[Array], Ints],
        policy: Policy,
        rng: np.random.Generator,
        schedules: Mapping[str, LinearSchedule],
    ) -> None:
        self.learner = learner
        self.states = states
        self.rng = rng
        self.schedules = schedules
        self.num_steps = 0  # environment steps seen
        self._grows = grows(learner)
        self._policy = policy

    def act(self, step: TimeStep) -> Decision:
        """Choose an action for each row, exploring as the learner does."""
        states = self.states(step.observation)
        return Decision(act_rows(self.learner, states, _legal(step), self.num_steps, self.rng))

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Learn from one step of every row."""
        if self._grows:
            self.learner = reserve(self.learner, len(decision.actions))  # rows may share a memory, as they do a model
        update_rows(
            self.learner,
            self.states(step.observation),
            decision.actions,
            next_step.reward,
            next_step.discount,
            self.states(next_step.observation),
            next_step.last,
            _legal(next_step),
            self.num_steps,
            self.rng,
        )
        self.num_steps += len(decision.actions)
        return self.metrics(self.num_steps)

    def drive(self, world: World, log: EpisodeLog, num_steps: int) -> tuple[int, int]:
        """Act and learn on an environment's tables for up to `num_steps` steps, or until the log is full.

        Returns:
            The number of steps taken, and of episodes written to the log.
        """
        from tengen.agents._loop_kernels import run

        self.learner = reserve(self.learner, num_steps)
        steps, episodes = run(self.learner, world, log, num_steps, self.num_steps, self.rng)
        self.num_steps += steps
        return int(steps), int(episodes)

    def metrics(self, num_steps: int) -> Metrics:
        """Return what is to be reported after a number of steps."""
        return {name: schedule(num_steps) for name, schedule in self.schedules.items()}

    def policy(self) -> Policy:
        """Return the policy as learnt so far; it goes on learning with the agent."""
        return self._policy

    def state_dict(self) -> State:
        """Return the learner's arrays, the generator and the number of steps."""
        return {"learner": arrays_of(self.learner), "rng": self.rng.bit_generator.state, "num_steps": self.num_steps}

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.learner = load_arrays(self.learner, state["learner"])
        self.rng.bit_generator.state = state["rng"]
        self.num_steps = int(state["num_steps"])


def _legal(step: TimeStep) -> Bools:
    return _ALL_LEGAL if step.legal is None else step.legal

"""The agent around the kernels of semi-gradient Sarsa, and its policy.

B environments side by side, D parts of an observation, F features, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tengen.agents._trees import arrays_of, load_arrays
from tengen.agents.linear._linear_kernels import act, learn
from tengen.agents.linear._tile_kernels import TileCoding, values_of
from tengen.contracts import Policy
from tengen.schedules import LinearSchedule
from tengen.types import Array, Bools, Decision, Floats, Ints, Metrics, State, TimeStep


class GreedyTiles:
    """Takes the legal action of the greatest value; ties go to the first.

    Args:
        coding: Turns observations into features.
        weights: Of the features, [F, A]; they may go on learning.
    """

    def __init__(self, coding: TileCoding, weights: Floats) -> None:
        self.coding = coding
        self.weights = weights

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        values = self.values(step.observation)
        if step.legal is not None:
            values = np.where(step.legal, values, -np.inf)
        actions: Ints = values.argmax(1)
        return actions

    def action_values(self, step: TimeStep) -> Floats:
        """Return the value of each action in each row, [B, A]."""
        return self.values(step.observation)

    def values(self, observations: Array) -> Floats:
        """Return the values of the actions [N, A] for observations [N, ...]."""
        return values_of(self.weights, self.coding, _rows(observations))

    def cost_to_go(self, observations: Array) -> Floats:
        """Return -max_a q(s, a) [N] for observations [N, ...]: the heights of S&B figure 10.1."""
        costs: Floats = -self.values(observations).max(1)
        return costs


class LinearAgent:
    """Acts and learns by a learner's kernels, one call of each for all rows.

    Args:
        learner: A NamedTuple that `learn` of `_linear_kernels` knows.
        policy: What it has learnt, sharing the learner's weights.
        rng: Draws all that the learner draws.
        schedules: Reported with the metrics, by their names.
    """

    def __init__(
        self, learner: Any, policy: GreedyTiles, rng: np.random.Generator, schedules: Mapping[str, LinearSchedule]
    ) -> None:
        self.learner = learner
        self.rng = rng
        self.schedules = schedules
        self.num_steps = 0  # environment steps seen
        self._policy = policy
        self._all_legal = np.ones((0, learner.weights.shape[1]), np.bool_)

    def act(self, step: TimeStep) -> Decision:
        """Choose an action for each row, exploring as the learner does."""
        decided = self.learner.next_action
        if decided.min() >= 0:
            return Decision(decided.copy())
        observation, uniform = _rows(step.observation), self.rng.random((len(decided), 2))
        coding, legal = self._policy.coding, self._legal(step)
        return Decision(act(self.learner, coding, observation, legal, self.num_steps, uniform))

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Learn from one step of every row."""
        learn(
            self.learner,
            self._policy.coding,
            _rows(step.observation),
            decision.actions,
            next_step.reward,
            next_step.discount,
            next_step.last,
            _rows(next_step.observation),
            self._legal(next_step),
            self.num_steps,
            self.rng.random((len(step.reward), 2)),
        )
        self.num_steps += len(step.reward)
        return {name: schedule(self.num_steps) for name, schedule in self.schedules.items()}

    def policy(self) -> Policy:
        """Return the greedy policy as learnt so far; it goes on learning with the agent."""
        return self._policy

    def state_dict(self) -> State:
        """Return the learner's arrays, the generator and the number of steps."""
        return {"learner": arrays_of(self.learner), "rng": self.rng.bit_generator.state, "num_steps": self.num_steps}

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.learner = load_arrays(self.learner, state["learner"])
        self.rng.bit_generator.state = state["rng"]
        self.num_steps = int(state["num_steps"])

    def _legal(self, step: TimeStep) -> Bools:
        return self._all_legal if step.legal is None else step.legal


def _rows(observations: Array) -> Floats:
    return np.ascontiguousarray(observations, np.float64).reshape(len(observations), -1)  # [B, D]

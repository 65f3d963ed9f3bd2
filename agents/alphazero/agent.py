"""AlphaZero (Silver et al. 2018, "A general reinforcement learning algorithm that masters chess, shogi, and Go")."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from tengen.agents.alphazero.games import Games
from tengen.agents.alphazero.learner import Learner
from tengen.contracts import Policy, SymmetricSimulator, TerritorySimulator
from tengen.replay.positions import PositionReplay, Positions
from tengen.types import Array, Decision, Floats, Ints, Metrics, State, TimeStep


class Planned(NamedTuple):
    """What search made of B positions."""

    actions: Ints  # [B]
    policy: Array  # float32 [B, A], what the network's policy is to become
    value: Floats  # [B], for the side to move


Plan: TypeAlias = Callable[[TimeStep, np.random.Generator], Planned]
"""Searches the positions of a TimeStep, whose `state` it needs, among its legal actions."""


class AlphaZero:
    """Plays against itself by search, remembers finished games, and learns from positions of them.

    Args:
        learner: The network and its update.
        explore: Searches a move of self-play.
        exploit: Searches a move of the policy.
        games: Those in progress.
        replay: Positions of finished games.
        symmetries: Of the game, by which positions are shown at random; None for none.
        points: Says whose each point is at the end of a game; None where that is not learnt.
        batch_size: Positions in an update.
        learn_start: Positions in the replay before the first update.
        learn_period: Steps between learning.
        updates_per_learn: Updates each time.
        rng: Draws search, exploration and symmetries.
    """

    def __init__(
        self,
        learner: Learner,
        explore: Plan,
        exploit: Plan,
        games: Games,
        replay: PositionReplay,
        symmetries: SymmetricSimulator | None,
        points: TerritorySimulator | None,
        *,
        batch_size: int,
        learn_start: int,
        learn_period: int,
        updates_per_learn: int,
        rng: np.random.Generator,
    ) -> None:
        self.learner = learner
        self.explore = explore
        self.exploit = exploit
        self.games = games
        self.replay = replay
        self.symmetries = symmetries
        self.points = points
        self.batch_size = batch_size
        self.learn_start = learn_start
        self.learn_period = learn_period
        self.updates_per_learn = updates_per_learn
        self.rng = rng
        self.num_steps = 0
        self.num_games = 0

    def act(self, step: TimeStep) -> Decision:
        """Search every position; the extras are what the policy is to learn, and the root's value."""
        planned = self.explore(step, self.rng)
        return Decision(planned.actions, {"policy": planned.policy, "value": planned.value})

    def update(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> Metrics:
        """Remember the moves, and learn as often as `learn_period` came round."""
        self.games.add(step, decision.extras["policy"], next_step)
        metrics: dict[str, object] = self._finish_games(next_step)
        before = self.num_steps
        self.num_steps += len(step.reward)
        due = self.num_steps // self.learn_period - before // self.learn_period
        if due > 0 and len(self.replay) >= self.learn_start:
            for _ in range(due * self.updates_per_learn):
                metrics |= self.learner.fit(self._batch(), self.num_steps)
        return metrics  # type: ignore[return-value]  # numbers and tensors of one number

    def _finish_games(self, next_step: TimeStep) -> dict[str, object]:
        """Move the positions of finished games to the replay."""
        finished = np.flatnonzero(next_step.last)
        cut_off = finished[next_step.discount[finished] != 0.0]
        final_value = np.zeros(len(next_step.last))
        if len(cut_off) > 0:
            final_value[cut_off] = self.learner.evaluate(next_step.observation[cut_off])[1]
        territory = None if self.points is None or not len(finished) else self.points.territory(next_step.state)
        for row in finished.tolist():
            owned = None if territory is None else territory[row]
            self.replay.add(self.games.finish(row, float(final_value[row]), owned))
        self.num_games += len(finished)
        return {"charts/games": float(self.num_games)} if len(finished) else {}

    def _batch(self) -> Positions:
        """Return a sample, each position seen from a side of its own."""
        batch = self.replay.sample(self.batch_size)
        if self.symmetries is None:
            return batch
        sides = self.rng.integers(self.symmetries.num_symmetries, size=self.batch_size)
        for k in range(1, self.symmetries.num_symmetries):
            rows = np.flatnonzero(sides == k)
            batch.observation[rows] = self.symmetries.transform(batch.observation[rows], k)
            turned = np.empty_like(batch.policy[rows])
            turned[:, self.symmetries.symmetry_actions[k]] = batch.policy[rows]
            batch.policy[rows] = turned
            if self.points is not None:
                batch.territory[rows] = self.symmetries.transform(batch.territory[rows], k)
        return batch

    def policy(self) -> Policy:
        """Return what searches without exploring; it goes on learning with the agent."""
        return SearchPolicy(self.exploit)

    def state_dict(self) -> State:
        """Return the network, games, replay, generator and counters."""
        return {
            "learner": self.learner.state_dict(),
            "games": self.games.state_dict(),
            "replay": self.replay.state_dict(),
            "rng": self.rng.bit_generator.state,
            "num_steps": self.num_steps,
            "num_games": self.num_games,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.learner.load_state_dict(state["learner"])
        self.games.load_state_dict(state["games"])
        self.replay.load_state_dict(state["replay"])
        self.rng.bit_generator.state = state["rng"]
        self.num_steps = int(state["num_steps"])
        self.num_games = int(state["num_games"])


class SearchPolicy:
    """Plays what a search likes best.

    Args:
        plan: The search.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        return self.plan(step, rng).actions

"""Small games whose values are known, for tests of the tree search."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tengen.contracts import Simulator
from tengen.envs.connect_four import ConnectFour, ConnectFourStates
from tengen.planners.mcts.evaluators import Evaluation
from tengen.planners.mcts.seeds import Seeds
from tengen.planners.mcts.states import take_states
from tengen.types import Array, Bools, Floats, Ints


class RandomTree:
    """A game whose states are the nodes of a random tree: numbers [B], the children of s being A * s + 1 + action.

    Rewards lie along the way as well as at the ends, some actions are illegal, and either side may be next to move.
    """

    deterministic = True
    alternates = True

    def __init__(self, seed: int, num_actions: int = 3, depth: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.num_actions = num_actions
        self._inner = sum(num_actions**level for level in range(depth))  # states that are not at the full depth
        size = (self._inner, num_actions)
        self._legal = rng.random(size) < 0.8
        self._legal[np.arange(self._inner), rng.integers(num_actions, size=self._inner)] = True
        self._reward = np.where(rng.random(size) < 0.3, rng.integers(-4, 5, size=size) / 16, 0.0)
        self._discount = rng.choice([-1.0, -1.0, -1.0, 1.0, 0.0], size=size)
        ends = np.arange(self._inner) >= self._inner - num_actions ** (depth - 1)
        self._discount[ends] = 0.0
        self._reward[ends] = rng.integers(-8, 9, size=(int(ends.sum()), num_actions)) / 16
        self.logits = rng.normal(size=size)
        self.guessed = rng.integers(-8, 9, size=self._inner) / 16  # what a poor network says of each state

    def init(self, rng: np.random.Generator, batch_size: int) -> Ints:
        return np.zeros(batch_size, np.int64)

    def observe(self, states: Ints) -> Array:
        return states.astype(np.float32)[:, None]

    def legal(self, states: Ints) -> Bools:
        legal: Bools = self._legal[np.minimum(states, self._inner - 1)] | (states >= self._inner)[:, None]
        return legal

    def step(self, states: Ints, actions: Ints, rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
        over = states >= self._inner
        inner = np.where(over, 0, states)
        assert (self._legal[inner, actions] | over).all()
        after = np.where(over, states, self.num_actions * states + 1 + actions)
        discount = np.where(over, 0.0, self._discount[inner, actions])
        return (
            np.where((discount == 0) & ~over, self._inner + after, after),
            np.where(over, 0.0, self._reward[inner, actions]),
            discount,
        )

    def network(self, states: Ints, legal: Bools | None, seeds: Seeds) -> Evaluation:
        """Judge as a network would: the same of the same state."""
        inner = np.where(states >= self._inner, 0, states)
        weights = np.where(self.legal(states), np.exp(self.logits[inner]), 0.0)
        return Evaluation((weights / weights.sum(1, keepdims=True)).astype(np.float32), self.guessed[inner])

    def value(self, state: int) -> float:
        """Return what a state is worth if both sides play their best."""
        return max(self.action_values(state).values())

    def action_values(self, state: int) -> dict[int, float]:
        """Return what each legal action is worth if both sides play their best afterwards."""
        worth = {}
        for action in np.flatnonzero(self._legal[state]).tolist():
            discount = float(self._discount[state, action])
            after = 0.0 if discount == 0 else discount * self.value(self.num_actions * state + 1 + action)
            worth[action] = float(self._reward[state, action]) + after
        return worth


@cache
def tictactoe_values(board: bytes) -> dict[int, float]:
    """Return what each action is worth on a tic-tac-toe board (int8 [9], seen by the side to move), by minimax."""
    from tengen.envs.tictactoe import TicTacToe

    state, worth = np.frombuffer(board, np.int8)[None], {}
    for action in np.flatnonzero(state[0] == 0).tolist():
        after, reward, discount = TicTacToe().step(state, np.array([action]), np.random.default_rng(0))
        worth[action] = float(reward[0])
        if discount[0] != 0:
            worth[action] += float(discount[0]) * max(tictactoe_values(after.astype(np.int8).tobytes()).values())
    return worth


CONNECT_FOUR_ENDS = (
    "2252576253462244111563365343671351441",
    "7422341735647741166133573473242566",
    "23163416124767223154467471272416755633",
)
"""Games of connect four that are nearly over, as columns 1 to 7."""


def connect_four_values(states: ConnectFourStates) -> dict[int, int]:
    """Return what each action is worth in the first of some games, by minimax over the simulator."""
    return _connect_four_values(int(states.own[0]), int(states.taken[0]))


@cache
def _connect_four_values(own: int, taken: int) -> dict[int, int]:
    game, worth = ConnectFour(), {}
    states = ConnectFourStates(np.array([own], np.uint64), np.array([taken], np.uint64))
    for action in np.flatnonzero(game.legal(states)[0]).tolist():
        after, (reward,), (discount,) = game.step(states, np.array([action]))
        worth[action] = int(reward) if discount == 0 else -max(connect_four_values(after).values())
    return worth


def one_row(states: Any, row: int) -> Any:
    """Return one row of states as a batch of one."""
    return take_states(states, np.array([row]))


def played(simulator: Simulator, actions: list[int]) -> Any:
    """Return the state after some actions from the start, as a batch of one."""
    rng = np.random.default_rng(0)
    state = simulator.init(rng, 1)
    for action in actions:
        state = simulator.step(state, np.array([action]), rng)[0]
    return state

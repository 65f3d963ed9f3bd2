"""A two-player game as a task for one: the other side is played by a given opponent.

B batch, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from tengen.actions import random_actions
from tengen.contracts import Policy, Simulator
from tengen.errors import UserError
from tengen.types import Array, Bools, Floats, Ints, TimeStep

Opponent: TypeAlias = Policy | Callable[[TimeStep, np.random.Generator], Ints]
"""A policy, or a function like its `act`: chooses a legal action for each row of a TimeStep, [B]."""

Side = Literal["first", "second", "random"]


class AgainstOpponent:
    """A simulator in which the side to move is always the agent's: the opponent answers within `step`.

    States are those of the game. Rewards are the agent's; discounts are 1, or 0 where the game is over.

    Args:
        simulator: The game, whose discounts say whose turn it is.
        opponent: Who plays the other side; "random" chooses uniformly among the legal actions.
        side: Whether the agent moves first, second, or as drawn for each game.

    Raises:
        UserError: There is no such opponent or side.
    """

    deterministic = False
    alternates = False

    def __init__(self, simulator: Simulator, opponent: Opponent | str, side: str = "random") -> None:
        if side not in get_args(Side):
            raise UserError(f"the side must be one of {', '.join(get_args(Side))}, got {side!r}")
        self.game = simulator
        self.num_actions = simulator.num_actions
        self._choose = _chooser(opponent, simulator.num_actions)
        self._side = side
        if hasattr(simulator, "render"):
            self.render = simulator.render

    def init(self, rng: np.random.Generator, batch_size: int) -> Any:
        """Return games in which the agent is to move: where the opponent begins, it has."""
        states = self.game.init(rng, batch_size)
        second = rng.random(batch_size) < {"first": 0.0, "second": 1.0, "random": 0.5}[self._side]
        states, _, discount = self._answer(states, second, rng)
        assert discount.all(), "a game was over before the agent could move"
        return states

    def observe(self, states: Any) -> Array:
        """Return what the agent sees, as the game shows it to the side to move."""
        return self.game.observe(states)

    def legal(self, states: Any) -> Bools:
        """Return the agent's legal actions [B, A]."""
        return self.game.legal(states)

    def step(self, states: Any, actions: Ints, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        """Play the agent's actions, and the opponent's until it is the agent's turn."""
        states, reward, turn = self.game.step(states, actions, rng)
        states, lost, discount = self._answer(states, turn < 0, rng)
        return states, reward - lost, np.where(turn == 0, 0.0, discount)

    def _answer(self, states: Any, waiting: Bools, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        """Let the opponent move where the agent waits. Return states, the opponent's rewards, and discounts 1 or 0."""
        reward, discount = np.zeros(len(waiting)), np.ones(len(waiting))
        waiting = waiting.copy()
        while waiting.any():
            rows = np.flatnonzero(waiting)
            some = _take(states, rows)
            after, gained, turn = self.game.step(some, self._choice(some, len(rows), rng), rng)
            states = _put(states, rows, after)
            reward[rows] += gained
            discount[rows[turn == 0]] = 0.0
            waiting[rows[turn <= 0]] = False  # 1: the opponent moves again
        return states, reward, discount

    def _choice(self, states: Any, num_rows: int, rng: np.random.Generator) -> Ints:
        legal, no = self.game.legal(states), np.zeros(num_rows, np.bool_)
        step = TimeStep(self.game.observe(states), np.zeros(num_rows), np.ones(num_rows), no, no, legal, states)
        actions = np.asarray(self._choose(step, rng))
        if actions.shape != (num_rows,) or not legal[np.arange(num_rows), actions].all():
            raise ValueError(f"the opponent chose {actions}, which are not {num_rows} legal actions")
        return actions


def _chooser(opponent: Opponent | str, num_actions: int) -> Callable[[TimeStep, np.random.Generator], Ints]:
    if opponent == "random":
        return lambda step, rng: random_actions(step, num_actions, rng)
    if isinstance(opponent, Policy):
        return opponent.act
    if callable(opponent):
        return opponent
    raise UserError(f"an opponent must be 'random', or in Python a policy or a function, got {opponent!r}")


def _take(states: Any, rows: Ints) -> Any:
    if not isinstance(states, tuple):
        return states[rows]
    parts = [_take(part, rows) for part in states]
    return type(states)(*parts) if hasattr(states, "_fields") else tuple(parts)


def _put(states: Any, rows: Ints, some: Any) -> Any:
    """Return states with the rows replaced."""
    if not isinstance(states, tuple):
        result = states.copy()
        result[rows] = some
        return result
    parts = [_put(part, rows, given) for part, given in zip(states, some, strict=True)]
    return type(states)(*parts) if hasattr(states, "_fields") else tuple(parts)

"""Tic-tac-toe as a batched simulator, and as a self-play environment: the smallest two-player game.

B batch, A = 9 actions: squares by row from the top left.
"""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from tengen.contracts import Environment
from tengen.envs.config import EnvConfig
from tengen.envs.simulated import SimulatedEnvironment
from tengen.types import Array, Bools, Floats, Ints

Boards = NDArray[np.int8]
"""States, int8 [B, 9], seen by the side to move: 1 its own marks, -1 the opponent's, 0 empty. X begins."""

_LINES = np.zeros((9, 8), np.int8)  # [square, line]
for _line, _squares in enumerate(
    [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
):
    _LINES[list(_squares), _line] = 1

_SQUARES = np.arange(9).reshape(3, 3)
_TURNS = [np.rot90(board, turns).ravel() for board in (_SQUARES, _SQUARES.T) for turns in range(4)]
_SOURCES = np.stack(_TURNS)  # [8, 9], the square that comes to each place when the board is turned or mirrored


def make(config: EnvConfig, *, training: bool) -> Environment:
    """Make games of tic-tac-toe, `tengen/TicTacToe-v0`. Training and evaluation are the same.

    Raises:
        UserError: It was given a protocol or a setting; it has none but `render_mode="rgb_array"`.
    """
    config.refuse_protocol()
    config.refuse_settings()
    space = Box(-1.0, 1.0, (9,), np.float32)
    return SimulatedEnvironment(config.id, TicTacToe(), space, config.num_envs, max_episode_steps=None)


class TicTacToe:
    """The rules. A win is worth 1 to the side that moved, everything else 0; finished games stay as they are."""

    num_actions = 9
    deterministic = True
    alternates = True
    num_symmetries = 8
    symmetry_actions: Ints = np.argsort(_SOURCES, axis=1)

    def init(self, rng: np.random.Generator, batch_size: int) -> Boards:
        """Return empty boards."""
        return np.zeros((batch_size, 9), np.int8)

    def observe(self, states: Boards) -> Array:
        """Return the boards as float32 [B, 9], seen by the side to move."""
        return states.astype(np.float32)

    def legal(self, states: Boards) -> Bools:
        """Return the empty squares [B, 9]; all True where the game is over."""
        legal: Bools = (states == 0) | self._over(states)[:, None]
        return legal

    def step(self, states: Boards, actions: Ints, rng: np.random.Generator) -> tuple[Boards, Floats, Floats]:
        """Mark a square for the side to move, then turn the board round to the other side's view."""
        over = self._over(states)
        rows = np.arange(len(states))
        assert ((states[rows, actions] == 0) | over).all(), f"a taken square among the actions {actions}"
        marked = states.copy()
        marked[rows, actions] = 1
        won = (marked @ _LINES == 3).any(axis=1) & ~over
        ended = over | won | (marked != 0).all(axis=1)
        return np.where(over[:, None], states, -marked), won.astype(np.float64), np.where(ended, 0.0, -1.0)

    def transform(self, observation: Array, k: int) -> Array:
        """Return observations [B, 9] with the board turned (k % 4 quarters) and mirrored (k >= 4)."""
        return observation[:, _SOURCES[k]]

    def render(self, states: Boards) -> Array:
        """Return a picture of the first board, uint8 [96, 96, 3]: X blue, O red, whoever is to move."""
        board = states[0] if np.count_nonzero(states[0]) % 2 == 0 else -states[0]  # 1 is X
        y, x = np.mgrid[:28, :28] - 13.5
        cross, ring = np.abs(np.abs(x) - np.abs(y)) < 2.5, np.abs(np.hypot(x, y) - 10) < 2
        cross &= np.hypot(x, y) < 14
        picture = np.full((96, 96, 3), 60, np.uint8)
        for square, mark in enumerate(board.tolist()):
            top, left = 3 + 31 * (square // 3), 3 + 31 * (square % 3)
            tile = picture[top : top + 28, left : left + 28]
            tile[:] = 235
            if mark:
                tile[cross if mark == 1 else ring] = (30, 80, 200) if mark == 1 else (200, 50, 40)
        return picture

    def _over(self, states: Boards) -> Bools:
        over: Bools = (np.abs(states @ _LINES) == 3).any(axis=1) | (states != 0).all(axis=1)
        return over

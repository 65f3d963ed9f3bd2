"""Connect four as a batched simulator, and as a self-play environment.

B batch, A = 7 actions: columns from the left. With best play the first to move wins, from the middle column only
(Allis, "A knowledge-based approach of Connect-Four", 1988).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from tengen.contracts import Environment
from tengen.envs import _connect_four_kernels as kernels
from tengen.envs.config import EnvConfig
from tengen.envs.simulated import SimulatedEnvironment
from tengen.types import Array, Bools, Floats, Ints, Playouts

_WIDTH, _HEIGHT = kernels.WIDTH, kernels.HEIGHT
_TOPS = np.array([1 << (7 * x + _HEIGHT - 1) for x in range(_WIDTH)], np.uint64)  # [A], each column's highest square
_BITS = np.array([[7 * x + y for x in range(_WIDTH)] for y in reversed(range(_HEIGHT))], np.uint64)  # [6, 7], as seen
_COLUMN = np.uint64(0b111111)


class ConnectFourStates(NamedTuple):
    """B games, as bitboards: the square in column x and row y, counted from below, is bit `7 * x + y`."""

    own: NDArray[np.uint64]  # [B], the stones of the side to move
    taken: NDArray[np.uint64]  # [B], all stones


def make(config: EnvConfig, *, training: bool) -> Environment:
    """Make games of connect four, `tengen/ConnectFour-v0`. Training and evaluation are the same.

    Raises:
        UserError: It was given a protocol or a setting; it has none but `render_mode="rgb_array"`.
    """
    config.refuse_protocol()
    config.refuse_settings()
    space = Box(0.0, 1.0, (2, _HEIGHT, _WIDTH), np.float32)
    return SimulatedEnvironment(config.id, ConnectFour(), space, config.num_envs, max_episode_steps=None)


class ConnectFour:
    """The rules. A win is worth 1 to the side that moved, everything else 0; finished games stay as they are."""

    num_actions = _WIDTH
    deterministic = True
    alternates = True
    num_symmetries = 2

    def init(self, rng: np.random.Generator, batch_size: int) -> ConnectFourStates:
        """Return empty boards."""
        return ConnectFourStates(np.zeros(batch_size, np.uint64), np.zeros(batch_size, np.uint64))

    def observe(self, states: ConnectFourStates) -> Array:
        """Return the stones of the side to move and of the other, float32 [B, 2, 6, 7], the top row first."""
        boards = np.stack([states.own, states.own ^ states.taken], axis=1)[:, :, None, None]  # [B, 2, 1, 1]
        return ((boards >> _BITS) & np.uint64(1)).astype(np.float32)

    def legal(self, states: ConnectFourStates) -> Bools:
        """Return the columns that are not full [B, 7]; all True where the game is over."""
        legal: Bools = ((states.taken[:, None] & _TOPS) == 0) | self._over(states)[:, None]
        return legal

    def step(
        self, states: ConnectFourStates, actions: Ints, rng: np.random.Generator | None = None
    ) -> tuple[ConnectFourStates, Floats, Floats]:
        """Drop a stone into a column, then let the other side move."""
        over = self._over(states)
        assert (((states.taken & _TOPS[actions]) == 0) | over).all(), f"a full column among the actions {actions}"
        shifts = 7 * actions.astype(np.uint64)
        stone = (((states.taken >> shifts) & _COLUMN) + np.uint64(1)) << shifts  # a column's stones are its lowest bits
        own, taken = states.own | stone, states.taken | stone
        won = _fours(own) & ~over
        after = ConnectFourStates(
            np.where(over, states.own, states.own ^ states.taken), np.where(over, states.taken, taken)
        )
        ended = over | won | ((taken & _TOPS[:, None]) != 0).all(axis=0)
        return after, won.astype(np.float64), np.where(ended, 0.0, -1.0)

    def playouts(self, states: ConnectFourStates, seeds: NDArray[np.uint64]) -> Playouts:
        """Play one random game from each state; see `PlayoutSimulator`."""
        values, first = np.empty(len(seeds)), np.empty((len(seeds), _WIDTH), np.int8)
        kernels.play_out(states.own, states.taken, seeds, values, first)
        return Playouts(values, first)

    @property
    def symmetry_actions(self) -> Ints:
        """Where each column goes, [2, 7]: nowhere, or to the mirrored one."""
        return np.stack([np.arange(_WIDTH), np.arange(_WIDTH)[::-1]])

    def transform(self, observation: Array, k: int) -> Array:
        """Return observations [B, 2, 6, 7] as they are, or mirrored (k = 1)."""
        return observation[..., ::-1] if k else observation

    def render(self, states: ConnectFourStates) -> Array:
        """Return a picture of the first board, uint8 [174, 203, 3]: who began is yellow, the other red."""
        planes = self.observe(states)[0]
        began = planes[int(planes.sum()) % 2]
        y, x = np.mgrid[:29, :29] - 14.0
        disc = np.hypot(x, y) < 11.5
        picture = np.full((29 * _HEIGHT, 29 * _WIDTH, 3), (30, 70, 170), np.uint8)
        for row in range(_HEIGHT):
            for column in range(_WIDTH):
                tile = picture[29 * row : 29 * row + 29, 29 * column : 29 * column + 29]
                colour = (240, 240, 240)
                if planes[:, row, column].any():
                    colour = (245, 200, 40) if began[row, column] else (205, 45, 40)
                tile[disc] = colour
        return picture

    def _over(self, states: ConnectFourStates) -> Bools:
        over: Bools = _fours(states.own ^ states.taken) | ((states.taken[:, None] & _TOPS) != 0).all(axis=1)
        return over


def _fours(stones: NDArray[np.uint64]) -> Bools:
    found = np.empty(len(stones), np.bool_)
    kernels.find_fours(stones, found)
    return found

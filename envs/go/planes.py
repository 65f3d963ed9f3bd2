"""Positions of Go as planes that networks read, seen by the side to move.

`board` is one plane: own stones 1, the opponent's -1, empty points 0.

`standard` is 23 planes of zeros and ones, in this order: the features of Silver et al. (2016, table 2) without ladders,
and without what other planes say together.

| planes | one where |
|---|---|
| 0, 1, 2 | a point is the side to move's, the opponent's, empty (together they show where the board ends) |
| 3 | everywhere, if black is to move |
| 4-6, 7-9 | an own chain, an opponent's chain has 1, 2, 3 liberties |
| 10 | simple ko forbids to move |
| 11-15 | the last move was made, the one before it, ... the fifth |
| 16 | a move is legal: no suicide and no simple ko (superko and games that are over are not looked at) |
| 17-19 | such a move captures 1, 2, 3 or more stones |
| 20-22 | after such a move its chain has 1, 2, 3 liberties |

B positions, C planes, N points along a side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go._plane_kernels import NUM_PLANES, standard_planes
from tengen.errors import UserError, did_you_mean

Planes = Literal["board", "standard"]

_COUNTS: Final[Mapping[str, int]] = {"board": 1, "standard": NUM_PLANES}


class Positions(Protocol):
    """What planes are drawn from; `GoStates` is one."""

    @property
    def board(self) -> NDArray[np.int8]:
        """[B, N, N], 1 black, -1 white, 0 empty."""
        ...

    @property
    def to_move(self) -> NDArray[np.int8]:
        """[B], 1 or -1."""
        ...

    @property
    def ko(self) -> NDArray[np.int16]:
        """[B], the point that simple ko forbids, or -1."""
        ...

    @property
    def last(self) -> NDArray[np.int16]:
        """[B, 8], the last moves, newest first; -1 for none, N * N for a pass."""
        ...


def num_planes(planes: str) -> int:
    """Return how many planes a kind has.

    Raises:
        UserError: There is no such kind.
    """
    known = list(get_args(Planes))
    if planes not in known:
        hint = did_you_mean(str(planes), known)
        raise UserError(f"planes must be one of {', '.join(known)}, got {planes!r}.{hint}")
    return _COUNTS[planes]


def encode(states: Positions, planes: str = "standard") -> NDArray[Any]:
    """Return positions as planes [B, C, N, N]: int8 for `board`, uint8 for `standard`.

    Raises:
        UserError: There is no such kind of planes.
    """
    num = num_planes(planes)
    board = states.board
    num_games, size = board.shape[0], board.shape[-1]
    if planes == "board":
        seen: NDArray[np.int8] = board * states.to_move[:, None, None]
        return seen[:, None]
    out = np.empty((num_games, num, size * size), np.uint8)
    flat = np.ascontiguousarray(board, np.int8).reshape(num_games, size * size)
    standard_planes(
        flat,
        np.ascontiguousarray(states.to_move, np.int8),
        np.ascontiguousarray(states.ko, np.int16),
        np.ascontiguousarray(states.last, np.int16),
        size,
        out,
    )
    return out.reshape(num_games, num, size, size)

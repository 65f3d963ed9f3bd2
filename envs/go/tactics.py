"""Playouts of Go with a little sense, as an option: answers to atari, and 3x3 shapes beside the last move.

They are slower than light playouts, and far better judges. See `_tactical_kernels`, and `_ending_kernels` for those by
which whole boards are judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go._ending_kernels import play_to_end
from tengen.envs.go._tactical_kernels import play_out_tactically
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.types import Playouts

_SHAPES = (
    # Hane: around the end of an opponent's stone.
    "XOX ... ???",
    "XO. ... ?.?",
    "XO? X.. x.?",
    ".O. X.. ...",
    # Cuts, and against them.
    "XO? O.o ?o?",
    "XO? O.X ???",
    "?X? O.O ooo",
    "OX? o.O ???",
    # At the border, which is below.
    "X.? O.? ###",
    "OX? X.O ###",
    "?X? x.O ###",
    "?XO x.x ###",
    "?OX X.O ###",
)
"""Rows of three: X and O the colours, either way round; x and o anything but that; . empty, # border, ? anything."""

_COLORS = {".": (0,), "X": (1,), "O": (2,), "#": (3,), "x": (0, 2, 3), "o": (0, 1, 3), "?": (0, 1, 2, 3)}


def tactical_playouts(go: Go, *, shapes: bool = True) -> Callable[[GoStates, NDArray[np.uint64]], Playouts]:
    """Return a function like `Go.playouts` whose players answer atari and, with `shapes`, make shape."""
    table = shape_table() if shapes else np.zeros(0, np.bool_)

    def playouts(states: GoStates, seeds: NDArray[np.uint64]) -> Playouts:
        values, first = np.empty(len(states.board)), np.empty((len(states.board), go.num_actions), np.int8)
        play_out_tactically(
            states.board,
            states.to_move,
            states.ko,
            states.passes,
            np.ascontiguousarray(states.last[:, 0]),
            table,
            seeds,
            go.playout_komi(states),
            values,
            first,
        )
        return Playouts(values, first)

    return playouts


def final_boards(board: NDArray[np.int8], seeds: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Return how games from a board end in which nobody breaks up a seki without a reason, int8 [G, N, N].

    Black begins the even ones, White the others. The rules are simple ko and no suicide.

    Args:
        board: The position [N, N]: 1 black, -1 white; every chain has a liberty.
        seeds: Of each game [G].
    """
    ends = np.empty((len(seeds), *board.shape), np.int8)
    to_move = np.where(np.arange(len(seeds)) % 2, -1, 1).astype(np.int8)
    play_to_end(np.ascontiguousarray(board), to_move, shape_table(), seeds, ends)
    return ends


@cache
def shape_table() -> NDArray[np.bool_]:
    """Return which surroundings are shapes, [4 ** 8], by the code of `_tactical_kernels.surroundings`."""
    table = np.zeros(4**8, np.bool_)
    for shape in _SHAPES:
        square = np.array([list(row) for row in shape.split()])
        for turned in (square, square[::-1], square[:, ::-1], square[::-1, ::-1]):
            for view in (turned, turned.T):
                marks = "".join(view.ravel())
                marks = marks[:4] + marks[5:]
                for named in (marks, marks.translate(str.maketrans("XOxo", "OXox"))):
                    for colors in itertools.product(*(_COLORS[mark] for mark in named)):
                        table[sum(color << 2 * i for i, color in enumerate(colors))] = True
    return table

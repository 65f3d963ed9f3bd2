"""Whose the points of a board will be, and which stones are dead: told by many games that are played on from it.

The games are those of `tengen.envs.go.tactics.final_boards`. They are drawn by chance, and so an estimate errs where a
life hangs on one sequence of moves; it is for boards on which players have passed, or soon will.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tengen.envs.go.tactics import final_boards
from tengen.evaluation.go.game import Game
from tengen.types import Array, Bools

_GAMES: Final = 1000


def estimated_ownership(game: Game, rng: np.random.Generator, num_games: int = _GAMES) -> Array:
    """Return the mean owner of each point, [N, N] from -1 white to 1 black, over games from a position.

    Half of them begin with either side; the rules are simple ko and no suicide, whatever the game's.

    Args:
        game: With the position.
        rng: Draws the games' seeds.
        num_games: How many.
    """
    seeds = rng.integers(2**63, size=num_games).astype(np.uint64)
    now = game.states._replace(history=game.states.history[:, :0])  # which nobody asks for here
    ends = now.rows(np.zeros(num_games, np.int64))._replace(board=final_boards(game.board, seeds))
    owners: Array = game.simulator.ownership(ends).mean(axis=0)
    return owners


def dead_stones(board: Array, ownership: Array) -> Bools:
    """Return the stones [N, N] that are dead, chains as a whole: their points are the other side's in most games.

    Args:
        board: 1 black, -1 white [N, N].
        ownership: Of its points [N, N], as `estimated_ownership` returns it.
    """
    kept = ownership * board
    dead = np.zeros(board.shape, np.bool_)
    for chain in chains(board):
        points = tuple(np.transpose(chain))
        dead[points] = kept[points].mean() < 0
    return dead


def chains(board: Array) -> list[list[tuple[int, int]]]:
    """Return the points (row, column) of each chain on a board [N, N]."""
    stones = {(y, x): int(board[y, x]) for y, x in zip(*np.nonzero(board), strict=True)}
    found = []
    while stones:
        point, color = stones.popitem()
        chain, queue = [], [point]
        while queue:
            y, x = queue.pop()
            chain.append((int(y), int(x)))
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if stones.get(near) == color:
                    del stones[near]
                    queue.append(near)
        found.append(sorted(chain))
    return sorted(found)

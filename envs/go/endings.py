"""Ends of games: whose the points of a board will be, which stones are dead, and what recorded games were counted as.

All of it is told by many games that are played on from the position, by `tengen.envs.go.tactics.final_boards`. They are
drawn by chance, and so an estimate errs where a life hangs on one sequence of moves; it is for boards on which players
have passed, or soon will.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go._board_kernels import own_points
from tengen.envs.go.rule_names import counting_rules
from tengen.envs.go.sgf import Record
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.envs.go.tactics import final_boards
from tengen.types import Array, Bools

_GAMES: Final = 1000
_GAMES_OF_A_RECORD: Final = 200  # its own count is there to be agreed with


def estimated_ownership(board: Array, rng: np.random.Generator, num_games: int = _GAMES) -> Array:
    """Return the mean owner of each point, [N, N] from -1 white to 1 black, over games from a position.

    Half of them begin with either side; the rules are simple ko and no suicide, whatever the game's.

    Args:
        board: The position int8 [N, N]: 1 black, -1 white.
        rng: Draws the games' seeds.
        num_games: How many.
    """
    ends = final_boards(board, rng.integers(2**63, size=num_games).astype(np.uint64))
    owners = np.empty_like(ends)
    own_points(ends, owners, np.empty(board.size, np.int16))
    mean: Array = owners.mean(axis=0)
    return mean


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


def final_owners(record: Record) -> NDArray[np.int8] | None:
    """Return whose each point was at the end of a recorded game, int8 [N, N]: 1 black's, -1 white's, 0 nobody's.

    The stones that look dead are taken. By area they are also tried to be left, as programs count that know no dead
    stones.

    None where the record has no count (it ends by resigning, or on time), or where neither way leads to that very
    count: then nobody knows which stones the players took. Nor where more than 2 N points would be nobody's: such a
    game was not played to its end, and a count by the komi alone proves nothing.
    """
    if record.margin is None or not abs(record.komi) <= record.size**2:  # nor is it where it is unknown
        return None
    board = np.zeros((record.size, record.size), np.int8)
    stones = np.array(record.stones, np.int64)
    board.reshape(-1)[np.where(stones >= 0, stones, -1 - stones)] = np.where(stones >= 0, 1, -1)
    go = Go(counting_rules(record.size, record.komi, record.rules, int((board > 0).sum())))
    played = go.replay(np.array(record.moves), start=go.setup(board[None], record.first), keep_boards=False)
    if played.played < len(record.moves):
        return None
    owners = _counted(go, played.states, _looks_dead(played.states.board[0]), record.margin)
    if owners is None and record.rules and go.rules.scoring == "area":
        owners = _counted(go, played.states, np.zeros(board.shape, np.bool_), record.margin)
    return owners


def _counted(go: Go, states: GoStates, dead: Bools, margin: float) -> NDArray[np.int8] | None:
    """Return whose each point is once dead stones are taken [N, N]; None where the score is another, or by luck."""
    if not math.isclose(go.score(states, dead[None])[0], margin, abs_tol=1e-6):
        return None
    owners: NDArray[np.int8] = go.ownership(states._replace(board=np.where(dead, 0, states.board)))[0]
    return owners if (owners == 0).sum() <= 2 * len(dead) else None


def _looks_dead(board: NDArray[np.int8]) -> Bools:
    return dead_stones(board, estimated_ownership(board, np.random.default_rng(0), _GAMES_OF_A_RECORD))

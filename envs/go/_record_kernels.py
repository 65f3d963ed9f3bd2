"""Kernels that play recorded games: a game's first illegal move, and positions out of the middle of many games.

They know simple ko and forbid suicide unless told otherwise. A board is flat, int8 [P + 1]: 1 black, -1 white, 0 empty,
and a border at P that every neighbour off the board is. Chains are searched anew at each move: a record is played once.

Shape letters: B positions, G games, P points of a board (N * N), M moves of all games, S stones set up in all games.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

_Bytes: TypeAlias = NDArray[np.int8]
_Shorts: TypeAlias = NDArray[np.int16]
_Words: TypeAlias = NDArray[np.int32]
_Ints: TypeAlias = NDArray[np.int64]

BORDER = 2
NUM_LAST = 8  # moves of the past that a position tells

LEGAL, OCCUPIED, KO, SUICIDE = 0, 1, 2, 3


@njit
def neighbour_table(size: int) -> _Words:
    """Return the four neighbours of each point, [P, 4]; P for those off the board."""
    num_points = size * size
    table = np.full((num_points, 4), num_points, np.int32)
    for p in range(num_points):
        if p >= size:
            table[p, 0] = p - size
        if p % size > 0:
            table[p, 1] = p - 1
        if p % size < size - 1:
            table[p, 2] = p + 1
        if p < num_points - size:
            table[p, 3] = p + size
    return table


@njit
def symmetry_table(size: int) -> _Words:
    """Return where each of the 8 symmetries takes each point, and a pass, [8, P + 1].

    Symmetry k transposes if k has 4, then mirrors left and right if k has 1, then top and bottom if k has 2.
    """
    num_points = size * size
    table = np.empty((8, num_points + 1), np.int32)
    for k in range(8):
        for p in range(num_points):
            y, x = p // size, p % size
            if k & 4:
                y, x = x, y
            if k & 1:
                x = size - 1 - x
            if k & 2:
                y = size - 1 - y
            table[k, p] = y * size + x
        table[k, num_points] = num_points
    return table


@njit(makes_arrays=False)
def has_liberty(board: _Bytes, neighbours: _Words, start: int, stack: _Words, marks: _Words) -> bool:
    """Return whether the chain of a stone has a liberty.

    Args:
        board: [P + 1].
        neighbours: [P, 4].
        start: A stone.
        stack: Scratch, [P].
        marks: Scratch, [P + 1], of whose last element the next mark is made.
    """
    colour = board[start]
    marks[-1] += 1
    mark = marks[-1]
    stack[0] = start
    marks[start] = mark
    count = 1
    while count > 0:
        count -= 1
        p = stack[count]
        for k in range(4):
            q = neighbours[p, k]
            if board[q] == 0:
                return True
            if board[q] == colour and marks[q] != mark:
                marks[q] = mark
                stack[count] = q
                count += 1
    return False


@njit(makes_arrays=False)
def remove_chain(board: _Bytes, neighbours: _Words, start: int, stack: _Words) -> int:
    """Take the chain of a stone off the board, in place; return how many stones it had."""
    colour = board[start]
    stack[0] = start
    board[start] = 0
    count, removed = 1, 0
    while count > 0:
        count -= 1
        p = stack[count]
        removed += 1
        for k in range(4):
            q = neighbours[p, k]
            if board[q] == colour:
                board[q] = 0
                stack[count] = q
                count += 1
    return removed


@njit(makes_arrays=False)
def place(board: _Bytes, neighbours: _Words, point: int, colour: int, stack: _Words, marks: _Words) -> int:
    """Put a stone on an empty point, in place, and take what it captures, else its own chain if that has no liberty.

    Returns:
        The point that simple ko forbids next, or -1; -1 - n where its own chain of n stones was taken (a suicide).
    """
    board[point] = colour
    captured, last, single = 0, -1, True
    for k in range(4):
        q = neighbours[point, k]
        if board[q] == -colour:
            if not has_liberty(board, neighbours, q, stack, marks):
                captured += remove_chain(board, neighbours, q, stack)
                last = q
        elif board[q] == colour or board[q] == 0:
            single = False  # it has a friend, or a liberty that was there before
    if captured == 0 and not has_liberty(board, neighbours, point, stack, marks):
        return -1 - remove_chain(board, neighbours, point, stack)
    return last if captured == 1 and single else -1


@njit
def first_illegal(moves: _Shorts, first: int, stones: _Shorts, size: int, suicide: bool) -> tuple[int, int]:
    """Return the index of a game's first illegal move and why (OCCUPIED, KO, SUICIDE); (-1, LEGAL) where all are legal.

    Args:
        moves: [moves of the game], points, or N * N for a pass; the colours alternate.
        first: Who moves first, 1 or -1.
        stones: What is set up, [stones]: a point p for black, -1 - p for white.
        size: N.
        suicide: Whether suicide of two stones or more is legal.
    """
    num_points = size * size
    neighbours = neighbour_table(size)
    board = np.zeros(num_points + 1, np.int8)
    board[num_points] = BORDER
    stack, marks = np.zeros(num_points, np.int32), np.zeros(num_points + 1, np.int32)
    for stone in stones:
        board[stone if stone >= 0 else -1 - stone] = 1 if stone >= 0 else -1
    colour, ko = first, -1
    for i in range(moves.size):
        p = moves[i]
        if p == num_points:
            ko = -1
        else:
            if board[p] != 0:
                return i, OCCUPIED
            if p == ko:
                return i, KO
            ko = place(board, neighbours, p, colour, stack, marks)
            if ko < -1:
                if not suicide or ko == -2:
                    return i, SUICIDE
                ko = -1
        colour = -colour
    return -1, LEGAL


@njit
def positions(
    moves: _Shorts,
    starts: _Ints,
    first: _Bytes,
    stones: _Shorts,
    stone_starts: _Ints,
    size: int,
    games: _Ints,
    plies: _Ints,
    symmetries: _Ints,
    board: _Bytes,
    to_move: _Bytes,
    ko: _Shorts,
    last: _Shorts,
    target: _Ints,
) -> None:
    """Write the positions before some moves of some games, each turned by a symmetry, and the moves themselves.

    Args:
        moves: [M], of all games one after the other.
        starts: Where each game's moves begin, [G + 1].
        first: Who moves first, [G].
        stones: [S], set up in all games, as for `first_illegal`.
        stone_starts: Where each game's stones begin, [G + 1].
        size: N.
        games: [B].
        plies: The move of the game that is to be predicted, [B]; its number of moves for its last position.
        symmetries: [B], see `symmetry_table`.
        board: Out, [B, P].
        to_move: Out, [B].
        ko: Out, [B].
        last: Out, [B, NUM_LAST].
        target: Out, [B]; -1 after a game's last move.
    """
    num_points = size * size
    neighbours, turned = neighbour_table(size), symmetry_table(size)
    stack, marks = np.zeros(num_points, np.int32), np.zeros(num_points + 1, np.int32)
    points = np.empty(num_points + 1, np.int8)
    for b in range(games.size):
        game, turn = games[b], turned[symmetries[b]]
        points[:] = 0
        points[num_points] = BORDER
        for i in range(stone_starts[game], stone_starts[game + 1]):
            stone = stones[i]
            points[turn[stone if stone >= 0 else -1 - stone]] = 1 if stone >= 0 else -1
        begin, end = starts[game], starts[game] + plies[b]
        colour, forbidden = first[game], -1
        for i in range(begin, end):
            p = turn[moves[i]]
            forbidden = -1 if p == num_points else max(-1, place(points, neighbours, p, colour, stack, marks))
            colour = -colour
        for p in range(num_points):
            board[b, p] = points[p]
        to_move[b], ko[b] = colour, forbidden
        for k in range(NUM_LAST):
            last[b, k] = turn[moves[end - 1 - k]] if end - 1 - k >= begin else -1
        target[b] = turn[moves[end]] if end < starts[game + 1] else -1

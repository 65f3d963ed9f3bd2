"""Kernels that draw positions of Go as planes; see `tengen.envs.go.planes` for what each plane is.

Shape letters: B positions, C planes, P points of a board (N * N).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.envs.go._record_kernels import BORDER, neighbour_table

_Bytes: TypeAlias = NDArray[np.int8]
_Pixels: TypeAlias = NDArray[np.uint8]
_Shorts: TypeAlias = NDArray[np.int16]
_Words: TypeAlias = NDArray[np.int32]

# Where each kind of plane begins.
OWN, OPPONENT, EMPTY, BLACK, OWN_LIBERTIES, OPPONENT_LIBERTIES = 0, 1, 2, 3, 4, 7
KO_POINT, LAST, LEGAL, CAPTURES, AFTER, NUM_PLANES = 10, 11, 16, 17, 20, 23
NUM_DRAWN = 5  # last moves


@njit
def standard_planes(board: _Bytes, to_move: _Bytes, ko: _Shorts, last: _Shorts, size: int, out: _Pixels) -> None:
    """Draw positions.

    Args:
        board: [B, P], 1 black, -1 white.
        to_move: [B], 1 or -1.
        ko: [B], the point that simple ko forbids, or -1.
        last: [B, at least 5], the last moves, newest first; -1 for none, P for a pass.
        size: N.
        out: Out, [B, C, P].
    """
    num_points = size * size
    neighbours = neighbour_table(size)
    points = np.empty(num_points + 1, np.int8)  # as the side to move sees it: 1 own, -1 the opponent's
    chain = np.empty(num_points + 1, np.int32)  # the chain that a stone belongs to, by its first stone
    following = np.empty(num_points + 1, np.int32)  # the next stone of the chain, round and round
    liberties = np.empty(num_points + 1, np.int32)  # of a chain, by its first stone
    stones = np.empty(num_points + 1, np.int32)
    stack, marks = np.zeros(num_points, np.int32), np.zeros(num_points + 1, np.int32)
    for b in range(len(board)):
        for p in range(num_points):
            points[p] = board[b, p] * to_move[b]
        points[num_points] = BORDER
        _find_chains(points, neighbours, chain, following, liberties, stones, stack, marks)
        planes = out[b]
        planes[:] = 0
        if to_move[b] == 1:
            planes[BLACK] = 1
        for p in range(num_points):
            if points[p] == 0:
                planes[EMPTY, p] = 1
                if p != ko[b]:
                    _draw_move(planes, points, neighbours, chain, following, liberties, stones, p, marks)
                continue
            own = points[p] == 1
            planes[OWN if own else OPPONENT, p] = 1
            count = liberties[chain[p]]
            if count <= 3:
                planes[(OWN_LIBERTIES if own else OPPONENT_LIBERTIES) + count - 1, p] = 1
        if ko[b] >= 0:
            planes[KO_POINT, ko[b]] = 1
        for k in range(NUM_DRAWN):
            if 0 <= last[b, k] < num_points:
                planes[LAST + k, last[b, k]] = 1


@njit(makes_arrays=False)
def _find_chains(
    points: _Bytes,
    neighbours: _Words,
    chain: _Words,
    following: _Words,
    liberties: _Words,
    stones: _Words,
    stack: _Words,
    marks: _Words,
) -> None:
    """Write each stone's chain, and each chain's stones and liberties."""
    num_points = len(neighbours)
    chain[:] = -1
    for start in range(num_points):
        if chain[start] >= 0 or points[start] == 0:
            continue
        marks[num_points] += 1
        mark = marks[num_points]
        stack[0] = start
        chain[start], following[start] = start, start
        count, free, size = 1, 0, 0
        while count > 0:
            count -= 1
            size += 1
            p = stack[count]
            for k in range(4):
                q = neighbours[p, k]
                if points[q] == 0:
                    if marks[q] != mark:
                        marks[q] = mark
                        free += 1
                elif points[q] == points[start] and chain[q] < 0:
                    chain[q] = start
                    following[q], following[start] = following[start], q
                    stack[count] = q
                    count += 1
        liberties[start], stones[start] = free, size


@njit(makes_arrays=False)
def _draw_move(
    planes: _Pixels,
    points: _Bytes,
    neighbours: _Words,
    chain: _Words,
    following: _Words,
    liberties: _Words,
    stones: _Words,
    point: int,
    marks: _Words,
) -> None:
    """Draw whether a move to an empty point is legal, what it captures, and how many liberties its chain then has."""
    captured, free = 0, 0
    marks[-1] += 1
    mark = marks[-1]
    for k in range(4):
        q = neighbours[point, k]
        if points[q] == -1 and liberties[chain[q]] == 1 and marks[chain[q]] != mark:
            marks[chain[q]] = mark
            captured += stones[chain[q]]
    marks[-1] += 1
    mark = marks[-1]
    marks[point] = mark
    free = _count(points, neighbours, chain, liberties, point, point, free, marks, mark)
    for k in range(4):
        q = neighbours[point, k]
        if points[q] == 1 and marks[chain[q]] != mark and free < 4:
            p = chain[q]
            marks[p] = mark
            while True:
                free = _count(points, neighbours, chain, liberties, p, point, free, marks, mark)
                p = following[p]
                if p == chain[q] or free >= 4:
                    break
    if free == 0:
        return
    planes[LEGAL, point] = 1
    if captured > 0:
        planes[CAPTURES + min(captured, 3) - 1, point] = 1
    if free <= 3:
        planes[AFTER + free - 1, point] = 1


@njit(makes_arrays=False)
def _count(
    points: _Bytes,
    neighbours: _Words,
    chain: _Words,
    liberties: _Words,
    stone: int,
    point: int,
    free: int,
    marks: _Words,
    mark: int,
) -> int:
    """Add the new liberties beside a stone once a move to `point` is made; those of chains it captures are liberties.

    A captured chain's points are next to the new stone's own chain or not; only those beside `stone` are looked at.
    """
    for k in range(4):
        q = neighbours[stone, k]
        if marks[q] == mark:
            continue
        if points[q] == 0 or (points[q] == -1 and liberties[chain[q]] == 1 and _touches(neighbours, chain, q, point)):
            marks[q] = mark
            free += 1
    return free


@njit(makes_arrays=False)
def _touches(neighbours: _Words, chain: _Words, stone: int, point: int) -> bool:
    """Return whether the chain of a stone is beside a point."""
    for k in range(4):
        q = neighbours[point, k]
        if q < len(neighbours) and chain[q] == chain[stone]:
            return True
    return False

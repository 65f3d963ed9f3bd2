"""Playouts to judge an ending by: as tactical ones, but nobody puts many stones into atari without a reason.

In a seki whoever moves first loses, and in random games somebody does: so it falls apart, and so do groups whose owner
fills his own eye space. Here a side rather passes than move into atari with two stones or more, unless their shape is
one in which the other side, having taken them, has no room for two eyes (nakade). The final boards come out, not the
winners.

G games, N points along a side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.envs.go._chain_kernels import (
    BLACK,
    BORDER,
    EMPTY,
    WHITE,
    Chains,
    breathes,
    is_eye,
    load,
    make_chains,
    neighbour,
    press,
)
from tengen.envs.go._playout_kernels import put_down
from tengen.envs.go._tactical_kernels import answers, mixed, shapely

_ZERO, _ONE, _HALF = np.uint64(0), np.uint64(1), np.uint64(32)
_OFTEN = 7  # of 8 times a move answers the last one, if there is an answer
_LARGEST = 6  # stones of a shape in which two eyes can't be made


@njit(nogil=True)
def play_to_end(
    board: NDArray[np.int8],
    to_move: NDArray[np.int8],
    shapes: NDArray[np.bool_],
    seeds: NDArray[np.uint64],
    ends: NDArray[np.int8],
) -> None:
    """Play games from one position to two passes, or 3 N^2 moves.

    Args:
        board: The position [N, N]: 1 black, -1 white.
        to_move: Who begins each game [G].
        shapes: As in `_tactical_kernels.play_out_tactically`.
        seeds: Of each game [G].
        ends: Gets the boards [G, N, N].
    """
    n = board.shape[0]
    chains = make_chains(n)
    choices = np.zeros(16, np.uint64)
    for g in range(len(seeds)):
        num_empty = load(chains, board)
        _play_on(chains, n, BLACK if to_move[g] > 0 else WHITE, num_empty, shapes, seeds[g], choices)
        for y in range(n):
            for x in range(n):
                c = chains.color[np.uint64((y + 1) * (n + 1) + x + 1)]
                ends[g, y, x] = 1 if c == BLACK else (-1 if c == WHITE else 0)


@njit(makes_arrays=False)
def _play_on(
    chains: Chains,
    n: int,
    color: int,
    num_empty: Any,
    shapes: NDArray[np.bool_],
    seed: Any,
    choices: NDArray[np.uint64],
) -> None:
    """Play a game to its end."""
    w = np.uint64(n + 1)
    last, ko, passes, x = _ZERO, _ZERO, 0, mixed(seed)
    for _ in range(3 * n * n):
        played = _ZERO
        x ^= x << np.uint64(13)  # xorshift64 (Marsaglia 2003)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        if last and (x & np.uint64(7)) < np.uint64(_OFTEN):
            count = answers(chains, w, last, color, choices)
            if count == 0:
                count = shapely(chains, w, last, shapes, choices)
            if count:
                start = (((x >> np.uint64(8)) & np.uint64(0xFFFF)) * np.uint64(count)) >> np.uint64(16)
                played = _first_good(chains, w, choices, np.uint64(count), color, ko, start)
        if played == _ZERO and num_empty > _ZERO:
            played = _first_good(chains, w, chains.empties, num_empty, color, ko, ((x >> _HALF) * num_empty) >> _HALF)
        ko = _ZERO
        if played == _ZERO:
            passes += 1
            if passes == 2:
                return
        else:
            passes = 0
            num_empty, ko = put_down(chains, w, played, color, num_empty)
        last = played
        color = 3 - color


@njit(makes_arrays=False)
def _first_good(chains: Chains, w: Any, points: Any, count: Any, color: int, ko: Any, start: Any) -> Any:
    """Return the first of some empty points, from a place in their list on, that is worth a move; 0: none.

    The point has been pressed, for `put_down`.
    """
    i = start
    while True:
        p = np.uint64(points[i])
        if p != ko and not is_eye(chains, w, p, color):
            press(chains, w, p, -1)
            if breathes(chains, w, p, color) and (chains.around[p] >> 8 >= 2 or not throws_away(chains, w, p, color)):
                return p
            press(chains, w, p, 1)
        i += _ONE
        if i == count:
            i = _ZERO
        if i == start:
            return _ZERO


@njit(makes_arrays=False)
def throws_away(chains: Chains, w: Any, p: Any, color: int) -> bool:
    """Return whether a stone on a pressed point moves two stones or more into atari, takes none, and is no nakade."""
    other, size = 3 - color, 1
    a = b = c = _ZERO  # the chains that it joins
    only = _ZERO  # the first liberty that was found
    for k in range(4):
        q = neighbour(p, w, k)
        beside = chains.color[q]
        if beside == EMPTY:
            if only and q != only:
                return False
            only = q
        elif beside == other:
            if chains.liberties[np.uint64(chains.chain[q])] == 0:
                return False
        elif beside == color:
            known = np.uint64(chains.chain[q])
            if known in (a, b, c):
                continue
            a, b, c = known, a, b
            size += chains.stones[known]
            only = _second_liberty(chains, w, known, p, only)
            if only == p:
                return False
    if size == 1:
        return False
    in_eye = (chains.around[only] >> (4 * (color - 1))) & 15 == 4 - _touches(w, only, p)  # one of its own
    return in_eye or size > _LARGEST or not _is_nakade(chains, w, p, color, size)


@njit(makes_arrays=False)
def _second_liberty(chains: Chains, w: Any, known: Any, p: Any, only: Any) -> Any:
    """Return the only liberty of a chain but p, or p itself where there is another besides `only` (0: none yet)."""
    s = known
    while True:
        if chains.around[s] >> 8:
            for k in range(4):
                q = neighbour(s, w, k)
                if chains.color[q] == EMPTY and q not in (p, only):
                    if only:
                        return p
                    only = q
        s = np.uint64(chains.after[s])
        if s == known:
            return only


@njit(makes_arrays=False)
def _is_nakade(chains: Chains, w: Any, p: Any, color: int, size: int) -> bool:
    """Return whether a stone and the chains that it joins, 6 stones at most, make a shape without room for two eyes.

    Those of up to three stones; of four the square, the T, and the one that is bent in the board's corner; of five the
    cross and the square with one more; of six the cross with one corner filled. How many neighbours of its own each
    stone has tells them from all others.
    """
    if size <= 3:
        return True
    most = total = _beside(chains, w, p, color)
    bent = total == 2 and _beside(chains, w, p, BORDER) == 2
    for k in range(4):
        q = neighbour(p, w, k)
        if chains.color[q] != color or _met_before(chains, w, p, k):
            continue
        s = known = np.uint64(chains.chain[q])
        while True:
            own = _beside(chains, w, s, color) + _touches(w, s, p)
            most, total = max(most, own), total + own
            bent |= own == 2 and _beside(chains, w, s, BORDER) == 2
            s = np.uint64(chains.after[s])
            if s == known:
                break
    if size == 4:
        return bent or total == 8 or most == 3
    return total == 10 or most == 4 if size == 5 else total == 12 and most == 4


@njit(makes_arrays=False, forceinline=True)
def _met_before(chains: Chains, w: Any, p: Any, k: int) -> bool:
    """Return whether the chain of a point's k-th neighbour is also that of an earlier one."""
    known = chains.chain[neighbour(p, w, k)]
    for j in range(k):
        q = neighbour(p, w, j)
        if chains.color[q] == chains.color[neighbour(p, w, k)] and chains.chain[q] == known:
            return True
    return False


@njit(makes_arrays=False, forceinline=True)
def _beside(chains: Chains, w: Any, p: Any, color: int) -> int:
    """Return how many neighbours of a point are of a colour, or border."""
    count = 0
    for k in range(4):
        count += chains.color[neighbour(p, w, k)] == color
    return count


@njit(makes_arrays=False, forceinline=True)
def _touches(w: Any, s: Any, p: Any) -> int:
    """Return whether two points are neighbours, as a number."""
    return int(s - p in (w, _ONE) or p - s in (w, _ONE))

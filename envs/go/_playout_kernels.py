"""Light playouts: random games to the end, whose players don't fill their own eyes. Many to the millisecond.

The rules meanwhile are simple ko and no suicide, whatever the game's; two passes end a playout, or 3 N^2 moves. No
position is hashed. (That numba knows the size when it compiles, which was tried, makes this no faster.)

B batch, N points along a side, A = N * N + 1 actions, M = 3 * N * N + 1 moves of a playout at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.envs.go._chain_kernels import BLACK, WHITE, Chains, breathes, is_eye, load, make_chains, padded, press, put
from tengen.types import Floats

_ZERO, _ONE, _HALF = np.uint64(0), np.uint64(1), np.uint64(32)


@njit(nogil=True)
def play_out(
    boards: NDArray[np.int8],
    to_move: NDArray[np.int8],
    ko: NDArray[np.int16],
    passes: NDArray[np.int8],
    seeds: NDArray[np.uint64],
    komi: Floats,
    values: Floats,
    first: NDArray[np.int8],
) -> None:
    """Play one game from each position; 0 where it is over.

    Args:
        boards: Positions [B, N, N].
        to_move: Whose turn it is [B].
        ko: The points where simple ko forbids to play [B], or -1.
        passes: Passes in a row [B].
        seeds: Of each game, [B], any but 0; close ones make games that are alike.
        komi: What black's area has to exceed white's by [B].
        values: Gets 1 where the side to move wins, -1 where it loses, 0 for a draw [B].
        first: Gets who was the first to play each action [B, A]: 1 the side to move, -1 the other, 0 nobody; or [0, A].
    """
    n = boards.shape[1]
    chains = make_chains(n)
    record = np.zeros(3 * n * n + 1, np.uint16)
    action_of = np.full(len(chains.color), n * n)  # a table: divisions take longer
    for point in range(n * n):
        action_of[padded(point, n)] = point
    for b in range(len(values)):
        if passes[b] >= 2:
            values[b] = 0.0
            if len(first):
                first[b, :] = 0
            continue
        color = BLACK if to_move[b] > 0 else WHITE
        num_empty = load(chains, boards[b])
        forbidden = padded(ko[b], n) if ko[b] >= 0 else _ZERO
        num_moves, _ = play_on(chains, n, color, num_empty, forbidden, passes[b], seeds[b], record)
        margin = area(chains, n) - komi[b]
        if to_move[b] < 0:
            margin = -margin
        values[b] = 1.0 if margin > 0 else (-1.0 if margin < 0 else 0.0)
        if len(first):
            first[b, :] = 0
            for k in range(np.int64(num_moves) - 1, -1, -1):  # the earliest is written last
                first[b, action_of[np.uint64(record[k])]] = -1 if k & 1 else 1


@njit(makes_arrays=False)
def play_on(
    chains: Chains,
    n: int,
    color: int,
    num_empty: Any,
    ko: Any,
    passes: int,
    seed: Any,
    record: NDArray[np.uint16],
) -> Any:
    """Play a game to its end.

    Args:
        chains: The board, filled. Modified in place.
        n: N.
        color: Who begins.
        num_empty: Empty points.
        ko: Where simple ko forbids to play, with border; 0: nowhere.
        passes: Passes in a row so far, 0 or 1.
        seed: Not 0.
        record: Gets the moves [M]: points with border, 0 for a pass.

    Returns:
        How many moves there were, and the number of passes at the end, less than 2 where there were too many moves.
    """
    w = np.uint64(n + 1)
    num_moves, most = _ZERO, np.uint64(3 * n * n)  # unsigned, as indices are
    x = np.uint64(seed)
    while passes < 2 and num_moves < most:
        played = _ZERO
        if num_empty > _ZERO:
            x ^= x << np.uint64(13)  # xorshift64 (Marsaglia 2003)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
            played = any_move(chains, w, color, num_empty, ko, ((x >> _HALF) * num_empty) >> _HALF)
        record[num_moves] = played
        ko = _ZERO
        if played == _ZERO:
            passes += 1
        else:
            passes = 0
            num_empty, ko = put_down(chains, w, played, color, num_empty)
        num_moves += _ONE
        color = 3 - color
    return num_moves, passes


@njit(makes_arrays=False, forceinline=True)
def any_move(chains: Chains, w: Any, color: int, num_empty: Any, ko: Any, start: Any) -> Any:
    """Return the first empty point, from a place in their list on, where a side may play and fills no eye; 0: none.

    The point has been pressed, for `put_down`.
    """
    i = start
    while True:
        p = np.uint64(chains.empties[i])
        if p != ko and not is_eye(chains, w, p, color):
            press(chains, w, p, -1)
            if breathes(chains, w, p, color):
                return p
            press(chains, w, p, 1)
        i += _ONE
        if i == num_empty:
            i = _ZERO
        if i == start:
            return _ZERO


@njit(makes_arrays=False, forceinline=True)
def put_down(chains: Chains, w: Any, p: Any, color: int, num_empty: Any) -> Any:
    """Put a stone on a point that was pressed.

    Returns:
        The number of empty points, and where simple ko forbids to play; 0: nowhere.
    """
    surrounded = (chains.around[p] >> (4 * (2 - color))) & 15 == 4
    left = put(chains, w, p, color, num_empty)
    if surrounded and left == num_empty:
        return left, np.uint64(chains.empties[left - _ONE])  # the only stone taken
    return left, _ZERO


@njit(makes_arrays=False, forceinline=True)
def area(chains: Chains, n: int) -> int:
    """Return black's points less white's: stones, and empty points all of whose neighbours are of one colour.

    At a playout's end no other empty points are anybody's: either side could have played there.
    """
    total = 0
    for y in range(n):
        for x in range(n):
            p = np.uint64((y + 1) * (n + 1) + x + 1)
            c = chains.color[p]
            counts = chains.around[p]
            if c == BLACK or (c == 0 and counts & 15 == 4):
                total += 1
            elif c == WHITE or (c == 0 and (counts >> 4) & 15 == 4):
                total -= 1
    return total

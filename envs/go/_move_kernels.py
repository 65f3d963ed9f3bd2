"""Moves of batches of games, from `GoStates` to `GoStates`: captures, ko, superko, whose turn it is.

Only the chains beside a move are looked at. Kernels hold no lock (`nogil`), so that threads can share a batch. Colours
of states are 1 black, -1 white, 0 none. Reasons are the numbers of `tengen.envs.go.rules.Refusal`.

B batch, N points along a side, actions `y * N + x`, then the pass. H entries of history, P points with a border.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.envs.go._chain_kernels import BLACK, BORDER, EMPTY, WHITE, neighbour, padded, unpadded
from tengen.types import Ints

SIMPLE, POSITIONAL, SITUATIONAL = 0, 1, 2  # rules of ko

NONE, OCCUPIED, SUICIDE, KO, SUPERKO, OFF_BOARD, GAME_OVER, MOVE_LIMIT, PLACING = range(9)  # as in `Refusal`


class Law(NamedTuple):
    """What the kernels need of `Rules`."""

    ko: int
    suicide: bool
    move_limit: int
    placements: int  # black's first moves, which are handicap stones where he likes


def _make_zobrist() -> NDArray[np.uint64]:
    """Return random numbers by splitmix64 (Steele et al. 2014), the same for ever: saved states hold sums of them."""
    z = np.arange(1, 3 * 512 + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).reshape(3, 512)


ZOBRIST = _make_zobrist()
"""For a stone of colour BLACK or WHITE at a point with border, [3, 512]; [0, 0] stands for white being to move."""


@njit(nogil=True)
def play_actions(states: Any, law: Law, actions: Ints, reasons: Ints) -> None:
    """Play an action in each game, [B]. `states` is modified in place; a game that is over stays as it is.

    Args:
        states: The games.
        law: The rules.
        actions: What the side to move does.
        reasons: Gets why an action was refused, [B], 0 where it was not. A refused action changes nothing.
    """
    n = states.board.shape[1]
    color = np.full((n + 2) * (n + 1) + 1, BORDER, np.uint8)
    found = np.zeros(n * n + 1, np.uint16)
    for b in range(len(actions)):
        reasons[b] = play_one(states, b, law, actions[b], color, found)


@njit(makes_arrays=False)
def play_one(states: Any, b: int, law: Law, action: int, color: NDArray[np.uint8], found: NDArray[np.uint16]) -> int:
    """Play an action in one game, by means of an array for a board with a border and one for stones."""
    n = states.board.shape[1]
    moves, mover = states.moves[b], states.to_move[b]
    if states.passes[b] >= 2:
        return NONE
    if action == n * n:
        if moves < law.placements:
            return PLACING
        states.passes[b] = 2 if moves >= law.move_limit else states.passes[b] + 1
        _turn(states, b, law, action, -1, np.uint64(0))
        return NONE
    if moves >= law.move_limit:
        return MOVE_LIMIT
    if not 0 <= action < n * n:
        return OFF_BOARD
    if states.board[b, action // n, action % n] != 0:
        return OCCUPIED
    for y in range(n):
        for x in range(n):
            stone = states.board[b, y, x]
            color[np.uint64((y + 1) * (n + 1) + x + 1)] = BLACK if stone > 0 else (WHITE if stone < 0 else EMPTY)
    own = BLACK if mover > 0 else WHITE
    p, w = padded(action, n), np.uint64(n + 1)
    taken, suicides, ko = put_plainly(color, w, p, own, found)
    if suicides == 1 or (suicides and not law.suicide):
        return SUICIDE
    if states.ko[b] == action:
        return KO
    change = ZOBRIST[own, p]
    gone = own if suicides else 3 - own
    for k in range(taken + suicides):
        change ^= ZOBRIST[gone, np.uint64(found[np.uint64(k)])]
    if law.ko != SIMPLE and is_repeated(states.history[b], moves, change ^ side_change(law, moves)):
        return SUPERKO
    states.board[b, action // n, action % n] = mover
    for k in range(taken + suicides):
        point = unpadded(found[np.uint64(k)], n)
        states.board[b, point // n, point % n] = 0
    states.captured[b, 0 if mover > 0 else 1] += taken
    states.captured[b, 1 if mover > 0 else 0] += suicides
    states.passes[b] = 0
    _turn(states, b, law, action, unpadded(found[np.uint64(0)], n) if ko else -1, change)
    return NONE


@njit(makes_arrays=False)
def put_plainly(color: NDArray[np.uint8], w: Any, p: Any, own: int, found: NDArray[np.uint16]) -> Any:
    """Put a stone on an empty point of colours with a border, and take chains without liberties.

    Returns:
        How many stones of the other side were taken, how many own ones, and whether the stone took a ko. The stones
        are in `found`.
    """
    color[p] = own
    taken = 0
    for k in range(4):
        q = neighbour(p, w, k)
        if color[q] == 3 - own:
            taken = _take_dead(color, w, q, found, taken)
    if taken:
        same = empty = 0
        for k in range(4):
            beside = color[neighbour(p, w, k)]
            same += beside == own
            empty += beside == EMPTY
        return taken, 0, taken == 1 and same == 0 and empty == 1
    return 0, _take_dead(color, w, p, found, 0), False


@njit(makes_arrays=False)
def _take_dead(color: NDArray[np.uint8], w: Any, p: Any, found: NDArray[np.uint16], count: int) -> int:
    """Take the chain of a stone if it has no liberties. Return how many stones are in `found` then."""
    own = color[p]
    seen = own | np.uint8(4)
    color[p] = seen
    found[np.uint64(count)] = p
    size, done, alive = count + 1, count, False
    while done < size and not alive:
        s = np.uint64(found[np.uint64(done)])
        done += 1
        for k in range(4):
            q = neighbour(s, w, k)
            if color[q] == EMPTY:
                alive = True
            elif color[q] == own:
                color[q] = seen
                found[np.uint64(size)] = q
                size += 1
    for k in range(count, size):
        color[np.uint64(found[np.uint64(k)])] = own if alive else EMPTY
    return count if alive else size


@njit(makes_arrays=False)
def side_change(law: Law, moves: int) -> Any:
    """Return by what the hash of a position changes because it is the other side's turn next."""
    return ZOBRIST[0, 0] if law.ko == SITUATIONAL and moves + 1 >= law.placements else np.uint64(0)


@njit(makes_arrays=False)
def is_repeated(history: NDArray[np.uint64], moves: int, change: Any) -> bool:
    """Return whether the present position with a change was there before."""
    after = history[moves] ^ change
    for k in range(moves, -1, -1):  # noqa: SIM110 -- a loop is what numba compiles
        if history[k] == after:
            return True
    return False


@njit(makes_arrays=False)
def _turn(states: Any, b: int, law: Law, action: int, ko: int, change: np.uint64) -> None:
    """Write down an action of the side to move, by which the board's hash changed, and whose turn it is next."""
    for k in range(states.last.shape[1] - 1, 0, -1):
        states.last[b, k] = states.last[b, k - 1]
    states.last[b, 0] = action
    states.ko[b] = ko
    moves = states.moves[b]
    if moves + 1 >= law.placements:
        states.to_move[b] = -states.to_move[b]
    if moves < law.move_limit:
        if law.ko != SIMPLE:
            states.history[b, moves + 1] = states.history[b, moves] ^ change ^ side_change(law, moves)
        states.moves[b] = moves + 1

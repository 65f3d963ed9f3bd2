"""Legal moves, captures, liberties and scores of batches of boards, from `GoStates` as they are.

Each kernel holds no lock (`nogil`), so that threads can share a batch. Colours are 1 black, -1 white, 0 none. Reasons
are the numbers of `tengen.envs.go.rules.Refusal`.

B batch, N points along a side, A = N * N + 1 actions: `y * N + x`, then the pass. H entries of history.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.envs.go._chain_kernels import (
    BLACK,
    EMPTY,
    WHITE,
    Chains,
    can_breathe,
    is_single,
    load,
    make_chains,
    neighbour,
    padded,
    press,
)
from tengen.envs.go._move_kernels import (
    KO,
    NONE,
    SIMPLE,
    SUICIDE,
    SUPERKO,
    ZOBRIST,
    Law,
    is_repeated,
    side_change,
)
from tengen.types import Bools, Floats

_NUM_BITS = 8192  # of the sieve
_UNSEEN, _NOBODY = 2, 3  # in place of an owner, meanwhile


@njit(nogil=True)
def legal_actions(states: Any, law: Law, legal: Bools) -> None:
    """Write the legal actions, [B, A]; all True where the game is over."""
    n = states.board.shape[1]
    chains = make_chains(n)
    sieve = make_sieve()
    for b in range(len(legal)):
        moves = states.moves[b]
        legal[b, :] = states.passes[b] >= 2
        legal[b, n * n] = moves >= law.placements
        if states.passes[b] >= 2 or moves >= law.move_limit:
            legal[b, n * n] = True
            continue
        load(chains, states.board[b])
        color = BLACK if states.to_move[b] > 0 else WHITE
        if law.ko != SIMPLE:
            fill_sieve(sieve, states.history[b], moves)
        for y in range(n):
            for x in range(n):
                p = np.uint64((y + 1) * (n + 1) + x + 1)
                if chains.color[p] == EMPTY:
                    is_ko = states.ko[b] == y * n + x
                    reason = check_point(chains, p, color, n, is_ko, law, states.history[b], moves, sieve)
                    legal[b, y * n + x] = reason == NONE


@njit(makes_arrays=False, forceinline=True)
def check_point(
    chains: Chains,
    p: Any,
    color: int,
    n: int,
    is_ko: bool,
    law: Law,
    history: NDArray[np.uint64],
    moves: int,
    sieve: NDArray[np.uint64],
) -> int:
    """Return why a stone may not be put on an empty point, or 0.

    Args:
        chains: The board.
        p: The point, with border.
        color: BLACK or WHITE.
        n: Points along a side.
        is_ko: Whether the other side has just taken a ko there.
        law: The rules.
        history: Hashes of positions, of which `moves` is the present one.
        moves: Moves so far.
        sieve: Of the history, by `fill_sieve`.
    """
    w = np.uint64(n + 1)
    breathing = can_breathe(chains, w, p, color)
    if not breathing and (not law.suicide or is_single(chains, p, color)):
        return SUICIDE
    if is_ko:
        return KO
    if law.ko == SIMPLE:
        return NONE
    change = change_by(chains, w, p, color, breathing) ^ side_change(law, moves)
    bit = (history[moves] ^ change) & np.uint64(_NUM_BITS - 1)
    if not (sieve[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
        return NONE
    return SUPERKO if is_repeated(history, moves, change) else NONE


@njit
def make_sieve() -> NDArray[np.uint64]:
    """Return a set of positions, of which a hash sets one bit: what has its bit clear is new, and needs no search."""
    return np.zeros(_NUM_BITS // 64, np.uint64)


@njit(makes_arrays=False)
def fill_sieve(sieve: NDArray[np.uint64], history: NDArray[np.uint64], moves: int) -> None:
    """Let a sieve hold the positions so far."""
    sieve[:] = 0
    for k in range(moves + 1):
        add_to_sieve(sieve, history[k])


@njit(makes_arrays=False, forceinline=True)
def add_to_sieve(sieve: NDArray[np.uint64], position: Any) -> None:
    """Let a sieve hold one position more."""
    bit = position & np.uint64(_NUM_BITS - 1)
    sieve[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))


@njit(makes_arrays=False, forceinline=True)
def change_by(chains: Chains, w: Any, p: Any, color: int, breathing: bool) -> Any:
    """Return by what a board's hash would change with a stone on an empty point, where that is no single suicide."""
    change = ZOBRIST[color, p]
    gone = 3 - color if breathing else color
    if not breathing:
        change = np.uint64(0)  # the stone goes with its neighbours
    endangered = False  # a chain of pseudo-liberties at one point has four at most
    for k in range(4):
        q = neighbour(p, w, k)
        endangered |= chains.color[q] == gone and chains.liberties[np.uint64(chains.chain[q])] <= 4
    if not endangered:
        return change
    press(chains, w, p, -1)
    for k in range(4):
        q = neighbour(p, w, k)
        known = np.uint64(chains.chain[q])
        if chains.color[q] != gone or chains.liberties[known] != 0:
            continue
        seen = False
        for j in range(k):
            earlier = neighbour(p, w, j)
            seen = seen or (chains.color[earlier] == gone and np.uint64(chains.chain[earlier]) == known)
        if not seen:
            s = known
            while True:
                change ^= ZOBRIST[gone, s]
                s = np.uint64(chains.after[s])
                if s == known:
                    break
    press(chains, w, p, 1)
    return change


@njit(nogil=True)
def hash_boards(boards: NDArray[np.int8], hashes: NDArray[np.uint64]) -> None:
    """Write the hashes [B] of boards [B, N, N], with black to move."""
    n = boards.shape[1]
    for b in range(len(boards)):
        total = np.uint64(0)
        for point in range(n * n):
            stone = boards[b, point // n, point % n]
            if stone:
                total ^= ZOBRIST[BLACK if stone > 0 else WHITE, padded(point, n)]
        hashes[b] = total


@njit(nogil=True)
def count_liberties(boards: NDArray[np.int8], liberties: NDArray[np.int16]) -> None:
    """Write how many liberties each stone's chain has, int16 [B, N, N]; 0 where there is no stone."""
    n = boards.shape[1]
    chains = make_chains(n)
    w = np.uint64(n + 1)
    counted = np.zeros((n + 2) * (n + 1) + 1, np.uint16)  # the chain that an empty point was last counted for
    for b in range(len(boards)):
        load(chains, boards[b])
        counted[:] = 0
        for point in range(n * n):
            p = padded(point, n)
            if chains.color[p] == EMPTY:
                liberties[b, point // n, point % n] = 0
            elif chains.chain[p] == p:
                count = 0
                s = p
                while True:
                    for k in range(4):
                        q = neighbour(s, w, k)
                        if chains.color[q] == EMPTY and counted[q] != p:
                            counted[q] = p
                            count += 1
                    s = np.uint64(chains.after[s])
                    if s == p:
                        break
                chains.stones[p] = count
        for point in range(n * n):
            p = padded(point, n)
            if chains.color[p] != EMPTY:
                liberties[b, point // n, point % n] = chains.stones[np.uint64(chains.chain[p])]


@njit(nogil=True)
def count_captures(states: Any, captures: NDArray[np.int16]) -> None:
    """Write how many stones a move at each empty point would take from the other side, int16 [B, N, N]."""
    n = states.board.shape[1]
    chains = make_chains(n)
    w = np.uint64(n + 1)
    for b in range(len(states.board)):
        load(chains, states.board[b])
        other = WHITE if states.to_move[b] > 0 else BLACK
        for point in range(n * n):
            p = padded(point, n)
            count = 0
            if chains.color[p] == EMPTY:
                press(chains, w, p, -1)
                for k in range(4):
                    q = neighbour(p, w, k)
                    known = np.uint64(chains.chain[q])
                    if chains.color[q] == other and chains.liberties[known] == 0:
                        count += chains.stones[known]
                        chains.liberties[known] = 1 << 20  # not twice
                for k in range(4):
                    q = neighbour(p, w, k)
                    known = np.uint64(chains.chain[q])
                    if chains.color[q] == other and chains.liberties[known] >= 1 << 20:
                        chains.liberties[known] -= 1 << 20
                press(chains, w, p, 1)
            captures[b, point // n, point % n] = count


@njit(nogil=True, makes_arrays=False)
def own_points(boards: NDArray[np.int8], owners: NDArray[np.int8], scratch: NDArray[np.int16]) -> None:
    """Write whose each point is, int8 [B, N, N]: a stone's, or of an empty region the only colour that touches it.

    Args:
        boards: The boards [B, N, N].
        owners: Gets the owners.
        scratch: Of any content, [N * N].
    """
    n = boards.shape[1]
    for b in range(len(boards)):
        for y in range(n):
            for x in range(n):
                owners[b, y, x] = boards[b, y, x] if boards[b, y, x] else _UNSEEN
        for y in range(n):
            for x in range(n):
                if owners[b, y, x] == _UNSEEN:
                    _own_region(boards[b], owners[b], scratch, y, x)
        for y in range(n):
            for x in range(n):
                if owners[b, y, x] == _NOBODY:
                    owners[b, y, x] = 0


@njit(makes_arrays=False)
def _own_region(board: NDArray[np.int8], owner: NDArray[np.int8], region: NDArray[np.int16], y: int, x: int) -> None:
    """Find the empty region of a point, and write whose it is."""
    n = board.shape[0]
    region[0] = y * n + x
    owner[y, x] = _NOBODY
    size, done, touched = 1, 0, 0
    while done < size:
        point = int(region[done])
        done += 1
        for k in range(4):
            a = point // n + (k == 3) - (k == 0)
            b = point % n + (k == 2) - (k == 1)
            if 0 <= a < n and 0 <= b < n:
                if board[a, b] != 0:
                    touched |= 1 if board[a, b] > 0 else 2
                elif owner[a, b] == _UNSEEN:
                    owner[a, b] = _NOBODY
                    region[size] = a * n + b
                    size += 1
    if touched == 1 or touched == 2:
        for k in range(size):
            owner[region[k] // n, region[k] % n] = 1 if touched == 1 else -1


@njit(nogil=True, makes_arrays=False)
def score_boards(
    boards: NDArray[np.int8],
    captured: NDArray[np.int16],
    owners: NDArray[np.int8],
    komi: float,
    territory: bool,
    scores: Floats,
) -> None:
    """Write black's points less white's and komi, [B], of boards [B, N, N] whose points are owned as given."""
    n = boards.shape[1]
    for b in range(len(boards)):
        total = captured[b, 0] - captured[b, 1] if territory else 0
        for y in range(n):
            for x in range(n):
                if not territory or boards[b, y, x] == 0:
                    total += owners[b, y, x]
        scores[b] = total - komi


@njit(nogil=True)
def count_legal_positions(n: int) -> int:
    """Return how many of the 3^(n * n) boards have a liberty for every chain (OEIS A094777)."""
    chains = make_chains(n)
    board = np.zeros((1, n, n), np.int8)
    points = board.ravel()
    found = 0
    while True:
        load(chains, board[0])
        legal = True
        for point in range(n * n):
            p = padded(point, n)
            if chains.color[p] != EMPTY and chains.liberties[np.uint64(chains.chain[p])] == 0:
                legal = False
                break
        found += legal
        point = 0
        while point < n * n and points[point] == 1:  # the next number in base 3, of digits 0, -1, 1
            points[point] = 0
            point += 1
        if point == n * n:
            return found
        points[point] = -1 if points[point] == 0 else 1

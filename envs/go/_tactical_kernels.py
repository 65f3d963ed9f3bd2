"""Playouts whose players look at the last move: they answer an atari, and shape; else they play anywhere.

After Gelly, Wang, Munos and Teytaud, "Modification of UCT with Patterns in Monte-Carlo Go" (2006), section 3.2: whoever
is to move saves what the last move put into atari, else takes what moved into atari, else plays where one of a few 3x3
patterns fits beside the last move, else at random as in light playouts.

B batch, N points along a side, A = N * N + 1 actions.
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
    padded,
    press,
)
from tengen.envs.go._playout_kernels import any_move, area, put_down
from tengen.types import Floats

_ZERO, _ONE, _HALF = np.uint64(0), np.uint64(1), np.uint64(32)
_OFTEN = 7  # of 8 times


@njit(nogil=True)
def play_out_tactically(
    boards: NDArray[np.int8],
    to_move: NDArray[np.int8],
    ko: NDArray[np.int16],
    passes: NDArray[np.int8],
    last: NDArray[np.int16],
    shapes: NDArray[np.bool_],
    seeds: NDArray[np.uint64],
    komi: Floats,
    values: Floats,
    first: NDArray[np.int8],
) -> None:
    """Play one game from each position, as `_playout_kernels.play_out`; 0 where it is over.

    Args:
        boards: Positions.
        to_move: Whose turn it is.
        ko: Points of simple ko.
        passes: Passes in a row.
        last: The last move's action [B], or below 0.
        shapes: Which surroundings of an empty point are worth a move [4 ** 8]: two bits of colour for each neighbour,
            in reading order; or [0].
        seeds: Of each game.
        komi: What black's area has to exceed white's by [B].
        values: Gets the outcomes.
        first: Gets who was first.
    """
    n = boards.shape[1]
    chains = make_chains(n)
    record = np.zeros(3 * n * n + 1, np.uint16)
    choices = np.zeros(16, np.uint64)
    for b in range(len(values)):
        first[b, :] = 0
        if passes[b] >= 2:
            values[b] = 0.0
            continue
        color = BLACK if to_move[b] > 0 else WHITE
        num_empty = load(chains, boards[b])
        point = padded(ko[b], n) if ko[b] >= 0 else _ZERO
        before = padded(last[b], n) if 0 <= last[b] < n * n else _ZERO
        if before and chains.color[before] != 3 - color:
            before = _ZERO
        num_moves = _play_on(chains, n, color, num_empty, point, passes[b], before, shapes, seeds[b], record, choices)
        margin = area(chains, n) - komi[b]
        if to_move[b] < 0:
            margin = -margin
        values[b] = 1.0 if margin > 0 else (-1.0 if margin < 0 else 0.0)
        for k in range(num_moves - 1, -1, -1):  # the earliest is written last
            p = np.int64(record[k])
            action = (p // (n + 1) - 1) * n + p % (n + 1) - 1 if p else n * n
            first[b, action] = -1 if k & 1 else 1


@njit(makes_arrays=False)
def _play_on(
    chains: Chains,
    n: int,
    color: int,
    num_empty: Any,
    ko: Any,
    passes: int,
    last: Any,
    shapes: NDArray[np.bool_],
    seed: Any,
    record: NDArray[np.uint16],
    choices: NDArray[np.uint64],
) -> int:
    """Play a game to its end; return how many moves there were."""
    w = np.uint64(n + 1)
    num_moves = 0
    x = mixed(seed)
    while passes < 2 and num_moves < 3 * n * n:
        played = _ZERO
        x ^= x << np.uint64(13)  # xorshift64 (Marsaglia 2003)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        if last and (x & np.uint64(7)) < np.uint64(_OFTEN):
            count = answers(chains, w, last, color, choices)
            if count == 0 and len(shapes):
                count = shapely(chains, w, last, shapes, choices)
            played = _drawn(chains, w, choices, count, color, ko, (x >> np.uint64(8)) & np.uint64(0xFFFF))
        if played == _ZERO and num_empty > _ZERO:
            played = any_move(chains, w, color, num_empty, ko, ((x >> _HALF) * num_empty) >> _HALF)
        record[num_moves] = played
        ko = _ZERO
        if played == _ZERO:
            passes += 1
        else:
            passes = 0
            num_empty, ko = put_down(chains, w, played, color, num_empty)
        last = played
        num_moves += 1
        color = 3 - color
    return num_moves


@njit(makes_arrays=False, forceinline=True)
def mixed(seed: Any) -> Any:
    """Return a number without a likeness for seeds that may be 0, 1, 2; never 0 (SplitMix64: Steele et al. 2014)."""
    z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z if z else _ONE


@njit(makes_arrays=False, forceinline=True)
def _drawn(chains: Chains, w: Any, choices: NDArray[np.uint64], count: int, color: int, ko: Any, noise: Any) -> Any:
    """Return one of the choices that may be played, pressed, each as likely to be the first looked at; 0 for none."""
    if count == 0:
        return _ZERO
    i = (noise * np.uint64(count)) >> np.uint64(16)
    for _ in range(count):
        p = choices[i]
        if p != ko and not is_eye(chains, w, p, color):
            press(chains, w, p, -1)
            if breathes(chains, w, p, color):
                return p
            press(chains, w, p, 1)
        i += _ONE
        if i == np.uint64(count):
            i = _ZERO
    return _ZERO


@njit(makes_arrays=False)
def last_liberty(chains: Chains, w: Any, stone: Any) -> Any:
    """Return the only liberty of a stone's chain; 0 where it has several."""
    known = np.uint64(chains.chain[stone])
    liberties = chains.liberties[known]
    if liberties > 4:  # an empty point has four neighbours
        return _ZERO
    p = known
    while True:
        if chains.around[p] >> 8:
            for k in range(4):
                q = neighbour(p, w, k)
                if chains.color[q] == EMPTY:
                    return q if _beside(chains, w, q, known) == liberties else _ZERO
        p = np.uint64(chains.after[p])
        if p == known:
            return _ZERO


@njit(makes_arrays=False, forceinline=True)
def _beside(chains: Chains, w: Any, p: Any, known: Any) -> int:
    """Return how many of a point's four neighbours are of a chain."""
    count = 0
    for k in range(4):
        q = neighbour(p, w, k)
        if chains.color[q] != EMPTY and chains.color[q] != BORDER and np.uint64(chains.chain[q]) == known:
            count += 1
    return count


@njit(makes_arrays=False)
def escapes(chains: Chains, w: Any, p: Any, color: int) -> bool:
    """Return whether a chain whose last liberty is p has more after a stone there, as far as it is quickly seen.

    It has where two neighbours are empty, where something is taken, or where another chain is joined that can breathe.
    """
    room = chains.around[p] >> 8
    if room >= 2:
        return True
    for k in range(4):
        q = neighbour(p, w, k)
        c = chains.color[q]
        if c in (EMPTY, BORDER):
            continue
        known = np.uint64(chains.chain[q])
        spare = chains.liberties[known] - _beside(chains, w, p, known)
        if (c != color and spare == 0) or (c == color and spare + room >= 2 and spare > 0):
            return True
    return False


@njit(makes_arrays=False)
def answers(chains: Chains, w: Any, last: Any, color: int, choices: NDArray[np.uint64]) -> int:
    """Write the points that save what the last move put into atari, or take it; return how many."""
    count = 0
    for k in range(4):
        q = neighbour(last, w, k)
        if chains.color[q] == color:
            p = last_liberty(chains, w, q)
            if p and escapes(chains, w, p, color):
                choices[count] = p
                count += 1
    p = last_liberty(chains, w, last)
    if p:
        choices[count] = p
        count += 1
    return count


@njit(makes_arrays=False)
def surroundings(chains: Chains, w: Any, p: Any) -> Any:
    """Return the colours of a point's eight neighbours in reading order, two bits each."""
    color = chains.color
    code = np.uint64(color[p - w - _ONE])
    code |= np.uint64(color[p - w]) << np.uint64(2)
    code |= np.uint64(color[p - w + _ONE]) << np.uint64(4)
    code |= np.uint64(color[p - _ONE]) << np.uint64(6)
    code |= np.uint64(color[p + _ONE]) << np.uint64(8)
    code |= np.uint64(color[p + w - _ONE]) << np.uint64(10)
    code |= np.uint64(color[p + w]) << np.uint64(12)
    code |= np.uint64(color[p + w + _ONE]) << np.uint64(14)
    return code


@njit(makes_arrays=False)
def shapely(chains: Chains, w: Any, last: Any, shapes: NDArray[np.bool_], choices: NDArray[np.uint64]) -> int:
    """Write the empty points around the last move whose surroundings are a shape; return how many."""
    count = 0
    row = last - w - _ONE
    for _ in range(3):
        for d in range(3):
            p = row + np.uint64(d)
            if chains.color[p] == EMPTY and shapes[surroundings(chains, w, p)]:
                choices[count] = p
                count += 1
        row += w
    return count

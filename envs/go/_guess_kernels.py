"""What moves of Go look good for before any is tried: counts of imagined wins and losses.

G positions, N points along a side, A = N * N + 1 actions.
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
    is_eye,
    load,
    make_chains,
    neighbour,
    padded,
)
from tengen.envs.go._tactical_kernels import escapes, last_liberty, surroundings

# Imagined playouts, in the order of the weights that are passed in.
EVEN, CAPTURE, SAVE, SELF_ATARI, EYE, NEAR, EDGE, SHAPE, PASS = range(9)
_REACH = 3  # points as near as this to the last move are worth NEAR / distance; emptiness is looked for as far


@njit(nogil=True)
def imagine(
    boards: NDArray[np.int8],
    to_move: NDArray[np.int8],
    last: NDArray[np.int16],
    shapes: NDArray[np.bool_],
    weights: NDArray[np.float32],
    values: NDArray[np.float32],
    counts: NDArray[np.float32],
) -> None:
    """Write what each action is thought to be worth [G, A], and for how many playouts that counts [G, A].

    Args:
        boards: Positions [G, N, N].
        to_move: Whose turn it is [G].
        last: The last action [G], or below 0.
        shapes: As for tactical playouts.
        weights: For each reason, how many imagined playouts [9].
        values: Out: between -1 and 1.
        counts: Out.
    """
    n = boards.shape[1]
    chains = make_chains(n)
    w = np.uint64(n + 1)
    for g in range(len(boards)):
        color = BLACK if to_move[g] > 0 else WHITE
        load(chains, boards[g])
        for point in range(n * n):
            good = _points_for(chains, w, n, point, color, last[g], shapes, weights)
            bad = _points_against(chains, w, n, point, color, boards[g], weights)
            total = weights[EVEN] + good + bad
            counts[g, point] = total
            values[g, point] = (good - bad) / total if total > 0 else 0.0
        total = weights[EVEN] + weights[PASS]
        counts[g, n * n] = total
        values[g, n * n] = -weights[PASS] / total if total > 0 else 0.0


@njit(makes_arrays=False)
def _points_for(
    chains: Chains,
    w: Any,
    n: int,
    point: int,
    color: int,
    last: int,
    shapes: NDArray[np.bool_],
    weights: NDArray[np.float32],
) -> float:
    p = padded(point, n)
    if chains.color[p] != EMPTY:
        return 0.0
    good = 0.0
    for k in range(4):
        q = neighbour(p, w, k)
        c = chains.color[q]
        if c in (EMPTY, BORDER) or last_liberty(chains, w, q) != p:
            continue
        stones = min(chains.stones[np.uint64(chains.chain[q])], 3)
        if c != color:
            good += weights[CAPTURE] * stones
        elif escapes(chains, w, p, color):
            good += weights[SAVE] * stones
    if len(shapes) and shapes[surroundings(chains, w, p)]:
        good += weights[SHAPE]
    if 0 <= last < n * n:
        distance = max(abs(point // n - last // n), abs(point % n - last % n))
        if distance <= _REACH:
            good += weights[NEAR] / distance if distance else 0.0
    return good


@njit(makes_arrays=False)
def _points_against(
    chains: Chains, w: Any, n: int, point: int, color: int, board: NDArray[np.int8], weights: NDArray[np.float32]
) -> float:
    p = padded(point, n)
    if chains.color[p] != EMPTY:
        return 0.0
    bad = 0.0
    if is_eye(chains, w, p, color):
        bad += weights[EYE]
    elif not escapes(chains, w, p, color):
        bad += weights[SELF_ATARI]
    y, x = point // n, point % n
    if min(min(y, x), min(n - 1 - y, n - 1 - x)) < 2 and _is_lonely(board, y, x):
        bad += weights[EDGE]
    return bad


@njit(makes_arrays=False)
def _is_lonely(board: NDArray[np.int8], y: int, x: int) -> bool:
    """Return whether there are no stones near a point."""
    n = len(board)
    for v in range(max(0, y - _REACH), min(n, y + _REACH + 1)):
        for u in range(max(0, x - _REACH), min(n, x + _REACH + 1)):
            if board[v, u] != 0:
                return False
    return True

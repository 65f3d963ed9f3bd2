"""Connect four on bitboards: whether four are in a line, and light random games.

B batch. A board is 64 bits: the square in column x and row y, counted from below, is bit `7 * x + y`. Row 6 lies above
the board and is always empty, so that lines never run from one column's top into the next (J. Tromp's layout).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen._jit import njit
from tengen.types import Array

WIDTH, HEIGHT = 7, 6
_STEPS = (1, 6, 7, 8)  # from a square to the next above, down and right, right, up and right
_FULL = np.uint64(sum(0b111111 << (7 * x) for x in range(WIDTH)))


@njit(makes_arrays=False, nogil=True)
def has_four(stones: Any) -> bool:
    """Return whether four stones of a board, uint64, are in a line."""
    for step in _STEPS:
        pairs = stones & (stones >> np.uint64(step))
        if pairs & (pairs >> np.uint64(2 * step)):
            return True
    return False


@njit(makes_arrays=False, nogil=True)
def find_fours(stones: Array, found: Array) -> None:
    """Write for each board, uint64 [B], whether it has four in a line."""
    for row in range(len(stones)):
        found[row] = has_four(stones[row])


@njit(makes_arrays=False, nogil=True)
def play_out(own: Array, taken: Array, seeds: Array, values: Array, first: Array) -> None:
    """Play a random game from each state to its end.

    Args:
        own: The stones of the side to move, uint64 [B].
        taken: All stones, uint64 [B].
        seeds: uint64 [B].
        values: Out: float64 [B], what it came to for the side to move; 0 where the game was over.
        first: Out: int8 [B, 7], who was the first to play a column: 1 the side to move, -1 the other, 0 nobody.
    """
    for row in range(len(own)):
        values[row] = 0.0
        for column in range(WIDTH):
            first[row, column] = 0
        mine, others = own[row], own[row] ^ taken[row]
        if has_four(others):
            continue
        side, state = 1, seeds[row]
        while mine | others != _FULL:
            state += np.uint64(0x9E3779B97F4A7C15)  # SplitMix64 (Steele et al. 2014)
            z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
            column = _open_column(mine | others, z)
            if first[row, column] == 0:
                first[row, column] = side
            shift = np.uint64(7 * column)
            height = ((mine | others) >> shift) & np.uint64(0b111111)
            mine |= (height + np.uint64(1)) << shift  # the stones of a column are its lowest bits
            if has_four(mine):
                values[row] = side
                break
            mine, others = others, mine
            side = -side


@njit(makes_arrays=False, nogil=True)
def _open_column(taken: Any, noise: Any) -> int:
    """Return a column that is not full, each as likely."""
    count = 0
    for column in range(WIDTH):
        count += ((taken >> np.uint64(7 * column + HEIGHT - 1)) & np.uint64(1)) == np.uint64(0)
    chosen = int(((noise >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32))
    for column in range(WIDTH):
        if ((taken >> np.uint64(7 * column + HEIGHT - 1)) & np.uint64(1)) == np.uint64(0):
            if chosen == 0:
                return column
            chosen -= 1
    return -1

"""Chains and liberties of one board, kept up to date from stone to stone.

The board has a border: point (x, y) of N x N is `(y + 1) * W + x + 1` with W = N + 1, so that the border at a row's
left is also that at the right of the row above. Liberties are counted once for each stone beside them (they are
"pseudo-liberties"): a chain has none exactly where the count is zero, and joining two chains is a sum. Indices are
unsigned, as numba else asks of each whether it counts from the end.

P points with the border, N points along a side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

EMPTY, BLACK, WHITE, BORDER = 0, 1, 2, 3  # in `Chains.color`; the other side of c is 3 - c

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_EMPTIES = 256  # in `Chains.around`


class Chains(NamedTuple):
    """A board, modified in place. What the arrays say of empty points and the border means nothing, unless stated."""

    color: NDArray[np.uint8]  # [P]
    around: NDArray[np.int32]  # [P], of the four neighbours: black ones + 16 * white ones + 256 * empty ones
    chain: NDArray[np.uint16]  # [P], the stone by which a chain is known; of an empty point itself
    after: NDArray[np.uint16]  # [P], the next stone of the chain, in a circle
    liberties: NDArray[np.int32]  # [P], at a chain's known stone: the sum of its stones' empty neighbours
    stones: NDArray[np.int32]  # [P], there: how many stones
    empties: NDArray[np.uint16]  # [N * N + 1], the empty points, in no order
    place: NDArray[np.uint16]  # [P], where in `empties` an empty point is


@njit
def make_chains(n: int) -> Any:
    """Return the arrays for boards of n x n, not yet filled."""
    num_points = (n + 2) * (n + 1) + 1
    return Chains(
        np.full(num_points, BORDER, np.uint8),
        np.zeros(num_points, np.int32),
        np.zeros(num_points, np.uint16),
        np.zeros(num_points, np.uint16),
        np.zeros(num_points, np.int32),
        np.zeros(num_points, np.int32),
        np.zeros(n * n + 1, np.uint16),
        np.zeros(num_points, np.uint16),
    )


@njit(makes_arrays=False)
def padded(point: int, n: int) -> Any:
    """Return the index with border of a point."""
    return np.uint64((point // n + 1) * (n + 1) + point % n + 1)


@njit(makes_arrays=False)
def unpadded(p: Any, n: int) -> Any:
    """Return the point of an index with border."""
    index = np.int64(p)  # of mixed signs, numba would divide as floats
    return (index // (n + 1) - 1) * n + index % (n + 1) - 1


@njit(makes_arrays=False)
def load(chains: Chains, board: NDArray[np.int8]) -> Any:
    """Fill the arrays from a board int8 [N, N] of 1, -1 and 0. Return the number of empty points."""
    n = board.shape[0]
    w = np.uint64(n + 1)
    color, around = chains.color, chains.around
    num_empty = _ZERO
    for y in range(n):
        row = np.uint64((y + 1) * (n + 1) + 1)
        for x in range(n):
            stone = board[y, x]
            color[row + np.uint64(x)] = (stone & 1) + (stone < 0)
        for x in range(n):
            p = row + np.uint64(x)
            chains.empties[num_empty] = p  # the next one overwrites what is none: branches would be guesses
            chains.place[p] = num_empty
            num_empty += np.uint64(color[p] == EMPTY)
    for k in range(w + _ONE, np.uint64(len(color)) - w - _ONE):  # one loop without tables, for vector instructions
        p = np.uint64(k)
        around[p] = (
            as_counts(color[p - w]) + as_counts(color[p - _ONE]) + as_counts(color[p + _ONE]) + as_counts(color[p + w])
        )
        chains.chain[p] = p
    for y in range(n):
        row = np.uint64((y + 1) * (n + 1) + 1)
        for x in range(n):
            p = row + np.uint64(x)
            c = color[p]
            if c == EMPTY:
                continue
            chains.after[p] = p
            chains.liberties[p] = around[p] >> 8
            chains.stones[p] = 1
            if color[p - _ONE] == c:
                join(chains, p, p - _ONE)
            if color[p - w] == c:
                join(chains, p, p - w)
    return num_empty


@njit(makes_arrays=False, forceinline=True)
def as_counts(c: Any) -> Any:
    """Return what a point of colour c adds to `Chains.around` beside it; a border counts for both colours."""
    return np.int32(c & 1) + (np.int32(c >> 1) << 4) + (np.int32(c == EMPTY) << 8)


@njit(makes_arrays=False, forceinline=True)
def neighbour(p: Any, w: Any, k: int) -> Any:
    """Return the k-th of the four neighbours: above, left, right, below."""
    return p - w if k == 0 else (p - _ONE if k == 1 else (p + _ONE if k == 2 else p + w))


@njit(makes_arrays=False, forceinline=True)
def join(chains: Chains, p: Any, q: Any) -> None:
    """Make one chain of those of two stones; the smaller takes the name of the larger."""
    a, b = np.uint64(chains.chain[p]), np.uint64(chains.chain[q])
    if a == b:
        return
    if chains.stones[a] < chains.stones[b]:
        a, b = b, a
    s = b
    while True:
        chains.chain[s] = a
        s = np.uint64(chains.after[s])
        if s == b:
            break
    follower = chains.after[a]
    chains.after[a] = chains.after[b]
    chains.after[b] = follower
    chains.liberties[a] += chains.liberties[b]
    chains.stones[a] += chains.stones[b]


@njit(makes_arrays=False, forceinline=True)
def press(chains: Chains, w: Any, p: Any, amount: int) -> None:
    """Take (-1), or give back (1), the liberty that an empty point is to the chains around it."""
    liberties, chain = chains.liberties, chains.chain
    liberties[np.uint64(chain[p - w])] += amount
    liberties[np.uint64(chain[p - _ONE])] += amount
    liberties[np.uint64(chain[p + _ONE])] += amount
    liberties[np.uint64(chain[p + w])] += amount


@njit(makes_arrays=False, forceinline=True)
def breathes(chains: Chains, w: Any, p: Any, c: int) -> bool:
    """Return whether a stone of colour c, on an empty point that was just pressed, would have a liberty.

    It has an empty neighbour, or one of its own chains still has a liberty, or it takes a chain of the other side.
    """
    if chains.around[p] >> 8:
        return True
    beside_it: bool = (
        gives_breath(chains, p - w, c)
        | gives_breath(chains, p - _ONE, c)
        | gives_breath(chains, p + _ONE, c)
        | gives_breath(chains, p + w, c)
    )
    return beside_it


@njit(makes_arrays=False, forceinline=True)
def gives_breath(chains: Chains, q: Any, c: int) -> Any:
    """Return whether what is on a neighbour leaves a stone of colour c a liberty: its chain has one, or is taken."""
    beside = chains.color[q]
    # No `and`: four tests without branches are faster than branches guessed wrong.
    return (beside != BORDER) & ((beside == c) == (chains.liberties[np.uint64(chains.chain[q])] != 0))


@njit(makes_arrays=False, forceinline=True)
def can_breathe(chains: Chains, w: Any, p: Any, c: int) -> bool:
    """Return whether a stone of colour c on an empty point would have a liberty, or take one by capturing."""
    if chains.around[p] >> 8:
        return True
    press(chains, w, p, -1)
    result = breathes(chains, w, p, c)
    press(chains, w, p, 1)
    return result


@njit(makes_arrays=False, forceinline=True)
def is_single(chains: Chains, p: Any, c: int) -> bool:
    """Return whether a stone of colour c on an empty point would be a chain of its own."""
    counts = chains.around[p]
    num_borders = (counts & 15) + ((counts >> 4) & 15) + (counts >> 8) - 4  # a border counts for both colours
    own: bool = (counts >> (4 * (c - 1))) & 15 == num_borders
    return own


@njit(makes_arrays=False, forceinline=True)
def is_eye(chains: Chains, w: Any, p: Any, c: int) -> bool:
    """Return whether an empty point is an eye of colour c, by the usual rule of light playouts.

    All four neighbours are its stones or the border, and of the diagonal ones at most one is the other side's; none
    where the point is at the border.
    """
    if (chains.around[p] >> (4 * (c - 1))) & 15 != 4:
        return False
    color, other = chains.color, 3 - c
    a, b, d, e = color[p - w - _ONE], color[p - w + _ONE], color[p + w - _ONE], color[p + w + _ONE]
    bad = int(a == other) + int(b == other) + int(d == other) + int(e == other)
    if a == BORDER or b == BORDER or d == BORDER or e == BORDER:
        bad += 1
    return bad < 2


@njit(makes_arrays=False, forceinline=True)
def put(chains: Chains, w: Any, p: Any, c: int, num_empty: Any) -> Any:
    """Put a stone of colour c on an empty point that was just pressed, and take what it captures.

    Suicide is left to `take`: the stone's chain may have no liberties after this.

    Returns:
        The number of empty points, which without captures is one less. The points of captured stones are the last ones
        of `empties`, from the number before, less one.
    """
    color, around = chains.color, chains.around
    counts = around[p]
    num_empty -= _ONE
    hole, last = np.uint64(chains.place[p]), np.uint64(chains.empties[num_empty])
    chains.empties[hole] = last
    chains.place[last] = hole
    color[p] = c
    chains.chain[p] = p
    chains.after[p] = p
    chains.liberties[p] = counts >> 8
    chains.stones[p] = 1
    change = (1 << (4 * (c - 1))) - _EMPTIES
    around[p - w] += change
    around[p - _ONE] += change
    around[p + _ONE] += change
    around[p + w] += change
    num_empty = meet(chains, w, p, p - w, num_empty)
    num_empty = meet(chains, w, p, p - _ONE, num_empty)
    num_empty = meet(chains, w, p, p + _ONE, num_empty)
    return meet(chains, w, p, p + w, num_empty)


@njit(makes_arrays=False, forceinline=True)
def meet(chains: Chains, w: Any, p: Any, q: Any, num_empty: Any) -> Any:
    """Join a stone that was put on p with one of its colour on q, or take one of the other colour without liberties.

    Returns:
        The number of empty points.
    """
    c, beside = chains.color[p], chains.color[q]
    if beside == c:
        join(chains, p, q)
    elif beside == 3 - c:
        known = np.uint64(chains.chain[q])
        if chains.liberties[known] == 0:
            return take(chains, w, known, num_empty)
    return num_empty


@njit(makes_arrays=False)
def take(chains: Chains, w: Any, known: Any, num_empty: Any) -> Any:
    """Take a chain off the board, by the stone that it is known by. Return the number of empty points."""
    color, around, chain, liberties = chains.color, chains.around, chains.chain, chains.liberties
    change = _EMPTIES - (1 << (4 * (int(color[known]) - 1)))
    p = known
    while True:
        color[p] = EMPTY
        chains.place[p] = num_empty
        chains.empties[num_empty] = p
        num_empty += _ONE
        for k in range(4):
            q = neighbour(p, w, k)
            around[q] += change
            liberties[np.uint64(chain[q])] += 1
        p = np.uint64(chains.after[p])
        if p == known:
            break
    while True:
        follower = np.uint64(chains.after[p])
        chains.after[p] = p
        chain[p] = p
        p = follower
        if p == known:
            break
    return num_empty

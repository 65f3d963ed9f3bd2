"""Kernels of the sum-tree: keep priorities, draw in proportion to them, and follow which rows can be sampled.

After Schaul et al., "Prioritized Experience Replay" (2016), section 3.3 and appendix B.2.1.

Shape letters: E environments, R rows of an environment's ring, P leaves, N transitions of a sample.

The tree is one array [2 P], P a power of two: node 1 is the root, node i has the children 2 i and 2 i + 1, and the
leaf of row i of ring e is node P + e R + i % R. A parent is always computed as left + right, never by adding a
difference: so the tree follows from its leaves, bit for bit, whatever was written before. The leaf of a row that can't
be sampled is 0 at all times.

Rows of a sample are walked through the tree together, a level at a time: what they wait for in memory, they wait for
at once.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

_MOST = 1e100  # of a priority: sums of them stay finite

_Bools: TypeAlias = NDArray[np.bool_]
_Floats: TypeAlias = NDArray[np.float64]
_Ints: TypeAlias = NDArray[np.int64]
_Singles: TypeAlias = NDArray[np.float32]


@njit(makes_arrays=False)
def rebuild(tree: _Floats) -> None:
    """Compute every parent from the leaves. Modifies `tree` in place."""
    for i in range(tree.size // 2 - 1, 0, -1):
        tree[i] = tree[2 * i] + tree[2 * i + 1]


@njit(makes_arrays=False)
def set_leaf(tree: _Floats, leaf: int, priority: float) -> None:
    """Write a leaf, numbered from 0, and its ancestors. Modifies `tree` in place."""
    i = tree.size // 2 + leaf
    tree[i] = priority
    while i > 1:
        i //= 2
        tree[i] = tree[2 * i] + tree[2 * i + 1]


@njit(makes_arrays=False)
def set_leaves(tree: _Floats, leaf: _Ints, priority: _Floats) -> None:
    """Write leaves [N] >= 0 and their ancestors; of equal leaves the last counts. Modifies `tree` in place."""
    num_leaves = tree.size // 2
    for n in range(leaf.size):
        if leaf[n] >= 0:
            tree[num_leaves + leaf[n]] = priority[n]
    shift = 1
    while num_leaves >> shift:
        for n in range(leaf.size):
            if leaf[n] >= 0:
                i = (num_leaves + leaf[n]) >> shift
                tree[i] = tree[2 * i] + tree[2 * i + 1]
        shift += 1


@njit(makes_arrays=False)
def find_mass(tree: _Floats, mass: _Floats, leaf: _Ints) -> None:
    """Find the leaves in which masses lie, where the leaves' priorities are laid end to end.

    Args:
        tree: Its sum is above 0.
        mass: [N], from 0 to the sum. Overwritten.
        leaf: Out, [N], numbered from 0; never one whose priority is 0.
    """
    num_leaves = tree.size // 2
    for n in range(leaf.size):
        leaf[n] = 1
    level = 1
    while level < num_leaves:
        for n in range(leaf.size):
            left = tree[2 * leaf[n]]
            # Rounding can leave as much mass as there is in all: never go where the sum is 0.
            if mass[n] < left or tree[2 * leaf[n] + 1] == 0.0:
                leaf[n] = 2 * leaf[n]
            else:
                mass[n] -= left
                leaf[n] = 2 * leaf[n] + 1
        level *= 2
    for n in range(leaf.size):
        leaf[n] -= num_leaves


@njit(makes_arrays=False)
def draw(
    tree: _Floats,
    head: _Ints,
    num_rows: int,
    beta: float,
    mass: _Floats,
    leaf: _Ints,
    env: _Ints,
    row: _Ints,
    index: _Ints,
    weight: _Singles,
) -> None:
    """Draw rows in proportion to their priorities, one from each of N equal parts of the sum (appendix B.2.1).

    The weights are (M P(n))^-beta over their greatest in the batch (section 3.4). The number M of transitions and the
    sum of priorities are the same for all of them, so that only the ratio to the smallest priority is left.

    Args:
        tree: Its sum is above 0.
        head: [E], the number of each ring's open row.
        num_rows: R.
        beta: The exponent of the weights.
        mass: [N] uniform numbers in [0, 1). Overwritten.
        leaf: Overwritten, [N].
        env: Out, [N], the environment of each.
        row: Out, [N], its row number.
        index: Out, [N], row E + env: a number that no other row ever has.
        weight: Out, [N].
    """
    num_leaves = tree.size // 2
    for n in range(leaf.size):
        mass[n] = (n + mass[n]) / leaf.size * tree[1]
    find_mass(tree, mass, leaf)
    smallest = np.inf
    for n in range(leaf.size):
        e = leaf[n] // num_rows
        env[n] = e
        row[n] = head[e] - (head[e] + e * num_rows - leaf[n]) % num_rows
        index[n] = row[n] * head.size + e
        smallest = min(smallest, tree[num_leaves + leaf[n]])
    for n in range(leaf.size):
        weight[n] = (smallest / tree[num_leaves + leaf[n]]) ** beta


@njit(makes_arrays=False)
def follow(
    final: _Bools,
    age: NDArray[np.uint8],
    base: _Ints,
    head: _Ints,
    ready: _Ints,
    num_stack: int,
    tree: _Floats,
    seen_low: _Ints,
    seen_ready: _Ints,
    priority: float,
) -> None:
    """Set to 0 the leaves of rows that can't be sampled any more, and to `priority` those of rows that now can.

    Args:
        final: [E, R], and the others of the same names as in `Rings`.
        age: [E, R].
        base: [E].
        head: [E].
        ready: [E].
        num_stack: K, frames of a stack.
        tree: Modified in place.
        seen_low: [E], the oldest row that was held when this was last called. Modified in place.
        seen_ready: [E], what `ready` was then. Modified in place.
        priority: Of a new transition.
    """
    num_envs, num_rows = final.shape
    for e in range(num_envs):
        low = max(base[e], head[e] - num_rows + 1)
        # Only the oldest K - 1 rows can miss frames of their stacks.
        for row in range(seen_low[e], min(low + num_stack - 1, seen_ready[e])):
            slot = row % num_rows
            if row < low or row - int(age[e, slot]) < low:
                set_leaf(tree, e * num_rows + slot, 0.0)
        for row in range(max(seen_ready[e], low), ready[e]):
            slot = row % num_rows
            if not final[e, slot] and row - int(age[e, slot]) >= low:
                set_leaf(tree, e * num_rows + slot, priority)
        seen_low[e] = low
        seen_ready[e] = ready[e]


@njit(makes_arrays=False)
def update(
    final: _Bools,
    age: NDArray[np.uint8],
    base: _Ints,
    head: _Ints,
    ready: _Ints,
    tree: _Floats,
    index: _Ints,
    error: _Floats,
    epsilon: float,
    exponent: float,
    greatest: float,
    leaf: _Ints,
    priority: _Floats,
) -> float:
    """Give rows the priorities (|error| + epsilon)^exponent; pass over those that can't be sampled any more.

    Args:
        final: [E, R], and the others of the same names as in `Rings`.
        age: [E, R].
        base: [E].
        head: [E].
        ready: [E].
        tree: Modified in place, unless an error is not finite.
        index: [N], from `draw`. Of equal ones the last counts.
        error: [N].
        epsilon: Above 0.
        exponent: From 0 to 1.
        greatest: The greatest priority seen before.
        leaf: Overwritten, [N].
        priority: Overwritten, [N].

    Returns:
        The greatest priority seen; NaN if an error is not finite.
    """
    num_envs, num_rows = final.shape
    for n in range(error.size):
        if not np.isfinite(error[n]):
            return np.nan
    for n in range(index.size):
        priority[n] = min((abs(error[n]) + epsilon) ** exponent, _MOST)
        e = index[n] % num_envs
        row = index[n] // num_envs
        slot = row % num_rows
        low = max(base[e], head[e] - num_rows + 1)
        leaf[n] = -1
        if low <= row < ready[e] and not final[e, slot] and row - age[e, slot] >= low:
            leaf[n] = e * num_rows + slot
            greatest = max(greatest, priority[n])
    set_leaves(tree, leaf, priority)
    return greatest

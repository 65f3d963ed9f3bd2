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
from tengen.replay._kernels import Rings, can_sample, oldest

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
def draw_leaves(tree: _Floats, rng: np.random.Generator, leaf: _Ints, mass: _Floats) -> None:
    """Draw leaves in proportion to their priorities, one from each of N equal parts of their sum (appendix B.2.1).

    Args:
        tree: Its sum is above 0.
        rng: A numpy Generator.
        leaf: Out, [N], numbered from 0.
        mass: Overwritten, [N].
    """
    for n in range(leaf.size):
        mass[n] = (n + rng.random()) / leaf.size * tree[1]
    find_mass(tree, mass, leaf)


@njit(makes_arrays=False)
def follow(rings: Rings, num_stack: int, tree: _Floats, low: _Ints, ready: _Ints, priority: float) -> None:
    """Set to 0 the leaves of rows that can't be sampled any more, and to `priority` those of rows that now can.

    Args:
        rings: The rings.
        num_stack: K, frames of a stack.
        tree: Modified in place.
        low: [E], the oldest row that was held when this was last called. Modified in place.
        ready: [E], the same of `rings.ready`. Modified in place.
        priority: Of a new transition.
    """
    num_rows = rings.action.shape[1]
    for e in range(rings.head.size):
        now = oldest(rings, e)
        # Only the oldest K - 1 rows can miss frames of their stacks.
        for row in range(low[e], min(now + num_stack - 1, ready[e])):
            if row < now or not can_sample(rings, e, row):
                set_leaf(tree, e * num_rows + row % num_rows, 0.0)
        for row in range(max(ready[e], now), rings.ready[e]):
            if can_sample(rings, e, row):
                set_leaf(tree, e * num_rows + row % num_rows, priority)
        low[e] = now
        ready[e] = rings.ready[e]


@njit(makes_arrays=False)
def locate(rings: Rings, leaf: _Ints, env: _Ints, row: _Ints, index: _Ints) -> None:
    """Find the rows of leaves that are held.

    Args:
        rings: The rings.
        leaf: [N].
        env: Out, [N], the environment of each.
        row: Out, [N], its row number.
        index: Out, [N], row E + env: a number that no other row ever has.
    """
    num_envs, num_rows = rings.action.shape
    for n in range(leaf.size):
        e = leaf[n] // num_rows
        env[n] = e
        row[n] = rings.head[e] - (rings.head[e] - leaf[n] + e * num_rows) % num_rows
        index[n] = row[n] * num_envs + e


@njit(makes_arrays=False)
def find_leaves(rings: Rings, index: _Ints, leaf: _Ints) -> None:
    """Find the leaves of rows.

    Args:
        rings: The rings.
        index: [N], from `locate`.
        leaf: Out, [N], of each its leaf, or -1 where the row can't be sampled any more.
    """
    num_envs, num_rows = rings.action.shape
    for n in range(index.size):
        e = index[n] % num_envs
        row = index[n] // num_envs
        leaf[n] = -1
        if oldest(rings, e) <= row < rings.ready[e] and can_sample(rings, e, row):
            leaf[n] = e * num_rows + row % num_rows


@njit(makes_arrays=False)
def weigh(tree: _Floats, leaf: _Ints, beta: float, weight: _Singles) -> None:
    """Compute importance weights: (M P(n))^-beta over their greatest in the batch (section 3.4).

    The number M of transitions and the sum of priorities are the same for all, so that only the ratio to the smallest
    priority is left.

    Args:
        tree: The tree.
        leaf: [N], their priorities are above 0.
        beta: The exponent.
        weight: Out, [N].
    """
    num_leaves = tree.size // 2
    smallest = np.inf
    for n in range(leaf.size):
        smallest = min(smallest, tree[num_leaves + leaf[n]])
    for n in range(leaf.size):
        weight[n] = (smallest / tree[num_leaves + leaf[n]]) ** beta


@njit(makes_arrays=False)
def rank(error: _Floats, epsilon: float, exponent: float, priority: _Floats) -> bool:
    """Compute priorities (|error| + epsilon)^exponent [N]; return False if an error is not finite."""
    for n in range(error.size):
        if not np.isfinite(error[n]):
            return False
        priority[n] = (abs(error[n]) + epsilon) ** exponent
    return True

"""The arrays that the search tree's kernels work on, and one that keeps a subtree.

B games, A actions, N nodes and E edges of each game, M leaves of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

from tengen._jit import njit
from tengen.types import Array

UCT, PUCT, GUMBEL = 0, 1, 2


class Tree(NamedTuple):
    """The trees of B games. Node 0 is the root; a node comes after its parent, as its edges after its parent's."""

    num_nodes: Array  # int32 [B], in use
    num_edges: Array  # int32 [B], in use
    first_edge: Array  # int32 [B, N]
    width: Array  # int32 [B, N], the number of its edges
    raw_value: Array  # float32 [B, N], as its state was evaluated, for the side to move
    action: Array  # int32 [B, E]
    child: Array  # int32 [B, E], or -1: no node yet
    visits: Array  # int32 [B, E]
    value_sum: Array  # float64 [B, E], for the side that moves along the edge
    pending: Array  # int32 [B, E], descents whose leaf waits to be evaluated
    prior: Array  # float32 [B, E]
    reward: Array  # float32 [B, E]
    discount: Array  # float32 [B, E], NaN until it was stepped along
    amaf_visits: Array  # float32 [B, E], simulations in which the side to move was the first to play the action later
    amaf_sum: Array  # float32 [B, E], the sum of their values


class Rule(NamedTuple):
    """How to choose among actions; see `SearchSettings` for each."""

    kind: int
    exploration: float
    exploration_base: float
    fpu: float  # NaN: the mean value of the node, less fpu_reduction
    fpu_reduction: float
    virtual_loss: float
    rave: float
    expand_visits: int
    collisions: bool  # whether several leaves of a batch may be the same
    gumbel_visit: float
    gumbel_scale: float


class Root(NamedTuple):
    """What holds at the roots only."""

    allowed: Array  # bool [B, A]
    prior: Array  # float32 [B, A], with noise
    gumbel: Array  # float64 [B, A], noise of Gumbel's distribution
    base: Array  # int32 [B, A], the visits when the run began
    levels: Array  # int32 [B, S], for each simulation, the visits that an action to be chosen must have


class Leaves(NamedTuple):
    """The leaves of a batch."""

    path: Array  # int32 [M, D], the edges from the root
    nodes: Array  # int32 [M, D], the nodes that these start from
    length: Array  # int32 [M]
    row: Array  # int64 [M]
    node: Array  # int64 [M], the node whose state is stepped
    action: Array  # int64 [M], ... with this
    grows: Array  # bool [M], it is to become a node
    seed: Array  # uint64 [M]
    scratch: Array  # int8 [A]


@njit(makes_arrays=False, nogil=True)
def keep_subtree(tree: Tree, row: int, root: int, renamed: Array) -> int:
    """Make a node the root of its row, drop what is not below it, and return the number of nodes that stay.

    `renamed` int32 [N]: where each of the nodes went, or -1. Nodes keep their order, so that all move down in place.
    """
    num_nodes = tree.num_nodes[row]
    for node in range(num_nodes):
        renamed[node] = -1
    renamed[root] = 0
    kept, edges = 0, 0
    for node in range(root, num_nodes):
        if renamed[node] < 0:
            continue
        start, width = tree.first_edge[row, node], tree.width[row, node]
        renamed[node] = kept
        tree.first_edge[row, kept] = edges
        tree.width[row, kept] = width
        tree.raw_value[row, kept] = tree.raw_value[row, node]
        for edge in range(start, start + width):
            if tree.child[row, edge] >= 0:
                renamed[tree.child[row, edge]] = 0  # it stays; its new number follows when its turn comes
            _move_edge(tree, row, edge, edges)
            edges += 1
        kept += 1
    for edge in range(edges):
        if tree.child[row, edge] >= 0:
            tree.child[row, edge] = renamed[tree.child[row, edge]]
    tree.num_nodes[row] = kept
    tree.num_edges[row] = edges
    return kept


@njit(makes_arrays=False, nogil=True)
def _move_edge(tree: Tree, row: int, source: int, target: int) -> None:
    tree.action[row, target] = tree.action[row, source]
    tree.child[row, target] = tree.child[row, source]
    tree.visits[row, target] = tree.visits[row, source]
    tree.value_sum[row, target] = tree.value_sum[row, source]
    tree.pending[row, target] = tree.pending[row, source]
    tree.prior[row, target] = tree.prior[row, source]
    tree.reward[row, target] = tree.reward[row, source]
    tree.discount[row, target] = tree.discount[row, source]
    tree.amaf_visits[row, target] = tree.amaf_visits[row, source]
    tree.amaf_sum[row, target] = tree.amaf_sum[row, source]

"""The memory of the search trees: allocated, grown, and cut back to a subtree.

B games, A actions, N nodes and E edges of each game.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen.planners.mcts._layout_kernels import Tree, keep_subtree
from tengen.planners.mcts.states import map_states, num_rows, take_states, write_states
from tengen.types import Array, Ints

_FIRST_NODES = 64
_NODE_ARRAYS = {"first_edge": np.int32, "width": np.int32, "raw_value": np.float32}
_EDGE_ARRAYS = {
    "action": np.int32,
    "child": np.int32,
    "visits": np.int32,
    "value_sum": np.float64,
    "pending": np.int32,
    "prior": np.float32,
    "reward": np.float32,
    "discount": np.float32,
    "amaf_visits": np.float32,
    "amaf_sum": np.float32,
}


class TreeStore:
    """The trees of B games and the states of their nodes, in arrays that grow by doubling.

    Args:
        states: The roots' states [B, ...].
        num_actions: A.
        max_nodes: Nodes of a game at most.
    """

    def __init__(self, states: Any, num_actions: int, max_nodes: int) -> None:
        num_games = num_rows(states)
        self._num_actions = num_actions
        self._max_nodes = max_nodes
        self.num_nodes = min(_FIRST_NODES, max_nodes)  # N
        counts = {name: np.zeros(num_games, np.int32) for name in ("num_nodes", "num_edges")}
        nodes = {name: np.empty((num_games, self.num_nodes), kind) for name, kind in _NODE_ARRAYS.items()}
        edges = {name: np.empty((num_games, self.num_nodes * num_actions), kind) for name, kind in _EDGE_ARRAYS.items()}
        self.tree = Tree(**counts, **nodes, **edges)
        self.states = map_states(
            lambda leaf: np.empty((num_games * self.num_nodes, *leaf.shape[1:]), leaf.dtype), states
        )
        self.forget(np.arange(num_games), states)

    def forget(self, rows: Ints, states: Any) -> None:
        """Begin anew in some games: with a root [len(rows)] that has no edges yet."""
        self.tree.num_nodes[rows] = 0
        self.tree.num_edges[rows] = 0
        write_states(self.states, rows * self.num_nodes, states)

    def roots(self, rows: Ints) -> Any:
        """Return the states of some games' roots."""
        return take_states(self.states, rows * self.num_nodes)

    def make_room(self, num_leaves: int) -> None:
        """Have room for so many new nodes in each game, unless that were more than is allowed."""
        nodes = min(int(self.tree.num_nodes.max()) + num_leaves, self._max_nodes)
        edges = int(self.tree.num_edges.max()) + num_leaves * self._num_actions
        if nodes > self.num_nodes:
            self._resize_nodes(min(max(nodes, 2 * self.num_nodes), self._max_nodes))
        have = self.tree.action.shape[1]
        if edges > have and have < self._max_nodes * self._num_actions:
            self._resize_edges(min(max(edges, 2 * have), self._max_nodes * self._num_actions))

    def keep(self, row: int, node: int) -> None:
        """Make a node of a game its root, and drop all that is not below it."""
        used = int(self.tree.num_nodes[row])
        renamed = np.empty(used, np.int32)
        kept = keep_subtree(self.tree, row, node, renamed)
        offset = row * self.num_nodes
        source = np.flatnonzero(renamed >= 0) + offset  # in the order of their new numbers
        write_states(self.states, np.arange(offset, offset + kept), take_states(self.states, source))

    def _resize_nodes(self, num_nodes: int) -> None:
        before, self.num_nodes = self.num_nodes, num_nodes
        num_games = len(self.tree.num_nodes)

        def widen(leaf: Array) -> Array:
            wide = np.empty((num_games, num_nodes, *leaf.shape[1:]), leaf.dtype)
            wide[:, :before] = leaf.reshape(num_games, before, *leaf.shape[1:])
            return wide.reshape(num_games * num_nodes, *leaf.shape[1:])

        self.states = map_states(widen, self.states)
        self.tree = self.tree._replace(**{name: _widened(getattr(self.tree, name), num_nodes) for name in _NODE_ARRAYS})

    def _resize_edges(self, num_edges: int) -> None:
        self.tree = self.tree._replace(**{name: _widened(getattr(self.tree, name), num_edges) for name in _EDGE_ARRAYS})


def _widened(array: Array, width: int) -> Array:
    wide = np.empty((len(array), width), array.dtype)
    wide[:, : array.shape[1]] = array
    return wide

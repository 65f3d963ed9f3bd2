"""The kernels of the search tree: descents to leaves, new nodes, and what came of them handed back up.

B games (rows) side by side, each with a tree of its own: N nodes, and E edges, of which a node's are contiguous, one
for each legal action (A). A batch is M leaves, several of each game. Nothing in a row depends on other rows.

An edge's value is for the side that moves along it: reward + discount * (value of what follows), so that a discount of
-1 is negamax, 1 a game of one, and 0 the end. Start reading at `select` and `record`. Where scores are nan, the first
edge is chosen: none would be an index out of the arrays.

N(a), W(a), Q(a) = W / N and P(a) are an edge's visits, sum of values, mean value and prior probability, as usual.
UCB1: Auer et al. 2002, theorem 1; UCT: Kocsis and Szepesvari 2006. RAVE: Gelly and Silver 2011, section 4, with the
weight of the all-moves-as-first value n~ / (n + n~ + n n~ / k) of Silver 2009 (k is the equivalence parameter).
PUCT: Silver et al. 2018, "AlphaZero", Methods: c(s) P(a) sqrt(N(s)) / (1 + N(a)).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.planners.mcts._gumbel_kernels import choose_considered, choose_improved
from tengen.planners.mcts._layout_kernels import GUMBEL, UCT, Leaves, Root, Rule, Tree
from tengen.types import Array

_EVALUATE, _TERMINAL, _COLLISION = 0, 1, 2


class Grown(NamedTuple):
    """What is known of the states, G of them, that nodes are made of."""

    leaf: Array  # int64 [G], which of the batch's leaves
    legal: Array  # bool [G, A]
    priors: Array  # float32 [G, A], or [0, 0]: uniform
    guesses: Array  # float32 [G, A], or [0, 0]: values that actions are thought to have before any is tried
    weights: Array  # float32 [G, A], or [0, 0]: the number of playouts that a guess counts for
    node: Array  # int64 [G], out: the number of the new node in its row, or -1


@njit(makes_arrays=False, nogil=True)
def select(tree: Tree, rule: Rule, root: Root, leaves: Leaves, wanted: Array, seeds: Array, counts: Array) -> int:
    """Descend `wanted` [B] times in each row, and return the number of leaves that wait to be evaluated.

    Ends of games that are known already are handed back up at once. A row stops short where it comes upon a leaf that
    waits already, unless rule.collisions. `counts` [B], the simulations since `seeds` [B] were drawn, goes up.
    """
    num_leaves = 0
    for row in range(len(wanted)):
        for _ in range(wanted[row]):
            outcome = _descend(tree, rule, root, leaves, row, num_leaves, counts[row])
            if outcome == _COLLISION:
                break
            if outcome == _EVALUATE:
                leaves.row[num_leaves] = row
                leaves.seed[num_leaves] = mixed(seeds[row], counts[row])
                num_leaves += 1
            counts[row] += 1
    return num_leaves


@njit(makes_arrays=False, nogil=True)
def record(
    tree: Tree, rule: Rule, leaves: Leaves, grown: Grown, results: Array, values: Array, first: Array, num_leaves: int
) -> None:
    """Make nodes of the leaves that are due, then hand the values of all leaves up.

    Args:
        tree: Modified in place.
        rule: How to search.
        leaves: As `select` left them.
        grown: What new nodes are made of; `grown.node` is written.
        results: Reward and discount of the step to each leaf, float64 [2, M].
        values: What the leaf's state is worth for the side to move in it, [M].
        first: As `Playouts.first`, int8 [M, A]; overwritten. [0, 0] where there is none.
        num_leaves: M.
    """
    for i in range(num_leaves):
        row, edge = leaves.row[i], leaves.path[i, leaves.length[i] - 1]
        tree.reward[row, edge] = results[0, i]
        tree.discount[row, edge] = results[1, i]
    for g in range(len(grown.leaf)):
        i = grown.leaf[g]
        grown.node[g] = -1
        row, edge = leaves.row[i], leaves.path[i, leaves.length[i] - 1]
        if tree.discount[row, edge] != 0.0 and tree.child[row, edge] < 0:
            node = make_node(tree, row, grown, g, values[i])
            tree.child[row, edge] = node
            grown.node[g] = node
    amaf = rule.rave > 0.0
    for i in range(num_leaves):
        seen = leaves.scratch
        if len(first):
            seen = first[i]
        elif amaf:
            seen[:] = 0
        _back_up(tree, leaves, leaves.row[i], i, values[i], seen, amaf)


@njit(makes_arrays=False, nogil=True)
def make_node(tree: Tree, row: int, grown: Grown, g: int, value: float) -> int:
    """Add a node with an edge for each legal action, and return its number; -1 where the row is full."""
    width = 0
    for action in range(grown.legal.shape[1]):
        width += grown.legal[g, action]
    node: int = tree.num_nodes[row]
    edge: int = tree.num_edges[row]
    if node >= tree.first_edge.shape[1] or edge + width > tree.action.shape[1]:
        return -1
    tree.first_edge[row, node] = edge
    tree.width[row, node] = width
    tree.raw_value[row, node] = value
    uniform = np.float32(1.0) / np.float32(width)
    for action in range(grown.legal.shape[1]):
        if not grown.legal[g, action]:
            continue
        tree.action[row, edge] = action
        tree.child[row, edge] = -1
        tree.visits[row, edge] = 0
        tree.value_sum[row, edge] = 0.0
        tree.pending[row, edge] = 0
        tree.prior[row, edge] = uniform if len(grown.priors) == 0 else grown.priors[g, action]
        tree.reward[row, edge] = 0.0
        tree.discount[row, edge] = np.nan  # unknown until it was stepped along
        tree.amaf_visits[row, edge] = 0.0
        tree.amaf_sum[row, edge] = 0.0
        if len(grown.weights):
            tree.amaf_visits[row, edge] = grown.weights[g, action]
            tree.amaf_sum[row, edge] = grown.weights[g, action] * grown.guesses[g, action]
        edge += 1
    tree.num_nodes[row] = node + 1
    tree.num_edges[row] = edge
    return node


@njit(makes_arrays=False, nogil=True)
def mixed(seed: Any, count: Any) -> Any:
    """Return a seed of its own for a row's simulation, uint64 (SplitMix64: Steele et al. 2014)."""
    z = np.uint64(seed) + (np.uint64(count) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(makes_arrays=False, nogil=True)
def _descend(tree: Tree, rule: Rule, root: Root, leaves: Leaves, row: int, i: int, count: int) -> int:
    """Walk from the root of a row to an action whose state has no node, as leaf `i` of the batch."""
    node, depth = 0, 0
    max_depth = leaves.path.shape[1]
    while True:
        if rule.kind == UCT:
            edge = _choose_uct(tree, rule, root, row, node)
        elif rule.kind == GUMBEL:
            edge = (
                choose_considered(tree, rule, root, row, count) if node == 0 else choose_improved(tree, rule, row, node)
            )
        else:
            edge = _choose_puct(tree, rule, root, row, node)
        leaves.path[i, depth] = edge
        leaves.nodes[i, depth] = node
        depth += 1
        child = tree.child[row, edge]
        if child < 0 or depth == max_depth:
            break
        node = child
    leaves.length[i] = depth
    terminal = tree.discount[row, edge] == 0.0
    waiting = tree.pending[row, edge]
    if waiting > 0 and child < 0 and not terminal and not rule.collisions:
        return _COLLISION
    for d in range(depth):
        tree.pending[row, leaves.path[i, d]] += 1
    if terminal:
        leaves.scratch[:] = 0
        _back_up(tree, leaves, row, i, 0.0, leaves.scratch, rule.rave > 0.0)
        return _TERMINAL
    visits = tree.visits[row, edge] + waiting + 1
    due = visits == rule.expand_visits or (waiting == 0 and visits > rule.expand_visits)
    leaves.grows[i] = due and child < 0 and tree.num_nodes[row] < tree.first_edge.shape[1]  # unless it is full
    leaves.node[i] = node
    leaves.action[i] = tree.action[row, edge]
    return _EVALUATE


@njit(makes_arrays=False, nogil=True)
def _back_up(tree: Tree, leaves: Leaves, row: int, i: int, value: float, first: Array, amaf: bool) -> None:
    """Hand a leaf's value up its path; `first` says who was the first to play an action, 1 the side at the leaf."""
    side = 1
    for depth in range(leaves.length[i] - 1, -1, -1):
        edge = leaves.path[i, depth]
        discount = tree.discount[row, edge]
        value = tree.reward[row, edge] + discount * value
        tree.visits[row, edge] += 1
        tree.value_sum[row, edge] += value
        tree.pending[row, edge] -= 1
        if not amaf:
            continue
        if discount < 0.0:
            side = -side
        first[tree.action[row, edge]] = side
        start = tree.first_edge[row, leaves.nodes[i, depth]]
        for sibling in range(start, start + tree.width[row, leaves.nodes[i, depth]]):
            if first[tree.action[row, sibling]] == side:
                tree.amaf_visits[row, sibling] += np.float32(1.0)
                tree.amaf_sum[row, sibling] += np.float32(value)


@njit(makes_arrays=False, nogil=True)
def _choose_uct(tree: Tree, rule: Rule, root: Root, row: int, node: int) -> int:
    start = tree.first_edge[row, node]
    stop = start + tree.width[row, node]
    bonus = 0.0
    if rule.exploration > 0.0:
        total = 0
        for edge in range(start, stop):
            total += tree.visits[row, edge] + tree.pending[row, edge]
        bonus = rule.exploration * np.sqrt(np.log(max(total, 1)))
    best, best_score = -1, -np.inf
    for edge in range(start, stop):
        if node == 0 and not root.allowed[row, tree.action[row, edge]]:
            continue
        pending = tree.pending[row, edge]
        n = tree.visits[row, edge] + pending
        others = np.float64(tree.amaf_visits[row, edge])  # n~
        if n == 0:
            score = rule.fpu
            if rule.rave > 0.0 and others > 0.0:
                score = tree.amaf_sum[row, edge] / others + bonus
        else:
            score = (tree.value_sum[row, edge] - rule.virtual_loss * pending) / n
            if rule.rave > 0.0 and others > 0.0:
                beta = others / (n + others + n * others / rule.rave)
                score += beta * (tree.amaf_sum[row, edge] / others - score)
            if bonus > 0.0:
                score += bonus / np.sqrt(n)
        if best < 0 or score > best_score:
            best, best_score = edge, score
    return best


@njit(makes_arrays=False, nogil=True)
def _choose_puct(tree: Tree, rule: Rule, root: Root, row: int, node: int) -> int:
    start = tree.first_edge[row, node]
    stop = start + tree.width[row, node]
    total, value_sum, tried = 0, 0.0, 0.0
    for edge in range(start, stop):
        n = tree.visits[row, edge] + tree.pending[row, edge]
        total += n
        value_sum += tree.value_sum[row, edge] - rule.virtual_loss * tree.pending[row, edge]
        if n > 0:
            tried += tree.prior[row, edge]
    untried = rule.fpu
    if np.isnan(rule.fpu):
        untried = (tree.raw_value[row, node] + value_sum) / (1 + total) - rule.fpu_reduction * np.sqrt(tried)
    c = rule.exploration + np.log((1.0 + total + rule.exploration_base) / rule.exploration_base)
    bonus = c * np.sqrt(1.0 + total)
    best, best_score = -1, -np.inf
    for edge in range(start, stop):
        prior = np.float64(tree.prior[row, edge])
        if node == 0:
            if not root.allowed[row, tree.action[row, edge]]:
                continue
            prior = np.float64(root.prior[row, tree.action[row, edge]])
        pending = tree.pending[row, edge]
        n = tree.visits[row, edge] + pending
        score = untried if n == 0 else (tree.value_sum[row, edge] - rule.virtual_loss * pending) / n
        score += bonus * prior / (1 + n)
        if best < 0 or score > best_score:
            best, best_score = edge, score
    return best

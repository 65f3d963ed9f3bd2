"""Gumbel AlphaZero's choices: sequential halving at the root, the improved policy below it.

Danihelka, Guez, Schrittwieser and Silver, "Policy improvement by planning with Gumbel", ICLR 2022. Equations are its.
Values are put into [0, 1] as (1 + Q) / 2 before they are scaled.
"""

from __future__ import annotations

import numpy as np

from tengen._jit import njit
from tengen.planners.mcts._layout_kernels import Root, Rule, Tree
from tengen.types import Array

_LEAST = 1e-30  # of a prior, before its logarithm


@njit(makes_arrays=False, nogil=True)
def mixed_value(tree: Tree, row: int, node: int) -> float:
    """Return what untried actions are taken to be worth, v_mix (appendix D, equation 33)."""
    start = tree.first_edge[row, node]
    total, tried, weighted = 0, 0.0, 0.0
    for edge in range(start, start + tree.width[row, node]):
        n = tree.visits[row, edge]
        if n > 0:
            prior = max(np.float64(tree.prior[row, edge]), _LEAST)
            total += n
            tried += prior
            weighted += prior * tree.value_sum[row, edge] / n
    raw = np.float64(tree.raw_value[row, node])
    mixture: float = raw if total == 0 else (raw + total * weighted / tried) / (1 + total)
    return mixture


@njit(makes_arrays=False, nogil=True)
def improved_logit(tree: Tree, rule: Rule, row: int, edge: int, mix: float, most: float) -> float:
    """Return logit(a) + sigma(completed Q(a)) (equations 8 and 11); `most` is the greatest number of visits."""
    n = tree.visits[row, edge]
    value = mix if n == 0 else tree.value_sum[row, edge] / n
    scale = (rule.gumbel_visit + most) * rule.gumbel_scale
    logit: float = np.log(max(np.float64(tree.prior[row, edge]), _LEAST)) + scale * (0.5 + 0.5 * value)
    return logit


@njit(makes_arrays=False, nogil=True)
def most_visits(tree: Tree, row: int, node: int) -> int:
    """Return the greatest number of visits among a node's actions."""
    most = 0
    start = tree.first_edge[row, node]
    for edge in range(start, start + tree.width[row, node]):
        most = max(most, tree.visits[row, edge])
    return most


@njit(makes_arrays=False, nogil=True)
def choose_improved(tree: Tree, rule: Rule, row: int, node: int) -> int:
    """Return the edge whose share of visits is furthest below the improved policy's (equation 14)."""
    start = tree.first_edge[row, node]
    stop = start + tree.width[row, node]
    mix, most = mixed_value(tree, row, node), most_visits(tree, row, node)
    greatest, total = -np.inf, 0
    for edge in range(start, stop):
        greatest = max(greatest, improved_logit(tree, rule, row, edge, mix, most))
        total += tree.visits[row, edge] + tree.pending[row, edge]
    norm = 0.0
    for edge in range(start, stop):
        norm += np.exp(improved_logit(tree, rule, row, edge, mix, most) - greatest)
    best, best_score = -1, -np.inf
    for edge in range(start, stop):
        probability = np.exp(improved_logit(tree, rule, row, edge, mix, most) - greatest) / norm
        score = probability - (tree.visits[row, edge] + tree.pending[row, edge]) / (1 + total)
        if best < 0 or score > best_score:
            best, best_score = edge, score
    return best


@njit(makes_arrays=False, nogil=True)
def choose_considered(tree: Tree, rule: Rule, root: Root, row: int, count: int) -> int:
    """Return the root's edge that sequential halving visits as simulation `count` (algorithm 2).

    It is the best, by Gumbel noise and improved logit, of those that have as many visits as the schedule says.
    """
    return _best_at(tree, rule, root, row, root.levels[row, min(count, root.levels.shape[1] - 1)])


@njit(makes_arrays=False, nogil=True)
def choose_best(tree: Tree, rule: Rule, root: Root, row: int) -> int:
    """Return the root's edge to be played: the best of the most visited (algorithm 2, last line)."""
    most = -1
    for edge in range(tree.first_edge[row, 0], tree.first_edge[row, 0] + tree.width[row, 0]):
        action = tree.action[row, edge]
        if root.allowed[row, action]:
            most = max(most, tree.visits[row, edge] - root.base[row, action])
    return _best_at(tree, rule, root, row, most)


@njit(makes_arrays=False, nogil=True)
def _best_at(tree: Tree, rule: Rule, root: Root, row: int, level: int) -> int:
    mix, most = mixed_value(tree, row, 0), most_visits(tree, row, 0)
    best, best_score, found = -1, -np.inf, False
    for edge in range(tree.first_edge[row, 0], tree.first_edge[row, 0] + tree.width[row, 0]):
        action = tree.action[row, edge]
        if not root.allowed[row, action]:
            continue
        fits = tree.visits[row, edge] + tree.pending[row, edge] - root.base[row, action] == level
        score = root.gumbel[row, action] + improved_logit(tree, rule, row, edge, mix, most)
        if (
            best < 0 or (fits and not found) or (fits == found and score > best_score)
        ):  # where none fits, the best of all
            best, best_score, found = edge, score, found or fits
    return best


@njit(makes_arrays=False, nogil=True)
def improved_policy(tree: Tree, rule: Rule, root: Root, policy: Array) -> None:
    """Write the improved policy of the roots (equation 11) over their allowed actions, float64 [B, A]."""
    for row in range(len(policy)):
        mix, most = mixed_value(tree, row, 0), most_visits(tree, row, 0)
        start = tree.first_edge[row, 0]
        stop = start + tree.width[row, 0]
        greatest, norm = -np.inf, 0.0
        policy[row] = 0.0
        for edge in range(start, stop):
            if root.allowed[row, tree.action[row, edge]]:
                greatest = max(greatest, improved_logit(tree, rule, row, edge, mix, most))
        for edge in range(start, stop):
            if root.allowed[row, tree.action[row, edge]]:
                weight = np.exp(improved_logit(tree, rule, row, edge, mix, most) - greatest)
                policy[row, tree.action[row, edge]] = weight
                norm += weight
        for edge in range(start, stop):
            policy[row, tree.action[row, edge]] /= norm

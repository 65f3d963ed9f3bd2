"""Dynamic programming the slow and obvious way, on dense matrices: the twin of what planners do on tables."""

from __future__ import annotations

import numpy as np

from tengen.tables import TransitionTables
from tengen.types import Bools, Floats


def dense(tables: TransitionTables) -> tuple[Floats, Floats]:
    """Discounted transition probabilities [S, A, S], and expected rewards [S, A]."""
    num_states, num_actions = tables.num_states, tables.num_actions
    following = np.zeros((num_states, num_actions, num_states))
    rewards = np.zeros((num_states, num_actions))
    for state in range(num_states):
        for action in range(num_actions):
            for p, to, reward, discount in tables.outcomes(state, action):
                following[state, action, to] += p * discount
                rewards[state, action] += p * reward
    return following, rewards


def legal_actions(tables: TransitionTables) -> Bools:
    """[S, A]."""
    return tables.legal if len(tables.legal) else np.ones((tables.num_states, tables.num_actions), np.bool_)


def policy_values(tables: TransitionTables, gamma: float, policy: Floats) -> Floats:
    """The values [S] of a policy [S, A], by solving the linear system; its episodes must end or gamma be below 1."""
    following, rewards = dense(tables)
    step = np.einsum("sa,sat->st", policy, following)
    values: Floats = np.linalg.solve(np.eye(len(step)) - gamma * step, (policy * rewards).sum(1))
    return values


def optimal_values(tables: TransitionTables, gamma: float) -> tuple[Floats, Floats]:
    """The optimal values [S] and action values [S, A] (-inf where illegal), by sweeping until nothing changes."""
    following, rewards = dense(tables)
    legal = legal_actions(tables)
    values = np.zeros(tables.num_states)
    for _ in range(100_000):
        q = np.where(legal, rewards + gamma * following @ values, -np.inf)
        change = np.abs(q.max(1) - values).max()
        values = q.max(1)
        if change < 1e-12:
            return values, q
    raise AssertionError("no convergence")


def uniform(tables: TransitionTables) -> Floats:
    """The policy [S, A] that takes each legal action with equal chance."""
    legal = legal_actions(tables)
    policy: Floats = legal / legal.sum(1, keepdims=True)
    return policy

"""What a policy is exactly worth, to hold measured returns against.

S states, A actions.
"""

from __future__ import annotations

import numpy as np

from tengen.errors import UserError
from tengen.planners import _dp_kernels as kernels
from tengen.planners.dp_config import check_count, check_ranges
from tengen.planners.dynamic_programming import policy_evaluation
from tengen.planners.policies import following, optimal, refuse_endless
from tengen.tables import TransitionTables
from tengen.types import Array, Floats

_DENSE = 1_000  # states up to which a linear system is solved
_PRECISION = 1e-12


def evaluate_exactly(tables: TransitionTables, policy: Array, gamma: float) -> Floats:
    """Return a policy's values [S], by a linear system where there are few states, else by sweeps to 1e-12.

    Args:
        tables: The decision process.
        policy: Probabilities [S, A], or an action for each state [S].
        gamma: Discount factor, 0 to 1.

    Raises:
        UserError: With gamma 1 the policy collects rewards without end; the policy is none.
    """
    check_ranges(gamma, _PRECISION, 1)
    num_states = tables.num_states
    if num_states > _DENSE:
        return policy_evaluation(tables, policy, gamma, theta=_PRECISION, max_sweeps=10_000_000).v
    rule = following(tables, policy)
    done = refuse_endless(tables, rule) if gamma == 1 else np.zeros(num_states, np.bool_)
    weights = rule.policy if len(rule.policy) else np.eye(tables.num_actions)[rule.actions]  # [S, A]
    pairs = np.repeat(np.arange(num_states * tables.num_actions), np.diff(tables.start))  # of each outcome
    probability = tables.probability * weights.ravel()[pairs]
    states = pairs // tables.num_actions
    matrix = np.eye(num_states)
    np.add.at(matrix, (states, tables.next_state), -gamma * tables.discount * probability)
    rewards = np.bincount(states, probability * tables.reward, num_states)
    matrix[done] = np.eye(num_states)[done]  # nothing is collected from there on, whether or not it ends
    rewards[done] = 0.0
    return np.asarray(np.linalg.solve(matrix, rewards), np.float64)


def finite_horizon_return(tables: TransitionTables, policy: Array, horizon: int) -> float:
    """Return the expected undiscounted return of a policy in an episode that is cut off after `horizon` steps.

    Args:
        tables: The decision process.
        policy: Probabilities [S, A], or an action for each state [S].
        horizon: The step limit.
    """
    check_count("horizon", horizon)
    values = np.zeros(tables.num_states)
    rule = following(tables, policy)
    kernels.sweeps(tables, rule, 1.0, values, np.zeros(tables.num_states), -1.0, horizon)
    return float(tables.initial @ values)


def finite_horizon_optimum(tables: TransitionTables, horizon: int) -> float:
    """Return the greatest expected return of an episode of `horizon` steps; its policy knows how many are left."""
    check_count("horizon", horizon)
    values = np.zeros(tables.num_states)
    kernels.sweeps(tables, optimal(tables), 1.0, values, np.zeros(tables.num_states), -1.0, horizon)
    return float(tables.initial @ values)


def expected_return(tables: TransitionTables, policy: Array, max_episode_steps: int | None) -> float | None:
    """Return the expected undiscounted return of a policy's episodes.

    Args:
        tables: The decision process.
        policy: Probabilities [S, A], or an action for each state [S].
        max_episode_steps: The step limit; None: there is none.

    Returns:
        None where there is no limit and the policy's episodes may go on for ever.
    """
    if max_episode_steps is not None:
        return finite_horizon_return(tables, policy, max_episode_steps)
    try:
        return float(tables.initial @ evaluate_exactly(tables, policy, 1.0))
    except UserError:
        return None

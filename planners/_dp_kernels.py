"""Dynamic programming: backups and sweeps over transition tables.

Sutton & Barto (2018), chapter 4; equation numbers are theirs. Everything that sweeps does so by one kernel, `sweep`,
and differs in the rule that says what a state is worth.

S states, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.tables import TransitionTables
from tengen.types import Floats, Ints

ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of a value: a change that is not greater is none


class Rule(NamedTuple):
    """What a state is worth: the value of one action, the mean under a policy, or, where both are empty, the best.

    Make it with `following` or `optimal` of `dynamic_programming`.
    """

    actions: Ints  # [S]; or [0]
    policy: Floats  # [S, A], probabilities; or [0, A]


@njit
def backup(tables: TransitionTables, gamma: float, values: Floats, pair: int) -> float:
    """Return q(s, a), the sum over s', r of p(s', r | s, a) [r + gamma v(s')], for pair = s * A + a. Equation (4.6).

    The discount of the outcome stands beside gamma: 0 ends the episode, and with -1 the other side is to move.
    """
    total = 0.0
    for n in range(tables.start[pair], tables.start[pair + 1]):
        follows = gamma * tables.discount[n] * values[tables.next_state[n]]
        total += tables.probability[n] * (tables.reward[n] + follows)
    return total


@njit
def worth(tables: TransitionTables, rule: Rule, gamma: float, values: Floats, state: int) -> float:
    """Return what a state is worth by a rule: the right side of equation (4.4) for a policy, of (4.1) for the best."""
    num_actions = tables.legal.shape[1]
    first = state * num_actions
    if len(rule.actions):
        return backup(tables, gamma, values, first + rule.actions[state])
    if len(rule.policy):
        total = 0.0
        for action in range(num_actions):
            if rule.policy[state, action] > 0.0:
                total += rule.policy[state, action] * backup(tables, gamma, values, first + action)
        return total
    best = -np.inf
    for action in range(num_actions):
        if len(tables.legal) == 0 or tables.legal[state, action]:
            best = max(best, backup(tables, gamma, values, first + action))
    return best


@njit
def sweep(
    tables: TransitionTables, rule: Rule, gamma: float, values: Floats, target: Floats, backwards: bool
) -> tuple[float, float]:
    """Back every state up once. Equation (4.5) for a policy, (4.10) for the best action.

    Args:
        tables: The decision process.
        rule: What a state is worth.
        gamma: Discount factor.
        values: The values that are backed up [S].
        target: Where the new values go [S]; `values` itself: in place. Modified in place.
        backwards: From the last state to the first, which in place makes a difference.

    Returns:
        The greatest change of a value, and the greatest magnitude of one.
    """
    change, magnitude = 0.0, 0.0
    num_states = len(tables.initial)
    for k in range(num_states):
        state = num_states - 1 - k if backwards else k
        value = worth(tables, rule, gamma, values, state)
        change = max(change, abs(value - values[state]))
        magnitude = max(magnitude, abs(value))
        target[state] = value
    return change, magnitude


@njit
def sweeps(
    tables: TransitionTables, rule: Rule, gamma: float, values: Floats, spare: Floats, theta: float, limit: int
) -> tuple[int, float, bool]:
    """Sweep until no value changes by more than theta, or by more than rounding does.

    In place every other sweep goes backwards, so that news travel all the way in either direction: where an end is far
    from the beginning, that saves most of the sweeps.

    Args:
        tables: The decision process.
        rule: What a state is worth.
        gamma: Discount factor.
        values: Where to start [S]. Modified in place.
        spare: [S]: synchronous sweeps, each from the values of the one before. Modified in place. Or [0]: in place.
        theta: The change to stop at; negative: never.
        limit: Sweeps to make at most.

    Returns:
        The sweeps made, the last one's greatest change, and whether it was small enough.
    """
    change = np.inf
    for done in range(limit):
        if len(spare):
            change, magnitude = sweep(tables, rule, gamma, values, spare, False)
            values[:] = spare
        else:
            change, magnitude = sweep(tables, rule, gamma, values, values, done % 2 == 1)
        if theta >= 0.0 and change <= max(theta, ROUNDING * magnitude):
            return done + 1, change, True
        if not np.isfinite(change):
            return done + 1, change, False
    return limit, change, False


@njit
def action_values(tables: TransitionTables, gamma: float, values: Floats, q: Floats) -> None:
    """Write each action's value into q [S, A]: equation (4.6). Modified in place; actions that are illegal too."""
    num_actions = tables.legal.shape[1]
    for state in range(len(tables.initial)):
        for action in range(num_actions):
            q[state, action] = backup(tables, gamma, values, state * num_actions + action)


@njit
def improve(
    tables: TransitionTables, gamma: float, values: Floats, tolerance: float, actions: Ints, target: Floats
) -> tuple[int, float]:
    """Make a policy greedy: equation (4.9). A state keeps its action unless another is better by more than a tolerance.

    Args:
        tables: The decision process.
        gamma: Discount factor.
        values: [S].
        tolerance: Relative to the better value, or absolute where that is below 1.
        actions: The policy [S]. Modified in place.
        target: The best action's value goes here [S]; not `values`. Modified in place.

    Returns:
        How many states changed their action, and the greatest difference between the best value and `values`.
    """
    num_actions = tables.legal.shape[1]
    switched, change = 0, 0.0
    for state in range(len(tables.initial)):
        first = state * num_actions
        now = backup(tables, gamma, values, first + actions[state])
        best, best_action = now, actions[state]
        for action in range(num_actions):
            if len(tables.legal) == 0 or tables.legal[state, action]:
                value = backup(tables, gamma, values, first + action)
                if value > best:
                    best, best_action = value, action
        if best > now + tolerance * max(1.0, abs(best)):
            actions[state] = best_action
            switched += 1
        target[state] = best
        change = max(change, abs(best - values[state]))
    return switched, change

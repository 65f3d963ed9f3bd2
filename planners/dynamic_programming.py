"""Dynamic programming over transition tables: values and policies that are exact up to a known residual.

Sutton & Barto (2018), chapter 4. The arithmetic is in `_dp_kernels.py` and its neighbours; here it is checked, driven
until it converges, and named.

S states, A actions.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from tengen.errors import UserError
from tengen.planners import _dp_ending_kernels as endings
from tengen.planners import _dp_kernels as kernels
from tengen.planners import _dp_queue_kernels as queues
from tengen.planners._dp_kernels import Rule
from tengen.planners.dp_config import EVALUATION_SWEEPS, MAX_SWEEPS, THETA, Method, check_count, check_ranges
from tengen.planners.policies import TIE, first_policy, following, greedy_for, legal_actions, optimal, refuse_endless
from tengen.tables import TransitionTables
from tengen.types import Array, Floats, Ints

_MAX_IMPROVEMENTS = 10_000
_FIRST_SWEEPS = 100  # of a policy that is only there to begin with; one takes a fraction of a sweep of all actions
_ROWS_AT_A_TIME = 50_000_000  # outcomes backed up between two looks at Ctrl-C: a fraction of a second


@dataclass(frozen=True, eq=False)
class Values:
    """What states and actions are worth.

    Attributes:
        v: Of each state [S].
        q: Of each state and action [S, A], illegal actions included.
        sweeps: Passes over all states.
        backups: States backed up, in sweeps and one by one.
        residual: By how much the last backup of all states changed a value at most: the maximal Bellman residual.
        error_bound: `v` is no further off than this, gamma / (1 - gamma) times the residual; None with gamma 1.
        seconds: What it took, compiling included where that was needed.
    """

    v: Floats
    q: Floats
    sweeps: int
    backups: int
    residual: float
    error_bound: float | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Plan(Values):
    """Values and what to do.

    Attributes:
        policy: An action for each state [S]; see `policies` for ties.
    """

    policy: Ints


def policy_evaluation(
    tables: TransitionTables,
    policy: Array,
    gamma: float,
    *,
    in_place: bool = True,
    theta: float = THETA,
    max_sweeps: int = MAX_SWEEPS,
) -> Values:
    """Return what a policy is worth: iterative policy evaluation, section 4.1.

    Args:
        tables: The decision process.
        policy: Probabilities [S, A], or an action for each state [S].
        gamma: Discount factor, 0 to 1.
        in_place: Each backup uses the values of the same sweep, where there are any.
        theta: Stop when no value changes by more in a sweep.
        max_sweeps: Sweeps to make at most.

    Raises:
        UserError: With gamma 1 the policy collects rewards without end; the values don't converge; the policy is none.
    """
    check_ranges(gamma, theta, max_sweeps)
    clock = _Clock(tables, max_sweeps)
    rule = following(tables, policy)
    if gamma == 1:
        refuse_endless(tables, rule)
    values = np.zeros(tables.num_states)
    _sweep(tables, rule, gamma, values, in_place, theta, clock)
    return _look(tables, rule, gamma, values, clock)


def value_iteration(
    tables: TransitionTables,
    gamma: float,
    *,
    method: Method = "in_place",
    theta: float = THETA,
    max_sweeps: int = MAX_SWEEPS,
) -> Plan:
    """Return the optimal values, and a policy that has them: section 4.4.

    Args:
        tables: The decision process.
        gamma: Discount factor, 0 to 1.
        method: "synchronous": each sweep starts from the values of the one before. "in_place": a backup uses the
            newest values. "prioritized": the state of the greatest Bellman error is backed up first.
        theta: Stop when no value changes by more.
        max_sweeps: Sweeps to make at most; so many times S backups where they are prioritized.

    Raises:
        UserError: The values don't converge.
    """
    check_ranges(gamma, theta, max_sweeps)
    clock = _Clock(tables, max_sweeps)
    values = np.zeros(tables.num_states)
    if tables.reward.min() < 0:  # from 0 each sweep would take away no more than the loss of a step
        values = _values_from_below(tables, gamma, theta, clock)
    if method == "prioritized":
        _sweep_by_priority(tables, gamma, values, theta, clock)
    else:
        _sweep(tables, optimal(tables), gamma, values, method == "in_place", theta, clock)
    return plan_from(tables, gamma, _look(tables, optimal(tables), gamma, values, clock))


def policy_iteration(
    tables: TransitionTables, gamma: float, *, theta: float = THETA, max_sweeps: int = MAX_SWEEPS
) -> Plan:
    """Return the optimal values, and a policy that has them: section 4.3.

    A state changes its action only for one that is better by more than the values may be wrong by. So each policy is
    truly better than the one before, and as there are finitely many, it ends, however many actions tie. Where players
    alternate (discounts below 0) that doesn't hold, and it may go in circles.

    Args:
        tables: The decision process.
        gamma: Discount factor, 0 to 1.
        theta: Evaluate each policy until no value changes by more, or by theta * (1 - gamma).
        max_sweeps: Sweeps to make at most, in all.

    Raises:
        UserError: The values don't converge; with gamma 1 they are infinite.
    """
    check_ranges(gamma, theta, max_sweeps)
    clock = _Clock(tables, max_sweeps)
    actions = first_policy(tables)
    values, best = np.zeros(tables.num_states), np.zeros(tables.num_states)
    for _ in range(_MAX_IMPROVEMENTS):
        rule = following(tables, actions)
        if gamma == 1:
            values[refuse_endless(tables, rule)] = 0.0
        precision = theta if gamma == 1 else theta * (1 - gamma)
        change = _sweep(tables, rule, gamma, values, True, precision, clock)
        uncertainty = 0.0 if gamma == 1 else 2 * gamma * change / (1 - gamma)
        switched, _ = kernels.improve(tables, gamma, values, max(TIE, uncertainty), actions, best)
        clock.swept(1)
        if not switched:
            return plan_from(tables, gamma, _look(tables, optimal(tables), gamma, values, clock))
    raise UserError(
        f"policy iteration goes in circles: {switched} states still change their action after {_MAX_IMPROVEMENTS}"
        " improvements, as they may where players alternate; value_iteration finds the values"
    )


def modified_policy_iteration(
    tables: TransitionTables,
    gamma: float,
    *,
    evaluation_sweeps: int = EVALUATION_SWEEPS,
    theta: float = THETA,
    max_sweeps: int = MAX_SWEEPS,
) -> Plan:
    """Return the optimal values, and a policy that has them, by truncated evaluations (Puterman & Shin 1978).

    Args:
        tables: The decision process.
        gamma: Discount factor, 0 to 1.
        evaluation_sweeps: Sweeps for each policy, the one that finds it included; 1 is value iteration.
        theta: Stop when no value changes by more in the sweep that finds a policy.
        max_sweeps: Sweeps to make at most, in all.

    Raises:
        UserError: The values don't converge; with gamma 1 they are infinite.
    """
    check_ranges(gamma, theta, max_sweeps)
    check_count("evaluation_sweeps", evaluation_sweeps)
    clock = _Clock(tables, max_sweeps)
    actions = first_policy(tables)
    values = np.zeros(tables.num_states)
    if gamma == 1 or tables.reward.min() < 0:
        values = _values_from_below(tables, gamma, theta, clock)
    best = np.zeros(tables.num_states)
    while True:
        _, change = kernels.improve(tables, gamma, values, 0.0, actions, best)
        values, best = best, values
        clock.swept(1)
        if change <= max(theta, kernels.ROUNDING * float(np.abs(values).max())):
            return plan_from(tables, gamma, _look(tables, optimal(tables), gamma, values, clock))
        if clock.left <= 0 or not np.isfinite(change):
            raise _not_converged(gamma, theta, change, clock.sweeps)
        if evaluation_sweeps > 1:
            more = min(evaluation_sweeps - 1, clock.left)
            kernels.sweeps(tables, following(tables, actions), gamma, values, np.zeros(0), -1.0, more)
            clock.swept(more)


def plan_from(tables: TransitionTables, gamma: float, values: Values) -> Plan:
    """Return values with the policy that is greedy for them."""
    return Plan(**vars(values), policy=greedy_for(tables, gamma, values.v, values.q))


class _Clock:
    """Counts sweeps, backups and seconds."""

    def __init__(self, tables: TransitionTables, max_sweeps: int) -> None:
        self.max_sweeps = max_sweeps
        self.sweeps = self.backups = 0
        self._num_states = tables.num_states
        self._began = time.perf_counter()

    @property
    def left(self) -> int:
        """How many sweeps may still be made."""
        return self.max_sweeps - self.sweeps

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._began

    def swept(self, count: int) -> None:
        """Count sweeps."""
        self.sweeps += count
        self.backups += count * self._num_states


def _values_from_below(tables: TransitionTables, gamma: float, theta: float, clock: _Clock) -> Floats:
    """Return values [S] to begin with: those of a policy that ends, or comes to rest, where it can.

    From there every backup can only raise values, up to the optimal ones. Without discounting they may from elsewhere
    settle on another solution of Bellman's equation, where one can go round in circles and win and lose the same. With
    it, or where nothing can be won, what lies between those values and 0 will do as well, so the policy is not
    evaluated to the last: it may end rarely.
    """
    rule, values = following(tables, first_policy(tables)), np.zeros(tables.num_states)
    if gamma == 1:
        refuse_endless(tables, rule)
    if gamma == 1 and tables.reward.max() > 0:
        _sweep(tables, rule, gamma, values, True, theta, clock)
    else:
        most = min(_FIRST_SWEEPS, clock.left)
        clock.swept(kernels.sweeps(tables, rule, gamma, values, np.zeros(0), theta, most)[0])
    return values


def _sweep(
    tables: TransitionTables, rule: Rule, gamma: float, values: Floats, in_place: bool, theta: float, clock: _Clock
) -> float:
    """Sweep until values [S] change by theta at most; return the last change. They are modified in place."""
    spare = np.zeros(0 if in_place else tables.num_states)
    at_a_time = max(1, _ROWS_AT_A_TIME // len(tables.probability))
    change = np.inf
    while clock.left > 0:
        done, change, converged = kernels.sweeps(tables, rule, gamma, values, spare, theta, min(at_a_time, clock.left))
        clock.swept(done)
        if converged:
            return change
        if not np.isfinite(change):
            break
    raise _not_converged(gamma, theta, change, clock.sweeps)


def _sweep_by_priority(tables: TransitionTables, gamma: float, values: Floats, theta: float, clock: _Clock) -> None:
    """Back up the states of the greatest error until there is none above theta. `values` is modified in place."""
    rule, before, queue = optimal(tables), endings.predecessors(tables), queues.make_queue(tables.num_states)
    queues.look(tables, rule, gamma, values, theta, queue)
    clock.swept(1)
    at_a_time = max(1, _ROWS_AT_A_TIME * tables.num_states // len(tables.probability) // 4)  # a heap is slower
    most = clock.max_sweeps * tables.num_states
    while queue.size[0]:
        if clock.backups >= most:
            raise _not_converged(gamma, theta, float(queue.error[queue.heap[0]]), clock.max_sweeps)
        more = min(at_a_time, most - clock.backups)
        clock.backups += queues.sweep_by_priority(tables, before, rule, gamma, values, theta, queue, more)


def _look(tables: TransitionTables, rule: Rule, gamma: float, values: Floats, clock: _Clock) -> Values:
    """Back everything up once more: return v and q that agree, and how far they were from agreeing."""
    q = np.empty((tables.num_states, tables.num_actions))
    kernels.action_values(tables, gamma, values, q)
    clock.swept(1)
    if len(rule.actions):
        v = q[np.arange(len(q)), rule.actions]
    elif len(rule.policy):
        v = np.where(rule.policy > 0, rule.policy * q, 0.0).sum(1)
    else:
        v = q.max(1, where=legal_actions(tables), initial=-np.inf)
    residual = float(np.abs(v - values).max())
    bound = residual * gamma / (1 - gamma) if gamma < 1 else None
    return Values(v, q, clock.sweeps, clock.backups, residual, bound, clock.seconds)


def _not_converged(gamma: float, theta: float, change: float, sweeps: int) -> UserError:
    infinite = "with gamma 1 they may be infinite, then choose a gamma below 1; else " if gamma == 1 else ""
    return UserError(
        f"the values have not converged after {sweeps} sweeps, one still changes by {change:.3g}, more than theta"
        f" {theta:g}: {infinite}raise max_sweeps"
    )

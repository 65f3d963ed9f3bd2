"""Control with eligibility traces: Sarsa(lambda) and Watkins's Q(lambda) (S&B sections 12.7 and 12.10).

The lambda-return of a step is its value plus the sum of the errors delta_k that follow, each times the product of
gamma lambda d_j over the steps between, where d_j is the TimeStep's discount (S&B eq. 12.25 and 12.26, with
gamma d_j for gamma_j). So the trace of a pair is multiplied by gamma lambda d at each step: where d is -1, the other
side is to move, its sign turns, since what is gained there is lost here; where d is 0, nothing that follows counts.

Only pairs whose trace is not negligible are kept, in a list, so that a step costs as much as there are of those. A
trace contains the step size of its visit, which makes it a pure number times an error; it is dropped below 1e-16,
where all that it could still add to a value is lost in the rounding of values of the errors' size.

S states, A actions, B environments side by side, K pairs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.agents._learner_kernels import (
    Linear,
    Outcome,
    StepSize,
    act,
    epsilon_greedy,
    max_value,
    step_size,
    update,
    value_at,
)
from tengen.agents.tabular._one_step_kernels import _act_as_decided
from tengen.types import Bools, Floats, Ints

ACCUMULATING, REPLACING, DUTCH = 0, 1, 2

_NEGLIGIBLE = 1e-16


class Traces(NamedTuple):
    """The state-action pairs of each environment that are still to learn from what follows."""

    kind: int  # ACCUMULATING, REPLACING or DUTCH
    length: Ints  # [B], how many
    pair: Ints  # [B, K], s * A + a, in the order in which they came
    trace: Floats  # [B, K], eligibility, times the step size of the visit


class SarsaLambda(NamedTuple):
    """Sarsa(lambda) (Rummery & Niranjan 1994; S&B section 12.7).

    With dutch traces it is true online Sarsa(lambda) (van Seijen et al. 2016; S&B page 307), with a step size for each
    step as in van Seijen & Sutton (2014).
    """

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float
    trace_decay: float  # lambda
    traces: Traces
    next_action: Ints  # [B], the action chosen already while learning from the step before; -1: none
    next_value: Floats  # [B], its value then


class QLambda(NamedTuple):
    """Watkins's Q(lambda) (Watkins 1989; S&B section 12.10)."""

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float
    trace_decay: float  # lambda
    traces: Traces


def most_traces(num_pairs: int, decay: float, largest_step_size: float) -> int:
    """Return how many pairs there can be whose traces aren't negligible.

    Args:
        num_pairs: S * A.
        decay: gamma * lambda.
        largest_step_size: The largest that there will be.
    """
    if decay >= 1.0:
        return num_pairs
    if decay <= 0.0 or largest_step_size <= 0.0:
        return 1
    peak = max(largest_step_size / (1.0 - decay), _NEGLIGIBLE)  # of a pair visited at every step
    return min(num_pairs, math.ceil(math.log(_NEGLIGIBLE / peak) / math.log(decay)) + 2)


def no_traces(kind: int, num_envs: int, most: int) -> Traces:
    """Return lists with nothing in them and room for `most` pairs."""
    return Traces(kind, np.zeros(num_envs, np.int64), np.zeros((num_envs, most), np.int64), np.zeros((num_envs, most)))


@njit
def _visit(traces: Traces, row: int, pair: int, alpha: float) -> tuple[int, float]:
    """Raise the trace of the pair visited now. `traces` is modified in place.

    Returns:
        Its place in the list, and what of its trace is left of visits before.
    """
    count = traces.length[row]
    for i in range(count):
        if traces.pair[row, i] == pair:
            left = traces.trace[row, i]
            if traces.kind == REPLACING:
                left = 0.0
            elif traces.kind == DUTCH:
                left *= 1.0 - alpha
            traces.trace[row, i] = left + alpha
            return i, left
    assert count < traces.pair.shape[1], "more traces than there can be"
    traces.pair[row, count], traces.trace[row, count] = pair, alpha
    traces.length[row] = count + 1
    return int(count), 0.0


@njit
def _learn(q: Floats, traces: Traces, row: int, pair: int, alpha: float, error: float, drift: float) -> None:
    """Let every pair with a trace learn from the error of the pair visited now. `q`, `traces` modified in place.

    Args:
        q: [S, A].
        traces: Decayed since the step before.
        row: Which of the B environments.
        pair: s * A + a.
        alpha: Its step size.
        error: target - Q(s, a).
        drift: What Q(s, a) has gained since the errors before were computed with it, where that is to be made up for
            (S&B page 307, Q - Q_old); else 0.
    """
    visited, left = _visit(traces, row, pair, alpha)
    values = q.reshape(q.size)
    for i in range(traces.length[row]):
        if i == visited:
            values[pair] += error * traces.trace[row, i] + drift * left
        else:
            values[traces.pair[row, i]] += (error + drift) * traces.trace[row, i]


@njit
def _decay(traces: Traces, row: int, factor: float) -> None:
    """Multiply the traces, and drop those that become negligible. `traces` is modified in place."""
    kept = 0
    for i in range(traces.length[row]):
        trace = factor * traces.trace[row, i]
        if abs(trace) >= _NEGLIGIBLE:
            traces.pair[row, kept], traces.trace[row, kept] = traces.pair[row, i], trace
            kept += 1
    traces.length[row] = kept


act.register(SarsaLambda)(_act_as_decided)


@update.register(SarsaLambda)
@njit
def _update_sarsa_lambda(
    learner: SarsaLambda, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, s, a = learner.q, outcome.s_tm1, outcome.a_tm1
    target, next_action, next_value = outcome.r_t, -1, 0.0
    if not (outcome.last and outcome.discount_t == 0.0):  # a truncated episode is bootstrapped by an action, too
        next_action = epsilon_greedy(q[outcome.s_t], legal_t, value_at(learner.epsilon, clock), rng)
        next_value = q[outcome.s_t, next_action]
        target += learner.gamma * outcome.discount_t * next_value
    learner.next_action[row] = -1 if outcome.last else next_action
    drift = q[s, a] - learner.next_value[row] if learner.traces.kind == DUTCH else 0.0
    learner.next_value[row] = next_value
    alpha = step_size(learner.step_size, s, a, clock)
    _learn(q, learner.traces, row, s * q.shape[1] + a, alpha, target - q[s, a], drift)
    _decay(learner.traces, row, 0.0 if outcome.last else learner.gamma * learner.trace_decay * outcome.discount_t)


@act.register(QLambda)
@njit
def _act_and_cut(learner: QLambda, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator) -> int:
    q = learner.q[s_t]
    action = epsilon_greedy(q, legal_t, value_at(learner.epsilon, clock), rng)
    if learner.traces.length[row] > 0 and q[action] < max_value(q, legal_t):
        learner.traces.length[row] = 0  # what follows an exploratory action isn't what the greedy policy would meet
    return action


@update.register(QLambda)
@njit
def _update_q_lambda(
    learner: QLambda, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, s, a = learner.q, outcome.s_tm1, outcome.a_tm1
    v_t = 0.0 if outcome.discount_t == 0.0 else max_value(q[outcome.s_t], legal_t)
    target = outcome.r_t + learner.gamma * outcome.discount_t * v_t
    alpha = step_size(learner.step_size, s, a, clock)
    _learn(q, learner.traces, row, s * q.shape[1] + a, alpha, target - q[s, a], 0.0)
    _decay(learner.traces, row, 0.0 if outcome.last else learner.gamma * learner.trace_decay * outcome.discount_t)

"""One-step control: Q-learning, Sarsa, Expected Sarsa, Double Q-learning (S&B sections 6.4 to 6.7).

S states, A actions, B environments side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.agents._learner_kernels import (
    Linear,
    Outcome,
    StepSize,
    act,
    epsilon_greedy,
    epsilon_greedy_value,
    greedy_action,
    max_value,
    step_size,
    update,
    value_at,
)
from tengen.types import Bools, Floats, Ints


class QLearning(NamedTuple):
    """Q-learning (Watkins 1989; S&B eq. 6.8)."""

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float


class ExpectedSarsa(NamedTuple):
    """Expected Sarsa of the epsilon-greedy policy (van Seijen et al. 2009; S&B eq. 6.9)."""

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float


class Sarsa(NamedTuple):
    """Sarsa (Rummery & Niranjan 1994; S&B eq. 6.7)."""

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float
    next_action: Ints  # [B], the action chosen already while learning from the step before; -1: none


class DoubleQLearning(NamedTuple):
    """Double Q-learning (van Hasselt 2010; S&B section 6.7)."""

    q: Floats  # [S, A], the sum of the two tables, on which it acts
    tables: Floats  # [2, S, A]
    step_size: StepSize  # its visits [2 * S, A]
    epsilon: Linear
    gamma: float


@act.register(DoubleQLearning)
@act.register(ExpectedSarsa)
@act.register(QLearning)
@njit
def _act_epsilon_greedily(
    learner: Any, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator
) -> int:
    return epsilon_greedy(learner.q[s_t], legal_t, value_at(learner.epsilon, clock), rng)


@act.register(Sarsa)
@njit
def _act_as_decided(learner: Sarsa, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator) -> int:
    decided = learner.next_action[row]
    if decided >= 0:
        return int(decided)
    return epsilon_greedy(learner.q[s_t], legal_t, value_at(learner.epsilon, clock), rng)


@update.register(QLearning)
@njit
def _update_q_learning(
    learner: QLearning, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, s, a = learner.q, outcome.s_tm1, outcome.a_tm1
    target = outcome.r_t + learner.gamma * outcome.discount_t * max_value(q[outcome.s_t], legal_t)
    q[s, a] += step_size(learner.step_size, s, a, clock) * (target - q[s, a])


@update.register(ExpectedSarsa)
@njit
def _update_expected_sarsa(
    learner: ExpectedSarsa, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, s, a = learner.q, outcome.s_tm1, outcome.a_tm1
    v_t = epsilon_greedy_value(q[outcome.s_t], legal_t, value_at(learner.epsilon, clock))
    target = outcome.r_t + learner.gamma * outcome.discount_t * v_t
    q[s, a] += step_size(learner.step_size, s, a, clock) * (target - q[s, a])


@update.register(Sarsa)
@njit
def _update_sarsa(
    learner: Sarsa, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, s, a = learner.q, outcome.s_tm1, outcome.a_tm1
    target = outcome.r_t
    next_action = -1
    if not (outcome.last and outcome.discount_t == 0.0):  # a truncated episode is bootstrapped by an action, too
        next_action = epsilon_greedy(q[outcome.s_t], legal_t, value_at(learner.epsilon, clock), rng)
        target += learner.gamma * outcome.discount_t * q[outcome.s_t, next_action]
    learner.next_action[row] = -1 if outcome.last else next_action
    q[s, a] += step_size(learner.step_size, s, a, clock) * (target - q[s, a])


@update.register(DoubleQLearning)
@njit
def _update_double_q_learning(
    learner: DoubleQLearning, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    s, a = outcome.s_tm1, outcome.a_tm1
    heads = rng.random() < 0.5
    own = learner.tables[0] if heads else learner.tables[1]
    other = learner.tables[1] if heads else learner.tables[0]
    v_t = 0.0
    if outcome.discount_t != 0.0:
        best = greedy_action(own[outcome.s_t], legal_t, rng)  # by the one table, and valued by the other
        v_t = other[outcome.s_t, best]
    target = outcome.r_t + learner.gamma * outcome.discount_t * v_t
    counted = s if heads else s + own.shape[0]
    own[s, a] += step_size(learner.step_size, counted, a, clock) * (target - own[s, a])
    learner.q[s, a] = own[s, a] + other[s, a]

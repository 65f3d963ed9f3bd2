"""n-step control: n-step Sarsa, n-step Expected Sarsa, n-step tree backup, Q(sigma) (S&B chapter 7).

A step waits in its environment's window until its n-step return is known. A window is cut, and all that wait in it are
learnt from, where the episode is over (a truncated one bootstraps from its final observation) and where the discount is
0: the windows of `tengen.returns.n_step_returns`.

S states, A actions, B environments side by side, n steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.agents._learner_kernels import (
    Linear,
    Outcome,
    StepSize,
    act,
    epsilon_greedy,
    epsilon_greedy_value,
    step_size,
    update,
    value_at,
)
from tengen.agents.tabular._one_step_kernels import _act_as_decided
from tengen.types import Bools, Floats, Ints


class Window(NamedTuple):
    """The steps of each environment that wait for their returns, at most n, as rings."""

    length: Ints  # [B], how many wait
    oldest: Ints  # [B], where in the ring the first of them is
    state: Ints  # [B, n]
    action: Ints  # [B, n]
    reward: Floats  # [B, n]
    discount: Floats  # [B, n], of the TimeStep: before gamma


class NStepSarsa(NamedTuple):
    """n-step Sarsa (S&B eq. 7.5), or n-step Expected Sarsa (S&B eq. 7.7)."""

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float
    expected: bool  # bootstrap from what the policy expects, not from the action that it takes next
    next_action: Ints  # [B], the action chosen already while learning from the step before; -1: none
    window: Window


class QSigma(NamedTuple):
    """n-step Q(sigma) (De Asis et al. 2018; S&B eq. 7.17); with sigma 0 n-step tree backup (S&B eq. 7.16)."""

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float
    sigma: float  # how much is sampled: 1 as Sarsa does, 0 the expectation over all actions
    target_epsilon: float  # the target policy is epsilon-greedy with this; -1: with the behaviour's epsilon
    window: Window
    next_legal: Bools  # [B, n, A], the legal actions behind each step of the window
    ratio: Floats  # [B, n], target over behaviour probability of each step's action, as of when it was taken
    ratio_now: Floats  # [B], of the action taken last


def empty_window(num_envs: int, n: int) -> Window:
    """Return windows in which nothing waits."""
    shape = (num_envs, n)
    return Window(
        np.zeros(num_envs, np.int64),
        np.zeros(num_envs, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape),
        np.zeros(shape),
    )


@njit
def _remember(window: Window, row: int, outcome: Outcome) -> int:
    """Put a step behind the others and return where. `window` is modified in place; it must not be full."""
    i = (window.oldest[row] + window.length[row]) % window.state.shape[1]
    window.state[row, i], window.action[row, i] = outcome.s_tm1, outcome.a_tm1
    window.reward[row, i], window.discount[row, i] = outcome.r_t, outcome.discount_t
    window.length[row] += 1
    return int(i)


@njit
def _num_ready(window: Window, row: int, outcome: Outcome) -> int:
    """Return how many steps have their whole return now: all where the window is cut, the oldest where it is full."""
    if outcome.last or outcome.discount_t == 0.0:
        return int(window.length[row])
    return 1 if window.length[row] == window.state.shape[1] else 0


@njit
def _learn_oldest(q: Floats, size: StepSize, window: Window, row: int, target: float, clock: int) -> None:
    """Move the value of the oldest step towards its return, and drop the step. All but `target` modified in place."""
    i = window.oldest[row]
    s, a = window.state[row, i], window.action[row, i]
    q[s, a] += step_size(size, s, a, clock) * (target - q[s, a])
    window.oldest[row] = (i + 1) % window.state.shape[1]
    window.length[row] -= 1


act.register(NStepSarsa)(_act_as_decided)


@update.register(NStepSarsa)
@njit
def _update_n_step_sarsa(
    learner: NStepSarsa, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, window, n = learner.q, learner.window, learner.window.state.shape[1]
    next_action, target = -1, 0.0
    if learner.expected:
        if outcome.discount_t != 0.0:
            target = epsilon_greedy_value(q[outcome.s_t], legal_t, value_at(learner.epsilon, clock))
    elif not (outcome.last and outcome.discount_t == 0.0):  # a truncated episode is bootstrapped by an action, too
        next_action = epsilon_greedy(q[outcome.s_t], legal_t, value_at(learner.epsilon, clock), rng)
        target = q[outcome.s_t, next_action]
    learner.next_action[row] = -1 if outcome.last else next_action
    _remember(window, row, outcome)
    ready = _num_ready(window, row, outcome)
    if ready == 0:
        return
    for k in range(window.length[row] - 1, -1, -1):  # S&B eq. 7.4, from the end; returns take the rewards' place
        i = (window.oldest[row] + k) % n
        target = window.reward[row, i] + learner.gamma * window.discount[row, i] * target
        if k < ready:
            window.reward[row, i] = target
    for _ in range(ready):
        _learn_oldest(q, learner.step_size, window, row, window.reward[row, window.oldest[row]], clock)


@njit
def epsilon_greedy_probability(q: Floats, legal: Bools, epsilon: float, action: int) -> float:
    """Return the probability of a legal action under `epsilon_greedy`, which shares among the greedy ones.

    Args:
        q: Values of the actions [A].
        legal: [A]; or [0]: all are.
        epsilon: In [0, 1].
        action: A legal one.
    """
    count, ties, greedy = 0, 0, True
    for a in range(q.shape[0]):
        if legal.shape[0] == 0 or legal[a]:
            count += 1
            if q[a] > q[action]:
                greedy = False
            elif q[a] == q[action]:
                ties += 1
    return epsilon / count + ((1.0 - epsilon) / ties if greedy else 0.0)


@njit
def _target_epsilon(learner: QSigma, clock: int) -> float:
    return value_at(learner.epsilon, clock) if learner.target_epsilon < 0.0 else learner.target_epsilon


@act.register(QSigma)
@njit
def _act_and_weigh(learner: QSigma, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator) -> int:
    q, epsilon = learner.q[s_t], value_at(learner.epsilon, clock)
    action = epsilon_greedy(q, legal_t, epsilon, rng)
    if learner.sigma > 0.0:
        target = epsilon_greedy_probability(q, legal_t, _target_epsilon(learner, clock), action)
        learner.ratio_now[row] = target / epsilon_greedy_probability(q, legal_t, epsilon, action)
    return action


@update.register(QSigma)
@njit
def _update_q_sigma(
    learner: QSigma, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, window, n = learner.q, learner.window, learner.window.state.shape[1]
    epsilon = _target_epsilon(learner, clock)
    newest = _remember(window, row, outcome)
    learner.ratio[row, newest] = learner.ratio_now[row]
    for a in range(q.shape[1]):
        learner.next_legal[row, newest, a] = legal_t.shape[0] == 0 or legal_t[a]
    for _ in range(_num_ready(window, row, outcome)):
        v_t = 0.0
        if outcome.discount_t != 0.0:
            v_t = epsilon_greedy_value(q[outcome.s_t], legal_t, epsilon)
        target = outcome.r_t + learner.gamma * outcome.discount_t * v_t
        for k in range(window.length[row] - 2, -1, -1):  # S&B eq. 7.17, from the end
            i = (window.oldest[row] + k) % n
            after = (i + 1) % n
            s, a, legal = window.state[row, after], window.action[row, after], learner.next_legal[row, i]
            weight = (1.0 - learner.sigma) * epsilon_greedy_probability(q[s], legal, epsilon, a)
            weight += learner.sigma * learner.ratio[row, after]
            value = epsilon_greedy_value(q[s], legal, epsilon) + weight * (target - q[s, a])
            target = window.reward[row, i] + learner.gamma * window.discount[row, i] * value
        _learn_oldest(q, learner.step_size, window, row, target, clock)

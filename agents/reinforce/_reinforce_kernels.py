"""REINFORCE in tables: Monte Carlo policy gradient, with and without a baseline (S&B sections 13.3 and 13.4).

An episode ends here where it is over and where the discount is 0, since nothing that follows counts. Then the return of
each of its steps is g = r + gamma d g from the last to the first, where d is the TimeStep's discount and g begins with
0, or, where the episode was only cut off, with the baseline of its final observation (0 without a baseline).

S states, A actions, B environments side by side, T steps of an episode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.agents._learner_kernels import Linear, Outcome, Trajectory, act, update, value_at
from tengen.agents.tabular._monte_carlo_kernels import ends, remember
from tengen.types import Bools, Floats


class Reinforce(NamedTuple):
    """REINFORCE (Williams 1992; S&B page 328), or REINFORCE with baseline (S&B page 330)."""

    theta: Floats  # [S, A], preferences: the policy is their softmax over the legal actions
    baseline: Floats  # [S], values; or [0]: no baseline
    policy_step_size: Linear
    baseline_step_size: Linear
    gamma: float
    discounted: bool  # weigh the step at time t by gamma^t, as the gradient of the first state's value asks for
    legal: Bools  # [S, A], the legal actions of each state when it was last seen; or [0, A]: all are
    episode: Trajectory


@njit
def softmax(preferences: Floats, legal: Bools) -> Floats:
    """Return the probabilities of the actions [A]: 0 for those that aren't legal (S&B eq. 13.2).

    Args:
        preferences: [A].
        legal: [A]; or [0]: all are.
    """
    greatest = -np.inf
    for a in range(preferences.shape[0]):
        if (legal.shape[0] == 0 or legal[a]) and preferences[a] > greatest:
            greatest = preferences[a]
    probabilities, total = np.zeros(preferences.shape[0]), 0.0
    for a in range(preferences.shape[0]):
        if legal.shape[0] == 0 or legal[a]:
            probabilities[a] = np.exp(preferences[a] - greatest)
            total += probabilities[a]
    return probabilities / total


@njit
def draw(probabilities: Floats, u: float) -> int:
    """Return the first action at which the running sum of the probabilities [A] exceeds u in [0, 1)."""
    seen, last = 0.0, 0
    for a in range(probabilities.shape[0]):
        if probabilities[a] > 0.0:
            seen, last = seen + probabilities[a], a
            if seen > u:
                return a
    return last  # their sum was rounded to less than u


@njit
def _legal_of(learner: Reinforce, s: int) -> Bools:
    return learner.legal[s] if learner.legal.shape[0] > 0 else np.ones(0, np.bool_)


@act.register(Reinforce, makes_arrays=True)
@njit
def _act_by_softmax(
    learner: Reinforce, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator
) -> int:
    if learner.legal.shape[0] > 0:
        for a in range(learner.legal.shape[1]):
            learner.legal[s_t, a] = legal_t.shape[0] == 0 or legal_t[a]
    return int(draw(softmax(learner.theta[s_t], legal_t), rng.random()))


@njit
def returns_of(episode: Trajectory, row: int, gamma: float, v_t: float) -> Floats:
    """Return the return [T] of each step of an environment's episode.

    Args:
        episode: Its steps.
        row: Which of the B environments.
        gamma: Discount factor.
        v_t: The value of the final observation; of no account where the last discount is 0.
    """
    returns = np.empty(episode.length[row])
    g = v_t
    for t in range(returns.shape[0] - 1, -1, -1):
        g = episode.reward[row, t] + gamma * episode.discount[row, t] * g
        returns[t] = g
    return returns


@update.register(Reinforce, makes_arrays=True)
@njit
def _update_reinforce(
    learner: Reinforce, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    episode, theta, baseline = learner.episode, learner.theta, learner.baseline
    remember(episode, row, outcome)
    if not ends(outcome):
        return
    v_t = baseline[outcome.s_t] if baseline.shape[0] > 0 else 0.0
    returns = returns_of(episode, row, learner.gamma, v_t)
    alpha, alpha_w = value_at(learner.policy_step_size, clock), value_at(learner.baseline_step_size, clock)
    weight = 1.0  # gamma^t
    for t in range(returns.shape[0]):  # S&B page 330, in this order
        s, a, delta = episode.state[row, t], episode.action[row, t], returns[t]
        if baseline.shape[0] > 0:
            delta -= baseline[s]
            baseline[s] += alpha_w * delta
        probabilities = softmax(theta[s], _legal_of(learner, s))
        for b in range(theta.shape[1]):  # S&B eq. 13.9, the gradient of ln pi for preferences in a table
            theta[s, b] += alpha * weight * delta * ((1.0 if b == a else 0.0) - probabilities[b])
        if learner.discounted:
            weight *= learner.gamma * abs(episode.discount[row, t])  # whoever moves, it is so much later
    episode.length[row] = 0

"""Monte Carlo control, on and off the policy that is learnt: what whole episodes returned (S&B sections 5.3, 5.4, 5.7).

An episode ends for these learners where it is over and where the discount is 0, since nothing that follows counts. Then
the return of each of its steps is known, from the last to the first: g = r + gamma d g, where d is the TimeStep's
discount and g begins with 0, or, where the episode was only cut off, with the value of its final observation by the
policy that is learnt.

S states, A actions, B environments side by side, T steps of an episode.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import njit
from tengen.agents._learner_kernels import (
    Linear,
    Outcome,
    StepSize,
    Trajectory,
    act,
    epsilon_greedy,
    epsilon_greedy_value,
    greedy_action,
    growing,
    max_value,
    random_action,
    step_size,
    update,
    value_at,
)
from tengen.agents.tabular._n_step_kernels import epsilon_greedy_probability
from tengen.types import Bools, Floats, Ints


class MonteCarlo(NamedTuple):
    """On-policy control by an epsilon-greedy policy (S&B section 5.4)."""

    q: Floats  # [S, A]
    step_size: StepSize
    epsilon: Linear
    gamma: float
    first_visit: bool  # learn from the first visit to a state and action in an episode only
    episode: Trajectory


class ExploringStarts(NamedTuple):
    """Control by a greedy policy after a random first action (Monte Carlo ES, S&B section 5.3)."""

    q: Floats  # [S, A]
    step_size: StepSize
    gamma: float
    first_visit: bool
    episode: Trajectory


@growing
class WeightedTrajectory(NamedTuple):
    """The episode under way in each environment, and how probable each action was."""

    length: Ints  # [B], steps so far
    state: Ints  # [B, T]
    action: Ints  # [B, T]
    reward: Floats  # [B, T]
    discount: Floats  # [B, T]
    probability: Floats  # [B, T], of the action under the behaviour policy when it was taken


class OffPolicyMonteCarlo(NamedTuple):
    """Control by a greedy policy that an epsilon-greedy one shows episodes to (S&B section 5.7)."""

    q: Floats  # [S, A]
    weight: Floats  # [S, A], C: the sum of the importance-sampling ratios so far
    epsilon: Linear  # of the behaviour policy
    gamma: float
    legal: Bools  # [S, A], the legal actions of each state when it was last seen; or [0, A]: all are
    probability: Floats  # [B], of the action taken last
    episode: WeightedTrajectory


def no_episodes(num_envs: int) -> WeightedTrajectory:
    """Return trajectories of no steps yet."""
    numbers, reals = np.zeros((num_envs, 64), np.int64), np.zeros((num_envs, 64))
    return WeightedTrajectory(np.zeros(num_envs, np.int64), numbers, numbers.copy(), reals, reals.copy(), reals.copy())


@njit
def ends(outcome: Outcome) -> bool:
    """Return whether nothing that follows a step counts for what came before."""
    return outcome.last or outcome.discount_t == 0.0


@njit
def remember(episode: Any, row: int, outcome: Outcome) -> None:
    """Put a step behind those of an environment's `Trajectory`, or a like memory, which is modified in place."""
    t = episode.length[row]
    episode.state[row, t], episode.action[row, t] = outcome.s_tm1, outcome.a_tm1
    episode.reward[row, t], episode.discount[row, t] = outcome.r_t, outcome.discount_t
    episode.length[row] = t + 1


@njit
def counted_visits(visited: Ints, first_visit: bool) -> Bools:
    """Return which steps of an episode count.

    Args:
        visited: What each step visits, by its number [T].
        first_visit: Only the first visit to each counts; else all do.
    """
    counted = np.ones(visited.shape[0], np.bool_)
    if first_visit:
        order = np.argsort(visited, kind="mergesort")  # stable: visits to the same lie side by side, the first in front
        for i in range(1, visited.shape[0]):
            counted[order[i]] = visited[order[i]] != visited[order[i - 1]]
    return counted


@njit
def _learn(
    q: Floats, size: StepSize, gamma: float, episode: Trajectory, row: int, first_visit: bool, v_t: float, clock: int
) -> None:
    """Learn from an episode, from its last step to its first. `q`, `size.visits` and `episode` are modified in place.

    Args:
        q: [S, A].
        size: The step size.
        gamma: Discount factor.
        episode: Its steps; forgotten.
        row: Which of the B environments.
        first_visit: Only the first visit to a state and action counts.
        v_t: The value of the final observation; of no account where the last discount is 0.
        clock: Environment steps done before the last one.
    """
    length = episode.length[row]
    states, actions = episode.state[row, :length], episode.action[row, :length]
    counted = counted_visits(states * q.shape[1] + actions, first_visit)
    g = v_t
    for t in range(length - 1, -1, -1):
        g = episode.reward[row, t] + gamma * episode.discount[row, t] * g
        if counted[t]:
            s, a = states[t], actions[t]
            q[s, a] += step_size(size, s, a, clock) * (g - q[s, a])
    episode.length[row] = 0


@act.register(MonteCarlo)
@njit
def _act_epsilon_greedily(
    learner: MonteCarlo, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator
) -> int:
    return epsilon_greedy(learner.q[s_t], legal_t, value_at(learner.epsilon, clock), rng)


@update.register(MonteCarlo, makes_arrays=True)
@njit
def _update_monte_carlo(
    learner: MonteCarlo, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    remember(learner.episode, row, outcome)
    if ends(outcome):
        v_t = 0.0
        if outcome.discount_t != 0.0:
            v_t = epsilon_greedy_value(learner.q[outcome.s_t], legal_t, value_at(learner.epsilon, clock))
        _learn(learner.q, learner.step_size, learner.gamma, learner.episode, row, learner.first_visit, v_t, clock)


@act.register(ExploringStarts)
@njit
def _act_greedily_after_the_start(
    learner: ExploringStarts, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator
) -> int:
    if learner.episode.length[row] == 0:
        return random_action(learner.q.shape[1], legal_t, rng)
    return greedy_action(learner.q[s_t], legal_t, rng)


@update.register(ExploringStarts, makes_arrays=True)
@njit
def _update_exploring_starts(
    learner: ExploringStarts, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    remember(learner.episode, row, outcome)
    if ends(outcome):
        v_t = 0.0 if outcome.discount_t == 0.0 else max_value(learner.q[outcome.s_t], legal_t)
        _learn(learner.q, learner.step_size, learner.gamma, learner.episode, row, learner.first_visit, v_t, clock)


@act.register(OffPolicyMonteCarlo, makes_arrays=True)
@njit
def _act_and_weigh(
    learner: OffPolicyMonteCarlo, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator
) -> int:
    q, epsilon = learner.q[s_t], value_at(learner.epsilon, clock)
    action = epsilon_greedy(q, legal_t, epsilon, rng)
    learner.probability[row] = epsilon_greedy_probability(q, legal_t, epsilon, action)
    if learner.legal.shape[0] > 0 and legal_t.shape[0] > 0:
        learner.legal[s_t] = legal_t
    return action


@njit
def _first_greedy_action(q: Floats, legal: Bools) -> int:
    """Return the legal action [A] of the greatest value, of several the first, as the policy has it that is learnt."""
    best = -1
    for a in range(q.shape[0]):
        if (legal.shape[0] == 0 or legal[a]) and (best < 0 or q[a] > q[best]):
            best = a
    return best


@update.register(OffPolicyMonteCarlo, makes_arrays=True)
@njit
def _update_off_policy(
    learner: OffPolicyMonteCarlo, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    q, weight, episode = learner.q, learner.weight, learner.episode
    remember(episode, row, outcome)
    episode.probability[row, episode.length[row] - 1] = learner.probability[row]
    if not ends(outcome):
        return
    legal = legal_t[:0]  # all are
    g = 0.0 if outcome.discount_t == 0.0 else max_value(q[outcome.s_t], legal_t)
    ratio = 1.0  # W, of the target's probability of all actions that follow to the behaviour's
    for t in range(episode.length[row] - 1, -1, -1):
        s, a = episode.state[row, t], episode.action[row, t]
        g = episode.reward[row, t] + learner.gamma * episode.discount[row, t] * g
        weight[s, a] += ratio
        q[s, a] += ratio / weight[s, a] * (g - q[s, a])  # S&B eq. 5.8
        if learner.legal.shape[0] > 0:
            legal = learner.legal[s]
        if a != _first_greedy_action(q[s], legal):
            break
        ratio /= episode.probability[row, t]
    episode.length[row] = 0

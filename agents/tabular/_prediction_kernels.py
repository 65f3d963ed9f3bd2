"""Prediction of the state values of a given policy: temporal differences and Monte Carlo (S&B chapters 5, 6, 7, 12).

Discounts are the TimeSteps': where one is -1, the other side is to move and the value of what follows counts with its
sign turned; where one is 0, nothing that follows counts, so that windows and episodes end there as they do where the
environment's end. What is only cut off bootstraps from its final observation.

S states, A actions, B environments side by side, T steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import generic, njit
from tengen.agents._learner_kernels import (
    Linear,
    Outcome,
    StepSize,
    Trajectory,
    act,
    growing,
    random_action,
    step_size,
    update,
    value_at,
)
from tengen.agents.tabular._monte_carlo_kernels import counted_visits, ends, remember
from tengen.agents.tabular._n_step_kernels import Window, _learn_oldest, _num_ready, _remember
from tengen.agents.tabular._trace_kernels import DUTCH, Traces, _decay, _learn
from tengen.types import Bools, Floats, Ints


class Stochastic(NamedTuple):
    """A policy that draws actions."""

    probability: Floats  # [S, A]


class Greedy(NamedTuple):
    """A policy that takes the action of the greatest value, of several the first."""

    q: Floats  # [S, A]


@generic
def choose(policy: Any, s_t: int, legal_t: Bools, rng: np.random.Generator) -> int:
    """Return the action that a policy takes.

    Args:
        policy: Its NamedTuple.
        s_t: The state.
        legal_t: Its legal actions [A]; or [0]: all are.
        rng: Draws the action.
    """
    raise NotImplementedError


@choose.register(Stochastic)
@njit
def _draw(policy: Stochastic, s_t: int, legal_t: Bools, rng: np.random.Generator) -> int:
    """Draw a legal action by the policy's odds among those; uniformly where it takes none of them."""
    probability, total, last = policy.probability[s_t], 0.0, -1
    for a in range(probability.shape[0]):
        if (legal_t.shape[0] == 0 or legal_t[a]) and probability[a] > 0.0:
            total, last = total + probability[a], a
    if last < 0:
        return random_action(probability.shape[0], legal_t, rng)
    u, seen = rng.random() * total, 0.0
    for a in range(last):
        if legal_t.shape[0] == 0 or legal_t[a]:
            seen += probability[a]
            if seen > u:
                return a
    return last


@choose.register(Greedy)
@njit
def _take_best(policy: Greedy, s_t: int, legal_t: Bools, rng: np.random.Generator) -> int:
    q, best = policy.q[s_t], -1
    for a in range(q.shape[0]):
        if (legal_t.shape[0] == 0 or legal_t[a]) and (best < 0 or q[a] > q[best]):
            best = a
    return best


class TD(NamedTuple):
    """TD(0) (Sutton 1988; S&B eq. 6.2)."""

    v: Floats  # [S]
    policy: Any  # Stochastic or Greedy
    step_size: StepSize
    gamma: float


class NStepTD(NamedTuple):
    """n-step TD (S&B eq. 7.2)."""

    v: Floats  # [S]
    policy: Any
    step_size: StepSize
    gamma: float
    window: Window


class TDLambda(NamedTuple):
    """TD(lambda) (Sutton 1988; S&B section 12.2), or true online TD(lambda) with dutch traces (S&B section 12.5)."""

    v: Floats  # [S]
    policy: Any
    step_size: StepSize
    gamma: float
    trace_decay: float  # lambda
    traces: Traces  # of states
    next_value: Floats  # [B], the value of the last observation before it was learnt from


class MonteCarloPrediction(NamedTuple):
    """Monte Carlo prediction (S&B section 5.1; with a constant step size eq. 6.1)."""

    v: Floats  # [S]
    policy: Any
    step_size: StepSize
    gamma: float
    first_visit: bool  # learn from the first visit to a state in an episode only
    episode: Trajectory


@growing
class Experience(NamedTuple):
    """All steps that each environment has made."""

    length: Ints  # [B], how many
    state: Ints  # [B, T]
    reward: Floats  # [B, T]
    discount: Floats  # [B, T]
    next_state: Ints  # [B, T]
    ended: Bools  # [B, T], the episode ended here, or nothing that follows counts
    counted: Bools  # [B, T], the visit counts, by the first in an episode or every one; known when the episode ends


class Batch(NamedTuple):
    """What batch updating needs besides values (S&B section 6.3)."""

    step_size: Linear
    gamma: float
    tolerance: float  # sweep until no value changes by more
    max_sweeps: int  # after an episode
    first_visit: bool
    experience: Experience
    finished: Ints  # [B], the steps of episodes that have ended, which are those that are swept


class BatchTD(NamedTuple):
    """Batch TD(0) (S&B section 6.3)."""

    v: Floats  # [S]
    policy: Any
    batch: Batch


class BatchMonteCarlo(NamedTuple):
    """Batch Monte Carlo (S&B section 6.3)."""

    v: Floats  # [S]
    policy: Any
    batch: Batch


def no_experience(num_envs: int) -> Experience:
    """Return experience of no steps yet."""
    shape = (num_envs, 64)
    return Experience(
        np.zeros(num_envs, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.bool_),
        np.zeros(shape, np.bool_),
    )


@act.register(BatchMonteCarlo)
@act.register(BatchTD)
@act.register(MonteCarloPrediction)
@act.register(NStepTD)
@act.register(TD)
@act.register(TDLambda)
@njit
def _act_by_policy(learner: Any, row: int, s_t: int, legal_t: Bools, clock: int, rng: np.random.Generator) -> int:
    return int(choose(learner.policy, s_t, legal_t, rng))


@update.register(TD)
@njit
def _update_td(learner: TD, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator) -> None:
    v, s = learner.v, outcome.s_tm1
    target = outcome.r_t + learner.gamma * outcome.discount_t * v[outcome.s_t]
    v[s] += step_size(learner.step_size, s, 0, clock) * (target - v[s])


@update.register(NStepTD)
@njit
def _update_n_step_td(
    learner: NStepTD, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    v, window, n = learner.v, learner.window, learner.window.state.shape[1]
    _remember(window, row, Outcome(outcome.s_tm1, 0, outcome.r_t, outcome.discount_t, outcome.s_t, outcome.last))
    ready = _num_ready(window, row, outcome)
    if ready == 0:
        return
    target = v[outcome.s_t]
    for k in range(window.length[row] - 1, -1, -1):  # S&B eq. 7.1, from the end; returns take the rewards' place
        i = (window.oldest[row] + k) % n
        target = window.reward[row, i] + learner.gamma * window.discount[row, i] * target
        if k < ready:
            window.reward[row, i] = target
    values = v.reshape(v.size, 1)  # as of the only action, 0
    for _ in range(ready):
        _learn_oldest(values, learner.step_size, window, row, window.reward[row, window.oldest[row]], clock)


@update.register(TDLambda)
@njit
def _update_td_lambda(
    learner: TDLambda, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    v, s = learner.v, outcome.s_tm1
    next_value = v[outcome.s_t]
    target = outcome.r_t + learner.gamma * outcome.discount_t * next_value
    drift = v[s] - learner.next_value[row] if learner.traces.kind == DUTCH else 0.0
    learner.next_value[row] = next_value
    alpha = step_size(learner.step_size, s, 0, clock)
    _learn(v, learner.traces, row, s, alpha, target - v[s], drift)
    _decay(learner.traces, row, 0.0 if outcome.last else learner.gamma * learner.trace_decay * outcome.discount_t)


@update.register(MonteCarloPrediction, makes_arrays=True)
@njit
def _update_monte_carlo(
    learner: MonteCarloPrediction, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    v, episode = learner.v, learner.episode
    remember(episode, row, outcome)
    if not ends(outcome):
        return
    states = episode.state[row, : episode.length[row]]
    counted = counted_visits(states, learner.first_visit)
    g = v[outcome.s_t]  # of no account where the discount is 0
    for t in range(states.shape[0] - 1, -1, -1):
        g = episode.reward[row, t] + learner.gamma * episode.discount[row, t] * g
        if counted[t]:
            s = states[t]
            v[s] += step_size(learner.step_size, s, 0, clock) * (g - v[s])
    episode.length[row] = 0


@njit
def _collect(batch: Batch, row: int, outcome: Outcome) -> bool:
    """Put a step into the experience; return whether it ended an episode. `batch` is modified in place."""
    experience = batch.experience
    t, over = experience.length[row], ends(outcome)
    experience.state[row, t], experience.next_state[row, t] = outcome.s_tm1, outcome.s_t
    experience.reward[row, t], experience.discount[row, t] = outcome.r_t, outcome.discount_t
    experience.ended[row, t] = over
    experience.length[row] = t + 1
    if over:
        first = batch.finished[row]
        experience.counted[row, first : t + 1] = counted_visits(experience.state[row, first : t + 1], batch.first_visit)
        batch.finished[row] = t + 1
    return over


@njit
def _apply(v: Floats, alpha: float, increments: Floats, visits: Ints) -> float:
    """Move values by their mean increments; return the greatest change. `v` is modified in place.

    The book moves a value by the sum of its increments, with a step size so small that this converges whatever the
    number of visits. The mean leads to the same values, and converges with any step size up to 1.
    """
    greatest = 0.0
    for s in range(v.shape[0]):
        if visits[s] > 0:
            change = alpha * increments[s] / visits[s]
            v[s] += change
            greatest = max(greatest, abs(change))
    return greatest


@update.register(BatchTD, makes_arrays=True)
@njit
def _update_batch_td(
    learner: BatchTD, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    v, batch = learner.v, learner.batch
    if not _collect(batch, row, outcome):
        return
    experience, alpha = batch.experience, value_at(batch.step_size, clock)
    increments, visits = np.zeros(v.shape[0]), np.zeros(v.shape[0], np.int64)
    for _ in range(batch.max_sweeps):
        increments[:], visits[:] = 0.0, 0
        for b in range(batch.finished.shape[0]):
            for t in range(batch.finished[b]):
                s, next_state = experience.state[b, t], experience.next_state[b, t]
                target = experience.reward[b, t] + batch.gamma * experience.discount[b, t] * v[next_state]
                increments[s] += target - v[s]
                visits[s] += 1
        if _apply(v, alpha, increments, visits) <= batch.tolerance:
            break


@update.register(BatchMonteCarlo, makes_arrays=True)
@njit
def _update_batch_monte_carlo(
    learner: BatchMonteCarlo, row: int, outcome: Outcome, legal_t: Bools, clock: int, rng: np.random.Generator
) -> None:
    v, batch = learner.v, learner.batch
    if not _collect(batch, row, outcome):
        return
    experience, alpha = batch.experience, value_at(batch.step_size, clock)
    increments, visits = np.zeros(v.shape[0]), np.zeros(v.shape[0], np.int64)
    for _ in range(batch.max_sweeps):
        increments[:], visits[:] = 0.0, 0
        for b in range(batch.finished.shape[0]):
            g = 0.0
            for t in range(batch.finished[b] - 1, -1, -1):
                if experience.ended[b, t]:
                    g = v[experience.next_state[b, t]]
                g = experience.reward[b, t] + batch.gamma * experience.discount[b, t] * g
                if experience.counted[b, t]:
                    s = experience.state[b, t]
                    increments[s] += g - v[s]
                    visits[s] += 1
        if _apply(v, alpha, increments, visits) <= batch.tolerance:
            break

"""Semi-gradient Sarsa on binary features: n-step and with eligibility traces (S&B sections 10.1, 10.2 and 12.7).

The discounts are the TimeSteps'. Where one is -1, the other side is to move: what it gains counts with its sign turned.
Where one is 0, nothing that follows counts. What is only cut off bootstraps from its final observation, as the policy
would have gone on.

Random numbers are drawn outside, since to hand a generator to compiled code takes longer than all that is done here.

B environments side by side, D parts of an observation, K tilings, F features, A actions, n steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import generic, njit
from tengen.agents._learner_kernels import Linear, value_at
from tengen.agents.linear._tile_kernels import TileCoding, action_values, active_tiles
from tengen.types import Bools, Floats, Ints

_NEGLIGIBLE = 1e-16  # a trace whose part in an error is lost in the rounding of values of the error's size


class Window(NamedTuple):
    """The steps of each environment that wait for their returns, at most n, as rings."""

    length: Ints  # [B], how many wait
    oldest: Ints  # [B], where in the ring the first of them is
    active: Ints  # [B, n, K]
    action: Ints  # [B, n]
    reward: Floats  # [B, n]
    discount: Floats  # [B, n], of the TimeStep: before gamma


class Traces(NamedTuple):
    """The weights of each environment that are still to learn from what follows; P of them at most."""

    replacing: bool  # a visit sets a trace to 1, else adds 1
    length: Ints  # [B], how many
    weight: Ints  # [B, P], feature * A + action
    trace: Floats  # [B, P]
    place: Ints  # [B, F * A], where in the list a weight is; -1: nowhere


class SemiGradientSarsa(NamedTuple):
    """Episodic semi-gradient n-step Sarsa (S&B page 247); with n = 1 that of S&B page 244."""

    weights: Floats  # [F, A]
    step_size: Linear  # of each active feature
    epsilon: Linear
    gamma: float
    next_action: Ints  # [B], the action chosen already while learning from the step before; -1: none
    window: Window


class SemiGradientSarsaLambda(NamedTuple):
    """Sarsa(lambda) with binary features (S&B page 305)."""

    weights: Floats  # [F, A]
    step_size: Linear  # of each active feature
    epsilon: Linear
    gamma: float
    next_action: Ints  # [B], the action chosen already while learning from the step before; -1: none
    trace_decay: float  # lambda
    traces: Traces


class Step(NamedTuple):
    """One step of one environment."""

    active_tm1: Ints  # [K]
    a_tm1: int
    r_t: float
    discount_t: float  # of the TimeStep: 0 terminated, -1 the other side moves; before gamma
    last: bool  # the episode is over: terminated where discount_t is 0, else truncated


def empty_window(num_envs: int, n: int, num_tilings: int) -> Window:
    """Return windows in which nothing waits."""
    none, shape = np.zeros(num_envs, np.int64), (num_envs, n)
    active = np.zeros((num_envs, n, num_tilings), np.int64)
    return Window(none, none.copy(), active, np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape))


def no_traces(replacing: bool, num_envs: int, num_weights: int, most: int) -> Traces:
    """Return lists with nothing in them and room for `most` weights."""
    shape = (num_envs, most)
    place = np.full((num_envs, num_weights), -1, np.int64)
    return Traces(replacing, np.zeros(num_envs, np.int64), np.zeros(shape, np.int64), np.zeros(shape), place)


@njit
def choose(q: Floats, legal: Bools, epsilon: float, u: Floats) -> int:
    """Return a random legal action with probability epsilon, else a greedy one, ties broken at random.

    Args:
        q: Values of the actions [A].
        legal: [A]; or [0]: all are.
        epsilon: In [0, 1].
        u: [2], uniform in [0, 1): the first decides whether to explore, the second which action it is.
    """
    explore, count, best = u[0] < epsilon, 0, -np.inf
    for a in range(q.shape[0]):
        if legal.shape[0] == 0 or legal[a]:
            if count == 0 or (not explore and q[a] > best):
                count, best = 1, q[a]
            elif explore or q[a] == best:
                count += 1
    k = int(u[1] * count)
    for a in range(q.shape[0]):
        if (legal.shape[0] == 0 or legal[a]) and (explore or q[a] == best):
            if k == 0:
                return a
            k -= 1
    return 0  # not reached, unless values are not numbers


@njit
def act(learner: Any, coding: TileCoding, observation: Floats, legal: Bools, clock: int, uniform: Floats) -> Ints:
    """Return the actions [B] that a learner takes, exploring as it does.

    Args:
        learner: Its NamedTuple.
        coding: Of observations.
        observation: [B, D].
        legal: [B, A]; or [0, A]: all are.
        clock: Environment steps done so far, for schedules.
        uniform: [B, 2], drawn from [0, 1).
    """
    actions: Ints = learner.next_action.copy()
    epsilon = value_at(learner.epsilon, clock)
    every = np.ones(0, np.bool_)
    for row in range(actions.shape[0]):
        if actions[row] < 0:
            q = action_values(learner.weights, active_tiles(coding, observation[row]))
            actions[row] = choose(q, legal[row] if legal.shape[0] > 0 else every, epsilon, uniform[row])
    return actions


@njit
def learn(
    learner: Any,
    coding: TileCoding,
    observation: Floats,
    actions: Ints,
    reward: Floats,
    discount: Floats,
    last: Bools,
    next_observation: Floats,
    next_legal: Bools,
    clock: int,
    uniform: Floats,
) -> None:
    """Learn from one step of every environment.

    Args:
        learner: Its NamedTuple. Modified in place.
        coding: Of observations.
        observation: [B, D], before the step.
        actions: [B].
        reward: [B].
        discount: [B], of the TimeStep.
        last: [B], the episode is over.
        next_observation: [B, D], behind the step.
        next_legal: [B, A] behind the step; or [0, A]: all actions are.
        clock: Environment steps done before.
        uniform: [B, 2], drawn from [0, 1), for the next actions.
    """
    epsilon, every = value_at(learner.epsilon, clock), np.ones(0, np.bool_)
    alpha = value_at(learner.step_size, clock)
    for row in range(actions.shape[0]):
        step = Step(active_tiles(coding, observation[row]), actions[row], reward[row], discount[row], last[row])
        next_action, v_t = -1, 0.0
        if not (step.last and step.discount_t == 0.0):  # a truncated episode is bootstrapped by an action, too
            q = action_values(learner.weights, active_tiles(coding, next_observation[row]))
            legal_t = next_legal[row] if next_legal.shape[0] > 0 else every
            next_action = choose(q, legal_t, epsilon, uniform[row])
            v_t = q[next_action]
        learner.next_action[row] = -1 if step.last else next_action
        learn_from(learner, row, step, v_t, alpha)


@generic
def learn_from(learner: Any, row: int, step: Step, v_t: float, alpha: float) -> None:
    """Learn from one step of one environment.

    Args:
        learner: Its NamedTuple. Modified in place.
        row: Which of the B environments.
        step: The step.
        v_t: The value of the next observation and action; of no account where the discount is 0.
        alpha: Step size of each active feature.
    """


@njit
def _move(weights: Floats, active: Ints, action: int, target: float, alpha: float) -> None:
    """Move an action's value towards a target. `weights` is modified in place."""
    value = 0.0
    for feature in active:
        value += weights[feature, action]
    for feature in active:
        weights[feature, action] += alpha * (target - value)


@learn_from.register(SemiGradientSarsa, makes_arrays=True)
@njit
def _learn_from_n_steps(learner: SemiGradientSarsa, row: int, step: Step, v_t: float, alpha: float) -> None:
    window, n = learner.window, learner.window.action.shape[1]
    newest = (window.oldest[row] + window.length[row]) % n
    window.active[row, newest], window.action[row, newest] = step.active_tm1, step.a_tm1
    window.reward[row, newest], window.discount[row, newest] = step.r_t, step.discount_t
    window.length[row] += 1
    ready = window.length[row] // n  # 1 where the window is full
    if step.last or step.discount_t == 0.0:
        ready = window.length[row]
    if ready == 0:
        return
    target = v_t
    for k in range(window.length[row] - 1, -1, -1):  # S&B eq. 10.4, from the end; returns take the rewards' place
        i = (window.oldest[row] + k) % n
        target = window.reward[row, i] + learner.gamma * window.discount[row, i] * target
        if k < ready:
            window.reward[row, i] = target
    for _ in range(ready):
        i = window.oldest[row]
        _move(learner.weights, window.active[row, i], window.action[row, i], window.reward[row, i], alpha)
        window.oldest[row] = (i + 1) % n
        window.length[row] -= 1


@learn_from.register(SemiGradientSarsaLambda, makes_arrays=True)
@njit
def _learn_from_traces(learner: SemiGradientSarsaLambda, row: int, step: Step, v_t: float, alpha: float) -> None:
    traces, num_actions = learner.traces, learner.weights.shape[1]
    weights = learner.weights.reshape(learner.weights.size)
    error = step.r_t + learner.gamma * step.discount_t * v_t
    for feature in step.active_tm1:
        w = feature * num_actions + step.a_tm1
        error -= weights[w]
        i = traces.place[row, w]
        if i < 0:
            i = traces.length[row]
            assert i < traces.weight.shape[1], "more traces than there can be"
            traces.weight[row, i], traces.trace[row, i], traces.place[row, w] = w, 0.0, i
            traces.length[row] = i + 1
        traces.trace[row, i] = 1.0 if traces.replacing else traces.trace[row, i] + 1.0
    for i in range(traces.length[row]):
        weights[traces.weight[row, i]] += alpha * error * traces.trace[row, i]
    _decay(traces, row, 0.0 if step.last else learner.gamma * learner.trace_decay * step.discount_t)


@njit
def _decay(traces: Traces, row: int, factor: float) -> None:
    """Multiply the traces, and drop those that become negligible. `traces` is modified in place."""
    kept = 0
    for i in range(traces.length[row]):
        w, trace = traces.weight[row, i], factor * traces.trace[row, i]
        if abs(trace) >= _NEGLIGIBLE:
            traces.weight[row, kept], traces.trace[row, kept], traces.place[row, w] = w, trace, kept
            kept += 1
        else:
            traces.place[row, w] = -1
    traces.length[row] = kept

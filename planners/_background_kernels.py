"""Background planning: between two real steps, update values from steps that a model imagines.

Sutton & Barto (2018), sections 8.1 to 8.4. Four parts meet here, each a NamedTuple of its own: a planner says how much
is done, its search control where, a model what follows, and a learner what that is worth. The learner's side is
`target`, `estimate` and `revise`, which the agent that owns it registers.

What calls a generic of another package's parts is registered as a plain function: compiled with its caller, it is kept
with the caller's machine code, whose digest covers those parts.

S states, A actions; a pair is s * A + a.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import generic, njit
from tengen.planners._dp_queue_kernels import Queue, put
from tengen.planners._model_kernels import (
    LastOutcomes,
    OutcomeCounts,
    first_before,
    imagine,
    next_before,
    pair_before,
)
from tengen.types import Bools, Ints


@generic
def target(learner: Any, r: float, discount: float, s_t: int, legal_t: Bools) -> float:
    """Return what a learner thinks that an outcome is worth: the reward, and the value of what follows.

    Args:
        learner: Its NamedTuple.
        r: The reward. The result is linear in it.
        discount: 0 ends the episode, -1 passes the move to the other side; before gamma.
        s_t: The next state.
        legal_t: Its legal actions [A]; or [0]: all are.
    """
    raise NotImplementedError


@generic
def estimate(learner: Any, s: int, a: int) -> float:
    """Return what a learner thinks that a state and an action are worth."""
    raise NotImplementedError


@generic
def revise(learner: Any, s: int, a: int, worth: float, clock: int) -> None:
    """Move a learner's estimate towards a target by its step size after `clock` steps. Modified in place."""


@generic
def look_ahead(model: Any, learner: Any, s: int, a: int) -> float:
    """Return the mean target over all that a model says may follow a pair."""
    raise NotImplementedError


@look_ahead.register(LastOutcomes)
def _look_at_last(model: LastOutcomes, learner: Any, s: int, a: int) -> float:
    pair = s * model.num_actions + a
    s_t = model.next_state[pair]
    legal_t = model.known.legal[s_t * model.num_actions : (s_t + 1) * model.num_actions]
    return float(target(learner, model.reward[pair], model.discount[pair], s_t, legal_t))


@look_ahead.register(OutcomeCounts)
def _look_at_counts(model: OutcomeCounts, learner: Any, s: int, a: int) -> float:
    pair, seen = s * model.num_actions + a, model.outcomes
    n = model.first[pair]
    if n < 0:
        return float(
            target(learner, 0.0, 1.0, s, model.known.legal[s * model.num_actions : (s + 1) * model.num_actions])
        )
    total = 0.0
    while n >= 0:
        s_t = seen.next_state[0, n]
        legal_t = model.known.legal[s_t * model.num_actions : (s_t + 1) * model.num_actions]
        total += seen.times[0, n] * target(learner, seen.reward[0, n], seen.discount[0, n], s_t, legal_t)
        n = seen.following[0, n]
    return float(total / model.visits[pair])


@generic
def attend(control: Any, model: Any, learner: Any, s: int, a: int) -> None:
    """Let a search control see a real step, which the model has remembered. The control is modified in place."""


@generic
def choose(control: Any, model: Any, rng: np.random.Generator) -> int:
    """Return the pair to update next, or -1: there is none. The control is modified in place."""
    raise NotImplementedError


@generic
def spread(control: Any, model: Any, learner: Any, s: int) -> None:
    """Let a search control see that a value of state s was updated. The control is modified in place."""


class RandomPairs(NamedTuple):
    """Search control: any pair that was tried, with equal chance."""


class RandomStates(NamedTuple):
    """Search control: any state that was acted in, with equal chance, and one of its actions."""

    untried: bool  # any legal action, rather than any that was tried there


class Prioritized(NamedTuple):
    """Search control: the pair whose value would change most (Moore & Atkeson 1993; S&B section 8.4)."""

    theta: float  # changes up to this one don't wait
    queue: Queue  # of pairs, by the change that was expected


@choose.register(RandomPairs)
@njit
def _choose_pair(control: RandomPairs, model: Any, rng: np.random.Generator) -> int:
    known = model.known
    if known.size[1] == 0:
        return -1
    return int(known.pairs[int(rng.random() * known.size[1])])


@choose.register(RandomStates)
@njit
def _choose_state(control: RandomStates, model: Any, rng: np.random.Generator) -> int:
    known, num_actions = model.known, model.num_actions
    if known.size[0] == 0:
        return -1
    first = known.states[int(rng.random() * known.size[0])] * num_actions
    count = 0
    for pair in range(first, first + num_actions):
        count += _is_candidate(control, known.legal, known.last_try, pair)
    k = int(rng.random() * count)
    for pair in range(first, first + num_actions):
        if _is_candidate(control, known.legal, known.last_try, pair):
            if k == 0:
                return int(pair)
            k -= 1
    return -1  # not reached: some action was tried


@njit(forceinline=True)
def _is_candidate(control: RandomStates, legal: Bools, last_try: Ints, pair: int) -> bool:
    if last_try[pair] >= 0:
        return True
    return control.untried and (legal.shape[0] == 0 or bool(legal[pair]))


@choose.register(Prioritized)
@njit
def _choose_greatest(control: Prioritized, model: Any, rng: np.random.Generator) -> int:
    queue = control.queue
    if queue.size[0] == 0:
        return -1
    pair = queue.heap[0]
    put(queue, pair, 0.0, control.theta)
    return int(pair)


@attend.register(RandomPairs)
@attend.register(RandomStates)
@njit
def _attend_to_nothing(control: Any, model: Any, learner: Any, s: int, a: int) -> None:
    return


@spread.register(RandomPairs)
@spread.register(RandomStates)
@njit
def _spread_to_nothing(control: Any, model: Any, learner: Any, s: int) -> None:
    return


@attend.register(Prioritized)
def _attend_to_change(control: Prioritized, model: Any, learner: Any, s: int, a: int) -> None:
    change = abs(look_ahead(model, learner, s, a) - estimate(learner, s, a))
    wait(control, s * model.num_actions + a, change)


@spread.register(Prioritized)
def _spread_to_predecessors(control: Prioritized, model: Any, learner: Any, s: int) -> None:
    outcome = first_before(model, s)
    while outcome >= 0:
        pair = pair_before(model, outcome)
        before, action = pair // model.num_actions, pair % model.num_actions
        wait(control, pair, abs(look_ahead(model, learner, before, action) - estimate(learner, before, action)))
        outcome = next_before(model, outcome)


@njit
def wait(control: Prioritized, pair: int, change: float) -> None:
    """Queue a pair; if it waits already, the greater change counts. The control is modified in place."""
    if control.queue.place[pair] < 0 or change > control.queue.error[pair]:
        put(control.queue, pair, change, control.theta)


@generic
def aim(updates: Any, model: Any, learner: Any, s: int, a: int, rng: np.random.Generator) -> float:
    """Return the target of an update of a pair, as the kind of updates has it (S&B section 8.5)."""
    raise NotImplementedError


class SampleUpdates(NamedTuple):
    """An update takes one draw of what the model says may follow."""


class ExpectedUpdates(NamedTuple):
    """An update takes the mean over all that the model says may follow."""


@aim.register(SampleUpdates)
def _aim_at_sample(updates: SampleUpdates, model: Any, learner: Any, s: int, a: int, rng: np.random.Generator) -> float:
    seen = imagine(model, s, a, rng)
    legal_t = model.known.legal[seen.s_t * model.num_actions : (seen.s_t + 1) * model.num_actions]
    return float(target(learner, seen.r_t, seen.discount_t, seen.s_t, legal_t))


@aim.register(ExpectedUpdates)
def _aim_at_mean(updates: ExpectedUpdates, model: Any, learner: Any, s: int, a: int, rng: np.random.Generator) -> float:
    return float(look_ahead(model, learner, s, a))


@generic
def improve(planner: Any, learner: Any, model: Any, control: Any, clock: int, rng: np.random.Generator) -> None:
    """Improve a learner's values by planning. Planner, learner and control are modified in place.

    Args:
        planner: Says how much.
        learner: Whose values.
        model: Says what follows.
        control: Says where.
        clock: Environment steps done before the latest.
        rng: Draws what planner, model and control draw.
    """


class OneStepPlanner(NamedTuple):
    """Updates one pair after another by what the model says follows it (S&B section 8.1)."""

    num_updates: int  # after each real step; fewer where the search control has no more
    updates: Any  # SampleUpdates or ExpectedUpdates
    kappa: float  # of the bonus on the reward, kappa * sqrt(steps since the pair was tried) (S&B section 8.3)
    done: Ints  # [1], updates so far


@improve.register(OneStepPlanner)
def _improve_by_one_steps(
    planner: OneStepPlanner, learner: Any, model: Any, control: Any, clock: int, rng: np.random.Generator
) -> None:
    num_actions = model.num_actions
    for _ in range(planner.num_updates):
        pair = choose(control, model, rng)
        if pair < 0:
            break
        s = pair // num_actions
        a = pair - s * num_actions
        since = clock - model.known.last_try[pair]  # for one that was never tried: since the first step
        bonus = planner.kappa * np.sqrt(since)
        revise(learner, s, a, aim(planner.updates, model, learner, s, a, rng) + bonus, clock)
        planner.done[0] += 1
        spread(control, model, learner, s)

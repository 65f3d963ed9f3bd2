"""Models learned from experience: for each state and action the last outcome only, or counts of all that were seen.

Sutton & Barto (2018), section 8.1. A model is a NamedTuple of arrays whose kernels are registered here by its class,
and which has the fields `num_actions` and `known`. A state and an action that were never tried lead back to the state
itself, without reward (section 8.3).

S states, A actions; a pair is s * A + a. N outcomes: a pair, a next state and a discount that were seen together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tengen._jit import generic, njit
from tengen.types import Bools, Floats, Ints


class Imagined(NamedTuple):
    """What a model says follows a state and an action."""

    r_t: float
    discount_t: float  # 0: the episode ends, -1: the other side moves; before gamma
    s_t: int


class Known(NamedTuple):
    """Which states and pairs were tried, listed so that one of them can be drawn at once."""

    size: Ints  # [2], how many states, and how many pairs, were tried
    states: Ints  # [S], those that were tried first, in the order of their first time
    pairs: Ints  # [S * A], likewise
    last_try: Ints  # [S * A], environment steps done before the latest try; -1: never tried
    legal: Bools  # [S * A], what was legal when the state was seen last; or [0], as are its slices: every action is


@generic
def remember(model: Any, s: int, a: int, r: float, discount: float, s_t: int, clock: int) -> None:
    """Learn from one real step.

    Args:
        model: Its NamedTuple. Modified in place; it must have room for one outcome more.
        s: The state.
        a: The action.
        r: The reward.
        discount: Of the TimeStep, before gamma.
        s_t: The state that followed.
        clock: Environment steps done before this one.
    """


@generic
def imagine(model: Any, s: int, a: int, rng: np.random.Generator) -> Imagined:
    """Return something that may follow a state and an action, drawn as the model has it."""
    raise NotImplementedError


@generic
def first_before(model: Any, s: int) -> int:
    """Return the number of an outcome that leads to state s and does not end the episode there; -1: there is none."""
    raise NotImplementedError


@generic
def next_before(model: Any, outcome: int) -> int:
    """Return the next outcome after one of `first_before` or `next_before`; -1: there is none."""
    raise NotImplementedError


@generic
def pair_before(model: Any, outcome: int) -> int:
    """Return the pair that an outcome is of."""
    raise NotImplementedError


@njit(forceinline=True)
def note_try(known: Known, num_actions: int, s: int, a: int, clock: int) -> None:
    """Note that action a was taken in state s. `known` is modified in place."""
    first = s * num_actions
    if known.last_try[first + a] < 0:
        tried = 0
        for pair in range(first, first + num_actions):
            tried += known.last_try[pair] >= 0
        if tried == 0:
            known.states[known.size[0]] = s
            known.size[0] += 1
        known.pairs[known.size[1]] = first + a
        known.size[1] += 1
    known.last_try[first + a] = clock


@njit(forceinline=True)
def note_legal(known: Known, s: int, legal: Bools) -> None:
    """Note which actions are legal in a state; [0]: all are. `known` is modified in place."""
    for a in range(legal.shape[0]):
        known.legal[s * legal.shape[0] + a] = legal[a]


class Links(NamedTuple):
    """Of a model of one outcome for each pair: the pairs that lead to state s, as a list from `first[s]`."""

    first: Ints  # [S], -1: none; or [0]: the lists are not kept
    following: Ints  # [S * A], the next pair of the list; -1: it is the last
    preceding: Ints  # [S * A], the one before; -1: it is the first


class LastOutcomes(NamedTuple):
    """The latest outcome of each pair, which is all there is to know of a deterministic world.

    Those of pairs that were never tried are there from the start, so that reading one needs no question.
    """

    num_actions: int
    known: Known
    next_state: Ints  # [S * A]
    reward: Floats  # [S * A]
    discount: Floats  # [S * A]
    before: Links


@remember.register(LastOutcomes)
@njit
def _remember_last(model: LastOutcomes, s: int, a: int, r: float, discount: float, s_t: int, clock: int) -> None:
    pair = s * model.num_actions + a
    if model.before.first.shape[0] > 0:
        if model.known.last_try[pair] >= 0 and model.discount[pair] != 0.0:
            _unlink(model.before, pair, model.next_state[pair])
        if discount != 0.0:
            _link(model.before, pair, s_t)
    note_try(model.known, model.num_actions, s, a, clock)
    model.next_state[pair], model.reward[pair], model.discount[pair] = s_t, r, discount


@imagine.register(LastOutcomes)
@njit
def _imagine_last(model: LastOutcomes, s: int, a: int, rng: np.random.Generator) -> Imagined:
    pair = s * model.num_actions + a
    return Imagined(model.reward[pair], model.discount[pair], model.next_state[pair])


@first_before.register(LastOutcomes)
@njit
def _first_pair_before(model: LastOutcomes, s: int) -> int:
    return int(model.before.first[s])


@next_before.register(LastOutcomes)
@njit
def _next_pair_before(model: LastOutcomes, outcome: int) -> int:
    return int(model.before.following[outcome])


@pair_before.register(LastOutcomes)
@njit
def _pair_itself(model: LastOutcomes, outcome: int) -> int:
    return outcome


@njit(forceinline=True)
def _link(links: Links, pair: int, s: int) -> None:
    head = links.first[s]
    links.following[pair], links.preceding[pair], links.first[s] = head, -1, pair
    if head >= 0:
        links.preceding[head] = pair


@njit(forceinline=True)
def _unlink(links: Links, pair: int, s: int) -> None:
    ahead, behind = links.preceding[pair], links.following[pair]
    if ahead >= 0:
        links.following[ahead] = behind
    else:
        links.first[s] = behind
    if behind >= 0:
        links.preceding[behind] = ahead


class Outcomes(NamedTuple):
    """The outcomes that were seen, in the order of their first time, with room for more behind them.

    Each is in two lists, that of its pair and that of its next state. All arrays have a leading dimension of 1: they
    are laid out as an agent's other memories that grow.
    """

    length: Ints  # [1], how many
    pair: Ints  # [1, N]
    next_state: Ints  # [1, N]
    discount: Floats  # [1, N]
    times: Ints  # [1, N], how often it was seen
    reward: Floats  # [1, N], the mean
    following: Ints  # [1, N], the next one of the same pair; -1: there is none
    following_before: Ints  # [1, N], the next one that goes on from the same next state; -1: there is none


class OutcomeCounts(NamedTuple):
    """How often each outcome of each pair was seen, and its mean reward: the likeliest model of a world with chance."""

    num_actions: int
    known: Known
    visits: Ints  # [S * A], how often a pair was tried
    first: Ints  # [S * A], the newest outcome of a pair; -1: none
    first_before: Ints  # [S], the newest outcome that leads to a state and goes on from there; -1: none
    outcomes: Outcomes


@remember.register(OutcomeCounts)
@njit
def _remember_count(model: OutcomeCounts, s: int, a: int, r: float, discount: float, s_t: int, clock: int) -> None:
    pair, seen = s * model.num_actions + a, model.outcomes
    note_try(model.known, model.num_actions, s, a, clock)
    model.visits[pair] += 1
    n = model.first[pair]
    while n >= 0 and not (seen.next_state[0, n] == s_t and seen.discount[0, n] == discount):
        n = seen.following[0, n]
    if n < 0:
        n = seen.length[0]
        seen.length[0] += 1
        seen.pair[0, n], seen.next_state[0, n], seen.discount[0, n] = pair, s_t, discount
        seen.times[0, n], seen.reward[0, n] = 0, 0.0
        seen.following[0, n], model.first[pair] = model.first[pair], n
        seen.following_before[0, n] = -1
        if discount != 0.0:
            seen.following_before[0, n], model.first_before[s_t] = model.first_before[s_t], n
    seen.times[0, n] += 1
    seen.reward[0, n] += (r - seen.reward[0, n]) / seen.times[0, n]


@imagine.register(OutcomeCounts)
@njit
def _imagine_count(model: OutcomeCounts, s: int, a: int, rng: np.random.Generator) -> Imagined:
    pair, seen = s * model.num_actions + a, model.outcomes
    n = model.first[pair]
    if n < 0:
        return Imagined(0.0, 1.0, s)
    k = int(rng.random() * model.visits[pair])  # which of the times that the pair was tried
    while k >= seen.times[0, n]:
        k -= seen.times[0, n]
        n = seen.following[0, n]
    return Imagined(seen.reward[0, n], seen.discount[0, n], seen.next_state[0, n])


@first_before.register(OutcomeCounts)
@njit
def _first_outcome_before(model: OutcomeCounts, s: int) -> int:
    return int(model.first_before[s])


@next_before.register(OutcomeCounts)
@njit
def _next_outcome_before(model: OutcomeCounts, outcome: int) -> int:
    return int(model.outcomes.following_before[0, outcome])


@pair_before.register(OutcomeCounts)
@njit
def _pair_of_outcome(model: OutcomeCounts, outcome: int) -> int:
    return int(model.outcomes.pair[0, outcome])


@njit
def remember_all(
    model: Any, states: Ints, actions: Ints, rewards: Floats, discounts: Floats, next_states: Ints, clock: int
) -> None:
    """Learn from B real steps, one after the other; `clock` is that of the first. The model is modified in place."""
    for b in range(len(states)):
        remember(model, states[b], actions[b], rewards[b], discounts[b], next_states[b], clock + b)


@njit
def imagine_all(
    model: Any,
    states: Ints,
    actions: Ints,
    rng: np.random.Generator,
    next_states: Ints,
    rewards: Floats,
    discounts: Floats,
) -> None:
    """Draw what follows B states and actions; the last three [B] are modified in place."""
    for b in range(len(states)):
        seen = imagine(model, states[b], actions[b], rng)
        next_states[b], rewards[b], discounts[b] = seen.s_t, seen.r_t, seen.discount_t

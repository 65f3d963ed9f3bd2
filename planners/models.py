"""Models of finite worlds: learned from experience, or exact.

Each keeps the contracts `Model` and `EnumerableModel`; its states are numbers [B]. The learned ones are classes around
the tables of `_model_kernels`, which a Dyna agent's kernels write to directly.

B states side by side, S states, A actions; a pair is s * A + a. N outcomes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tengen.errors import UserError
from tengen.planners import _model_kernels as kernels
from tengen.planners._model_kernels import Known, LastOutcomes, Links, OutcomeCounts, Outcomes
from tengen.tables import TransitionTables, make_tables
from tengen.types import Array, Floats, Ints, Metrics, Transition

_ROOM = 64  # outcomes that a model of counts has room for to begin with


def empty_last_outcomes(
    num_states: int, num_actions: int, *, has_legal: bool = False, with_predecessors: bool = False
) -> LastOutcomes:
    """Return the tables of a deterministic model that knows nothing yet.

    Args:
        num_states: S.
        num_actions: A.
        has_legal: Some actions are illegal in some states.
        with_predecessors: Keep lists of the pairs that lead to each state, for prioritized sweeping.
    """
    pairs = num_states * num_actions
    linked, listed = (pairs, num_states) if with_predecessors else (0, 0)
    links = Links(np.full(listed, -1), np.full(linked, -1), np.full(linked, -1))
    known = _nothing_known(num_states, num_actions, has_legal)
    stay = np.arange(num_states).repeat(num_actions)
    return LastOutcomes(num_actions, known, stay, np.zeros(pairs), np.ones(pairs), links)


def empty_counts(num_states: int, num_actions: int, *, has_legal: bool = False) -> OutcomeCounts:
    """Return the tables of a model of counts that knows nothing yet; see `empty_last_outcomes`."""
    pairs = num_states * num_actions
    whole, real = np.zeros((5, 1, _ROOM), np.int64), np.zeros((2, 1, _ROOM))
    outcomes = Outcomes(np.zeros(1, np.int64), whole[0], whole[1], real[0], whole[2], real[1], whole[3], whole[4])
    known = _nothing_known(num_states, num_actions, has_legal)
    first, first_before = np.full(pairs, -1), np.full(num_states, -1)
    return OutcomeCounts(num_actions, known, np.zeros(pairs, np.int64), first, first_before, outcomes)


class ExactModel:
    """The world itself, as its transition tables have it.

    Args:
        model: The tables.

    Raises:
        UserError: Several of its states look the same, so that an observation doesn't say which it is.
    """

    def __init__(self, model: TransitionTables) -> None:
        self._tables = model
        self._states: Ints | None = None  # [number of observations]
        if len(model.observation):
            self._states = np.zeros(model.num_observations, np.int64)
            self._states[model.observation] = np.arange(model.num_states)
            if len(np.unique(model.observation)) < model.num_states:
                raise UserError(
                    f"{model.num_states} states have {len(np.unique(model.observation))} different observations: an"
                    " exact model needs an observation of its own for each"
                )

    @property
    def num_actions(self) -> int:
        """A."""
        return self._tables.num_actions

    def encode(self, observation: Array) -> Ints:
        """Return the states [B] of numbered observations [B]."""
        numbers = np.asarray(observation, np.int64)
        return numbers if self._states is None else self._states[numbers]

    def step(self, states: Ints, actions: Ints, rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
        """Return next states, rewards and discounts [B]."""
        tables = self._tables
        pairs = np.asarray(states) * tables.num_actions + actions
        draws = zip(tables.start[pairs], tables.start[pairs + 1], rng.random(len(pairs)), strict=True)
        chosen = np.array([_first_above(tables.cumulative, *draw) for draw in draws], np.int64)
        reward = tables.reward[chosen]
        if len(tables.noise):
            reward = reward + tables.noise[chosen] * rng.standard_normal(len(pairs))
        return tables.next_state[chosen], reward, tables.discount[chosen]

    def update(self, batch: Transition) -> Metrics:
        """Learn nothing: there is nothing to learn."""
        return {}

    def tables(self) -> TransitionTables:
        """Return the tables."""
        return self._tables


class _LearnedModel:
    """What the learned models share: all but how their tables are read out."""

    def __init__(self, learned: Any, encode: Callable[[Array], Ints], unvisited_value: float | None) -> None:
        if unvisited_value is not None and not np.isfinite(unvisited_value):
            raise UserError(f"a model's unvisited_value must be finite, got {unvisited_value}")
        self.learned = learned
        self._encode = encode
        self._unvisited_value = unvisited_value
        self._clock = int(learned.known.last_try.max(initial=-1)) + 1  # environment steps it was shown

    @property
    def num_actions(self) -> int:
        """A."""
        return int(self.learned.num_actions)

    def encode(self, observation: Array) -> Ints:
        """Return the numbers [B] of observations [B, ...]."""
        return self._encode(observation)

    def step(self, states: Ints, actions: Ints, rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
        """Return next states, rewards and discounts [B]; a pair never tried leads back to its state, with reward 0."""
        states, actions = np.asarray(states, np.int64), np.asarray(actions, np.int64)
        next_states, rewards, discounts = np.zeros_like(states), np.zeros(len(states)), np.zeros(len(states))
        kernels.imagine_all(self.learned, states, actions, rng, next_states, rewards, discounts)
        return next_states, rewards, discounts

    def update(self, batch: Transition) -> Metrics:
        """Learn from N steps in the order in which they were taken."""
        self._make_room(len(batch.action))
        states, next_states = self._encode(batch.observation), self._encode(batch.next_observation)
        rewards, discounts = np.asarray(batch.reward, np.float64), np.asarray(batch.bootstrap, np.float64)
        actions = np.asarray(batch.action, np.int64)
        kernels.remember_all(self.learned, states, actions, rewards, discounts, next_states, self._clock)
        if batch.next_legal is not None and len(self.learned.known.legal):
            goes_on = discounts != 0  # nothing is chosen after an episode's end, whatever its mask says
            self.learned.known.legal.reshape(-1, self.num_actions)[next_states[goes_on]] = batch.next_legal[goes_on]
        self._clock += len(actions)
        size = self.learned.known.size
        return {"model/states": int(size[0]), "model/pairs": int(size[1])}

    def tables(self) -> TransitionTables:
        """Return the world as it is known so far.

        A pair that was never tried leads back to its own state with reward 0; with `unvisited_value` it ends the
        episode with that reward instead, so that planning is drawn to it (R-max: Brafman & Tennenholtz 2002). First
        states are not learned: those that were acted in are equally likely.
        """
        known, num_actions = self.learned.known, self.num_actions
        num_states = len(known.states)
        pair, probability, next_state, reward, discount = self._outcomes()
        untried = np.flatnonzero(known.last_try < 0)
        ends = self._unvisited_value is not None
        order = np.argsort(np.concatenate([pair, untried]), kind="stable")
        columns = (
            np.concatenate([probability, np.ones(len(untried))])[order],
            np.concatenate([next_state, untried // num_actions])[order],
            np.concatenate([reward, np.full(len(untried), self._unvisited_value or 0.0)])[order],
            np.concatenate([discount, np.full(len(untried), 0.0 if ends else 1.0)])[order],
        )
        counts = np.bincount(np.concatenate([pair, untried]), minlength=num_states * num_actions)
        initial = np.zeros(num_states)
        initial[known.states[: known.size[0]] if known.size[0] else slice(None)] = 1.0
        legal = known.legal.reshape(num_states, num_actions).copy() if len(known.legal) else None
        start = np.concatenate([[0], np.cumsum(counts)])
        return make_tables(start, *columns, initial / initial.sum(), legal=legal)

    def _make_room(self, num_steps: int) -> None:
        """See that there is room for the outcomes of some steps more."""

    def _outcomes(self) -> tuple[Ints, Floats, Ints, Floats, Floats]:
        """Return pair, probability, next state, reward and discount of each outcome, [N] each."""
        raise NotImplementedError


class DeterministicModel(_LearnedModel):
    """The last outcome of each state and action.

    Args:
        learned: Its tables; `empty_last_outcomes` makes them.
        encode: Numbers observations.
        unvisited_value: What `tables` says that a pair is worth which was never tried; None: it leads nowhere.

    Raises:
        UserError: `unvisited_value` is not finite.
    """

    def __init__(
        self, learned: LastOutcomes, encode: Callable[[Array], Ints], unvisited_value: float | None = None
    ) -> None:
        super().__init__(learned, encode, unvisited_value)

    def _outcomes(self) -> tuple[Ints, Floats, Ints, Floats, Floats]:
        learned: LastOutcomes = self.learned
        pair = np.flatnonzero(learned.known.last_try >= 0)
        return pair, np.ones(len(pair)), learned.next_state[pair], learned.reward[pair], learned.discount[pair]


class CountModel(_LearnedModel):
    """How often each outcome of each state and action was seen, with its mean reward.

    Args:
        learned: Its tables; `empty_counts` makes them.
        encode: Numbers observations.
        unvisited_value: What `tables` says that a pair is worth which was never tried; None: it leads nowhere.

    Raises:
        UserError: `unvisited_value` is not finite.
    """

    def __init__(
        self, learned: OutcomeCounts, encode: Callable[[Array], Ints], unvisited_value: float | None = None
    ) -> None:
        super().__init__(learned, encode, unvisited_value)

    def _make_room(self, num_steps: int) -> None:
        seen = self.learned.outcomes
        needed, room = int(seen.length[0]) + num_steps, seen.pair.shape[1]
        if needed > room:
            more = max(needed, 2 * room) - room
            grown = Outcomes(seen.length, *(np.pad(array, ((0, 0), (0, more))) for array in seen[1:]))
            self.learned = self.learned._replace(outcomes=grown)

    def _outcomes(self) -> tuple[Ints, Floats, Ints, Floats, Floats]:
        learned: OutcomeCounts = self.learned
        seen, count = learned.outcomes, int(learned.outcomes.length[0])
        pair, next_state, discount = seen.pair[0, :count], seen.next_state[0, :count], seen.discount[0, :count]
        return pair, seen.times[0, :count] / learned.visits[pair], next_state, seen.reward[0, :count], discount


def _nothing_known(num_states: int, num_actions: int, has_legal: bool) -> Known:
    pairs = num_states * num_actions
    legal = np.ones(pairs if has_legal else 0, np.bool_)
    return Known(
        np.zeros(2, np.int64), np.zeros(num_states, np.int64), np.zeros(pairs, np.int64), np.full(pairs, -1), legal
    )


def _first_above(cumulative: Floats, start: int, stop: int, u: float) -> int:
    """Return the first n in start..stop-1 with cumulative[n] > u; `start` where there is none, as in World."""
    n = int(start + cumulative[start:stop].searchsorted(u, side="right"))
    return n if n < stop else int(start)

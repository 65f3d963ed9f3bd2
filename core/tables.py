"""Transition tables: a finite Markov decision process as plain arrays, for dynamic programming and compiled loops.

Sutton & Barto (2018), section 3.1: p(s', r | s, a). The outcomes of each state and action lie side by side, so that
only those that can happen take memory (the layout of a sparse matrix in compressed rows).

S states, A actions, N outcomes over all states and actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tengen.types import Array, Bools, Floats, Ints

Outcome: TypeAlias = tuple[float, int, float, float]
"""What can follow a state and an action: probability, next state, reward, discount (0 where the episode ends)."""

_TOLERANCE = 1e-9  # of a sum of probabilities


class TransitionTables(NamedTuple):
    """A finite Markov decision process. Make it with `make_tables`, `tabulate` or `tables_from_gymnasium`.

    The outcomes of action a in state s are the rows `start[s * A + a]` to `start[s * A + a + 1] - 1`. A discount of 0
    ends the episode: the value of `next_state` then doesn't count. Whoever samples draws one `random()` u and takes the
    first outcome whose `cumulative` is greater than u, as Gymnasium's own environments do.

    A named tuple of arrays, with empty ones for what it doesn't have, so that kernels take it as it is.
    """

    start: Ints  # [S * A + 1]
    probability: Floats  # [N]
    cumulative: Floats  # [N], the running sum of `probability` within a state and an action
    next_state: Ints  # [N]
    reward: Floats  # [N], the mover's
    noise: Floats  # [N], standard deviation of normal noise on the reward; or [0]: no noise
    discount: Floats  # [N], in [-1, 1]
    initial: Floats  # [S], probabilities of an episode's first state
    initial_cumulative: Floats  # [S]
    observation: Ints  # [S], what an agent sees of a state; or [0]: the state's own number
    legal: Bools  # [S, A]; or [0, A]: every action is legal. An illegal action has some outcome all the same

    @property
    def num_states(self) -> int:
        """S."""
        return len(self.initial)

    @property
    def num_actions(self) -> int:
        """A."""
        return int(self.legal.shape[1])

    @property
    def num_observations(self) -> int:
        """How many different observations there can be."""
        return int(self.observation.max()) + 1 if len(self.observation) else self.num_states

    def outcomes(self, state: int, action: int) -> list[Outcome]:
        """Return what can follow an action in a state."""
        pair = state * self.num_actions + action
        rows = range(self.start[pair], self.start[pair + 1])
        return [
            (float(self.probability[n]), int(self.next_state[n]), float(self.reward[n]), float(self.discount[n]))
            for n in rows
        ]


class EpisodeLog(NamedTuple):
    """Where a compiled loop writes the episodes that end, up to E of them at a time."""

    running: Floats  # [1], the return so far of the episode under way
    returns: Floats  # [E]
    lengths: Ints  # [E], in steps
    ends: Ints  # [E], environment steps done when it ended


class World(NamedTuple):
    """An environment's insides, for a compiled loop to step it on its tables. The loop modifies the arrays."""

    tables: TransitionTables
    position: Ints  # [3]: state, steps since the episode's start, 1 where the episode is over
    feedback: Floats  # [2]: reward and discount of the last step
    limit: int  # steps after which an episode is truncated
    generator: np.random.Generator  # the environment's own


def make_tables(
    start: Array,
    probability: Array,
    next_state: Array,
    reward: Array,
    discount: Array,
    initial: Array,
    *,
    noise: Array | None = None,
    observation: Array | None = None,
    legal: Array | None = None,
) -> TransitionTables:
    """Return checked tables of the arrays that `TransitionTables` names.

    Raises:
        ValueError: Shapes don't fit, probabilities are negative or do not sum to one, a next state does not exist, or a
            discount is outside [-1, 1]; a state has no legal action.
    """
    start, next_state = np.asarray(start, np.int64), np.asarray(next_state, np.int64)
    probability, reward = np.asarray(probability, np.float64), np.asarray(reward, np.float64)
    discount, initial = np.asarray(discount, np.float64), np.asarray(initial, np.float64)
    num_states, num_rows = len(initial), len(start) - 1
    if num_states == 0 or num_rows < num_states or num_rows % num_states:
        raise ValueError(f"{num_rows} rows of outcomes don't divide among {num_states} states")
    num_actions = num_rows // num_states
    for name, array in (("next_state", next_state), ("reward", reward), ("discount", discount), ("noise", noise)):
        if array is not None and np.shape(array) != probability.shape:
            raise ValueError(f"{name} has the shape {np.shape(array)}, expected {probability.shape} like the outcomes")
    counts = np.diff(start)
    if start[0] != 0 or start[-1] != len(probability) or (counts < 1).any():
        raise ValueError("each state and action needs an outcome, and `start` must run from 0 to their number")
    if next_state.min() < 0 or next_state.max() >= num_states:
        raise ValueError(f"a next state is outside 0..{num_states - 1}")
    if not (np.isfinite(reward).all() and (np.abs(discount) <= 1).all()):
        raise ValueError("rewards must be finite and discounts in [-1, 1]")
    cumulative = _cumulative(probability, start[:-1], counts)
    _check_sums(probability, cumulative[start[1:] - 1], num_actions)
    if (initial < 0).any():
        raise ValueError("a first state has a negative probability")
    if not abs(initial.sum() - 1.0) <= _TOLERANCE:  # NaN is wrong, too
        raise ValueError(f"the probabilities of the first states sum to {initial.sum():.6g}, expected 1")
    if noise is not None and not (np.isfinite(noise).all() and (np.asarray(noise) >= 0).all()):
        raise ValueError("the standard deviations of noise must be finite and not negative")
    if observation is not None:
        seen = np.asarray(observation)
        if seen.shape != (num_states,) or not np.issubdtype(seen.dtype, np.integer) or seen.min() < 0:
            raise ValueError(f"observation must have a whole number from 0 for each of the {num_states} states")
    if legal is not None and (np.shape(legal) != (num_states, num_actions) or not np.all(np.any(legal, axis=1))):
        raise ValueError(f"legal must be [{num_states}, {num_actions}] with at least one legal action in each state")
    return TransitionTables(
        start,
        probability,
        cumulative,
        next_state,
        reward,
        np.zeros(0) if noise is None else np.asarray(noise, np.float64),
        discount,
        initial,
        np.cumsum(initial),
        np.zeros(0, np.int64) if observation is None else np.asarray(observation, np.int64),
        np.ones((0, num_actions), np.bool_) if legal is None else np.asarray(legal, np.bool_),
    )


def tabulate(
    num_states: int,
    num_actions: int,
    outcomes: Callable[[int, int], Iterable[Outcome]],
    initial: Array | int,
    *,
    noise: Callable[[int, int], float] | None = None,
    observation: Array | None = None,
    legal: Array | None = None,
) -> TransitionTables:
    """Return the tables of rules given as a function.

    Args:
        num_states: S.
        num_actions: A.
        outcomes: Of a state and an action: what can follow.
        initial: Probabilities [S] of an episode's first state, or the only one.
        noise: Of a state and an action: the standard deviation of normal noise on the reward.
        observation: What an agent sees of each state [S]; the state's own number unless given.
        legal: [S, A]; every action unless given.

    Raises:
        ValueError: The rules are not those of a Markov decision process; see `make_tables`.
    """
    start = np.zeros(num_states * num_actions + 1, np.int64)
    rows: list[Outcome] = []
    noises: list[float] = []
    for pair in range(num_states * num_actions):
        state, action = divmod(pair, num_actions)
        rows.extend(outcomes(state, action))
        start[pair + 1] = len(rows)
        if noise is not None:
            noises.extend([noise(state, action)] * (len(rows) - len(noises)))
    columns = np.array(rows, np.float64).reshape(len(rows), 4)
    first = np.eye(1, num_states, initial)[0] if isinstance(initial, int) else initial
    return make_tables(
        start,
        columns[:, 0].copy(),
        columns[:, 1].astype(np.int64),
        columns[:, 2].copy(),
        columns[:, 3].copy(),
        first,
        noise=None if noise is None else np.array(noises),
        observation=observation,
        legal=legal,
    )


def tables_from_gymnasium(transitions: Any, initial: Array) -> TransitionTables:
    """Return the tables of a Gymnasium toy-text environment, outcomes in its own order.

    Args:
        transitions: Its `P`: for each state and action a list of (probability, next state, reward, terminated).
        initial: Its `initial_state_distrib` [S].

    Raises:
        ValueError: The environment's tables are not those of a Markov decision process.
    """

    def outcomes(state: int, action: int) -> list[Outcome]:
        return [(p, int(s), float(r), 0.0 if terminated else 1.0) for p, s, r, terminated in transitions[state][action]]

    return tabulate(len(transitions), len(transitions[0]), outcomes, np.asarray(initial, np.float64))


def _cumulative(probability: Floats, first: Ints, counts: Ints) -> Floats:
    """Return the running sums within each run, added one by one as `np.cumsum` of the run alone would."""
    result = probability.copy()
    for k in range(1, int(counts.max(initial=1))):
        rows = first[counts > k] + k
        result[rows] += result[rows - 1]
    return result


def _check_sums(probability: Floats, sums: Floats, num_actions: int) -> None:
    if (probability < 0).any():
        raise ValueError("a transition has a negative probability")
    wrong = np.flatnonzero(~(np.abs(sums - 1.0) <= _TOLERANCE))  # NaN is wrong, too
    if len(wrong):
        state, action = divmod(int(wrong[0]), num_actions)
        raise ValueError(
            f"the outcomes of action {action} in state {state} have probabilities that sum to {sums[wrong[0]]:.6g},"
            f" expected 1 ({len(wrong)} such rows)"
        )

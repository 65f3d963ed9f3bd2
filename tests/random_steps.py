"""Random experience for the kernels of tabular learners: every kind of discount and end, in several rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tengen.agents._learner_kernels import Outcome, act, update
from tengen.agents._trees import reserve
from tengen.types import Bools, Floats

ALL_LEGAL = np.ones(0, np.bool_)


class Turn(NamedTuple):
    """One step of one row."""

    row: int
    clock: int
    outcome: Outcome
    legal: Bools  # of s_tm1
    next_legal: Bools  # of s_t


def teach(
    learner: Any,
    num_turns: int,
    seed: int,
    legal: Bools | None = None,
    look: Callable[[Any, Turn], None] | None = None,
    num_rows: int = 2,
) -> tuple[Any, list[Turn]]:
    """Let a learner act and learn in B rows of nonsense; return it and the turns.

    Discounts are 1, -1 or 0; a 0 ends an episode or only cuts it, and episodes are truncated as well.

    Args:
        learner: Its NamedTuple.
        num_turns: Steps of each row.
        seed: Of everything random.
        legal: The legal actions of each state [S, A]; None: all are.
        look: Is called between acting and learning.
        num_rows: B.
    """
    values = learner.q if hasattr(learner, "q") else learner.v
    num_states = len(values)
    world, rng = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    states = world.integers(num_states, size=num_rows).tolist()
    turns = []
    for number in range(num_turns):
        for row in range(num_rows):
            s, clock = states[row], number * num_rows
            masks = [ALL_LEGAL if legal is None else legal[state] for state in (s, world.integers(num_states))]
            a = act(learner, row, s, masks[0], clock, rng)
            assert legal is None or legal[s, a]
            discount = float(world.choice([1, 1, 1, 1, -1, 0]))
            last = bool(world.random() < (0.7 if discount == 0 else 0.08))
            next_state = int(world.integers(num_states))
            masks[1] = ALL_LEGAL if legal is None else legal[next_state]
            turn = Turn(row, clock, Outcome(s, a, float(world.normal()), discount, next_state, last), *masks)
            if look is not None:
                look(learner, turn)
            learner = reserve(learner, 1)
            update(learner, row, turn.outcome, masks[1], clock, rng)
            turns.append(turn)
            states[row] = int(world.integers(num_states)) if last else next_state
    return learner, turns


def ends(turn: Turn) -> bool:
    return turn.outcome.last or turn.outcome.discount_t == 0


def split(turns: Sequence[Turn]) -> list[list[Turn]]:
    """Return the episodes, in the order in which they ended; what is unfinished is left out."""
    open_rows: dict[int, list[Turn]] = {}
    episodes = []
    for turn in turns:
        open_rows.setdefault(turn.row, []).append(turn)
        if ends(turn):
            episodes.append(open_rows.pop(turn.row))
    return episodes


def discounted_return(episode: Sequence[Turn], start: int, gamma: float, final_value: float) -> float:
    """Return the return from a step of an episode on, by its definition as a sum."""
    total, factor = 0.0, 1.0
    for turn in episode[start:]:
        total += factor * turn.outcome.r_t
        factor *= gamma * turn.outcome.discount_t
    return total + factor * final_value


def legal_table(num_states: int, num_actions: int, seed: int) -> Bools:
    """Return legal actions at random, at least one for each state."""
    rng = np.random.default_rng(seed)
    legal = rng.random((num_states, num_actions)) < 0.6
    legal[np.arange(num_states), rng.integers(num_actions, size=num_states)] = True
    return legal


def legal_values(q: Floats, legal: Bools) -> list[float]:
    """Return the values [A] of the legal actions."""
    return [value for a, value in enumerate(q) if len(legal) == 0 or legal[a]]

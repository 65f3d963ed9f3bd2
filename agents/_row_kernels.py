"""What the loop over Python objects calls: act for all rows, and learn from all of them, in one compiled call each.

A call from Python costs much more than what a learner does in it (numba looks at every array of the learner and at the
generator), so there is one for all rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen._jit import njit
from tengen.agents import _loop_kernels  # noqa: F401  # imports every module that registers a learner's kernels
from tengen.agents._learner_kernels import Outcome, act, update
from tengen.types import Bools, Floats, Ints


@njit
def act_rows(learner: Any, states: Ints, legal: Bools, clock: int, rng: np.random.Generator) -> Ints:
    """Return the action of each row, [B].

    Args:
        learner: Its NamedTuple. Modified in place.
        states: [B].
        legal: [B, A]; or [0, 0]: all actions are.
        clock: Environment steps done so far.
        rng: Draws exploration, row by row.
    """
    all_legal = np.ones(0, np.bool_)
    actions = np.empty(states.shape[0], np.int64)
    for row in range(states.shape[0]):
        legal_t = all_legal if legal.shape[0] == 0 else legal[row]
        actions[row] = act(learner, row, states[row], legal_t, clock, rng)
    return actions


@njit
def update_rows(
    learner: Any,
    states: Ints,
    actions: Ints,
    reward: Floats,
    discount: Floats,
    next_states: Ints,
    last: Bools,
    legal: Bools,
    clock: int,
    rng: np.random.Generator,
) -> None:
    """Learn from one step of every row, in their order.

    Args:
        learner: Its NamedTuple. Modified in place.
        states: [B], acted in.
        actions: [B].
        reward: [B], of the TimeStep that followed, as all below.
        discount: [B].
        next_states: [B].
        last: [B].
        legal: [B, A]; or [0, 0]: all actions are.
        clock: Environment steps done before.
        rng: Draws what the learner needs.
    """
    all_legal = np.ones(0, np.bool_)
    for row in range(states.shape[0]):
        legal_t = all_legal if legal.shape[0] == 0 else legal[row]
        outcome = Outcome(states[row], actions[row], reward[row], discount[row], next_states[row], last[row])
        update(learner, row, outcome, legal_t, clock, rng)

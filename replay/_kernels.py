"""Kernels of the frame store: write a step, count and draw transitions. To gather them: `_gather_kernels`.

Shape letters: E environments, R rows of an environment's ring, W words of a frame, K frames of a stack, A actions,
N transitions of a sample.

Each environment has a ring of its own. Its rows are numbered by insertion; row i lies in slot i % R, and the newest
row is `head`. A row is a frame and what was done upon it. The head row is open: its frame is in, its action is not
yet. A `final` row has a frame and no action, now or ever: the final observation of an episode.

Frames are rows of machine words, as long as their size allows: that compares and copies several times faster.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

_Bools: TypeAlias = NDArray[np.bool_]
_Floats: TypeAlias = NDArray[np.float64]
_Ints: TypeAlias = NDArray[np.int64]
_Singles: TypeAlias = NDArray[np.float32]
_Words: TypeAlias = NDArray[Any]  # uint64, uint32 or uint8


class Rings(NamedTuple):
    """What is remembered, and how far each ring has come. All modified in place by `add_step`."""

    frame: _Words  # [E, R, W]
    action: _Ints  # [E, R]
    reward: _Singles  # [E, R]
    discount: _Singles  # [E, R], before gamma
    age: NDArray[np.uint8]  # [E, R], frames of its game that came before and are in its stack: at most K - 1
    final: _Bools  # [E, R], no action follows
    legal: _Bools  # [E, R, A], A = 0 where all actions are legal always
    base: _Ints  # [E], rows before this number were never held
    head: _Ints  # [E], the number of the open row; base - 1 where there is none
    ready: _Ints  # [E], rows before this number have a complete n-step window
    live: _Ints  # [E], rows with an action that are held and ready, whether their stacks are held or not


@njit(makes_arrays=False)
def oldest(rings: Rings, e: int) -> int:
    """Return the number of the oldest row of ring e that is held."""
    return int(max(rings.base[e], rings.head[e] - rings.action.shape[1] + 1))


@njit(makes_arrays=False)
def can_sample(rings: Rings, e: int, row: int) -> bool:
    """Return whether a row that is held and ready has an action, and all frames of its stack are held."""
    slot = row % rings.action.shape[1]
    return not rings.final[e, slot] and row - int(rings.age[e, slot]) >= oldest(rings, e)


@njit(makes_arrays=False)
def count(rings: Rings, num_stack: int) -> int:
    """Return how many transitions can be sampled."""
    total = 0
    for e in range(rings.head.size):
        total += rings.live[e]
        low = oldest(rings, e)
        # Only the oldest K - 1 rows can miss frames of their stacks.
        for row in range(low, min(low + num_stack - 1, rings.ready[e])):
            if not rings.final[e, row % rings.action.shape[1]] and not can_sample(rings, e, row):
                total -= 1
    return total


@njit(makes_arrays=False)
def _push(rings: Rings, e: int, frame: _Words, age: int, legal: _Bools) -> None:
    """Open a new head row, over the oldest one if the ring is full."""
    row = rings.head[e] + 1
    num_rows = rings.action.shape[1]
    slot = row % num_rows
    if row - num_rows >= rings.base[e] and not rings.final[e, slot]:
        rings.live[e] -= 1
    rings.head[e] = row
    for w in range(frame.size):
        rings.frame[e, slot, w] = frame[w]
    rings.action[e, slot] = 0
    rings.reward[e, slot] = 0.0
    rings.discount[e, slot] = 1.0
    rings.age[e, slot] = age
    rings.final[e, slot] = False
    for a in range(legal.size):
        rings.legal[e, slot, a] = legal[a]


@njit(makes_arrays=False)
def _advance_ready(rings: Rings, e: int, until: int) -> None:
    """Declare the windows of all rows before `until` complete."""
    for row in range(rings.ready[e], until):
        if not rings.final[e, row % rings.action.shape[1]]:
            rings.live[e] += 1
    rings.ready[e] = max(rings.ready[e], until)


@njit(makes_arrays=False)
def _close_row(rings: Rings, e: int, row: int, n_step: int) -> None:
    """Declare complete the windows that a row completes: those that end with it, or end before the row if `final`."""
    slot = row % rings.action.shape[1]
    if rings.final[e, slot] or rings.discount[e, slot] == 0.0:
        _advance_ready(rings, e, row + 1)
    else:
        _advance_ready(rings, e, row - n_step + 2)


FINE, NOT_PADDED, NOT_SHIFTED, NOT_CONTINUED, PAST_LAST = range(5)


@njit(makes_arrays=False)
def _differ(one: _Words, other: _Words) -> bool:
    """Return whether two frames [W] differ; without an early end, so that many words are compared at once."""
    different = False
    for w in range(one.size):
        different |= one[w] != other[w]
    return bool(different)


@njit(makes_arrays=False)
def _is_dark(frame: _Words) -> bool:
    """Return whether a frame [W] is all zeros."""
    lit = False
    for w in range(frame.size):
        lit |= frame[w] != 0
    return not lit


@njit(makes_arrays=False)
def _check_step(rings: Rings, observation: _Words, first: _Bools, next_observation: _Words) -> tuple[int, int]:
    """Return (problem, environment): whether the observations are what the frame store takes them for."""
    num_stack = observation.shape[1]
    for e in range(first.size):
        is_open = rings.head[e] >= rings.base[e]
        slot = rings.head[e] % rings.action.shape[1]
        if first[e]:
            for k in range(num_stack - 1):
                if not _is_dark(observation[e, k]):
                    return NOT_PADDED, e
        elif is_open:
            if rings.final[e, slot]:
                return PAST_LAST, e
            if _differ(observation[e, num_stack - 1], rings.frame[e, slot]):
                return NOT_CONTINUED, e
        for k in range(num_stack - 1):
            if _differ(observation[e, k + 1], next_observation[e, k]):
                return NOT_SHIFTED, e
    return FINE, -1


@njit(makes_arrays=False)
def _write_step(
    rings: Rings,
    n_step: int,
    observation: _Words,
    legal: _Bools,
    first: _Bools,
    action: _Ints,
    reward: _Floats,
    discount: _Floats,
    last: _Bools,
    next_observation: _Words,
    next_legal: _Bools,
) -> None:
    """Remember one step of every environment. Modifies `rings` in place."""
    newest = observation.shape[1] - 1
    num_rows = rings.action.shape[1]
    for e in range(first.size):
        is_open = rings.head[e] >= rings.base[e]
        if first[e]:
            if is_open:  # the final observation; or a game that was given up, which then ends like a truncated one
                rings.final[e, rings.head[e] % num_rows] = True
                _close_row(rings, e, rings.head[e], n_step)
            _push(rings, e, observation[e, newest], 0, legal[e])
        elif not is_open:  # in the middle of a game: the stack's older frames become rows without an action
            for k in range(newest):
                _push(rings, e, observation[e, k], k, legal[e])
                rings.final[e, rings.head[e] % num_rows] = True
            _push(rings, e, observation[e, newest], newest, legal[e])
        row = rings.head[e]
        slot = row % num_rows
        rings.action[e, slot] = action[e]
        rings.reward[e, slot] = reward[e]
        rings.discount[e, slot] = discount[e]
        age = min(rings.age[e, slot] + 1, newest)
        _push(rings, e, next_observation[e, newest], age, next_legal[e])
        _close_row(rings, e, row, n_step)
        if last[e]:
            rings.final[e, rings.head[e] % num_rows] = True
            _advance_ready(rings, e, row + 1)


@njit(makes_arrays=False)
def add_step(
    frame: _Words,
    ring_action: _Ints,
    ring_reward: _Singles,
    ring_discount: _Singles,
    age: NDArray[np.uint8],
    final: _Bools,
    ring_legal: _Bools,
    base: _Ints,
    head: _Ints,
    ready: _Ints,
    live: _Ints,
    n_step: int,
    observation: _Words,
    legal: _Bools,
    first: _Bools,
    action: _Ints,
    reward: _Floats,
    discount: _Floats,
    last: _Bools,
    next_observation: _Words,
    next_legal: _Bools,
) -> tuple[int, int]:
    """Remember one step of every environment, if its observations are what the frame store takes them for.

    Args:
        frame: The fields of `Rings`, one by one, for which numba calls the kernel faster. Modified in place.
        ring_action: See `frame`.
        ring_reward: See `frame`.
        ring_discount: See `frame`.
        age: See `frame`.
        final: See `frame`.
        ring_legal: See `frame`.
        base: See `frame`.
        head: See `frame`.
        ready: See `frame`.
        live: See `frame`.
        n_step: The length of a window.
        observation: [E, K, W], the stack acted upon, newest frame last; used where a game starts.
        legal: [E, A].
        first: [E].
        action: [E].
        reward: [E].
        discount: [E].
        last: [E].
        next_observation: [E, K, W].
        next_legal: [E, A].

    Returns:
        A problem, and the environment that has it. With any but FINE nothing was remembered.
    """
    rings = Rings(frame, ring_action, ring_reward, ring_discount, age, final, ring_legal, base, head, ready, live)
    problem, e = _check_step(rings, observation, first, next_observation)
    if problem == FINE:
        _write_step(
            rings, n_step, observation, legal, first, action, reward, discount, last, next_observation, next_legal
        )
    return problem, e


@njit(makes_arrays=False)
def recount(rings: Rings, n_step: int) -> None:
    """Set `ready` and `live` from the rows. Modifies `rings` in place."""
    for e in range(rings.head.size):
        low = oldest(rings, e)
        rings.ready[e] = low
        rings.live[e] = 0
        for row in range(low, rings.head[e]):
            _close_row(rings, e, row, n_step)
        if rings.head[e] >= rings.base[e] and rings.final[e, rings.head[e] % rings.action.shape[1]]:
            _advance_ready(rings, e, rings.head[e])


@njit(makes_arrays=False)
def draw(
    final: _Bools,
    age: NDArray[np.uint8],
    base: _Ints,
    head: _Ints,
    ready: _Ints,
    uniform: _Floats,
    num_drawn: int,
    env: _Ints,
    row: _Ints,
) -> int:
    """Draw transitions uniformly with replacement, at least one of which must exist.

    Each takes one uniform number, and more where that hits upon what can't be sampled: a numpy Generator itself costs
    numba longer to take than the drawing takes.

    Args:
        final: [E, R], and the others of the same names as in `Rings`.
        age: [E, R].
        base: [E].
        head: [E].
        ready: [E].
        uniform: Numbers in [0, 1), one by one.
        num_drawn: How many of the N are drawn already.
        env: Out, [N], the environment of each.
        row: Out, [N], its row number.

    Returns:
        How many are drawn now.
    """
    num_envs, num_rows = final.shape
    span = 0
    for e in range(num_envs):
        span = max(span, ready[e] - max(base[e], head[e] - num_rows + 1))
    for u in uniform:
        x = int(u * (num_envs * span))  # the bias is below span / 2^53
        e = x // span
        low = max(base[e], head[e] - num_rows + 1)
        i = low + x % span
        slot = i % num_rows
        if i < ready[e] and not final[e, slot] and i - age[e, slot] >= low:
            env[num_drawn] = e
            row[num_drawn] = i
            num_drawn += 1
    return num_drawn

"""Kernels that put transitions together: returns over n steps, and stacks of frames.

Shape letters: E environments, R rows of an environment's ring, K frames of a stack, A actions, N transitions of a
sample, S the bytes of a frame. See `tengen.replay._kernels` for what the rings hold.

Nearly all of the time goes into waiting for frames, and then into writing them. So what an observation and the next
have in common is written once where they are a step apart, in one piece, and the pages of the next transition are asked
for before this one is copied. Arguments are single arrays: for a NamedTuple of them numba takes three times as long to
call a kernel.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit
from tengen.replay._memory import copy_bytes, prefetch

_Bools: TypeAlias = NDArray[np.bool_]
_Bytes: TypeAlias = NDArray[np.uint8]
_Ints: TypeAlias = NDArray[np.int64]
_Singles: TypeAlias = NDArray[np.float32]

_PAGE = 4096  # where the processor stops asking for more by itself


@njit(makes_arrays=False)
def gather_returns(
    reward: _Singles,
    discount: _Singles,
    final: _Bools,
    n_step: int,
    gamma: float,
    env: _Ints,
    row: _Ints,
    total: _Singles,
    bootstrap: _Singles,
    after: _Ints,
) -> None:
    """Sum the rewards of n steps.

    The reward is sum_k gamma^k (prod_{j<k} discount_j) reward_k over the window of n steps, which is cut after a
    discount of 0 and before a final observation; the bootstrap is gamma^m prod_j discount_j over its m steps.

    Args:
        reward: [E, R].
        discount: [E, R].
        final: [E, R].
        n_step: The length n of a window.
        gamma: Multiplies each discount.
        env: [N].
        row: [N], rows that can be sampled.
        total: Out, [N], the reward.
        bootstrap: Out, [N].
        after: Out, [N], the row that follows the window.
    """
    num_rows = reward.shape[1]
    for n in range(row.size):
        e = env[n]
        i = row[n]
        value = 0.0
        factor = 1.0
        for _ in range(n_step):
            slot = i % num_rows
            step_discount = np.float64(discount[e, slot])
            value += factor * np.float64(reward[e, slot])
            factor *= gamma * step_discount
            i += 1
            if step_discount == 0.0 or final[e, i % num_rows]:
                break
        total[n] = value
        bootstrap[n] = factor
        after[n] = i


@njit(makes_arrays=False)
def _write_rows(
    frame: _Bytes, num_rows: int, size: int, e: int, first: int, last: int, out: _Bytes, start: int, stop: int
) -> None:
    """Write the frames of rows first to last of ring e to out[: stop] in frames, and zeros before them from `start`."""
    num_frames = last - first + 1
    slot = first % num_rows
    before_wrap = min(num_frames, num_rows - slot)
    begin = (stop - num_frames) * size
    for i in range(start * size, begin):
        out[i] = 0
    copy_bytes(out, begin, frame, (e * num_rows + slot) * size, before_wrap * size)
    if before_wrap < num_frames:
        rest = num_frames - before_wrap
        copy_bytes(out, begin + before_wrap * size, frame, e * num_rows * size, rest * size)


@njit(makes_arrays=False)
def gather_stacks(
    frame: _Bytes,
    age: NDArray[np.uint8],
    num_stack: int,
    env: _Ints,
    row: _Ints,
    after: _Ints,
    shared: bool,
    observation: _Bytes,
    next_observation: _Bytes,
) -> None:
    """Write the stacks that end with two rows of one game each, zeros before the game's start.

    Args:
        frame: [E R S].
        age: [E, R].
        num_stack: K.
        env: [N].
        row: [N].
        after: [N], above `row`.
        shared: `after` is `row` + 1, and the two stacks are one of K + 1 frames.
        observation: Out, [N K S], the stacks that end with `row`; or [N (K + 1) S] where they are shared.
        next_observation: Out, [N K S], those that end with `after`; not used where they are shared.
    """
    num_rows = age.shape[1]
    size = frame.size // age.size
    for n in range(row.size):
        e = env[n]
        if n + 1 < row.size:
            other = env[n + 1]
            first = row[n + 1] - age[other, row[n + 1] % num_rows]
            start = (other * num_rows + first % num_rows) * size
            for i in range(start, min(start + (after[n + 1] - first + 1) * size, frame.size), _PAGE):
                prefetch(frame, i)
        first = row[n] - age[e, row[n] % num_rows]
        if shared:
            width = num_stack + 1
            _write_rows(frame, num_rows, size, e, first, after[n], observation, n * width, (n + 1) * width)
        else:
            start, stop = n * num_stack, (n + 1) * num_stack
            _write_rows(frame, num_rows, size, e, first, row[n], observation, start, stop)
            first = after[n] - age[e, after[n] % num_rows]
            _write_rows(frame, num_rows, size, e, first, after[n], next_observation, start, stop)


@njit(makes_arrays=False)
def gather(
    frame: _Bytes,
    action: _Ints,
    reward: _Singles,
    discount: _Singles,
    age: NDArray[np.uint8],
    final: _Bools,
    legal: _Bools,
    num_stack: int,
    n_step: int,
    gamma: float,
    env: _Ints,
    row: _Ints,
    after: _Ints,
    shared: bool,
    observation: _Bytes,
    out_action: _Ints,
    out_reward: _Singles,
    out_bootstrap: _Singles,
    next_observation: _Bytes,
    next_legal: _Bools,
) -> None:
    """Gather transitions by their environment and row number.

    Args:
        frame: [E R S].
        action: [E, R].
        reward: [E, R].
        discount: [E, R].
        age: [E, R].
        final: [E, R].
        legal: [E, R, A].
        num_stack: K.
        n_step: The length of a window.
        gamma: Multiplies each discount.
        env: [N].
        row: [N], rows that can be sampled.
        after: Overwritten, [N].
        shared: As for `gather_stacks`, and so are the observations.
        observation: Out.
        out_action: Out, [N].
        out_reward: Out, [N].
        out_bootstrap: Out, [N].
        next_observation: Out.
        next_legal: Out, [N, A].
    """
    num_rows = action.shape[1]
    gather_returns(reward, discount, final, n_step, gamma, env, row, out_reward, out_bootstrap, after)
    for n in range(row.size):
        out_action[n] = action[env[n], row[n] % num_rows]
        for a in range(legal.shape[2]):
            next_legal[n, a] = legal[env[n], after[n] % num_rows, a]
    gather_stacks(frame, age, num_stack, env, row, after, shared, observation, next_observation)

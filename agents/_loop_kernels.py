"""The compiled loop: a tabular learner on an environment's transition tables, without Python in between.

It imports every module that registers a learner's kernels, so that an edit of any of them is noticed by the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen._jit import njit
from tengen.agents._learner_kernels import Outcome, act, update
from tengen.agents.dyna import _dyna_kernels  # noqa: F401  # registers
from tengen.agents.reinforce import _reinforce_kernels  # noqa: F401  # registers
from tengen.agents.tabular import (
    _monte_carlo_kernels,  # noqa: F401  # registers
    _n_step_kernels,  # noqa: F401  # registers
    _one_step_kernels,  # noqa: F401  # registers
    _prediction_kernels,  # noqa: F401  # registers
    _trace_kernels,  # noqa: F401  # registers
)
from tengen.tables import EpisodeLog, World
from tengen.types import Bools, Floats


@njit(forceinline=True, makes_arrays=False)
def first_above(cumulative: Floats, start: int, stop: int, u: float) -> int:
    """Return the first n in start..stop-1 with cumulative[n] > u; `start` where there is none, as `np.argmax` would.

    `cumulative` must not fall from start to stop. Unsigned, so that no index could be meant from the end.
    """
    n, end = np.uint64(start), np.uint64(stop)
    while end - n > np.uint64(8):  # sums only rise: halve what is left
        middle = (n + end) // np.uint64(2)
        if cumulative[middle] <= u:
            n = middle + np.uint64(1)
        else:
            end = middle + np.uint64(1)
    while n < end and cumulative[n] <= u:
        n += np.uint64(1)
    found = np.int64(n)  # numba's int: not to be mixed with unsigned
    return found if n < np.uint64(stop) else start  # type: ignore[return-value]  # numpy's int is one


@njit(nogil=True)
def run(
    learner: Any, world: World, log: EpisodeLog, num_steps: int, clock: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Let a learner act and learn for a number of steps, or until the log is full.

    The environment's generator is drawn from exactly as Gymnasium's toy-text environments do: one `random()` for a
    first state and one for an outcome.

    Args:
        learner: Its NamedTuple. Modified in place.
        world: The environment. Modified in place.
        log: Of the episodes that end. Modified in place.
        num_steps: Steps to take.
        clock: Steps done before.
        rng: The learner's generator.

    Returns:
        The number of steps taken, and of episodes ended.
    """
    return _run(learner, world, world.tables.legal.reshape(-1), log, num_steps, clock, rng)


@njit(forceinline=True, makes_arrays=False)
def _steps(
    learner: Any,
    world: World,
    legal: Bools,
    legal_size: int,
    aliased: bool,
    noisy: bool,
    log: EpisodeLog,
    num_steps: int,
    clock: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Do what `run` says, in tables of a kind: how many legal actions a state has, other observations, noise."""
    tables, env_rng, limit = world.tables, world.generator, world.limit
    s, elapsed, over = world.position[0], world.position[1], world.position[2] != 0
    num_actions = tables.legal.shape[1]
    taken, episodes, running = 0, 0, log.running[0]
    reward, discount = world.feedback[0], world.feedback[1]
    observed = s
    while taken < num_steps and episodes < log.returns.shape[0]:
        if over:
            s = first_above(tables.initial_cumulative, 0, tables.initial_cumulative.shape[0], env_rng.random())
            elapsed, over = 0, False
        observed = tables.observation[s] if aliased else s
        action = act(learner, 0, observed, legal[s * legal_size : (s + 1) * legal_size], clock, rng)
        pair = s * num_actions + action
        n = first_above(tables.cumulative, tables.start[pair], tables.start[pair + 1], env_rng.random())
        s, reward, discount = tables.next_state[n], tables.reward[n], tables.discount[n]
        if noisy and tables.noise[n] > 0.0:
            reward += tables.noise[n] * env_rng.standard_normal()
        elapsed += 1
        over = discount == 0.0 or elapsed >= limit
        outcome = Outcome(observed, action, reward, discount, tables.observation[s] if aliased else s, over)
        size = 0 if discount == 0.0 else legal_size
        update(learner, 0, outcome, legal[s * size : (s + 1) * size], clock, rng)
        clock += 1
        taken += 1
        running += reward
        if over:
            log.returns[episodes], log.lengths[episodes], log.ends[episodes] = running, elapsed, clock
            episodes += 1
            running = 0.0
    world.position[0], world.position[1], world.position[2] = s, elapsed, over
    world.feedback[0], world.feedback[1] = reward, discount
    log.running[0] = running
    return taken, episodes


@njit(nogil=True, makes_arrays=False)
def _run(
    learner: Any, world: World, legal: Bools, log: EpisodeLog, num_steps: int, clock: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Do what `run` says. `legal` has the legal actions of all states [S * A]; or [0]: all are."""
    tables = world.tables
    aliased, noisy = tables.observation.shape[0] > 0, tables.noise.shape[0] > 0
    if legal.shape[0] == 0 and not aliased and not noisy:  # the usual case once more, by itself: a sixth less time
        return _steps(learner, world, legal, 0, False, False, log, num_steps, clock, rng)
    size = tables.legal.shape[1] if legal.shape[0] > 0 else 0
    return _steps(learner, world, legal, size, aliased, noisy, log, num_steps, clock, rng)

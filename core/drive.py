"""The other driver of the loop: where agent and environment both have tables, stretches of it run compiled.

The kernels are those that the agent's `act` and `update` call in `interact`, and they draw the same random numbers in
the same order: both drivers arrive at the same agent and the same environment, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tengen.contracts import Agent, CompiledAgent, Environment, TabledEnvironment
from tengen.tables import EpisodeLog
from tengen.types import Floats, Ints, Metrics

_FIRST_STRETCH = 10  # steps; of an agent that plans for long, some take a second
_LONGEST_STRETCH = 1_000_000  # steps, and episodes that one can write
_SECONDS = 0.05  # aimed at for a stretch, so that a signal is soon heard


class Stretch(NamedTuple):
    """Some turns of the loop; agent and environment are at rest behind it."""

    before: int  # decisions done before it
    num_steps: int  # decisions done
    returns: Floats  # [E], of the episodes that ended in it
    lengths: Ints  # [E], in decisions
    ends: Ints  # [E], decisions done when they ended
    unfinished: int  # decisions so far of the episode under way; 0 where there is none
    metrics: Callable[[int], Metrics]  # the agent's, after a number of decisions


def why_not_compiled(agent: Agent, env: Environment) -> str | None:
    """Return why the loop can't run compiled, or None where it can."""
    if not isinstance(agent, CompiledAgent):
        return "the agent's learning is not compiled"
    if not isinstance(env, TabledEnvironment):
        return f"{env.spec.id} is not stepped from transition tables"
    if env.spec.num_envs > 1:
        return "the compiled loop steps one environment"
    return None


def compile_loop(agent: CompiledAgent, env: TabledEnvironment) -> float:
    """Compile the loop, or load it, for an agent and a started environment; return the seconds that it took."""
    world = env.world()
    assert world is not None
    began = time.perf_counter()
    agent.drive(world, _episode_log(np.zeros(1), 1), 0)
    return time.perf_counter() - began


def drive(
    agent: CompiledAgent,
    env: TabledEnvironment,
    num_steps: int,
    start: int,
    running: Floats,
    periods: Sequence[int],
) -> Iterator[Stretch]:
    """Let an agent act and learn until `num_steps` decisions are made; yield each stretch.

    Args:
        agent: Acts and learns.
        env: Is stepped. It has been reset, or restored.
        num_steps: The total number of decisions, `start` included.
        start: Decisions made already.
        running: [1], the return so far of the episode under way. Modified in place.
        periods: A stretch ends at each multiple of one of these, where it is not 0.
    """
    count, length = start, _FIRST_STRETCH
    log = _episode_log(running, min(_LONGEST_STRETCH, num_steps - start))
    while count < num_steps:
        world = env.world()
        assert world is not None
        wanted = min([num_steps - count, length, *(period - count % period for period in periods if period > 0)])
        change = env.steps_until_change()
        wanted = wanted if change is None else min(wanted, change)
        began = time.perf_counter()
        taken, episodes = agent.drive(world, log, wanted)
        env.went_on(world, taken)
        seconds = time.perf_counter() - began
        if taken == length:
            faster = min(4.0, _SECONDS / max(seconds, 1e-6))
            length = max(1, min(_LONGEST_STRETCH, int(length * faster)))
        before, count = count, count + taken
        yield Stretch(
            before,
            count,
            log.returns[:episodes].copy(),
            log.lengths[:episodes].copy(),
            log.ends[:episodes].copy(),
            0 if world.position[2] else int(world.position[1]),
            agent.metrics,
        )


def record_episodes(agent: CompiledAgent, env: TabledEnvironment, seed: int, num_episodes: int) -> tuple[Floats, Ints]:
    """Let an agent act and learn for whole episodes; return their returns and lengths, each [num_episodes].

    It goes on with what the agent has learnt so far. Other threads run meanwhile.

    Args:
        agent: Acts and learns.
        env: Is started anew, and stepped.
        seed: Seeds the environment.
        num_episodes: How many, at least 1.
    """
    env.reset(seed)
    log = _episode_log(np.zeros(1), num_episodes)
    done = 0
    while done < num_episodes:
        world = env.world()
        assert world is not None
        left = EpisodeLog(log.running, log.returns[done:], log.lengths[done:], log.ends[done:])
        change = env.steps_until_change()
        taken, episodes = agent.drive(world, left, _LONGEST_STRETCH if change is None else change)
        env.went_on(world, taken)
        done += episodes
    return log.returns, log.lengths


def _episode_log(running: Floats, size: int) -> EpisodeLog:
    return EpisodeLog(running, np.zeros(size), np.zeros(size, np.int64), np.zeros(size, np.int64))

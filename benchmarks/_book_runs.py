"""Independent repetitions of an agent on an environment's tables, in parallel threads; and what an item is.

Repetition r of a key and a seed draws the same numbers whatever the number of threads and of repetitions.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from _book_rows import Row

from tengen.agents.tabular import TabularAgent
from tengen.contracts import TabledEnvironment
from tengen.envs import EnvConfig, make_env
from tengen.run.repetitions import num_cores
from tengen.tables import EpisodeLog, TransitionTables
from tengen.types import EnvSpec, Floats, Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STRETCH = 20_000  # steps: agents that remember episodes make room for so many

T = TypeVar("T")
Build = Callable[[EnvSpec, np.random.Generator], TabularAgent]


@dataclass(frozen=True)
class Effort:
    """How much to do.

    Attributes:
        quick: Fewer repetitions: for a check that takes minutes.
        seed: All runs follow from it.
    """

    quick: bool = False
    seed: int = 0

    def runs(self, full: int, quick: int) -> int:
        """Return the number for this effort."""
        return quick if self.quick else full

    def seed_of(self, key: str) -> np.random.SeedSequence:
        """Return the seed of what goes by a key."""
        return np.random.SeedSequence([self.seed, zlib.crc32(key.encode())])


@dataclass(frozen=True)
class Result:
    """What an item gives.

    Attributes:
        rows: Ours beside what is expected.
        draw: Draws its picture; None: it has none.
        size: Of the picture, in inches.
    """

    rows: Sequence[Row]
    draw: Callable[[Figure], None] | None = None
    size: tuple[float, float] = (7.0, 4.0)


@dataclass(frozen=True)
class Item:
    """A figure, a table or an example to remake.

    Attributes:
        name: For the command line and the picture's file.
        title: What and where in the book it is.
        make: Does the work.
    """

    name: str
    title: str
    make: Callable[[Effort], Result]


class Trial:
    """One repetition: a new agent, on an environment begun anew.

    Args:
        agent: Acts and learns.
        env: Is stepped on its tables, which do not change.
    """

    def __init__(self, agent: TabularAgent, env: TabledEnvironment) -> None:
        self.agent = agent
        self._env = env

    def episodes(self, num_episodes: int) -> tuple[Floats, Ints]:
        """Go on for whole episodes; return their returns and lengths, each [num_episodes]."""
        log = _empty_log(num_episodes)
        done = 0
        while done < num_episodes:
            left = EpisodeLog(log.running, log.returns[done:], log.lengths[done:], log.ends[done:])
            done += self._go_on(left, _STRETCH)[1]
        return log.returns, log.lengths

    def steps(self, num_steps: int) -> Ints:
        """Go on for some steps; return those at which episodes ended, [E]."""
        log = _empty_log(num_steps)
        _, episodes = self._go_on(log, num_steps)
        return log.ends[:episodes]

    def _go_on(self, log: EpisodeLog, num_steps: int) -> tuple[int, int]:
        world = self._env.world()
        assert world is not None
        taken, episodes = self.agent.drive(world, log, num_steps)
        self._env.went_on(world, taken)
        return taken, episodes


def repeat(
    build: Any,
    env_id: str,
    effort: Effort,
    num_runs: int,
    key: str,
    measure: Callable[[Trial], T],
    kwargs: Mapping[str, Any] | None = None,
) -> list[T]:
    """Make independent repetitions; return what each measured.

    Args:
        build: An agent's config, or a function of the environment's spec and a generator that returns the agent.
        env_id: The environment's name.
        effort: Has the seed.
        num_runs: How many.
        key: Names these repetitions among all: others have other seeds.
        measure: Lets a repetition go on, and returns what is of interest.
        kwargs: The environment's settings.
    """
    make: Build = build if callable(build) else lambda spec, rng: build.build(spec, rng, "cpu")
    seeds = effort.seed_of(key).spawn(num_runs)

    def some(own: Sequence[np.random.SeedSequence]) -> list[T]:
        env = make_env(EnvConfig(env_id, kwargs=dict(kwargs or {})), training=True)
        assert isinstance(env, TabledEnvironment)
        measured = []
        for seed in own:
            env_seed, agent_seed = seed.spawn(2)
            env.reset(int(env_seed.generate_state(1, np.uint64)[0] >> 1))
            measured.append(measure(Trial(make(env.spec, np.random.default_rng(agent_seed)), env)))
        return measured

    return in_threads(some, seeds)


def in_threads(work: Callable[[Sequence[Any]], Sequence[T]], items: Sequence[Any]) -> list[T]:
    """Split a list among threads, as evenly as can be; return what they make of their parts, in the list's order."""
    count = min(num_cores(), len(items))
    bounds = [len(items) * k // count for k in range(count + 1)]
    parts = [items[a:b] for a, b in pairwise(bounds)]
    with ThreadPoolExecutor(max_workers=count) as pool:
        return [result for results in pool.map(work, parts) for result in results]


def tables_of(env_id: str, **kwargs: Any) -> TransitionTables:
    """Return an environment's transition tables."""
    return spec_of(env_id, **kwargs).model  # type: ignore[return-value]  # every environment here has some


def spec_of(env_id: str, **kwargs: Any) -> EnvSpec:
    """Return what agents and planners know of an environment."""
    env = make_env(EnvConfig(env_id, kwargs=kwargs), training=True)
    env.close()
    return env.spec


def _empty_log(size: int) -> EpisodeLog:
    return EpisodeLog(np.zeros(1), np.zeros(size), np.zeros(size, np.int64), np.zeros(size, np.int64))

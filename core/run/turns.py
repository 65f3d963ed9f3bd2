"""One run's progress by its driver: the loop step by step, or stretches of it compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tengen.contracts import Agent, CompiledAgent, Environment, TabledEnvironment
from tengen.drive import drive
from tengen.loop import interact
from tengen.run.recorder import Recorder
from tengen.types import Metrics


class Turn(NamedTuple):
    """Where a run is after one turn of the loop, or a stretch of turns."""

    before: int  # decisions done before it
    num_steps: int  # decisions done
    rows: Iterable[tuple[int, Metrics]]  # of metrics, each with its step; to be taken before the next turn


def turns(
    agent: Agent,
    env: Environment,
    recorder: Recorder,
    *,
    compiled: bool,
    env_seed: int,
    start: int,
    stop: int,
    periods: Sequence[int] = (),
) -> Iterator[Turn]:
    """Let an agent act and learn from `start` to `stop` decisions; yield each turn.

    Args:
        agent: Acts and learns.
        env: Is stepped.
        recorder: Makes rows of metrics of it.
        compiled: Whether stretches of the loop run compiled, which agent and environment must be able to.
        env_seed: Seeds the environment where `start` is 0.
        start: Decisions made already.
        stop: Decisions in the end.
        periods: A compiled stretch ends at each multiple of one of these, where it is not 0.
    """
    if not compiled:
        num_envs = env.spec.num_envs
        for tick in interact(agent, env, stop, env_seed, start):
            yield Turn(tick.num_steps - num_envs, tick.num_steps, recorder.rows(tick))
        return
    assert isinstance(agent, CompiledAgent)
    assert isinstance(env, TabledEnvironment)
    if start == 0:
        env.reset(env_seed)
    for stretch in drive(agent, env, stop, start, recorder.returns, periods):
        yield Turn(stretch.before, stretch.num_steps, recorder.rows_of_stretch(stretch))

"""The one loop in which every agent meets every environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tengen.contracts import Agent, Environment
from tengen.types import Decision, Metrics, TimeStep


class Tick(NamedTuple):
    """One turn of the loop: every environment took one step, and the agent learnt from it."""

    num_steps: int  # decisions so far, summed over environments
    step: TimeStep
    decision: Decision
    next_step: TimeStep
    metrics: Metrics


def interact(agent: Agent, env: Environment, num_steps: int, seed: int, start: int = 0) -> Iterator[Tick]:
    """Let an agent act and learn until `num_steps` decisions are made; yield each tick.

    What consumes the ticks logs, evaluates and checkpoints: between two ticks agent and environment are at rest. With
    several environments the last tick may go past `num_steps` by up to B - 1 decisions.

    Args:
        agent: Acts and learns.
        env: Is stepped, and reset where an episode is over.
        num_steps: The total number of decisions, `start` included.
        seed: Seeds the environment; not used when going on.
        start: 0 for a new run. Otherwise the decisions already made by an agent and an environment that were
            restored, which then go on from where they are.
    """
    step = env.reset(seed) if start == 0 else env.reset_done()
    count = start
    while count < num_steps:
        decision = agent.act(step)
        next_step = env.step(decision.actions)
        metrics = agent.update(step, decision, next_step)
        count += len(next_step.reward)
        yield Tick(count, step, decision, next_step, metrics)
        if count < num_steps:  # else the environment stays as the last tick showed it, to be saved or gone on with
            step = env.reset_done() if np.count_nonzero(next_step.last) else next_step

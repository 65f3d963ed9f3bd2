"""Turns ticks of the loop into rows of metrics, the same rows whether or not a run was interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from tengen.loop import Tick
from tengen.types import Metrics, State


class Recorder:
    """Adds up episodes and keeps the latest metrics of the agent.

    Args:
        num_envs: B.
        period: Environment steps between rows of the agent's metrics.
        start: Environment steps already done.
    """

    def __init__(self, num_envs: int, period: int, start: int = 0) -> None:
        self.period = period
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._latest: Metrics = {}
        self._start = start
        self._began = time.perf_counter()

    def rows(self, tick: Tick) -> Iterator[Metrics]:
        """Yield the rows that a tick completes: one for each finished episode, and the agent's when it is due.

        An episode's return is that of the task's own reward (`TimeStep.score` where there is one).
        """
        step = tick.next_step
        self._returns += step.reward if step.score is None else step.score
        self._lengths += 1
        if tick.metrics:
            self._latest = tick.metrics
        if step.last.any():
            for row in np.flatnonzero(step.last):
                yield {
                    "charts/episodic_return": float(self._returns[row]),
                    "charts/episodic_length": int(self._lengths[row]),
                }
            self._returns[step.last] = 0
            self._lengths[step.last] = 0
        if crossed(tick.num_steps, len(step.last), self.period):
            yield {
                **{name: float(value) for name, value in self._latest.items()},
                "charts/SPS": self.steps_per_second(tick),
            }

    def steps_per_second(self, tick: Tick) -> float:
        """Return environment steps a second since this session began."""
        return round((tick.num_steps - self._start) / max(time.perf_counter() - self._began, 1e-9), 1)

    def state_dict(self) -> State:
        """Return the unfinished episodes and the latest metrics."""
        return {
            "returns": self._returns,
            "lengths": self._lengths,
            "latest": {name: float(value) for name, value in self._latest.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self._returns[:] = state["returns"]
        self._lengths[:] = state["lengths"]
        self._latest = dict(state["latest"])


def crossed(num_steps: int, stride: int, period: int) -> bool:
    """Return whether the last tick, of `stride` steps, reached or passed a multiple of a period (0: never)."""
    return period > 0 and num_steps // period > (num_steps - stride) // period

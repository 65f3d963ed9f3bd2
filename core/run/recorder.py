"""Turns ticks of the loop into rows of metrics, the same rows whether or not a run was interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np

from tengen.drive import Stretch
from tengen.loop import Tick
from tengen.types import Bools, Metrics, State


class Recorder:
    """Adds up episodes and keeps the latest metrics of the agent.

    An episode's return is that of the task's own reward (`TimeStep.score` where there is one).

    Args:
        num_envs: B.
        period: Environment steps between rows of the agent's metrics.
        start: Environment steps already done.
        each_episode: A row for each finished episode; else each period's row has the means of those that ended in it.
    """

    def __init__(self, num_envs: int, period: int, start: int = 0, each_episode: bool = True) -> None:
        self.period = period
        self.each_episode = each_episode
        self.returns = np.zeros(num_envs)  # [B], of the episodes under way
        self._ticks = 0
        self._began_at = np.zeros(num_envs, np.int64)  # [B], the ticks before the episodes under way
        self._sums = np.zeros(3)  # of the episodes since the last row: returns, lengths, their number
        self._latest: Metrics = {}
        self._start = start
        self._started = time.perf_counter()

    def rows(self, tick: Tick) -> Iterable[tuple[int, Metrics]]:
        """Return the rows that a tick completes, each with its step: one for each finished episode, and the agent's.

        They are to be taken before the next tick.
        """
        num_steps, _, _, step, metrics = tick
        returns = self.returns
        np.add(returns, step.reward if step.score is None else step.score, returns)
        self._ticks += 1
        if metrics:
            self._latest = metrics
        due = crossed(num_steps, len(step.last), self.period)
        return self._rows(num_steps, step.last, due) if due or np.count_nonzero(step.last) else ()

    def _rows(self, num_steps: int, last: Bools, due: bool) -> Iterator[tuple[int, Metrics]]:
        for row in np.flatnonzero(last):
            yield from self._episode(num_steps, float(self.returns[row]), int(self._ticks - self._began_at[row]))
        self.returns[last] = 0
        self._began_at[last] = self._ticks
        if due:
            yield num_steps, self._period_row(num_steps)

    def rows_of_stretch(self, stretch: Stretch) -> Iterator[tuple[int, Metrics]]:
        """Yield the same rows for a stretch of a compiled loop, which adds to `returns` by itself."""
        episode, period = 0, self.period
        for due in range((stretch.before // period + 1) * period, stretch.num_steps + 1, period):
            stop = int(np.searchsorted(stretch.ends, due, "right"))
            yield from self._episodes(stretch, episode, stop)
            episode = stop
            self._latest = stretch.metrics(due)
            yield due, self._period_row(stretch.num_steps)
        yield from self._episodes(stretch, episode, len(stretch.ends))
        self._latest = stretch.metrics(stretch.num_steps)
        self._began_at[0] = self._ticks - stretch.unfinished

    def _episodes(self, stretch: Stretch, start: int, stop: int) -> Iterator[tuple[int, Metrics]]:
        if self.each_episode:
            for n in range(start, stop):
                yield from self._episode(int(stretch.ends[n]), float(stretch.returns[n]), int(stretch.lengths[n]))
        elif stop > start:
            for k, values in enumerate((stretch.returns, stretch.lengths)):  # added one by one, as `_episode` does
                self._sums[k] = np.cumsum(np.concatenate([self._sums[k : k + 1], values[start:stop]]))[-1]
            self._sums[2] += stop - start

    def _episode(self, num_steps: int, episodic_return: float, length: int) -> Iterator[tuple[int, Metrics]]:
        if self.each_episode:
            yield num_steps, {"charts/episodic_return": episodic_return, "charts/episodic_length": length}
        else:
            self._sums += (episodic_return, length, 1)

    def _period_row(self, num_steps: int) -> Metrics:
        row = {name: float(value) for name, value in self._latest.items()}
        count = self._sums[2]
        if count:
            row["charts/episodic_return"] = float(self._sums[0] / count)
            row["charts/episodic_length"] = float(self._sums[1] / count)
            row["charts/episodes"] = float(count)
            self._sums[:] = 0
        return {**row, "charts/SPS": self.steps_per_second(num_steps)}

    def steps_per_second(self, num_steps: int) -> float:
        """Return environment steps a second since this session began."""
        return round((num_steps - self._start) / max(time.perf_counter() - self._started, 1e-9), 1)

    def state_dict(self) -> State:
        """Return the unfinished episodes, the sums since the last row and the latest metrics."""
        return {
            "returns": self.returns,
            "lengths": self._ticks - self._began_at,
            "sums": self._sums,
            "latest": {name: float(value) for name, value in self._latest.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.returns[:] = state["returns"]
        self._began_at[:] = self._ticks - np.asarray(state["lengths"])
        self._sums[:] = state["sums"]
        self._latest = dict(state["latest"])


def crossed(num_steps: int, stride: int, period: int) -> bool:
    """Return whether the last tick, of `stride` steps, reached or passed a multiple of a period (0: never)."""
    return period > 0 and num_steps // period > (num_steps - stride) // period

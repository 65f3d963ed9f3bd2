"""When the learner's work is done: at once, or while the environments take their next step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch

from tengen.types import Metrics, State

Work = Callable[[], Metrics]


class Pace(Protocol):
    """Runs what the learner has to do."""

    def start(self, work: Work) -> Metrics:
        """Begin a piece of work, and return what has come of it already; what was begun before was collected."""
        ...

    def finish(self) -> None:
        """Wait for work that was begun. What came of it stays to be collected."""
        ...

    def collect(self) -> Metrics:
        """Wait for work that was begun, and return what came of it; nothing if there was none since the last call."""
        ...

    def state_dict(self) -> State:
        """Return what is still to be collected."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        ...


class AtOnce:
    """Learns within `update`, then acts by what was learnt."""

    def start(self, work: Work) -> Metrics:
        """Do the work."""
        return work()

    def finish(self) -> None:
        """Do nothing."""

    def collect(self) -> Metrics:
        """Return nothing: all was returned by `start`."""
        return {}

    def state_dict(self) -> State:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Do nothing."""


class Overlapped:
    """Learns in a thread while the environments take their next step.

    Work begun in one `update` is waited for in the next, before anything is remembered. So the learner always learns
    from data up to the tick before, and actions are chosen by what was learnt before that: which thread is faster makes
    no difference to the numbers.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._work: Future[Metrics] | None = None
        self._restored: Metrics = {}

    def start(self, work: Work) -> Metrics:
        """Begin the work in the thread."""
        assert self._work is None, "the work before was not collected"
        if self._pool is None:  # torch's number of threads is each thread's own, and not known earlier
            self._pool = ThreadPoolExecutor(1, "learner", torch.set_num_threads, (torch.get_num_threads(),))
        self._work = self._pool.submit(work)
        return {}

    def finish(self) -> None:
        """Wait for the work."""
        if self._work is not None:
            self._work.result()

    def collect(self) -> Metrics:
        """Wait for the work, and return what came of it."""
        if self._work is None:
            metrics, self._restored = self._restored, {}
            return metrics
        metrics = self._work.result()
        self._work = None
        return metrics

    def state_dict(self) -> State:
        """Return what came of the work."""
        metrics = self._restored if self._work is None else self._work.result()
        return {"metrics": {name: float(value) for name, value in metrics.items()}}

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.finish()
        self._work = None
        self._restored = dict(state["metrics"])

"""How far many runs are: bars on a terminal, a plain line now and then elsewhere. Always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from tengen.tracking.progress import LINE_PERIOD

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import TaskID


class RunsDisplay:
    """A Display; used as a context manager.

    Args:
        totals: The steps that each run will have, by its name.
        stream: Where to show it; standard error unless given. rich is imported only if it is a terminal.
    """

    def __init__(self, totals: Mapping[str, int], stream: TextIO | None = None) -> None:
        self._totals = totals
        self._stream = sys.stderr if stream is None else stream
        self._started: tuple[float, int] | None = None
        self._shown_at = time.monotonic()
        self._shown: tuple[int, int] | None = None
        self._latest: tuple[Mapping[str, int], Sequence[str], int] = ({}, (), 0)
        self._tasks: dict[str, TaskID] = {}
        self._bars: Any = _rich_bars(self._stream) if self._stream.isatty() else None
        if self._bars is not None:
            self._whole = self._bars.add_task("all runs", total=sum(totals.values()))

    def __enter__(self) -> RunsDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        elif self._latest[0]:
            self._line()

    def show(self, steps: Mapping[str, int], running: Sequence[str], done: int) -> None:
        """Show the steps of each run by its name, which are running, and how many are done."""
        self._latest = steps, running, done
        total = sum(steps.values())
        if self._started is None:
            self._started = time.monotonic(), total
        if self._bars is not None:
            self._show_bars(steps, running, done, total)
        elif time.monotonic() - self._shown_at >= LINE_PERIOD:
            self._line()

    def message(self, text: str) -> None:
        """Show a line of its own."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def _show_bars(self, steps: Mapping[str, int], running: Sequence[str], done: int, total: int) -> None:
        for name in [name for name in self._tasks if name not in running]:
            self._bars.remove_task(self._tasks.pop(name))
        for name in running:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=self._totals.get(name))
            self._bars.update(self._tasks[name], completed=steps[name])
        what = f"{done} of {len(self._totals)} runs done{self._left(total)}"
        self._bars.update(self._whole, completed=total, description=what)

    def _line(self) -> None:
        self._shown_at = time.monotonic()
        steps, running, done = self._latest
        total = sum(steps.values())
        if self._shown == (done, total):
            return
        self._shown = (done, total)
        percent = 100 * total // max(1, sum(self._totals.values()))
        parts = [f"{done} of {len(self._totals)} runs done, {percent}% of all steps{self._left(total)}"]
        parts += [f"{name}: {steps[name]:,}" for name in running]
        print(" · ".join(parts), file=self._stream, flush=True)

    def _left(self, total: int) -> str:
        """Return how long the rest will take, at the pace so far."""
        assert self._started is not None
        began, steps = self._started
        seconds = time.monotonic() - began
        if total <= steps or seconds < LINE_PERIOD:
            return ""
        minutes, rest = divmod(round((sum(self._totals.values()) - total) * seconds / (total - steps)), 60)
        return f", {minutes}:{rest:02} left" if minutes or rest else ""


def _rich_bars(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(file=stream, force_terminal=True),
        redirect_stdout=False,
        refresh_per_second=4,
    )
    bars.start()
    return bars

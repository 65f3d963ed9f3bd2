"""How far training is: a bar on a terminal, a plain line now and then elsewhere. Always on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from tengen.types import Metrics

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

LINE_PERIOD = 10.0
"""Seconds between plain lines."""

_SHOWN = {"charts/episodic_return": "return", "charts/epsilon": "epsilon", "losses/loss": "loss"}
_SPEED = "charts/SPS"


class Progress:
    """A Tracker that shows the last values it was given.

    Args:
        total_steps: Where the run ends.
        start_step: Where it begins: 0, or the step it was resumed from.
        stream: Where to show it; standard error unless given. rich is imported only if it is a terminal.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        total_steps: int,
        start_step: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total_steps
        self._step = start_step
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._first: tuple[float, int] | None = None  # the time and step of the first row: getting there is no training
        self._shown_time: float | None = None
        self._shown_step: int | None = None
        self._values: dict[str, float] = {}
        self._gone = False
        self._bar = _rich_bar(self._stream, total_steps, start_step) if _is_terminal(self._stream) else None

    def write(self, step: int, metrics: Metrics) -> None:
        """Move to a step and remember those of its metrics that are shown. `write(step, {})` only moves."""
        self._step = step
        if self._first is None:
            self._first = self._clock(), step
        for name in (*_SHOWN, _SPEED):
            if name in metrics:
                self._values[name] = float(metrics[name])
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, status=self._status())
        elif self._shown_time is None or self._clock() - self._shown_time >= LINE_PERIOD:
            self._line()

    def message(self, text: str) -> None:
        """Print a line of its own, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._print(text)

    def close(self) -> None:
        """Show where it ended, and give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._first is not None and self._step != self._shown_step:
            self._line()
        self._shown_step = self._step  # a second call shows nothing

    def _speed(self) -> float:
        """Return steps/s: as measured by the run if it says so, else the mean since the first row; 0 if unknown."""
        if _SPEED in self._values:
            return self._values[_SPEED]
        if self._first is None:
            return 0.0
        time_then, step_then = self._first
        seconds = self._clock() - time_then
        return (self._step - step_then) / seconds if seconds > 0 else 0.0

    def _status(self) -> str:
        speed = self._speed()
        parts = [f"{speed:,.0f} steps/s"] if speed > 0 else []
        parts += [f"{label} {self._values[name]:.4g}" for name, label in _SHOWN.items() if name in self._values]
        if speed > 0 and self._step < self._total:
            parts.append(f"{_duration((self._total - self._step) / speed)} left")
        return " · ".join(parts)

    def _line(self) -> None:
        self._shown_time, self._shown_step = self._clock(), self._step
        percent = 100 * self._step // max(self._total, 1)
        status = self._status()
        self._print(f"step {self._step:,}/{self._total:,} ({percent}%)" + (f" · {status}" if status else ""))

    def _print(self, text: str) -> None:
        if self._gone:
            return
        try:
            print(text, file=self._stream, flush=True)
        except (OSError, ValueError):  # whoever read it has gone (a closed pipe); the run has not
            self._gone = True


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    except ValueError:  # closed
        return False


def _rich_bar(stream: TextIO, total_steps: int, start_step: int) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(file=stream, force_terminal=True),
        redirect_stdout=False,  # standard output is for results
        refresh_per_second=4,
        expand=True,
    )
    bar.add_task("", total=total_steps, completed=start_step, status="")
    bar.start()
    return bar


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

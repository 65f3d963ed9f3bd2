"""Schedules: values that depend on the number of steps done, counted from the run's start.

They count absolute steps from the config, so that a longer run moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearSchedule:
    """Goes from `start` to `end` in a straight line over `num_steps` environment steps, then stays."""

    start: float
    end: float
    num_steps: int

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        if step >= self.num_steps:
            return self.end
        return self.start + (self.end - self.start) * step / self.num_steps

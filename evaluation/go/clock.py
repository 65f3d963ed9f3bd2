"""How long to think about a move, so that a game ends before its time does.

GTP has Canadian overtime (section 4.2): main time, and then a number of stones within each further period.
"""

from __future__ import annotations

from typing import NamedTuple

_SAFETY = 0.05  # seconds kept back of each move, for all that is not thinking
_SHARE = 0.9  # of a period's time for a stone
_LEAST_MOVES = 12  # that a game is taken to go on for


class Remaining(NamedTuple):
    """A side's time."""

    seconds: float
    stones: int  # to be played within them; 0: main time


class Clock:
    """Two sides' time. None is kept until `set`, or of one side until the controller has said what it has `left`."""

    def __init__(self) -> None:
        self._main = 0.0
        self._period = 0.0
        self._stones = 0
        self._limited = False
        self._remaining: dict[int, Remaining] = {}

    def set(self, main: float, period: float, stones: int) -> None:
        """Set the rule for both sides: main time, and `stones` in each period after it.

        A period without stones means that there is no limit.
        """
        self._main, self._period, self._stones = main, period, stones
        self._limited = not (period > 0 and stones == 0)
        self._remaining.clear()

    def restart(self) -> None:
        """Give both sides all of their time again."""
        self._remaining.clear()

    def left(self, color: int, seconds: float, stones: int) -> None:
        """Take the controller's word for what a side has left; main time that is over is overtime's beginning."""
        over = seconds <= 0 and stones == 0 and self._stones > 0
        self._remaining[color] = Remaining(self._period, self._stones) if over else Remaining(seconds, stones)

    def spend(self, color: int, seconds: float) -> None:
        """Count time that a side has thought."""
        if not self._has_limit(color):
            return
        left = self._of(color)
        seconds, stones = left.seconds - seconds, left.stones
        if stones > 0:
            stones -= 1
        if (seconds <= 0 or (left.stones > 0 and stones == 0)) and self._stones > 0:
            seconds, stones = self._period, self._stones  # the next period
        self._remaining[color] = Remaining(max(seconds, 0.0), stones)

    def seconds(self, color: int, moves: int, points: int) -> float | None:
        """Return how long to think about the next move; None: there is no limit.

        Args:
            color: Who.
            moves: In the game so far, of both.
            points: Of the board. A game is taken to last about as many moves as there are points.
        """
        if not self._has_limit(color):
            return None
        left = self._of(color)
        if left.stones > 0:
            share = _SHARE * left.seconds / left.stones
        else:
            share = left.seconds / max((points - moves) / 2, _LEAST_MOVES)
            if self._stones > 0:
                share = max(share, min(_SHARE * self._period / self._stones, left.seconds))
        return max(share - _SAFETY, 0.01)

    def _has_limit(self, color: int) -> bool:
        return self._limited or color in self._remaining

    def _of(self, color: int) -> Remaining:
        if color in self._remaining:
            return self._remaining[color]
        if self._main <= 0 and self._stones > 0:
            return Remaining(self._period, self._stones)
        return Remaining(self._main, 0)

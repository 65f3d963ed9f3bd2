"""Sides of a benchmark that take turns, each in a process of its own, or all in one."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

from _atari_sides import Side


class Turn(NamedTuple):
    """What came of one."""

    seconds: float
    updates: int
    loss: float
    return_mean: float  # of the latest 50 training episodes; nan before the first


class Player(Protocol):
    """Has a side."""

    def turn(self, num_steps: int) -> Turn:
        """Train for a number of steps."""
        ...


class Here:
    """Has it in this process."""

    def __init__(self, make: Callable[..., Side], *arguments: Any) -> None:
        self._side = make(*arguments)

    def turn(self, num_steps: int) -> Turn:
        """Train for a number of steps."""
        side, began = self._side, time.perf_counter()
        side.run(num_steps)
        seconds = time.perf_counter() - began
        mean = statistics.fmean(side.returns[-50:]) if side.returns else float("nan")
        return Turn(seconds, side.updates, side.loss, mean)


class Apart:
    """Has it in a process of its own, which sleeps while others have their turns.

    How often a process asks the system for memory depends on what was allocated in it before, by whomever.
    """

    def __init__(self, make: Callable[..., Side], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, its_end = context.Pipe()
        context.Process(target=_serve, args=(its_end, make, *arguments), daemon=True).start()
        its_end.close()  # so that its death is seen as an end of the file

    def turn(self, num_steps: int) -> Turn:
        """Train for a number of steps."""
        self._pipe.send(num_steps)
        turn: Turn = self._pipe.recv()
        return turn


def _serve(pipe: Connection, make: Callable[..., Side], *arguments: Any) -> None:
    player = Here(make, *arguments)
    while True:
        try:
            num_steps = pipe.recv()
        except EOFError:
            return
        pipe.send(player.turn(num_steps))

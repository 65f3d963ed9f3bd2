"""Times Go: light playouts, random games (list the legal moves, play one) beside each peer, searches, and players.

All is on one core, but for players of two threads.

A light playout is a random game from the empty board in which nobody fills an eye; no peer has one that is comparable.
A ply of a random game is to list all legal moves and to play one of them; what each engine does about positions that
come again is said, since it is part of the work. Sides take turns within one process; shown are medians, and how many
times as fast our compiled loop is (the median over rounds). A search is of the empty board, a turn long, by what judges
its leaves; said is what share of the time that takes, and what share the guesses of what new moves are worth. A player
thinks about the empty board, with one thread or two.

    python benchmarks/go.py
    python benchmarks/go.py --parts searches
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from _command import output_file, positive_float, positive_int, write_table
from _go_sides import sides

import tengen
from tengen.cli.guard import guarded
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
COLUMNS = (
    "date",
    "what",
    "size",
    "package",
    "version",
    "side",
    "median",
    "min",
    "max",
    "unit",
    "compiled_loop_is_times_as_fast",
    "note",
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive_int, default=5, help="turns of each side")
    parser.add_argument("--seconds", type=positive_float, default=1.0, help="of a turn")
    parser.add_argument("--sizes", type=int, nargs="+", default=[9, 19])
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=PARTS)
    parser.add_argument("--out", type=output_file, default=Path(__file__).parent / "results" / "go.csv", help="CSV")
    settings = parser.parse_args(argv)

    cores = os.sched_getaffinity(0)
    rows: list[dict[str, Any]] = []
    for part in settings.parts:
        os.sched_setaffinity(0, cores if part == "threads" else {min(cores)})  # one, whatever threads a peer has
        for size in settings.sizes:
            rows += PARTS[part](size, settings)
    write_table(settings.out, COLUMNS, rows)


def playouts(size: int, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time light playouts from the empty board."""
    go, rng, num = Go(Rules(size=size)), np.random.default_rng(0), 500
    states = go.init(rng, num)
    go.playouts(states, np.arange(num, dtype=np.uint64))  # compiles
    rates = []
    for _ in range(settings.rounds):
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < settings.seconds:
            go.playouts(states, rng.integers(2**64, size=num, dtype=np.uint64))
            count += num
        rates.append(count / took)
    return [row("light playouts", size, "tengen", "Go.playouts", rates, "playouts/s", None, "")]


def plies(size: int, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time random games, ours and each peer's in turns."""
    found, missing = sides(size)
    for line in missing:
        print(line, flush=True)
    rates = in_turns(found, settings)
    rows = []
    for side, rate in zip(found, rates, strict=True):
        ratio = statistics.median(ours / its for ours, its in zip(rates[0], rate, strict=True))
        rows.append(row("random games", size, side.package, side.name, rate, "plies/s", ratio, side.repeats))
    return rows


def tree_searches(size: int, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time searches, each in its turn."""
    from _go_searches import searches  # it imports torch

    found = searches(size)
    rows = []
    for side, turns in zip(found, in_turns(found, settings), strict=True):
        rates, judging, guessing = zip(*turns, strict=True)
        note = f"judging takes {statistics.median(judging):.0%}, guessing {statistics.median(guessing):.0%}"
        rows.append(row("search", size, side.package, side.name, rates, "simulations/s", None, note))
    return rows


def threads(size: int, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time players that think with one thread and with two."""
    from _go_searches import players  # it imports torch

    found = players(size)
    return [
        row("player", size, side.package, side.name, rates, "simulations/s", None, "")
        for side, rates in zip(found, in_turns(found, settings), strict=True)
    ]


class Side(Protocol[T_co]):
    """What is timed, a turn of some seconds after another."""

    def turn(self, seconds: float) -> T_co:
        """Return what came of a turn."""
        ...


def in_turns(found: Sequence[Side[T]], settings: argparse.Namespace) -> list[list[T]]:
    """Return what each side's turns gave, after a short one that compiles."""
    results: list[list[T]] = [[] for _ in found]
    for side in found:
        side.turn(0.1)
    for _ in range(settings.rounds):
        for side, result in zip(found, results, strict=True):
            result.append(side.turn(settings.seconds))
    return results


PARTS = {"playouts": playouts, "plies": plies, "searches": tree_searches, "threads": threads}


def row(
    what: str,
    size: int,
    package: str,
    side: str,
    rates: Sequence[float],
    unit: str,
    ratio: float | None,
    note: str,
) -> dict[str, Any]:
    """Return a row, and print it."""
    times = "" if ratio is None else f"{ratio:.3g}"
    values = [f"{value:.0f}" for value in (statistics.median(rates), min(rates), max(rates))]
    print(
        f"{size:>2}x{size:<2} {what:<14} {package:<11} {side:<28} {values[0]:>9} {unit:<10} {times:>6} {note}",
        flush=True,
    )
    version = tengen.__version__ if package == "tengen" else importlib.metadata.version(package)
    found = (datetime.date.today().isoformat(), what, size, package, version, side, *values, unit, times, note)
    return dict(zip(COLUMNS, found, strict=True))


if __name__ == "__main__":
    sys.exit(guarded(main))

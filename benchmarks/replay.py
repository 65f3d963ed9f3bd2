"""Times replays: batches of 32 transitions of 4 x 84 x 84 pixels, ours and those of each peer that is installed.

All are given the same steps, more than they hold, and then sampled in turns within one process; each batch is dropped
before the next is drawn. A prioritized one also updates the priorities of what it drew. Shown are medians of
batches/s, how many times as fast ours is (the median over rounds), and the resident memory that filling it took, for
each transition.

What each side returns is compared with what was put in, byte for byte. Ours must be the same throughout. Of a peer,
the first stacks of an episode, the observation after its end, stacks of which frames were written over, and what
follows the newest step may differ, which is then said: some repeat a frame where others put zeros, and some don't keep
what comes last.

Last, replays of a million frames are filled, checked and measured.

Exits with code 1 where ours is slower than a peer's or gives less than 10,000 batches/s, or where a million takes
more than 8 GB.

    python benchmarks/replay.py
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _command import non_negative_int, output_file, positive_float, positive_int, write_table
from _replay_sides import STACK, Game, Ours, Side, number_of, sides

from tengen.cli.guard import guarded

WANTED_RATE, WANTED_BYTES = 10_000.0, 8e9
COLUMNS = (
    "what",
    "package",
    "version",
    "replay",
    "median",
    "min",
    "max",
    "unit",
    "ours_is_times_as_fast",
    "bytes_per_transition",
    "contents",
    "note",
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive_int, default=7, help="turns of each side")
    parser.add_argument("--seconds", type=positive_float, default=0.5, help="of a turn")
    parser.add_argument("--batch-size", type=positive_int, default=32)
    parser.add_argument("--capacity", type=positive_int, default=30_000, help="of each replay that is raced")
    parser.add_argument("--length", type=positive_int, default=180, help="steps of an episode")
    parser.add_argument(
        "--million", type=non_negative_int, default=1_000_000, help="capacity of the large one; 0: none"
    )
    parser.add_argument("--out", type=output_file, default=Path(__file__).parent / "results" / "replay.csv", help="CSV")
    settings = parser.parse_args(argv)

    rows, complaints = [], []
    for prioritized in (False, True):
        found = race(settings, prioritized=prioritized)
        rows += found
        if found[0]["median"] < WANTED_RATE:
            complaints.append(f"{found[0]['replay']}: {found[0]['median']:.0f} batches/s, {WANTED_RATE:.0f} are wanted")
        behind = [peer for peer in found[1:] if peer["ours_is_times_as_fast"] < 1]
        complaints += [f"{found[0]['replay']} is slower than {peer['package']}'s {peer['replay']}" for peer in behind]
    if settings.million:
        for prioritized in (False, True):
            rows.append(large(settings, prioritized=prioritized))
            if rows[-1]["bytes_per_transition"] * settings.million > WANTED_BYTES:
                complaints.append(f"{settings.million} frames take more than {WANTED_BYTES / 1e9:g} GB")
    write_table(settings.out, COLUMNS, ({name: shown(value) for name, value in row.items()} for row in rows))
    if complaints:
        raise SystemExit("\n".join(complaints))


def race(settings: argparse.Namespace, *, prioritized: bool) -> list[dict[str, Any]]:
    """Fill, check and time replays in turns; return a row of each, ours first."""
    makers, missing = sides(prioritized=prioritized)
    for package in missing:
        print(f"{package} is not installed: left out", flush=True)
    game = Game(settings.length)
    runners: list[tuple[Side, float, str]] = []
    for make in makers:
        side, num_bytes = filled(make, game, settings.capacity)
        same = contents(side, game, settings, settings.capacity)
        runners.append((side, num_bytes / settings.capacity, same))
    rates: list[list[float]] = [[] for _ in runners]
    for _ in range(settings.rounds):
        for (side, _, _), rate in zip(runners, rates, strict=True):
            rate.append(turn(side, settings.batch_size, settings.seconds))
    what = "prioritized: sample and update" if prioritized else "uniform: sample"
    note = (
        f"{settings.rounds} rounds of {settings.seconds:g} s, batches of {settings.batch_size}, capacity "
        f"{settings.capacity}, episodes of {settings.length} steps"
    )
    rows = []
    for (side, held, same), rate in zip(runners, rates, strict=True):
        ratio = statistics.median(ours / its for ours, its in zip(rates[0], rate, strict=True))
        rows.append(row(what, side, rate, ratio, held, same, note))
    return rows


def large(settings: argparse.Namespace, *, prioritized: bool) -> dict[str, Any]:
    """Fill, check and time one replay of ours of a million frames."""
    game = Game(settings.length)
    side, num_bytes = filled(partial(Ours, prioritized=prioritized), game, settings.million)
    assert isinstance(side, Ours)
    same = contents(side, game, settings, settings.million)
    rates = [turn(side, settings.batch_size, settings.seconds) for _ in range(settings.rounds)]
    num_held = len(side.replay)
    note = f"{num_held} transitions in {settings.million} frames, {num_bytes / 1e9:.3f} GB resident"
    what = f"a million frames, {'prioritized' if prioritized else 'uniform'}"
    return row(what, side, rates, None, num_bytes / num_held, same, note)


def filled(make: Callable[[int], Side], game: Game, capacity: int) -> tuple[Side, int]:
    """Return a full replay, and the bytes of memory that this took."""
    small = make(1000)  # imports and compiles what is needed
    fill(small, game, 1000)
    small.sample(32)
    before = resident()
    side = make(capacity)
    fill(side, game, capacity)
    return side, resident() - before


def fill(side: Side, game: Game, capacity: int) -> None:
    """Add a fifth more steps than it holds."""
    for number, step in game.steps(capacity + capacity // 5):
        side.add(step, game.place(number) == 0)


def contents(side: Side, game: Game, settings: argparse.Namespace, num_held: int) -> str:
    """Compare what is sampled with what was put in; return in what it differs.

    Args:
        side: A replay that was filled by `fill`.
        game: What with.
        settings: Of the benchmark.
        num_held: How many steps it was meant to hold.

    Raises:
        AssertionError: Ours differs anywhere, or a peer's where there is no reason to.
    """
    differing: dict[str, int] = {}
    count = 0
    for _ in range(100):
        sample = side.plain(side.sample(settings.batch_size))
        for n in range(settings.batch_size):
            number = number_of(sample.observation[n])
            wanted = game.step(number)
            reasons = {
                "at an episode's start": game.place(number) < STACK - 1,
                "at its end": bool(wanted.terminated),
                "where older frames are gone": game.index(number) < num_held // 5 + STACK,
                "at the newest step": game.index(number) == num_held + num_held // 5 - 1,
            }
            where = next((name for name, reason in reasons.items() if reason), None)
            same = [np.array_equal(got[n], right) for got, right in zip(sample, wanted, strict=True)]
            if not all(same):
                expected = where is not None and side.package != "tengen"
                assert expected, f"{side.name} gives frame {number} as it was not put in"
                differing[str(where)] = differing.get(str(where), 0) + 1
            count += 1
    found = [f"{number} differ {where}" for where, number in sorted(differing.items())]
    return f"{count} compared: {', '.join(found) or 'the same'}"


def turn(side: Side, batch_size: int, seconds: float) -> float:
    """Return batches/s over some time."""
    count, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds or not count:
        for _ in range(20):
            side.sample(batch_size)
        count += 20
    return count / took


def resident() -> int:
    """Return the bytes of memory that the process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def row(
    what: str, side: Side, rates: Sequence[float], ratio: float | None, held: float, same: str, note: str
) -> dict[str, Any]:
    """Return a row, and print it."""
    version = importlib.metadata.version(side.package)
    rate = statistics.median(rates), min(rates), max(rates), "batches/s"
    found = (what, side.package, version, side.name, *rate, ratio, held, same, note)
    line = {name: value for name, value in zip(COLUMNS, found, strict=True) if value is not None}
    print("  ".join(f"{name} {shown(value)}" for name, value in line.items()), flush=True)
    return line


def shown(value: Any) -> str:
    """Return a value as it is printed."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e3 else f"{value:.0f}"


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Times the help of each command as a user meets it: the installed script, in a process of its own.

Exits with code 1 where a median is over its budget.

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from _command import output_file, positive_int, write_table

from tengen.cli.guard import guarded

COLUMNS = ("command", "median_ms", "min_ms", "max_ms", "budget_ms", "runs")
TENGEN = Path(sys.executable).parent / "tengen"
HELP_MS, COMMAND_HELP_MS = 150, 300
COMMANDS = "train evaluate play inspect plan perceive compare gtp match sweep checkpoint list"
BUDGETS = {"": HELP_MS, **dict.fromkeys(COMMANDS.split(), COMMAND_HELP_MS)}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", type=positive_int, default=20, help="timed runs of each command, after one that is not"
    )
    parser.add_argument(
        "--out", type=output_file, default=Path(__file__).parent / "results" / "startup.csv", help="CSV"
    )
    settings = parser.parse_args(argv)
    rows, slow = [], []
    for command, budget in BUDGETS.items():
        arguments = [*command.split(), "--help"]
        times = wall_times(arguments, settings.runs)
        name, median = " ".join(["tengen", *arguments]), statistics.median(times)
        rows.append([name, *(f"{value:.1f}" for value in (median, min(times), max(times))), budget, settings.runs])
        print("  ".join(f"{column} {value}" for column, value in zip(COLUMNS, rows[-1], strict=True)), flush=True)
        if median > budget:
            slow.append(f"{name}: {median:.0f} ms, over its budget of {budget} ms")
    write_table(settings.out, COLUMNS, rows)
    if slow:
        raise SystemExit("\n".join(slow))


def wall_times(arguments: Sequence[str], num_runs: int) -> list[float]:
    """Return the milliseconds of each run; a first one, which warms the caches, is left out."""
    times = []
    for _ in range(num_runs + 1):
        start = time.perf_counter()
        subprocess.run([TENGEN, *arguments], stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - start))
    return times[1:]


if __name__ == "__main__":
    sys.exit(guarded(main))

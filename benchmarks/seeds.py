"""Trains an agent with several seeds by the command line, evaluates each last checkpoint, and writes a table.

Runs that are finished already are evaluated only; unfinished ones go on.

    python benchmarks/seeds.py dqn --env CartPole-v1 --steps 50000 --seeds 0 1 2 3 4 --runs runs/cartpole-seeds
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _command import non_negative_int, output_file, positive_int, write_table

from tengen.cli import main as tengen
from tengen.cli.guard import guarded

COLUMNS = ("seed", "step", "episodes", "return_mean", "return_ci95", "return_min", "return_max")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agent")
    parser.add_argument("--env", required=True)
    parser.add_argument("--steps", type=positive_int, required=True)
    parser.add_argument("--seeds", type=non_negative_int, nargs="+", required=True)
    parser.add_argument("--episodes", type=positive_int, default=100)
    parser.add_argument("--eval-seed", type=non_negative_int, default=100_000)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs, one for each seed")
    parser.add_argument("--out", type=output_file, help="CSV")
    settings, options = parser.parse_known_args(argv)
    rows = []
    for seed in settings.seeds:
        folder = settings.runs / str(seed)
        if (folder / "config.json").exists():
            arguments = ["train", "--resume", str(folder), "--steps", str(settings.steps)]
        else:
            arguments = ["train", settings.agent, "--env", settings.env, "--steps", str(settings.steps)]
            arguments += ["--seed", str(seed), "--run-dir", str(folder), *options]
        output(arguments)
        evaluate = ["evaluate", str(folder), "--episodes", str(settings.episodes), "--seed", str(settings.eval_seed)]
        result: dict[str, Any] = {**json.loads(output([*evaluate, "--json"])), "seed": seed}
        rows.append([result[column] for column in COLUMNS])
        print("  ".join(f"{column} {result[column]}" for column in COLUMNS), flush=True)
    if settings.out is not None:
        write_table(settings.out, COLUMNS, rows)


def output(arguments: Sequence[str]) -> str:
    """Return what a command prints; SystemExit where it fails."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = tengen(arguments)
    if code:
        raise SystemExit(code)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Exports the learning curve of a run of `tengen perceive fit go-policy`, and times its network.

    python benchmarks/go_policy.py curve RUN --out benchmarks/results/go_policy
    python benchmarks/go_policy.py speed NETWORK.safetensors [--threads 2] [--seconds 2] [--csv FILE]

The curve is of the examples kept aside that the run was tested on while it learnt, and of its training batches.
Speed is in positions a second, each kind of computation in turn, over and over: a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _command import output_file, positive_float, positive_int, write_table

from tengen.cli.guard import guarded
from tengen.run.fit import open_fit
from tengen.tracking import read_metrics

BATCHES = (1, 8, 64)
ROUNDS = 5


def export_curve(run: Path, out: Path) -> None:
    """Write OUT.csv and OUT.png."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    config = open_fit(run)
    batch = config.fitting.batch_size
    rows = list(read_metrics(run / "metrics.jsonl"))
    tested = [row for row in rows if "eval/top1" in row]
    learnt = [row for row in rows if "losses/top1" in row]
    names = ("top1", "top5", "policy_loss", "value_error", "winner")
    points = [
        [kind, row["global_step"], row["global_step"] * batch]
        + [f"{row[f'{prefix}/{name}']:.4f}" if f"{prefix}/{name}" in row else "" for name in names]
        for kind, prefix, chosen in (("kept aside", "eval", tested), ("training", "losses", learnt))
        for row in chosen
    ]
    write_table(out.with_suffix(".csv"), ["kind", "update", "positions", *names], points)
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for rows, prefix, colour, label in (
        (learnt, "losses", "0.75", "training batches"),
        (tested, "eval", "C0", f"{config.eval_examples:,} positions kept aside"),
    ):
        positions = [row["global_step"] * batch / 1e6 for row in rows]
        axes.plot(positions, [100 * row[f"{prefix}/top1"] for row in rows], color=colour, label=f"{label}: first move")
        if prefix == "eval":
            top5 = [100 * row["eval/top5"] for row in rows]
            axes.plot(positions, top5, color=colour, linestyle="--", label=f"{label}: first five")
    title = f"{config.task}: {config.task_config.layers} layers x {config.task_config.width}"
    axes.set(title=title, xlabel="positions learnt from (millions)", ylabel="expert's move predicted (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(out.with_suffix(".png"), dpi=120)
    pyplot.close(figure)
    print(f"written: {out}.csv, {out}.png")


def measure_speed(path: Path, threads: int, seconds: float, table: Path | None) -> None:
    """Print positions a second of each kind of computation at each size of batch."""
    import torch

    from tengen.perception.network_file import load_network
    from tengen.perception.openvino_network import OpenVINONetwork

    torch.set_num_threads(threads)
    loaded = load_network(path)
    kinds: dict[str, Callable[[Any], Any]] = {
        "torch float32": loaded,
        "torch bfloat16": load_network(path, in_bfloat16=True),
        "OpenVINO float32": OpenVINONetwork(loaded, "float32", threads),
        "OpenVINO bfloat16": OpenVINONetwork(loaded, "bfloat16", threads),
    }
    rng = np.random.default_rng(0)
    planes = loaded.card.architecture["parameters"]["planes"]
    shape = (planes, loaded.card.size, loaded.card.size)
    speeds: dict[tuple[str, int], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for batch in BATCHES:
            x = rng.integers(0, 2, (batch, *shape)).astype(np.uint8)
            for kind, compute in kinds.items():
                began, count = time.perf_counter(), 0
                while time.perf_counter() - began < seconds / ROUNDS or not count:
                    compute(x)
                    count += batch
                if turn:  # the first compiles
                    speeds.setdefault((kind, batch), []).append(count / (time.perf_counter() - began))
    rows = [(kind, *(f"{statistics.median(speeds[kind, batch]):.0f}" for batch in BATCHES)) for kind in kinds]
    head = ("kind", *(f"batch {batch}" for batch in BATCHES))
    for row in (head, *rows):
        print("  ".join(f"{cell:>18}" for cell in row))
    if table is not None:
        write_table(table, head, rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    curve = verbs.add_parser("curve")
    curve.add_argument("run", type=Path)
    curve.add_argument("--out", type=output_file, required=True, help="path without its ending")
    speed = verbs.add_parser("speed")
    speed.add_argument("network", type=Path)
    speed.add_argument("--threads", type=positive_int, default=2)
    speed.add_argument("--seconds", type=positive_float, default=2.0, help="for each number")
    speed.add_argument("--csv", type=output_file)
    settings = parser.parse_args(argv)
    if settings.verb == "curve":
        export_curve(settings.run, settings.out)
    else:
        measure_speed(settings.network, settings.threads, settings.seconds, settings.csv)


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Exports a run's learning curve: evaluations and training episodes as CSV, and a picture of both.

python benchmarks/curve.py runs/pong --out benchmarks/results/dqn_pong
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from _command import output_file, write_table

from tengen.cli.guard import guarded
from tengen.run import open_run
from tengen.tracking import read_metrics

mpl.use("Agg")
EPISODES_TO_A_POINT = 20


def main(argv: Sequence[str] | None = None) -> None:
    """Write OUT.csv and OUT.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=output_file, required=True, help="path without its ending")
    settings = parser.parse_args(argv)
    config = open_run(settings.run).config
    rows = read_metrics(settings.run / "metrics.jsonl")
    evaluations = [
        (r["global_step"], r["eval/return_mean"], r["eval/return_ci95"]) for r in rows if "eval/return_mean" in r
    ]
    episodes = np.array(
        [(r["global_step"], r["charts/episodic_return"]) for r in rows if "charts/episodic_return" in r]
    )
    whole = len(episodes) // EPISODES_TO_A_POINT * EPISODES_TO_A_POINT
    points = episodes[:whole].reshape(-1, EPISODES_TO_A_POINT, 2).mean(1)  # [points, (step, return)]
    table = [
        *(["evaluation", int(step), f"{mean:.2f}", f"{ci:.2f}"] for step, mean, ci in evaluations),
        *([f"training, {EPISODES_TO_A_POINT} episodes", int(step), f"{mean:.2f}", ""] for step, mean in points),
    ]
    write_table(settings.out.with_suffix(".csv"), ["kind", "global_step", "return_mean", "return_ci95"], table)
    _draw(settings.out.with_suffix(".png"), f"{config.agent} on {config.env.id}", evaluations, points)
    print(f"written: {settings.out}.csv, {settings.out}.png")


def _draw(path: Path, title: str, evaluations: list[tuple[int, float, float]], points: np.ndarray) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(points[:, 0], points[:, 1], color="0.6", label=f"training episodes, mean of {EPISODES_TO_A_POINT}")
    if evaluations:
        steps, means, intervals = zip(*evaluations, strict=True)
        axes.errorbar(steps, means, yerr=intervals, marker="o", capsize=3, label="evaluation, 95% interval")
    axes.set(title=title, xlabel="environment steps", ylabel="return")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(guarded(main))

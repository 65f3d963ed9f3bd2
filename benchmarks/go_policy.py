"""Exports the learning curve of a run of `tengen perceive fit go-policy`, times its network, and looks into its layers.

    python benchmarks/go_policy.py curve RUN --out benchmarks/results/go_policy
    python benchmarks/go_policy.py winner NETWORK.safetensors|RUN --data FOLDER [--positions 20000] [--csv FILE]
    python benchmarks/go_policy.py owners NETWORK.safetensors|RUN --data FOLDER [--after 2017-04] [--csv FILE]
    python benchmarks/go_policy.py speed NETWORK.safetensors [--threads 2] [--seconds 2] [--csv FILE]

The curve is of the examples kept aside that the run was tested on while it learnt, and of its training batches.
Speed is in positions a second, each kind of computation in turn, over and over: a busy machine slows all alike.
`winner` fits a ridge regression of who wins to the means of each layer's features over the board, on positions of every
second game, and tests it on those of the others: how much of the winner each layer still knows.
`owners` asks a network with an ownership head, and playouts, whose each point will be, some moves into the games that
were counted; the stones on the board are the answer of one who does not think.
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
from tengen.errors import UserError
from tengen.run.fit import open_fit
from tengen.tracking import read_metrics

BATCH_OF_PROBE = 250
RIDGE = 30.0
BATCHES = (1, 8, 64)
JUDGES = ("network", "playouts", "stones")
PLIES = (30, 60, 100, 150, 200)
PLAYOUTS = 200
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
    made = config.task_config
    depth = f"{made.blocks} blocks" if made.network == "tower" else f"{made.layers} layers"
    title = f"{config.task}: {depth} x {made.width}"
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


def probe_winner(path: Path, data: Path, num: int, table: Path | None) -> None:
    """Print how well the features of each layer tell who wins."""
    import torch

    from tengen.envs.go.planes import encode
    from tengen.perception.go_policy import GoPolicyConfig
    from tengen.perception.network_file import load_network
    from tengen.run.fitted import load_fitted

    loaded = load_fitted(path) if path.is_dir() else load_network(path)
    planes, size = loaded.card.planes, loaded.card.size
    network: Any = loaded.network
    games = GoPolicyConfig(data=(str(data),), size=size).build(print).train
    rng = np.random.default_rng(0)
    known: list[list[Any]] = []  # of each batch, the means of the planes and of each layer's features
    layers = network.trunk if hasattr(network, "trunk") else [network.stem, *network.blocks]
    for layer in layers:
        layer.register_forward_hook(lambda _layer, _inputs, output: known[-1].append(output.mean((2, 3)).numpy()))
    outcomes, halves = [], []
    for _ in range(-(-num // BATCH_OF_PROBE)):
        index, plies = games.position_of(rng.integers(0, games.num_positions, BATCH_OF_PROBE))
        sample = games.sample(index, plies)
        x = torch.from_numpy(encode(sample, planes)).float().contiguous(memory_format=torch.channels_last)
        known.append([x.mean((2, 3)).numpy()])
        with torch.inference_mode():
            network(x)
        outcomes.append(sample.outcome)
        halves.append(index % 2 == 0)
    outcome, half = np.concatenate(outcomes), np.concatenate(halves)
    rows = []
    for i, features in enumerate(zip(*known, strict=True)):
        right, error = _ridge(np.concatenate(features).astype(np.float64), outcome, half)
        rows.append(("planes" if i == 0 else f"layer {i}", f"{right:.3f}", f"{error:.3f}"))
    head = ("features", "winner", "squared_error")
    for row in (head, *rows):
        print("  ".join(f"{cell:>14}" for cell in row))
    if table is not None:
        write_table(table, head, rows)


def _ridge(features: Any, outcome: Any, half: Any) -> tuple[float, float]:
    """Fit on one half; return the share of winners told right and the squared error on the other."""
    scaled = (features - features[half].mean(0)) / (features[half].std(0) + 1e-6)
    design = np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)
    decided = outcome != 0
    fit, test = half & decided, ~half & decided
    gram = design[fit].T @ design[fit] + RIDGE * np.eye(design.shape[1])
    told = design[test] @ np.linalg.solve(gram, design[fit].T @ outcome[fit])
    return float((told * outcome[test] > 0).mean()), float(np.square(told - outcome[test]).mean())


def judge_owners(path: Path, data: Path, after: str, table: Path | None) -> None:
    """Print how well a network and playouts say whose each point will be."""
    import torch

    from tengen.envs.go.endings import estimated_ownership
    from tengen.envs.go.planes import encode
    from tengen.perception.go_policy import GoPolicyConfig, parse_date
    from tengen.perception.network_file import load_network
    from tengen.run.fitted import load_fitted

    loaded = load_fitted(path) if path.is_dir() else load_network(path)
    network: Any = loaded.network.eval()
    if not loaded.card.architecture["parameters"].get("ownership"):
        raise UserError(f"{path} does not say whose points will be: fit it with --heads policy+value+ownership")
    config = GoPolicyConfig(data=(str(data),), size=loaded.card.size, heads="policy+value+ownership")
    games = config.games(print)[0].between(after=parse_date(after))
    counted = games.select(games.owned)
    if not len(counted):
        raise UserError(f"no game of {data} from {after} on was counted: choose an earlier --after")
    lengths = np.diff(counted.starts)
    head = ("moves", "games", *(f"{judge}_{what}" for judge in JUDGES for what in ("right", "error")))
    rows: list[tuple[str, ...]] = []
    for ply in (*PLIES, None):
        index = np.flatnonzero(lengths >= (ply or 0))
        sample = counted.sample(index, lengths[index] if ply is None else np.full(len(index), ply))
        assert sample.owner is not None
        x = torch.from_numpy(encode(sample, loaded.card.planes)).float()
        with torch.inference_mode():
            said = torch.cat([network(part).ownership for part in torch.split(x, BATCH_OF_PROBE)]).numpy()
        turn = sample.to_move[:, None, None]
        played = [
            estimated_ownership(board, np.random.default_rng(seed), PLAYOUTS) for seed, board in enumerate(sample.board)
        ]
        answers = (said, np.stack(played) * turn, sample.board * turn)
        scores = [score for answer in answers for score in _owners_told(answer, sample.owner)]
        rows.append(("all" if ply is None else str(ply), str(len(index)), *(f"{score:.3f}" for score in scores)))
    for row in (head, *rows):
        print("  ".join(f"{cell:>14}" for cell in row))
    if table is not None:
        write_table(table, head, rows)


def _owners_told(said: Any, owner: Any) -> tuple[float, float]:
    """Return of how many points that are somebody's it says whose, and the squared error of all points."""
    return float(((said * owner)[owner != 0] > 0).mean()), float(np.square(said - owner).mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the four."""
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
    winner = verbs.add_parser("winner")
    winner.add_argument("network", type=Path)
    winner.add_argument("--data", type=Path, required=True)
    winner.add_argument("--positions", type=positive_int, default=20_000)
    winner.add_argument("--csv", type=output_file)
    owners = verbs.add_parser("owners")
    owners.add_argument("network", type=Path)
    owners.add_argument("--data", type=Path, required=True)
    owners.add_argument("--after", default="2017-04", help="games of this month (or day) on")
    owners.add_argument("--csv", type=output_file)
    settings = parser.parse_args(argv)
    if settings.verb == "curve":
        export_curve(settings.run, settings.out)
    elif settings.verb == "owners":
        judge_owners(settings.network, settings.data, settings.after, settings.csv)
    elif settings.verb == "winner":
        probe_winner(settings.network, settings.data, settings.positions, settings.csv)
    else:
        measure_speed(settings.network, settings.threads, settings.seconds, settings.csv)


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Trains AlphaZero on a small board of Go from nothing, and plays it against its beginning and search without network.

All players have equal time a move and one thread, and a search by the same tree. Each pair of games begins with random
moves, the same for both colours; a referee counts.

    python benchmarks/alphazero_go.py --runs runs/alphazero_go

A run that is there goes on, and so does a match. Written are OUT.csv, a row for each match.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _command import non_negative_int, output_file, positive_float, positive_int, write_table

from tengen.cli import main as tengen
from tengen.cli.guard import guarded

AGENT = {
    "simulations": 32,
    "blocks": 3,
    "width": 32,
    "learn_start": 2_000,
    "learn_period": 64,
    "updates_per_learn": 2,
    "replay_capacity": 100_000,
    "learning_rate": 2e-3,
    "learning_rate_end": 2e-4,
    "territory_weight": 1.0,
    "precision": "bfloat16",
}
NUM_ENVS = 64


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of runs and matches")
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--komi", type=float, default=8.5)
    parser.add_argument("--steps", type=positive_int, default=400_000, help="moves of self-play")
    parser.add_argument("--seed", type=non_negative_int, default=0)
    parser.add_argument("--games", type=positive_int, default=200, help="of each match")
    parser.add_argument("--seconds", type=positive_float, default=0.1, help="a move, of every player")
    parser.add_argument("--opening-moves", type=non_negative_int, default=3)
    parser.add_argument(
        "--out", type=output_file, default=Path(__file__).parent / "results" / "alphazero_go.csv", help="CSV"
    )
    settings = parser.parse_args(argv)

    # One update's worth of moves: the network is still that which it began with.
    beginning = network(settings, "beginning", NUM_ENVS)
    trained = network(settings, "trained", settings.steps)
    opponents = {
        "its beginning": f"network:{beginning},time={settings.seconds}",
        "light playouts, UCT": f"mcts:time={settings.seconds},play=light,rave_equivalence=0,guess=false",
        "light playouts, UCT with RAVE": f"mcts:time={settings.seconds},play=light,guess=false",
        "playouts with shapes, RAVE, guesses": f"mcts:time={settings.seconds}",
    }
    rows = [match(settings, trained, name, player) for name, player in opponents.items()]
    write_table(settings.out, list(rows[0]), rows)


def network(settings: argparse.Namespace, name: str, steps: int) -> Path:
    """Return the network file of a run, after training it."""
    run, file = settings.runs / name, settings.runs / f"{name}.safetensors"
    if file.exists():
        return Path(file)
    if (run / "config.json").exists():
        words = ["train", "--resume", str(run)]
    else:
        kwargs = f'{{size = {settings.size}, komi = {settings.komi}, planes = "standard"}}'
        words = ["train", "alphazero", "--env", "tengen/Go-v0", "--env.kwargs", kwargs, "--num-envs", str(NUM_ENVS)]
        words += ["--steps", str(steps), "--seed", str(settings.seed), "--threads", "1", "--device", "cpu"]
        words += ["--checkpoint-period", "50000", "--log-period", "5000", "--run-dir", str(run)]
        words += [f"--agent.{field}={value}" for field, value in AGENT.items()]
        words += [f"--agent.learning_rate_decay_steps={settings.steps}"]
    print("tengen", *words, flush=True)
    code = tengen(words) or tengen(["perceive", "export", str(run), "--out", str(file)])
    if code != 0:
        sys.exit(code)
    return Path(file)


def match(settings: argparse.Namespace, trained: Path, name: str, opponent: str) -> dict[str, Any]:
    """Play one match, and return its row."""
    out = settings.runs / f"against {name}"
    player = f"network:{trained},time={settings.seconds}"
    words = ["match", player, opponent, "--games", str(settings.games), "--size", str(settings.size)]
    words += ["--komi", str(settings.komi), "--opening-moves", str(settings.opening_moves), "--out", str(out)]
    if (code := tengen(words)) != 0:
        sys.exit(code)
    result = json.loads((out / "results.json").read_text())
    low, high = result["win_rate_ci95"]
    return {
        "date": datetime.date.today().isoformat(),
        "size": settings.size,
        "komi": settings.komi,
        "steps": settings.steps,
        "seed": settings.seed,
        "seconds_a_move": settings.seconds,
        "against": name,
        "player": opponent.replace(f"{settings.runs}/", ""),
        "games": result["games"],
        "wins": result["wins"],
        "win_rate": f"{result['win_rate']:.3f}",
        "low": f"{low:.3f}",
        "high": f"{high:.3f}",
        "distinct_games": result["distinct_games"],
        "its_seconds_per_move": result["a"]["seconds_per_move"],
        "the_others": result["b"]["seconds_per_move"],
    }


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Trains DQN on an Atari game with Tengen, SB3, Tianshou and a plain loop of torch, in turns.

All step the same emulation (Tengen's environment under the protocol, behind adapters for the peers), all have the
Nature CNN, Adam, the same batch, replay, target period, epsilon and updates per step. "sb3 as is" has SB3's own
emulation and wrappers instead; with --num-envs 1 it is what the RL Zoo trains. The plain loop is what a script of one
file does (CleanRL's dqn_atari.py, written anew here): float32, whole stacks in the replay, nothing tuned. Tianshou
takes part where it is installed; it is no dependency. Each side has a process of its own, as where it is used, which
sleeps while the others have their turns; --together puts all into one. Shown are steps/s in each round, the median
ratios, and for each side its updates, its latest loss and the mean return of its training episodes. The rounds are for
speed: what is learnt in them is too little to compare.

    python benchmarks/dqn_atari.py --env ALE/Breakout-v5 --steps 4000 --rounds 3 --threads 2
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from _atari_sides import LEARN_START, make_side
from _atari_tianshou import PACKAGE
from _command import output_file, positive_int, write_table
from _turns import Apart, Here, Player

from tengen.cli.guard import guarded
from tengen.envs import EnvConfig, make_env

BESIDE = "sb3 as is", "sb3"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="ALE/Breakout-v5")
    parser.add_argument("--protocol", default="nature2015")
    parser.add_argument("--steps", type=positive_int, default=4_000, help="steps of each side in each round")
    parser.add_argument("--rounds", type=positive_int, default=3)
    parser.add_argument("--num-envs", type=positive_int, default=8, help="a multiple of 4, or 1")
    parser.add_argument("--threads", type=positive_int, default=2)
    parser.add_argument("--capacity", type=positive_int, default=10_000, help="transitions in each replay")
    parser.add_argument("--epsilon-steps", type=positive_int, default=1_000, help="until epsilon is at its end, 0.05")
    precisions = "float32", "bfloat16", "auto"
    parser.add_argument(
        "--precision", nargs="+", choices=precisions, default=["float32", "auto"], help="of Tengen's side"
    )
    parser.add_argument("--together", action="store_true", help="all sides in one process")
    parser.add_argument("--out", type=output_file, default=Path(__file__).parent / "results" / "dqn_atari.csv")
    settings = parser.parse_args(argv)
    if settings.num_envs != 1 and settings.num_envs % 4:
        parser.error(f"--num-envs must be 1 or a multiple of 4, got {settings.num_envs}")
    make_env(EnvConfig(settings.env, 1, settings.protocol), training=True).close()  # here its refusal is one line
    players = {name: make_player(name, settings) for name in names_of(settings)}
    for player in players.values():
        player.turn(LEARN_START + 80)  # not counted: random play before learning, and the first updates, which prepare
    speeds: dict[str, list[float]] = {name: [] for name in players}
    rows = []
    for round_number in range(settings.rounds):
        for name, player in players.items():
            turn = player.turn(settings.steps)
            speeds[name].append(settings.steps / turn.seconds)
            learnt = [turn.updates, f"{turn.loss:.5f}", f"{turn.return_mean:.2f}"]
            rows.append([settings.env, name, round_number, f"{speeds[name][-1]:.1f}", *learnt])
            print(
                f"round {round_number} {name:16} {speeds[name][-1]:7.1f} steps/s  {turn.updates} updates  "
                f"return {turn.return_mean:.2f}",
                flush=True,
            )
    for name in players:
        ratios = [statistics.median(a / b for a, b in zip(speeds[name], speeds[of], strict=True)) for of in BESIDE]
        times = ", ".join(f"{ratio:.2f} times {of}" for ratio, of in zip(ratios, BESIDE, strict=True) if name != of)
        print(f"{name}: median {statistics.median(speeds[name]):.1f} steps/s, {times}")
    write_table(settings.out, ["env", "side", "round", "steps_per_second", "updates", "loss", "return_mean"], rows)
    print(f"written to {settings.out}")


def names_of(settings: argparse.Namespace) -> list[str]:
    """Return the sides that can take part, those of SB3 last."""
    names = [*(f"tengen {precision}" for precision in settings.precision), "plain"]
    if importlib.util.find_spec(PACKAGE) is None:
        print(f"{PACKAGE} is not installed", flush=True)
        return [*names, *BESIDE]
    return [*names, PACKAGE, *BESIDE]


def make_player(name: str, settings: argparse.Namespace) -> Player:
    """Return a side that can have turns."""
    return Here(make_side, name, settings) if settings.together else Apart(make_side, name, settings)


if __name__ == "__main__":
    sys.exit(guarded(main))

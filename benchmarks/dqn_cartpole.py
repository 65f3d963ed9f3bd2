"""Times DQN on CartPole-v1 at CleanRL's settings: Tengen, stable-baselines3, Tianshou and plain scripts in torch.

All sides take turns within one process, with one thread, and seconds are the processor's: those of the clock, but for
what other processes take. A round is a number of steps after learning has begun: acting, remembering and learning.
Epsilon falls over the first half of all rounds, as it does in CleanRL's 500,000 steps. Shown are medians of steps/s,
ratios to the peers, and what was learnt: updates, the mean return of the last 100 training episodes, and of 100
episodes of the greedy policy.

There are two scripts: one in the way of CleanRL's `dqn.py`, with a vector of one environment and its statistics, and a
lean one with nothing around the environment.

With `--to-threshold`, instead: the time until the greedy policy's mean return over 100 episodes is 475, for the scripts
and for Tengen, by several seeds, with the schedule of 500,000 steps. Evaluations are the same for all and are not in
the time.

Exits with code 1 where Tengen is less than 5 times as fast as stable-baselines3, or takes more than a third of the
plain script's time.

    python benchmarks/dqn_cartpole.py
    python benchmarks/dqn_cartpole.py --to-threshold
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _cartpole_sides import ENV, LEARN_START, SIDES, Side, missing
from _command import non_negative_int, output_file, positive_int, write_table

from tengen.cli.guard import guarded
from tengen.envs import EnvConfig, make_env
from tengen.evaluate import evaluate

MINE, PLAIN, LEAN, SB3 = "tengen, compiled", "plain torch", "lean torch", "stable-baselines3"
WANTED_RATIO, WANTED_SHARE = 5.0, 1 / 3
THRESHOLD, EPISODES, EVALUATION_SEED = 475.0, 100, 1_000_000
TOTAL_STEPS = 500_000
RESULTS = Path(__file__).parent / "results"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive_int, default=5, help="turns of each side")
    parser.add_argument("--steps", type=positive_int, default=10_000, help="steps in a turn")
    parser.add_argument("--seed", type=non_negative_int, default=0)
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--to-threshold", action="store_true", help="time to a mean return of 475 instead")
    parser.add_argument("--seeds", type=non_negative_int, nargs="+", default=[0, 1, 2], help="with --to-threshold")
    parser.add_argument("--evaluation-period", type=positive_int, default=10_000, help="with --to-threshold, in steps")
    parser.add_argument("--out", type=output_file, help="CSV")
    settings = parser.parse_args(argv)
    if settings.to_threshold and not {MINE, PLAIN} <= set(settings.sides):
        parser.error(f"--to-threshold compares {MINE!r} with {PLAIN!r}: --sides must have both")
    settings.out = settings.out or RESULTS / f"dqn_cartpole{'_threshold' if settings.to_threshold else ''}.csv"
    torch.set_num_threads(1)
    for name in missing():
        print(f"{name} is not installed: left out")
    if settings.to_threshold:
        rows, complaint = to_threshold(settings)
    else:
        rows, complaint = race([name for name in settings.sides if name not in missing()], settings)
    write_table(settings.out, list(rows[0]), rows)
    if complaint:
        raise SystemExit(complaint)


def race(names: Sequence[str], settings: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """Time the sides in turns; return a row for each, and what there is to complain of."""
    all_steps = LEARN_START + settings.rounds * settings.steps
    sides = {name: SIDES[name](settings.seed, all_steps // 2) for name in names}
    for side in sides.values():  # random play, and the first update, which may have something to compile
        side.run(LEARN_START + 10)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(settings.rounds):
        for name, side in sides.items():
            rates[name].append(settings.steps / seconds_of(side, settings.steps))
    rows = []
    for name, side in sides.items():
        rate = rates[name]
        row: dict[str, Any] = {"side": name, "steps_per_second": round(statistics.median(rate))}
        row |= {"min": round(min(rate)), "max": round(max(rate)), "rounds": settings.rounds, "steps": settings.steps}
        for other in (SB3, PLAIN, LEAN):
            if other in rates:
                ratio = statistics.median(mine / theirs for mine, theirs in zip(rate, rates[other], strict=True))
                row[f"times_{other.replace(' ', '_')}"] = round(ratio, 2)
        row |= {"updates": side.updates(), "training_return": round(statistics.fmean(side.returns[-100:]), 1)}
        row["greedy_return"] = round(mean_return(side), 1)
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    found = [row["times_stable-baselines3"] for row in rows if row["side"] == MINE and SB3 in sides]
    slow = any(ratio < WANTED_RATIO for ratio in found)
    return rows, f"{MINE}: {found[0]} times {SB3}, {WANTED_RATIO:g} are wanted" if slow else ""


def seconds_of(side: Side, num_steps: int) -> float:
    """Let a side act and learn; return the seconds of the processor that it took.

    With one thread these are the seconds of the clock on an idle machine. On a busy one the clock goes on while the
    process waits.
    """
    began = time.process_time()
    side.run(num_steps)
    return time.process_time() - began


def mean_return(side: Side) -> float:
    """Return the mean return of a side's greedy policy: the same 100 episodes for all, none of which was trained on."""
    env = make_env(EnvConfig(ENV, num_envs=10), training=False)
    result = evaluate(side.policy(), env, EPISODES, EVALUATION_SEED)
    assert result is not None
    return float(result.returns.mean())


def to_threshold(settings: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """Train the plain script and Tengen until the threshold, seed by seed; return rows, and what to complain of."""
    names = [name for name in (PLAIN, LEAN, MINE) if name in settings.sides]
    rows = []
    for seed in settings.seeds:
        for name in names:
            row = {"side": name, "seed": seed, **reach(SIDES[name](seed, TOTAL_STEPS // 2), settings.evaluation_period)}
            rows.append(row)
            write_table(settings.out, list(rows[0]), rows)  # what takes minutes is not lost with what comes after it
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    seconds = {name: statistics.fmean(row["seconds"] for row in rows if row["side"] == name) for name in names}
    for name in names:
        print(f"{name}: {seconds[name]:.2f} s on average, {seconds[name] / seconds[MINE]:.2f} times those of {MINE}")
    if not all(row["reached"] for row in rows):
        return rows, f"a mean return of {THRESHOLD:g} was not reached by all within {TOTAL_STEPS} steps"
    share = seconds[MINE] / seconds[PLAIN]
    return rows, f"{MINE} took {share:.2f} of the plain script's time" if share > WANTED_SHARE else ""


def reach(side: Side, period: int) -> dict[str, Any]:
    """Train until the greedy policy's mean return is 475; return the steps and the seconds that it took."""
    steps, seconds, found = 0, 0.0, 0.0
    while steps < TOTAL_STEPS and found < THRESHOLD:
        seconds += seconds_of(side, period)
        steps += period
        found = mean_return(side) if steps > LEARN_START else 0.0
    found_terms = {"greedy_return": round(found, 2), "reached": found >= THRESHOLD}
    return {"steps": steps, "seconds": round(seconds, 3), "updates": side.updates(), **found_terms}


if __name__ == "__main__":
    sys.exit(guarded(main))

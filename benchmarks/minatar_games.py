"""Trains agents on the five MinAtar games by the command line, evaluates the runs, and sets them beside random play.

Runs that are finished already are evaluated only; unfinished ones go on. Each takes one thread, and its settings from
the agent's preset. With --report nothing is trained: the tables and pictures show what is finished by now. Runs that
are in OUT already, and not among these, stay there.

    python benchmarks/minatar_games.py pqn dqn rainbow --steps 1000000 --seeds 0 1 2 --jobs 2 --runs runs/minatar
    python benchmarks/minatar_games.py pqn dqn rainbow --runs runs/minatar --report --out benchmarks/results/minatar

Evaluation is greedy (epsilon 0, sticky actions as in training), in the game's episodes of seeds 100000, 100001, ...
Written are OUT.csv (a row for each run, and one of random play for each game), OUT_curves.csv (mean returns of the
training episodes, which explore) and OUT.png.

What others have published is in docs/environments.md. This file isn't called minatar.py,
as that would hide the package of this name.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib as mpl
import numpy as np
from _command import non_negative_int, output_file, positive_int, write_table
from numpy.typing import NDArray

from tengen.actions import random_actions
from tengen.cli.guard import guarded
from tengen.envs import EnvConfig, make_env
from tengen.evaluate import evaluate
from tengen.registry import resolve_agent
from tengen.tracking import read_metrics
from tengen.types import Ints, TimeStep

mpl.use("Agg")

GAMES = ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
EVAL_SEED = 100_000
POINTS = 50  # of a curve


@dataclass(frozen=True)
class Row:
    """What one run came to; random play is a run without steps."""

    agent: str
    game: str
    seed: int
    steps: int
    episodes: int
    return_mean: float
    return_ci95: float
    return_min: float
    return_max: float
    length_mean: float
    train_seconds: float
    command: str


@dataclass(frozen=True)
class Job:
    """A run to make."""

    agent: str
    game: str
    seed: int
    folder: Path

    @property
    def env_id(self) -> str:
        """The game with its minimal actions."""
        return f"MinAtar/{self.game}-v1"

    @property
    def result(self) -> Path:
        """Where its evaluation is kept."""
        return self.folder / "evaluation.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs="+")
    parser.add_argument("--games", nargs="+", default=GAMES, choices=GAMES)
    parser.add_argument("--steps", type=positive_int, default=1_000_000)
    parser.add_argument("--seeds", type=non_negative_int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--episodes", type=positive_int, default=100)
    parser.add_argument("--random-episodes", type=positive_int, default=1_000)
    parser.add_argument("--jobs", type=positive_int, default=1, help="processes at a time")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs, AGENT/GAME/SEED")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--out", type=output_file, help="path without its ending")
    settings = parser.parse_args(argv)
    for agent in settings.agents:
        resolve_agent(agent)
    failed: list[str] = []
    jobs = [
        Job(agent, game, seed, settings.runs / agent / game / str(seed))
        for agent in settings.agents
        for seed in settings.seeds
        for game in settings.games
    ]
    if not settings.report:
        with ThreadPoolExecutor(settings.jobs) as pool:
            failed = [text for text in pool.map(lambda job: make(job, settings.steps, settings.episodes), jobs) if text]
        for text in failed:
            print(text, file=sys.stderr)
    finished = [job for job in jobs if is_done(job, settings.steps, settings.episodes)]
    rows, points = [row_of(job) for job in finished], list(curves(finished))
    baselines = [random_play(game, settings.random_episodes) for game in settings.games]
    if settings.out is not None:
        table_path = settings.out.with_suffix(".csv")
        curves_path = settings.out.with_name(f"{settings.out.name}_curves.csv")
        measured = {(row.agent, row.game, row.seed) for row in [*baselines, *rows]}
        rows = [*(Row(**row) for row in others_in(table_path, measured)), *rows]
        points = [*others_in(curves_path, measured), *points]
    print(table([row for row in rows if row.steps], baselines))
    if settings.out is not None and rows:
        write_csv(table_path, (asdict(row) for row in [*baselines, *rows]))
        write_csv(curves_path, points)
        draw(settings.out.with_suffix(".png"), points, baselines)
    return 1 if failed else 0


def make(job: Job, steps: int, episodes: int) -> str:
    """Train and evaluate a run as far as it isn't; return what went wrong, or nothing."""
    if is_done(job, steps, episodes):
        return ""
    for arguments in (train_command(job, steps), evaluate_command(job, episodes)):
        done = tengen(arguments)
        if done.returncode:
            return f"{shlex.join(arguments)}: {done.stderr.strip().splitlines()[-1:]}"
    result = {**json.loads(done.stdout), "episodes": episodes}
    job.result.write_text(json.dumps(result), encoding="utf-8")
    print(f"{job.agent} {job.game} {job.seed}: {result['return_mean']:.2f} +- {result['return_ci95']:.2f}", flush=True)
    return ""


def train_command(job: Job, steps: int) -> list[str]:
    """Return how to begin a run, or to go on with it."""
    if (job.folder / "config.json").exists():
        return ["train", "--resume", str(job.folder), "--steps", str(steps)]
    arguments = ["train", job.agent, "--env", job.env_id, "--steps", str(steps), "--seed", str(job.seed)]
    return [*arguments, "--device", "cpu", "--threads", "1", "--run-dir", str(job.folder)]


def evaluate_command(job: Job, episodes: int) -> list[str]:
    """Return how to evaluate a run."""
    options = ["--episodes", str(episodes), "--seed", str(EVAL_SEED), "--num-envs", "10", "--epsilon", "0", "--json"]
    return ["evaluate", str(job.folder), *options]


def tengen(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tengen.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def is_done(job: Job, steps: int, episodes: int) -> bool:
    """Return whether a run has been evaluated after so many steps at least."""
    if not job.result.exists():
        return False
    result = json.loads(job.result.read_text("utf-8"))
    return bool(result["step"] >= steps and result["episodes"] >= episodes)


def row_of(job: Job) -> Row:
    """Return what a finished run came to."""
    result = json.loads(job.result.read_text("utf-8"))
    numbers = {name: round(result[name], 4) for name in NUMBERS}
    # The command as a user would give it.
    steps = json.loads((job.folder / "config.json").read_text("utf-8"))["steps"]
    command = shlex.join(["tengen", *train_command(Job(job.agent, job.game, job.seed, Path("RUN")), steps)])
    return Row(
        job.agent, job.game, job.seed, result["step"], result["episodes"], **numbers,
        train_seconds=round(train_seconds(job)), command=command,
    )  # fmt: skip


NUMBERS = ("return_mean", "return_ci95", "return_min", "return_max", "length_mean")


def train_seconds(job: Job) -> float:
    """Return the wall time of a run's training, from its sessions' beginnings to its last rows of metrics."""
    rows = read_metrics(job.folder / "metrics.jsonl")
    rates = [(row["global_step"], row["charts/SPS"]) for row in rows if row.get("charts/SPS")]
    sessions = [session["from_step"] for session in json.loads((job.folder / "sessions.json").read_text("utf-8"))]
    total = 0.0
    for start, stop in zip(sessions, [*sessions[1:], np.inf], strict=True):
        last = [(step, rate) for step, rate in rates if start < step <= stop][-1:]
        total += sum((step - start) / rate for step, rate in last)  # the rate is since the session's beginning
    return total


def random_play(game: str, episodes: int) -> Row:
    """Evaluate uniformly random actions."""
    env = make_env(EnvConfig(f"MinAtar/{game}-v1", 10), training=False)
    result = evaluate(RandomPolicy(env.spec.num_actions), env, episodes, EVAL_SEED)
    assert result is not None
    numbers = {name: round(result.summary()[name], 4) for name in NUMBERS}
    return Row("random", game, 0, 0, episodes, **numbers, train_seconds=0, command="")


class RandomPolicy:
    """Draws every action with the same probability."""

    def __init__(self, num_actions: int) -> None:
        self.num_actions = num_actions

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return an action for each row, [B]."""
        return random_actions(step, self.num_actions, rng)


def interval(means: Sequence[float]) -> float:
    """Return the half width of the 95% interval of the mean over seeds, by Student's t; nan for a single one."""
    t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}.get(len(means), 1.96 if len(means) > 5 else float("nan"))
    return t * stdev(means) / len(means) ** 0.5 if len(means) > 1 else float("nan")


def table(rows: Sequence[Row], baselines: Sequence[Row]) -> str:
    """Return agents by games: the mean over seeds with its interval, and how many seeds there are."""
    lines = [f"{'agent':<11}" + "".join(f"{row.game:>20}" for row in baselines)]
    lines.append(
        f"{'random':<11}" + "".join(f"{plus_minus(row.return_mean, row.return_ci95):>20}" for row in baselines)
    )
    for agent in dict.fromkeys(row.agent for row in rows):
        line = f"{agent:<11}"
        for baseline in baselines:
            own = [row for row in rows if row.agent == agent and row.game == baseline.game]
            means = [row.return_mean for row in own]
            mark = "*" if own and all(is_above(row, baseline) for row in own) else " "
            line += f"{f'{plus_minus(mean(means), interval(means))} ({len(own)}){mark}' if own else '-':>20}"
        lines.append(line)
    lines.append("mean +- its 95% interval over seeds, Student's t (number of seeds); of random play, over episodes")
    lines.append("*: the 95% interval of each seed's episodes lies above that of random play")
    return "\n".join(lines)


def is_above(row: Row, baseline: Row) -> bool:
    """Return whether the interval of a run's episodes lies above that of random play."""
    return row.return_mean - row.return_ci95 > baseline.return_mean + baseline.return_ci95


def plus_minus(number: float, half_width: float) -> str:
    """Return both as text, the half width where there is one."""
    return f"{number:.2f}" + ("" if np.isnan(half_width) else f" +- {half_width:.2f}")


def curves(jobs: Iterable[Job]) -> Iterator[dict[str, Any]]:
    """Yield mean returns of training episodes in each fiftieth of a run."""
    for job in jobs:
        steps = json.loads((job.folder / "config.json").read_text("utf-8"))["steps"]
        rows = read_metrics(job.folder / "metrics.jsonl")
        episodes = np.array([(r["global_step"], r["charts/episodic_return"]) for r in rows if EPISODE in r])
        if not len(episodes):
            continue
        place = np.minimum((episodes[:, 0] - 1) * POINTS // steps, POINTS - 1)
        for point in np.unique(place):
            returns = episodes[place == point, 1]
            yield {
                "agent": job.agent, "game": job.game, "seed": job.seed, "step": int((point + 1) * steps / POINTS),
                "return_mean": round(float(returns.mean()), 4), "episodes": len(returns),
            }  # fmt: skip


EPISODE = "charts/episodic_return"


def others_in(path: Path, measured: Container[tuple[str, str, int]]) -> list[dict[str, Any]]:
    """Return the rows of a CSV of other runs than those that are `measured`; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: value_of(name, text) for name, text in row.items()} for row in csv.DictReader(file)]
    return [row for row in rows if (row["agent"], row["game"], row["seed"]) not in measured]


def value_of(name: str, text: str) -> str | int | float:
    """Return what a CSV's field says."""
    if name in ("agent", "game", "command"):
        return text
    return int(text) if text.isdigit() else float(text)


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows with a head."""
    rows = list(rows)
    write_table(path, list(rows[0]), rows)
    print(f"written: {path}")


def draw(path: Path, points: Sequence[dict[str, Any]], baselines: Sequence[Row]) -> None:
    """Draw each agent's curve in each game: the mean over seeds, and from the least to the greatest."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(baselines), figsize=(4 * len(baselines), 3.6), layout="constrained")
    for axes, baseline in zip(np.atleast_1d(panels), baselines, strict=True):
        own = [point for point in points if point["game"] == baseline.game]
        for agent in dict.fromkeys(point["agent"] for point in points):
            steps, returns = over_seeds([point for point in own if point["agent"] == agent])
            if len(steps):
                [line] = axes.plot(steps, np.nanmean(returns, axis=0), label=f"{agent} ({len(returns)})")
                axes.fill_between(
                    steps, np.nanmin(returns, 0), np.nanmax(returns, 0), alpha=0.2, color=line.get_color()
                )
        axes.axhline(baseline.return_mean, color="0.5", linestyle=":", label="random")
        axes.set(title=baseline.game, xlabel="steps", ylabel="return of training episodes")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    print(f"written: {path}")


def over_seeds(points: Sequence[dict[str, Any]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps [T] at which every seed has a mean, and the means [seeds, T]."""
    seeds = sorted({point["seed"] for point in points})
    found = {(point["seed"], point["step"]): point["return_mean"] for point in points}
    steps = [step for step in sorted({step for _, step in found}) if all((seed, step) in found for seed in seeds)]
    return np.array(steps, np.int64), np.array([[found[seed, step] for step in steps] for seed in seeds])


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Why DQN is stable: replay, the frozen target and reward clipping switched off, one at a time and all together.

After Mnih et al. (2015), "Human-level control through deep reinforcement learning", Extended Data Table 3, whose games
take days: here are small ones. Each run is evaluated by its greedy policy, in the same episodes each time.

Writes OUT/dqn_ablation.csv (each evaluation), its summary beside it, and pictures of the returns and of the values that
the networks predict. What the CSV has already is not done again, unless a task's or an arm's settings have changed
since; `--fresh` does all that is asked for again. Runs by other settings, of seeds that were not asked for, stay in the
CSV; the summary and the pictures leave them out.

    python benchmarks/dqn_ablation.py
    python benchmarks/dqn_ablation.py --jobs 2 --only dqn no_target
    python benchmarks/dqn_ablation.py --task breakout --seeds 0 1 2 --out /tmp/breakout
    python benchmarks/dqn_ablation.py --quick --out /tmp/quick
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _ablation_picture import Curve, Panel, draw
from _ablation_tasks import ARMS, TASKS, Task
from _command import non_negative_int, positive_int, write_table

from tengen.agents.dqn import DQNConfig
from tengen.cli.guard import guarded
from tengen.contracts import ActionValuing, Environment
from tengen.envs import make_env
from tengen.evaluate import evaluate
from tengen.loop import interact
from tengen.types import Floats, Ints

RESULTS = Path(__file__).parent / "results"
NAME = "dqn_ablation"
DEFAULT_TASKS = ("cartpole", "squared", "hundreds")
EVAL_SEED = 100_000
EVAL_EPISODES = 10
QUICK_STEPS, QUICK_EPISODES = 600, 2

# Student's t, 97.5%, by degrees of freedom from 1 on; the normal's 1.96 is too small for so few seeds.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


class Row(NamedTuple):
    """One evaluation of one run.

    Attributes:
        task: Its name.
        arm: Its name.
        seed: Of the training run.
        step: Environment steps before the evaluation.
        return_mean: Of the greedy policy, over the evaluation's episodes.
        value_mean: What the network says that the first states of these episodes are worth.
        settings: A digest of all that the run was set to.
    """

    task: str
    arm: str
    seed: int
    step: int
    return_mean: float
    value_mean: float
    settings: str


@dataclass(frozen=True)
class Job:
    """A run to be done."""

    task: Task
    arm: str
    seed: int
    episodes: int = EVAL_EPISODES

    @property
    def config(self) -> DQNConfig:
        """What the agent is set to: the task's settings, and the arm's changes to them."""
        return DQNConfig(**{**self.task.settings, **ARMS[self.arm].changes})

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What the run is known by: task, arm, seed, and a digest of the settings."""
        task = self.task
        told = {**task.settings, **ARMS[self.arm].changes}
        everything = [
            task.env.id,
            task.env.kwargs,
            task.steps,
            task.eval_period,
            self.episodes,
            EVAL_SEED,
            sorted(told.items()),
        ]
        digest = zlib.crc32(json.dumps(everything).encode())
        return task.name, self.arm, self.seed, f"{digest:08x}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=DEFAULT_TASKS, help=f"of {', '.join(TASKS)}")
    parser.add_argument("--only", nargs="+", choices=ARMS, metavar="ARM", help=f"of {', '.join(ARMS)}")
    parser.add_argument("--seeds", type=non_negative_int, nargs="+", default=range(5), help="0 to 4 unless given")
    parser.add_argument("--jobs", type=positive_int, default=1, help="processes, each of one thread")
    parser.add_argument("--out", type=Path, help=f"folder; {RESULTS} unless given, with --quick nothing is written")
    parser.add_argument("--fresh", action="store_true", help="do all runs again")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps a run: shows that it runs, no more")
    settings = parser.parse_args(argv)
    jobs = list(wanted(settings.task, settings.only, settings.seeds, quick=settings.quick))
    if not jobs:
        parser.error(f"{', '.join(settings.task)} has no arm {', '.join(settings.only)}")
    out = settings.out if settings.out is not None or settings.quick else RESULTS
    table = None if out is None else out / f"{NAME}.csv"
    rows = [] if table is None or not table.exists() else read_rows(table)
    if settings.quick and of_present_settings(rows, quick=False):
        parser.error(f"{table} has whole runs, whose place quick ones would take: choose another --out")
    if settings.fresh:
        keys = {job.key for job in jobs}
        rows = [row for row in rows if (row.task, row.arm, row.seed, row.settings) not in keys]
    rows = complete(rows, jobs, table, settings.jobs)
    rows = of_present_settings(rows, quick=settings.quick)
    print(f"\n{shown(summary(rows))}")
    if out is not None:
        write_csv(out / f"{NAME}_summary.csv", summary(rows))
        for name, panels in ((f"{NAME}.png", return_panels(rows)), (f"{NAME}_values.png", value_panels(rows))):
            if panels:
                draw(out / name, panels)
        print(f"\nwritten: {table}, its summary and pictures beside it")


def wanted(tasks: Iterable[str], only: Sequence[str] | None, seeds: Iterable[int], *, quick: bool) -> Iterator[Job]:
    """Yield the runs, those of a seed side by side, so that a part of them is already a fair picture."""
    for name in tasks:
        task = TASKS[name].quick(QUICK_STEPS) if quick else TASKS[name]
        for seed in seeds:
            for arm in task.arms:
                if not only or arm in only:
                    yield Job(task, arm, seed, QUICK_EPISODES if quick else EVAL_EPISODES)


def of_present_settings(rows: Sequence[Row], *, quick: bool) -> list[Row]:
    """Return the rows of runs that would be the same if they were done now."""
    present = {job.key for job in wanted(TASKS, None, {row.seed for row in rows}, quick=quick)}
    return [row for row in rows if (row.task, row.arm, row.seed, row.settings) in present]


def complete(rows: Sequence[Row], jobs: Sequence[Job], table: Path | None, num_processes: int) -> list[Row]:
    """Do the runs that are missing among the rows; return the rows of all, and of others that the table has.

    The table is written anew after each run.
    """
    runs: dict[tuple[str, str, int, str], list[Row]] = defaultdict(list)
    for row in rows:
        runs[row.task, row.arm, row.seed, row.settings].append(row)
    current = {job.key for job in jobs}
    replaced = {key[:3] for key in current}
    runs = {key: found for key, found in runs.items() if key in current or key[:3] not in replaced}
    missing = [job for job in jobs if job.key not in runs]
    if len(missing) < len(jobs):
        print(f"{len(jobs) - len(missing)} of {len(jobs)} runs are in {table} already")
    began = time.perf_counter()
    for number, (job, found) in enumerate(done(missing, num_processes), 1):
        runs[job.key] = found
        if table is not None:
            write_csv(table, ordered(runs.values()))
        best = max(row.return_mean for row in found)
        print(
            f"[{number}/{len(missing)}] {job.task.name}  {job.arm}  seed {job.seed}: return {found[-1].return_mean:g}"
            f" at the end, {best:g} at best; {time.perf_counter() - began:.0f} s",
            flush=True,
        )
    return ordered(runs.values())


def done(jobs: Sequence[Job], num_processes: int) -> Iterator[tuple[Job, list[Row]]]:
    """Do runs, in processes of their own if there are several; yield each when it is done."""
    if num_processes == 1:
        for job in jobs:
            yield job, run(job)
        return
    with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(run, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else Ctrl-C would wait for all that is still to do
            raise


def run(job: Job) -> list[Row]:
    """Train an agent, and evaluate it on the way."""
    import torch

    torch.set_num_threads(1)  # sums differ between numbers of threads
    task = job.task
    env = make_env(task.env, training=True)
    judge = make_env(replace(task.env, num_envs=min(job.episodes, 10)), training=False)
    agent = job.config.build(env.spec, np.random.default_rng(job.seed), "cpu")
    name, arm, seed, digest = job.key
    rows = []
    for tick in interact(agent, env, task.steps, seed):
        if tick.num_steps % task.eval_period == 0:
            policy = agent.policy()
            assert isinstance(policy, ActionValuing)
            evaluation = evaluate(policy, judge, job.episodes, EVAL_SEED)
            assert evaluation is not None
            value = first_value(policy, judge)
            rows.append(Row(name, arm, seed, tick.num_steps, float(evaluation.returns.mean()), value, digest))
    env.close()
    judge.close()
    return rows


def first_value(policy: ActionValuing, env: Environment) -> float:
    """Return what a policy says that the first states of episodes are worth, in the mean."""
    step = env.reset(EVAL_SEED + np.arange(env.spec.num_envs))
    return float(policy.action_values(step).max(1).mean())


# --- Numbers ---


class Line(NamedTuple):
    """An arm on a task, over its seeds; `_ci95` are half widths of 95% intervals (Student's t), nan for one seed.

    Attributes:
        task: Its name.
        arm: Its name.
        changes: What the arm changes.
        seeds: How many.
        steps: Of each run.
        late_mean: The return, over the last quarter of each run's evaluations.
        late_ci95: Of it.
        best_mean: The return of each run's best evaluation, as the paper's tables have it: chosen for its luck.
        best_ci95: Of it.
        value_late: What the network says that first states are worth, over the last quarter; the median over seeds.
    """

    task: str
    arm: str
    changes: str
    seeds: int
    steps: int
    late_mean: float
    late_ci95: float
    best_mean: float
    best_ci95: float
    value_late: float


def summary(rows: Sequence[Row]) -> list[Line]:
    """Return a line for each arm on each task."""
    lines = []
    for (task, arm), curves in by_arm(rows).items():
        returns = np.array([[row.return_mean for row in curve] for curve in curves])  # [seeds, evaluations]
        values = np.array([[row.value_mean for row in curve] for curve in curves])
        late = slice(-max(returns.shape[1] // 4, 1), None)
        changes = ", ".join(f"{name} {value}" for name, value in ARMS[arm].changes.items())
        late_mean, late_ci95 = interval(returns[:, late].mean(1))
        best_mean, best_ci95 = interval(returns.max(1))
        value = float(np.median(values[:, late].mean(1)))
        steps = curves[0][-1].step
        lines.append(Line(task, arm, changes, len(curves), steps, late_mean, late_ci95, best_mean, best_ci95, value))
    return lines


def by_arm(rows: Sequence[Row]) -> dict[tuple[str, str], list[list[Row]]]:
    """Return each arm's runs on each task, as evaluations in order; in the order of tasks and arms."""
    runs: dict[tuple[str, str], dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in ordered([rows]):
        runs[row.task, row.arm][row.seed].append(row)
    return {key: list(curves.values()) for key, curves in runs.items()}


def interval(values: Floats) -> tuple[float, float]:
    """Return the mean of values, and the half width of its 95% interval."""
    if len(values) < 2:
        return float(values.mean()), float("nan")
    t = _T[len(values) - 2] if len(values) - 2 < len(_T) else 2.1
    return float(values.mean()), float(t * values.std(ddof=1) / np.sqrt(len(values)))


def shown(lines: Sequence[Line]) -> str:
    """Return a table to be read."""
    texts = [["task", "arm", "seeds", "late return", "best return", "value of the first states"]]
    for line in lines:
        late = f"{line.late_mean:.1f} ± {line.late_ci95:.1f}"
        best = f"{line.best_mean:.1f} ± {line.best_ci95:.1f}"
        texts.append([line.task, line.arm, str(line.seeds), late, best, f"{line.value_late:.4g}"])
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in texts)


# --- Pictures ---


def return_panels(rows: Sequence[Row]) -> list[Panel]:
    """Return a panel for each task: the mean return over seeds, and its 95% interval."""
    panels = []
    for task, arms in by_task(rows):
        curves = {}
        for arm, runs in arms.items():
            returns = np.array([[row.return_mean for row in run] for run in runs])  # [seeds, X]
            mean, half = np.array([interval(values) for values in returns.T]).T
            curves[arm] = Curve(steps_of(runs), mean, mean - half, mean + half)
        title = f"{task.title}\nmean of {seeds_of(arms)}, 95% interval"
        panels.append(Panel(title, "return, greedy policy", curves, task.scores))
    return panels


def value_panels(rows: Sequence[Row]) -> list[Panel]:
    """Return a panel for each task of a known greatest value: what the networks say of first states, over seeds."""
    panels = []
    for task, arms in by_task(rows):
        if task.greatest_value is None:
            continue
        curves = {}
        for arm, runs in arms.items():
            values = np.array([[row.value_mean for row in run] for run in runs]).clip(0.1)  # [seeds, X], for logarithms
            curves[arm] = Curve(steps_of(runs), np.median(values, 0), values.min(0), values.max(0))
        title = f"{task.title}\nmedian of {seeds_of(arms)}, least to greatest"
        line = (task.greatest_value, "the greatest possible")
        panels.append(Panel(title, "predicted value of first states", curves, line=line))
    return panels


def by_task(rows: Sequence[Row]) -> list[tuple[Task, dict[str, list[list[Row]]]]]:
    """Return the runs of each task by arm."""
    tasks: dict[str, dict[str, list[list[Row]]]] = defaultdict(dict)
    for (task, arm), runs in by_arm(rows).items():
        tasks[task][arm] = runs
    return [(TASKS[name], arms) for name, arms in tasks.items()]


def steps_of(runs: Sequence[Sequence[Row]]) -> Ints:
    """Return the steps of an arm's evaluations."""
    return np.array([row.step for row in runs[0]])


def seeds_of(arms: Mapping[str, Sequence[Sequence[Row]]]) -> str:
    """Return how many seeds there are, in words."""
    counts = sorted({len(runs) for runs in arms.values()})
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


# --- Files ---


def ordered(runs: Iterable[Iterable[Row]]) -> list[Row]:
    """Return the rows of runs, sorted by task, arm, seed and step."""
    tasks, arms = list(TASKS), list(ARMS)
    rows = [row for found in runs for row in found]
    return sorted(rows, key=lambda row: (tasks.index(row.task), arms.index(row.arm), row.seed, row.step))


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a CSV, but for those of tasks and arms that are no longer known."""
    with path.open(newline="") as file:
        rows = [
            Row(
                row["task"],
                row["arm"],
                int(row["seed"]),
                int(row["step"]),
                float(row["return_mean"]),
                float(row["value_mean"]),
                row["settings"],
            )
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if row.task in TASKS and row.arm in ARMS]


def write_csv(path: Path, rows: Sequence[Row] | Sequence[Line]) -> None:
    """Write rows, whole or not at all."""
    cells = ([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
    write_table(path, rows[0]._fields, cells)


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Shows that DQN learns as much by Tengen as by stable-baselines3: equal settings, network, emulation and evaluation.

Both train on a MinAtar game with several seeds, with the settings of the preset `dqn-minatar`: Tengen's environment
(for SB3 behind an adapter), the convolution and the hidden layer of Young & Tian (2019), Adam, Huber's loss, the same
batch, replay, target period, epsilon and updates per step. Each point of a curve is an evaluation by the greedy policy,
of the same episodes for all. Runs that the CSV has already are not done again, unless by other settings: those stay in
the CSV, and the report and the picture leave them out.

    python benchmarks/dqn_learning.py --env MinAtar/Breakout-v1 --steps 100000 --seeds 0 1 2 3 4 --jobs 2
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import multiprocessing
import statistics
import sys
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from _atari_sides import StepTengen
from _command import non_negative_int, output_file, positive_int, write_table
from scipy import stats  # type: ignore[import-untyped]  # it has no annotations
from stable_baselines3 import DQN as SB3DQN
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from tengen.agents.dqn.config import DQNConfig
from tengen.agents.random.config import RandomConfig
from tengen.cli.guard import guarded
from tengen.contracts import Environment, Policy
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.loop import interact
from tengen.perception.networks import torso
from tengen.types import Ints, TimeStep

NUM_ENVS = 8
SETTINGS: dict[str, Any] = {
    "hidden": (128,),
    "learning_rate": 2.5e-4,
    "adam_epsilon": 3.125e-4,
    "batch_size": 32,
    "replay_capacity": 100_000,
    "learn_start": 5_000,
    "learn_period": 4,
    "target_period": 250,
    "epsilon_end": 0.1,
}
EVAL_SEED = 100_000


class Job(NamedTuple):
    """One training."""

    env: str
    side: str
    seed: int
    steps: int
    eval_period: int
    episodes: int

    @property
    def digest(self) -> str:
        """A digest of all that the run is set to, but for what a row says of it."""
        told = sorted(agent_settings(self.steps).items())
        everything = [NUM_ENVS, self.steps, self.eval_period, self.episodes, EVAL_SEED, told]
        return f"{zlib.crc32(json.dumps(everything).encode()):08x}"


class Point(NamedTuple):
    """One evaluation; a row of the CSV."""

    env: str
    side: str
    seed: int
    step: int
    return_mean: float
    return_ci95: float
    settings: str  # the run's digest; none where an older CSV has no such column


class Features(BaseFeaturesExtractor):
    """Tengen's torso as SB3 takes one."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        layers, num_features = torso(observation_space)
        super().__init__(observation_space, num_features)
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return features [B, F]."""
        features: torch.Tensor = self.layers(observations)
        return features


class PolicyOfSB3:
    """The greedy policy of an SB3 model, for Tengen's evaluation."""

    def __init__(self, model: SB3DQN) -> None:
        self.model = model

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one action for each row, [B]."""
        return np.asarray(self.model.predict(step.observation, deterministic=True)[0], np.int64)


Look = Callable[[int, Policy], None]
"""Is shown the policy as learnt after a number of steps."""


def agent_settings(steps: int) -> dict[str, Any]:
    """Return what a run sets: epsilon falls in its first tenth, as in 100,000 of a million steps."""
    return {**SETTINGS, "epsilon_decay_steps": max(1, steps // 10)}


def settings(steps: int) -> DQNConfig:
    """Return all settings of a run's agent."""
    return DQNConfig(**agent_settings(steps))


def train_tengen(job: Job, look: Look) -> None:
    """Train by Tengen."""
    env = make_env(EnvConfig(job.env, NUM_ENVS), training=True)
    agent = settings(job.steps).build(env.spec, np.random.default_rng(job.seed), "cpu")
    for tick in interact(agent, env, job.steps, job.seed):
        if tick.num_steps % job.eval_period == 0:
            look(tick.num_steps, agent.policy())


def train_sb3(job: Job, look: Look) -> None:
    """Train by SB3, with the same settings by its names."""
    config = settings(job.steps)
    model = SB3DQN(
        "MlpPolicy",
        StepTengen(EnvConfig(job.env, NUM_ENVS), job.seed),
        learning_rate=config.learning_rate,
        buffer_size=config.replay_capacity,
        learning_starts=config.learn_start,
        batch_size=config.batch_size,
        gamma=config.gamma,
        train_freq=1,  # in steps of all environments
        gradient_steps=NUM_ENVS // config.learn_period,
        target_update_interval=config.target_period * config.learn_period,
        exploration_fraction=config.epsilon_decay_steps / job.steps,
        exploration_final_eps=config.epsilon_end,
        max_grad_norm=float(config.gradient_clip or np.inf),
        policy_kwargs={
            "features_extractor_class": Features,
            "net_arch": list(config.hidden),
            "optimizer_kwargs": {"eps": config.adam_epsilon},
        },
        seed=job.seed,
        device="cpu",
    )
    model.set_logger(Logger(None, []))  # else `learn` makes a folder for logs

    def on_step(local: dict[str, Any], _: dict[str, Any]) -> bool:
        if model.num_timesteps % job.eval_period == 0:
            look(model.num_timesteps, PolicyOfSB3(model))
        return True

    model.learn(job.steps, callback=on_step, log_interval=None)  # type: ignore[arg-type]  # None is documented


SIDES: dict[str, Callable[[Job, Look], None]] = {"tengen": train_tengen, "sb3": train_sb3}


def run(job: Job) -> list[Point]:
    """Train, and evaluate on the way."""
    torch.set_num_threads(1)
    points = []
    env = make_env(EnvConfig(job.env, NUM_ENVS), training=False)

    def look(step: int, policy: Policy) -> None:
        mean, half = mean_return(policy, env, job.episodes)
        points.append(Point(job.env, job.side, job.seed, step, mean, half, job.digest))

    SIDES[job.side](job, look)
    return points


def mean_return(policy: Policy, env: Environment, episodes: int) -> tuple[float, float]:
    """Return the mean return of a policy in the episodes of the seeds EVAL_SEED, ..., and its 95% interval's half."""
    result = evaluate(policy, env, episodes, EVAL_SEED)
    assert result is not None
    summary = result.summary()
    return round(summary["return_mean"], 4), round(summary["return_ci95"], 4)


def interval(values: Sequence[float]) -> float:
    """Return the half width of Student's 95% interval of a mean."""
    if len(values) < 2:
        return float("nan")
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def report(points: Sequence[Point], env: str, step: int, episodes: int) -> None:
    """Print what each side came to at the last step, beside random play, and whether the two can be told apart."""
    play = make_env(EnvConfig(env, NUM_ENVS), training=False)
    random = RandomConfig().build(play.spec, np.random.default_rng(0), "cpu").policy()
    mean, half = mean_return(random, play, max(episodes, 200))
    print(f"random       {mean:8.2f} +- {half:.2f}")
    last = {side: [p.return_mean for p in points if p.side == side and p.step == step] for side in SIDES}
    for side, values in last.items():
        if values:
            print(
                f"{side:12} {statistics.fmean(values):8.2f} +- {interval(values):.2f}  ({len(values)} seeds: {values})"
            )
    if min(len(values) for values in last.values()) > 1:
        test = stats.ttest_ind(last["tengen"], last["sb3"], equal_var=False)
        print(f"Welch's test of tengen against sb3: t = {test.statistic:.2f}, p = {test.pvalue:.2f}")


def read(path: Path) -> list[Point]:
    """Return the points of a CSV."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        table = csv.DictReader(file)
        if not set(Point._fields[:-1]) <= set(table.fieldnames or ()):  # the last came later
            raise UserError(f"{path} is not a table of this benchmark's: give another --out")
        return [
            Point(
                row["env"],
                row["side"],
                int(row["seed"]),
                int(row["step"]),
                float(row["return_mean"]),
                float(row["return_ci95"]),
                row.get("settings") or "",
            )
            for row in table
        ]


def write(path: Path, points: Sequence[Point]) -> None:
    """Replace a CSV."""
    rows = sorted(points, key=lambda point: (point.env, point.settings, point))
    write_table(path, Point._fields, rows)


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw the curves: mean over seeds, with Student's 95% interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (side, label), colour in zip(
        (("tengen", "Tengen"), ("sb3", "stable-baselines3")), ("#0072b2", "#d55e00"), strict=True
    ):
        steps = sorted({p.step for p in points if p.side == side})
        values = [[p.return_mean for p in points if p.side == side and p.step == step] for step in steps]
        means = np.array([statistics.fmean(v) for v in values])
        halves = np.array([interval(v) for v in values])
        axes.plot(steps, means, color=colour, label=f"{label}, {len(values[0]) if values else 0} seeds")
        axes.fill_between(steps, means - halves, means + halves, color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="environment steps", ylabel="return, greedy policy", title=points[0].env)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="MinAtar/Breakout-v1", help="a MinAtar game")
    parser.add_argument("--steps", type=positive_int, default=100_000)
    parser.add_argument(
        "--eval-period", type=positive_int, default=10_000, help="steps, a multiple of 8; divides --steps"
    )
    parser.add_argument("--episodes", type=positive_int, default=50, help="of each evaluation")
    parser.add_argument("--seeds", type=non_negative_int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=positive_int, default=1, help="processes")
    parser.add_argument("--out", type=output_file, default=Path(__file__).parent / "results" / "dqn_learning.csv")
    given = parser.parse_args(argv)
    if given.eval_period % NUM_ENVS or given.steps % given.eval_period:
        parser.error(
            f"--eval-period must be a multiple of {NUM_ENVS} that divides --steps, "
            f"got {given.eval_period} and {given.steps}"
        )
    make_env(EnvConfig(given.env, 1), training=True).close()  # here its refusal is one line
    jobs = [
        Job(given.env, side, seed, given.steps, given.eval_period, given.episodes)
        for seed in dict.fromkeys(given.seeds)
        for side in SIDES
    ]
    points = complete(read(given.out), jobs, given.out, given.jobs)
    points = [point for point in points if (point.env, point.settings) == (given.env, jobs[0].digest)]
    report(points, given.env, given.steps, given.episodes)
    draw(points, given.out.with_suffix(".png"))
    print(f"written to {given.out}")


def complete(points: Sequence[Point], jobs: Sequence[Job], path: Path, num_processes: int) -> list[Point]:
    """Do the runs that are missing among the points; return these points, and those of the runs.

    The CSV is written anew after each run.
    """
    every, done = list(points), {(p.env, p.side, p.seed, p.settings) for p in points}
    missing = [job for job in jobs if (job.env, job.side, job.seed, job.digest) not in done]
    with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, job) for job in missing]):
            found = future.result()
            every += found
            write(path, every)
            print(
                f"{found[-1].side} seed {found[-1].seed}: {found[-1].return_mean} at step {found[-1].step}", flush=True
            )
    return every


if __name__ == "__main__":
    sys.exit(guarded(main))

"""Times tabular work: Q-learning against a plain Python loop, starting up, and value iteration over a million states.

Q-learning is timed on Gymnasium's own environments, in turns within one process: the plain loop (lists, `random`, and
`gymnasium.make`), Tengen's compiled driver, and its Python driver. All have the same step size, gamma and epsilon.
Shown are the medians of steps/s, their ratios, and for each side what the greedy policy that it has learnt brings on
average, exactly, beside that of the policy that is greedy on Q*. Compiling is not in it: it is timed apart, in fresh
processes.

Exits with code 1 where the compiled driver is less than 150 times as fast as the plain loop, or a second start takes
longer than a second to its first step.

    python benchmarks/tabular.py
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from _command import non_negative_int, output_file, positive_int, write_table

from tengen.agents.tabular import QLearningConfig, TabularAgent
from tengen.cli.guard import guarded
from tengen.contracts import TabledEnvironment
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact
from tengen.planners import expected_return, value_iteration
from tengen.tables import EpisodeLog
from tengen.types import Floats

ENVS = ("FrozenLake-v1", "Taxi-v4", "CliffWalking-v1")
STEP_SIZE, GAMMA, EPSILON = 0.1, 0.99, 0.1
WANTED_RATIO, WANTED_START = 150.0, 1.0
COLUMNS = ("what", "env", "median", "min", "max", "unit", "ratio", "learnt", "greedy_on_q_star", "note")
TENGEN = Path(sys.executable).parent / "tengen"
FIRST_STEP = """
import sys, time
from tengen.agents.tabular import TabularAgent
from tengen.cli import main

drive = TabularAgent.drive

def noted(agent, world, log, num_steps):
    done = drive(agent, world, log, num_steps)
    if num_steps:  # not those of 0 steps, which make ready
        print(time.time())
        assert not {"torch", "stable_baselines3", "wandb"} & set(sys.modules)
    return done

TabularAgent.drive = noted
sys.exit(main(sys.argv[1:]))
"""


class PlainLoop:
    """Q-learning as one writes it on a slide: lists, the standard library's `random`, and Gymnasium's `step`.

    Args:
        env_id: The environment.
        seed: Of its chance and of the exploration.
    """

    def __init__(self, env_id: str, seed: int) -> None:
        self.env: Any = gym.make(env_id)
        self.random = random.Random(seed)
        states: Any = self.env.observation_space
        actions: Any = self.env.action_space
        self.num_actions = int(actions.n)
        self.q = [[0.0] * self.num_actions for _ in range(int(states.n))]
        self.state = self.env.reset(seed=seed)[0]

    def advance(self, num_steps: int) -> None:
        """Act and learn."""
        draw, step, reset = self.random.random, self.env.step, self.env.reset
        table, num_actions, state = self.q, self.num_actions, self.state
        for _ in range(num_steps):
            values = table[state]
            action = int(draw() * num_actions) if draw() < EPSILON else values.index(max(values))
            next_state, reward, terminated, truncated, _ = step(action)
            target = reward if terminated else reward + GAMMA * max(table[next_state])
            values[action] += STEP_SIZE * (target - values[action])
            state = reset()[0] if terminated or truncated else next_state
        self.state = state

    def values(self) -> Floats:
        """Return what it has learnt [S, A]."""
        return np.array(self.q)


class Driver:
    """Tengen's Q-learning, by one of its two drivers.

    Args:
        env_id: The environment.
        seed: Of its chance and of the exploration.
        compiled: Or step by step, in Python.
    """

    def __init__(self, env_id: str, seed: int, *, compiled: bool) -> None:
        env = make_env(EnvConfig(env_id), training=True)
        assert isinstance(env, TabledEnvironment)
        config = QLearningConfig(gamma=GAMMA, step_size=STEP_SIZE, epsilon_start=EPSILON, epsilon_end=EPSILON)
        agent = config.build(env.spec, np.random.default_rng(seed), "cpu")
        assert isinstance(agent, TabularAgent)
        self.env, self.agent, self.seed, self.num_steps = env, agent, seed, 0
        self.advance = self._compiled if compiled else self._python
        env.reset(seed)
        self._compiled(0)  # makes ready what must be compiled

    def values(self) -> Floats:
        """Return what it has learnt [S, A]."""
        table: Floats = self.agent.learner.q
        return table

    def _compiled(self, num_steps: int) -> None:
        done = 0
        room = np.zeros(num_steps, np.int64)
        log = EpisodeLog(np.zeros(1), np.zeros(num_steps), room, room.copy())
        while done < num_steps or not num_steps:
            world = self.env.world()
            assert world is not None
            taken, _ = self.agent.drive(world, log, num_steps - done)
            self.env.went_on(world, taken)
            done += taken
            if not num_steps:
                break

    def _python(self, num_steps: int) -> None:
        start, self.num_steps = self.num_steps, self.num_steps + num_steps
        for _ in interact(self.agent, self.env, self.num_steps, self.seed, start):
            pass


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive_int, default=7, help="turns of each side")
    parser.add_argument("--plain-steps", type=positive_int, default=100_000, help="steps of the plain loop in a turn")
    parser.add_argument(
        "--compiled-steps", type=positive_int, default=10_000_000, help="steps of the compiled driver in a turn"
    )
    parser.add_argument(
        "--python-steps", type=positive_int, default=20_000, help="steps of the Python driver in a turn"
    )
    parser.add_argument("--starts", type=positive_int, default=5, help="timed starts")
    parser.add_argument(
        "--size", type=positive_int, default=1_000, help="cells on a side of the grid for value iteration"
    )
    parser.add_argument("--seed", type=non_negative_int, default=0)
    parser.add_argument(
        "--out", type=output_file, default=Path(__file__).parent / "results" / "tabular.csv", help="CSV"
    )
    settings = parser.parse_args(argv)

    rows, complaints = [], []
    for env_id in ENVS:
        rows += race(env_id, settings)
        if rows[-2]["ratio"] < WANTED_RATIO:
            complaints.append(f"{env_id}: {rows[-2]['ratio']:.0f} times the plain loop, {WANTED_RATIO:.0f} are wanted")
    rows += starts(settings.starts)
    if rows[-1]["median"] > WANTED_START:
        complaints.append(f"a second start takes {rows[-1]['median']:.2f} s, {WANTED_START:g} s are wanted")
    rows += plan(settings.size)
    write_table(settings.out, COLUMNS, ({name: shown(value) for name, value in row.items()} for row in rows))
    if complaints:
        raise SystemExit("\n".join(complaints))


def race(env_id: str, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Time Q-learning of three kinds in turns: rows of the plain loop, the compiled driver and the Python driver."""
    sides: list[tuple[str, PlainLoop | Driver, int]] = [
        ("plain loop", PlainLoop(env_id, settings.seed), settings.plain_steps),
        ("compiled driver", Driver(env_id, settings.seed, compiled=True), settings.compiled_steps),
        ("python driver", Driver(env_id, settings.seed, compiled=False), settings.python_steps),
    ]
    rates: list[list[float]] = [[] for _ in sides]
    for _ in range(settings.rounds):
        for (_, side, num_steps), rate in zip(sides, rates, strict=True):
            began = time.perf_counter()
            side.advance(num_steps)
            rate.append(num_steps / (time.perf_counter() - began))
    best = expected_greedy(env_id, None)
    rows = []
    for (name, side, num_steps), rate in zip(sides, rates, strict=True):
        ratio = statistics.median(mine / plain for mine, plain in zip(rate, rates[0], strict=True))
        note = f"{settings.rounds} rounds of {num_steps} steps"
        learnt = expected_greedy(env_id, side.values())
        rows.append(row(f"q_learning, {name}", env_id, rate, "steps/s", ratio, learnt, best, note))
    return rows


def expected_greedy(env_id: str, q: Floats | None) -> float:
    """Return the exact mean return of the policy that is greedy on a table [S, A]; None: on Q*."""
    spec = make_env(EnvConfig(env_id), training=False).spec
    tables = spec.model
    assert tables is not None
    policy = value_iteration(tables, GAMMA).policy if q is None else q.argmax(1)
    value = expected_return(tables, policy, spec.max_episode_steps)
    assert value is not None
    return value


def starts(count: int) -> list[dict[str, Any]]:
    """Time `tengen train` up to its first step: the first time it compiles, then it finds that done."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "NUMBA_CACHE_DIR": f"{scratch}/kernels"}

        def start(number: int) -> float:
            arguments = ["train", "q_learning", "--env", "FrozenLake-v1", "--steps", "1", "--preset", "none"]
            command = [sys.executable, "-c", FIRST_STEP, *arguments, "--run-dir", f"{scratch}/{number}"]
            began = time.time()
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            return float(done.stdout.split()[0]) - began

        first, *others = [start(number) for number in range(count + 1)]
    note = "`tengen train`, from the process's start to the end of its first step"
    return [
        row("start, kernels compiled", "FrozenLake-v1", [first], "s", note=note),
        row("start, kernels from the cache", "FrozenLake-v1", others, "s", note=f"{note}; no torch, SB3 or wandb"),
    ]


def plan(size: int) -> list[dict[str, Any]]:
    """Time value iteration over a grid of size * size cells in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "plan",
            "value_iteration",
            "--env",
            "tengen/OpenGrid-v0",
            "--env.kwargs",
            json.dumps({"size": size}),
        ]
        command = [str(TENGEN), *arguments, "--json", "--run-dir", f"{scratch}/run"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    start_value, gamma = found["start_value"], 0.99
    assert abs(start_value + (1 - gamma ** (2 * size - 2)) / (1 - gamma)) < 1e-6, start_value
    note = (
        f"{found['states']} states, {found['sweeps']} sweeps, residual {found['residual']:g}, peak memory of the whole"
        f" process {megabytes:.0f} MiB; compiling {found['compile_seconds']:.2f} s more"
    )
    return [row("value iteration", "tengen/OpenGrid-v0", [found["seconds"]], "s", note=note)]


def row(
    what: str,
    env_id: str,
    values: Sequence[float],
    unit: str,
    ratio: float | None = None,
    learnt: float | None = None,
    best: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Return a row, and print it."""
    median = statistics.median(values)
    found = (what, env_id, median, min(values), max(values), unit, ratio, learnt, best, note)
    line = {name: value for name, value in zip(COLUMNS, found, strict=True) if value is not None}
    print("  ".join(f"{name} {shown(value)}" for name, value in line.items() if value != ""), flush=True)
    return line


def shown(value: Any) -> str:
    """Return a value as it is printed."""
    return (
        f"{value:.4g}"
        if isinstance(value, float) and abs(value) < 1e4
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


if __name__ == "__main__":
    sys.exit(guarded(main))

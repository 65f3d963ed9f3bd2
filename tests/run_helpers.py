"""Small runs, made in this process or in one that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tengen.agents.dqn.config import DQNConfig
from tengen.config import RunConfig
from tengen.envs.config import EnvConfig
from tengen.run import RunResult, open_run, resume, train
from tengen.tracking import read_metrics, without_times

CARTPOLE = {"hidden": (16,), "learn_start": 100, "learn_period": 4, "batch_size": 8, "replay_capacity": 500}
BREAKOUT = {**CARTPOLE, "learn_period": 40, "learn_start": 40, "batch_size": 4, "replay_capacity": 600, "n_step": 3}


def cartpole(steps: int, **fields: Any) -> RunConfig:
    """A DQN too small to be good, on CartPole; episodes end, epsilon and the step size move, the ring wraps."""
    agent = DQNConfig(**{**CARTPOLE, "learning_rate_end": 0.0, "learning_rate_decay_steps": 5_000})  # type: ignore[arg-type]
    settings: dict[str, Any] = {"checkpoint_period": 0, "log_period": 50, **fields}
    env = settings.pop("env", EnvConfig("CartPole-v1"))
    return RunConfig("dqn", agent, env, steps, **settings)


def breakout(steps: int, **fields: Any) -> RunConfig:
    """A DQN on four games of Breakout with sticky actions and life losses."""
    env = EnvConfig("ALE/Breakout-v5", 4, kwargs={"sticky_action_probability": 0.25})
    agent = DQNConfig(**BREAKOUT)  # type: ignore[arg-type]
    return RunConfig("dqn", agent, env, steps, **{"checkpoint_period": 0, "log_period": 40, **fields})


def digest(folder: Path) -> str:
    """The digest of a run's latest checkpoint."""
    checkpoint = open_run(folder).store.latest()
    assert checkpoint is not None
    return checkpoint.digest()


def rows(folder: Path) -> list[dict[str, Any]]:
    """A run's metrics without what depends on the clock."""
    return [without_times(row) for row in read_metrics(folder / "metrics.jsonl")]


def in_two(config: RunConfig, half: int, folder: Path) -> RunResult:
    """Train to `half`, then go on to the config's steps with a new agent and environment."""
    from dataclasses import replace

    train(replace(config, steps=half), folder)
    return resume(folder, steps=config.steps)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tengen.cli", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def stop_after(process: subprocess.Popen[bytes], folder: Path, num_rows: int, number: signal.Signals) -> int:
    """Send a signal once a run has written some rows; return the exit code."""
    deadline = time.monotonic() + 120
    path = folder / "metrics.jsonl"
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= num_rows:
            break
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=120)
    return process.returncode

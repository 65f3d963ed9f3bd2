"""What a real run of DQN leaves with the trackers, over a resume."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_helpers import cartpole
from test_tensorboard import in_truth, scalars
from wandb_helpers import isolated, mirrored, truth
from wandb_stub import KEY, WandbStub

from tengen.config import TrackConfig
from tengen.run import resume, train

CHARTS = {"charts/SPS", "charts/episodic_return", "charts/epsilon", "losses/loss", "eval/return_mean"}

TRAIN = [
    *("dqn", "--env", "CartPole-v1", "--preset", "none", "--steps", "600", "--log-period", "100"),
    *("--agent.learn-start", "100", "--agent.hidden", "16", "--track", "wandb", "--device", "cpu"),
    *("--eval-period", "300", "--eval-episodes", "2"),  # a second row at a step
]


def in_single_precision(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the rows of `metrics.jsonl` as TensorBoard, which keeps 32 bits, can hold them."""
    return {name: [(step, float(np.float32(value))) for step, value in rows] for name, rows in in_truth(folder).items()}


@pytest.mark.slow
def test_wandb_holds_every_row_of_a_run_and_of_its_resumption_as_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with WandbStub() as server:
        environment = isolated(tmp_path / "home") | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        environment |= {"WANDB_INIT_TIMEOUT": "30", "OMP_NUM_THREADS": "1"}
        for arguments in ([*TRAIN, "--run-dir", str(folder)], ["--resume", str(folder), "--steps", "900"]):
            done = subprocess.run(
                [sys.executable, "-m", "tengen.cli", "train", *arguments],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert f"W&B: {server.url}" in done.stderr
            (run,) = server.runs.values()
            assert mirrored(run.history) == truth(folder)
    assert [row["global_step"] for row in run.history if row["global_step"] in (600, 900)] == [600, 600, 900, 900]
    assert {name for row in run.history for name in row} >= CHARTS
    assert not (tmp_path / "wandb").exists()


def test_tensorboard_shows_every_row_of_a_run_and_of_its_resumption(tmp_path: Path) -> None:
    config = cartpole(600, log_period=100, eval_period=300, eval_episodes=2, track=TrackConfig(to="tensorboard"))
    train(replace(config, steps=300), tmp_path)
    assert scalars(tmp_path) == in_single_precision(tmp_path)
    resume(tmp_path, steps=600)
    assert scalars(tmp_path) == in_single_precision(tmp_path)
    assert scalars(tmp_path).keys() >= CHARTS
    assert scalars(tmp_path)["charts/SPS"][-1][0] == 600

"""A run whose numbers are no longer finite ends, and leaves the checkpoints of before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_helpers import cartpole
from torch import nn

from tengen.agents.dqn.config import DQNConfig
from tengen.agents.pqn.config import PQNConfig
from tengen.agents.reinforce.config import ReinforceNetworkConfig
from tengen.config import RunConfig
from tengen.envs.config import EnvConfig
from tengen.errors import UserError
from tengen.perception.torch_state import module_state
from tengen.run import open_run, train
from tengen.tracking import make_trackers

LEAP: dict[str, Any] = {"hidden": (16,), "learning_rate": 1e30}
UNCLIPPED: dict[str, Any] = {**LEAP, "gradient_clip": None, "learn_start": 50}
AGENTS = {
    "dqn": DQNConfig(**UNCLIPPED),
    "dqn of torch": DQNConfig(**UNCLIPPED, backend="torch"),
    "c51": DQNConfig(**UNCLIPPED, distribution="categorical"),
    "pqn": PQNConfig(**LEAP, gradient_clip=None, rollout_length=10),
    "reinforce_network": ReinforceNetworkConfig(hidden=(16,), policy_learning_rate=1e30, baseline_learning_rate=1e30),
}


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("periods", [(10, 0), (1_000, 10)], ids=["by its losses", "by its network"])
def test_a_diverged_run_ends_and_its_checkpoints_are_finite(
    name: str, periods: tuple[int, int], tmp_path: Path
) -> None:
    log, checkpoint = periods
    env = EnvConfig("CartPole-v1")
    config = RunConfig(
        name.partition(" ")[0], AGENTS[name], env, 1_000, log_period=log, checkpoint_period=checkpoint, eval_period=0
    )
    with pytest.raises(UserError, match="learning has diverged, lower its step size"):
        train(config, tmp_path / "run")
    saved = open_run(tmp_path / "run").store.latest()
    for array in [] if saved is None else numbers(saved.state()["agent"]):
        assert np.isfinite(array).all()


def numbers(tree: Any) -> list[Any]:
    """Every array of floats in a state."""
    if isinstance(tree, dict | list):
        branches = tree.values() if isinstance(tree, dict) else tree
        return [array for branch in branches for array in numbers(branch)]
    return [tree] if isinstance(tree, np.ndarray) and tree.dtype.kind == "f" else []


def test_the_row_of_a_loss_that_is_not_finite_is_written_before_the_run_ends(tmp_path: Path) -> None:
    trackers = make_trackers(tmp_path, cartpole(100))
    trackers.write(50, {"losses/loss": 1.0, "charts/novelty": float("nan")})
    with pytest.raises(UserError, match=r"^losses/loss is inf at step 100: learning has diverged"):
        trackers.write(100, {"losses/loss": float("inf")})
    trackers.close()
    lines = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1]) == {"global_step": 100, "losses/loss": "Infinity"}


def test_a_network_that_is_not_finite_has_no_state() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight[0, 1] = torch.nan
    with pytest.raises(UserError, match=r"^the network's weight is not finite: learning has diverged"):
        module_state(layer)

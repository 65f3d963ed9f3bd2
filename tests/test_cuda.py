"""What holds on a CUDA device as on the processor. CI has none: run these by hand where there is one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dqn_helpers import SPEC, random_batch
from run_helpers import cartpole, digest, in_two, rows

from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.upload import PinnedMemory
from tengen.config import RunConfig, default_settings, lay_over, make_run_config
from tengen.run import train
from tengen.types import Transition

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),  # of its own compiler
]


def test_on_cuda_a_run_in_two_halves_equals_one_that_never_stopped(tmp_path: Path) -> None:
    config = cartpole(800, device="cuda")
    train(config, tmp_path / "one")
    in_two(config, 400, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def variant(name: str, **fields: Any) -> RunConfig:
    small = {"hidden": [32], "learn_start": 100, "replay_capacity": 1_000, **fields}
    return make_run_config(name, lay_over(name, default_settings(name), {"agent_config": small, "device": "cuda"}))


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *[(name, {"overlap": overlap}) for name in ("double_dqn", "c51", "qr_dqn", "rainbow") for overlap in (False, True)],
    ("dqn", {"pop_art": True}),
    ("rainbow", {"compile": True, "overlap": True}),
]


@pytest.mark.parametrize(("name", "fields"), VARIANTS)
def test_on_cuda_every_variant_goes_on_exactly(name: str, fields: dict[str, Any], tmp_path: Path) -> None:
    config = dataclasses.replace(variant(name, **fields), steps=600)
    train(config, tmp_path / "one")
    in_two(config, 300, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_on_cuda_pqn_goes_on_exactly(tmp_path: Path) -> None:
    settings = {"agent_config": {"hidden": [32]}, "device": "cuda"}
    config = make_run_config("pqn", lay_over("pqn", default_settings("pqn"), settings))
    config = dataclasses.replace(config, steps=2_048)
    train(config, tmp_path / "one")
    in_two(config, 1_024, tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_pinned_batches_arrive_as_they_were_though_their_arrays_are_written_over() -> None:
    upload = PinnedMemory(torch.device("cuda"))
    rng = np.random.default_rng(0)
    frames, rewards = np.zeros((32, 4, 84, 84), np.uint8), np.zeros(32, np.float32)
    batch = Transition(frames, np.zeros(32, np.int64), rewards, rewards, frames)
    sent, arrived = [], []
    for _ in range(10):
        frames[:] = rng.integers(256, size=frames.shape, dtype=np.uint8)
        rewards[:] = rng.normal(size=32)
        sent.append((frames.copy(), rewards.copy()))
        arrived.append(upload.batch(batch, rewards))
    for (picture, reward), tensors in zip(sent, arrived, strict=True):
        assert tensors.observation.dtype == torch.uint8
        np.testing.assert_array_equal(tensors.next_observation.cpu().numpy(), picture)
        assert tensors.weight is not None
        np.testing.assert_array_equal(tensors.weight.cpu().numpy(), reward)


def test_cuda_graphs_give_the_losses_of_plain_calls() -> None:
    losses = []
    for compiled in (False, True):
        config = variant("rainbow", compile=compiled, gradient_clip=None).agent_config
        assert isinstance(config, DQNConfig)
        agent = config.build(SPEC, np.random.default_rng(0), "cuda")
        losses.append([float(agent.learner.update(random_batch(seed), 0).metrics["losses/loss"]) for seed in range(20)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)

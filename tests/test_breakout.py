from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tengen.agents.dqn.config import DQNConfig
from tengen.envs import EnvConfig, make_env
from tengen.loop import interact


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_breakout_trains_for_4000_updates_past_the_rings_end_in_constant_memory() -> None:
    torch.set_num_threads(1)  # two collapse where another test has a core
    env = make_env(EnvConfig("ALE/Breakout-v5", 8, "nature2015"), training=True)
    config = DQNConfig(
        hidden=(512,), learning_rate=1e-4, replay_capacity=4_000, learn_start=1_000, learn_period=4, precision="auto"
    )
    agent = config.build(env.spec, np.random.default_rng(0), "cpu")
    memory, lives_lost, games = [], 0, 0
    for tick in interact(agent, env, 17_200, seed=0):
        lives_lost += int(((tick.next_step.discount == 0) & ~tick.next_step.last).sum())
        games += int(tick.next_step.last.sum())
        if tick.num_steps >= 5_000 and tick.num_steps % 1_000 == 0:
            memory.append(resident_megabytes())
        if tick.metrics:
            assert np.isfinite(float(tick.metrics["losses/loss"]))
    assert agent.learner.num_updates >= 4_000
    assert games >= 8
    assert lives_lost >= 4 * games  # the fifth life ends the game
    assert max(memory) <= 1.02 * memory[0], memory

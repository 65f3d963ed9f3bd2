"""Small DQNs of any parts, and batches to feed them with."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch

from tengen.agents.dqn.agent import DQN
from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.learner import TorchLearner
from tengen.perception.layers import output_layers
from tengen.types import EnvSpec, Transition

NUM_INPUTS, NUM_ACTIONS = 3, 4
SPEC = EnvSpec("toy", gym.spaces.Box(-1, 1, (NUM_INPUTS,), np.float32), gym.spaces.Discrete(NUM_ACTIONS), num_envs=1)


def build_dqn(spec: EnvSpec = SPEC, seed: int = 0, **fields: Any) -> DQN:
    """Build a small DQN that starts to learn at once."""
    settings = {"hidden": (8,), "learn_start": 0, "learn_period": 1, "replay_capacity": 100, **fields}
    return DQNConfig(**settings).build(spec, np.random.default_rng(seed), "cpu")


def build_torch_learner(spec: EnvSpec = SPEC, seed: int = 0, **fields: Any) -> TorchLearner:
    """Build a learner of torch whose target network differs from its online network in every parameter."""
    learner = build_dqn(spec, seed, **{"backend": "torch", **fields}).learner
    assert isinstance(learner, TorchLearner)
    if learner.target.network is not learner.network:
        generator = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for parameter in learner.target.network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return learner


def enlarge_outputs(learner: TorchLearner, factor: float) -> None:
    """Multiply what both networks say by what they see: Pop-Art makes it very small at its first update."""
    with torch.no_grad():
        for network in (learner.network, learner.target.network):
            for output in output_layers(network):
                for name, parameter in output.layer.named_parameters():
                    if "weight" in name:
                        parameter.mul_(factor)


def random_batch(num: int = 32, seed: int = 0, *, legal: bool = False) -> Transition:
    """Draw transitions: some end, some bootstrap with the other side's value; masks differ from row to row."""
    rng = np.random.default_rng(seed)
    mask = rng.random((num, NUM_ACTIONS)) < 0.5
    mask[np.arange(num), rng.integers(NUM_ACTIONS, size=num)] = True
    return Transition(
        rng.normal(size=(num, NUM_INPUTS)).astype(np.float32),
        rng.integers(NUM_ACTIONS, size=num),
        rng.normal(size=num).astype(np.float32) * 3,
        rng.choice([0.0, 0.99, -0.99, 0.97], size=num).astype(np.float32),
        rng.normal(size=(num, NUM_INPUTS)).astype(np.float32),
        mask if legal else None,
    )

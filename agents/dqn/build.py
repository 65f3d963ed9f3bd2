"""Puts a DQN together from its config."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn, optim

from tengen.agents.dqn.agent import DQN
from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.learner import Learner, NoTarget, PeriodicTarget, PolyakTarget, Target
from tengen.agents.dqn.losses import LOSSES
from tengen.contracts import Replay
from tengen.perception.networks import q_network
from tengen.perception.optimizers import CentredRMSprop
from tengen.replay import LatestStep, UniformReplay
from tengen.schedules import LinearSchedule
from tengen.types import EnvSpec, Transition


def build(config: DQNConfig, spec: EnvSpec, rng: np.random.Generator, device: str) -> DQN:
    """Return the agent that a config describes.

    Args:
        config: Its settings.
        spec: The environment.
        rng: Its children seed the network, the replay and the exploration.
        device: "cpu", "cuda" or "cuda:N".
    """
    network_rng, replay_rng, agent_rng = rng.spawn(3)
    generator = torch.Generator().manual_seed(int(network_rng.integers(2**62)))
    network = q_network(spec.observation_space, spec.num_actions, config.hidden, generator).to(device)
    learner = Learner(
        network,
        _target(config, network),
        _optimizer(config, network, device),
        LOSSES[config.loss],
        _learning_rate(config),
        gradient_clip=config.gradient_clip,
        device=torch.device(device),
        autocast=_computes_in_bfloat16(config.precision, device),
    )
    return DQN(
        spec,
        learner,
        _replay(config, spec, replay_rng),
        LinearSchedule(config.epsilon_start, config.epsilon_end, config.epsilon_decay_steps),
        batch_size=config.batch_size,
        learn_start=config.learn_start,
        learn_period=config.learn_period,
        updates_per_learn=config.updates_per_learn,
        reward_clip=config.reward_clip,
        rng=agent_rng,
    )


def _replay(config: DQNConfig, spec: EnvSpec, rng: np.random.Generator) -> Replay[Transition]:
    if not config.replay:
        return LatestStep(spec.num_envs, config.gamma)
    return UniformReplay.from_spec(
        spec, capacity=config.replay_capacity, rng=rng, n_step=config.n_step, gamma=config.gamma
    )


def _target(config: DQNConfig, network: nn.Module) -> Target:
    if config.target == "none":
        return NoTarget(network)
    frozen = copy.deepcopy(network).requires_grad_(False)
    if config.target == "polyak":
        return PolyakTarget(network, frozen, config.target_rate)
    return PeriodicTarget(network, frozen, config.target_period)


def _optimizer(config: DQNConfig, network: nn.Module, device: str) -> optim.Optimizer:
    if config.optimizer == "rmsprop":
        # Mnih et al. (2015), Extended Data Table 1. Its 0.01 belongs to a loss summed over the batch; ours is the mean.
        epsilon = 0.01 / config.batch_size**2
        return CentredRMSprop(network.parameters(), config.learning_rate, decay=0.95, epsilon=epsilon)
    return optim.Adam(network.parameters(), config.learning_rate, eps=config.adam_epsilon, fused=True)


def _learning_rate(config: DQNConfig) -> LinearSchedule:
    end = config.learning_rate if config.learning_rate_end is None else config.learning_rate_end
    return LinearSchedule(config.learning_rate, end, config.learning_rate_decay_steps)


def _computes_in_bfloat16(precision: str, device: str) -> bool:
    if precision != "auto":
        return precision == "bfloat16"
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    # Underscored, but torch has no public name for it; without the instructions bfloat16 is emulated and slower.
    return bool(torch.cpu._is_avx512_bf16_supported())

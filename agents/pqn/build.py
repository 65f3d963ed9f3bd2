"""Puts a PQN together from its config."""

from __future__ import annotations

import numpy as np
import torch

from tengen.agents.pqn.agent import PQN
from tengen.agents.pqn.config import PQNConfig
from tengen.agents.pqn.learner import Learner
from tengen.agents.pqn.rollout import Rollout
from tengen.perception.normalised import normalised_q_network
from tengen.perception.precision import computes_in_bfloat16
from tengen.perception.radam import RAdam
from tengen.schedules import LinearSchedule
from tengen.types import EnvSpec


def build(config: PQNConfig, spec: EnvSpec, rng: np.random.Generator, device: str) -> PQN:
    """Return the agent that a config describes.

    Args:
        config: Its settings.
        spec: The environment.
        rng: Its children seed the network, and what the agent draws.
        device: "cpu", "cuda" or "cuda:N".
    """
    network_rng, agent_rng = rng.spawn(2)
    generator = torch.Generator().manual_seed(int(network_rng.integers(2**62)))
    network = normalised_q_network(
        spec.observation_space, spec.num_actions, config.hidden, generator, layer_norm=config.layer_norm
    ).to(device)
    end = config.learning_rate if config.learning_rate_end is None else config.learning_rate_end
    learner = Learner(
        network,
        RAdam(network.parameters(), config.learning_rate),
        LinearSchedule(config.learning_rate, end, config.learning_rate_decay_steps),
        gradient_clip=config.gradient_clip,
        device=torch.device(device),
        autocast=computes_in_bfloat16(config.precision, torch.device(device)),
    )
    return PQN(
        spec,
        learner,
        Rollout(spec, config.rollout_length),
        LinearSchedule(config.epsilon_start, config.epsilon_end, config.epsilon_decay_steps),
        gamma=config.gamma,
        trace_decay=config.trace_decay,
        num_epochs=config.num_epochs,
        batch_size=config.batch_size,
        reward_clip=config.reward_clip,
        rng=agent_rng,
    )

"""Puts an AlphaZero together from its config."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn, optim

from tengen.agents.alphazero.agent import AlphaZero
from tengen.agents.alphazero.config import AlphaZeroConfig
from tengen.agents.alphazero.games import Games
from tengen.agents.alphazero.learner import Learner
from tengen.agents.alphazero.plan import SearchPlan
from tengen.contracts import SymmetricSimulator, TerritorySimulator
from tengen.errors import UserError
from tengen.perception.policy_value import continued_network, is_board, policy_value_network
from tengen.perception.precision import computes_in_bfloat16
from tengen.planners.mcts.evaluators import network as judged_by
from tengen.planners.mcts.search import Search
from tengen.planners.mcts.settings import SearchSettings
from tengen.replay.positions import PositionReplay
from tengen.schedules import LinearSchedule
from tengen.types import EnvSpec


def build(config: AlphaZeroConfig, spec: EnvSpec, rng: np.random.Generator, device: str) -> AlphaZero:
    """Return the agent that a config describes.

    Args:
        config: Its settings.
        spec: The environment; it has a simulator.
        rng: Its children seed the network, the replay, and what the agent draws.
        device: "cpu", "cuda" or "cuda:N".
    """
    network_rng, replay_rng, agent_rng = rng.spawn(3)
    network = _network(config, spec, network_rng).to(device)
    end = config.learning_rate if config.learning_rate_end is None else config.learning_rate_end
    learner = Learner(
        network,
        optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True),
        LinearSchedule(config.learning_rate, end, config.learning_rate_decay_steps),
        value_weight=config.value_weight,
        territory_weight=config.territory_weight,
        device=torch.device(device),
        autocast=computes_in_bfloat16(config.precision, torch.device(device)),
    )
    space = spec.observation_space
    assert space.shape is not None
    simulator, games = spec.simulator, Games(spec)
    points = _points(config, spec)
    policy_simulations = config.simulations if config.policy_simulations is None else config.policy_simulations
    return AlphaZero(
        learner,
        SearchPlan(
            _search(config, spec, learner, config.simulations, explores=True),
            config.simulations,
            move_numbers=games.lengths,
            sampled_moves=config.sampled_moves,
        ),
        SearchPlan(_search(config, spec, learner, policy_simulations, explores=False), policy_simulations),
        games,
        PositionReplay(
            space.shape,
            space.dtype,
            num_actions=spec.num_actions,
            capacity=config.replay_capacity,
            rng=replay_rng,
            territory_shape=(0,) if points is None else space.shape[1:],
        ),
        simulator if config.symmetries and isinstance(simulator, SymmetricSimulator) else None,
        points,
        batch_size=config.batch_size,
        learn_start=config.learn_start,
        learn_period=config.learn_period,
        updates_per_learn=config.updates_per_learn,
        rng=agent_rng,
    )


def _network(config: AlphaZeroConfig, spec: EnvSpec, rng: np.random.Generator) -> nn.Module:
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    territory = config.territory_weight > 0
    if config.network is not None:
        return continued_network(config.network, spec, territory=territory, generator=generator)
    return policy_value_network(
        spec.observation_space,
        spec.num_actions,
        blocks=config.blocks,
        width=config.width,
        hidden=config.hidden,
        territory=territory,
        generator=generator,
    )


def _points(config: AlphaZeroConfig, spec: EnvSpec) -> TerritorySimulator | None:
    if config.territory_weight == 0:
        return None
    if not isinstance(spec.simulator, TerritorySimulator) or not is_board(spec.observation_space, spec.num_actions):
        raise UserError(
            f"agent.territory_weight is for games about points of a board, {spec.id} is none: leave it at 0"
        )
    return spec.simulator


def _search(config: AlphaZeroConfig, spec: EnvSpec, learner: Learner, simulations: int, *, explores: bool) -> Search:
    assert spec.simulator is not None, "refused by AlphaZeroConfig.refusal"
    settings = SearchSettings(
        rule=config.search,
        exploration=config.exploration if config.search == "puct" else None,
        noise=config.root_noise if explores and config.search == "puct" else 0.0,
        noise_alpha=config.dirichlet / spec.num_actions,
        considered=config.max_considered,
        gumbel_noise=1.0 if explores else 0.0,
        max_nodes=simulations + 2,
    )
    return Search(spec.simulator, judged_by(spec.simulator, learner.evaluate), settings)

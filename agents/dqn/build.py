"""Puts a DQN together from its config."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn, optim

from tengen.agents.dqn.agent import DQN
from tengen.agents.dqn.compiled import compiled_learner, why_not_compiled
from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.heads import Categorical, ExpectedValue, Head, Quantiles
from tengen.agents.dqn.learner import Learner, TorchLearner
from tengen.agents.dqn.losses import LOSSES
from tengen.agents.dqn.pace import AtOnce, Overlapped
from tengen.agents.dqn.practice import Practice, PrioritizedPractice, UniformPractice
from tengen.agents.dqn.scaling import PlainScale, PopArt, Scale
from tengen.agents.dqn.slopes import slopes_of
from tengen.agents.dqn.support import SupportWatch
from tengen.agents.dqn.targets import NoTarget, PeriodicTarget, PolyakTarget, Target
from tengen.agents.dqn.upload import PinnedMemory, SharedMemory
from tengen.contracts import Replay
from tengen.errors import UserError
from tengen.perception.by_hand import why_not_by_hand
from tengen.perception.layers import Noise, output_layers
from tengen.perception.networks import q_network
from tengen.perception.optimizers import CentredRMSprop, FlatAdam, Gradient
from tengen.perception.precision import computes_in_bfloat16
from tengen.replay import FrameStore, LatestStep, PrioritizedReplay, UniformReplay
from tengen.schedules import LinearSchedule
from tengen.types import EnvSpec


def build(config: DQNConfig, spec: EnvSpec, rng: np.random.Generator, device: str) -> DQN:
    """Return the agent that a config describes.

    Args:
        config: Its settings.
        spec: The environment.
        rng: Its children seed the network, the replay, the exploration and the noise.
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        UserError: A setting does not go with the environment.
    """
    if config.distribution == "categorical" and spec.alternates and config.v_min != -config.v_max:
        raise UserError(
            f"in {spec.id} what one side wins the other loses: the support must be symmetric, got agent.v_min"
            f" {config.v_min} and agent.v_max {config.v_max}"
        )
    network_rng, replay_rng, agent_rng, noise_rng = rng.spawn(4)
    replay, practice = _memory(config, spec, replay_rng)
    return DQN(
        spec,
        _learner(config, spec, network_rng, noise_rng, torch.device(device)),
        replay,
        practice,
        Overlapped() if config.overlap else AtOnce(),
        LinearSchedule(config.epsilon_start, config.epsilon_end, config.epsilon_decay_steps),
        learn_start=config.learn_start,
        learn_period=config.learn_period,
        updates_per_learn=config.updates_per_learn,
        reward_clip=config.reward_clip,
        watch=_watch(config, spec),
        rng=agent_rng,
    )


def _watch(config: DQNConfig, spec: EnvSpec) -> SupportWatch | None:
    if config.distribution != "categorical":
        return None
    return SupportWatch(
        config.v_min, config.v_max, config.gamma, alternates=spec.alternates, in_deviations=config.pop_art
    )


def why_torch_compiles_nothing() -> str | None:
    """Return why `torch.compile` fails on this machine's processor, or None."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # what it asks itself, though only at the first loss
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "torch.compile finds no C++ compiler (g++, or what CXX names)"
    return None


def _learner(
    config: DQNConfig,
    spec: EnvSpec,
    network_rng: np.random.Generator,
    noise_rng: np.random.Generator,
    device: torch.device,
) -> Learner:
    """Return the learner of the backend that was asked for, or of the faster one.

    Raises:
        UserError: The compiled one was asked for and can't take these settings.
    """
    reason = why_not_compiled(config, spec, device.type)
    if config.backend == "compiled" and reason is not None:
        raise UserError(f"agent.backend compiled can't be had here: {reason}; leave it out, or change that")
    head = _head(config, device)
    network = q_network(
        spec.observation_space,
        spec.num_actions,
        config.hidden,
        _generator(network_rng, torch.device("cpu")),
        num_outputs=head.num_outputs,
        dueling=config.dueling,
        noise=config.noise_start if config.noisy else None,
    ).to(device)
    generators = _generator(noise_rng, device), _generator(noise_rng, device)
    if reason is None and config.backend in ("auto", "compiled"):
        return compiled_learner(config, spec, network, generators, learning_rate(config))
    reason = "torch compiles its own gradients" if config.compile else why_not_by_hand(network, device.type)
    if config.backend == "by_hand" and reason is not None:
        raise UserError(f"agent.backend by_hand can't be had here: {reason}; leave it out, or change that")
    by_hand = reason is None and config.backend != "torch"
    return _torch_learner(config, head, network, generators, device, by_hand=by_hand)


def _torch_learner(
    config: DQNConfig,
    head: Head,
    network: nn.Sequential,
    generators: tuple[torch.Generator, torch.Generator],
    device: torch.device,
    *,
    by_hand: bool,
) -> TorchLearner:
    target = _target(config, network)
    networks: list[nn.Module] = [network] if target.network is network else [network, target.network]
    gradient = Gradient(network.parameters())
    optimizer = _optimizer(config, network, gradient, device)
    acting = copy.deepcopy(network).requires_grad_(False) if config.overlap else network
    return TorchLearner(
        network,
        acting,
        target,
        network if config.double else target.network,
        head,
        _scale(config, head, networks, device),
        gradient,
        optimizer,
        learning_rate(config),
        noise=Noise(networks, generators[0]),
        acting_noise=Noise([acting], generators[1]),
        upload=PinnedMemory(device) if device.type == "cuda" else SharedMemory(),
        gradient_clip=config.gradient_clip,
        device=device,
        autocast=computes_in_bfloat16(config.precision, device),
        by_hand=by_hand,
        slopes=slopes_of(config, head) if by_hand else None,
        compile=config.compile,
    )


def _generator(rng: np.random.Generator, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(rng.integers(2**62)))


def _memory(config: DQNConfig, spec: EnvSpec, rng: np.random.Generator) -> tuple[Replay[object], Practice]:
    """Return the replay, and how the learner practises with it."""
    if config.replay == "none":
        latest = LatestStep(spec.num_envs, config.gamma)
        return latest, UniformPractice(latest, config.batch_size)
    store = FrameStore.for_env(spec, capacity=config.replay_capacity, n_step=config.n_step, gamma=config.gamma)
    if config.replay == "prioritized":
        importance = LinearSchedule(config.importance_start, config.importance_end, config.importance_steps)
        prioritized = PrioritizedReplay(store, rng, exponent=config.priority_exponent, importance=importance)
        return prioritized, PrioritizedPractice(prioritized, config.batch_size)
    uniform = UniformReplay(store, rng)
    return uniform, UniformPractice(uniform, config.batch_size)


def _head(config: DQNConfig, device: torch.device) -> Head:
    if config.distribution == "categorical":
        return Categorical(torch.linspace(config.v_min, config.v_max, config.num_atoms, device=device))
    if config.distribution == "quantile":
        return Quantiles(config.num_quantiles, config.huber_kappa)
    return ExpectedValue(LOSSES[config.loss])


def _scale(config: DQNConfig, head: Head, networks: list[nn.Module], device: torch.device) -> Scale:
    if not config.pop_art:
        return PlainScale()
    layers = [layer for network in networks for layer in output_layers(network)] if head.is_linear else []
    return PopArt(layers, config.pop_art_rate, device)


def _target(config: DQNConfig, network: nn.Sequential) -> Target:
    if config.target == "none":
        return NoTarget(network)
    frozen = copy.deepcopy(network).requires_grad_(False)
    if config.target == "polyak":
        return PolyakTarget(network, frozen, config.target_rate)
    return PeriodicTarget(network, frozen, config.target_period)


def _optimizer(config: DQNConfig, network: nn.Module, gradient: Gradient, device: torch.device) -> optim.Optimizer:
    if config.optimizer == "rmsprop":
        # Mnih et al. (2015), Extended Data Table 1. Its 0.01 belongs to a loss summed over the batch; ours is the mean.
        epsilon = 0.01 / config.batch_size**2
        return CentredRMSprop(network.parameters(), config.learning_rate, decay=0.95, epsilon=epsilon)
    if device.type == "cpu":
        return FlatAdam(network.parameters(), gradient, config.learning_rate, eps=config.adam_epsilon)
    return optim.Adam(network.parameters(), config.learning_rate, eps=config.adam_epsilon, fused=True)


def learning_rate(config: DQNConfig) -> LinearSchedule:
    """Return the step size by environment steps."""
    end = config.learning_rate if config.learning_rate_end is None else config.learning_rate_end
    return LinearSchedule(config.learning_rate, end, config.learning_rate_decay_steps)

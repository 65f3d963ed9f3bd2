"""Networks with two heads, a policy and a value, for whatever a game shows: boards, other pictures, or vectors.

B batch, A actions, F features.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tengen.contracts import Simulator
from tengen.errors import UserError
from tengen.perception.board_networks import BoardOutputs, PolicyCNN, ResidualTower
from tengen.perception.network_file import load_network, make_network, named_network, require_fit
from tengen.perception.networks import Flatten, OneHot
from tengen.perception.renewal import adopt
from tengen.types import Array, EnvSpec

if TYPE_CHECKING:
    import gymnasium as gym


class Heads(nn.Module):
    """Two linear heads on features [B, F]; the value goes through tanh.

    Args:
        features: F.
        num_actions: A.
    """

    def __init__(self, features: int, num_actions: int) -> None:
        super().__init__()
        self.policy = nn.Linear(features, num_actions)
        self.value = nn.Linear(features, 1)

    def forward(self, features: Tensor) -> BoardOutputs:
        """Return logits [B, A] and values [B]."""
        return BoardOutputs(self.policy(features).float(), torch.tanh(self.value(features).squeeze(1).float()))


class AsFloat(nn.Module):
    """Turns planes of any numbers into float32: [B, C, H, W]."""

    def forward(self, planes: Tensor) -> Tensor:
        """Return [B, C, H, W] float32, in the memory format that convolutions are fastest in."""
        return planes.to(torch.float32, memory_format=torch.channels_last)


def policy_value_network(
    space: gym.Space[Any],
    num_actions: int,
    *,
    blocks: int,
    width: int,
    hidden: Sequence[int],
    generator: torch.Generator,
    territory: bool = False,
) -> nn.Module:
    """Return a network observations [B, ...] -> `BoardOutputs` with policy [B, A] and value [B].

    A board whose actions are its points and a pass gets a residual tower that works on every size of board; any other
    picture [C, H, W] three convolutions and fully connected layers; all else fully connected layers.

    Args:
        space: Of one observation.
        num_actions: A.
        blocks: Of the residual tower.
        width: Features of each convolution.
        hidden: Widths of the fully connected layers.
        generator: Draws the initial weights.
        territory: Have a head for whose each point of a board will be.
    """
    shape = tuple(space.shape or ())
    with _drawing_from(generator):
        if is_board(space, num_actions):
            return _seeing(ResidualTower(shape[0], blocks=blocks, width=width, value=True, ownership=territory))
        layers, features = _torso(space, width)
        for out_features in hidden:
            layers += [nn.Linear(features, out_features), nn.ReLU()]
            features = out_features
        return nn.Sequential(*layers, Heads(features, num_actions))


def continued_network(name: str, spec: EnvSpec, *, territory: bool, generator: torch.Generator) -> nn.Module:
    """Return the network of a file as one to train on: with a value, its features renewed, heads that it lacks new.

    Args:
        name: A file, or the name of a shipped network.
        spec: Of a board; its simulator's `planes` must be those that the network sees.
        territory: Have a head for whose each point will be.
        generator: Draws new weights.

    Raises:
        UserError: The network can't be read, or sees something else.
    """
    path, simulator = named_network(name), spec.simulator
    loaded = load_network(path)
    planes = getattr(simulator, "planes", None)
    if simulator is None or planes is None or not is_board(spec.observation_space, spec.num_actions):
        raise UserError(f"agent.network is for boards whose planes have a name (Go), {spec.id} is none: leave it out")
    require_fit(loaded.card, str(path), planes)
    given = loaded.card.architecture
    wanted = {**given["parameters"], "value": True, "ownership": territory}
    with _drawing_from(generator):
        network = make_network({**given, "parameters": wanted})
        adopt(network, loaded.network, torch.from_numpy(sampled_positions(simulator, generator)).float())
    return _seeing(network)


def board_network(network: nn.Module) -> PolicyCNN | ResidualTower | None:
    """Return the part of a network that network files hold; None where it is not over boards."""
    parts = list(network.children())
    return parts[-1] if isinstance(parts[-1], PolicyCNN | ResidualTower) else None


def sampled_positions(simulator: Simulator, generator: torch.Generator, num: int = 256, moves: int = 60) -> Array:
    """Return what is seen in games of random moves other than passes, at a random move of each, [num, C, N, N]."""
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    states = simulator.init(rng, num)
    when = rng.integers(moves, size=num)
    seen = simulator.observe(states).copy()
    for move in range(moves):
        legal = simulator.legal(states)
        legal[:, -1] &= ~legal[:, :-1].any(axis=1)  # passes would end games
        actions = np.where(legal, rng.random(legal.shape), -1.0).argmax(axis=1)
        states = simulator.step(states, actions, rng)[0]
        rows = when == move
        seen[rows] = simulator.observe(states)[rows]
    return seen


def _seeing(tower: nn.Module) -> nn.Module:
    return nn.Sequential(AsFloat(), tower).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's overloads leave it out


@contextlib.contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Have layers that are made draw from a generator: they would from torch's own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield


def is_board(space: gym.Space[Any], num_actions: int) -> bool:
    """Return whether observations are planes [C, N, N] of a board whose actions are its points, by row, and a pass."""
    shape = tuple(space.shape or ())
    return len(shape) == 3 and shape[1] == shape[2] and num_actions == shape[1] * shape[2] + 1


def _torso(space: gym.Space[Any], width: int) -> tuple[list[nn.Module], int]:
    shape = tuple(space.shape or ())
    if len(shape) == 3:
        layers: list[nn.Module] = [AsFloat()]
        for channels in (shape[0], width, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        return [*layers, nn.Flatten()], width * shape[1] * shape[2]
    if hasattr(space, "n"):
        return [OneHot(int(space.n), int(getattr(space, "start", 0)))], int(space.n)
    features = 1
    for size in shape:
        features *= size
    return [Flatten()], features

"""Networks with two heads, a policy and a value, for whatever a game shows: boards, other pictures, or vectors.

B batch, A actions, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tengen.perception.board_networks import BoardOutputs, ResidualTower
from tengen.perception.networks import Flatten, OneHot

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
    """
    shape = tuple(space.shape or ())
    with torch.random.fork_rng(devices=[]):  # layers draw from torch's own generator when they are made
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        if is_board(space, num_actions):
            tower = ResidualTower(shape[0], blocks=blocks, width=width, value=True)
            return nn.Sequential(AsFloat(), tower).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's overloads leave it out
        layers, features = _torso(space, width)
        for out_features in hidden:
            layers += [nn.Linear(features, out_features), nn.ReLU()]
            features = out_features
        return nn.Sequential(*layers, Heads(features, num_actions))


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

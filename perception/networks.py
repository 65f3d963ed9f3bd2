"""The networks that agents see with. Parameters are float32; initialisation draws from a generator passed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tengen.errors import UserError

if TYPE_CHECKING:
    import gymnasium as gym


class Flatten(nn.Module):
    """Turns vector observations into float32 rows: [B, ...] -> [B, size]."""

    def forward(self, observation: Tensor) -> Tensor:
        """Return [B, size] float32."""
        return observation.flatten(1).float()


class OneHot(nn.Module):
    """Turns discrete observations into float32 indicator rows: [B] -> [B, size]."""

    def __init__(self, size: int, start: int = 0) -> None:
        super().__init__()
        self.size, self.start = size, start

    def forward(self, observation: Tensor) -> Tensor:
        """Return [B, size] float32."""
        return nn.functional.one_hot(observation.long() - self.start, self.size).float()


class Pixels(nn.Module):
    """Scales uint8 frames to [0, 1]: [B, C, H, W], in the memory format that convolutions are fastest in."""

    def forward(self, frames: Tensor) -> Tensor:
        """Return [B, C, H, W] float32."""
        return frames.to(torch.float32, memory_format=torch.channels_last).mul_(1 / 255)


def mlp(in_features: int, hidden: Sequence[int], out_features: int) -> list[nn.Module]:
    """Return the layers of a multi-layer perceptron with ReLU between them."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(in_features, width), nn.ReLU()]
        in_features = width
    return [*layers, nn.Linear(in_features, out_features)]


def nature_cnn(shape: tuple[int, int, int]) -> tuple[list[nn.Module], int]:
    """Return the convolutional torso of Mnih et al. (2015), Methods, and the number of its output features.

    Args:
        shape: (C, H, W) of the frames; 4x84x84 gives 3136 features.

    Raises:
        UserError: The frames are too small for the three convolutions.
    """
    channels, height, width = shape
    for kernel, stride in ((8, 4), (4, 2), (3, 1)):
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    if min(height, width) < 1:
        raise UserError(f"frames of {shape[1]}x{shape[2]} are too small for the Nature CNN, which needs 36x36 at least")
    layers = [
        *(nn.Conv2d(channels, 32, kernel_size=8, stride=4), nn.ReLU()),
        *(nn.Conv2d(32, 64, kernel_size=4, stride=2), nn.ReLU()),
        *(nn.Conv2d(64, 64, kernel_size=3, stride=1), nn.ReLU()),
        nn.Flatten(),
    ]
    return layers, 64 * height * width


def is_image(space: gym.Space[Any]) -> bool:
    """Return whether observations are pictures [C, H, W] of bytes."""
    shape = space.shape or ()
    return len(shape) == 3 and space.dtype == "uint8" and min(shape[1:]) >= 36


def q_network(
    observation_space: gym.Space[Any], num_outputs: int, hidden: Sequence[int], generator: torch.Generator
) -> nn.Sequential:
    """Return the network for an observation space: the Nature CNN for pictures, an MLP for anything else.

    Args:
        observation_space: Of one environment: Box or Discrete.
        num_outputs: Width of the last layer.
        hidden: Widths of the fully connected layers (Nature: 512).
        generator: Draws the initial parameters.
    """
    if is_image(observation_space):
        assert observation_space.shape is not None
        channels, height, width = observation_space.shape
        torso, features = nature_cnn((channels, height, width))
        network = nn.Sequential(Pixels(), *torso, *mlp(features, hidden, num_outputs))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave it out
    elif hasattr(observation_space, "n"):
        size = int(observation_space.n)
        encoder = OneHot(size, int(getattr(observation_space, "start", 0)))
        network = nn.Sequential(encoder, *mlp(size, hidden, num_outputs))
    else:
        features = int(torch.tensor(observation_space.shape).prod())
        network = nn.Sequential(Flatten(), *mlp(features, hidden, num_outputs))
    initialise(network, generator)
    return network


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases uniformly from +-1/sqrt(fan in), the scheme of LeCun et al. (1998), in place."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)

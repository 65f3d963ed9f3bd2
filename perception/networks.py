"""The networks that agents see with. Parameters are float32; initialisation draws from a generator passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from tengen.errors import UserError
from tengen.perception._pixels_kernels import scale_to_bfloat16, scale_to_float32
from tengen.perception.layers import Dueling, NoisyLinear
from tengen.perception.small_pictures import Planes, small_cnn

if TYPE_CHECKING:
    import gymnasium as gym


Linear: TypeAlias = Callable[[int, int], nn.Module]
"""Makes a linear layer of its numbers of inputs and outputs."""


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
        """Return [B, C, H, W] float32, or on a CPU where autocast would round it next, bfloat16."""
        if frames.device.type != "cpu" or torch.compiler.is_compiling():
            return frames.to(torch.float32, memory_format=torch.channels_last).mul_(1 / 255)
        num_frames, num_channels, height, width = frames.shape
        rounds = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        scaled = torch.empty(
            (num_frames, height * width * num_channels), dtype=torch.bfloat16 if rounds else torch.float32
        )
        pixels = frames.contiguous().view(num_frames, num_channels, height * width).numpy()
        if rounds:
            scratch = np.empty(scaled.shape[1], np.float32)
            scale_to_bfloat16(pixels, scaled.view(torch.int16).numpy().view(np.uint16), scratch)
        else:
            scale_to_float32(pixels, scaled.numpy())
        return scaled.view(num_frames, height, width, num_channels).permute(0, 3, 1, 2)


def mlp(in_features: int, hidden: Sequence[int], out_features: int, linear: Linear = nn.Linear) -> list[nn.Module]:
    """Return the layers of a multi-layer perceptron with ReLU between them."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [linear(in_features, width), nn.ReLU()]
        in_features = width
    return [*layers, linear(in_features, out_features)]


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


def is_picture(space: gym.Space[Any]) -> bool:
    """Return whether observations are pictures [C, H, W]: of bytes, 36x36 at least, or of planes of 0 and 1."""
    shape = space.shape or ()
    if len(shape) != 3:
        return False
    return has_planes(space) or (space.dtype == "uint8" and min(shape[1:]) >= 36)


def has_planes(space: gym.Space[Any]) -> bool:
    """Return whether observations are planes [C, H, W] of 0 and 1."""
    shape = space.shape or ()
    return (
        len(shape) == 3
        and space.dtype in ("uint8", "bool")
        and min(shape[1:]) >= 3
        and bool(np.all(getattr(space, "high", 255) == 1))
    )


def torso(space: gym.Space[Any]) -> tuple[list[nn.Module], int]:
    """Return the layers that make features [B, F] of observations, and F.

    The Nature CNN for pictures, a small convolution for planes of 0 and 1, nothing but the numbers for anything else.
    """
    if is_picture(space):
        assert space.shape is not None
        channels, height, width = space.shape
        make, first = (small_cnn, Planes()) if has_planes(space) else (nature_cnn, Pixels())
        layers, features = make((channels, height, width))
        return [first, *layers], features
    if hasattr(space, "n"):
        size = int(space.n)
        return [OneHot(size, int(getattr(space, "start", 0)))], size
    return [Flatten()], int(np.prod(space.shape or (), dtype=np.int64))


def plain_network(
    observation_space: gym.Space[Any], num_outputs: int, hidden: Sequence[int], generator: torch.Generator
) -> nn.Sequential:
    """Return a network from observations [B, ...] to [B, num_outputs].

    Args:
        observation_space: Of one environment: Box or Discrete.
        num_outputs: Width of the last layer.
        hidden: Widths of the fully connected layers (Nature: 512).
        generator: Draws the initial parameters.
    """
    layers, features = torso(observation_space)
    return _finished([*layers, *mlp(features, hidden, num_outputs)], observation_space, generator)


def q_network(
    observation_space: gym.Space[Any],
    num_actions: int,
    hidden: Sequence[int],
    generator: torch.Generator,
    *,
    num_outputs: int = 1,
    dueling: bool = False,
    noise: float | None = None,
) -> nn.Sequential:
    """Return a network from observations [B, ...] to [B, A, M].

    Args:
        observation_space: Of one environment: Box or Discrete.
        num_actions: A.
        hidden: Widths of the fully connected layers (Nature: 512). With dueling the last of them is there twice.
        generator: Draws the initial parameters.
        num_outputs: M, for each action.
        dueling: Value and advantages in two streams.
        noise: The initial size of noise in all fully connected layers; None for none.
    """
    layers, features = torso(observation_space)
    linear: Linear = nn.Linear if noise is None else partial(NoisyLinear, sigma=noise)
    if dueling:
        for width in hidden[:-1]:
            layers += [linear(features, width), nn.ReLU()]
            features = width
        value = nn.Sequential(*mlp(features, hidden[-1:], num_outputs, linear))
        advantage = nn.Sequential(*mlp(features, hidden[-1:], num_actions * num_outputs, linear))
        layers += [Dueling(value, advantage, num_actions)]
    else:
        layers += [
            *mlp(features, hidden, num_actions * num_outputs, linear),
            nn.Unflatten(1, (num_actions, num_outputs)),
        ]
    return _finished(layers, observation_space, generator)


def _finished(layers: list[nn.Module], space: gym.Space[Any], generator: torch.Generator) -> nn.Sequential:
    """Return layers as a network, its parameters drawn and laid out as is fastest."""
    network = nn.Sequential(*layers)
    if is_picture(space):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave it out
    initialise(network, generator)
    return network


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases uniformly from +-1/sqrt(fan in), the scheme of LeCun et al. (1998), in place.

    Noise begins with the size sigma / sqrt(fan in) (Fortunato et al. 2018, section 3.2).
    """
    for layer in network.modules():
        if isinstance(layer, NoisyLinear):
            nn.init.constant_(layer.weight_sigma, layer.sigma * layer.in_features**-0.5)
            nn.init.constant_(layer.bias_sigma, layer.sigma * layer.in_features**-0.5)
        if isinstance(layer, nn.Linear | nn.Conv2d | NoisyLinear):
            bound = layer.weight[0].numel() ** -0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)

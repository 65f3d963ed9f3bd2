"""Q-networks with layer normalisation (Ba et al. 2016) behind each hidden layer, as PQN's.

B batch, C H W pictures, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tengen.perception.networks import is_picture, mlp, torso

if TYPE_CHECKING:
    import gymnasium as gym


class ChannelNorm(nn.Module):
    """Normalises each position of a picture over its channels: [B, C, H, W]."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_channels)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return [B, C, H, W]; no copy is made of what is in channels-last memory."""
        normalised: Tensor = self.norm(pictures.permute(0, 2, 3, 1))
        return normalised.permute(0, 3, 1, 2)


def normalised_q_network(
    observation_space: gym.Space[Any],
    num_actions: int,
    hidden: Sequence[int],
    generator: torch.Generator,
    *,
    layer_norm: bool = True,
) -> nn.Sequential:
    """Return a network observations -> [B, A] for an observation space.

    What comes before the fully connected layers is `torso`'s.

    Args:
        observation_space: Of one environment: Box or Discrete.
        num_actions: A.
        hidden: Widths of the fully connected layers.
        generator: Draws the initial weights: those of He et al. (2015) before a ReLU, of LeCun et al. (1998) before the
            output, and biases of 0, as in Gallici et al.'s code.
        layer_norm: Normalise the output of each hidden layer.
    """
    layers, num_features = torso(observation_space)
    layers += mlp(num_features, hidden, num_actions)
    network = nn.Sequential(*(with_layer_norm(layers) if layer_norm else layers))
    if is_picture(observation_space):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave it out
    _initialise(network, generator)
    return network


def with_layer_norm(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Return the layers with a normalisation between each linear or convolutional one and its ReLU."""
    found: list[nn.Module] = []
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        found.append(layer)
        if not isinstance(following, nn.ReLU):
            continue
        if isinstance(layer, nn.Linear):
            found.append(nn.LayerNorm(layer.out_features))
        elif isinstance(layer, nn.Conv2d):
            found.append(ChannelNorm(layer.out_channels))
    return found


@torch.no_grad()
def _initialise(network: nn.Sequential, generator: torch.Generator) -> None:
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in layers:
        gain = 1.0 if layer is layers[-1] else 2.0
        nn.init.normal_(layer.weight, std=(gain / layer.weight[0].numel()) ** 0.5, generator=generator)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)

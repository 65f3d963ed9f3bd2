"""Layers that torch lacks: noisy linear layers, and the dueling output of a Q-network.

N transitions, A actions, M outputs of an action.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class NoisyLinear(nn.Module):
    """A linear layer whose weights have noise of a learnt size (Fortunato et al. 2018, factorised; equations 9 to 11).

    y = (w + s * f(e_out) f(e_in)^T) x + b + s_b * f(e_out), computed without a matrix of noise as
    w x + b + f(e_out) * (s (f(e_in) * x) + s_b). Without noise it is linear with the means.

    Args:
        in_features: Inputs.
        out_features: Outputs.
        sigma: The initial size of the noise, sigma_0.
    """

    def __init__(self, in_features: int, out_features: int, sigma: float) -> None:
        super().__init__()
        self.in_features, self.out_features, self.sigma = in_features, out_features, sigma
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.weight_sigma = nn.Parameter(torch.empty(out_features, in_features))
        self.bias_sigma = nn.Parameter(torch.empty(out_features))
        self.noise: tuple[Tensor, Tensor] | None = None  # f(e_in) [in], f(e_out) [out]; see Noise

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, out] of [N, in]."""
        y = functional.linear(x, self.weight, self.bias)
        if self.noise is None:
            return y
        noise_in, noise_out = self.noise
        return y + noise_out * functional.linear(x * noise_in, self.weight_sigma, self.bias_sigma)


class Noise:
    """Draws the noise of all noisy layers of some networks at once, and takes it away.

    Args:
        networks: Networks on one device.
        generator: Draws; on their device.
    """

    def __init__(self, networks: Sequence[nn.Module], generator: torch.Generator) -> None:
        self.layers = [layer for network in networks for layer in network.modules() if isinstance(layer, NoisyLinear)]
        self.generator = generator
        sizes = [size for layer in self.layers for size in (layer.in_features, layer.out_features)]
        self._values = torch.zeros(sum(sizes), device=generator.device)
        parts = torch.split(self._values, sizes) if sizes else ()
        self._of_layer = list(zip(parts[::2], parts[1::2], strict=True))

    @torch.no_grad()
    def draw(self) -> None:
        """Give every layer fresh noise: f(e) = sign(e) sqrt(|e|) of standard normal e."""
        if not self.layers:
            return
        self._values.normal_(generator=self.generator)
        self._values.copy_(self._values.sign() * self._values.abs().sqrt())
        for layer, noise in zip(self.layers, self._of_layer, strict=True):
            layer.noise = noise

    def silence(self) -> None:
        """Let every layer use its means."""
        for layer in self.layers:
            layer.noise = None


class Dueling(nn.Module):
    """Value and advantages in two streams (Wang et al. 2016, equation 9): v + a - mean a, for each of M outputs.

    Args:
        value: Features -> [N, M].
        advantage: Features -> [N, A M].
        num_actions: A.
    """

    def __init__(self, value: nn.Sequential, advantage: nn.Sequential, num_actions: int) -> None:
        super().__init__()
        self.value, self.advantage, self.num_actions = value, advantage, num_actions

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, A, M]."""
        value = self.value(features)[:, None, :]  # [N, 1, M]
        advantage = self.advantage(features).unflatten(1, (self.num_actions, -1))  # [N, A, M]
        outputs: Tensor = value + advantage - advantage.mean(1, keepdim=True)
        return outputs


class OutputLayer(NamedTuple):
    """A linear layer whose outputs are added into a network's."""

    layer: nn.Linear | NoisyLinear
    takes_shift: bool  # False: a shift would cancel out (advantages), or be made twice

    @torch.no_grad()
    def rescale(self, factor: Tensor, shift: Tensor) -> None:
        """Turn its share of the outputs y into factor * y + shift, in place."""
        for parameter in self.layer.parameters():
            parameter.mul_(factor)
        if self.takes_shift:
            self.layer.bias.add_(shift)


def output_layers(network: nn.Module) -> Iterator[OutputLayer]:
    """Yield the last linear layer of a Q-network, or of each stream of a dueling one."""
    dueling = [layer for layer in network.modules() if isinstance(layer, Dueling)]
    if dueling:
        yield OutputLayer(_last_linear(dueling[-1].value), takes_shift=True)
        yield OutputLayer(_last_linear(dueling[-1].advantage), takes_shift=False)
    else:
        yield OutputLayer(_last_linear(network), takes_shift=True)


def _last_linear(network: nn.Module) -> nn.Linear | NoisyLinear:
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear | NoisyLinear)][-1]

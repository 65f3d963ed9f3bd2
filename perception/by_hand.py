"""Networks of convolutions, linear layers and ReLU on the processor, with forward and backward passes by hand.

Autograd goes from a loss to the network's outputs, so that heads and losses are written as ever. From there each
`Stage` knows its own gradient, and writes it to where the optimizer reads it. What is left out so, copies, allocations
and books between the products of matrices, takes much of a small network's time.

Start reading at `ByHand`.

Shape letters: N rows, K inputs, M outputs of an action, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tengen.perception.convolution_stages import Blocks, BlocksConvolution, Convolution, PlanesConvolution
from tengen.perception.layers import Dueling, NoisyLinear
from tengen.perception.networks import Flatten, OneHot, Pixels
from tengen.perception.optimizers import Gradient
from tengen.perception.small_pictures import Planes
from tengen.perception.stages import Dense, NoisyDense, Parameters, Reshape, Stage

_INPUTS = (Flatten, OneHot, Pixels, Planes)
_WITHIN = (nn.ReLU, nn.Flatten, nn.Unflatten)


def why_not_by_hand(network: nn.Module, device_type: str) -> str | None:
    """Return why a network can't be computed by hand, or None where it can.

    Args:
        network: The network.
        device_type: "cpu" or "cuda".
    """
    if device_type != "cpu":
        return f"it is for the processor, not for {device_type}"
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            plain = layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
            known = plain and layer.bias is not None
        elif isinstance(layer, nn.Linear):
            known = layer.bias is not None
        else:
            known = isinstance(layer, (nn.Sequential, NoisyLinear, Dueling, *_INPUTS, *_WITHIN))
        if not known:
            return f"it does not know {layer}"
    return None


class ByHand:
    """Computes a network. What differentiates is for the latest call; `differentiate` if gradients were on in it.

    Args:
        network: One that `why_not_by_hand` has nothing to say about.
        in_bfloat16: Compute in bfloat16.
    """

    def __init__(self, network: nn.Sequential, *, in_bfloat16: bool = False) -> None:
        with torch.inference_mode(False), torch.no_grad():
            self._parameters = Parameters(network, in_bfloat16=in_bfloat16)
            self._inputs, self._stages = _inputs_and_stages(list(network), self._parameters)
        self._outputs: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's outputs."""
        learns = torch.is_grad_enabled()
        with torch.no_grad():
            self._parameters.refresh()
            x = self._stages.forward(self._inputs(x))
        self._outputs = x.requires_grad_() if learns else None
        return x

    def narrow(self, num_rows: int) -> None:
        """Let `backward` be for the first rows of the latest call only: the others were asked by the way."""
        self._stages.narrow(num_rows)

    def differentiate(self, loss: Tensor, gradient: Gradient) -> None:
        """Write the gradient, by the network's parameters, of a function of the latest outputs."""
        assert self._outputs is not None, "the latest call was made with gradients off"
        self.backward(torch.autograd.grad(loss, self._outputs)[0], gradient)

    @torch.no_grad()
    def backward(self, slopes: Tensor, gradient: Gradient) -> None:
        """Write the gradient of a sum whose slopes by the latest outputs are given."""
        self._stages.backward(slopes.to(self._parameters.dtype), gradient, onwards=False)
        gradient.publish()


def _inputs_and_stages(layers: list[nn.Module], parameters: Parameters) -> tuple[Callable[[Tensor], Tensor], Chain]:
    """Return what makes numbers of observations, and all that follows."""
    if parameters.dtype == torch.float32 and list(map(type, layers[:4])) == [Planes, nn.Conv2d, nn.ReLU, nn.Flatten]:
        convolution = layers[1]
        assert isinstance(convolution, nn.Conv2d)
        if PlanesConvolution.can(convolution):
            return _as_bytes, Chain(layers[4:], parameters, before=PlanesConvolution(convolution, parameters))
    if parameters.dtype == torch.bfloat16 and list(map(type, layers[:2])) == [Pixels, nn.Conv2d]:
        convolution = layers[1]
        assert isinstance(convolution, nn.Conv2d)
        if BlocksConvolution.can(convolution):
            relu = isinstance(layers[2], nn.ReLU)
            first = BlocksConvolution(convolution, parameters, relu=relu)
            return Blocks(convolution), Chain(layers[3 if relu else 2 :], parameters, before=first)
    return Numbers(layers[0], parameters.dtype), Chain(layers[1:], parameters)


class Numbers:
    """Makes numbers of observations, in the precision of the network."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        self._layer, self._dtype = layer, dtype

    def __call__(self, observation: Tensor) -> Tensor:
        """Return [N, ...]."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            numbers: Tensor = self._layer(observation)
        return numbers.to(self._dtype)


def _as_bytes(planes: Tensor) -> Tensor:
    return planes.contiguous().view(torch.uint8)


class Chain:
    """Stages one after the other.

    Args:
        layers: What they are made of.
        parameters: Of the network.
        before: A stage that comes before.
    """

    def __init__(self, layers: Sequence[nn.Module], parameters: Parameters, before: Stage | None = None) -> None:
        self._stages = [] if before is None else [before]
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if not isinstance(layer, nn.ReLU):
                self._stages.append(_stage(layer, parameters, relu=isinstance(following, nn.ReLU)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of the last one."""
        for stage in self._stages:
            x = stage.forward(x)
        return x

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        for stage in self._stages:
            stage.narrow(num_rows)

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Write the gradient, from the last one to the first."""
        for place in range(len(self._stages) - 1, -1, -1):
            slope = self._stages[place].backward(slope, gradient, onwards=onwards or place > 0)
        return slope


def _stage(layer: nn.Module, parameters: Parameters, *, relu: bool) -> Stage:
    if isinstance(layer, nn.Conv2d):
        return Convolution(layer, parameters, relu=relu)
    if isinstance(layer, nn.Linear):
        return Dense(layer, parameters, relu=relu)
    if isinstance(layer, NoisyLinear):
        return NoisyDense(layer, parameters, relu=relu)
    if isinstance(layer, Dueling):
        return Streams(layer, parameters)
    assert isinstance(layer, nn.Flatten | nn.Unflatten), f"{layer} should have been refused"
    return Reshape(layer)


class Streams:
    """The two streams of a dueling network: x [N, K], y [N, A, M]."""

    def __init__(self, layer: Dueling, parameters: Parameters) -> None:
        self._value, self._advantage = Chain(list(layer.value), parameters), Chain(list(layer.advantage), parameters)
        self._num_actions = layer.num_actions

    def forward(self, x: Tensor) -> Tensor:
        """Return v + a - mean a."""
        advantage = self._advantage.forward(x).view(len(x), self._num_actions, -1)  # [N, A, M]
        return self._value.forward(x)[:, None, :] + (advantage - advantage.mean(1, keepdim=True))

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        self._value.narrow(num_rows)
        self._advantage.narrow(num_rows)

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the sum of both streams' slopes."""
        by_value = self._value.backward(slope.sum(1), gradient, onwards=onwards)
        by_advantage = (slope - slope.mean(1, keepdim=True)).flatten(1)
        by_advantage = self._advantage.backward(by_advantage, gradient, onwards=onwards)
        return by_advantage.add_(by_value) if onwards else slope

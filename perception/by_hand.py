"""Networks of convolutions, linear layers and ReLU on the processor, with forward and backward passes by hand.

Autograd goes from a loss to the network's outputs, so that heads and losses are written as ever. From there each
`Stage` knows its own gradient, and writes it to where the optimizer reads it. What is left out so, copies, allocations
and books between the products of matrices, takes much of a small network's time.

Start reading at `ByHand`.

Shape letters: N rows, K inputs of a layer, M outputs, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tengen.perception._noisy_kernels import mix, slopes_of_size
from tengen.perception._planes_kernels import convolve, convolve_backward
from tengen.perception.layers import Dueling, NoisyLinear
from tengen.perception.networks import Flatten, OneHot, Pixels
from tengen.perception.optimizers import Gradient
from tengen.perception.small_pictures import Planes

_INPUTS = (Flatten, OneHot, Pixels, Planes)
_WITHIN = (nn.ReLU, nn.Flatten, nn.Unflatten)
_aten = torch.ops.aten


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


class Parameters:
    """The parameters of a network as they are computed with.

    In bfloat16 they are rounded copies, made anew when the network's own have changed: torch counts the changes of each
    tensor, for autograd's sake. Fused optimizers don't count: call `torch.autograd.graph.increment_version` after them.

    Args:
        network: With float32 parameters.
        in_bfloat16: Round.
    """

    def __init__(self, network: nn.Module, *, in_bfloat16: bool) -> None:
        self.dtype = torch.bfloat16 if in_bfloat16 else torch.float32
        self._all = list(network.parameters())
        self._rounded: list[tuple[Tensor, Tensor]] = []  # a parameter, and its copy
        self.version = self._count()

    def of(self, parameter: Tensor) -> Tensor:
        """Return what is computed with in place of a parameter."""
        used = parameter.detach().to(self.dtype)
        if self.dtype != parameter.dtype:
            self._rounded.append((parameter.detach(), used))
        return used

    def refresh(self) -> None:
        """Take notice of changes."""
        version = self._count()
        if version != self.version:
            self.version = version
            for own, used in self._rounded:
                used.copy_(own)

    def _count(self) -> int:
        return sum(parameter._version for parameter in self._all)


class Stage(Protocol):
    """A layer, with the ReLU behind it if there is one. It remembers its latest `forward`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        ...

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Write the gradient, by the parameters, of a sum whose slope by the latest outputs is given.

        Returns:
            The slope by the inputs; something else unless it has to go `onwards`.
        """
        ...


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


class Reshape:
    """A change of shape."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return the same numbers."""
        self._shape = x.shape
        y: Tensor = self._layer(x)
        return y

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the same slopes."""
        return slope.reshape(self._shape)


class Dense:
    """A linear layer: x [N, K], y [N, M]."""

    def __init__(self, layer: nn.Linear, parameters: Parameters, *, relu: bool) -> None:
        self._layer, self._relu = layer, relu
        self._weight, self._bias = parameters.of(layer.weight), parameters.of(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b."""
        self._x, self._y = x, _linear(x, self._weight, self._bias, self._relu)
        return self._y

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return slope W."""
        if self._relu:
            slope = _aten.threshold_backward(slope, self._y, 0)
        _set_product(gradient.of(self._layer.weight), slope.t(), self._x)
        gradient.of(self._layer.bias).copy_(slope.sum(0))
        return slope @ self._weight if onwards else slope


class NoisyDense:
    """A noisy linear layer, whose means and noise are added before they are multiplied with: W + e_out e_in^T * S."""

    def __init__(self, layer: NoisyLinear, parameters: Parameters, *, relu: bool) -> None:
        self._layer, self._relu, self._parameters = layer, relu, parameters
        self._weight, self._bias = torch.empty_like(layer.weight), torch.empty_like(layer.bias)
        self._rounded = self._weight.to(parameters.dtype), self._bias.to(parameters.dtype)
        self._mixed: tuple[int, ...] = ()  # the version of the parameters in them, whose noise, and its version

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b with noise in W and b."""
        noise = self._layer.noise
        mixed = (self._parameters.version,) + (() if noise is None else (id(noise[0]), noise[0]._version))
        if mixed != self._mixed:
            self._mix(noise)
            self._mixed = mixed
        self._x, self._y = x, _linear(x, *self._rounded, self._relu)
        return self._y

    def _mix(self, noise: tuple[Tensor, Tensor] | None) -> None:
        layer = self._layer
        if noise is None:
            self._weight.copy_(layer.weight)
            self._bias.copy_(layer.bias)
        else:
            arrays = (tensor.detach().numpy() for tensor in (layer.weight, layer.weight_sigma, *noise, self._weight))
            mix(*arrays)
            torch.addcmul(layer.bias, layer.bias_sigma, noise[1], out=self._bias)
        for rounded, exact in zip(self._rounded, (self._weight, self._bias), strict=True):
            if rounded is not exact:
                rounded.copy_(exact)

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the slope by x; where there was no noise, the gradient by its size is 0."""
        layer = self._layer
        if self._relu:
            slope = _aten.threshold_backward(slope, self._y, 0)
        weight, bias = gradient.of(layer.weight), gradient.of(layer.bias)
        _set_product(weight, slope.t(), self._x)
        bias.copy_(slope.sum(0))
        if layer.noise is None:
            gradient.of(layer.weight_sigma).zero_()
            gradient.of(layer.bias_sigma).zero_()
        else:
            noise_in, noise_out = layer.noise
            arrays = (weight, noise_in, noise_out, gradient.of(layer.weight_sigma))
            slopes_of_size(*(tensor.numpy() for tensor in arrays))
            torch.mul(bias, noise_out, out=gradient.of(layer.bias_sigma))
        return slope @ self._rounded[0] if onwards else slope


class Streams:
    """The two streams of a dueling network: x [N, K], y [N, A, M]."""

    def __init__(self, layer: Dueling, parameters: Parameters) -> None:
        self._value, self._advantage = Chain(list(layer.value), parameters), Chain(list(layer.advantage), parameters)
        self._num_actions = layer.num_actions

    def forward(self, x: Tensor) -> Tensor:
        """Return v + a - mean a."""
        advantage = self._advantage.forward(x).view(len(x), self._num_actions, -1)  # [N, A, M]
        return self._value.forward(x)[:, None, :] + (advantage - advantage.mean(1, keepdim=True))

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the sum of both streams' slopes."""
        by_value = self._value.backward(slope.sum(1), gradient, onwards=onwards)
        by_advantage = (slope - slope.mean(1, keepdim=True)).flatten(1)
        by_advantage = self._advantage.backward(by_advantage, gradient, onwards=onwards)
        return by_advantage.add_(by_value) if onwards else slope


class Convolution:
    """A convolution: x [N, C, H, W], y [N, M, Y, X], the channels last in memory."""

    def __init__(self, layer: nn.Conv2d, parameters: Parameters, *, relu: bool) -> None:
        assert layer.bias is not None
        self._of, self._relu = (layer.weight, layer.bias), relu
        self._weight, self._bias = map(parameters.of, self._of)
        self._settings = [*layer.stride], [*layer.padding], [*layer.dilation], False, [0, 0], 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        self._x = x
        self._y: Tensor = _aten.convolution(x, self._weight, self._bias, *self._settings)
        return _rectified(self._y, self._relu)

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the slope by the pictures."""
        slope = slope.contiguous(memory_format=torch.channels_last)
        if self._relu:
            slope = _aten.threshold_backward(slope, self._y, 0)
        wanted = [onwards, True, True]
        by_x, by_weight, by_bias = _aten.convolution_backward(
            slope, self._x, self._weight, [len(self._bias)], *self._settings, wanted
        )
        for parameter, found in zip(self._of, (by_weight, by_bias), strict=True):
            gradient.of(parameter).copy_(found)
        before: Tensor = by_x if onwards else slope
        return before


class PlanesConvolution:
    """A convolution of planes of 0 and 1 with ReLU and `Flatten` behind it: x bytes [N, C, H, W], y [N, M Y X].

    Args:
        layer: One that it `can`.
        parameters: In float32.
    """

    def __init__(self, layer: nn.Conv2d, parameters: Parameters) -> None:
        assert layer.bias is not None
        self._of = layer.weight, layer.bias
        self._weight, self._bias = (parameters.of(parameter).numpy() for parameter in self._of)
        filters, planes, kernel, _ = self._weight.shape
        self._columns, self._slopes = np.zeros((2, planes, kernel, -(-kernel // 4) * 4, filters), np.float32)

    @staticmethod
    def can(layer: nn.Conv2d) -> bool:
        """Return whether a convolution is square, without stride, padding and the like."""
        settings = layer.stride, layer.padding, layer.dilation
        return settings == ((1, 1), (0, 0), (1, 1)) and layer.kernel_size[0] == layer.kernel_size[1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        _, _, height, width = x.shape
        planes, kernel, num_columns, filters = self._columns.shape
        self._frame = np.empty((height + kernel - 1, (width + num_columns - 1) * filters), np.float32)
        self._x, self._y = x.numpy(), torch.empty(len(x), filters * (height - kernel + 1) * (width - kernel + 1))
        _reversed(self._columns)[...] = self._weight
        features = self._y.view(len(x), filters, -1).numpy()
        convolve(self._x, self._columns.reshape(planes, kernel, -1), self._bias, self._frame, features)
        return self._y.relu_()

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return nothing of use: nothing comes before planes."""
        weight, bias = (gradient.of(parameter).numpy() for parameter in self._of)
        planes, kernel, _, _ = self._slopes.shape
        slopes = _aten.threshold_backward(slope, self._y, 0).contiguous().view(len(slope), len(bias), -1).numpy()
        convolve_backward(self._x, slopes, self._frame, self._slopes.reshape(planes, kernel, -1), bias)
        weight[...] = _reversed(self._slopes)
        return slope


def _reversed(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights [M, C, K, K] that lie in memory as the kernels take them, [C, K, R, M] with K <= R."""
    kernel = columns.shape[1]
    return columns[:, :, kernel - 1 :: -1].transpose(3, 0, 1, 2)


def _linear(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    return _rectified(torch.addmm(bias, x, weight.t()), relu)


def _rectified(y: Tensor, relu: bool) -> Tensor:
    return y.relu_() if relu else y


def _set_product(room: Tensor, one: Tensor, other: Tensor) -> None:
    """Write a product of matrices into room in float32."""
    if one.dtype == room.dtype:
        torch.mm(one, other, out=room)
    else:
        room.copy_(one @ other)

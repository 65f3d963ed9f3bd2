"""Layers with their gradients written out, for `by_hand`: linear ones, with noise and without.

Shape letters: N rows, K inputs of a layer, M outputs.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from tengen.perception._noisy_kernels import mix, slopes_of_size
from tengen.perception.layers import NoisyLinear
from tengen.perception.optimizers import Gradient

_aten = torch.ops.aten


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
        self._own: list[Tensor] = []
        self._rounded: list[Tensor] = []  # their copies
        self.version = self._count()

    def of(self, parameter: Tensor) -> Tensor:
        """Return what is computed with in place of a parameter."""
        used = parameter.detach().to(self.dtype)
        if self.dtype != parameter.dtype:
            self._own.append(parameter.detach())
            self._rounded.append(used)
        return used

    def refresh(self) -> None:
        """Take notice of changes."""
        version = self._count()
        if version != self.version:
            self.version = version
            if self._own:
                torch._foreach_copy_(self._rounded, self._own)

    def _count(self) -> int:
        return sum(parameter._version for parameter in self._all)


class Stage(Protocol):
    """A layer, with the ReLU behind it if there is one. It remembers its latest `forward`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        ...

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows of the latest `forward` only: `backward` will be for these."""
        ...

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Write the gradient, by the parameters, of a sum whose slope by the latest outputs is given.

        Returns:
            The slope by the inputs; something else unless it has to go `onwards`.
        """
        ...


class Reshape:
    """A change of shape."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return the same numbers."""
        self._shape = x.shape
        y: Tensor = self._layer(x)
        return y

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        self._shape = torch.Size((num_rows, *self._shape[1:]))

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the same slopes."""
        return slope.reshape(self._shape)


class Dense:
    """A linear layer: x [N, K], y [N, M]."""

    def __init__(self, layer: nn.Linear, parameters: Parameters, *, relu: bool) -> None:
        self._layer, self._relu = layer, relu
        self._weight, self._bias = parameters.of(layer.weight), parameters.of(layer.bias)
        self._product = torch.empty_like(self._weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b."""
        self._x, self._y = x, _linear(x, self._weight, self._bias, self._relu)
        return self._y

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        self._x, self._y = self._x[:num_rows], self._y[:num_rows]

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return slope W."""
        if self._relu:
            slope = _aten.threshold_backward(slope, self._y, 0)
        _set_product(gradient.of(self._layer.weight), slope.t(), self._x, self._product)
        gradient.of(self._layer.bias).copy_(slope.sum(0))
        return slope @ self._weight if onwards else slope


class NoisyDense:
    """A noisy linear layer, whose means and noise are added before they are multiplied with: W + e_out e_in^T * S."""

    def __init__(self, layer: NoisyLinear, parameters: Parameters, *, relu: bool) -> None:
        self._layer, self._relu, self._parameters = layer, relu, parameters
        self._weight, self._bias = torch.empty_like(layer.weight), torch.empty_like(layer.bias)
        self._rounded = self._weight.to(parameters.dtype), self._bias.to(parameters.dtype)
        self._product = torch.empty_like(self._rounded[0])
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

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        self._x, self._y = self._x[:num_rows], self._y[:num_rows]

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the slope by x; where there was no noise, the gradient by its size is 0."""
        layer = self._layer
        if self._relu:
            slope = _aten.threshold_backward(slope, self._y, 0)
        weight, bias = gradient.of(layer.weight), gradient.of(layer.bias)
        _set_product(weight, slope.t(), self._x, self._product)
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


def _linear(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    return rectified(torch.addmm(bias, x, weight.t()), relu)


def rectified(y: Tensor, relu: bool) -> Tensor:
    """Return y after ReLU, in place, if there is one."""
    return y.relu_() if relu else y


def _set_product(room: Tensor, one: Tensor, other: Tensor, rounded: Tensor) -> None:
    """Write a product of matrices into room in float32, by way of `rounded` where they are of less precision.

    Megabytes that are allocated in each update come and go page by page, which can take ten times as long as a product.
    """
    if one.dtype == room.dtype:
        torch.mm(one, other, out=room)
    else:
        room.copy_(torch.mm(one, other, out=rounded))

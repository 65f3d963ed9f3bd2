"""Convolutions with their gradients written out, for `by_hand`.

Shape letters: N pictures, C channels of H x W, M filters, outputs of Y x X, K x K weights.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tengen.perception._pixels_kernels import blocks_to_bfloat16
from tengen.perception._planes_kernels import convolve, convolve_backward
from tengen.perception.optimizers import Gradient
from tengen.perception.stages import Parameters, rectified

_aten = torch.ops.aten

# oneDNN's convolution with ReLU in one pass: torch's compiler makes such calls, but not all of its builds have it.
_WITH_RELU = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)


class Convolution:
    """A convolution: x [N, C, H, W], y [N, M, Y, X], the channels last in memory.

    In bfloat16 one with a stride is computed as one of fewer columns and more channels, which is faster and the same:
    as many neighbours in a row as the stride has columns are read as one, without moving a number.
    """

    def __init__(self, layer: nn.Conv2d, parameters: Parameters, *, relu: bool) -> None:
        assert layer.bias is not None
        self._of, self._relu = (layer.weight, layer.bias), relu
        self._weight, self._bias = map(parameters.of, self._of)
        self._stride, self._padding, self._dilation = [*layer.stride], [*layer.padding], [*layer.dilation]
        plain = self._padding == [0, 0] and self._dilation == [1, 1] and layer.kernel_size[1] % layer.stride[1] == 0
        last = self._weight.is_contiguous(memory_format=torch.channels_last)
        self._joins = plain and last and parameters.dtype == torch.bfloat16

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        rows, columns = self._stride
        self._joined = columns if self._joins and x.shape[3] % columns == 0 else 1
        self._x, self._read = _join(x, self._joined), _join(self._weight, self._joined)
        stride = [rows, columns // self._joined]
        self._settings = stride, self._padding, self._dilation, False, [0, 0], 1
        self._y = _convolved(self._x, self._read, self._bias, self._settings, self._relu)
        return self._y

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        self._x, self._y = self._x[:num_rows], self._y[:num_rows]

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return the slope by the pictures."""
        slope = _before_relu(slope, self._y, self._relu)
        by_x, by_weight, by_bias = _aten.convolution_backward(
            slope, self._x, self._read, [len(self._bias)], *self._settings, [onwards, True, True]
        )
        weight, bias = map(gradient.of, self._of)
        _join(weight, self._joined).copy_(by_weight)
        bias.copy_(by_bias)
        return _part(by_x, self._joined) if onwards else slope


_Settings: TypeAlias = tuple[list[int], list[int], list[int], bool, list[int], int]
"""Stride, padding, dilation, whether transposed, output padding, groups."""

_PLAIN: _Settings = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
"""Of a convolution that moves by one."""


def _convolved(x: Tensor, weight: Tensor, bias: Tensor, settings: _Settings, relu: bool) -> Tensor:
    """Return the outputs of a convolution, after ReLU if there is one."""
    if relu and x.dtype == torch.bfloat16 and _WITH_RELU is not None:
        stride, padding, dilation, _, _, groups = settings
        y: Tensor = _WITH_RELU(x, weight, bias, padding, stride, dilation, groups, "relu", [], "")
        return y
    return rectified(_aten.convolution(x, weight, bias, *settings), relu)


def _before_relu(slope: Tensor, y: Tensor, relu: bool) -> Tensor:
    """Return the slope by what went into the ReLU, channels last in memory."""
    slope = slope.contiguous(memory_format=torch.channels_last)
    return _aten.threshold_backward(slope, y, 0) if relu else slope


def _join(x: Tensor, columns: int) -> Tensor:
    """Return [N, C, H, W], channels last in memory, with so many columns as one: [N, columns C, H, W / columns]."""
    if columns == 1:
        return x
    num, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).view(num, height, width // columns, columns * channels).permute(0, 3, 1, 2)


def _part(x: Tensor, columns: int) -> Tensor:
    """Undo `_join`."""
    if columns == 1:
        return x
    num, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(num, height, width * columns, channels // columns).permute(0, 3, 1, 2)


class Blocks:
    """Reads squares of pictures as one pixel: bytes [N, C, H, W] -> bfloat16 [N, S S C, H / S, W / S].

    Args:
        layer: A convolution that `BlocksConvolution` can compute.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        self._size, self._kernel = layer.stride[0], layer.kernel_size

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the squares, scaled to [0, 1], that the kernel comes upon."""
        if pictures.stride(-1) != 1:
            pictures = pictures.contiguous()
        num, channels, *sides = pictures.shape
        size = self._size
        height, width = (
            (side - kernel) // size + kernel // size for side, kernel in zip(sides, self._kernel, strict=True)
        )
        blocks = torch.empty(num, height, width, size * size * channels, dtype=torch.bfloat16)
        halves = blocks.view(torch.int16).numpy().view(np.uint16).reshape(num, height, width, size, size * channels)
        # A replay's pictures share frames: they are read where they lie, since a copy takes as long as half of this.
        to_picture, to_channel, to_row, _ = pictures.stride()
        length = 1 + sum((side - 1) * stride for side, stride in zip(pictures.shape, pictures.stride(), strict=True))
        memory = pictures.as_strided((length,), (1,)).numpy()
        scratch = np.empty(width * size * channels, np.float32)
        blocks_to_bfloat16(memory, (to_picture, to_channel, to_row), halves, scratch)
        return blocks.permute(0, 3, 1, 2)


class BlocksConvolution:
    """A convolution of `Blocks` with the ReLU behind it, if there is one: x [N, S S C, Y, X], y [N, M, Y', X'].

    A kernel that is whole strides wide and moves by its stride of S is one of K / S x K / S over squares of S x S
    pixels, moved by one: the same sums, of more numbers that lie together.

    Args:
        layer: One that it `can`.
        parameters: In bfloat16.
        relu: Whether there is a ReLU.
    """

    def __init__(self, layer: nn.Conv2d, parameters: Parameters, *, relu: bool) -> None:
        assert layer.bias is not None
        self._of, self._relu, self._size = (layer.weight, layer.bias), relu, layer.stride[0]
        self._weight, self._bias = map(parameters.of, self._of)

    @staticmethod
    def can(layer: nn.Conv2d) -> bool:
        """Return whether a convolution's strides are one number, above 1, of which its kernel's sides are multiples."""
        size = layer.stride[0]
        plain = layer.padding == (0, 0) and layer.dilation == (1, 1) and layer.groups == 1
        return plain and size > 1 and layer.stride == (size, size) and all(k % size == 0 for k in layer.kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        self._x, self._read = x, _in_blocks(self._weight, self._size)
        self._y = _convolved(x, self._read, self._bias, _PLAIN, self._relu)
        return self._y

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        self._x, self._y = self._x[:num_rows], self._y[:num_rows]

    def backward(self, slope: Tensor, gradient: Gradient, *, onwards: bool) -> Tensor:
        """Return nothing of use: nothing comes before pictures."""
        slope = _before_relu(slope, self._y, self._relu)
        _, by_weight, by_bias = _aten.convolution_backward(
            slope, self._x, self._read, [len(self._bias)], *_PLAIN, [False, True, True]
        )
        weight, bias = map(gradient.of, self._of)
        weight.copy_(_out_of_blocks(by_weight, self._size))
        bias.copy_(by_bias)
        return slope


def _in_blocks(weight: Tensor, size: int) -> Tensor:
    """Return a kernel [M, C, K, L] as one over squares, [M, S S C, K / S, L / S], channels last in memory."""
    filters, channels, height, width = weight.shape
    parts = weight.reshape(filters, channels, height // size, size, width // size, size)
    blocks = parts.permute(0, 2, 4, 3, 5, 1).reshape(filters, height // size, width // size, size * size * channels)
    return blocks.permute(0, 3, 1, 2)


def _out_of_blocks(weight: Tensor, size: int) -> Tensor:
    """Undo `_in_blocks`."""
    filters, numbers, height, width = weight.shape
    parts = weight.permute(0, 2, 3, 1).reshape(filters, height, width, size, size, numbers // size**2)
    return parts.permute(0, 5, 1, 3, 2, 4).reshape(filters, numbers // size**2, height * size, width * size)


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

    def narrow(self, num_rows: int) -> None:
        """Remember the first rows."""
        self._x, self._y = self._x[:num_rows], self._y[:num_rows]

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

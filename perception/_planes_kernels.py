"""Kernels of a convolution over planes of 0 and 1: it adds weights where there is a 1, and passes over the rest.

A picture of MinAtar has some 30 ones in 400 to 1,000 places. The convolution has a stride of 1 and no padding; features
are in the order [O, Y, X] of torch's `Flatten`.

A 1 at (h, w) counts for the outputs (h - i, w - j) by the weights (i, j). With the weights' columns reversed, those of
one i lie side by side, and so do their outputs, all filters of each: one loop adds them, in whole vectors if its length
is a multiple of 32. The frame around the outputs takes what falls beside them, so that no loop is cut short.

Shape letters: N pictures, C planes of H x W, O filters of K x K, outputs of Y x X = (H - K + 1) x (W - K + 1); R
columns of weights, K of them and some of zeros; frames of F x G = (H + K - 1) x (W + R - 1).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

_Bytes: TypeAlias = NDArray[np.uint8]
_Singles: TypeAlias = NDArray[np.float32]


@njit(makes_arrays=False)
def convolve(planes: _Bytes, weight: _Singles, bias: _Singles, frame: _Singles, features: _Singles) -> None:
    """Compute the features of pictures.

    Args:
        planes: [N, C, H, W], of 0 and 1.
        weight: [C, K, R O], columns reversed.
        bias: [O].
        frame: [F, G O], written over.
        features: Out, [N, O, Y X].
    """
    num, num_planes, height, width = planes.shape
    kernel, length, filters = weight.shape[1], weight.shape[2], bias.size
    rows, columns = height - kernel + 1, width - kernel + 1
    for n in range(num):
        frame[:] = 0
        for c in range(num_planes):
            for h in range(height):
                for w in range(width):
                    if planes[n, c, h, w] != 0:
                        for i in range(kernel):
                            _add(weight[c, i], frame[h + kernel - 1 - i, w * filters : w * filters + length])
        for o in range(filters):
            for y in range(rows):
                for x in range(columns):
                    features[n, o, y * columns + x] = frame[y + kernel - 1, (x + kernel - 1) * filters + o] + bias[o]


@njit(makes_arrays=False)
def convolve_backward(planes: _Bytes, slopes: _Singles, frame: _Singles, weight: _Singles, bias: _Singles) -> None:
    """Compute the gradient by weights and biases of a sum whose slopes by the features are given.

    Args:
        planes: [N, C, H, W], of 0 and 1.
        slopes: [N, O, Y X].
        frame: [F, G O], written over.
        weight: Out, [C, K, R O], columns reversed; of the columns that fill up, anything.
        bias: Out, [O].
    """
    num, num_planes, height, width = planes.shape
    kernel, length, filters = weight.shape[1], weight.shape[2], bias.size
    rows, columns = height - kernel + 1, width - kernel + 1
    frame[:] = 0
    weight[:] = 0
    bias[:] = 0
    for n in range(num):
        for y in range(rows):
            for x in range(columns):
                start, place = (x + kernel - 1) * filters, y * columns + x
                for o in range(filters):
                    frame[y + kernel - 1, start + o] = slopes[n, o, place]
                    bias[o] += slopes[n, o, place]
        for c in range(num_planes):
            for h in range(height):
                for w in range(width):
                    if planes[n, c, h, w] != 0:
                        for i in range(kernel):
                            _add(frame[h + kernel - 1 - i, w * filters : w * filters + length], weight[c, i])


@njit(makes_arrays=False)
def _add(some: _Singles, total: _Singles) -> None:
    """Add a vector to another in place."""
    for k in range(total.size):
        total[k] += some[k]

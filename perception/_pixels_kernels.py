"""Kernels that turn bytes of pictures into the numbers that convolutions take, in the order they are fastest in.

Shape letters: N pictures, C channels, P pixels of a channel.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tengen._jit import njit

_Bytes: TypeAlias = NDArray[np.uint8]
_Singles: TypeAlias = NDArray[np.float32]
_Halves: TypeAlias = NDArray[np.uint16]


@njit(makes_arrays=False)
def _scale(picture: _Bytes, out: _Singles) -> None:
    """Write a picture [C, P] / 255 to `out` [P C], channels last."""
    num_channels, num_pixels = picture.shape
    factor = np.float32(1 / 255)
    if num_channels == 4:  # a stack of Atari frames; with the 4 in the code this takes a quarter of the time
        for p in range(num_pixels):
            for c in range(4):
                out[4 * p + c] = np.float32(picture[c, p]) * factor
    else:
        for c in range(num_channels):
            for p in range(num_pixels):
                out[num_channels * p + c] = np.float32(picture[c, p]) * factor


@njit(makes_arrays=False)
def scale_to_float32(pictures: _Bytes, out: _Singles) -> None:
    """Write pictures [N, C, P] / 255 to `out` [N, P C], channels last."""
    for n in range(len(pictures)):
        _scale(pictures[n], out[n])


@njit(makes_arrays=False)
def scale_to_bfloat16(pictures: _Bytes, out: _Halves, scratch: _Singles) -> None:
    """Write pictures [N, C, P] / 255 to `out`, as the bits of bfloat16, channels last.

    Args:
        pictures: [N, C, P].
        out: [N, P C].
        scratch: [P C], written over.
    """
    bits = scratch.view(np.uint32)
    for n in range(len(pictures)):
        _scale(pictures[n], scratch)
        for i in range(bits.size):
            # The upper half of a float32, rounded to the nearest; no byte over 255 lies half way between two.
            out[n, i] = np.uint16((bits[i] + np.uint32(0x8000)) >> np.uint32(16))


@njit(makes_arrays=False)
def blocks_to_bfloat16(pixels: _Bytes, strides: tuple[int, int, int], blocks: _Halves, scratch: _Singles) -> None:
    """Write pictures / 255 as the bits of bfloat16, cut into squares of S x S pixels whose numbers lie together.

    Args:
        pixels: Memory with pictures [N, C, H, W], whose rows each lie in one piece.
        strides: From a picture, a channel and a row to the next.
        blocks: [N, Y, X, S, S C], with Y S <= H and X S <= W: squares Y x X, and in each its rows of pixels of C. What
            is beyond the squares is left out.
        scratch: [X S C], written over.
    """
    _, height, width, size, row = blocks.shape
    num_channels = row // size
    to_picture, to_channel, to_row = strides
    bits = scratch.view(np.uint32)
    factor = np.float32(1 / 255)
    for n in range(len(blocks)):
        for square in range(height):
            for inner in range(size):
                start = n * to_picture + (square * size + inner) * to_row
                if num_channels == 4:  # as in `_scale`; as slices, which the compiler sees to be in one piece
                    first, second = pixels[start:], pixels[start + to_channel :]
                    third, fourth = second[to_channel:], second[2 * to_channel :]
                    for x in range(width * size):
                        scratch[4 * x] = np.float32(first[x]) * factor
                        scratch[4 * x + 1] = np.float32(second[x]) * factor
                        scratch[4 * x + 2] = np.float32(third[x]) * factor
                        scratch[4 * x + 3] = np.float32(fourth[x]) * factor
                else:
                    for c in range(num_channels):
                        for x in range(width * size):
                            scratch[num_channels * x + c] = np.float32(pixels[start + c * to_channel + x]) * factor
                for x in range(width):
                    for i in range(row):
                        number = (bits[x * row + i] + np.uint32(0x8000)) >> np.uint32(16)
                        blocks[n, square, x, inner, i] = np.uint16(number)

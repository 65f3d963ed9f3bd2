"""The kernels that turn bytes into the numbers of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tengen.perception._pixels_kernels import blocks_to_bfloat16, scale_to_bfloat16, scale_to_float32
from tengen.perception.convolution_stages import Blocks


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_scaled_pictures_are_the_bytes_over_255_with_channels_last(channels: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, channels, 128), dtype=np.uint8)
    pictures.flat[:256] = np.arange(256)
    singles, halves = np.zeros((2, 128 * channels), np.float32), np.zeros((2, 128 * channels), np.uint16)
    scale_to_float32(pictures, singles)
    scale_to_bfloat16(pictures, halves, np.zeros(128 * channels, np.float32))
    expected = (torch.from_numpy(pictures).float() * (1 / 255)).transpose(1, 2).reshape(2, -1)
    np.testing.assert_array_equal(singles, expected.numpy())
    np.testing.assert_array_equal(halves, expected.bfloat16().view(torch.int16).numpy().view(np.uint16))


@pytest.mark.parametrize(("channels", "size"), [(4, 4), (3, 2), (1, 5)])
def test_squares_of_pictures_hold_their_pixels_row_by_row(channels: int, size: int) -> None:
    num, height, width = 2, 3, 2
    shape = (num, channels, height * size + 1, width * size + 2)  # what is over is left out
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    blocks = np.zeros((num, height, width, size, size * channels), np.uint16)
    strides = (channels * shape[2] * shape[3], shape[2] * shape[3], shape[3])
    blocks_to_bfloat16(pictures.ravel(), strides, blocks, np.zeros(width * size * channels, np.float32))
    scaled = torch.from_numpy(pictures).float() * (1 / 255)
    for n, y, x, row, column, c in np.ndindex(num, height, width, size, size, channels):
        pixel = scaled[n, c, y * size + row, x * size + column].bfloat16().view(torch.int16)
        assert blocks[n, y, x, row, column * channels + c] == int(pixel) & 0xFFFF


def test_squares_are_the_same_however_the_pictures_lie_in_memory() -> None:
    frames = torch.randint(0, 256, (3, 5, 9, 8)).byte()
    blocks = Blocks(nn.Conv2d(4, 1, 4, 2))
    for pictures in (frames[:, :4], frames[:, 1:]):  # as a replay gives them: three of four frames are shared
        expected = blocks(pictures.clone(memory_format=torch.contiguous_format))
        assert torch.equal(blocks(pictures), expected)
        assert torch.equal(blocks(pictures.clone(memory_format=torch.channels_last)), expected)
    assert not torch.equal(blocks(frames[:, :4]), blocks(frames[:, 1:]))

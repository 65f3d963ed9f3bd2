"""The kernels that turn bytes into the numbers of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tengen.perception._pixels_kernels import blocks_to_bfloat16, scale_to_bfloat16, scale_to_float32


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
    blocks_to_bfloat16(pictures, blocks, np.zeros(shape[3] * channels, np.float32))
    scaled = torch.from_numpy(pictures).float() * (1 / 255)
    for n, y, x, row, column, c in np.ndindex(num, height, width, size, size, channels):
        pixel = scaled[n, c, y * size + row, x * size + column].bfloat16().view(torch.int16)
        assert blocks[n, y, x, row, column * channels + c] == int(pixel) & 0xFFFF

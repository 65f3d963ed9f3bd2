"""The convolutional torso for pictures too small for the Nature CNN, such as the 10x10 planes of MinAtar."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tengen.errors import UserError


class Planes(nn.Module):
    """Turns planes of 0 and 1 into float32 as they are: [B, C, H, W]. `Pixels` would divide them by 255."""

    def forward(self, planes: Tensor) -> Tensor:
        """Return [B, C, H, W] float32."""
        return planes.to(torch.float32)


def small_cnn(shape: tuple[int, int, int]) -> tuple[list[nn.Module], int]:
    """Return the convolution of Young & Tian (2019), section 3.1, and the number of its output features.

    As with `nature_cnn`, what makes float32 of the pictures comes before it, and the fully connected layers behind it
    (theirs: one of 128).

    Args:
        shape: (C, H, W) of the pictures; Cx10x10 gives 1024 features.

    Raises:
        UserError: The pictures are too small for a 3x3 convolution.
    """
    channels, height, width = shape
    if min(height, width) < 3:
        raise UserError(f"pictures of {height}x{width} are too small for a 3x3 convolution")
    layers = [nn.Conv2d(channels, 16, kernel_size=3, stride=1), nn.ReLU(), nn.Flatten()]
    return layers, 16 * (height - 2) * (width - 2)

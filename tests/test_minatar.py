"""The MinAtar games, and the torso that sees them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tengen.errors import UserError
from tengen.perception.small_pictures import Planes, small_cnn


def test_the_torso_for_small_pictures_has_the_papers_features() -> None:
    layers, num_features = small_cnn((4, 10, 10))
    planes = torch.randint(0, 2, (3, 4, 10, 10), dtype=torch.uint8)
    assert num_features == 1024
    assert nn.Sequential(Planes(), *layers)(planes).shape == (3, 1024)
    assert sum(weights.numel() for layer in layers for weights in layer.parameters()) == 16 * (4 * 9 + 1)


def test_planes_stay_what_they_are() -> None:
    assert Planes()(torch.tensor([[[[0, 1]]]], dtype=torch.uint8)).tolist() == [[[[0.0, 1.0]]]]


def test_pictures_too_small_for_a_convolution_are_refused() -> None:
    with pytest.raises(UserError, match="10x2 are too small"):
        small_cnn((4, 10, 2))

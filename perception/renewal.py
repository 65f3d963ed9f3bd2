"""Makes a plain network of convolutions that was trained once fit to be trained again.

Nothing ties the sizes of features together in a network without normalisation: after a long training some are huge, and
some are off on every position ("dormant") and will stay so, since nothing flows back through them. B boards, C planes,
F features, N the board's side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tengen.perception.board_networks import Convolution, PolicyCNN


def adopt(network: nn.Module, source: nn.Module, planes: Tensor) -> None:
    """Take over the weights of another network with the same layers, and perhaps other heads; renew its features.

    What the heads that it had say of the planes stays the same. A value head normalises what it reads, which no weights
    make up for: where there was one, the last features stay as they are.

    Args:
        network: Changed in place.
        source: What the weights are from; heads that it lacks stay as they are.
        planes: Positions to look at, float32 [B, C, N, N].
    """
    own, given = network.state_dict(), source.state_dict()
    network.load_state_dict(own | {name: tensor for name, tensor in given.items() if name in own})
    if isinstance(network, PolicyCNN):
        renew(network, planes, last=network.heads.judge is None or "heads.judge.weight" not in given)


@torch.no_grad()
def renew(network: PolicyCNN, planes: Tensor, *, last: bool = True) -> None:
    """Give all features the same size, and dormant ones new weights, in place. Policy and ownership stay what they are.

    ReLU is positively homogeneous, so that a feature can be divided by its root mean square if all that read it
    multiply by it (Nagel et al. 2019, section 4.1). A dormant feature is drawn anew, and what read it is set to zero
    (Sokar et al. 2023, "The dormant neuron phenomenon in deep reinforcement learning").

    Args:
        network: Without normalisation.
        planes: Positions to look at, float32 [B, C, N, N].
        last: Do so with the last features, too, from which the value is computed: it then is another.
    """
    layers = [layer for layer in network.trunk if isinstance(layer, Convolution)]
    readers_of = [*([following.conv.weight] for _, following in pairwise(layers)), _linear_readers(network)]
    x = planes
    for layer, readers in list(zip(layers, readers_of, strict=True))[: None if last else -1]:
        conv = layer.conv
        assert conv.bias is not None, "fold the normalisations first"
        dormant = _size(layer(x)) == 0
        conv.weight[dormant] = torch.randn_like(conv.weight[dormant])
        conv.bias[dormant] = 0.0
        for weight in readers:
            weight[:, dormant] = 0.0
        size = _size(layer(x)).clamp(min=1e-6)  # [F]
        conv.weight.div_(size[:, None, None, None])
        conv.bias.div_(size)
        for weight in readers:
            weight.mul_(size.reshape(1, -1, *([1] * (weight.ndim - 2))))
        x = layer(x)


def _size(features: Tensor) -> Tensor:
    """Return the root mean square of each feature, [F]."""
    return features.square().mean((0, 2, 3)).sqrt()


def _linear_readers(network: PolicyCNN) -> Sequence[Tensor]:
    """Return views [X, F, ...] of the weights by which policy and ownership read the last features."""
    heads = network.heads
    passing = heads.passing.weight.chunk(2, dim=1)  # of mean and maximum
    return [heads.points.weight, *passing, *([] if heads.owner is None else [heads.owner.weight])]

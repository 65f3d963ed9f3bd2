"""Networks over boards: planes in; a policy, and maybe a value and an ownership map, out.

All of them are convolutional throughout, and what must be one number (the logit of a pass, the value) comes from pooled
features, so that the same weights serve every board size.

References: Maddison et al. 2015, "Move evaluation in Go using deep convolutional neural networks" (12 layers, no
pooling over space); Silver et al. 2017 (residual tower with two heads); Wu 2019, "Accelerating self-play learning in
Go" (pooling that knows the board's size).

Shape letters: B boards, C planes, F features, N the board's side.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_USUAL_SIZE, _SIZE_SCALE = 14.0, 10.0  # a board's side is told to the heads as (N - 14) / 10, as Wu (2019) does


class BoardOutputs(NamedTuple):
    """What a network says of B boards, seen by the side to move."""

    policy: Tensor  # [B, N * N + 1], logits; the last one is a pass
    value: Tensor | None = None  # [B], in [-1, 1]
    ownership: Tensor | None = None  # [B, N, N], in [-1, 1]: 1 where the side to move will own the point


class PolicyCNN(nn.Module):
    """Convolutions alone: one of 5x5, then 3x3, zero padding, stride 1, ReLU (Maddison et al. 2015).

    The last of `layers` gives the logits of the points; all others have `width` features.

    Args:
        planes: C, of the input.
        width: F.
        layers: Convolutions from the planes to the logits, at least 2.
        value: Have a value head on the last features, too.
        ownership: Have an ownership head on the last features, too.
        norm: Normalise features by batch while training; afterwards `fold` makes that part of the convolutions.
    """

    def __init__(
        self,
        planes: int,
        width: int = 64,
        layers: int = 12,
        value: bool = False,
        ownership: bool = False,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.parameters_given = {
            **{"planes": planes, "width": width, "layers": layers},
            **{"value": value, "ownership": ownership, "norm": norm},
        }
        kernels = [5] + [3] * (layers - 2)
        self.trunk = nn.Sequential(
            *(Convolution(planes if i == 0 else width, width, kernel, norm) for i, kernel in enumerate(kernels))
        )
        self.heads = _Heads(width, 3, value, ownership)

    def forward(self, x: Tensor) -> BoardOutputs:
        """Return what is said of planes [B, C, N, N]."""
        outputs: BoardOutputs = self.heads(self.trunk(x))
        return outputs


class ResidualTower(nn.Module):
    """A tower of residual blocks (two 3x3 convolutions each) with policy, value and ownership heads.

    Args:
        planes: C, of the input.
        blocks: Residual blocks.
        width: F.
        value: Have a value head.
        ownership: Have an ownership head.
        norm: Normalise features by batch while training; afterwards `fold` makes that part of the convolutions.
    """

    def __init__(
        self,
        planes: int,
        blocks: int = 6,
        width: int = 64,
        value: bool = True,
        ownership: bool = False,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.parameters_given = {
            **{"planes": planes, "width": width, "blocks": blocks},
            **{"value": value, "ownership": ownership, "norm": norm},
        }
        self.stem = Convolution(planes, width, 5, norm)
        self.blocks = nn.Sequential(*(_Block(width, norm) for _ in range(blocks)))
        self.heads = _Heads(width, 1, value, ownership)

    def forward(self, x: Tensor) -> BoardOutputs:
        """Return what is said of planes [B, C, N, N]."""
        outputs: BoardOutputs = self.heads(self.blocks(self.stem(x)))
        return outputs


class Convolution(nn.Module):
    """A convolution that keeps the board's size, with its normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: bool, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not norm)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(outputs) if norm else None
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, F, N, N] of [B, F', N, N]."""
        y: Tensor = self.conv(x)
        if self.norm is not None:
            y = self.norm(y)
        return functional.relu(y, inplace=True) if self.relu else y

    @torch.no_grad()
    def fold(self) -> None:
        """Make the normalisation by running means part of the convolution."""
        norm = self.norm
        if norm is None:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # [F]
        self.conv.weight.mul_(scale[:, None, None, None])
        self.conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.norm = None


class _Block(nn.Module):
    """x + f(x), then ReLU; f is two convolutions, the second of which begins at zero."""

    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        self.first = Convolution(width, width, 3, norm)
        self.second = Convolution(width, width, 3, norm, relu=False)
        nn.init.zeros_(self.second.conv.weight if self.second.norm is None else self.second.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)), inplace=True)


class _Heads(nn.Module):
    """Policy, and maybe value and ownership, from features [B, F, N, N]."""

    def __init__(self, width: int, kernel: int, value: bool, ownership: bool) -> None:
        super().__init__()
        self.points = nn.Conv2d(width, 1, kernel, padding=kernel // 2)
        self.passing = nn.Linear(2 * width, 1)
        nn.init.normal_(self.points.weight, std=0.01)  # begin near the uniform policy
        nn.init.zeros_(self.passing.weight)
        self.hidden: nn.Linear | None = nn.Linear(3 * width, width) if value else None
        self.judge: nn.Linear | None = nn.Linear(width, 1) if value else None
        if self.judge is not None:
            nn.init.normal_(self.judge.weight, std=0.01)
            nn.init.zeros_(self.judge.bias)
        self.owner: nn.Conv2d | None = nn.Conv2d(width, 1, 1) if ownership else None

    def forward(self, x: Tensor) -> BoardOutputs:
        mean, most = x.mean((2, 3)), x.amax((2, 3))  # [B, F]
        policy = torch.cat([self.points(x).flatten(1), self.passing(torch.cat([mean, most], 1))], 1)
        value = ownership = None
        if self.hidden is not None and self.judge is not None:
            size = (x.shape[-1] - _USUAL_SIZE) / _SIZE_SCALE
            pooled = torch.cat([mean, mean * size, most], 1)
            # Features grow while training: unless normalised, they soon leave this layer with nothing above zero.
            # SiLU, for the same reason: a unit that is off everywhere still has a gradient, unless it is far off.
            hidden = functional.silu(self.hidden(functional.layer_norm(pooled, pooled.shape[1:])))
            value = torch.tanh(self.judge(hidden).squeeze(1).float())
        if self.owner is not None:
            ownership = torch.tanh(self.owner(x).squeeze(1).float())
        return BoardOutputs(policy.float(), value, ownership)


def fold(network: nn.Module) -> None:
    """Make all normalisations part of the convolutions before them, in place: the outputs in evaluation stay."""
    for layer in network.modules():
        if isinstance(layer, Convolution):
            layer.fold()

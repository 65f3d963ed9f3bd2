"""Muon: momentum whose update of each matrix is made orthogonal (Jordan 2024, kellerjordan.github.io/posts/muon)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the iteration: they bring singular values near 1 in five rounds
_ROUNDS = 5


class Muon(optim.Optimizer):
    """Muon for the weights of convolutions and linear layers, each taken as a matrix of its outputs by all else.

    m <- momentum m + grad;  w <- w - lr sqrt(max(1, rows / columns)) orthogonal(grad + momentum m)

    The update has singular values near 1, so that no direction of the weights is left behind: a step costs some small
    products of matrices more than SGD's and is worth several of them.

    Args:
        parameters: Weights of two dimensions or more, outputs first.
        lr: Step size.
        momentum: Of the gradients (Nesterov's).
        weight_decay: Share of the weights that is taken away in each step, times lr.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure to rerun
        """Make one step in place."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                mean = state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                update = orthogonal(parameter.grad.add(mean, alpha=group["momentum"]).flatten(1))
                rows, columns = update.shape
                size = group["lr"] * max(1.0, rows / columns) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(update.view(parameter.shape), alpha=size)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix with singular values of 1 (between 0.7 and 1.2), by Newton and Schulz."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x: Tensor = matrix.float() if wide else matrix.float().T
    x = x / (x.norm() + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x if wide else x.T

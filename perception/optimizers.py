"""Optimizers that torch lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim


class CentredRMSprop(optim.Optimizer):
    """RMSProp with centred second moments and epsilon under the root, as DQN was trained with.

    g <- decay g + (1 - decay) grad;  s <- decay s + (1 - decay) grad^2;  w <- w - lr grad / sqrt(s - g^2 + epsilon)
    (Graves 2013, equations 38-41, without its momentum; Mnih et al. 2015). Torch's own adds epsilon behind the root.

    Args:
        parameters: What to optimise.
        lr: Step size.
        decay: Of both moments.
        epsilon: Added to the variance.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, *, decay: float, epsilon: float) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure to rerun
        """Make one step in place."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                    state["square"] = torch.zeros_like(parameter)
                grad, mean, square = parameter.grad, state["mean"], state["square"]
                mean.lerp_(grad, 1 - group["decay"])
                square.mul_(group["decay"]).addcmul_(grad, grad, value=1 - group["decay"])
                scale = torch.addcmul(square, mean, mean, value=-1).add_(group["epsilon"]).sqrt_()
                parameter.addcdiv_(grad, scale, value=-group["lr"])

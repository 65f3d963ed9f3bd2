"""Optimizers that torch lacks, and the gradients that they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


class Gradient:
    """The gradient of some parameters, float32 in one tensor that is kept: `grad` of each is a part of it.

    Freed and allocated anew in each update, the megabytes of a Nature CNN's are given back to the system and fetched
    again, page by page.

    Args:
        parameters: What is optimised.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._parameters = list(parameters)
        sizes = [parameter.numel() for parameter in self._parameters]
        self.values = torch.zeros(sum(sizes), device=self._parameters[0].device)
        # In the parameter's own memory format, which optimizers walk both in.
        self._parts = [
            part.as_strided(parameter.shape, parameter.stride())
            for part, parameter in zip(torch.split(self.values, sizes), self._parameters, strict=True)
        ]

    @torch.no_grad()
    def set(self, gradients: Sequence[Tensor]) -> None:
        """Take the gradient of each parameter, of any precision."""
        torch._foreach_copy_(self._parts, list(gradients))
        for parameter, part in zip(self._parameters, self._parts, strict=True):
            parameter.grad = part

    @torch.no_grad()
    def clip(self, largest: float) -> None:
        """Shorten it to a norm, if it is longer."""
        norm = torch.linalg.vector_norm(self.values)
        self.values.mul_((largest / (norm + 1e-6)).clamp_(max=1.0))

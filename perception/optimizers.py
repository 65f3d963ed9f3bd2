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
        self.values, self._parts = _room_for(self._parameters)
        self._part_of = {id(own): part for own, part in zip(self._parameters, self._parts, strict=True)}

    def of(self, parameter: Tensor) -> Tensor:
        """Return the part of a parameter."""
        return self._part_of[id(parameter)]

    @torch.no_grad()
    def set(self, gradients: Sequence[Tensor]) -> None:
        """Take the gradient of each parameter, of any precision."""
        torch._foreach_copy_(self._parts, list(gradients))
        self.publish()

    def publish(self) -> None:
        """Let the parameters have their parts as `grad`."""
        for parameter, part in zip(self._parameters, self._parts, strict=True):
            parameter.grad = part

    @torch.no_grad()
    def clip(self, largest: float) -> None:
        """Shorten it to a norm, if it is longer."""
        norm = self.values.dot(self.values).sqrt()  # in a third of the time of torch.linalg.vector_norm
        if norm.device.type == "cpu" and norm + 1e-6 <= largest:  # of a GPU's one would have to wait for the answer
            return
        self.values.mul_((largest / (norm + 1e-6)).clamp_(max=1.0))


class FlatAdam(optim.Adam):
    """Torch's fused Adam over parameters that lie in one vector: one pass, in place of one for each parameter.

    Its steps and states are those of torch's. It moves the parameters into the vector, of which they are parts then.

    Args:
        parameters: What to optimise.
        gradient: Theirs.
        lr: Step size.
        eps: Adam's epsilon.
    """

    def __init__(self, parameters: Iterable[Tensor], gradient: Gradient, lr: float, *, eps: float) -> None:
        super().__init__(parameters, lr, eps=eps, fused=True)
        self._gradient = gradient
        self._parameters = list(self.param_groups[0]["params"])
        self._values, parts = _room_for(self._parameters)
        for parameter, part in zip(self._parameters, parts, strict=True):
            part.copy_(parameter.detach())
            parameter.data = part
        self._means, self._squares = _room_for(self._parameters), _room_for(self._parameters)
        self._count = torch.zeros(())

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure to rerun
        """Make one step in place."""
        if not self.state:
            self._remember()
        (group,) = self.param_groups
        self._count += 1
        torch._fused_adam_(
            *([self._values], [self._gradient.values], [self._means[0]], [self._squares[0]], [], [self._count]),
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _remember(self) -> None:
        """Let the state be made of parts of the vectors."""
        for parameter, mean, square in zip(self._parameters, self._means[1], self._squares[1], strict=True):
            self.state[parameter] = {"step": self._count, "exp_avg": mean, "exp_avg_sq": square}

    def load_state_dict(self, state_dict: Any) -> None:
        """Take over moments and the number of steps."""
        super().load_state_dict(state_dict)
        if not self.state:
            for room in (self._means[0], self._squares[0], self._count):
                room.zero_()
            return
        for parameter, mean, square in zip(self._parameters, self._means[1], self._squares[1], strict=True):
            saved = self.state[parameter]
            mean.copy_(saved["exp_avg"])
            square.copy_(saved["exp_avg_sq"])
            self._count.copy_(saved["step"])
        self._remember()


def _room_for(parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return a vector of zeros, and its parts in the shapes and memory formats of parameters.

    Optimizers walk parameters and moments in the order of memory.
    """
    sizes = [parameter.numel() for parameter in parameters]
    values = torch.zeros(sum(sizes), device=parameters[0].device)
    parts = [
        part.as_strided(parameter.shape, parameter.stride())
        for part, parameter in zip(torch.split(values, sizes), parameters, strict=True)
    ]
    return values, parts

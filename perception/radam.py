"""Rectified Adam (Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim


class RAdam(optim.Adam):
    """Torch's fused Adam with a step size that grows as the variance of its second moments falls.

    Torch's own RAdam has no fused kernel: for MinAtar's network it takes more than ten times as long on a processor.

    Args:
        parameters: What to optimise.
        lr: Step size.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        super().__init__(parameters, lr, fused=True)
        self._num_steps: int | None = None  # so far; None: to be read from the state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure to rerun
        """Make one step in place; while the variance can't be bounded, one of plain momentum."""
        if self._num_steps is None:
            self._num_steps = max((int(slots["step"]) for slots in self.state.values()), default=0)
        self._num_steps += 1
        beta1, beta2 = self.param_groups[0]["betas"]
        factor = rectification(self._num_steps, beta2)
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] *= factor
        super().step()  # with a factor of 0 it only moves the moments
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate
            if factor == 0.0:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        momentum = self.state[parameter]["exp_avg"]
                        parameter.add_(momentum, alpha=-rate / (1 - beta1**self._num_steps))

    def load_state_dict(self, state_dict: Any) -> None:
        """Take over moments and the number of steps."""
        super().load_state_dict(state_dict)
        self._num_steps = None


def rectification(t: int, beta2: float) -> float:
    """Return r_t, by which step t = 1, 2, ... multiplies the step size; 0 where it is not defined (rho_t <= 5)."""
    most = 2 / (1 - beta2) - 1  # rho_infinity
    rho = most - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= 5:
        return 0.0
    square = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
    return float(square**0.5)

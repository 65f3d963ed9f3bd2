"""Losses of deep Q-learning: pure functions, names as in the equations (tm1 is t - 1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {"huber": functional.smooth_l1_loss, "squared": functional.mse_loss}
"""Means over the batch of f(target - prediction). Huber's gradient is the error clipped to [-1, 1], as in the paper."""


def greedy_value(q_t: Tensor, legal_t: Tensor | None) -> Tensor:
    """Return max over legal actions of q_t: [N, A] -> [N]."""
    if legal_t is not None:
        q_t = q_t.masked_fill(~legal_t, -torch.inf)
    return q_t.amax(1)


def q_learning_target(r_t: Tensor, bootstrap_t: Tensor, v_t: Tensor) -> Tensor:
    """Return r_t + bootstrap_t * v_t, each [N]: the target of Mnih et al. (2015), equation 2, with n-step factors.

    A bootstrap below zero (the other side moves next) makes this the negamax backup.
    """
    return r_t + bootstrap_t * v_t

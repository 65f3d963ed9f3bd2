"""Losses of deep Q-learning: pure functions, names as in the equations (tm1 is t - 1).

Every target is a distribution of returns given by particles, positions [N, K] with weights [N, K] that sum to 1 in each
row: one particle for an expected value, one for each atom or quantile of a distribution.

N transitions, A actions, M outputs of an action, K particles of a target.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "huber": lambda prediction, target: functional.smooth_l1_loss(prediction, target, reduction="none"),
    "squared": lambda prediction, target: functional.mse_loss(prediction, target, reduction="none"),
}
"""f(target - prediction) of each transition. Huber's gradient is the error clipped to [-1, 1], as in the paper."""


def greedy_action(q_t: Tensor, legal_t: Tensor | None) -> Tensor:
    """Return the legal action of the greatest q_t: [N, A] -> [N]; of several the first."""
    if legal_t is not None:
        q_t = q_t.masked_fill(~legal_t, -torch.inf)
    return q_t.argmax(1)


def of_action(outputs: Tensor, action: Tensor) -> Tensor:
    """Return the outputs of one action in each row: [N, A, M], [N] -> [N, M]."""
    index = action[:, None, None].expand(-1, 1, outputs.shape[2])
    return outputs.gather(1, index).squeeze(1)


def q_learning_target(r_t: Tensor, bootstrap_t: Tensor, v_t: Tensor) -> Tensor:
    """Return r_t + bootstrap_t v_t, of [N], [N], [N, K]: the target of Mnih et al. (2015), with n-step factors.

    A bootstrap below zero (the other side moves next) makes this the negamax backup.
    """
    return r_t[:, None] + bootstrap_t[:, None] * v_t


def project(position: Tensor, weight: Tensor, support: Tensor) -> Tensor:
    """Return the probability of each atom after particles are shared out to their neighbours: [N, K] -> [N, M].

    Phi of Bellemare et al. (2017), equation 7; particles beyond the support go to its ends.

    Args:
        position: [N, K].
        weight: [N, K].
        support: The atoms, evenly spaced and rising, [M].
    """
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    place = (position.clamp(support[0], support[-1])[:, None, :] - support[None, :, None]) / spacing  # [N, M, K]
    return ((1 - place.abs()).clamp(min=0) * weight[:, None, :]).sum(2)


def categorical_loss(logits: Tensor, probability: Tensor) -> Tensor:
    """Return the cross-entropy of each row's target probabilities and predicted logits, [N, M] each -> [N]."""
    return -(probability * functional.log_softmax(logits, 1)).sum(1)


def quantile_loss(quantile: Tensor, position: Tensor, weight: Tensor, kappa: float) -> Tensor:
    """Return the quantile Huber loss, [N, M], [N, K], [N, K] -> [N] (Dabney et al. 2018, equations 9 and 10).

    Output m is fitted to the quantile (m + 1/2) / M of the target. Summed over outputs, averaged over particles.

    Args:
        quantile: The predictions, [N, M].
        position: The target's particles, [N, K].
        weight: Their weights, [N, K].
        kappa: Where Huber's loss becomes linear; 0 gives plain quantile regression.
    """
    num_quantiles = quantile.shape[1]
    level = (torch.arange(num_quantiles, device=quantile.device) + 0.5) / num_quantiles  # [M]
    error = position[:, None, :] - quantile[:, :, None]  # [N, M, K]
    size = error.abs()
    if kappa > 0:
        size = torch.where(size <= kappa, 0.5 * error.square() / kappa, size - 0.5 * kappa)
    slope = (level[None, :, None] - (error.detach() < 0).to(size.dtype)).abs()
    return (slope * size * weight[:, None, :]).sum((1, 2))

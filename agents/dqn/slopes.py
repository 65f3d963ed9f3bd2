"""The slopes of DQN's losses by a network's outputs without autograd, for the networks of `perception.by_hand`.

N transitions, A actions, M outputs of an action.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from tengen.agents.dqn import _slope_kernels as kernels
from tengen.agents.dqn._q_kernels import HUBER, SQUARED
from tengen.agents.dqn.config import DQNConfig
from tengen.agents.dqn.heads import Categorical, Head
from tengen.agents.dqn.upload import TensorBatch
from tengen.types import Array

_ALL_LEGAL = np.zeros((0, 0), np.bool_)
_ALL_ONE = np.zeros(0, np.float32)


class Found(NamedTuple):
    """What is found of a batch."""

    loss: float  # the mean
    q_tm1: float  # the mean value of the actions taken
    slopes: Tensor  # [N, A, M], of the mean loss by the outputs
    errors: Array  # [N]
    clipped: float | None = None  # the share of the targets that outputs can't express; None: they can express all


class Slopes(Protocol):
    """Finds the slopes of the loss by the outputs."""

    def __call__(self, outputs: Tensor, outputs_t: Tensor, choosing_t: Tensor, batch: TensorBatch) -> Found:
        """Return what is found, of outputs [N, A, M] for the observations and the next ones."""
        ...


def slopes_of(config: DQNConfig, head: Head) -> Slopes | None:
    """Return what finds the slopes that a config describes; None where only autograd does."""
    if config.pop_art or config.distribution == "quantile":
        return None
    if isinstance(head, Categorical):
        return CategoricalSlopes(head)
    return ExpectedSlopes({"huber": HUBER, "squared": SQUARED}[config.loss])


class ExpectedSlopes:
    """Of expected values.

    Args:
        loss: HUBER or SQUARED.
    """

    def __init__(self, loss: int) -> None:
        self._loss = loss

    def __call__(self, outputs: Tensor, outputs_t: Tensor, choosing_t: Tensor, batch: TensorBatch) -> Found:
        """Return what is found."""
        slopes, errors = torch.empty_like(outputs), np.empty(len(outputs), np.float32)
        loss, q_tm1 = kernels.expected_slopes(
            choosing_t.squeeze(2).numpy(),
            outputs_t.squeeze(2).numpy(),
            *_arrays(batch),
            outputs.squeeze(2).numpy(),
            batch.action.numpy(),
            _ALL_ONE if batch.weight is None else batch.weight.numpy(),
            self._loss,
            np.empty_like(errors),
            slopes.squeeze(2).numpy(),
            errors,
        )
        return Found(loss, q_tm1, slopes, errors)


class CategoricalSlopes:
    """Of the distributions of C51.

    Args:
        head: Has the support.
    """

    def __init__(self, head: Categorical) -> None:
        self._head = head
        self._support = head.support.numpy()

    def __call__(self, outputs: Tensor, outputs_t: Tensor, choosing_t: Tensor, batch: TensorBatch) -> Found:
        """Return what is found."""
        slopes, errors = torch.empty_like(outputs), np.empty(len(outputs), np.float32)
        loss, q_tm1, clipped = kernels.categorical_slopes(
            self._head.values(choosing_t).numpy(),
            outputs_t.softmax(2).numpy(),
            *_arrays(batch),
            outputs.numpy(),
            batch.action.numpy(),
            _ALL_ONE if batch.weight is None else batch.weight.numpy(),
            self._support,
            np.empty_like(self._support),
            slopes.numpy(),
            errors,
        )
        return Found(loss, q_tm1, slopes, errors, clipped)


def _arrays(batch: TensorBatch) -> tuple[Array, Array, Array]:
    legal = _ALL_LEGAL if batch.next_legal is None else batch.next_legal.numpy()
    return batch.reward.numpy(), batch.bootstrap.numpy(), legal

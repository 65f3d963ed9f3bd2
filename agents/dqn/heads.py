"""What a Q-network's outputs mean: an expected return for each action, or its distribution.

Outputs are in normalised units, in which an `agents.dqn.scaling.Scale` measures returns (the plain units unless rewards
are normalised). N transitions, A actions, M outputs of an action, K particles of a target.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tengen.agents.dqn.losses import Loss, categorical_loss, project, quantile_loss


class Particles(NamedTuple):
    """Distributions of returns, one a row."""

    position: Tensor  # [N, K]
    weight: Tensor  # [N, K], sums to 1 in each row


class Head(Protocol):
    """The meaning of the M outputs of an action."""

    num_outputs: int

    @property
    def is_linear(self) -> bool:
        """Whether outputs are returns themselves, so that a linear layer before them can be rescaled."""
        ...

    def values(self, outputs: Tensor) -> Tensor:
        """Return the expected returns, [..., M] -> [...]."""
        ...

    def particles(self, outputs: Tensor) -> Particles:
        """Return the distribution of returns that outputs stand for, [N, M] -> K = M particles."""
        ...

    def losses(self, outputs: Tensor, target: Particles) -> tuple[Tensor, Tensor]:
        """Return the loss of each row and the size of its error as replay priorities take it, [N] each."""
        ...

    def clipped(self, target: Particles) -> Tensor | None:
        """Return how much of each row's weight outputs can't express, [N]; None where they can express all."""
        ...


class ExpectedValue:
    """One output: the expected return (Mnih et al. 2015). Its error is the absolute temporal-difference error.

    Args:
        loss: Of (prediction, target), elementwise.
    """

    num_outputs = 1
    is_linear = True

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def values(self, outputs: Tensor) -> Tensor:
        """Return the only output."""
        return outputs.squeeze(-1)

    def particles(self, outputs: Tensor) -> Particles:
        """Return the expected return as one particle."""
        return Particles(outputs, torch.ones_like(outputs))

    def losses(self, outputs: Tensor, target: Particles) -> tuple[Tensor, Tensor]:
        """Return f(target - prediction) and |target - prediction|."""
        prediction, aim = outputs.squeeze(1), target.position.squeeze(1)
        return self.loss(prediction, aim), (aim - prediction.detach()).abs()

    def clipped(self, target: Particles) -> None:
        """Return None."""


class Categorical:
    """C51 (Bellemare et al. 2017): the probability of each atom of a fixed support. Its error is the loss itself.

    Args:
        support: The atoms, evenly spaced and rising, [M].
    """

    is_linear = False

    def __init__(self, support: Tensor) -> None:
        self.support = support
        self.num_outputs = len(support)

    def values(self, outputs: Tensor) -> Tensor:
        """Return the mean of the distribution."""
        return outputs.softmax(-1) @ self.support

    def particles(self, outputs: Tensor) -> Particles:
        """Return the atoms with their probabilities."""
        return Particles(self.support.expand_as(outputs), outputs.softmax(1))

    def losses(self, outputs: Tensor, target: Particles) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy with the target shared out to the atoms."""
        loss = categorical_loss(outputs, project(*target, self.support))
        return loss, loss.detach()

    def clipped(self, target: Particles) -> Tensor:
        """Return the weight beyond the support."""
        beyond = (target.position < self.support[0]) | (target.position > self.support[-1])
        return (target.weight * beyond).sum(1)


class Quantiles:
    """QR-DQN (Dabney et al. 2018): returns at evenly spaced quantiles. Its error is the loss itself.

    Args:
        num_quantiles: M.
        kappa: Where Huber's loss becomes linear.
    """

    is_linear = True

    def __init__(self, num_quantiles: int, kappa: float) -> None:
        self.num_outputs = num_quantiles
        self.kappa = kappa

    def values(self, outputs: Tensor) -> Tensor:
        """Return the mean of the quantiles."""
        return outputs.mean(-1)

    def particles(self, outputs: Tensor) -> Particles:
        """Return the quantiles as particles of equal weight."""
        return Particles(outputs, torch.full_like(outputs, 1 / self.num_outputs))

    def losses(self, outputs: Tensor, target: Particles) -> tuple[Tensor, Tensor]:
        """Return the quantile Huber loss."""
        loss = quantile_loss(outputs, *target, self.kappa)
        return loss, loss.detach()

    def clipped(self, target: Particles) -> None:
        """Return None."""

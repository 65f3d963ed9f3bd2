"""The learning half of AlphaZero: a network with a policy and a value, fitted to what search and games gave.

Where games are for points of a board, it may learn whose each point will be, too: a game has one outcome, but as many
owners as points, from which the features that judge a position are learnt sooner (Wu 2019, section 4.1).

N positions, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from tengen.perception.board_networks import BoardOutputs
from tengen.perception.network_learner import NetworkLearner
from tengen.replay.positions import Positions
from tengen.schedules import LinearSchedule
from tengen.types import Array, Metrics


class Losses(NamedTuple):
    """What N positions cost."""

    policy: Tensor  # cross-entropy
    value: Tensor  # mean squared error
    territory: Tensor | None  # mean squared error over points; None where it is not learnt


class Learner(NetworkLearner):
    """Fits a network's policy to search's by cross-entropy, and its value to the outcome by squared error.

    The loss of Silver et al. (2017), equation 1, with the decay of weights left to the optimizer.

    Args:
        network: Observations [N, ...] -> `BoardOutputs` with a value.
        optimizer: Of its parameters.
        learning_rate: By environment steps.
        value_weight: Of the value's loss.
        territory_weight: Of the territory's loss; 0 where the network does not say whose points will be.
        device: Where the network is.
        autocast: Compute in bfloat16.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: optim.Optimizer,
        learning_rate: LinearSchedule,
        *,
        value_weight: float,
        territory_weight: float,
        device: torch.device,
        autocast: bool,
    ) -> None:
        super().__init__(network.eval(), optimizer, learning_rate, gradient_clip=None, device=device, autocast=autocast)
        self.value_weight = value_weight
        self.territory_weight = territory_weight

    @torch.inference_mode()
    def evaluate(self, observation: Array) -> tuple[Array, Array]:
        """Return the policy's logits [N, A] and the values [N], float32, for the side to move."""
        outputs: BoardOutputs = self.outputs(self.tensor(observation))
        assert outputs.value is not None
        return outputs.policy.cpu().numpy(), outputs.value.cpu().numpy()

    def fit(self, batch: Positions, num_steps: int) -> Metrics:
        """Make one gradient step on N positions; `num_steps` so far decide the step size."""
        self.set_pace(num_steps)
        self.network.train()  # batch normalisation by the batch's own moments
        losses = self.losses_of(batch)
        self.network.eval()
        total = losses.policy + self.value_weight * losses.value
        if losses.territory is not None:
            total = total + self.territory_weight * losses.territory
        self.descend(total)
        return {f"losses/{name}": loss.detach() for name, loss in losses._asdict().items() if loss is not None}

    def losses_of(self, batch: Positions) -> Losses:
        """Return what the network's answers cost."""
        outputs: BoardOutputs = self.outputs(self.tensor(batch.observation))
        assert outputs.value is not None
        policy = self.tensor(batch.policy)
        value = self.tensor(batch.value)
        cross_entropy = -(policy * functional.log_softmax(outputs.policy, 1)).sum(1).mean()
        territory = None
        if self.territory_weight > 0:
            assert outputs.ownership is not None, "a network that learns territory has a head for it"
            owned = self.tensor(batch.territory).float()
            territory = functional.mse_loss(outputs.ownership, owned)
        return Losses(cross_entropy, functional.mse_loss(outputs.value, value), territory)

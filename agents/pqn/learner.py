"""The learning half of PQN: one network, and gradient steps towards given targets.

B environments, N transitions of a rollout, A actions.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tengen.perception.network_learner import NetworkLearner
from tengen.types import Array, Floats, Ints, Metrics


class Learner(NetworkLearner):
    """Fits a network's values of the actions taken to targets, by the mean of half the squared error.

    The network takes observations [N, ...] to Q [N, A].
    """

    @torch.inference_mode()
    def action_values(self, observation: Array) -> Floats:
        """Return Q(observation, .), [B, A]."""
        values: Floats = self._q(self.tensor(observation)).double().cpu().numpy()
        return values

    def fit(self, observation: Array, action: Ints, target: Floats, batches: Iterable[Ints], num_steps: int) -> Metrics:
        """Make a gradient step on each batch; report the means over all of them.

        Args:
            observation: [N, ...].
            action: [N].
            target: [N].
            batches: The numbers of the transitions in each.
            num_steps: Environment steps so far, for the learning rate.
        """
        observations, actions = self.tensor(observation), self.tensor(action)
        targets = self.tensor(target).float()
        self.set_pace(num_steps)
        losses, values = [], []
        for batch in batches:
            rows = self.tensor(batch)
            loss, q_tm1 = self.loss_of(observations[rows], actions[rows], targets[rows])
            self.descend(loss)
            losses.append(loss.detach())
            values.append(q_tm1.detach().mean())
        return {"losses/loss": torch.stack(losses).mean(), "losses/q_value": torch.stack(values).mean()}

    def loss_of(self, observation: Tensor, action: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of N transitions (a scalar that can be differentiated) and Q of their actions, [N]."""
        q_tm1 = self._q(observation).gather(1, action[:, None]).squeeze(1)  # [N]
        return 0.5 * nn.functional.mse_loss(q_tm1, target), q_tm1

    def _q(self, observation: Tensor) -> Tensor:
        q: Tensor = self.outputs(observation)
        return q.float()

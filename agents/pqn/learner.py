"""The learning half of PQN: one network, and gradient steps towards given targets.

B environments, N transitions of a rollout, A actions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn, optim

from tengen.perception.torch_state import load_module_state, load_optimizer_state, module_state, optimizer_state
from tengen.schedules import LinearSchedule
from tengen.types import Array, Floats, Ints, Metrics, State


class Learner:
    """Fits a network's values of the actions taken to targets, by the mean of half the squared error.

    Args:
        network: Observations [N, ...] -> Q [N, A].
        optimizer: Of its parameters.
        learning_rate: By environment steps.
        gradient_clip: Largest norm of the gradient, or None.
        device: Where the network is.
        autocast: Compute in bfloat16.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: optim.Optimizer,
        learning_rate: LinearSchedule,
        *,
        gradient_clip: float | None,
        device: torch.device,
        autocast: bool,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.gradient_clip = gradient_clip
        self.device = device
        self.autocast = autocast
        self.num_updates = 0

    @torch.inference_mode()
    def action_values(self, observation: Array) -> Floats:
        """Return Q(observation, .), [B, A]."""
        values: Floats = self._q(self._tensor(observation)).double().cpu().numpy()
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
        observations, actions = self._tensor(observation), self._tensor(action)
        targets = self._tensor(target).float()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(num_steps)
        losses, values = [], []
        for batch in batches:
            rows = self._tensor(batch)
            loss, q_tm1 = self.loss_of(observations[rows], actions[rows], targets[rows])
            self._descend(loss)
            losses.append(loss.detach())
            values.append(q_tm1.detach().mean())
        return {"losses/loss": torch.stack(losses).mean(), "losses/q_value": torch.stack(values).mean()}

    def loss_of(self, observation: Tensor, action: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of N transitions (a scalar that can be differentiated) and Q of their actions, [N]."""
        q_tm1 = self._q(observation).gather(1, action[:, None]).squeeze(1)  # [N]
        return 0.5 * nn.functional.mse_loss(q_tm1, target), q_tm1

    def state_dict(self) -> State:
        """Return the network, the optimizer's moments, the number of updates and the precision."""
        return {
            "network": module_state(self.network),
            "optimizer": optimizer_state(self.optimizer),
            "num_updates": self.num_updates,
            "autocast": self.autocast,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a state, in its precision: another machine must not change the numbers of a run."""
        load_module_state(self.network, state["network"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        self.num_updates = int(state["num_updates"])
        self.autocast = bool(state["autocast"])

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        self.optimizer.step()
        self.num_updates += 1

    def _q(self, observation: Tensor) -> Tensor:
        precision = torch.autocast(self.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with precision:
            q: Tensor = self.network(observation)
        return q.float()

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)

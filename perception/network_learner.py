"""What learners of one network share: its precision, its gradient steps, and what a run goes on from."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn, optim

from tengen.perception.torch_state import load_module_state, load_optimizer_state, module_state, optimizer_state
from tengen.schedules import LinearSchedule
from tengen.types import Array, State


class NetworkLearner:
    """Fits a network by an optimizer; what to is for those that derive from it.

    Args:
        network: What is fitted.
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

    def tensor(self, array: Array) -> Tensor:
        """Return an array on the network's device."""
        return torch.from_numpy(array).to(self.device)

    def outputs(self, observation: Tensor) -> Any:
        """Return what the network makes of observations [N, ...], in the learner's precision."""
        precision = torch.autocast(self.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with precision:
            return self.network(observation)

    def set_pace(self, num_steps: int) -> None:
        """Let the step size be that of so many environment steps."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(num_steps)

    def descend(self, loss: Tensor) -> None:
        """Make a gradient step on a loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        self.optimizer.step()
        self.num_updates += 1

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

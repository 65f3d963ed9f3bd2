"""The learning half of DQN: an online network, its frozen target, and one gradient update."""

from __future__ import annotations

import contextlib
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn, optim

from tengen.agents.dqn.losses import Loss, greedy_value, q_learning_target
from tengen.perception.torch_state import load_module_state, load_optimizer_state, module_state, optimizer_state
from tengen.schedules import LinearSchedule
from tengen.types import Array, Bools, Ints, Metrics, State, TimeStep, Transition


class Target(Protocol):
    """How the target network follows the online network."""

    network: nn.Module

    def after_update(self, num_updates: int) -> None:
        """Move the target after an update of the online network."""
        ...


class NoTarget:
    """The online network is its own target."""

    def __init__(self, online: nn.Module) -> None:
        self.network = online

    def after_update(self, num_updates: int) -> None:
        """Do nothing."""


class PeriodicTarget:
    """A frozen copy, renewed every `period` updates (Mnih et al. 2015, algorithm 1: C)."""

    def __init__(self, online: nn.Module, network: nn.Module, period: int) -> None:
        self.online, self.network, self.period = online, network, period

    @torch.no_grad()
    def after_update(self, num_updates: int) -> None:
        """Renew the copy when it is due."""
        if num_updates % self.period == 0:
            for own, theirs in zip(self.network.parameters(), self.online.parameters(), strict=True):
                own.copy_(theirs)


class PolyakTarget:
    """An exponential moving average of the online network (Lillicrap et al. 2016, tau)."""

    def __init__(self, online: nn.Module, network: nn.Module, rate: float) -> None:
        self.online, self.network, self.rate = online, network, rate

    @torch.no_grad()
    def after_update(self, num_updates: int) -> None:
        """Mix in a share of the online network."""
        for own, theirs in zip(self.network.parameters(), self.online.parameters(), strict=True):
            own.lerp_(theirs, self.rate)


class Learner:
    """Fits the online network to the Q-learning targets of the target network.

    Args:
        network: The online network, observations [N, ...] -> Q [N, A].
        target: Gives the target network and moves it.
        optimizer: Of the online network's parameters.
        loss: Of (prediction, target), each [N].
        learning_rate: By environment steps.
        gradient_clip: Largest norm of the gradient, or None.
        device: Where the networks are.
        autocast: Compute in bfloat16.
    """

    def __init__(
        self,
        network: nn.Module,
        target: Target,
        optimizer: optim.Optimizer,
        loss: Loss,
        learning_rate: LinearSchedule,
        *,
        gradient_clip: float | None,
        device: torch.device,
        autocast: bool,
    ) -> None:
        self.network = network
        self.target = target
        self.optimizer = optimizer
        self.loss = loss
        self.learning_rate = learning_rate
        self.gradient_clip = gradient_clip
        self.device = device
        self.autocast = autocast
        self.num_updates = 0

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    @torch.inference_mode()
    def greedy_actions(self, observation: Array, legal: Bools | None) -> Ints:
        """Return argmax over legal actions of Q(observation, .), [B]."""
        with self._precision():
            q = self.network(self._tensor(observation)).float()
        if legal is not None:
            q = q.masked_fill(~self._tensor(legal), -torch.inf)
        actions: Ints = q.argmax(1).cpu().numpy()
        return actions

    def update(self, batch: Transition, num_steps: int) -> Metrics:
        """Make one gradient step on a batch.

        Args:
            batch: N transitions.
            num_steps: Environment steps so far, for the learning rate.
        """
        loss, q_tm1 = self.loss_of(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(num_steps)
        self.optimizer.step()
        self.num_updates += 1
        self.target.after_update(self.num_updates)
        return {"losses/loss": loss.detach(), "losses/q_value": q_tm1.detach().mean()}

    def loss_of(self, batch: Transition) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch (a scalar that can be differentiated) and Q of its actions, [N]."""
        r_t = self._tensor(batch.reward)
        legal_t = None if batch.next_legal is None else self._tensor(batch.next_legal)
        with torch.no_grad(), self._precision():
            v_t = greedy_value(self.target.network(self._tensor(batch.next_observation)).float(), legal_t)
            target = q_learning_target(r_t, self._tensor(batch.bootstrap), v_t)
        with self._precision():
            q = self.network(self._tensor(batch.observation)).float()  # [N, A]
        q_tm1 = q.gather(1, self._tensor(batch.action)[:, None]).squeeze(1)  # [N]
        return self.loss(q_tm1, target), q_tm1

    def state_dict(self) -> State:
        """Return both networks, the optimizer's moments, the number of updates and the precision."""
        state: State = {
            "network": module_state(self.network),
            "optimizer": optimizer_state(self.optimizer),
            "num_updates": self.num_updates,
            "autocast": self.autocast,
        }
        if self.target.network is not self.network:
            state["target"] = module_state(self.target.network)
        return state

    def load_state_dict(self, state: State) -> None:
        """Continue from a state, in its precision: another machine must not change the numbers of a run."""
        load_module_state(self.network, state["network"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        if self.target.network is not self.network:
            load_module_state(self.target.network, state["target"])
        self.num_updates = int(state["num_updates"])
        self.autocast = bool(state["autocast"])


class GreedyPolicy:
    """Picks the action of the greatest Q."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        return self.learner.greedy_actions(step.observation, step.legal)

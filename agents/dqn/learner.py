"""The learning half of DQN: what its agent asks of a learner, and the learner for any network of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn, optim

from tengen.agents.dqn.heads import Head, Particles
from tengen.agents.dqn.losses import greedy_action, of_action, q_learning_target
from tengen.agents.dqn.scaling import Scale
from tengen.agents.dqn.slopes import Slopes
from tengen.agents.dqn.support import CLIPPED_SHARE
from tengen.agents.dqn.targets import Target, copy_parameters
from tengen.agents.dqn.upload import TensorBatch, Upload
from tengen.perception.by_hand import ByHand
from tengen.perception.layers import Noise
from tengen.perception.optimizers import Gradient
from tengen.perception.precision import Computation, computation
from tengen.perception.torch_state import (
    load_generator_state,
    load_module_state,
    load_optimizer_state,
    module_state,
    optimizer_state,
)
from tengen.schedules import LinearSchedule
from tengen.types import Array, Bools, Floats, Ints, Metrics, State, TimeStep, Transition

_SMALL = 4096
"""Numbers in an observation up to which one pass over two batches is faster than two: reading weights takes longer."""


class Learnt(NamedTuple):
    """What came of an update."""

    metrics: Metrics
    errors: Array | Tensor  # [N], how wrong each prediction was: |TD error|, or the loss of a distribution


class Learner(Protocol):
    """Knows what actions are worth, and learns it from transitions."""

    num_updates: int

    @property
    def note(self) -> str | None:
        """What a user may like to know of how it computes, if anything."""
        ...

    def greedy_actions(self, observation: Array, legal: Bools | None) -> Ints:
        """Return the legal action of the greatest value, without noise, [B]."""
        ...

    def exploring_actions(self, observation: Array, legal: Bools | None) -> Ints:
        """Return the legal action of the greatest value, with fresh noise where the network is noisy, [B]."""
        ...

    def action_values(self, observation: Array) -> Floats:
        """Return the expected return of each action, without noise, [B, A]."""
        ...

    def publish(self) -> None:
        """Let `exploring_actions` go by what was learnt so far, where it has a network of its own."""
        ...

    def update(self, batch: Transition, num_steps: int, weights: Array | None = None) -> Learnt:
        """Make one gradient step.

        Args:
            batch: N transitions.
            num_steps: Environment steps so far, for the learning rate.
            weights: Of each transition's loss, [N]; 1 unless given.
        """
        ...

    def state_dict(self) -> State:
        """Return everything that decides what comes next."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        ...


class Losses(NamedTuple):
    """The loss of a batch, and what it is made of."""

    mean: Tensor  # [], to be differentiated
    errors: Tensor  # [N]
    q_tm1: Tensor  # [N], the values of the actions taken
    clipped: Tensor | None  # [N], the share of each target that the head can't express; None: it can express all


class TorchLearner:
    """Fits a network of torch to the Q-learning targets of its target network.

    Args:
        network: The online network, observations [N, ...] -> [N, A, M].
        acting: What explores: the online network itself, or a copy that is renewed by `publish`.
        target: Gives the target network and moves it.
        chooser: Chooses the next action: the target network, or for double Q-learning the online one.
        head: What the M outputs mean.
        scale: In which units.
        gradient: Of the online network's parameters.
        optimizer: Makes steps by it.
        learning_rate: By environment steps.
        noise: Of the online and the target network while learning.
        acting_noise: Of the acting network.
        upload: Brings a batch to the networks' device.
        gradient_clip: Largest norm of the gradient, or None.
        device: Where the networks are.
        autocast: Compute in bfloat16.
        by_hand: Compute the networks without autograd; `why_not_by_hand` must have nothing to say about them.
        slopes: With `by_hand`: finds the slopes by their outputs; None leaves this to autograd.
        compile: Compile the loss and its gradient by `torch.compile`.
    """

    def __init__(
        self,
        network: nn.Sequential,
        acting: nn.Sequential,
        target: Target,
        chooser: nn.Sequential,
        head: Head,
        scale: Scale,
        gradient: Gradient,
        optimizer: optim.Optimizer,
        learning_rate: LinearSchedule,
        *,
        noise: Noise,
        acting_noise: Noise,
        upload: Upload,
        gradient_clip: float | None,
        device: torch.device,
        autocast: bool,
        by_hand: bool = False,
        slopes: Slopes | None = None,
        compile: bool = False,
    ) -> None:
        self.network = network
        self.acting = acting
        self.target = target
        self.chooser = chooser
        self.head = head
        self.scale = scale
        self.gradient = gradient
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.noise = noise
        self.acting_noise = acting_noise
        self.upload = upload
        self.gradient_clip = gradient_clip
        self.device = device
        self.by_hand = by_hand
        self.slopes = slopes
        self.compile = compile
        self.num_updates = 0
        self._compute_in(bfloat16=autocast)
        if compile:
            mode = "reduce-overhead" if device.type == "cuda" else "default"  # the former captures CUDA graphs
            self._losses = torch.compile(self._losses, mode=mode)  # type: ignore[method-assign]  # the same function

    @property
    def note(self) -> str | None:
        """How it computes, where that is not as torch does by itself."""
        how = (["with gradients by hand"] if self.by_hand else []) + (["in bfloat16"] if self.autocast else [])
        return f"computing {' '.join(how)}" if how else None

    def _compute_in(self, *, bfloat16: bool) -> None:
        """Set the precision of all networks."""
        self.autocast = bfloat16
        made: dict[nn.Module, Computation] = {}

        def of(network: nn.Sequential) -> Computation:
            if network not in made:
                made[network] = (
                    ByHand(network, in_bfloat16=bfloat16)
                    if self.by_hand
                    else computation(network, self.device.type, in_bfloat16=bfloat16, compiles=self.compile)
                )
            return made[network]

        self._online, self._acting = of(self.network), of(self.acting)
        self._targets, self._chooser = of(self.target.network), of(self.chooser)

    def greedy_actions(self, observation: Array, legal: Bools | None) -> Ints:
        """Return the legal action of the greatest value, without noise, [B]."""
        self.noise.silence()
        self.acting_noise.silence()
        return self._actions(self._online, observation, legal)

    def exploring_actions(self, observation: Array, legal: Bools | None) -> Ints:
        """Return the legal action of the greatest value, with fresh noise where the network is noisy, [B]."""
        self.acting_noise.draw()
        return self._actions(self._acting, observation, legal)

    @torch.inference_mode()
    def _actions(self, compute: Computation, observation: Array, legal: Bools | None) -> Ints:
        q = self._values(compute, observation)
        actions: Ints = greedy_action(q, None if legal is None else self.upload.now(legal)).cpu().numpy()
        return actions

    @torch.inference_mode()
    def action_values(self, observation: Array) -> Floats:
        """Return the expected return of each action, without noise, [B, A]."""
        self.noise.silence()
        self.acting_noise.silence()
        values: Floats = self.scale.to_returns(self._values(self._online, observation)).cpu().numpy().astype(np.float64)
        return values

    def _values(self, compute: Computation, observation: Array) -> Tensor:
        """Return the expected values of actions in units of the scale, [B, A]."""
        return self.head.values(compute(self.upload.now(observation)).float())

    def publish(self) -> None:
        """Renew what explores, if it is a copy."""
        if self.acting is not self.network:
            copy_parameters(self.network, self.acting)

    def update(self, batch: Transition, num_steps: int, weights: Array | None = None) -> Learnt:
        """Make one gradient step on a batch."""
        learnt = self._differentiate(batch, weights)
        if self.gradient_clip is not None:
            self.gradient.clip(self.gradient_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(num_steps)
        self.optimizer.step()
        torch.autograd.graph.increment_version(self.network.parameters())  # a fused step does not; see Rounded
        self.num_updates += 1
        self.target.after_update(self.num_updates)
        return learnt

    def _differentiate(self, batch: Transition, weights: Array | None) -> Learnt:
        """Find the gradient of a batch's loss."""
        if self.slopes is None:
            losses = self.losses_of(batch, weights)
            self._online.differentiate(losses.mean, self.gradient)
            metrics = {"losses/loss": losses.mean.detach().clone(), "losses/q_value": losses.q_tm1.mean()}
            if losses.clipped is not None:
                metrics[CLIPPED_SHARE] = losses.clipped.mean()
            return Learnt(metrics, losses.errors)
        assert isinstance(self._online, ByHand)
        self.noise.draw()
        tensors = self.upload.batch(batch, weights)
        with torch.no_grad():
            found = self.slopes(*self._outputs_by_hand(self._online, tensors), tensors)
            self._online.backward(found.slopes, self.gradient)
        clipped = {} if found.clipped is None else {CLIPPED_SHARE: found.clipped}
        return Learnt({"losses/loss": found.loss, "losses/q_value": found.q_tm1, **clipped}, found.errors)

    def _outputs_by_hand(self, online: ByHand, batch: TensorBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the online network's outputs, and `_outputs_t`, so that `backward` is for the former."""
        if self._chooser is not online or self._targets is online or batch.observation[0].numel() > _SMALL:
            outputs_t, choosing_t = self._outputs_t(batch)
            return online(batch.observation).float(), outputs_t, choosing_t
        outputs_t = self._targets(batch.next_observation).float()
        num_rows = len(batch.observation)
        both = online(torch.cat((batch.observation, batch.next_observation))).float()
        online.narrow(num_rows)
        return both[:num_rows], outputs_t, both[num_rows:]

    def losses_of(self, batch: Transition, weights: Array | None = None) -> Losses:
        """Return the losses of a batch, with fresh noise; moves the scale."""
        self.noise.draw()
        return self._losses(self.upload.batch(batch, weights))

    def _losses(self, batch: TensorBatch) -> Losses:
        target = self._target(batch)
        self.scale.update(target)
        target = target._replace(position=self.scale.to_outputs(target.position))
        outputs = self._online(batch.observation).float()  # [N, A, M]
        outputs_tm1 = of_action(outputs, batch.action)  # [N, M]
        losses, errors = self.head.losses(outputs_tm1, target)
        q_tm1 = self.scale.to_returns(self.head.values(outputs_tm1.detach()))
        mean = (losses if batch.weight is None else losses * batch.weight).mean()
        return Losses(mean, errors, q_tm1, self.head.clipped(target))

    @torch.no_grad()
    def _target(self, batch: TensorBatch) -> Particles:
        """Return the distributions of returns that the predictions are fitted to."""
        outputs_t, choosing_t = self._outputs_t(batch)
        a_t = greedy_action(self.head.values(choosing_t), batch.next_legal)
        position, weight = self.head.particles(of_action(outputs_t, a_t))
        return Particles(q_learning_target(batch.reward, batch.bootstrap, self.scale.to_returns(position)), weight)

    def _outputs_t(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Return the outputs of the target network for the next observations, and those that choose, [N, A, M]."""
        outputs_t = self._targets(batch.next_observation).float()
        if self._chooser is self._targets:
            return outputs_t, outputs_t
        return outputs_t, self._chooser(batch.next_observation).float()

    def state_dict(self) -> State:
        """Return the networks, the optimizer's moments, scale, noise, the number of updates and the precision."""
        state: State = {
            "network": module_state(self.network),
            "optimizer": optimizer_state(self.optimizer),
            "scale": self.scale.state_dict(),
            "noise": [noise.generator.get_state().numpy() for noise in (self.noise, self.acting_noise)],
            "num_updates": self.num_updates,
            "autocast": self.autocast,
        }
        if self.target.network is not self.network:
            state["target"] = module_state(self.target.network)
        if self.acting is not self.network:
            state["acting"] = module_state(self.acting)
        return state

    def load_state_dict(self, state: State) -> None:
        """Continue from a state, in its precision: another machine must not change the numbers of a run."""
        load_module_state(self.network, state["network"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        self.scale.load_state_dict(state["scale"])
        for noise, generator in zip((self.noise, self.acting_noise), state["noise"], strict=True):
            load_generator_state(noise.generator, generator)
        if self.target.network is not self.network:
            load_module_state(self.target.network, state["target"])
        if self.acting is not self.network:
            load_module_state(self.acting, state["acting"])
        self.num_updates = int(state["num_updates"])
        self._compute_in(bfloat16=bool(state["autocast"]))


class GreedyPolicy:
    """Picks the action of the greatest value.

    Args:
        learner: Knows the values.
        rest: Waits until the learner is at rest; nothing unless given.
    """

    def __init__(self, learner: Learner, rest: Callable[[], None] | None = None) -> None:
        self.learner = learner
        self._rest = rest or (lambda: None)

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        """Return one legal action for each row, [B]."""
        self._rest()
        return self.learner.greedy_actions(step.observation, step.legal)

    def action_values(self, step: TimeStep) -> Floats:
        """Return the value of each action in each row, [B, A]."""
        self._rest()
        return self.learner.action_values(step.observation)

"""Learning from examples, in general terms: batches in, a network fitted, and how well it does on examples kept aside.

What is learnt is a `Task`'s business; where metrics go and when checkpoints are taken is the caller's. The state is all
that decides the future: weights, the optimizer's moments, the number of updates, the precision, the generator that
draws batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from tengen.errors import UserError
from tengen.perception.muon import Muon
from tengen.perception.precision import computes_in_bfloat16
from tengen.perception.torch_state import load_module_state, load_optimizer_state, module_state, optimizer_state
from tengen.types import Array, Metrics, State

OptimizerName = Literal["muon", "adamw", "sgd"]


class Examples(NamedTuple):
    """A batch of B examples."""

    inputs: Array  # [B, ...]
    targets: Mapping[str, Array]  # each [B, ...]


class Task(Protocol):
    """Something to learn from examples."""

    def draw(self, num: int, rng: np.random.Generator) -> Examples:
        """Return examples to learn from, drawn at random."""
        ...

    def kept_aside(self, num: int | None, batch_size: int) -> Iterable[Examples]:
        """Yield batches of examples that are never learnt from, if any: always the same `num` ones, or all of them."""
        ...

    def digest(self) -> str:
        """Return a digest of all examples: a run goes on only with the same ones."""
        ...

    def network(self) -> nn.Module:
        """Return a new network for it; torch's generator is seeded by the caller."""
        ...

    def judge(self, outputs: Any, targets: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        """Return the loss of a batch, and metrics by name, each as a sum and the number that it is a sum over."""
        ...


@dataclass(frozen=True)
class Fitting:
    """How a network is fitted; the part of a run's settings that this module reads."""

    batch_size: int = 128
    """Examples of an update."""
    optimizer: OptimizerName = "muon"
    """Muon for the kernels of convolutions (AdamW for all else), AdamW, or SGD with Nesterov's momentum of 0.9."""
    learning_rate: float = 0.02
    """Largest step size; Muon's other parameters take a tenth of it."""
    warmup: int = 100
    """Updates over which the step size rises."""
    cooldown: float = 0.5
    """Share of all updates, the last ones, over which the step size falls linearly to zero."""
    weight_decay: float = 0.0
    """Share of the weights that is taken away in an update, times the step size."""
    gradient_clip: float | None = None
    """Largest norm of a gradient."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the run starts on a machine that is faster in it."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UserError(f"--{name.replace('_', '-')} must be above 0, got {getattr(self, name)}")
        for name in ("warmup", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise UserError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.cooldown <= 1:
            raise UserError(f"--cooldown must be between 0 and 1, got {self.cooldown}")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise UserError(f"--gradient-clip must be above 0 or none, got {self.gradient_clip}")

    def step_size(self, step: int, num_steps: int) -> float:
        """Return the share of the learning rate that update number `step` (from 0) of `num_steps` takes."""
        rising = (step + 1) / (self.warmup + 1)
        falling = (num_steps - step) / max(1.0, self.cooldown * num_steps)
        return max(0.0, min(1.0, rising, falling))


class Learner:
    """Fits a network to a task.

    Args:
        task: What to learn.
        fitting: How.
        num_steps: Updates in all, which the step size goes by.
        rng: Draws batches.
        device: Where to compute.
    """

    def __init__(
        self, task: Task, fitting: Fitting, num_steps: int, rng: np.random.Generator, device: str = "cpu"
    ) -> None:
        self.task, self.fitting, self.num_steps, self.rng = task, fitting, num_steps, rng
        self.device = torch.device(device)
        self.num_updates = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            network = task.network()
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.optimizers = _optimizers(self.network, fitting)
        self._rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.in_bfloat16 = computes_in_bfloat16(fitting.precision, self.device)

    def update(self) -> Metrics:
        """Learn from a batch; return its metrics, but for those of which it has no example."""
        inputs, targets = self._upload(self.task.draw(self.fitting.batch_size, self.rng))
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            outputs = self.network(inputs)
        loss, metrics = self.task.judge(outputs, targets)
        for optimizer, rates in zip(self.optimizers, self._rates, strict=True):
            optimizer.zero_grad()
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * self.fitting.step_size(self.num_updates, self.num_steps)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        if self.fitting.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.fitting.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.num_updates += 1
        means = {name: total.detach() / count for name, (total, count) in metrics.items() if count}
        return {"loss": loss.detach(), **means}

    @torch.no_grad()
    def evaluate(self, num: int | None, batch_size: int = 256) -> dict[str, float]:
        """Return the metrics of examples kept aside, of `num` of them or of all; none where none are kept aside."""
        return evaluate(self.network, self.task, num, batch_size, self.device, in_bfloat16=self.in_bfloat16)

    def _upload(self, examples: Examples) -> tuple[Tensor, dict[str, Tensor]]:
        return upload(examples, self.device, torch.bfloat16 if self.in_bfloat16 else torch.float32)

    def state_dict(self) -> State:
        """Return all that decides what comes next."""
        return {
            "network": module_state(self.network),
            "optimizers": [optimizer_state(optimizer) for optimizer in self.optimizers],
            "num_updates": self.num_updates,
            "autocast": self.in_bfloat16,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: State) -> None:
        """Go on where `state_dict` was taken, in its precision: another machine must not change a run's numbers."""
        load_module_state(self.network, state["network"])
        for optimizer, moments in zip(self.optimizers, state["optimizers"], strict=True):
            load_optimizer_state(optimizer, moments)
        self.num_updates = state["num_updates"]
        self.in_bfloat16 = bool(state.get("autocast", self.in_bfloat16))  # older states don't say
        self.rng.bit_generator.state = state["rng"]


@torch.no_grad()
def evaluate(
    network: nn.Module,
    task: Task,
    num: int | None,
    batch_size: int,
    device: torch.device,
    *,
    in_bfloat16: bool,
) -> dict[str, float]:
    """Return the metrics of examples kept aside, as means, but for those of which there is no example.

    Args:
        network: What is judged.
        task: Of which.
        num: How many examples; None for all.
        batch_size: Of one computation.
        device: Where the network is.
        in_bfloat16: Rather than in float32.
    """
    network.eval()
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for examples in task.kept_aside(num, batch_size):
        inputs, targets = upload(examples, device, torch.bfloat16 if in_bfloat16 else torch.float32)
        with torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16):
            outputs = network(inputs)
        for name, (total, count) in task.judge(outputs, targets)[1].items():
            sums[name] = sums.get(name, 0.0) + float(total)
            counts[name] = counts.get(name, 0.0) + float(count)
    return {name: sums[name] / counts[name] for name in sums if counts[name]}


def upload(examples: Examples, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
    """Return examples as tensors on a device: pictures [B, C, H, W] in the order of channels last."""
    inputs = torch.from_numpy(examples.inputs).to(device, non_blocking=True).to(dtype)
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    targets = {
        name: torch.from_numpy(target).to(device, non_blocking=True) for name, target in examples.targets.items()
    }
    return inputs, targets


def _optimizers(network: nn.Module, fitting: Fitting) -> list[optim.Optimizer]:
    parameters = list(network.parameters())
    rate, decay = fitting.learning_rate, fitting.weight_decay
    if fitting.optimizer == "sgd":
        return [optim.SGD(parameters, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=True)]
    if fitting.optimizer == "adamw":
        return [optim.AdamW(parameters, rate, betas=(0.9, 0.98), weight_decay=decay, fused=True)]
    # A head's gradient is mostly noise, which Muon would make steps of full size of: it gets kernels of features only.
    weights = [parameter for parameter in parameters if parameter.ndim == 4 and parameter.shape[0] > 1]
    chosen = {id(parameter) for parameter in weights}
    others = [parameter for parameter in parameters if id(parameter) not in chosen]
    return [
        Muon(weights, rate, weight_decay=decay),
        optim.AdamW(others, rate / 10, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def classification(logits: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Return the mean cross entropy of logits [B, A] and labels [B], and its metrics: loss, top 1 and top 5."""
    count = torch.tensor(float(len(labels)))
    loss = functional.cross_entropy(logits, labels)
    best = logits.detach().topk(min(5, logits.shape[1]), 1).indices == labels[:, None]  # [B, 5]
    return loss, {
        "policy_loss": (loss.detach() * len(labels), count),
        "top1": (best[:, 0].float().sum(), count),
        "top5": (best.any(1).float().sum(), count),
    }


__all__ = [
    "Examples",
    "Fitting",
    "Learner",
    "OptimizerName",
    "Task",
    "classification",
    "evaluate",
    "upload",
]

"""The arithmetic that a network is computed in: float32, or bfloat16 with float32 parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tengen.perception.layers import NoisyLinear
from tengen.perception.optimizers import Gradient

_IN_BFLOAT16 = (nn.Linear, nn.Conv2d, NoisyLinear)  # of whose parameters autocast takes bfloat16


class Computation(Protocol):
    """Computes a network."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's outputs."""
        ...

    def differentiate(self, loss: Tensor, gradient: Gradient) -> None:
        """Write the gradient, by the network's parameters, of a function of the latest outputs."""
        ...


class _ByAutograd:
    """Differentiates a function of a network's outputs by its leaves, in the order of its parameters."""

    leaves: Sequence[Tensor]

    def differentiate(self, loss: Tensor, gradient: Gradient) -> None:
        """Write the gradient."""
        gradient.set(torch.autograd.grad(loss, list(self.leaves)))


class Plain(_ByAutograd):
    """Computes a network as it is."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.leaves = list(network.parameters())

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's outputs."""
        outputs: Tensor = self.network(x)
        return outputs


class Autocast(_ByAutograd):
    """Computes a network in bfloat16; its parameters are rounded in every call.

    Args:
        network: With float32 parameters.
        device_type: "cpu" or "cuda".
    """

    def __init__(self, network: nn.Module, device_type: str) -> None:
        self.network = network
        self.device_type = device_type
        self.leaves = list(network.parameters())

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's outputs."""
        with torch.autocast(self.device_type, torch.bfloat16):
            outputs: Tensor = self.network(x)
        return outputs


class Rounded(_ByAutograd):
    """Computes a network in bfloat16 with rounded copies of its parameters, made anew when these have changed.

    Outputs and gradients are those of `Autocast`, bit for bit, without rounding everything in every call.

    That a parameter has changed is seen by the number of changes that torch counts in each tensor, for autograd's sake.
    Fused optimizers don't count: call `torch.autograd.graph.increment_version` after their steps.

    Args:
        network: With float32 parameters, on the CPU.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        rounded = {
            id(parameter)
            for layer in network.modules()
            if isinstance(layer, _IN_BFLOAT16)
            for parameter in layer.parameters(recurse=False)
        }
        leaves: list[Tensor] = []
        self._swapped: dict[str, Tensor] = {}
        self._pairs: list[tuple[Tensor, Tensor]] = []  # a parameter, and its copy
        for name, parameter in network.named_parameters():
            leaf: Tensor = parameter
            if id(parameter) in rounded:
                with torch.inference_mode(False):  # a tensor made in inference mode could not be differentiated by
                    leaf = parameter.detach().to(torch.bfloat16).requires_grad_(parameter.requires_grad)
                self._swapped[name] = leaf
                self._pairs.append((parameter, leaf))
            leaves.append(leaf)
        self.leaves = leaves
        self._version = self._current_version()

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's outputs."""
        version = self._current_version()
        if version != self._version:
            with torch.no_grad():
                for parameter, copy in self._pairs:
                    copy.copy_(parameter)
            self._version = version
        with torch.autocast("cpu", torch.bfloat16):
            outputs: Tensor = functional_call(self.network, self._swapped, (x,))
        return outputs

    def _current_version(self) -> int:
        return sum(parameter._version for parameter, _ in self._pairs)


def computation(network: nn.Module, device_type: str, *, in_bfloat16: bool, compiles: bool = False) -> Computation:
    """Return how to compute a network with autograd.

    Args:
        network: With float32 parameters.
        device_type: "cpu" or "cuda".
        in_bfloat16: Rather than in float32.
        compiles: The calls are compiled by `torch.compile`, which fuses the rounding into them.
    """
    if not in_bfloat16:
        return Plain(network)
    if device_type == "cpu" and not compiles:
        return Rounded(network)
    return Autocast(network, device_type)


def computes_in_bfloat16(precision: str, device: torch.device) -> bool:
    """Return whether to compute in bfloat16: "float32", "bfloat16", or "auto" for what the device is faster in."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Underscored, but torch has no public name for it; without the instructions bfloat16 is emulated and slower.
    return bool(torch.cpu._is_avx512_bf16_supported())

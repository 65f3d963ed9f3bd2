"""Torch's states as the plain trees that checkpoints are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn, optim

from tengen.errors import UserError, diverged
from tengen.types import Array, State


def module_state(module: nn.Module) -> State:
    """Return a module's parameters and buffers as numpy arrays (shared memory on the CPU).

    Raises:
        UserError: They are no longer finite: such a network must not take a good one's place in a checkpoint.
    """
    return require_finite({name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()})


def require_finite(parameters: dict[str, Array]) -> State:
    """Return a network's parameters.

    Raises:
        UserError: One is not finite.
    """
    for name, array in parameters.items():
        if not np.isfinite(array).all():
            raise diverged(f"the network's {name} is not finite")
    return parameters


@torch.no_grad()
def load_module_state(module: nn.Module, state: State) -> None:
    """Copy arrays into a module of the same architecture.

    Raises:
        UserError: Names or shapes differ.
    """
    own = module.state_dict()
    theirs = {name: tuple(np.shape(array)) for name, array in state.items()}
    ours = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if theirs != ours:
        raise UserError(f"the saved network has the layers {theirs}, but this one has {ours}")
    for name, tensor in own.items():
        tensor.copy_(torch.from_numpy(np.array(state[name])))


def optimizer_state(optimizer: optim.Optimizer) -> State:
    """Return an optimizer's moments and step counts, by the number of the parameter."""
    moments: Mapping[int, Mapping[str, Any]] = optimizer.state_dict()["state"]
    return {
        str(index): {
            name: value.detach().cpu().numpy() if torch.is_tensor(value) else value for name, value in slots.items()
        }
        for index, slots in moments.items()
    }


def load_optimizer_state(optimizer: optim.Optimizer, state: State) -> None:
    """Restore what `optimizer_state` gave; hyperparameters stay as the optimizer was built with."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        int(index): {name: _moment(value, parameters[int(index)]) for name, value in slots.items()}
        for index, slots in state.items()
    }
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def load_generator_state(generator: torch.Generator, state: Array) -> None:
    """Let a generator go on from a state. One from another kind of device says nothing to it: it stays as it was."""
    saved = torch.from_numpy(np.array(state))
    if saved.shape == generator.get_state().shape:
        generator.set_state(saved)


def _moment(value: Any, parameter: torch.Tensor) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    tensor = torch.from_numpy(np.array(value))
    if tensor.shape != parameter.shape:
        return tensor  # a count of steps
    # In the parameter's own memory format: fused optimizers walk both in the order of memory.
    return torch.empty_like(parameter.detach()).copy_(tensor)

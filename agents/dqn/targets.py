"""How a target network follows the online network."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn


class Target(Protocol):
    """Gives the target network and moves it."""

    network: nn.Sequential

    def after_update(self, num_updates: int) -> None:
        """Move the target after an update of the online network."""
        ...


class NoTarget:
    """The online network is its own target."""

    def __init__(self, online: nn.Sequential) -> None:
        self.network = online

    def after_update(self, num_updates: int) -> None:
        """Do nothing."""


class PeriodicTarget:
    """A frozen copy, renewed every `period` updates (Mnih et al. 2015, algorithm 1: C)."""

    def __init__(self, online: nn.Sequential, network: nn.Sequential, period: int) -> None:
        self.online, self.network, self.period = online, network, period

    def after_update(self, num_updates: int) -> None:
        """Renew the copy when it is due."""
        if num_updates % self.period == 0:
            copy_parameters(self.online, self.network)


class PolyakTarget:
    """An exponential moving average of the online network (Lillicrap et al. 2016, tau)."""

    def __init__(self, online: nn.Sequential, network: nn.Sequential, rate: float) -> None:
        self.online, self.network, self.rate = online, network, rate

    @torch.no_grad()
    def after_update(self, num_updates: int) -> None:
        """Mix in a share of the online network."""
        for own, theirs in zip(self.network.parameters(), self.online.parameters(), strict=True):
            own.lerp_(theirs, self.rate)


@torch.no_grad()
def copy_parameters(source: nn.Module, goal: nn.Module) -> None:
    """Make the parameters of a network those of another, in place."""
    for own, theirs in zip(goal.parameters(), source.parameters(), strict=True):
        own.copy_(theirs)

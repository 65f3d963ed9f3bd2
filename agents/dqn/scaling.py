"""The units in which a network measures returns: those of the rewards, or normalised by what returns turn out to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from tengen.agents.dqn.heads import Particles
from tengen.perception.layers import OutputLayer
from tengen.types import State

_SMALLEST, _GREATEST = 1e-4, 1e6  # of sigma; Hessel et al. (2019)


class Scale(Protocol):
    """Translates between returns and the units of a network's outputs."""

    def to_returns(self, outputs: Tensor) -> Tensor:
        """Return returns of outputs."""
        ...

    def to_outputs(self, returns: Tensor) -> Tensor:
        """Return outputs of returns."""
        ...

    def update(self, targets: Particles) -> None:
        """Take notice of a batch of targets, in returns."""
        ...

    def state_dict(self) -> State:
        """Return what it has learnt."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        ...


class PlainScale:
    """The units of the rewards."""

    def to_returns(self, outputs: Tensor) -> Tensor:
        """Return them as they are."""
        return outputs

    def to_outputs(self, returns: Tensor) -> Tensor:
        """Return them as they are."""
        return returns

    def update(self, targets: Particles) -> None:
        """Do nothing."""

    def state_dict(self) -> State:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Do nothing."""


class PopArt:
    """Adaptive normalisation that preserves outputs (van Hasselt et al. 2016, algorithm 1; "Pop-Art").

    Returns are measured as (G - mu) / sigma, with running moments of the targets. When these move, the output layers
    of all networks are rescaled such that what they predict, in returns, stays as it was. Outputs that are no returns
    (the logits of C51) can't be: give no layers, and only the targets are normalised.

    Of a target that is a distribution the mean counts. Its spread is the networks' own prediction, which C51 makes in
    units of sigma: untrained atoms lie several sigma apart, and would multiply sigma at every update.

    The moments are corrected for their start at 0 (as Adam's; Kingma & Ba 2015, algorithm 1), and sigma starts at its
    least. So the first predictions are about 0 in returns, and sigma comes from below: from above, layers scaled up
    would turn the steps of those before them into leaps, and small rewards would be learnt far worse than large ones.

    Args:
        layers: The output layers of the online network and of its target.
        rate: Step size of the moments.
        device: Where the moments are.
    """

    def __init__(self, layers: Sequence[OutputLayer], rate: float, device: torch.device) -> None:
        self.layers = layers
        self.rate = rate
        self.moments = torch.zeros(3, dtype=torch.float64, device=device)  # running means of 1, G and G^2
        self.shift = torch.tensor(0.0, device=device)  # mu
        self.factor = torch.tensor(_SMALLEST, device=device)  # sigma

    def to_returns(self, outputs: Tensor) -> Tensor:
        """Return sigma y + mu."""
        return self.factor * outputs + self.shift

    def to_outputs(self, returns: Tensor) -> Tensor:
        """Return (G - mu) / sigma."""
        return (returns - self.shift) / self.factor

    @torch.no_grad()
    def update(self, targets: Particles) -> None:
        """Move the moments towards those of the targets' means, and rescale the output layers to make up for it."""
        mean = (targets.weight.double() * targets.position.double()).sum(1)  # [N]
        batch = torch.stack([torch.ones_like(mean), mean, mean.square()]).mean(1)
        self.moments.lerp_(batch, self.rate)
        self._follow(rescale=True)

    def _follow(self, *, rescale: bool) -> None:
        weight, mean_sum, square_sum = self.moments
        mean, square = mean_sum / weight, square_sum / weight
        shift, factor = mean, (square - mean.square()).clamp(min=_SMALLEST**2).sqrt().clamp(max=_GREATEST)
        if rescale:
            for layer in self.layers:
                layer.rescale((self.factor / factor).float(), ((self.shift - shift) / factor).float())
        self.shift, self.factor = shift.float(), factor.float()

    def state_dict(self) -> State:
        """Return the moments; the layers are in the networks' own states."""
        return {"moments": self.moments.cpu().numpy()}

    def load_state_dict(self, state: State) -> None:
        """Continue from a state."""
        self.moments.copy_(torch.from_numpy(state["moments"].copy()))
        if self.moments[0] > 0:
            self._follow(rescale=False)
        else:
            self.shift, self.factor = torch.zeros_like(self.shift), torch.full_like(self.factor, _SMALLEST)

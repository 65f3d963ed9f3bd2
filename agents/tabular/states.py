"""From observations to the rows of a table.

B environments side by side, K parts of an observation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from tengen.errors import UserError
from tengen.types import Array, EnvSpec, Ints

_MOST_STATES = 100_000_000


@dataclass(frozen=True)
class States:
    """Numbers the observations that are tuples of whole numbers: 0..S-1, the last part running fastest (C order).

    Attributes:
        low: The smallest value of each part [K].
        sizes: How many values each part has [K].
    """

    low: Ints
    sizes: tuple[int, ...]

    @property
    def num_states(self) -> int:
        """S."""
        return math.prod(self.sizes)

    def __call__(self, observation: Array) -> Ints:
        """Return the number [B] of each observation [B, ...]."""
        parts = (observation.reshape(len(observation), -1) - self.low).astype(np.int64)  # [B, K]
        try:
            return np.asarray(np.ravel_multi_index(tuple(parts.T), self.sizes), np.int64)
        except ValueError:
            raise _outside(observation, self) from None


@dataclass(frozen=True)
class UniformBins:
    """Numbers real observations by bins of equal width; what lies outside goes to the outermost bins.

    Attributes:
        low: Lower end of each part's first bin [K].
        high: Upper end of each part's last bin [K].
        sizes: Bins of each part [K].
    """

    low: Array
    high: Array
    sizes: tuple[int, ...]

    @property
    def num_states(self) -> int:
        """S."""
        return math.prod(self.sizes)

    def __call__(self, observation: Array) -> Ints:
        """Return the number [B] of each observation [B, ...]."""
        sizes = np.array(self.sizes)
        parts = observation.reshape(len(observation), -1).astype(np.float64)
        if np.isnan(parts).any():
            raise _outside(observation, self)
        bins = np.floor((parts - self.low) / (self.high - self.low) * sizes)
        bins = np.clip(bins, 0, sizes - 1).astype(np.int64)  # [B, K]
        return np.asarray(np.ravel_multi_index(tuple(bins.T), self.sizes), np.int64)


def states_of(
    spec: EnvSpec,
    agent: str,
    discretiser: str,
    bins: Sequence[int],
    low: Sequence[float],
    high: Sequence[float],
) -> States | UniformBins:
    """Return what numbers an environment's observations.

    Args:
        spec: The environment.
        agent: Whom to blame.
        discretiser: "none" or "uniform".
        bins: Of each part of a Box; one number serves all.
        low: Lower ends; empty for the space's own.
        high: Upper ends; empty for the space's own.

    Raises:
        UserError: A continuous space without a discretiser, or with one that doesn't fit; too many states.
    """
    space = spec.observation_space
    if discretiser == "none":
        states = _exact(space)
        if states is None:
            raise UserError(
                f"{agent} keeps a table, and {spec.id} has the observations {space}: give --agent.discretiser uniform"
                " with --agent.bins (and --agent.low, --agent.high where a bound is infinite)"
            )
        _check_size(spec, states)
        return states
    if not isinstance(space, Box):
        raise UserError(f"agent.discretiser {discretiser} is for Box observations, {spec.id} has {space}: leave it out")
    parts = math.prod(space.shape)
    sizes = tuple(bins) * parts if len(bins) == 1 else tuple(bins)
    ends = [np.array(given or own.ravel(), np.float64) for given, own in ((low, space.low), (high, space.high))]
    for name, found in (("bins", len(sizes)), ("low", len(ends[0])), ("high", len(ends[1]))):
        if found != parts:
            raise UserError(f"agent.{name} must have {parts} values for {spec.id}, one for each part, got {found}")
    with np.errstate(over="ignore"):
        widths = ends[1] - ends[0]
    if not (np.isfinite(ends).all() and np.isfinite(widths).all() and (widths > 0).all()):
        raise UserError(
            f"agent.low and agent.high must be finite and low < high for {spec.id}, got {ends[0].tolist()} and"
            f" {ends[1].tolist()}"
        )
    binned = UniformBins(ends[0], ends[1], sizes)
    _check_size(spec, binned)
    return binned


def _exact(space: gym.Space[Any]) -> States | None:
    """Return the numbering of a space of whole numbers; None for any other space."""
    match space:
        case Discrete():
            return States(np.array([space.start], np.int64), (int(space.n),))
        case MultiDiscrete():
            return States(space.start.ravel().astype(np.int64), tuple(int(n) for n in space.nvec.ravel()))
        case Box() if np.issubdtype(space.dtype, np.integer):
            low, high = space.low.ravel().tolist(), space.high.ravel().tolist()
            if max(high) < 2**63:
                return States(np.array(low, np.int64), tuple(b - a + 1 for a, b in zip(low, high, strict=True)))
    return None


def _outside(observation: Array, states: States | UniformBins) -> UserError:
    """Return the error for observations that their space does not have."""
    return UserError(
        f"an observation is none of the {states.num_states} states that its environment's observation space has:"
        f" {observation.tolist()}; mend the environment"
    )


def _check_size(spec: EnvSpec, states: States | UniformBins) -> None:
    if states.num_states > _MOST_STATES:
        digits = math.floor(math.log10(states.num_states))  # more than a float can be, for pictures
        many = f"{states.num_states:.3g}" if digits < 300 else f"10^{digits}"
        raise UserError(
            f"a table for {spec.id} would have {many} states, at most {_MOST_STATES:.0e} fit: use"
            " fewer bins, or an agent with a network such as dqn"
        )

"""Real observations: the values of a policy over the space that they fill.

K parts of an observation, N points, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from tengen.agents.linear.agent import GreedyTiles
from tengen.agents.tabular.states import UniformBins
from tengen.contracts import Policy
from tengen.evaluation.inspection.labels import part_names
from tengen.evaluation.inspection.places import Axis, Chart
from tengen.types import Array, EnvSpec, Floats

_POINTS = 60  # along each part, where any point will do


@dataclass(frozen=True)
class Domain:
    """Where a policy's values are looked at.

    Attributes:
        axes: Of each part, the points to look at [K].
        shape: Of an observation.
        dtype: Of its numbers.
        is_table: The points are the centres of a table's bins.
    """

    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    dtype: Any
    is_table: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        """Points along each part [K]."""
        return tuple(len(axis.points) for axis in self.axes)

    def observations(self) -> Array:
        """Return all combinations of the points [N, ...], the last part running fastest."""
        return self._observed(np.meshgrid(*(axis.points for axis in self.axes), indexing="ij"))

    def middle(self) -> Array:
        """Return the middle of each part's range [K]."""
        return np.array([axis.points.mean() for axis in self.axes])

    def slices(self, through: Array) -> list[tuple[Chart, Array]]:
        """Return a chart for each pair of parts, and its observations, the other parts as they are at a point [K]."""
        found = []
        for x, y in combinations(range(len(self.axes)), 2):
            rows, columns = np.meshgrid(self.axes[y].points, self.axes[x].points, indexing="ij")
            parts: list[Any] = [np.full(rows.shape, value) for value in through]
            parts[x], parts[y] = columns, rows
            states = np.arange(rows.size).reshape(rows.shape)
            found.append((Chart("", self.axes[x], self.axes[y], states), self._observed(parts)))
        return found

    def _observed(self, parts: Any) -> Array:
        return np.stack([part.ravel() for part in parts], axis=-1).reshape(-1, *self.shape).astype(self.dtype)


def domain_of(policy: Policy, spec: EnvSpec) -> Domain | None:
    """Return where to look at a policy's values; None where observations are no real numbers, or know no bounds."""
    space = spec.observation_space
    if not isinstance(space, Box) or not np.issubdtype(space.dtype, np.floating):
        return None
    bins = getattr(policy, "states", None)
    if isinstance(bins, UniformBins):
        return _domain(spec, bins.low, bins.high, bins.sizes, centred=True)
    low, high = (policy.coding.low, policy.coding.high) if isinstance(policy, GreedyTiles) else (space.low, space.high)
    if not np.isfinite([low, high]).all():
        return None
    return _domain(spec, low.ravel(), high.ravel(), (_POINTS,) * low.size, centred=False)


def _domain(spec: EnvSpec, low: Floats, high: Floats, sizes: tuple[int, ...], *, centred: bool) -> Domain:
    names = part_names(spec.id, len(sizes))
    axes = []
    for name, first, last, size in zip(names, low.tolist(), high.tolist(), sizes, strict=True):
        inset = (last - first) / size / 2 if centred else 0.0
        axes.append(Axis(name, np.linspace(first + inset, last - inset, size)))
    space = spec.observation_space
    return Domain(tuple(axes), space.shape or (), space.dtype, is_table=centred)

"""The values that flow between environments, agents and the loop.

Everything is batched: B environments side by side, B >= 1, and every array leads with B.
Shape letters used throughout the project: B batch, T time, A actions, N transitions in a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import gymnasium as gym

    from tengen.contracts import Simulator
    from tengen.tables import TransitionTables

Array: TypeAlias = NDArray[Any]
Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

Metrics: TypeAlias = Mapping[str, SupportsFloat]
"""Named scalars. A value may be a tensor still on its device: whoever writes it calls `float` on it."""

State: TypeAlias = dict[str, Any]
"""A tree of dicts and lists; its leaves are numpy arrays, `RowLog`s, and JSON scalars (int, float, str, bool, None)"""


class TimeStep(NamedTuple):
    """What B environments show after a reset or a step.

    `discount` multiplies the value of what follows: 1 when the same side is to move, -1 when the other side is,
    0 when the episode has terminated (nothing follows). A world model may give anything between.
    Truncation sets `last` and leaves `discount` alone, so that values go on being bootstrapped from `observation`.
    `last` ends an episode for the loop; a life loss under an Atari training protocol is discount 0 without `last`.
    On `first` rows reward is 0 and discount is 1.
    """

    observation: Array  # [B, ...]
    reward: Floats  # [B], the reward of the side that moved
    discount: Floats  # [B], in [-1, 1]
    first: Bools  # [B], this row was just reset
    last: Bools  # [B], the episode of this row is over
    legal: Bools | None = None  # [B, A], at least one True in every row (terminal rows are all True); None: all legal
    state: Any = None  # opaque simulator state, for search; None where there is no simulator
    score: Floats | None = None  # [B], the task's own reward where a protocol changed `reward` (clipping); else None


class Decision(NamedTuple):
    """What an agent chose, and whatever its `update` wants to remember about the choice."""

    actions: Ints  # [B]
    extras: Mapping[str, Array] = {}  # e.g. visit counts, log-probabilities, behaviour probabilities; each [B, ...]


class Transition(NamedTuple):
    """N transitions; the learning target is `reward + bootstrap * v(next_observation)`.

    `bootstrap` is the product of gamma and discount over the n steps that `reward` sums.
    """

    observation: Array  # [N, ...]
    action: Ints  # [N]
    reward: Array  # [N], the discounted n-step sum
    bootstrap: Array  # [N]
    next_observation: Array  # [N, ...]
    next_legal: Bools | None = None  # [N, A]; None: all legal


class Playouts(NamedTuple):
    """What came of one light random game from each of B states."""

    value: Floats  # [B], in [-1, 1], for the side to move in the given state
    first: NDArray[np.int8] | None = None  # [B, A], first to play an action: 1 who is to move, -1 the other


class PrioritizedSample(NamedTuple):
    """N transitions that were not drawn with equal probability."""

    transition: Transition
    weights: Array  # [N], in (0, 1], for the losses: importance weights over their greatest in the batch
    indices: Ints  # [N], what they are known by when their priorities are updated


@dataclass(frozen=True)
class EnvSpec:
    """What an agent may know of its environment.

    Attributes:
        id: The name it was made by.
        observation_space: Of one environment (without the batch dimension).
        action_space: Of one environment.
        num_envs: B.
        frame_stack: Where an observation is a stack of the last k frames, newest last, k; else 0. A stack is
            zero-padded at an episode's start, each step shifts in one frame, so that frames can be stored once.
        has_legal: Every TimeStep carries `legal`.
        alternates: `discount` may be below 0, since two sides take turns.
        max_episode_steps: The step limit of an episode in decisions, where one is known.
        simulator: The rules, for search, where there are any.
        model: The transition tables, for dynamic programming, where there are any.
    """

    id: str
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    num_envs: int
    frame_stack: int = 0
    has_legal: bool = False
    alternates: bool = False
    max_episode_steps: int | None = None
    simulator: Simulator | None = None
    model: TransitionTables | None = None

    @property
    def num_actions(self) -> int:
        """The size A of a discrete action space; TypeError for any other space."""
        n = getattr(self.action_space, "n", None)
        if n is None:
            raise TypeError(f"{self.id} has the action space {self.action_space}, which has no number of actions")
        return int(n)

"""Uniform experience replay (Lin 1992; Mnih et al. 2015), each frame stored once, n-step returns folded in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tengen.replay.storage import FrameStore, frames_of
from tengen.types import Decision, State, TimeStep, Transition

if TYPE_CHECKING:
    from tengen.types import EnvSpec


class UniformReplay:
    """Draws every transition that is held with the same probability.

    Rewards and discounts are kept as float32, and summed over n steps as float64.
    """

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        frame_dtype: Any,
        *,
        capacity: int,
        num_envs: int,
        rng: np.random.Generator,
        frame_stack: int = 0,
        num_actions: int | None = None,
        n_step: int = 1,
        gamma: float = 0.99,
    ) -> None:
        """Make an empty replay.

        Args:
            frame_shape: The shape of one frame; of the observation where there is no stack. () for numbers.
            frame_dtype: Its dtype.
            capacity: Frames held over all environments; each has a ring of `capacity // num_envs`.
            num_envs: Environments side by side.
            rng: Draws the samples.
            frame_stack: Frames of a stacked observation [K, ...], newest last and zero-padded; 0 without stacks.
            num_actions: The size of legal-action masks; None where all actions are legal.
            n_step: Steps whose rewards are summed in a transition.
            gamma: The discount factor of each step, in [0, 1].

        Raises:
            UserError: A size is out of range, or the capacity can't hold one transition of each environment.
        """
        self._store = FrameStore(
            frame_shape,
            frame_dtype,
            capacity=capacity,
            num_envs=num_envs,
            frame_stack=frame_stack,
            num_actions=num_actions,
            n_step=n_step,
            gamma=gamma,
        )
        self._rng = rng
        self._resize(0)

    @classmethod
    def from_spec(
        cls, spec: EnvSpec, *, capacity: int, rng: np.random.Generator, n_step: int = 1, gamma: float = 0.99
    ) -> UniformReplay:
        """Make a replay for an environment.

        Raises:
            UserError: Its observations are not one array of a fixed shape.
        """
        return cls(**frames_of(spec), capacity=capacity, rng=rng, n_step=n_step, gamma=gamma)

    def __len__(self) -> int:
        """The exact number of transitions that can be sampled now."""
        return len(self._store)

    @property
    def capacity(self) -> int:
        """The greatest number of frames held."""
        return self._store.capacity

    @property
    def nbytes(self) -> int:
        """The bytes that the full replay takes; memory not written yet is not used yet."""
        return self._store.nbytes

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        """Remember one step of every environment.

        Raises:
            UserError: The observations are not what was declared, or a step was left out.
        """
        self._store.add(step, decision, next_step)

    def sample(self, batch_size: int) -> Transition:
        """Draw transitions uniformly with replacement.

        The arrays are written over by the next call with the same batch size. Observations and next observations may
        share memory: see `FrameStore.allocate`.

        Raises:
            ValueError: There is nothing to sample yet.
        """
        if len(self._store) == 0:
            raise ValueError("the replay has no complete transition yet: look at len() before sampling")
        if batch_size != len(self._row):
            self._resize(batch_size)
        self._store.draw(self._rng, self._env, self._row)
        self._store.gather(self._env, self._row, self._batch)
        return self._batch.transition

    def _resize(self, batch_size: int) -> None:
        self._env = np.zeros(batch_size, np.int64)
        self._row = np.zeros(batch_size, np.int64)
        self._batch = self._store.allocate(batch_size)

    def state_dict(self) -> State:
        """Contents and generator."""
        return {"rng": self._rng.bit_generator.state, "store": self._store.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken; with empty logs, as an empty replay.

        Raises:
            UserError: The contents don't fit this replay.
        """
        self._store.load_state_dict(state["store"])
        self._rng.bit_generator.state = state["rng"]

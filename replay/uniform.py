"""Uniform experience replay (Lin 1992; Mnih et al. 2015), each frame stored once, n-step returns folded in."""

from __future__ import annotations

import numpy as np

from tengen.replay.storage import FrameStore
from tengen.types import Decision, State, TimeStep, Transition


class UniformReplay:
    """Draws every transition that is held with the same probability.

    Args:
        store: Holds them, empty at first.
        rng: Draws the samples.
    """

    def __init__(self, store: FrameStore, rng: np.random.Generator) -> None:
        self._store = store
        self._rng = rng
        self._resize(0)

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

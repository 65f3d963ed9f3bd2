"""Proportional prioritized replay: what was learnt badly is drawn more often.

Schaul, Quan, Antonoglou, Silver, "Prioritized Experience Replay" (ICLR 2016, arXiv:1511.05952): equation 1, section
3.4 and algorithm 1. Transitions are stored as by `UniformReplay`; see `tengen.replay.storage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tengen.errors import UserError, diverged
from tengen.replay import _sum_tree_kernels as _kernels
from tengen.replay.storage import FrameStore
from tengen.types import Array, Decision, Ints, PrioritizedSample, State, TimeStep


class PrioritizedReplay:
    """Draws transition i with the probability p_i / sum_k p_k, where p = (|error| + epsilon)^exponent.

    A new transition gets the greatest priority seen so far, 1 at first. A batch of N is drawn from N equal parts of the
    sum, one from each.
    """

    def __init__(
        self,
        store: FrameStore,
        rng: np.random.Generator,
        *,
        exponent: float,
        importance: Callable[[int], float],
        epsilon: float = 1e-6,
    ) -> None:
        """Make a replay.

        Args:
            store: Holds the transitions, empty at first.
            rng: Draws the samples.
            exponent: The paper's alpha, in [0, 1]: 0 draws uniformly.
            importance: The paper's beta, in [0, 1], by the number of environment steps added so far: how much of the
                bias of drawing unequally the weights take back.
            epsilon: Added to |error|, so that everything can be drawn again.

        Raises:
            UserError: A setting is out of range.
        """
        if not 0.0 <= exponent <= 1.0:
            raise UserError(f"the exponent of priorities must be from 0 to 1, got {exponent}")
        if not 0.0 < epsilon <= 1.0:
            raise UserError(f"the epsilon of priorities must be above 0 and at most 1, got {epsilon}")
        self._store = store
        self._rng = rng
        self._exponent = exponent
        self._importance = importance
        self._epsilon = epsilon
        self._greatest = 1.0  # the greatest priority seen
        self._num_steps = 0
        num_leaves = 1 << (store.capacity - 1).bit_length()
        self._tree = np.zeros(2 * num_leaves)
        self._low = np.zeros(store.num_envs, np.int64)
        self._ready = np.zeros(store.num_envs, np.int64)
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
        return self._store.nbytes + self._tree.nbytes

    def add(self, step: TimeStep, decision: Decision, next_step: TimeStep) -> None:
        """Remember one step of every environment.

        Raises:
            UserError: The observations are not what was declared, or a step was left out.
        """
        self._store.add(step, decision, next_step)
        self._num_steps += self._store.num_envs
        self._follow()

    def sample(self, batch_size: int) -> PrioritizedSample:
        """Draw transitions in proportion to their priorities, with replacement.

        The arrays are written over by the next call with the same batch size. Observations and next observations may
        share memory: see `FrameStore.allocate`.

        Raises:
            ValueError: There is nothing to sample yet.
            UserError: `importance` gives a number that is not in [0, 1].
        """
        if not self._tree[1] > 0.0:
            raise ValueError("the replay has no complete transition yet: look at len() before sampling")
        beta = self._importance(self._num_steps)
        if not 0.0 <= beta <= 1.0:
            raise UserError(f"the exponent of importance weights must be from 0 to 1, got {beta}")
        if batch_size != len(self._leaf):
            self._resize(batch_size)
        sample = self._sample
        rings = self._store.rings
        self._rng.random(out=self._mass)
        out = self._leaf, self._env, self._row, sample.indices, sample.weights
        _kernels.draw(self._tree, rings.head, self._store.num_rows, beta, self._mass, *out)
        self._store.gather(self._env, self._row, self._batch)
        return sample

    def update_priorities(self, indices: Ints, errors: Array) -> None:
        """Give transitions the priorities (|error| + epsilon)^exponent.

        Those that are no longer held, or can't be sampled any more, are passed over. Of equal indices the last counts.

        Args:
            indices: [N], of samples.
            errors: [N], the errors that were found when they were learnt from.

        Raises:
            UserError: An error is not finite.
        """
        indices = np.ascontiguousarray(indices, np.int64)
        errors = np.ascontiguousarray(errors, np.float64)
        assert indices.shape == errors.shape == (indices.size,), "`indices` and `errors` must be [N]"
        scratch = np.empty(indices.size, np.int64), np.empty(indices.size)
        settings = self._epsilon, self._exponent, self._greatest
        greatest = _kernels.update(*self._store.counts, self._tree, indices, errors, *settings, *scratch)
        if math.isnan(greatest):
            wrong = errors[~np.isfinite(errors)][0]
            raise diverged(f"an error of {wrong} gives no priority")
        self._greatest = float(greatest)

    def _follow(self) -> None:
        tree = self._tree, self._low, self._ready, self._greatest
        _kernels.follow(*self._store.counts, self._store.num_stack, *tree)

    def _resize(self, batch_size: int) -> None:
        self._leaf = np.zeros(batch_size, np.int64)
        self._mass = np.zeros(batch_size)
        self._env = np.zeros(batch_size, np.int64)
        self._row = np.zeros(batch_size, np.int64)
        self._batch = self._store.allocate(batch_size)
        weights = np.zeros(batch_size, np.float32)
        self._sample = PrioritizedSample(self._batch.transition, weights, np.zeros(batch_size, np.int64))

    def state_dict(self) -> State:
        """Contents, priorities, and generator."""
        return {
            "rng": self._rng.bit_generator.state,
            "store": self._store.state_dict(),
            "priorities": self._priorities,
            "greatest": self._greatest,
            "num_steps": self._num_steps,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken; with empty logs, as an empty replay.

        Raises:
            UserError: The contents don't fit this replay.
        """
        self._store.load_state_dict(state["store"])
        self._tree[:] = 0.0
        self._low[:] = 0
        self._ready[:] = 0
        self._greatest = 1.0
        self._follow()  # marks what can be sampled
        ours, saved = self._priorities, np.asarray(state["priorities"], np.float64)
        if saved.shape != ours.shape or not np.all(np.isfinite(saved[ours > 0]) & (saved[ours > 0] > 0)):
            raise UserError("the replay's priorities don't fit its rows: the checkpoint is damaged")
        ours[ours > 0] = saved[ours > 0]
        _kernels.rebuild(self._tree)
        self._greatest = float(state["greatest"])
        self._num_steps = int(state["num_steps"])
        self._rng.bit_generator.state = state["rng"]

    @property
    def _priorities(self) -> Array:
        """The leaves [E, R] of rows by their slots, a view."""
        first = self._tree.size // 2
        leaves = self._tree[first : first + self.capacity]
        return leaves.reshape(self._store.num_envs, self._store.num_rows)

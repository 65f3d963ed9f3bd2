"""What environments that keep B separate rows share: the current TimeStep, and one rule for seeds.

B batch, A actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tengen.errors import UserError
from tengen.types import Array, Bools, Floats, Ints, State, TimeStep


def row_generators(seed: int | Ints, num_envs: int) -> list[np.random.Generator]:
    """Return a generator for each row: an int gives the rows independent streams, an array [B] each row its own.

    A row that is given a seed of its own gets the same stream whichever row it is.
    """
    if np.ndim(seed) == 0:
        sequences = np.random.SeedSequence(int(seed)).spawn(num_envs)
    else:
        assert np.shape(seed) == (num_envs,), f"{np.shape(seed)} seeds for {num_envs} environments"
        sequences = [np.random.SeedSequence(int(s)) for s in np.asarray(seed)]
    return [np.random.default_rng(sequence) for sequence in sequences]


class Rows:
    """The current TimeStep of B environments, owned by the environment; what callers see are copies of it."""

    def __init__(self, num_envs: int, shape: tuple[int, ...], dtype: Any, num_legal: int | None) -> None:
        self.observation: Array = np.zeros((num_envs, *shape), dtype)  # [B, ...]
        self.reward: Floats = np.zeros(num_envs)
        self.discount: Floats = np.ones(num_envs)
        self.first: Bools = np.zeros(num_envs, np.bool_)
        self.last: Bools = np.zeros(num_envs, np.bool_)
        self.legal: Bools | None = None if num_legal is None else np.ones((num_envs, num_legal), np.bool_)

    def copy_out(self, state: Any = None) -> TimeStep:
        """Return a TimeStep whose arrays are the caller's own."""
        legal = self.legal
        return TimeStep(
            self.observation.copy(),
            self.reward.copy(),
            self.discount.copy(),
            self.first.copy(),
            self.last.copy(),
            legal if legal is None else legal.copy(),
            state,
        )

    def state_dict(self) -> State:
        """Return the arrays; they are not copied."""
        return {name: array for name, array in vars(self).items() if array is not None}

    def load_state_dict(self, state: State) -> None:
        """Take over the values of `state`.

        Raises:
            UserError: It is not of an environment like this one.
        """
        mine = self.state_dict()
        for name, array in mine.items():
            saved = state.get(name)
            if saved is None or saved.shape != array.shape or saved.dtype != array.dtype:
                found = "none" if saved is None else f"{saved.dtype} {saved.shape}"
                raise UserError(
                    f"the saved environment is another one: {name!r} is {found}, expected {array.dtype} {array.shape};"
                    " resume with the environment and the number of environments that the run was started with"
                )
            array[...] = saved

    def like(self) -> Rows:
        """Return another of the same shapes and dtypes."""
        num_envs, *shape = self.observation.shape
        return Rows(num_envs, tuple(shape), self.observation.dtype, None if self.legal is None else self.legal.shape[1])

    def same(self, other: Rows, row: int) -> bool:
        """Return whether both have the same values in a row (a NaN equals a NaN)."""
        theirs = other.state_dict()
        return all(
            np.array_equal(array[row], theirs[name][row], equal_nan=array.dtype.kind == "f")
            for name, array in self.state_dict().items()
        )

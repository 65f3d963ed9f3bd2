"""A replay of positions of finished games: what was seen, what search made of it, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tengen.contracts import RowLog
from tengen.errors import UserError
from tengen.types import Array, State


class Positions(NamedTuple):
    """N positions, each seen by the side to move."""

    observation: Array  # [N, ...]
    policy: Array  # float32 [N, A], what search would play, with probabilities
    value: Array  # float32 [N], what came of the game
    territory: Array  # int8 [N, ...], whose each point was in the end: 1 one's own, -1 not, 0 nobody's; [N, 0]: unknown


class PositionReplay:
    """A ring of the newest positions, drawn uniformly with replacement.

    Args:
        observation_shape: Of one observation.
        observation_dtype: Of one observation.
        num_actions: A.
        capacity: The greatest number of positions held.
        rng: Draws samples.
        territory_shape: Of one game's territory, where games are for points of a board.

    Raises:
        UserError: The capacity is below 1.
    """

    def __init__(
        self,
        observation_shape: tuple[int, ...],
        observation_dtype: Any,
        *,
        num_actions: int,
        capacity: int,
        rng: np.random.Generator,
        territory_shape: tuple[int, ...] = (0,),
    ) -> None:
        if capacity < 1:
            raise UserError(f"a replay must hold at least 1 position, got a capacity of {capacity}")
        self.capacity = capacity
        self.rng = rng
        self.num_added = 0
        # Zeroed memory is only mapped when it is first written, so that an unfilled ring costs nothing.
        self._rows = Positions(
            np.zeros((capacity, *observation_shape), observation_dtype),
            np.zeros((capacity, num_actions), np.float32),
            np.zeros(capacity, np.float32),
            np.zeros((capacity, *territory_shape), np.int8),
        )
        self._oldest = 0  # the number of the oldest position held
        self._timeline = object()  # another one as soon as rows change by more than appending

    def __len__(self) -> int:
        return self.num_added - self._oldest

    def add(self, positions: Positions) -> None:
        """Remember N positions."""
        self._write(self.num_added, positions._asdict())
        self.num_added += len(positions.value)
        self._oldest = max(self._oldest, self.num_added - self.capacity)

    def sample(self, batch_size: int) -> Positions:
        """Draw positions uniformly with replacement.

        Raises:
            ValueError: There is nothing to sample yet.
        """
        if len(self) == 0:
            raise ValueError("the replay has no position yet: look at len() before sampling")
        slots = self.rng.integers(self._oldest, self.num_added, size=batch_size) % self.capacity
        return Positions(*(array[slots] for array in self._rows))

    def state_dict(self) -> State:
        """Return contents and generator."""
        return {"rng": self.rng.bit_generator.state, "rows": _Log(self), "num_added": self.num_added}

    def load_state_dict(self, state: State) -> None:
        """Continue exactly where `state_dict` was taken; with an empty log, as an empty replay.

        Raises:
            UserError: The contents don't fit this replay.
        """
        log: RowLog = state["rows"]
        if log.stop - log.start > self.capacity:
            raise UserError(f"{log.stop - log.start} positions don't fit a replay of {self.capacity}")
        self._timeline = object()
        self.num_added = int(state["num_added"])
        self._oldest = log.start if log.stop > log.start else self.num_added
        for start in range(log.start, log.stop, 4096):
            stop = min(start + 4096, log.stop)
            self._write(start, log.read(start, stop))
        self.rng.bit_generator.state = state["rng"]

    def _write(self, start: int, rows: Mapping[str, Array]) -> None:
        """Write rows whose numbers begin with `start`; of more than fit, the newest."""
        for name, ring in self._rows._asdict().items():
            new = rows[name]
            if new.shape[1:] != ring.shape[1:]:
                raise UserError(f"positions have a {name} of {new.shape[1:]}, this replay takes {ring.shape[1:]}")
            skipped = max(0, len(new) - self.capacity)
            ring[np.arange(start + skipped, start + len(new)) % self.capacity] = new[skipped:]


class _Log:
    """The positions held, as a `RowLog`."""

    def __init__(self, replay: PositionReplay) -> None:
        self.timeline = replay._timeline
        self.start, self.stop = replay._oldest, replay.num_added
        self._rows = replay._rows
        self._capacity = replay.capacity

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        """Return the rows start..stop-1."""
        assert self.start <= start <= stop <= self.stop, f"rows {start}..{stop} are not in {self.start}..{self.stop}"
        slots = np.arange(start, stop) % self._capacity
        return {name: ring[slots] for name, ring in self._rows._asdict().items()}

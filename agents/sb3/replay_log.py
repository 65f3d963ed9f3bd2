"""The rows of stable-baselines3's replay buffer as a `RowLog`, and back.

A row is a turn of the loop, of all environments: row r lies in slot r modulo the buffer's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tengen.contracts import RowLog
from tengen.errors import UserError
from tengen.types import Array

_FIELDS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_PIECE_BYTES = 64 << 20


class BufferLog:
    """The rows that a buffer holds.

    Args:
        buffer: stable-baselines3's ReplayBuffer.
        stop: The number of rows that were ever added.
        timeline: The same object as long as rows were only added.
    """

    def __init__(self, buffer: Any, stop: int, timeline: object) -> None:
        self.timeline = timeline
        self.stop = stop
        self.start = max(0, stop - buffer.buffer_size)
        self._buffer = buffer

    def read(self, start: int, stop: int) -> Mapping[str, Array]:
        """Return the rows start..stop-1: views where they lie together, copies where they wrap around."""
        assert self.start <= start <= stop <= self.stop, f"rows {start}..{stop} are not in {self.start}..{self.stop}"
        size = self._buffer.buffer_size
        low, high = start % size, start % size + stop - start
        rows = {}
        for name in _FIELDS:
            ring = getattr(self._buffer, name)
            rows[name] = ring[low:high] if high <= size else np.concatenate([ring[low:], ring[: high - size]])
        return rows


def load_rows(buffer: Any, log: RowLog, stop: int) -> None:
    """Let a buffer hold the rows of a log, and be where `stop` rows were ever added to it.

    Raises:
        UserError: They are of another shape.
    """
    size = buffer.buffer_size
    row_bytes = sum(getattr(buffer, name)[0].nbytes for name in _FIELDS)
    step = max(1, _PIECE_BYTES // row_bytes)
    for start in range(log.start, log.stop, step):
        rows = log.read(start, min(start + step, log.stop))
        slots = np.arange(start, min(start + step, log.stop)) % size
        for name in _FIELDS:
            ring = getattr(buffer, name)
            if name not in rows or rows[name].shape[1:] != ring.shape[1:] or rows[name].dtype != ring.dtype:
                raise UserError(f"the saved replay's {name!r} don't fit this run's buffer: it is another environment's")
            ring[slots] = rows[name]
    buffer.pos = stop % size
    buffer.full = stop >= size

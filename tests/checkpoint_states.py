"""States for the tests of checkpoints; run as a script, it saves one of them."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tengen.checkpoint import CheckpointStore
from tengen.contracts import RowLog
from tengen.types import Array, State

ROW_BYTES = 4 * 3 + 8
CHUNK_ROWS = 8
CHUNK_BYTES = CHUNK_ROWS * ROW_BYTES


class Rows:
    """A row log in which row n follows from (seed, n), and that counts how many rows are read."""

    def __init__(self, stop: int, capacity: int = 10**9, seed: int = 0, timeline: object = None) -> None:
        self.stop = stop
        self.capacity = capacity
        self.seed = seed
        self.timeline = timeline
        self.reads: list[int] = []

    @property
    def start(self) -> int:
        return max(0, self.stop - self.capacity)

    def read(self, start: int, stop: int) -> dict[str, Array]:
        assert self.start <= start <= stop <= self.stop
        self.reads.append(stop - start)
        number = np.arange(start, stop)
        return {
            "n": number + 1000 * self.seed,
            "x": np.sin(number[:, None] + np.arange(3) + self.seed).astype(np.float32),
        }


def make_state(step: int, seed: int = 0, capacity: int = 12) -> dict[str, State]:
    """The state of a small run after `step` steps, one row of replay each."""
    rng = np.random.default_rng([seed, step])
    return {
        "agent": {
            "weights": {"w": rng.random((2, 3)), "b": rng.random(3, dtype=np.float32)},
            "rng": rng.bit_generator.state,
            "replay": {"log": Rows(step, capacity, seed)},
        },
        "env": {"lives": [3, 5], "frame": rng.integers(0, 256, (2, 2), dtype=np.uint8)},
        "loop": {"best": -0.5, "due": None},
    }


def make_store(folder: Path, **options: Any) -> CheckpointStore:
    """A store that takes a warning for an error, unless told otherwise."""
    return CheckpointStore(folder, chunk_bytes=CHUNK_BYTES, **{"keep": 1, "warn": fail, **options})


def fail(message: str) -> None:
    raise AssertionError(f"unexpected warning: {message}")


def leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """All leaves of a tree with their paths."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        yield path, tree
    else:
        for key, value in items:
            yield from leaves(value, (*path, key))


def assert_same(a: Any, b: Any, path: str = "") -> None:
    """Two trees are equal to the bit, in types, dtypes and shapes too."""
    if isinstance(b, np.ndarray):
        assert isinstance(a, np.ndarray), path
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), path
    elif isinstance(b, RowLog):
        assert (a.start, a.stop) == (b.start, b.stop), path
        assert_same(by_name(a.read(a.start, a.stop)), by_name(b.read(b.start, b.stop)), path)
    elif isinstance(b, dict):
        assert list(a) == list(b), path
        for key in b:
            assert_same(a[key], b[key], f"{path}/{key}")
    else:
        assert type(a) is type(b), path
        if isinstance(b, list):
            assert len(a) == len(b), path
            for index, (x, y) in enumerate(zip(a, b, strict=True)):
                assert_same(x, y, f"{path}/{index}")
        elif isinstance(b, float):
            assert struct.pack(">d", a) == struct.pack(">d", b), path
        else:
            assert a == b, path


def by_name(fields: Mapping[str, Array]) -> dict[str, Array]:
    """The fields of a row log have no order."""
    return dict(sorted(fields.items()))


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    make_store(Path(sys.argv[1])).save(int(sys.argv[2]), make_state(int(sys.argv[2])), {"note": "a script"})

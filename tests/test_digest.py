"""The digest of a state: the same for equal states, whatever their history, and another for any other state."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_states import CHUNK_BYTES, Rows, leaves, make_state

from tengen.checkpoint import CheckpointStore, digest_state
from tengen.contracts import RowLog
from tengen.errors import UserError


def replaced(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of a tree with another leaf."""
    if not path:
        return value
    changed: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    changed[path[0]] = replaced(tree[path[0]], path[1:], value)
    return changed


class PokedRows:
    """Rows of which one byte of one field is another."""

    def __init__(self, rows: Rows, row: int, field: str) -> None:
        self.start, self.stop = rows.start, rows.stop
        self._rows, self._row, self._field = rows, row, field

    def read(self, start: int, stop: int) -> dict[str, Any]:
        rows = self._rows.read(start, stop)
        if start <= self._row < stop:
            rows[self._field][self._row - start :].reshape(-1).view(np.uint8)[0] ^= 1
        return rows


def perturbed(leaf: Any) -> list[Any]:
    """Leaves that are nearly the same."""
    if isinstance(leaf, np.ndarray):
        flipped = []
        for byte in range(leaf.nbytes):
            other = leaf.copy()
            other.reshape(-1).view(np.uint8)[byte] ^= 1
            flipped.append(other)
        return [*flipped, leaf[None], leaf.reshape(-1)[::-1].copy(), leaf.tolist()]
    if isinstance(leaf, RowLog):
        assert isinstance(leaf, Rows)
        poked = [PokedRows(leaf, row, field) for row in range(leaf.start, leaf.stop) for field in ("x", "n")]
        return [*poked, Rows(leaf.stop + 1, leaf.capacity), Rows(leaf.stop, leaf.capacity - 1)]
    if isinstance(leaf, bool):
        return [not leaf, int(leaf), None]
    if isinstance(leaf, int):
        return [leaf + 1, leaf ^ (1 << 70), -leaf - 1, float(leaf), str(leaf)]
    if isinstance(leaf, float):
        return [math.nextafter(leaf, math.inf), -leaf, math.nan, math.inf, str(leaf)]
    if isinstance(leaf, str):
        return [leaf + " ", leaf.upper() + "!", [leaf]]
    assert leaf is None
    return [0, 0.0, False, "", [], {}]


def test_every_change_of_a_leaf_gives_another_digest() -> None:
    state = make_state(23)
    digests = [digest_state(state)]
    for path, leaf in leaves(state):
        digests += [digest_state(replaced(state, path, other)) for other in perturbed(leaf)]
    assert len(digests) > 140
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": 0.0}, {"x": -0.0}),
        ({"x": 1}, {"x": True}),
        ({"x": 1}, {"x": 1.0}),
        ({"x": []}, {"x": {}}),
        ({"x": [1, 2]}, {"x": [2, 1]}),
        ({"x": [[1], 2]}, {"x": [1, [2]]}),
        ({"x": {"a": 1}}, {"x": {"b": 1}}),
        ({"ab": "c"}, {"a": "bc"}),
        ({"x": np.zeros(4, np.int32)}, {"x": np.zeros(4, np.float32)}),
        ({"x": np.zeros(4, np.int32)}, {"x": np.zeros(4, np.uint32)}),
        ({"x": np.zeros((2, 3))}, {"x": np.zeros((3, 2))}),
        ({"x": np.zeros((0, 3))}, {"x": np.zeros((3, 0))}),
        ({"x": np.zeros(())}, {"x": np.zeros(1)}),
        ({"x": np.zeros(1)}, {"x": 0.0}),
        ({"x": {}, "y": {"a": 1}}, {"x": {"a": 1}, "y": {}}),
    ],
)
def test_states_that_nearly_agree_have_different_digests(one: Any, other: Any) -> None:
    assert digest_state({"agent": one}) != digest_state({"agent": other})
    assert digest_state({"agent": one}) == digest_state({"agent": copy.deepcopy(one)})


def test_the_order_of_keys_and_the_memory_layout_do_not_matter() -> None:
    array = np.arange(24.0).reshape(4, 6)
    wide = np.zeros((4, 12))
    wide[:, ::2] = array
    plain = digest_state({"a": {"x": array, "y": 1}, "b": {}})
    assert digest_state({"b": {}, "a": {"y": 1, "x": wide[:, ::2]}}) == plain
    assert digest_state({"b": {}, "a": {"y": 1, "x": np.asfortranarray(array)}}) == plain


@pytest.mark.parametrize("chunk_bytes", [1, CHUNK_BYTES, 3 * CHUNK_BYTES + 5, 10**6])
@pytest.mark.parametrize("saves", [[41], [7, 41], [0, 8, 16, 40, 41], [41, 41]])
def test_the_digest_does_not_depend_on_chunks_or_on_when_checkpoints_were_taken(
    tmp_path: Path, chunk_bytes: int, saves: list[int]
) -> None:
    store = CheckpointStore(tmp_path, chunk_bytes=chunk_bytes)
    timeline = object()
    for step in saves:
        state = make_state(step)
        state["agent"]["replay"]["log"].timeline = timeline
        store.save(step, state, {"time": step, "path": str(tmp_path)})
    assert store.load(41).digest() == digest_state(make_state(41))


def test_the_digest_does_not_depend_on_the_blocks_in_which_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = digest_state(make_state(41))
    for block in (1, 50, 333):
        monkeypatch.setattr("tengen.checkpoint.digest.BLOCK_BYTES", block)
        assert digest_state(make_state(41)) == whole


def test_the_digest_of_a_known_state_has_not_changed() -> None:
    # Recorded when the form was chosen. Another value means that digests of older runs can't be compared any more.
    agent = {"w": np.arange(3, dtype=np.float32), "log": Integers()}
    state: dict[str, dict[str, Any]] = {"agent": agent, "loop": {"n": [1, 2.5, None, True, "é"]}}
    assert digest_state(state) == "9ff45541ac37a13560536c5c55742738ffc9f1935b959de172521a38ff1f367e"


class Integers:
    """Rows that do not depend on how a library computes a sine."""

    start, stop = 2, 5

    def read(self, start: int, stop: int) -> dict[str, Any]:
        return {"n": np.arange(start, stop, dtype=np.int16)}


def test_a_digest_needs_no_torch(tmp_path: Path) -> None:
    CheckpointStore(tmp_path).save(5, make_state(5), {})
    code = (
        "import sys, pathlib; from tengen.checkpoint import CheckpointStore\n"
        "print(CheckpointStore(pathlib.Path(sys.argv[1])).latest().digest(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest_state(make_state(5)), "False"]


def test_a_checkpoint_without_its_replay_has_no_digest(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (1, 2, 3):
        store.save(step, make_state(step), {})
    with pytest.raises(UserError, match="for its policy only"):
        store.load(1).digest()


@pytest.mark.parametrize("leaf", [np.float64(1), (1, 2), b"x", {1: 2}, object(), np.zeros(2, ">f4"), "\ud800"])
def test_what_no_state_may_hold_has_no_digest(leaf: Any) -> None:
    with pytest.raises(TypeError, match="/agent/x"):
        digest_state({"agent": {"x": leaf}})

"""Checkpoints come back exactly, only the needed ones are kept, and no damage goes unseen."""

from __future__ import annotations

import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_states import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    Rows,
    all_files,
    assert_same,
    fail,
    leaves,
    make_state,
    make_store,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tengen.checkpoint import CheckpointStore, DamagedCheckpointError, digest_state, sealed, tree, write_json
from tengen.checkpoint.manifest import read_manifest
from tengen.contracts import RowLog
from tengen.errors import UserError


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on what reaches the disk when; the crash sweep looks at that."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def chunk_names(folder: Path) -> list[str]:
    return sorted(path.name[:25] for path in (folder / "chunks").iterdir())


# --- exactness ---

dtypes = st.sampled_from(sorted(tree.DTYPES)).map(np.dtype)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
arrays = hnp.arrays(dtypes, shapes)
views = st.one_of(arrays, arrays.map(np.transpose), arrays.map(lambda a: a[::-2] if a.ndim else a))
keys = st.one_of(
    st.sampled_from(["$array", "$$log", "$", "__metadata__", "a/b", "a", "b", "/", "", "a#2"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**128), 2**128),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**127, 10**1000]),
    st.floats(),
    st.sampled_from([-0.0, math.inf, -math.inf, math.nan, -math.nan, 5e-324]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
logs = st.builds(Rows, stop=st.integers(0, 40), capacity=st.integers(1, 30), seed=st.integers(0, 3))
trees = st.recursive(
    st.one_of(scalars, views, logs),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(keys, children, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(keys, trees, max_size=4), st.dictionaries(keys, scalars, max_size=3))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_state_comes_back_exactly(state: dict[str, Any], meta: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder)).save(7, {"agent": state, "env": {}}, meta)
        checkpoint = make_store(Path(folder)).latest()
        assert checkpoint is not None
        assert checkpoint.step == 7
        assert checkpoint.resumable
        assert_same(checkpoint.meta, meta, "meta")
        assert_same(checkpoint.state(), {"agent": state, "env": {}}, "state")
        assert checkpoint.digest() == digest_state({"agent": state, "env": {}})


@pytest.mark.parametrize(
    "leaf",
    [
        np.float64(1.0),
        np.int64(1),
        np.bool_(True),
        (1, 2),
        b"bytes",
        {1, 2},
        1j,
        object(),
        Path("x"),
        {1: 2},
        {None: 2},
        "\ud800",
        {"\udfff": 1},
        np.zeros(2, ">f4"),
        np.zeros(2, object),
        np.zeros(2, np.complex128),
        np.zeros(2, "U3"),
        np.zeros(2, "M8[s]"),
        np.zeros(2, [("a", "i4")]),
        np.ma.masked_array([1.0], [True]),
    ],
    ids=lambda leaf: repr(leaf).split(" at 0x")[0],  # the same in every process that runs tests
)
def test_what_cannot_be_kept_is_refused_by_its_path_and_nothing_is_written(tmp_path: Path, leaf: Any) -> None:
    with pytest.raises(TypeError, match=r"^/agent/a/1"):
        make_store(tmp_path / "checkpoints").save(1, {"agent": {"a": [0, leaf]}}, {})
    assert not (tmp_path / "checkpoints").exists()


def test_meta_takes_no_arrays(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="/meta/a"):
        make_store(tmp_path).save(1, {"agent": {}}, {"a": np.zeros(1)})


def test_an_int_of_any_size_comes_back(tmp_path: Path) -> None:
    huge = 10**5000 + 1  # more digits than Python turns into decimal text
    make_store(tmp_path).save(1, {"agent": {"n": huge}}, {"n": -huge})
    checkpoint = make_store(tmp_path).load()
    assert checkpoint.state()["agent"]["n"] == huge
    assert checkpoint.meta["n"] == -huge


def test_paths_that_look_the_same_are_kept_apart(tmp_path: Path) -> None:
    state = {"a/b": np.zeros(1), "a": {"b": np.ones(2), "b#2": np.ones(3)}, "l/0": Rows(3), "l": [Rows(5)]}
    make_store(tmp_path).save(1, {"agent": state}, {})
    assert_same(make_store(tmp_path).load().state(), {"agent": state})


def test_loaded_arrays_can_be_written_to(tmp_path: Path) -> None:
    make_store(tmp_path).save(9, make_state(9), {})
    state = make_store(tmp_path).load().state()
    state["agent"]["weights"]["w"][:] = 0
    log = state["agent"]["replay"]["log"]
    log.read(0, 9)["x"][:] = 0
    assert_same(log.read(0, 9), Rows(9).read(0, 9))


def test_a_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    make_store(tmp_path).save(0, {"agent": {"rng": rng.bit_generator.state}}, {})
    expected = rng.random(5)
    restored = np.random.default_rng()
    restored.bit_generator.state = make_store(tmp_path).load().state()["agent"]["rng"]
    np.testing.assert_array_equal(restored.random(5), expected)


# --- row logs ---


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_of_a_saved_log_can_be_read(data: st.DataObject) -> None:
    rows = Rows(data.draw(st.integers(0, 60)), data.draw(st.integers(1, 60)))
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder)).save(1, {"agent": {"log": rows}}, {})
        log = make_store(Path(folder)).load().state()["agent"]["log"]
        assert isinstance(log, RowLog)
        for _ in range(5):
            start = data.draw(st.integers(rows.start, rows.stop))
            stop = data.draw(st.integers(start, rows.stop))
            assert_same(log.read(start, stop), rows.read(start, stop))
        for outside in ((rows.start - 1, rows.stop), (rows.start, rows.stop + 1)):
            with pytest.raises(IndexError):
                log.read(*outside)


def test_chunks_are_aligned_and_shared_and_only_the_newest_is_partial(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.save(1, {"agent": {"log": Rows(CHUNK_ROWS * 2 + 3)}}, {})
    assert chunk_names(tmp_path) == [
        "000000000000-000000000008",
        "000000000008-000000000016",
        "000000000016-000000000019",
    ]
    full = {path.name: path.stat().st_ino for path in (tmp_path / "chunks").iterdir()}
    store.save(2, {"agent": {"log": Rows(CHUNK_ROWS * 3 + 1)}}, {})
    assert chunk_names(tmp_path) == [
        "000000000000-000000000008",
        "000000000008-000000000016",
        "000000000016-000000000019",
        "000000000016-000000000024",
        "000000000024-000000000025",
    ]
    after = {path.name: path.stat().st_ino for path in (tmp_path / "chunks").iterdir()}
    assert after.items() >= full.items(), "a chunk was written twice"


def test_of_a_log_on_the_same_timeline_only_new_rows_are_read(tmp_path: Path) -> None:
    store, timeline = make_store(tmp_path), object()
    store.save(1, {"agent": {"log": Rows(80, timeline=timeline)}}, {})
    rows = Rows(85, capacity=30, timeline=timeline)
    store.save(2, {"agent": {"log": rows}}, {})
    assert sum(rows.reads) == 5
    assert_same(make_store(tmp_path).load().state(), {"agent": {"log": rows}})


def test_the_log_is_never_read_in_larger_pieces_than_a_chunk(tmp_path: Path) -> None:
    rows = Rows(100)
    make_store(tmp_path).save(1, {"agent": {"log": rows}}, {})
    assert sum(rows.reads) == 100
    assert max(rows.reads) == CHUNK_ROWS


@pytest.mark.parametrize("timelines", [(None, None), (1, 2), (None, 2)])
def test_rows_of_a_discarded_timeline_are_never_taken_for_current_ones(
    tmp_path: Path, timelines: tuple[Any, Any]
) -> None:
    store = make_store(tmp_path)
    store.save(10, {"agent": {"log": Rows(10, timeline=timelines[0])}}, {})
    store.save(20, {"agent": {"log": Rows(20, timeline=timelines[0])}}, {})
    other = Rows(20, seed=1, timeline=timelines[1])
    store.save(20, {"agent": {"log": other}}, {})
    assert_same(make_store(tmp_path).load(20).state(), {"agent": {"log": other}})
    assert_same(make_store(tmp_path).load(10).state(), {"agent": {"log": Rows(10)}})


def test_a_chunk_that_was_damaged_on_disk_is_written_anew(tmp_path: Path) -> None:
    make_store(tmp_path).save(10, {"agent": {"log": Rows(20)}}, {})
    for path in (tmp_path / "chunks").iterdir():
        flip(path, 8 * path.stat().st_size - 3)
    make_store(tmp_path).save(20, {"agent": {"log": Rows(21)}}, {})
    assert_same(make_store(tmp_path).load().state(), {"agent": {"log": Rows(21)}})


def test_a_chunk_that_was_found_damaged_is_not_trusted_by_the_store_that_wrote_it(tmp_path: Path) -> None:
    timeline = object()
    store = make_store(tmp_path, warn=print)
    store.save(10, {"agent": {"log": Rows(20, timeline=timeline)}}, {})
    path = min((tmp_path / "chunks").iterdir())
    flip(path, 8 * path.stat().st_size - 3)
    with pytest.raises(UserError, match=path.name):
        store.latest()
    store.save(20, {"agent": {"log": Rows(21, timeline=timeline)}}, {})
    assert_same(make_store(tmp_path).load().state(), {"agent": {"log": Rows(21)}})


# --- which checkpoints stay ---


def test_the_newest_two_can_be_resumed_and_older_ones_keep_their_policy_up_to_a_number(tmp_path: Path) -> None:
    store = make_store(tmp_path, keep=3)
    for step in range(10, 80, 10):
        store.save(step, make_state(step), {})
        if step == 20:
            store.mark_best(20, 1.5)
    assert store.steps() == [20, 30, 40, 50, 60, 70]
    assert [store.load(step).resumable for step in store.steps()] == [False] * 4 + [True] * 2
    named = {chunk.file_name for step in (60, 70) for chunk in store.load(step).manifest.chunks()}
    assert {path.name for path in (tmp_path / "chunks").iterdir()} == named
    best = store.best()
    assert best is not None
    assert best.step == 20
    assert store.best_mark() == (20, 1.5)
    state = best.state(resume=False)
    assert_same(state["agent"]["weights"], make_state(20)["agent"]["weights"])
    with pytest.raises(UserError, match="kept for its policy only"):
        best.state()


def test_a_former_best_goes_when_it_is_too_old(tmp_path: Path) -> None:
    store = make_store(tmp_path, keep=1)
    for step in (10, 20, 30, 40, 50):
        store.save(step, {"agent": {}}, {})
        if step in (10, 40):
            store.mark_best(step, step)
    assert store.steps() == [30, 40, 50]


def test_without_resuming_logs_are_empty_and_no_replay_is_read(tmp_path: Path) -> None:
    make_store(tmp_path).save(20, make_state(20), {})
    shutil.rmtree(tmp_path / "chunks")
    checkpoint = make_store(tmp_path).latest(resume=False)
    assert checkpoint is not None
    log = checkpoint.state(resume=False)["agent"]["replay"]["log"]
    assert isinstance(log, RowLog)
    assert (log.start, log.stop) == (20, 20)
    assert_same(log.read(20, 20), Rows(20).read(20, 20))


def test_the_same_step_can_be_saved_again(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for seed in (0, 0, 1):
        store.save(20, make_state(20, seed), {"seed": seed})
        assert store.load(20).meta == {"seed": seed}
        assert_same(store.load(20).state(), make_state(20, seed))
    assert store.steps() == [20]


def test_going_back_discards_what_came_after(tmp_path: Path) -> None:
    store = make_store(tmp_path, keep=5)
    for step in (10, 20, 30, 40):
        store.save(step, make_state(step), {})
    store.mark_best(30, 1.0)
    store.save(25, make_state(25, 1), {})
    assert store.steps() == [10, 20, 25]
    assert store.best_mark() is None
    assert_same(store.load().state(), make_state(25, 1))


def test_nothing_saved_is_none_and_an_unknown_step_is_told_the_known_ones(tmp_path: Path) -> None:
    store = make_store(tmp_path / "checkpoints")
    assert store.latest() is None
    assert store.best() is None
    assert store.steps() == []
    with pytest.raises(UserError, match="there is no checkpoint in"):
        store.load()
    store.save(10, {"agent": {}}, {})
    store.save(20, {"agent": {}}, {})
    with pytest.raises(UserError, match=r"no checkpoint of step 15 .*; there are: 10, 20"):
        store.load(15)


def test_steps_of_any_size_have_their_folders(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for step in (0, 50_000, 2_000_000_000):
        store.save(step, {"agent": {}}, {})
        assert store.load().step == step
    assert (tmp_path / "step_000050000" / "manifest.json").is_file()


def test_a_best_score_is_kept_exactly(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.save(1, {"agent": {}}, {})
    for score in (0.1 + 0.2, -math.inf, 1e300):
        store.mark_best(1, score)
        assert make_store(tmp_path).best_mark() == (1, score)


def test_plain_json_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    (tmp_path / ".new-summary.json").write_text("left over")
    write_json(path, {"a": [1]})
    write_json(path, {"b": 2.5})
    assert path.read_text() == '{\n  "b": 2.5\n}\n'
    assert all_files(tmp_path) == [path]


# --- damage ---


def flip(path: Path, bit: int) -> None:
    handle = os.open(path, os.O_RDWR)
    byte = os.pread(handle, 1, bit // 8)[0] ^ (1 << bit % 8)
    os.pwrite(handle, bytes([byte]), bit // 8)
    os.close(handle)


def test_every_flipped_bit_of_a_small_checkpoint_is_detected(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    state = {"agent": {"w": np.arange(3, dtype=np.float32), "log": Rows(CHUNK_ROWS + 2), "n": 2**70}}
    store.save(10, state, {"note": "x"})
    num_bits = 0
    for path in all_files(tmp_path):
        for bit in range(8 * path.stat().st_size):
            flip(path, bit)
            with pytest.raises(DamagedCheckpointError, match=path.name):
                store.load(10)
            flip(path, bit)
            num_bits += 1
    assert num_bits > 10_000
    assert_same(store.load(10).state(), state)


def test_every_flipped_bit_of_the_mark_of_the_best_is_detected(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = make_store(tmp_path, warn=warnings.append)
    store.save(10, {"agent": {}}, {})
    store.mark_best(10, 0.5)
    path = tmp_path / "best.json"
    for bit in range(8 * path.stat().st_size):
        flip(path, bit)
        assert store.best_mark() is None
        flip(path, bit)
    assert len(warnings) == 8 * path.stat().st_size
    assert store.best_mark() == (10, 0.5)


def test_flipped_bits_of_a_larger_checkpoint_are_detected(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, chunk_bytes=1 << 16, warn=fail)
    rng = np.random.default_rng(0)
    store.save(10, {"agent": {"w": rng.random((300, 300)), "log": Rows(20_000)}, "env": make_state(5)["env"]}, {})
    paths = all_files(tmp_path)
    choose = random.Random(0)
    for path in [*paths, *choose.choices(paths, [path.stat().st_size for path in paths], k=100)]:
        bit = choose.randrange(8 * path.stat().st_size)
        flip(path, bit)
        with pytest.raises(DamagedCheckpointError, match=path.name):
            store.load(10)
        flip(path, bit)
    store.load(10)


def _link(path: Path) -> None:
    shutil.move(path, path.with_name("moved"))
    path.symlink_to("moved")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a link": _link,
    "a named pipe": _pipe,
    "a folder": _folder,
}
FILES = ["manifest.json", "agent.json", "agent.safetensors", "loop.json", "chunk"]


def file_of(folder: Path, step: int, name: str) -> Path:
    """A file of the checkpoint that no other one shares."""
    if name == "chunk":
        newest = read_manifest(folder / f"step_{step:09d}").chunks()[-1]
        return folder / "chunks" / newest.file_name
    return folder / f"step_{step:09d}" / name


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damage_is_reported_and_the_previous_checkpoint_used(tmp_path: Path, name: str, damage: str) -> None:
    warnings: list[str] = []
    store = make_store(tmp_path, warn=warnings.append)
    for step in (10, 20):
        store.save(step, make_state(step), {})
    path = file_of(tmp_path, 20, name)
    DAMAGES[damage](path)
    checkpoint = store.latest()
    assert checkpoint is not None
    assert checkpoint.step == 10
    assert_same(checkpoint.state(), make_state(10))
    (warning,) = warnings
    assert str(path) in warning
    assert warning.endswith("using the checkpoint at step 10")
    # The run goes on from 10; what was damaged is replaced and does not push a whole one out.
    store.save(15, make_state(15), {})
    store.save(20, make_state(20), {})
    assert [make_store(tmp_path).load(step).resumable for step in store.steps()] == [False, True, True]
    assert_same(make_store(tmp_path).load(20).state(), make_state(20))


def test_a_damaged_checkpoint_does_not_count_among_the_newest_two(tmp_path: Path) -> None:
    store = make_store(tmp_path, warn=lambda message: None)
    for step in (10, 20):
        store.save(step, make_state(step), {})
    file_of(tmp_path, 20, "agent.json").unlink()
    store.latest()
    store.save(25, make_state(25), {})
    assert store.steps() == [10, 25]
    assert store.load(10).resumable


def test_where_no_checkpoint_is_whole_the_message_says_what_was_found(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for step in (10, 20, 30):
        store.save(step, make_state(step), {})
    file_of(tmp_path, 30, "agent.json").unlink()
    (tmp_path / "step_000000020" / "manifest.json").write_text("{}")
    with pytest.raises(UserError) as failure:
        store.latest()
    message = str(failure.value)
    assert "step_000000030/agent.json is missing" in message
    assert "step_000000020/manifest.json is damaged" in message
    assert "the one at step 10 is kept for its policy only" in message
    with pytest.raises(AssertionError, match="using the checkpoint at step 10"):
        store.latest(resume=False)


def test_a_chunk_that_is_damaged_later_is_detected_when_it_is_read(tmp_path: Path) -> None:
    make_store(tmp_path).save(20, make_state(20), {})
    log = make_store(tmp_path).load().state()["agent"]["replay"]["log"]
    path = file_of(tmp_path, 20, "chunk")
    flip(path, 8 * path.stat().st_size - 1)
    log.read(log.start, 16)
    with pytest.raises(DamagedCheckpointError, match=path.name):
        log.read(16, 17)


def test_a_checkpoint_under_the_name_of_another_step_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path).save(20, make_state(20), {})
    shutil.copytree(tmp_path / "step_000000020", tmp_path / "step_000000030")
    with pytest.raises(DamagedCheckpointError, match="another step, 20"):
        make_store(tmp_path).load(30)


# --- malice: somebody has written a manifest that fits ---

BAD_VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5,
    "..",
    "../../x",
    "0" * 64,
    [],
    [[]],
    {},
    {"$array": "x"},
    {"$float": ""},
]


def put(node: Any, path: tuple[str | int, ...], value: Any) -> None:
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value


def inner_paths(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(node, (dict, list)):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield (*path, key)
            yield from inner_paths(node[key], (*path, key))


def test_a_manifest_with_any_wrong_value_is_refused_in_one_message(tmp_path: Path) -> None:
    make_store(tmp_path).save(20, {"agent": {"log": Rows(10), "x": 1}}, {"a": 1})
    path = tmp_path / "step_000000020" / "manifest.json"
    good = path.read_bytes()
    num_refused, accepted = 0, set()
    for at in inner_paths(sealed.read_sealed(path)):
        for value in BAD_VALUES:
            path.write_bytes(good)
            content = sealed.read_sealed(path)
            put(content, at, value)
            bad = sealed.seal(content)
            if bad == good:
                continue
            path.write_bytes(bad)
            try:
                state = make_store(tmp_path).load(20).state()
                if state:  # a checkpoint of nothing is one
                    log = state["agent"]["log"]
                    log.read(log.start, log.stop)
            except UserError:
                num_refused += 1
            else:
                accepted.add(at[-1])
    assert num_refused > 300
    assert accepted <= {"components", "meta", "a", "rows_per_chunk"}


def test_names_in_a_manifest_lead_nowhere_else(tmp_path: Path) -> None:
    make_store(tmp_path / "run").save(20, {"agent": {}}, {})
    for suffix in (".json", ".safetensors"):
        shutil.copy(tmp_path / "run" / "step_000000020" / f"agent{suffix}", tmp_path / f"agent{suffix}")
    path = tmp_path / "run" / "step_000000020" / "manifest.json"
    content = sealed.read_sealed(path)
    for name in ("../../agent", str(tmp_path / "agent"), "./agent", "Agent", "manifest", "a" * 65):
        path.write_bytes(sealed.seal({**content, "components": {name: content["components"]["agent"]}}))
        with pytest.raises(DamagedCheckpointError, match="is not the name of a component"):
            make_store(tmp_path / "run").load(20)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"stop": 10**15}, "can't be right"),
        ({"size": 10**15}, "bytes long instead of 1000000000000000"),
        ({"sha256": "../../../etc/passwd"}, "is not a SHA-256"),
        ({"sha256": "A" * 64}, "is not a SHA-256"),
    ],
)
def test_what_a_manifest_claims_of_a_chunk_is_not_believed(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    make_store(tmp_path).save(20, {"agent": {"log": Rows(3)}}, {})
    path = tmp_path / "step_000000020" / "manifest.json"
    content = sealed.read_sealed(path)
    log = content["logs"]["agent"]["/agent/log"]
    log["chunks"][-1].update(change)
    log["stop"] = log["chunks"][-1]["stop"]
    (chunk,) = (tmp_path / "chunks").iterdir()
    chunk.rename(chunk.with_name(f"{0:012d}-{log['stop']:012d}-{chunk.name.split('-')[-1]}"))
    path.write_bytes(sealed.seal(content))
    with pytest.raises(DamagedCheckpointError, match=complaint):
        make_store(tmp_path).load(20)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"content": ' * 50_000, b"\xff", b"[]", b"1" * 10_000, b"NaN"])
def test_json_that_is_verified_but_malformed_is_refused(tmp_path: Path, text: bytes) -> None:
    make_store(tmp_path).save(20, {"agent": {}}, {})
    replant(tmp_path / "step_000000020", "agent.json", text)
    with pytest.raises(DamagedCheckpointError, match=r"agent\.json is malformed"):
        make_store(tmp_path).load(20)


def replant(folder: Path, name: str, data: bytes) -> None:
    """Put other contents into a file of a component, and let the manifest agree with it."""
    import hashlib

    (folder / name).write_bytes(data)
    content = sealed.read_sealed(folder / "manifest.json")
    component, suffix = name.split(".")
    content["components"][component][f".{suffix}"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_bytes(sealed.seal(content))


def bomb(marker: Path) -> bytes:
    """A pickle that creates a file when it is loaded."""
    return b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker)


def test_the_planted_pickle_would_work(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(bomb(tmp_path / "marker"))
    code = f"import pickle; pickle.load(open({str(tmp_path / 'bomb')!r}, 'rb'))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", [*FILES, "best.json"])
@pytest.mark.parametrize("fits", [False, True], ids=["as it is", "with a manifest that fits"])
def test_a_planted_pickle_is_never_executed(tmp_path: Path, name: str, fits: bool) -> None:
    run, marker = tmp_path / "run", tmp_path / "marker"
    warnings: list[str] = []
    store = make_store(run, warn=warnings.append)
    for step in (10, 20):
        store.save(step, make_state(step), {})
    store.mark_best(20, 1.0)
    data = bomb(marker)
    if name == "best.json":
        (run / name).write_bytes(data)
        assert store.best() is None
    elif not fits or name == "manifest.json":
        file_of(run, 20, name).write_bytes(data)
    elif name == "chunk":
        plant_chunk(run, data)
    else:
        replant(run / "step_000000020", name, data)
    try:
        for which in (store.latest(), store.latest(resume=False), store.best()):
            assert which is not None
            for _, leaf in leaves(which.state(resume=which.resumable)):
                if isinstance(leaf, RowLog):
                    leaf.read(leaf.start, leaf.stop)
    except (UserError, AssertionError):
        warnings.append("refused")
    assert warnings
    assert not marker.exists()


def plant_chunk(run: Path, data: bytes) -> None:
    import hashlib

    path = run / "step_000000020" / "manifest.json"
    content = sealed.read_sealed(path)
    chunk = content["logs"]["agent"]["/agent/replay/log"]["chunks"][-1]
    chunk["sha256"] = hashlib.sha256(data).hexdigest()
    chunk["size"] = len(data)
    path.write_bytes(sealed.seal(content))
    (run / "chunks" / f"{chunk['start']:012d}-{chunk['stop']:012d}-{chunk['sha256']}.safetensors").write_bytes(data)


def test_the_small_chunks_of_these_tests_are_as_small_as_they_seem(tmp_path: Path) -> None:
    make_store(tmp_path).save(1, {"agent": {"log": Rows(1)}}, {})
    (entry,) = read_manifest(tmp_path / "step_000000001").logs["agent"].values()
    assert entry.rows_per_chunk == CHUNK_ROWS == CHUNK_BYTES // sum(field.row_bytes for field in entry.fields.values())

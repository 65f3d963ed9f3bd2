"""A save that dies, or fails, at each of its operations on the disk leaves the old state or the new one, whole."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from checkpoint_states import all_files, make_state, make_store

from tengen.checkpoint import digest_state, files
from tengen.checkpoint.manifest import CHUNK_NAME
from tengen.errors import UserError

# From Python 3.12 on, a fork warns where another test has left threads; the children here only write files.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

Hook = Callable[[str, Path], None]
Action = Callable[[Path], None]

KILLED = 9


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncing takes long and changes nothing for a process that is killed; the hook still sees each fsync."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def save(step: int, seed: int = 0) -> Action:
    def act(folder: Path) -> None:
        make_store(folder).save(step, make_state(step, seed), {"seed": seed})

    return act


def mark(step: int, score: float) -> Action:
    return lambda folder: make_store(folder).mark_best(step, score)


# By name: what happened before, the action that is interrupted, and the (step, seed) of the state before and after it.
SCENARIOS: dict[str, tuple[list[Action], Action, tuple[int, int] | None, tuple[int, int]]] = {
    "the first": ([], save(9), None, (9, 0)),
    "one more": ([save(9), save(30)], save(43), (30, 0), (43, 0)),
    "one more, and an old one goes": (
        [save(5), mark(5, 1.0), save(9), save(12), save(20), save(30)],
        save(43),
        (30, 0),
        (43, 0),
    ),
    "the same step again": ([save(9), save(30), save(43)], save(43), (43, 0), (43, 0)),
    "the same step in another timeline": ([save(9), save(30), save(43)], save(43, 1), (43, 0), (43, 1)),
    "back to an earlier step": (
        [save(9), save(30), save(43), mark(43, 1.0), save(50)],
        save(38, 1),
        (50, 0),
        (38, 1),
    ),
    "a better one": ([save(9), mark(9, 1.0), save(30)], mark(30, 2.0), (30, 0), (30, 0)),
}


def digest(which: tuple[int, int] | None) -> str | None:
    return None if which is None else digest_state(make_state(*which))


def found(folder: Path) -> str | None:
    """The digest of the newest checkpoint; the others, and the best, must be whole as well."""
    store = make_store(folder)
    newest = None
    for step in store.steps():
        newest = store.load(step)
    store.best()
    assert (newest and newest.step) == (newest and store.load().step)
    return newest.digest() if newest else None


def in_child(hook: Hook, action: Action, folder: Path) -> int:
    """Act in a forked process under a hook, and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            files.hook = hook
            action(folder)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(number: int) -> Hook:
    """Die before an operation; a file that is not synced yet is cut in half, as one may be."""
    numbers = count()

    def hook(operation: str, path: Path) -> None:
        if next(numbers) == number:
            if operation == "fsync" and path.is_file():
                os.truncate(path, path.stat().st_size // 2)
            os._exit(KILLED)

    return hook


def prepare(folder: Path, actions: list[Action]) -> Path:
    for action in actions:
        action(folder)
    return folder


def assert_clean(folder: Path) -> None:
    """Nothing is left over, and every chunk is somebody's."""
    names = {
        chunk.file_name
        for step in make_store(folder).steps()
        for chunk in make_store(folder).load(step).manifest.chunks()
    }
    assert {path.name for path in (folder / "chunks").iterdir()} == names
    for path in folder.rglob("*"):
        assert not path.name.startswith(".")
        assert not path.name.endswith("~")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_after_a_kill_at_any_operation_the_state_is_the_old_or_the_new_one(tmp_path: Path, scenario: str) -> None:
    history, action, old, new = SCENARIOS[scenario]
    start = prepare(tmp_path / "start", history)
    seen: list[str | None] = []
    for number in count():
        folder = tmp_path / "run"
        if start.exists():
            shutil.copytree(start, folder)
        code = in_child(kill_at(number), action, folder)
        assert code in (0, KILLED)
        seen.append(found(folder))
        # And on it goes, from whatever was found, which stays as the one before.
        earlier = make_store(folder).steps()
        save(60, 2)(folder)
        assert found(folder) == digest((60, 2))
        if earlier:
            assert make_store(folder).load(earlier[-1]).digest() == seen[-1]
        assert_clean(folder)
        shutil.rmtree(folder)
        if code == 0:
            break
    assert len(seen) > 4
    switch = seen.index(digest(new))
    assert set(seen[:switch]) <= {digest(old)}
    assert set(seen[switch:]) == {digest(new)}


def fail_at(number: int, error: int, *, from_then_on: bool) -> Hook:
    numbers = count()

    def hook(operation: str, path: Path) -> None:
        at = next(numbers)
        if at == number or (from_then_on and at > number):
            raise OSError(error, os.strerror(error), str(path))

    return hook


@pytest.mark.parametrize(("error", "from_then_on"), [(errno.ENOSPC, False), (errno.EACCES, True)])
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "a better one"])
def test_after_an_error_at_any_operation_one_message_says_what_is_intact(
    tmp_path: Path, scenario: str, error: int, from_then_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, action, old, new = SCENARIOS[scenario]
    start = prepare(tmp_path / "start", history)
    for number in count():
        folder = tmp_path / "run"
        if start.exists():
            shutil.copytree(start, folder)
        monkeypatch.setattr(files, "hook", fail_at(number, error, from_then_on=from_then_on))
        message = None
        try:
            action(folder)
        except UserError as failure:
            message = str(failure)
        monkeypatch.setattr(files, "hook", None)
        left = found(folder)
        assert left in (digest(old), digest(new))
        if message is not None:
            assert os.strerror(error) in message
            newest = make_store(folder).latest()
            said = re.search(r"the last checkpoint at step (\d+) is intact", message)
            assert said is not None or "there is no earlier checkpoint" in message
            assert (None if newest is None else newest.step) == (None if said is None else int(said[1]))
            if message.startswith("could not write") and not from_then_on and number > 3:
                leftovers = [path for path in folder.rglob("*") if path.name.startswith(".new-")]
                assert leftovers == []
        save(60, 2)(folder)
        assert found(folder) == digest((60, 2))
        assert_clean(folder)
        shutil.rmtree(folder)
        if message is None:
            assert number > 20 or from_then_on
            break


def test_a_full_disk_says_so_in_one_line_and_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(30)(tmp_path)
    before = {path: path.read_bytes() for path in all_files(tmp_path)}

    def full(operation: str, path: Path) -> None:
        if operation == "write" and path.name == "agent.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "hook", full)
    with pytest.raises(UserError) as failure:
        save(43)(tmp_path)
    assert str(failure.value) == (
        f"could not write checkpoint at step 43 to {tmp_path}: No space left on device; "
        "the last checkpoint at step 30 is intact"
    )
    assert {path: path.read_bytes() for path in all_files(tmp_path)} == before
    assert not list(tmp_path.glob(".new-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied; there is no earlier checkpoint"):
        save(1)(tmp_path / "checkpoints")


def test_an_interruption_removes_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(30)(tmp_path)
    before = all_files(tmp_path)

    def interrupt(operation: str, path: Path) -> None:
        if operation == "write" and path.name == "loop.json":
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "hook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(43)(tmp_path)
    assert all_files(tmp_path) == before


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_everything_is_synced_before_a_rename_shows_it_and_before_anything_is_removed(
    tmp_path: Path, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, action, _, _ = SCENARIOS[scenario]
    prepare(tmp_path, history)
    unsynced: set[Path] = set()

    def hook(operation: str, path: Path) -> None:
        if operation == "write":
            unsynced.update((path, path.parent))
        elif operation == "fsync":
            unsynced.discard(path)
        elif operation == "rename":
            written = {path} | {other for other in unsynced if other.is_relative_to(path)}
            assert not unsynced & written, f"{path} is renamed before {unsynced & written} are synced"
            unsynced.add(path.parent)
        elif operation == "unlink" and CHUNK_NAME.fullmatch(path.name):
            assert not unsynced, f"{path} is removed before {unsynced} are synced"

    monkeypatch.setattr(files, "hook", hook)
    action(tmp_path)
    assert np.all([path.name == "chunks" for path in unsynced])


@pytest.mark.parametrize("step", [9, 43])
def test_a_reader_changes_nothing(tmp_path: Path, step: int) -> None:
    prepare(tmp_path, [save(9), save(30), mark(9, 1.0)])
    in_child(kill_at(20), save(step, 1), tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(tmp_path.rglob("*"))}
    assert any(path.name.startswith(".new-") for path in before)
    store = make_store(tmp_path)
    store.latest()
    store.latest(resume=False)
    store.best()
    store.load(9).state(resume=False)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(tmp_path.rglob("*"))} == before

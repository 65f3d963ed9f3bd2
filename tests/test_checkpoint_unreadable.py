"""What can't be read for the moment may be whole: nothing of it is removed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoint_states import assert_same, fail, make_state, make_store

from tengen.checkpoint import CheckpointStore, DamagedCheckpointError
from tengen.checkpoint.files import UnreadableCheckpointError

Refuse = Callable[[str], None]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(params=[errno.EIO, errno.EMFILE, errno.EACCES, errno.ESTALE], ids=errno.errorcode.get)
def refuse(request: pytest.FixtureRequest) -> Iterator[Refuse]:
    """Return what makes each file with a text in its path unreadable, and "" all of them readable again."""
    real, refused = os.open, [""]

    def refusing(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if refused[0] and refused[0] in str(path) and not flags & os.O_CREAT:
            raise OSError(request.param, os.strerror(request.param), str(path))
        return real(path, flags, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refusing)
        yield lambda text: refused.__setitem__(0, text)


def saved(folder: Path, steps: range, **options: Any) -> tuple[CheckpointStore, list[str]]:
    warnings: list[str] = []
    store = make_store(folder, warn=warnings.append, **options)
    for step in steps:
        store.save(step, make_state(step), {})
    return store, warnings


def test_a_checkpoint_that_can_not_be_read_while_another_is_saved_stays_with_its_replay(
    tmp_path: Path, refuse: Refuse
) -> None:
    store, warnings = saved(tmp_path, range(10, 30, 10))
    refuse("step_000000020/manifest.json")
    store.save(30, make_state(30), {})
    (warning,) = warnings
    assert "step_000000020/manifest.json cannot be read" in warning
    refuse("")
    again = make_store(tmp_path, warn=fail)
    for step in (20, 30):
        assert_same(again.load(step).state(), make_state(step))
    store.save(40, make_state(40), {})
    assert store.steps() == [20, 30, 40]
    assert [store.load(step).resumable for step in store.steps()] == [False, True, True]
    named = {chunk.file_name for step in (30, 40) for chunk in store.load(step).manifest.chunks()}
    assert {path.name for path in (tmp_path / "chunks").iterdir()} == named, "what was kept is cleared later"


@pytest.mark.parametrize("name", ["manifest.json", "agent.safetensors"])
def test_a_checkpoint_that_could_not_be_read_at_the_start_is_not_removed_by_the_next_save(
    name: str, tmp_path: Path, refuse: Refuse
) -> None:
    store, warnings = saved(tmp_path, range(10, 30, 10))
    refuse(f"step_000000020/{name}")
    checkpoint = store.latest()
    assert checkpoint is not None
    assert checkpoint.step == 10
    assert warnings[0].endswith("using the checkpoint at step 10")
    refuse("")
    store.save(30, make_state(30), {})
    assert store.steps() == [10, 20, 30]
    assert_same(store.load(20).state(), make_state(20))
    assert store.load(10).resumable, "it counts among the newest two, for the one in doubt does not"


def test_no_checkpoint_is_removed_while_the_mark_of_the_best_can_not_be_read(tmp_path: Path, refuse: Refuse) -> None:
    store, warnings = saved(tmp_path, range(10, 40, 10), keep=0)
    assert store.steps() == [20, 30]
    store.mark_best(20, 1.5)
    refuse("best.json")
    for step in (40, 50):
        store.save(step, make_state(step), {})
    assert store.best_mark() is None
    assert all("best.json cannot be read" in warning for warning in warnings)
    assert warnings
    refuse("")
    store.save(60, make_state(60), {})
    assert store.steps() == [20, 50, 60]
    assert store.best_mark() == (20, 1.5)


def test_an_unreadable_file_is_told_from_a_damaged_one(tmp_path: Path, refuse: Refuse) -> None:
    store, _ = saved(tmp_path, range(10, 20, 10))
    refuse("agent.json")
    with pytest.raises(UnreadableCheckpointError, match="cannot be read"):
        store.load(10)
    refuse("")
    (tmp_path / "step_000000010" / "agent.json").unlink()
    with pytest.raises(DamagedCheckpointError, match="is missing") as failure:
        store.load(10)
    assert not isinstance(failure.value, UnreadableCheckpointError)

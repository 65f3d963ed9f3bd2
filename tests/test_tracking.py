from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tengen.config import RunConfig, TrackConfig
from tengen.contracts import Tracker
from tengen.errors import UserError
from tengen.tracking import TIME_KEYS, JsonlTracker, Progress, Trackers, make_trackers, read_metrics, without_times
from tengen.tracking.tensorboard_tracker import TensorBoardTracker
from tengen.types import Metrics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, steps: Iterable[int], resume_step: int | None = None) -> None:
    tracker = JsonlTracker(path, resume_step)
    for step in steps:
        tracker.write(step, {"losses/loss": step / 3})
    tracker.close()


def steps_in(path: Path) -> list[int]:
    return [row["global_step"] for row in read_metrics(path)]


def test_a_row_is_in_the_file_as_soon_as_it_is_written(path: Path) -> None:
    tracker = JsonlTracker(path)
    tracker.write(7, {"a": 1.5, "count": 3})
    assert path.read_text() == '{"global_step": 7, "a": 1.5, "count": 3}\n'
    tracker.write(7, {"a": 2.5})
    assert len(path.read_text().splitlines()) == 2
    tracker.close()


def test_values_may_be_numpy_scalars_or_tensors(path: Path) -> None:
    torch = pytest.importorskip("torch")
    tracker = JsonlTracker(path)
    tracker.write(1, {"a": np.float32(0.5), "b": np.int64(3), "c": torch.tensor(0.25), "d": True})
    tracker.close()
    assert path.read_text() == '{"global_step": 1, "a": 0.5, "b": 3, "c": 0.25, "d": 1}\n'


def test_nan_and_infinities_are_written_in_strict_json_and_read_back(path: Path) -> None:
    tracker = JsonlTracker(path)
    tracker.write(1, {"a": math.nan, "b": math.inf, "c": -math.inf})
    tracker.close()

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    strict = json.loads(path.read_text(), parse_constant=refuse)
    assert strict == {"global_step": 1, "a": "NaN", "b": "Infinity", "c": "-Infinity"}
    (row,) = read_metrics(path)
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (math.inf, -math.inf)


def test_on_resume_the_rows_after_the_checkpoint_are_cut_away(path: Path) -> None:
    write(path, range(10))
    before = path.read_text().splitlines()[:6]
    write(path, range(6, 8), resume_step=5)
    assert path.read_text().splitlines()[:6] == before
    assert steps_in(path) == list(range(8))


@pytest.mark.parametrize("torn", ['{"global_st', '{"global_step": 4, "losses/loss": 1.', "\x00\x00\x00", "\udcff"])
def test_a_torn_last_line_is_left_out_by_the_reader_and_dropped_on_resume(path: Path, torn: str) -> None:
    write(path, range(4))
    with path.open("ab") as file:
        file.write(torn.encode(errors="surrogateescape"))
    assert steps_in(path) == [0, 1, 2, 3]
    write(path, range(4, 6), resume_step=100)
    assert steps_in(path) == [0, 1, 2, 3, 4, 5]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_on_resume_rows_that_came_after_the_checkpoint_at_its_own_step_are_cut_away(path: Path) -> None:
    write(path, [1, 2, 2])
    tracker = JsonlTracker(path, resume_step=2, resume_rows=2)
    tracker.write(2, {"a": 1})
    tracker.close()
    assert steps_in(path) == [1, 2, 2]
    assert tracker.num_rows == 3


def test_lines_that_are_lost_on_resume_are_counted_in_one_warning(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(path, range(8))
    lines = path.read_text().splitlines()
    lines[1] = lines[2] = lines[6] = "{broken"  # the last of them is written again
    path.write_text("\n".join(lines))
    config = RunConfig(agent="random", agent_config={})
    make_trackers(path.parent, config, resume_step=4).close()
    assert steps_in(path) == [0, 3, 4]
    assert capsys.readouterr().err == f"warning: damaged lines of {path}, which are left out: 2\n"
    with path.open("a") as file:
        file.write('{"global_')  # a killed process may leave its last line unfinished
    make_trackers(path.parent, config, resume_step=4).close()
    assert capsys.readouterr().err == ""


def test_a_last_row_that_lacks_only_its_line_end_is_kept(path: Path) -> None:
    write(path, range(3))
    path.write_text(path.read_text().rstrip("\n"))
    write(path, range(3, 4), resume_step=2)
    assert steps_in(path) == [0, 1, 2, 3]


def test_a_resume_from_before_the_first_row_keeps_none_and_a_missing_file_is_a_new_one(path: Path) -> None:
    write(path, range(1, 4), resume_step=9)
    write(path, range(1, 3), resume_step=0)
    assert steps_in(path) == [1, 2]


def test_a_resume_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, range(5))
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        JsonlTracker(path, resume_step=2)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_damage_that_is_not_at_the_end_is_reported_with_its_line(path: Path) -> None:
    write(path, range(4))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{broken", *lines[2:]]) + "\n")
    with pytest.raises(UserError, match="line 2 of"):
        read_metrics(path)


def test_a_new_run_does_not_overwrite_the_metrics_of_another(path: Path) -> None:
    write(path, range(2))
    with pytest.raises(UserError, match="already holds the metrics of a run"):
        JsonlTracker(path)
    assert steps_in(path) == [0, 1]


def test_a_full_disk_is_one_clear_message() -> None:
    tracker = JsonlTracker("/dev/full", resume_step=None)
    with pytest.raises(UserError, match=r"can't write the metrics /dev/full: No space left on device"):
        tracker.write(1, {"a": 1.0})
    tracker.close()


def test_a_line_that_a_full_disk_took_half_of_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, range(3))
    tracker = JsonlTracker(path, resume_step=2)
    write_some, room = tracker._file.write, [10]

    def limited(data: Any) -> int | None:
        if not room:
            raise OSError(28, "No space left on device")
        return write_some(bytes(data)[: room.pop()])

    monkeypatch.setattr(tracker, "_file", _Wrapped(tracker._file, limited))
    with pytest.raises(UserError, match="No space left"):
        tracker.write(3, {"a": 1.0})
    assert path.read_bytes().endswith(b"}\n")
    assert steps_in(path) == [0, 1, 2]
    tracker.close()


class _Wrapped:
    def __init__(self, file: Any, write: Any) -> None:
        self.fileno, self.close, self.write = file.fileno, file.close, write


def test_an_unwritable_folder_and_a_missing_file_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't write the metrics"):
        JsonlTracker(tmp_path / "nowhere" / "metrics.jsonl")
    with pytest.raises(UserError, match="can't read the metrics"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_a_step_that_goes_down_is_our_own_mistake(path: Path) -> None:
    write(path, range(5))
    tracker = JsonlTracker(path, resume_step=3)
    with pytest.raises(AssertionError):
        tracker.write(2, {})
    tracker.close()


def test_rows_are_compared_without_what_depends_on_the_clock() -> None:
    row = {"global_step": 1, "losses/loss": 2.0} | dict.fromkeys(TIME_KEYS, 3.0)
    assert without_times(row) == {"global_step": 1, "losses/loss": 2.0}
    assert "charts/SPS" in TIME_KEYS


class _Mirror:
    """Remembers what it is given; fails at a step."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.videos: list[str] = []
        self.fails_at = fails_at
        self.closed = 0

    def write(self, step: int, metrics: Metrics) -> None:
        if step == self.fails_at:
            raise RuntimeError("boom\nwith details")
        self.rows.append((step, dict(metrics)))

    def log_video(self, step: int, path: str | os.PathLike[str]) -> None:
        if not Path(path).exists():
            raise FileNotFoundError(f"no {path}")
        self.videos.append(str(path))

    def close(self) -> None:
        self.closed += 1


def test_a_mirror_that_fails_is_dropped_with_one_warning_and_the_others_go_on(path: Path) -> None:
    warnings: list[str] = []
    bad, good = _Mirror(fails_at=2), _Mirror()
    trackers = Trackers(JsonlTracker(path), [bad, good], warnings.append)
    for step in range(5):
        trackers.write(step, {"a": 1})
    trackers.close()
    assert warnings == ["warning: _Mirror stopped (boom); training goes on, and metrics.jsonl has every row"]
    assert [step for step, _ in bad.rows] == [0, 1]
    assert [step for step, _ in good.rows] == steps_in(path) == [0, 1, 2, 3, 4]
    assert (bad.closed, good.closed) == (0, 1)


def test_an_error_of_the_truth_ends_the_run_before_any_mirror_has_the_row(tmp_path: Path) -> None:
    mirror = _Mirror()
    trackers = Trackers(JsonlTracker("/dev/full"), [mirror], print)
    with pytest.raises(UserError):
        trackers.write(1, {"a": 1})
    assert mirror.rows == []
    trackers.close()
    assert mirror.closed == 1


def test_a_value_on_its_device_is_fetched_once_for_all_trackers(path: Path) -> None:
    class Device:
        fetched = 0

        def __float__(self) -> float:
            self.fetched += 1
            return 0.5

    value = Device()
    mirrors = [_Mirror(), _Mirror()]
    trackers = Trackers(JsonlTracker(path), mirrors, print)
    trackers.write(1, {"a": value})
    trackers.close()
    assert value.fetched == 1
    assert [mirror.rows for mirror in mirrors] == [[(1, {"a": 0.5})]] * 2


def test_a_video_goes_to_those_that_take_videos_and_a_bad_one_drops_nobody(path: Path, tmp_path: Path) -> None:
    warnings: list[str] = []
    mirror = _Mirror()
    trackers = Trackers(JsonlTracker(path), [Progress(10, stream=io.StringIO()), mirror], warnings.append)
    video = tmp_path / "a.gif"
    video.touch()
    trackers.log_video(1, tmp_path / "missing.gif")
    trackers.log_video(1, video)
    trackers.write(1, {})
    trackers.close()
    assert mirror.videos == [str(video)]
    assert len(warnings) == 1
    assert mirror.rows == [(1, {})]


def make(folder: Path, **track: Any) -> Trackers:
    config = RunConfig(agent="random", agent_config={}, track=TrackConfig(**track))
    return make_trackers(folder, config)


def test_a_run_tracks_nothing_but_metrics_jsonl_unless_told(tmp_path: Path) -> None:
    trackers = make(tmp_path)
    trackers.write(1, {"a": 1.0})
    trackers.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_wandb_that_can_not_start_at_all_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    trackers = make(tmp_path, to="wandb", mode="offline")
    trackers.write(1, {"a": 1.0})
    trackers.close()
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1
    assert capsys.readouterr().err.count("warning: WandbTracker stopped") == 1


def test_everything_that_tracks_is_a_tracker(path: Path) -> None:
    truth = JsonlTracker(path)
    trackers = [truth, Trackers(truth, [], print), Progress(1)]
    assert all(isinstance(tracker, Tracker) for tracker in trackers)
    assert issubclass(TensorBoardTracker, Tracker)
    truth.close()


def test_importing_the_package_imports_no_heavy_library() -> None:
    heavy = ("wandb", "rich", "tensorboard", "torch")
    program = f"import sys, tengen.tracking; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

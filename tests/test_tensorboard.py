from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tengen.agents import RandomConfig
from tengen.config import RunConfig, TrackConfig
from tengen.envs import EnvConfig
from tengen.errors import UserError
from tengen.run import train
from tengen.tracking import make_trackers, read_metrics

PROGRAM = """
import sys
from tengen.tracking.tensorboard_tracker import TensorBoardTracker
tracker = TensorBoardTracker(sys.argv[1])
tracker.write(1, {"a": 1.0})
tracker.close()
sys.exit("torch" in sys.modules or "tensorflow" in sys.modules)
"""


def write(folder: Path, steps: range, resume_step: int | None = None) -> None:
    config = RunConfig(agent="random", agent_config={}, track=TrackConfig(to="tensorboard"))
    trackers = make_trackers(folder, config, resume_step=resume_step)
    for step in steps:
        trackers.write(step, {"losses/loss": step / 4} | ({"eval/return_mean": -step} if step % 3 == 0 else {}))
    trackers.close()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard itself would show."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def in_truth(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for row in read_metrics(folder / "metrics.jsonl"):
        for name in row.keys() - {"global_step"}:
            found.setdefault(name, []).append((row["global_step"], row[name]))
    return found


def test_tensorboard_shows_the_rows_of_metrics_jsonl(tmp_path: Path) -> None:
    write(tmp_path, range(8))
    assert scalars(tmp_path) == in_truth(tmp_path)
    assert len(in_truth(tmp_path)["losses/loss"]) == 8


def test_closing_waits_for_the_rows_that_its_thread_still_holds(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    write(tmp_path, range(8))
    assert set(threading.enumerate()) <= before, "the thread ends once all is written"


def test_after_a_resume_tensorboard_leaves_out_what_was_cut_away(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    write(tmp_path, range(6, 7), resume_step=5)  # 7 to 9 are not made again: were they still shown, it would be seen
    assert scalars(tmp_path) == in_truth(tmp_path)
    assert [step for step, _ in in_truth(tmp_path)["losses/loss"]] == list(range(7))


def test_it_needs_no_torch(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=False).returncode == 0


def test_without_tensorboard_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(UserError, match=r"pip install 'tengen\[tensorboard\]'"):
        write(tmp_path, range(1))


def test_without_tensorboard_a_run_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    config = RunConfig("random", RandomConfig(), EnvConfig("CartPole-v1"), steps=5, track=TrackConfig("tensorboard"))
    with pytest.raises(UserError, match="which is not installed"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("resume_step", [None, 5])
def test_a_tensorboard_that_can_not_write_costs_a_warning(
    resume_step: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    write(tmp_path, range(6, 8), resume_step)
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("warning: TensorBoardTracker stopped (")

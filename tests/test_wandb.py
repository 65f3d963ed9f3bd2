"""The real wandb client, in processes of its own: offline, and online against a stub on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from wandb_helpers import isolated, mirrored, truth
from wandb_stub import KEY, WandbStub

TRAINING = """
import json, math, os, signal, sys, time
from tengen.config import RunConfig, TrackConfig
from tengen.tracking import make_trackers

asked = json.loads(sys.argv[1])
from tengen.tracking import wandb_tracker
wandb_tracker.FINISH_TIMEOUT = asked["finish_timeout"]
config = RunConfig(agent="random", agent_config={"gamma": 0.99}, track=TrackConfig(to="wandb", **asked["track"]))
trackers = make_trackers(asked["folder"], config, resume_step=asked["resume_step"])
for i in range(*asked["rows"]):
    row = {"losses/loss": 1 / (i + 1), "charts/episodic_return": float(i), "charts/SPS": time.time(), "count": i}
    if i % 5 == 3:
        row = {"eval/return_mean": i / 3, "odd": [math.nan, math.inf, -math.inf][i % 3]}
    trackers.write(10 * i, row)
    if i == asked["kill_core_at"]:
        import subprocess
        ps = ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())]
        children = subprocess.run(ps, capture_output=True, text=True).stdout.splitlines()
        os.kill(next(int(line.split()[0]) for line in children if "wandb-core" in line), 9)
if asked["video"]:
    trackers.log_video(10 * i, asked["video"])
if asked["kill"]:
    time.sleep(asked["kill"])
    os.kill(os.getpid(), signal.SIGKILL)
trackers.close()
print("trained")
"""

Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server() -> Iterator[WandbStub]:
    with WandbStub() as stub:
        yield stub


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return isolated(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my run").mkdir()
    return tmp_path / "my run"


@pytest.fixture
def train(folder: Path, environment: dict[str, str]) -> Train:
    def run(
        first: int,
        last: int,
        *,
        server: WandbStub | None = None,
        resume_step: int | None = None,
        kill: float = 0,
        kill_core_at: int | None = None,
        video: str | None = None,
        finish_timeout: float = 30,
        env: dict[str, str] | None = None,
        **track: Any,
    ) -> subprocess.CompletedProcess[str]:
        asked = {"rows": [first, last], "kill": kill, "kill_core_at": kill_core_at, "video": video, "track": track}
        asked |= {"folder": str(folder), "resume_step": resume_step, "finish_timeout": finish_timeout}
        online = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY} if server else {}
        done = subprocess.run(
            [sys.executable, "-c", TRAINING, json.dumps(asked)],
            cwd=folder.parent,
            env=environment | online | (env or {}),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def wandb(*arguments: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "wandb", *arguments],
        cwd=environment["HOME"],  # where it leaves a folder of logs
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sync(server: WandbStub, folder: Path, environment: dict[str, str]) -> None:
    segments = sorted(str(path) for path in (folder / "wandb").glob("offline-run-*"))
    online = environment | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false"}
    wandb("sync", *segments, environment=online)


def offline_history(folder: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    rows = []
    for segment in sorted((folder / "wandb").glob("offline-run-*")):
        lines = wandb("leet", "inspect", "--json", str(segment), environment=environment).splitlines()
        records = [json.loads(line) for line in lines]
        rows += [record["history"]["item"] for record in records if record["type"] == "history"]
    return rows


def processes_with(mark: str) -> list[str]:
    """Return the command lines of other processes that have a text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TENGEN_TEST_MARK={mark}" in (process / "environ").read_text(errors="replace"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_an_offline_run_holds_the_rows_of_metrics_jsonl_and_says_how_to_sync_them(
    train: Train, folder: Path, environment: dict[str, str], server: WandbStub
) -> None:
    done = train(0, 12, server=server, mode="offline", project="go", tags=["x"])
    assert server.paths == [], "an offline run sends nothing to anyone"
    assert mirrored(offline_history(folder, environment)) == truth(folder)
    assert done.stdout == "trained\n"
    assert re.fullmatch(r"W&B is offline; upload later with: wandb sync '.*my run/wandb'/offline-run-\*\n", done.stderr)
    sync(server, folder, environment)
    (run,) = server.runs.values()
    assert mirrored(run.history) == truth(folder)


def test_an_online_run_arrives_with_its_rows_config_names_and_x_axis(
    train: Train, folder: Path, server: WandbStub, tmp_path: Path
) -> None:
    done = train(0, 12, server=server, project="go", entity="me", group="g", name="n", tags=["a", "b"])
    (run,) = server.runs.values()
    assert mirrored(run.history) == truth(folder)
    wanted = {"project": "go", "entity": "me", "groupName": "g", "displayName": "n", "tags": ["a", "b"]}
    assert {name: run.variables[name] for name in wanted} == wanted
    assert run.config["agent_config"] == {"gamma": 0.99}
    assert run.config["track"]["project"] == "go"
    metrics = json.loads(run.variables["config"])["_wandb"]["value"]["m"]  # 1: a name, 2: a glob, 5: its x-axis
    (all_metrics,) = [entry for entry in metrics if entry.get("2") == "*"]
    assert metrics[all_metrics["5"] - 1]["1"] == "global_step"
    assert run.complete
    assert run.exit_code == 0
    assert re.fullmatch(rf"W&B: {server.url}\S+\n", done.stderr)
    assert KEY not in done.stdout + done.stderr
    assert all(KEY not in path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert not [path for path in server.paths if "otel" in path]


def test_a_resumed_run_continues_the_same_run_and_stays_equal_to_metrics_jsonl(
    train: Train, folder: Path, server: WandbStub
) -> None:
    train(0, 9, server=server)
    train(6, 13, server=server, resume_step=50)  # from an older checkpoint: rows 6 to 8 are made again
    (run,) = server.runs.values()
    assert mirrored(run.history) == truth(folder)
    assert [row["global_step"] for row in truth(folder)] == [10 * i for i in range(13)]


def test_rows_that_a_killed_run_did_not_deliver_are_sent_when_it_is_resumed_and_no_process_is_left(
    train: Train, folder: Path, server: WandbStub
) -> None:
    mark = {"TENGEN_TEST_MARK": server.url}  # inherited by whatever a run starts
    train(0, 9, server=server, kill=0.01, env=mark)
    (run,) = server.runs.values()
    assert len(run.history) < 9
    train(9, 12, server=server, resume_step=80, env=mark)
    assert mirrored(run.history) == truth(folder)
    assert len(run.history) == 12
    for _ in range(100):
        if not (left := processes_with(server.url)):
            break
        time.sleep(0.1)
    assert left == []


@pytest.mark.slow
def test_a_killed_offline_run_and_its_resumption_can_be_synced(
    train: Train, folder: Path, environment: dict[str, str], server: WandbStub
) -> None:
    train(0, 9, mode="offline", kill=3)
    held = len(offline_history(folder, environment))
    assert 8 <= held <= 9  # the last row waits for the next one
    train(6, 12, mode="offline", resume_step=50)
    assert mirrored(offline_history(folder, environment)) == truth(folder)
    sync(server, folder, environment)
    (run,) = server.runs.values()
    assert mirrored(run.history) == truth(folder)


def test_without_a_key_the_run_goes_offline_and_says_how_to_sync(train: Train, folder: Path, server: WandbStub) -> None:
    done = train(0, 4, env={"WANDB_BASE_URL": server.url})
    assert "W&B is offline (no API key" in done.stderr
    assert "wandb sync '" in done.stderr
    assert server.paths == []
    assert len(truth(folder)) == 4
    assert len(list((folder / "wandb").glob("offline-run-*/*.wandb"))) == 1


def test_without_a_server_the_run_goes_offline_in_bounded_time_and_a_later_resume_online_brings_every_row(
    train: Train, folder: Path, environment: dict[str, str], server: WandbStub
) -> None:
    done = train(0, 5, env={"WANDB_API_KEY": KEY})
    assert "W&B is offline (" in done.stderr
    assert "wandb sync '" in done.stderr
    assert mirrored(offline_history(folder, environment)) == truth(folder)
    assert [path.name[:12] for path in (folder / "wandb").iterdir() if path.is_dir() and not path.is_symlink()] == [
        "offline-run-"
    ]
    train(5, 8, server=server, resume_step=40)
    (run,) = server.runs.values()
    assert mirrored(run.history) == truth(folder)
    assert not list((folder / "wandb").glob("offline-run-*"))  # else a sync would send the rows a second time


def test_a_wandb_that_dies_in_mid_run_costs_a_warning_and_no_row_of_the_truth(train: Train, folder: Path) -> None:
    done = train(0, 30, mode="offline", kill_core_at=4)
    assert done.stderr.count("warning: WandbTracker stopped") == 1
    assert len(truth(folder)) == 30


@pytest.mark.slow
def test_a_server_that_takes_no_rows_holds_up_the_end_for_a_bounded_time_and_the_rest_can_be_uploaded(
    train: Train, folder: Path, environment: dict[str, str], server: WandbStub
) -> None:
    server.takes_rows = False
    done = train(0, 6, server=server, finish_timeout=3)
    (run,) = server.runs.values()
    assert run.history == []
    assert len(truth(folder)) == 6
    (command,) = re.findall(r"did not take all rows in 3 s; upload the rest with: wandb (.*)", done.stderr)
    server.takes_rows = True
    online = environment | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false"}
    wandb(*shlex.split(command), environment=online)
    assert mirrored(run.history) == truth(folder)


@pytest.mark.slow
def test_a_server_that_never_answers_does_not_hold_up_the_training(train: Train, folder: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = train(0, 3, env={"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY})
    assert "W&B is offline (" in done.stderr
    assert len(truth(folder)) == 3


def test_disabled_writes_nothing_of_wandb(train: Train, folder: Path) -> None:
    train(0, 3, mode="disabled")
    assert len(truth(folder)) == 3
    assert not (folder / "wandb").exists()


def test_a_video_lies_beside_the_row_written_last(
    train: Train, folder: Path, server: WandbStub, tmp_path: Path
) -> None:
    from PIL import Image

    video = tmp_path / "episode.gif"
    frames = [Image.new("L", (8, 8), 40 * i) for i in range(4)]
    frames[0].save(video, save_all=True, append_images=frames[1:])
    train(0, 4, server=server, video=str(video))
    (run,) = server.runs.values()
    *_, last = run.history
    assert last["eval/video"]["_type"] == "video-file"
    assert run.files[last["eval/video"]["path"]] == video.read_bytes()
    del last["eval/video"]
    assert mirrored([*run.history[:-1], last]) == truth(folder)

"""Mirrors `metrics.jsonl` into Weights & Biases, online or offline, over any number of resumes.

A row of the file and a row of W&B's history are numbered alike: row i of `metrics.jsonl` is logged as W&B's internal
`_step` i. So what the mirror already holds says which rows are still to be sent: a resumed run sends those that a
killed process never delivered, and keeps quiet while it makes again rows that arrived (a resumed run repeats itself
exactly). Charts use `global_step` as their x-axis.

W&B's rules behind this: `_step` may not go down; what is logged with one `_step` is one row, stored when a higher one
comes or the run is finished; offline nothing is resumed, and each process writes a folder (a segment) of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tengen.config import TrackConfig
from tengen.tracking.jsonl import METRICS_FILE, read_metrics
from tengen.tracking.rows import STEP_KEY, plain
from tengen.types import Metrics

ID_FILE = "wandb.json"
"""In the run's folder: the id under which W&B knows the run."""

INIT_TIMEOUT = 15.0
"""Seconds to wait for the server before going offline, unless WANDB_INIT_TIMEOUT says otherwise."""

FINISH_TIMEOUT = 30.0
"""Seconds to wait for the last rows to be uploaded."""

Mode: TypeAlias = Literal["online", "offline", "disabled"]

_FLUSH_PERIOD = 1.0  # seconds of rows that a kill -9 may cost a local segment; wandb's default is 15


class WandbTracker:
    """A Tracker that logs to one W&B run, and goes offline by itself where it has no key or no network.

    The API key is wandb's business (its environment variable, netrc or login); it is neither read nor kept here.
    The usual environment variables work; WANDB_MODE turns an online run offline or off.

    Args:
        track: Project, entity, group, tags, name, mode.
        run_folder: Holds `metrics.jsonl`, already cut back to `resume_step`; W&B's files go under it as well.
        config: The run's settings.
        run_name: The display name where `track` has none.
        run_id: W&B's id of the run; by default the one saved in the folder, or a new one.
        resume_step: The step that the run goes on from, or None for a new run.
        message: Shows the user a line.

    Raises:
        Exception: wandb can't write even offline. Whatever it is, training can do without.
    """

    def __init__(
        self,
        track: TrackConfig,
        run_folder: str | os.PathLike[str],
        config: Mapping[str, Any],
        run_name: str | None = None,
        run_id: str | None = None,
        resume_step: int | None = None,
        message: Callable[[str], None] | None = None,
    ) -> None:
        # W&B's own error and usage reports; they would be sent even by an offline run.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._folder = Path(run_folder).absolute()
        self._message = message or _to_stderr
        self._id = _keep_id(self._folder, run_id)
        self.mode: Mode = _mode(track)
        self._run = self._start(track, config, run_name or self._folder.name)
        self._run.define_metric(STEP_KEY, hidden=True)
        self._run.define_metric("*", step_metric=STEP_KEY)
        self._row = 0  # the number of the next row of metrics.jsonl
        self._num_held = self._count_held() if resume_step is not None else 0
        if resume_step is not None and (metrics := self._folder / METRICS_FILE).exists():
            for row in read_metrics(metrics):
                self._send(row)
        if self.mode == "online":
            self._retire_offline_segments()

    def write(self, step: int, metrics: Metrics) -> None:
        """Log one row, unless W&B has it from before the resume."""
        self._send({STEP_KEY: step} | plain(metrics))

    def log_video(self, step: int, path: str | os.PathLike[str]) -> None:
        """Log a GIF or MP4 file as `eval/video`, beside the row that was written last."""
        import wandb

        index = max(self._row - 1, 0)
        if index < self._num_held - 1:
            return  # it arrived before the resume
        kind: Literal["gif", "mp4"] = "gif" if Path(path).suffix.lower() == ".gif" else "mp4"
        self._run.log({STEP_KEY: step, "eval/video": wandb.Video(os.fspath(path), format=kind)}, step=index)

    def log_extra(self, values: Mapping[str, Any]) -> None:
        """Log anything that W&B takes (tables, pictures, pages) beside the row that was written last."""
        self._run.log(dict(values), step=max(self._row - 1, 0))

    def close(self) -> None:
        """Finish the W&B run; waits for the last upload, but not for ever."""
        try:
            self._run.finish()
        except TimeoutError:
            synced = f"wandb sync --include-online {shlex.quote(self._run.settings.sync_dir)}"
            self._message(f"W&B did not take all rows in {FINISH_TIMEOUT:.0f} s; upload the rest with: {synced}")
        except Exception:
            _stop_service()  # as in `_send`
            raise

    @property
    def run_id(self) -> str:
        """W&B's id of the run."""
        return self._id

    def _send(self, row: Mapping[str, Any]) -> None:
        if self._row >= self._num_held:
            try:
                self._run.log(dict(row), step=self._row)
            except Exception:
                _stop_service()  # else wandb's own exit would fail with a traceback
                raise
        self._row += 1

    def _start(self, track: TrackConfig, config: Mapping[str, Any], run_name: str) -> Any:
        """Return a wandb run; where W&B can't be reached, fall back to offline and say how to sync."""
        if self.mode == "online":
            before = set(self._segments())
            try:
                _check_key()
                run = self._init(track, config, run_name)
            except Exception as error:  # wandb's errors have no common class, and training goes on after any
                self.mode = "offline"
                _stop_service()  # which goes on trying, and holds the run's id until it is stopped
                for segment in set(self._segments()) - before:  # the attempt's own, which holds nothing
                    shutil.rmtree(segment, ignore_errors=True)
                self._message(f"W&B is offline ({_brief(error)}); upload later with: {self.sync_command}")
            else:
                self._message(f"W&B: {run.url}")
                return run
        elif self.mode == "offline":
            self._message(f"W&B is offline; upload later with: {self.sync_command}")
        return self._init(track, config, run_name)

    def _init(self, track: TrackConfig, config: Mapping[str, Any], run_name: str) -> Any:
        import wandb

        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            save_code=False,
            x_save_requirements=False,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_transaction_log_flush_interval=_FLUSH_PERIOD,
            init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_TIMEOUT)),
            finish_timeout=FINISH_TIMEOUT,
            finish_timeout_raises=True,
        )
        return wandb.init(
            project=track.project,
            entity=track.entity,
            group=track.group,
            job_type=track.job_type,
            name=track.name or run_name,
            tags=list(track.tags) or None,
            config=dict(config),
            id=self._id,
            dir=self._folder,
            mode=self.mode,
            resume="allow",
            reinit="create_new",
            allow_val_change=True,
            settings=settings,
        )

    @property
    def sync_command(self) -> str:
        """The command that uploads what was written offline, all segments in their order."""
        return f"wandb sync {shlex.quote(str(self._folder / 'wandb'))}/offline-run-*"

    def _segments(self, pattern: str = "*run-*") -> list[Path]:
        """Return the folders that processes of this run wrote, oldest first."""
        return sorted(path for path in (self._folder / "wandb").glob(f"{pattern}-{self._id}*") if path.is_dir())

    def _count_held(self) -> int:
        """Return how many rows of metrics W&B holds: it says so itself online, else the local segments do."""
        if self.mode == "online":
            return int(self._run.step)
        if self.mode == "disabled":
            return 0
        current = Path(self._run.settings.sync_dir)
        return 1 + max((_last_step(segment) for segment in self._segments() if segment != current), default=-1)

    def _retire_offline_segments(self) -> None:
        """Rename offline segments once their rows have gone online another way, so that no one syncs them twice."""
        for segment in self._segments("offline-run-*"):
            with contextlib.suppress(OSError):
                segment.rename(segment.with_name("uploaded-" + segment.name))


def _mode(track: TrackConfig) -> Mode:
    asked = os.environ.get("WANDB_MODE")
    if track.mode == "online" and asked in ("offline", "disabled"):
        return "offline" if asked == "offline" else "disabled"
    return track.mode


def _check_key() -> None:
    """Raise unless wandb finds a key without asking for one at the terminal."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    if not wandb.login(prompt=False, verify=False):
        raise RuntimeError("no API key: run `wandb login`, or set WANDB_API_KEY")


def _stop_service() -> None:
    """Stop wandb's background process, whatever state it is in; a later `wandb.init` starts another."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def saved_id(folder: Path) -> str | None:
    """Return the id under which W&B knows the run of a folder; None where it was never logged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / ID_FILE).read_text())["id"])
    return None


def why_unreachable(track: TrackConfig) -> str | None:
    """Return why W&B's server can't be asked for anything now, or None where it can."""
    if _mode(track) != "online":
        return "W&B is offline"
    try:
        _check_key()
        _check_server()
    except Exception as error:  # wandb's errors have no common class
        return _brief(error)
    return None


def _check_server() -> None:
    """Raise unless something answers where W&B's server should be; wandb itself would go on trying for long."""
    import urllib.error
    import urllib.request

    import wandb

    with contextlib.suppress(urllib.error.HTTPError):  # an answer, too
        urllib.request.urlopen(wandb.setup().settings.base_url, timeout=INIT_TIMEOUT).close()


def _keep_id(folder: Path, run_id: str | None) -> str:
    path = folder / ID_FILE
    saved = saved_id(folder)
    if saved is not None and run_id in (None, saved):
        return saved
    run_id = run_id or secrets.token_hex(4)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps({"id": run_id}) + "\n")
    os.replace(temporary, path)
    return run_id


def _last_step(segment: Path) -> int:
    """Return the greatest `_step` in a local segment, or -1; read by wandb's own tool, for the format is its own."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(segment)]
    found = subprocess.run(
        command,
        cwd=segment.parent.parent,  # the tool leaves logs in the `wandb` folder of wherever it is started
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    try:
        return int(json.loads(found.stdout)["summary"]["_step"])
    except (ValueError, KeyError, TypeError):  # a segment without a row
        return -1


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

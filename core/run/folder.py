"""The folder of a run: its settings, its history of sessions, and where everything else lies.

config.json      the resolved RunConfig
sessions.json    for each start and resume: command line, versions, time, protocol, the step it began at
metrics.jsonl    every row of metrics
checkpoints/     see tengen.checkpoint
summary.json     what came out, written when a session ends
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tengen.checkpoint import Checkpoint, CheckpointStore, write_json
from tengen.config import RunConfig, run_config_from_dict
from tengen.errors import UserError
from tengen.typed import finite
from tengen.types import State

_NUMERICAL = ("numpy", "torch", "gymnasium", "ale-py", "numba", "scipy", "stable-baselines3", "sb3-contrib")


@cache
def versions() -> Mapping[str, str]:
    """Return the versions that a run's numbers depend on; not to be modified."""
    found = {"python": sys.version.split()[0]}
    for package in ("tengen", *_NUMERICAL):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Run:
    """A run's folder and its settings."""

    folder: Path
    config: RunConfig

    @cached_property
    def store(self) -> CheckpointStore:
        """The run's checkpoints."""
        return CheckpointStore(self.folder / "checkpoints")

    @property
    def metrics_path(self) -> Path:
        """Where the rows of metrics are."""
        return self.folder / "metrics.jsonl"

    def sessions(self) -> list[dict[str, Any]]:
        """Return the sessions so far, oldest first; UserError where their file is damaged."""
        return read_sessions(self.folder)

    def add_session(self, command: Sequence[str], step: int, protocol: Any = None) -> None:
        """Note that a session began at a step, and each knob of the environment's protocol where it has one."""
        add_session(self.folder, command, step, {} if protocol is None else {"protocol": dataclasses.asdict(protocol)})

    def state_of(self, saved: Checkpoint, resume: bool = True) -> dict[str, State]:
        """Return the state of one of the run's checkpoints, as `Checkpoint.state` does.

        Raises:
            UserError: It holds another number of repetitions than the settings say.
        """
        state = saved.state(resume)
        recorder = state["loop"]["recorder"]
        held = len(recorder["runs"]) if "runs" in recorder else 1
        if held != self.config.num_runs:
            raise UserError(
                f"{self.folder / 'config.json'} has num_runs {self.config.num_runs}, but the checkpoint at step"
                f" {saved.step} holds {held}: set it back"
            )
        return state

    def save_config(self) -> None:
        """Write the settings."""
        write_json(self.folder / "config.json", {"format": 1, **self.config.to_dict()})

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write what came out."""
        write_json(self.folder / "summary.json", finite(summary))


def read_sessions(folder: Path) -> list[dict[str, Any]]:
    """Return the sessions of the run in a folder, oldest first.

    Raises:
        UserError: Their file is damaged.
    """
    path = folder / "sessions.json"
    sessions = _read_json(path) if path.exists() else []
    if not isinstance(sessions, list) or not all(isinstance(session, dict) for session in sessions):
        raise UserError(f"{path} is damaged, it holds no list of sessions: remove it to go on without their history")
    return sessions


def add_session(folder: Path, command: Sequence[str], step: int, more: Mapping[str, Any] | None = None) -> None:
    """Note that a session of the run in a folder began at a step, and more about it."""
    session = {
        "command": list(command),
        "versions": dict(versions()),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_step": step,
        **(more or {}),
    }
    write_json(folder / "sessions.json", [*read_sessions(folder), session])


def make_folder(folder: Path) -> None:
    """Make the folder of a new run.

    Raises:
        UserError: It can't be made, or holds something already.
    """
    refuse_occupied(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def refuse_occupied(folder: Path) -> None:
    """Raise UserError where a folder holds anything but what a start that was killed has left behind."""
    if not folder.exists():
        return
    if folder.is_dir() and all(path.name == "lock" or path.name.startswith(".new-") for path in folder.iterdir()):
        return
    if (folder / "config.json").exists():
        raise UserError(f"{folder} holds another run: choose another --run-dir, or go on with it by --resume {folder}")
    raise UserError(f"{folder} holds other files: choose another --run-dir")


def create_run(folder: Path, config: RunConfig) -> Run:
    """Write the settings of a new run into its folder, which this process has locked.

    Raises:
        UserError: The folder can't be written, or holds something already.
    """
    refuse_occupied(folder)
    run = Run(folder, config)
    try:
        run.save_config()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return run


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"the run folder {folder} can't be written: {error.strerror}; choose another --run-dir")


def open_run(folder: Path) -> Run:
    """Open the folder of an existing run.

    Raises:
        UserError: There is no run, or its settings are damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a run: it has no config.json")
    if is_fit(folder):
        raise UserError(
            f"{folder} is a run of `tengen perceive fit`, not of `tengen train`: test it by `tengen perceive evaluate`,"
            " play with it by `tengen gtp --network`, go on with it by `tengen perceive fit --resume`"
        )
    values = _read_json(path)
    if not isinstance(values, dict) or values.pop("format", None) != 1:
        raise UserError(f"{path} is not a run's settings in a format that this version reads (format 1)")
    return Run(folder, run_config_from_dict(values))


def is_fit(folder: Path) -> bool:
    """Return whether a folder is a run of `tengen perceive fit`; damaged ones are for others to report."""
    try:
        values = _read_json(folder / "config.json")
    except UserError:
        return False
    return isinstance(values, dict) and "task" in values and "agent" not in values


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error

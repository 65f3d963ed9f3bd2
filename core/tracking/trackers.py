"""One tracker that writes to all of a run's trackers: the truth first, then its mirrors."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tengen.contracts import Tracker
from tengen.errors import diverged
from tengen.tracking.jsonl import METRICS_FILE, JsonlTracker
from tengen.tracking.progress import Progress
from tengen.tracking.rows import plain
from tengen.tracking.tensorboard_tracker import TensorBoardTracker, require_tensorboard
from tengen.types import Metrics

if TYPE_CHECKING:
    from tengen.config import RunConfig, TrackConfig


@runtime_checkable
class VideoTracker(Protocol):
    """A Tracker that takes videos too."""

    def log_video(self, step: int, path: str | os.PathLike[str]) -> None:
        """Record a GIF or MP4 file at a global step."""
        ...


class Trackers:
    """A Tracker that fans out.

    An error of the truth ends the run. A mirror that fails is left out from then on, with one warning: nothing that
    only watches may end the training.

    Args:
        truth: `metrics.jsonl`.
        mirrors: Everything else.
        warn: Shows the user a line.
    """

    def __init__(self, truth: JsonlTracker, mirrors: Sequence[Tracker], warn: Callable[[str], None]) -> None:
        self._truth = truth
        self._mirrors = list(mirrors)
        self._warn = warn

    @property
    def num_rows(self) -> int:
        """Rows in `metrics.jsonl`."""
        return self._truth.num_rows

    def write(self, step: int, metrics: Metrics) -> None:
        """Write a row everywhere.

        Raises:
            UserError: `metrics.jsonl` can't be written; or a loss is not finite, which ends the run.
        """
        values = plain(metrics)  # once: a value may still be on its device
        self._truth.write(step, values)
        self._each(lambda mirror: mirror.write(step, values))
        for name, value in values.items():
            if name.startswith("losses/") and not math.isfinite(value):
                raise diverged(f"{name} is {value} at step {step}")

    def log_video(self, step: int, path: str | os.PathLike[str]) -> None:
        """Give a GIF or MP4 file to the trackers that take videos. One that can't take it goes on with its rows."""
        for mirror in self._mirrors:
            if isinstance(mirror, VideoTracker):
                try:
                    mirror.log_video(step, path)
                except Exception as error:  # as for rows
                    self._warn(f"warning: the video {os.fspath(path)} was not logged ({_brief(error)})")

    def sync(self) -> None:
        """Return when the rows written so far would survive a loss of power.

        Raises:
            UserError: The disk refuses.
        """
        self._truth.sync()

    def close(self) -> None:
        """Close everything."""
        self._truth.close()
        self._each(lambda mirror: mirror.close())

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for mirror in list(self._mirrors):
            try:
                act(mirror)
            except Exception as error:  # a mirror's library may raise anything
                self._mirrors.remove(mirror)
                self._warn(_stopped(type(mirror).__name__, error))


def require_mirror(track: TrackConfig) -> None:
    """Raise UserError where the mirror that is asked for can't be had."""
    if track.to == "tensorboard":
        require_tensorboard()


def make_trackers(
    run_folder: str | os.PathLike[str],
    config: RunConfig,
    *,
    resume_step: int | None = None,
    resume_rows: int | None = None,
    progress: Progress | None = None,
) -> Trackers:
    """Make what a run's config asks for: always `metrics.jsonl`, and the mirror that `config.track` names.

    Args:
        run_folder: The run's folder.
        config: The run's settings.
        resume_step: The step that the run goes on from, or None for a new run.
        resume_rows: How many rows were written before that (`Trackers.num_rows`), where the run knows.
        progress: The display, which is given every row and shows the warnings; without it they go to standard error.

    Raises:
        UserError: `metrics.jsonl` can't be written, or TensorBoard is asked for and not installed.
    """
    folder, track = Path(run_folder), config.track
    require_mirror(track)  # before anything is cut away
    show = progress.message if progress is not None else _to_stderr
    truth = JsonlTracker(folder / METRICS_FILE, resume_step, resume_rows)
    if truth.num_damaged:
        show(f"warning: damaged lines of {folder / METRICS_FILE}, which are left out: {truth.num_damaged}")
    mirrors: list[Tracker] = [] if progress is None else [progress]
    try:
        if track.to == "tensorboard":
            mirrors.append(TensorBoardTracker(folder, resume_step))
        elif track.to == "wandb":
            from tengen.tracking.wandb_tracker import WandbTracker

            mirrors.append(WandbTracker(track, folder, config.to_dict(), resume_step=resume_step, message=show))
    except Exception as error:  # a mirror's library may raise anything
        show(_stopped({"tensorboard": "TensorBoardTracker", "wandb": "WandbTracker"}[track.to], error))
    return Trackers(truth, mirrors, show)


def _stopped(name: str, error: Exception) -> str:
    return f"warning: {name} stopped ({_brief(error)}); training goes on, and {METRICS_FILE} has every row"


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

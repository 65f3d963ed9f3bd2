"""Mirrors metrics into TensorBoard event files, with TensorBoard's own writer (no torch, no TensorFlow)."""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path

from tengen.errors import UserError
from tengen.tracking.rows import plain
from tengen.types import Metrics

FOLDER = "tensorboard"
"""In the run's folder: what to give to `tensorboard --logdir`."""


def require_tensorboard() -> None:
    """Raise UserError, which says how to install it, where TensorBoard is missing."""
    try:
        importlib.import_module("tensorboard.summary.writer.event_file_writer")
    except ImportError as error:
        raise UserError(
            "--track tensorboard needs TensorBoard, which is not installed: pip install 'tengen[tensorboard]'"
        ) from error


class TensorBoardTracker:
    """A Tracker that writes one event file a process.

    Args:
        run_folder: The event files go into its folder `tensorboard`.
        resume_step: The step that the run goes on from: TensorBoard then leaves out what an earlier process wrote
            after it. None for a new run.

    Raises:
        ImportError: TensorBoard isn't installed.
        OSError: It can't write.
    """

    def __init__(self, run_folder: str | os.PathLike[str], resume_step: int | None = None) -> None:
        # TensorBoard ships no types.
        from tensorboard.compat.proto import event_pb2, summary_pb2  # type: ignore[import-untyped]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]

        self._event = event_pb2.Event
        self._summary = summary_pb2.Summary
        self._writer = EventFileWriter(str(Path(run_folder) / FOLDER), flush_secs=10)
        if resume_step is not None:
            restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            # A reader drops all that it has read of this step and later ones.
            self._writer.add_event(event_pb2.Event(wall_time=time.time(), step=resume_step + 1, session_log=restart))

    def write(self, step: int, metrics: Metrics) -> None:
        """Write each metric as a scalar."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in plain(metrics).items()]
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))

    def close(self) -> None:
        """Write what is still buffered."""
        self._writer.close()

"""Where a run's metrics go: `metrics.jsonl` is the truth, W&B and TensorBoard mirror it, a bar shows it.

Importing this package imports none of wandb, tensorboard, rich and torch.
"""

from __future__ import annotations

from tengen.tracking.jsonl import METRICS_FILE, JsonlTracker, read_metrics
from tengen.tracking.progress import Progress
from tengen.tracking.rows import STEP_KEY, TIME_KEYS, without_times
from tengen.tracking.trackers import Trackers, VideoTracker, make_trackers, require_mirror

__all__ = [
    "METRICS_FILE",
    "STEP_KEY",
    "TIME_KEYS",
    "JsonlTracker",
    "Progress",
    "Trackers",
    "VideoTracker",
    "make_trackers",
    "read_metrics",
    "require_mirror",
    "without_times",
]

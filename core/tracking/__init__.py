"""Where a run's metrics go: `metrics.jsonl` is the truth, W&B and TensorBoard mirror it, a bar shows it.

Importing this package imports none of wandb, tensorboard, rich and torch.
"""

from __future__ import annotations

from tengen.tracking.jsonl import JsonlTracker, read_metrics
from tengen.tracking.progress import Progress
from tengen.tracking.rows import STEP_KEY, TIME_KEYS, without_times

__all__ = ["STEP_KEY", "TIME_KEYS", "JsonlTracker", "Progress", "read_metrics", "without_times"]

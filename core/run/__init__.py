"""A run: a folder that can always go on."""

from __future__ import annotations

from tengen.run.folder import Run, open_run
from tengen.run.policy import LoadedPolicy, load_policy
from tengen.run.trainer import RunResult, resume, train

__all__ = ["LoadedPolicy", "Run", "RunResult", "load_policy", "open_run", "resume", "train"]

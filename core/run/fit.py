"""Fits a network to examples: a run's folder, checkpoints, metrics and signals around `tengen.perception.supervised`.

The folder is that of any run (see `tengen.run.folder`), only that `config.json` holds a `FitConfig`. A step is an
update.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from tengen.checkpoint import CheckpointStore, RunLock, write_json
from tengen.config import RunConfig, TrackConfig
from tengen.errors import UserError, did_you_mean
from tengen.perception.tasks import TASKS, resolve_task
from tengen.run.assembly import compute_deterministically
from tengen.run.folder import add_session, make_folder, read_sessions, refuse_occupied, versions
from tengen.run.recorder import crossed
from tengen.run.signals import StopSignals
from tengen.tracking import Progress, make_trackers, require_mirror
from tengen.typed import build, check_values, finite
from tengen.types import Metrics

_FORMAT = 1


@dataclass(frozen=True)
class FitConfig:
    """All that a fit is."""

    task: str
    """The task's name."""
    task_config: Any
    """The task's config dataclass."""
    fitting: Any
    """How the network is fitted, see `tengen.perception.supervised.Fitting`."""
    steps: int = 20_000
    """Updates."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or cuda:N; auto takes cuda where there is one."""
    threads: int = 0
    """Threads of torch on the CPU, a part of the run since sums differ between thread counts; 0 takes up to 4."""
    checkpoint_period: int = 1_000
    """Updates between checkpoints; 0 only at the end."""
    eval_period: int = 1_000
    """Updates between evaluations on examples kept aside; 0 for none."""
    eval_examples: int = 4_096
    """Examples of such an evaluation."""
    log_period: int = 100
    """Updates between rows of metrics."""
    track: TrackConfig = field(default_factory=TrackConfig)
    """Mirrors of the metrics."""

    def __post_init__(self) -> None:
        for name in ("steps", "eval_examples", "log_period"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        for name in ("checkpoint_period", "eval_period", "seed", "threads"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class FitResult:
    """How a session ended."""

    folder: Path
    step: int
    finished: bool
    signal: int | None
    summary: dict[str, Any]


def make_fit_config(values: Mapping[str, Any], where: str) -> FitConfig:
    """Return the settings that `FitConfig.to_dict` gave, also after a trip through JSON.

    Raises:
        UserError: A setting is unknown, of the wrong type, or out of its range.
    """
    from tengen.perception.supervised import Fitting

    task = values.get("task")
    if task not in TASKS:
        raise UserError(f"{where}: no task is called {task!r}.{did_you_mean(str(task), list(TASKS))}")
    checked = check_values(FitConfig, values, where)
    for name, kind in (("task_config", resolve_task(str(task))), ("fitting", Fitting)):
        checked[name] = build(kind, check_values(kind, checked.get(name, {}), where, f"{name}."))
    return build(FitConfig, checked)


def open_fit(folder: Path) -> FitConfig:
    """Return the settings of an existing fit.

    Raises:
        UserError: There is none, or its settings are damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a run: it has no config.json")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    if not isinstance(values, dict) or "task" not in values:
        raise UserError(f"{folder} is not a run of `tengen perceive fit`")
    if values.pop("format", None) != _FORMAT:
        raise UserError(f"{path} is not a fit's settings in a format that this version reads (format {_FORMAT})")
    return make_fit_config(values, str(path))


def fit(config: FitConfig, folder: Path, *, command: Sequence[str] = ()) -> FitResult:
    """Start a new fit in a folder of its own.

    Raises:
        UserError: A setting, the data or the folder won't do.
    """
    refuse_occupied(folder)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(contextlib.closing(Progress(config.steps)))
        learner = _learner(config, progress)
        require_mirror(config.track)
        make_folder(folder)
        stack.enter_context(RunLock(folder / "lock"))
        _save_config(folder, config)
        return _Session(config, folder, learner, progress, 0, None, command).go()


def resume_fit(
    folder: Path,
    *,
    steps: int | None = None,
    device: str | None = None,
    track: TrackConfig | None = None,
    command: Sequence[str] = (),
) -> FitResult:
    """Go on with a fit from its latest checkpoint, exactly as if it had never stopped.

    Args:
        folder: The run's folder.
        steps: A new total number of updates. The step size goes by it, so that the past would have been another.
        device: Another device than the run's; the numbers then differ.
        track: Another mirror of the metrics than the run's.
        command: The command line, for the record.

    Raises:
        UserError: There is no such run, another process is at it, or `steps` is behind it.
    """
    config = open_fit(folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(RunLock(folder / "lock"))
        saved = CheckpointStore(folder / "checkpoints").latest()
        done = 0 if saved is None else saved.step
        if steps is not None and steps < done:
            raise UserError(f"{folder} is at step {done} already: --steps must be larger, got {steps}")
        config = dataclasses.replace(
            config, steps=steps or config.steps, device=device or config.device, track=track or config.track
        )
        progress = stack.enter_context(contextlib.closing(Progress(config.steps, done)))
        learner = _learner(config, progress)
        loop = _Loop()
        if saved is not None:
            _require_same_examples(folder, saved.meta.get("examples"), learner.task.digest())
            state = saved.state()
            learner.load_state_dict(state["learner"])
            loop = _Loop.of(state["loop"])
            progress.message(f"going on from step {done} of {folder}")
        return _Session(config, folder, learner, progress, done, loop, command).go()


def _learner(config: FitConfig, progress: Progress) -> Any:
    import torch

    from tengen.perception.supervised import Learner

    if config.device.startswith("cuda"):
        compute_deterministically()
    torch.set_num_threads(config.threads)
    task = config.task_config.build(progress.message)
    rng = np.random.default_rng(np.random.SeedSequence(config.seed))
    return Learner(task, config.fitting, config.steps, rng, config.device)


def _require_same_examples(folder: Path, then: str | None, now: str) -> None:
    """Refuse to go on with other examples than before: it would be neither the same run nor a new one."""
    if then is not None and then != now:
        raise UserError(
            f"the examples of {folder} are no longer those that it learnt from: bring them back, with the version of"
            " Tengen that read them, or start a new run"
        )


def _save_config(folder: Path, config: FitConfig) -> None:
    try:
        write_json(folder / "config.json", {"format": _FORMAT, **config.to_dict()})
    except OSError as error:
        raise UserError(f"the run folder {folder} can't be written: {error.strerror}") from error


@dataclass
class _Loop:
    """What the loop remembers: sums of metrics since the last row, over how many updates, and the last evaluation."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    last_eval: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, state: dict[str, Any]) -> _Loop:
        """Return the loop of a checkpoint; older ones have one count for all sums."""
        counts = state.get("counts") or dict.fromkeys(state["sums"], state.get("count", 0))
        return cls(state["sums"], counts, state["last_eval"])

    def add(self, metrics: Metrics) -> None:
        """Count an update's metrics."""
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
            self.counts[name] = self.counts.get(name, 0) + 1

    def row(self) -> dict[str, float]:
        """Return the means since the last row, and begin another."""
        means = {f"losses/{name}": total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class _Session:
    """One stretch of fitting, from a start or a checkpoint to the end or an interruption."""

    def __init__(
        self,
        config: FitConfig,
        folder: Path,
        learner: Any,
        progress: Progress,
        start: int,
        loop: _Loop | None,
        command: Sequence[str],
    ) -> None:
        self.config, self.folder, self.learner, self.progress, self.start = config, folder, learner, progress, start
        self.loop = loop or _Loop()
        self.store = CheckpointStore(folder / "checkpoints")
        self.signals = StopSignals()
        read_sessions(folder)  # refuses a damaged file before anything is written
        resume_step = None if loop is None else start
        self.trackers = make_trackers(folder, cast(RunConfig, config), resume_step=resume_step, progress=progress)
        if loop is not None:
            _save_config(folder, config)
        add_session(folder, command, start)

    def go(self) -> FitResult:
        """Fit until the end or a signal; either way it ends with a checkpoint."""
        config, learner = self.config, self.learner
        saved_at = self.start
        began, step_then = time.monotonic(), self.start
        with contextlib.closing(self.trackers), self.signals:
            while learner.num_updates < config.steps and self.signals.received is None:
                self.loop.add(learner.update())
                step = learner.num_updates
                if step % config.log_period == 0:
                    now = time.monotonic()
                    speed = (step - step_then) / (now - began)
                    began, step_then = now, step
                    self.trackers.write(step, self.loop.row() | {"charts/SPS": speed, **self._rate(step)})
                if crossed(step, 1, config.eval_period):
                    self._evaluate(step)
                if crossed(step, 1, config.checkpoint_period):
                    self._save(step)
                    saved_at = step
            if learner.num_updates != saved_at:
                self._save(learner.num_updates)
            return self._finish()

    def _rate(self, step: int) -> dict[str, float]:
        fitting = self.config.fitting
        return {"charts/learning_rate": fitting.learning_rate * fitting.step_size(step, self.config.steps)}

    def _evaluate(self, step: int) -> None:
        began = time.monotonic()
        found = self.loop.last_eval = self.learner.evaluate(self.config.eval_examples)
        if not found:  # the task has said in the beginning that it keeps nothing aside
            return
        self.trackers.write(step, {f"eval/{name}": value for name, value in found.items()})
        shown = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        self.progress.message(f"step {step}: {shown} ({time.monotonic() - began:.0f} s)")

    def _save(self, step: int) -> None:
        self.trackers.sync()
        components = {"learner": self.learner.state_dict(), "loop": dataclasses.asdict(self.loop)}
        about = {
            "versions": dict(versions()),
            "threads": self.config.threads,
            "examples": self.learner.task.digest(),
        }
        self.store.save(step, components, about)

    def _finish(self) -> FitResult:
        step = self.learner.num_updates
        summary = {"task": self.config.task, "step": step, "steps": self.config.steps, "last_eval": self.loop.last_eval}
        write_json(self.folder / "summary.json", finite(summary))
        return FitResult(self.folder, step, step >= self.config.steps, self.signals.received, summary)

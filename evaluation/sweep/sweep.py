"""Looks for good settings: many short runs, whose settings Optuna chooses by how the ones before did.

Everything is in one folder: Optuna's journal, which several processes may write to, and each trial's run. A trial is a
`tengen train` in a process of its own; its evaluations are reported as they come, and a trial that does worse than
most at the same step is stopped. A trial that was interrupted is resumed. Read `Sweep.run` first.
"""

from __future__ import annotations

import csv
import io
import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tengen.checkpoint import RunLock, write_json
from tengen.checkpoint.files import replace
from tengen.errors import UserError
from tengen.evaluation.comparison.finished import SCORE
from tengen.evaluation.jobs.runner import Display, Job, failure_of, last_step, start_job, state_of
from tengen.evaluation.sweep.preset_file import preset_text
from tengen.evaluation.sweep.search_space import Field
from tengen.run.signals import StopSignals
from tengen.tracking.jsonl import METRICS_FILE, read_metrics
from tengen.tracking.rows import STEP_KEY

if TYPE_CHECKING:
    import subprocess

    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from tengen.evaluation.sweep.journal import Pruner

_POLL_PERIOD = 0.5  # seconds
_PATIENCE = 1.0  # seconds
_LAST_PART = 0.25  # of the evaluations, whose mean a trial is judged by

MakeJob = Callable[[int, Mapping[str, str], Path], Job]
"""Makes a trial's job from its number, its fields' values and its folder."""


@dataclass
class _Running:
    trial: Trial
    job: Job
    lock: RunLock
    process: subprocess.Popen[bytes]
    reported: set[int]
    pruned: bool = False
    asked_to_stop: bool = False

    def stop(self) -> None:
        """Ask it to save itself and end; once, since a second time means at once."""
        if not self.asked_to_stop:
            self.asked_to_stop = True
            self.process.send_signal(signal.SIGTERM)


class Sweep:
    """A search in a folder.

    Args:
        folder: Its own; made if it is missing.
        fields: What is chosen.
        make_job: Makes a trial's job.
        settings: What else the search is of, `steps` among it, to refuse another one in the same folder.
        pruner: median stops trials that are worse than most.
        seed: Of Optuna's choices.

    Raises:
        UserError: Optuna is missing, or the folder holds another search.
    """

    def __init__(
        self,
        folder: Path,
        fields: Sequence[Field],
        make_job: MakeJob,
        settings: Mapping[str, Any],
        *,
        pruner: Pruner = "median",
        seed: int = 0,
    ) -> None:
        self.folder = folder
        self._fields = fields
        self._make_job = make_job
        self._steps = int(settings["steps"])
        _claim(folder, {**settings, "fields": [str(field) for field in fields]})
        self._seed = seed
        self._study = _open_study(folder, pruner)

    def run(self, num_trials: int, display: Display, *, num_parallel: int) -> int | None:
        """Have a number of trials done, those from before included; return the signal that stopped it, if any.

        Args:
            num_trials: In the end.
            display: Shows how far they are.
            num_parallel: Trials at once.
        """
        running: list[_Running] = []
        signals = StopSignals()
        steps: dict[str, int] = {}
        try:
            with signals:
                while True:
                    while signals.received is None and len(running) < num_parallel:
                        begun = self._begin(num_trials, display)
                        if begun is None:
                            break
                        running.append(begun)
                    if not running:
                        break
                    self._show(running, steps, display)
                    time.sleep(_POLL_PERIOD)
                    for each in running[:]:
                        if self._look_after(each, display, stopped=signals.received is not None):
                            running.remove(each)
        finally:
            for each in running:
                each.process.kill()
                each.lock.release()
        return signals.received

    def _begin(self, num_trials: int, display: Display) -> _Running | None:
        """Go on with a trial that nobody is at, or begin another; None where there are enough.

        Values that can't be had together make a trial that has failed.
        """
        from optuna.trial import TrialState

        while (found := self._next(num_trials, display)) is not None:
            trial, lock, reported = found
            try:
                return self._start(trial, lock, reported)
            except UserError as error:
                self._study.tell(trial, state=TrialState.FAIL)
                lock.release()
                display.message(f"trial {trial.number} failed: {error}")
        return None

    def _next(self, num_trials: int, display: Display) -> tuple[Trial, RunLock, set[int]] | None:
        """Return a trial that nobody is at, or a new one, with its lock and the steps it reported; None for none."""
        from optuna.trial import Trial, TrialState

        from tengen.evaluation.sweep.journal import alone, sampler

        (self.folder / "locks").mkdir(exist_ok=True)
        with alone(self.folder / "locks" / "beginning"):  # or two processes would begin one too many
            trials = self._study.get_trials(deepcopy=False)
            for frozen in trials:
                lock = self._lock(frozen.number) if frozen.state == TrialState.RUNNING else None
                if lock is None:
                    continue
                if self._frozen(frozen.number).state != TrialState.RUNNING:  # it has just come to its end
                    lock.release()
                    continue
                display.message(f"trial {frozen.number} goes on")
                self._study.sampler = sampler(self._seed, frozen.number)
                return Trial(self._study, frozen._trial_id), lock, set(frozen.intermediate_values)
            if sum(frozen.state != TrialState.FAIL for frozen in trials) >= num_trials or len(trials) >= 2 * num_trials:
                return None
            self._study.sampler = sampler(self._seed, len(trials))
            trial = self._study.ask()
            lock = self._lock(trial.number)
            assert lock is not None, "somebody else has a trial of this number"
            return trial, lock, set()

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _lock(self, number: int) -> RunLock | None:
        """Return the lock of a trial, held; None where another process holds it."""
        try:
            return RunLock(self.folder / "locks" / f"trial_{number:05d}").acquire()
        except UserError:
            return None

    def _start(self, trial: Trial, lock: RunLock, reported: set[int]) -> _Running:
        values = {field.name: field.suggest(trial) for field in self._fields}
        job = self._make_job(trial.number, values, self.folder / "trials" / f"trial_{trial.number:05d}")
        return _Running(trial, job, lock, start_job(job), reported)

    def _look_after(self, each: _Running, display: Display, *, stopped: bool) -> bool:
        """Report a trial's evaluations, stop it where asked, and tell Optuna how it ended; return whether it has."""
        from optuna.trial import TrialState

        done = each.process.poll() is not None
        scores = scores_of(each.job.folder)
        for step, score in scores.items():
            if step not in each.reported:
                each.reported.add(step)
                each.trial.report(score, step)
                if not done and not stopped and not each.pruned and each.trial.should_prune():
                    each.pruned = True
                    each.stop()
        if stopped:
            each.stop()
        if not done:
            return False
        reason = failure_of(each.job, each.process.returncode, stopped=stopped or each.pruned)
        if state_of(each.job) == "done" and scores:
            self._study.tell(each.trial, judged(list(scores.values())))
        elif each.pruned:
            self._study.tell(each.trial, state=TrialState.PRUNED)
        elif reason is not None or not stopped:
            self._study.tell(each.trial, state=TrialState.FAIL)
            display.message(f"{each.job.name} failed: {reason or 'it has no evaluation'}")
        each.lock.release()  # not before: a trial that is running and free is one that was interrupted
        return True

    def _show(self, running: Sequence[_Running], steps: dict[str, int], display: Display) -> None:
        from optuna.trial import TrialState

        done = 0
        for frozen in self._study.get_trials(deepcopy=False):
            if frozen.state.is_finished():
                done += frozen.state != TrialState.FAIL
                steps[f"trial {frozen.number}"] = self._steps
        for each in running:
            steps[each.job.name] = last_step(each.job.folder)
        display.show(steps, [each.job.name for each in running], done)

    def trials(self) -> list[dict[str, Any]]:
        """Return all trials, the best first: number, state, value, and each field's value."""
        rows = [
            {"trial": t.number, "state": t.state.name.lower(), "value": t.value, **t.params}
            for t in self._study.get_trials(deepcopy=False)
        ]
        return sorted(rows, key=lambda row: -np.inf if row["value"] is None else row["value"], reverse=True)

    def elsewhere(self) -> int:
        """Return how many trials are running, in other processes."""
        return sum(row["state"] == "running" for row in self.trials())

    def write_best(self, agent: str, env: str) -> Path:
        """Write the best trial's settings as a preset, and a table of all trials.

        Raises:
            UserError: No trial has come to its end.
        """
        rows = self.trials()
        finished = [row for row in rows if row["state"] == "complete"]
        if not finished:
            running = " yet, other processes are at it" if self.elsewhere() else f": see {self.folder / 'logs'}"
            raise UserError(f"no trial in {self.folder} came to its end{running}")
        best = finished[0]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        replace(self.folder / "trials.csv", text.getvalue().encode())
        settings = json.loads((self.folder / "trials" / f"trial_{best['trial']:05d}" / "config.json").read_text())
        source = (
            f"tengen sweep, trial {best['trial']} of {len(rows)}: mean return {best['value']:.6g} over the last quarter"
            f" of its evaluations, of one seed ({settings['seed']})"
        )
        path = self.folder / "best.toml"
        replace(path, preset_text(agent, env, source, settings).encode())
        return path


def judged(scores: Sequence[float]) -> float:
    """Return what a trial is judged by: the mean of the last quarter of its evaluations."""
    return float(np.mean(scores[-max(1, round(_LAST_PART * len(scores))) :]))


def scores_of(folder: Path) -> dict[int, float]:
    """Return a run's evaluations so far, by step."""
    try:
        rows = read_metrics(folder / METRICS_FILE)
    except UserError:
        return {}
    return {int(row[STEP_KEY]): float(row[SCORE]) for row in rows if np.isfinite(float(row.get(SCORE, np.nan)))}


def _claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write what a search is of into its folder, or see that it is the same.

    Raises:
        UserError: The folder holds another search, or something else.
    """
    path = folder / "sweep.json"
    wanted = json.loads(json.dumps(settings))
    if not path.exists() and folder.exists() and any(folder.iterdir()):
        time.sleep(_PATIENCE)  # another process may have begun the same search, and be writing the file
        if not path.exists():
            raise UserError(f"{folder} holds other files: choose another --out")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, wanted)
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if differing:
        name = differing[0]
        raise UserError(
            f"{folder} holds another search ({name} is {found.get(name)} there, and {wanted.get(name)} here): choose"
            " another --out"
        )


def _open_study(folder: Path, pruner: Pruner) -> Study:
    try:
        from tengen.evaluation.sweep.journal import open_study
    except ModuleNotFoundError as error:
        raise UserError("a sweep needs Optuna, which is not installed: pip install 'tengen[sweep]'") from error
    return open_study(folder, pruner)

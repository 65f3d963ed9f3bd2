"""Trains: drives the loop, and saves, logs and evaluates on periods of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tengen.checkpoint import Checkpoint, RunLock
from tengen.config import Driver, RunConfig, TrackConfig
from tengen.contracts import CompiledAgent, Environment, TabledEnvironment
from tengen.drive import compile_loop
from tengen.envs import make_env
from tengen.envs.scores import report_terms
from tengen.errors import UserError
from tengen.evaluate import evaluate, evaluation_seed
from tengen.run.assembly import assemble
from tengen.run.folder import Run, create_run, make_folder, open_run, versions
from tengen.run.recorder import crossed
from tengen.run.repetitions import Repetitions
from tengen.run.signals import StopSignals
from tengen.run.turns import Turn, turns
from tengen.tracking import Progress, make_trackers, require_mirror
from tengen.tracking.rows import TIME_KEY, Row, without_times
from tengen.tracking.trackers import Trackers
from tengen.types import Metrics, State
from tengen.video import drawing_kwargs, film

_LONG_COMPILATION = 0.5  # seconds, worth a word


@dataclass(frozen=True)
class RunResult:
    """How a session ended."""

    folder: Path
    step: int
    finished: bool
    signal: int | None  # the signal that stopped it, if one did
    summary: dict[str, Any]


def train(config: RunConfig, folder: Path, *, command: Sequence[str] = ()) -> RunResult:
    """Start a new run in a folder of its own.

    Raises:
        UserError: The environment, the agent, a setting or the folder won't do.
    """
    with contextlib.ExitStack() as stack:
        repetitions, config = assemble(config, stack)
        for member in repetitions.members:  # the loop does it again: one that refuses to start leaves no folder behind
            member.env.reset(member.env_seed)
            member.agent.policy()  # likewise: some agents find out only here that they have nothing to act by
        require_mirror(config.track)
        make_folder(folder)
        stack.enter_context(RunLock(folder / "lock"))
        session = stack.enter_context(_Session(create_run(folder, config), repetitions, command))
        preset = f" with the preset {config.preset} (--preset none leaves it out)" if config.preset else ""
        loop = " by the compiled loop" if config.driver == "compiled" else ""
        loop += f", {config.num_runs} runs at once" if config.num_runs > 1 else ""
        note = getattr(repetitions.members[0].agent, "note", None)  # e.g. that it learns by compiled kernels
        loop += f", {note}" if note else ""
        session.progress.message(f"training {config.agent} on {config.env.id}{loop}{preset}, run folder {folder}")
        return session.go()


def resume(
    folder: Path,
    *,
    steps: int | None = None,
    device: str | None = None,
    driver: Driver | None = None,
    track: TrackConfig | None = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Go on with a run from its latest checkpoint, exactly as if it had never stopped.

    Args:
        folder: The run's folder.
        steps: A new total number of steps; the run's own unless given.
        device: Another device than the run's; the numbers then differ.
        driver: Another driver of the loop than the run's; the numbers stay the same.
        track: Another mirror of the metrics than the run's.
        command: The command line, for the record.

    Raises:
        UserError: There is no run, another process is at it, it has no valid checkpoint, or `steps` is not ahead of it.
    """
    run = open_run(folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(RunLock(folder / "lock"))
        saved = run.store.latest()
        done = 0 if saved is None else saved.step
        config = dataclasses.replace(
            run.config,
            steps=steps or run.config.steps,
            device=device or run.config.device,
            driver=driver or run.config.driver,
            track=track or run.config.track,
        )
        if steps is not None and steps <= done - config.env.num_envs:  # the last tick may have gone past its steps
            raise UserError(f"{folder} is at step {done} already: --steps must be larger, got {steps}")
        repetitions, config = assemble(config, stack, start=done)
        run = dataclasses.replace(run, config=config)
        session = stack.enter_context(_Session(run, repetitions, command, resume_from=saved, resuming=True))
        return session.go()


class _Session:
    """One stretch of training, from a start or a checkpoint to the end or an interruption."""

    def __init__(
        self,
        run: Run,
        repetitions: Repetitions,
        command: Sequence[str],
        *,
        resume_from: Checkpoint | None = None,
        resuming: bool = False,
    ) -> None:
        self.run, self.repetitions = run, repetitions
        first = repetitions.members[0]
        self.agent, self.env = first.agent, first.env
        self.config = run.config
        self.start = 0 if resume_from is None else resume_from.step
        self.signals = StopSignals()
        self.best: float | None = None  # the best mean return of an evaluation
        self.best_step = 0
        self.eval_due = False  # an evaluation at this step was given up for a signal
        self.eval_env: Environment | None = None
        self.last_eval: dict[str, Any] = {}
        self.last_means: Row = {}  # the newest row of means over repetitions
        # Seconds of training before this session; None where a checkpoint of an older version does not say.
        self.seconds_before = 0.0 if resume_from is None else resume_from.meta.get("seconds")
        self.began = time.perf_counter()
        self._closing = contextlib.ExitStack()
        self.progress = Progress(self.config.steps, self.start)
        self._closing.callback(self.progress.close)
        try:
            if resume_from is not None:
                self._restore(resume_from)
            run.sessions()  # refuses a damaged file, as all above refuses what it can't use, before anything is written
            self.trackers: Trackers = make_trackers(
                run.folder,
                self.config,
                resume_step=self.start if resuming else None,
                resume_rows=None if resume_from is None else resume_from.meta.get("rows"),
                progress=self.progress,
            )
            self._closing.callback(self.trackers.close)
            if resuming:
                run.save_config()
            run.add_session(command, self.start, getattr(self.env, "protocol", None))
            self._mark_best_of(resume_from)
        except BaseException:
            self._closing.close()
            raise

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def _restore(self, saved: Checkpoint) -> None:
        then, now = saved.meta.get("versions", {}), versions()
        changed = [f"{name} {then[name]} -> {now.get(name)}" for name in then if then[name] != now.get(name)]
        if changed:
            self.progress.message(f"warning: versions changed, numbers may differ: {', '.join(changed)}")
        self.progress.message(f"going on from step {saved.step} of {self.run.folder}")
        lacking = getattr(self.agent, "not_restored", None)  # what its checkpoints don't hold, if anything
        if lacking is not None:
            self.progress.message(f"warning: {self.config.agent} does not go on exactly: {lacking}")
        state = self.run.state_of(saved)
        loop = state["loop"]
        self.repetitions.load_state_dict(state["agent"], state["env"], loop["recorder"])
        self.best, self.best_step = loop["best"], loop["best_step"]
        self.eval_due, self.last_eval = loop["eval_due"], loop["last_eval"]
        self.last_means = loop.get("last_means", {})  # which checkpoints of older versions lack

    def _mark_best_of(self, saved: Checkpoint | None) -> None:
        """Mark a checkpoint as the best where a kill came between it and its mark."""
        if saved is None or self.best is None or self.best_step != saved.step:
            return
        mark = self.run.store.best_mark()
        if mark is None or mark.step != saved.step:
            self.run.store.mark_best(saved.step, self.best)

    def go(self) -> RunResult:
        """Train until the end or a signal; either way it ends with a checkpoint."""
        count = saved_at = self.start
        self.began = time.perf_counter()
        with self.signals:
            if self.eval_due:
                self._save_evaluated(count)
            if self.signals.received is None:
                for before, count, rows in self._turns():  # count goes on below
                    for step, row in rows:
                        self.trackers.write(step, row)
                        self._pass_on(row)
                        if "charts/episodic_return_ci95" in row:
                            self.last_means = without_times(row)
                    stride = count - before
                    improved = crossed(count, stride, self.config.eval_period) and self._evaluate(count)
                    if improved or crossed(count, stride, self.config.checkpoint_period):
                        self._save(count)
                        saved_at = count
                    if self.signals.received is not None:
                        break
            if saved_at != count:
                self._save(count)
            return self._finish(count)

    def _pass_on(self, row: Metrics) -> None:
        """Show what the agent has to remark on a row of metrics."""
        remark = getattr(self.agent, "remark", None)
        text = None if remark is None else remark(row)
        if text is not None:
            self.progress.message(f"warning: {text}")

    def _save_evaluated(self, count: int) -> None:
        """Make up for an evaluation that was given up, and save that it was made."""
        self._evaluate(count)
        if not self.eval_due:
            self._save(count)

    def _turns(self) -> Iterator[Turn]:
        """Run the loop by its driver, or the loops of all repetitions."""
        config = self.config
        first = self.repetitions.members[0]
        if self.repetitions.compiled:
            assert isinstance(first.agent, CompiledAgent)
            assert isinstance(first.env, TabledEnvironment)
            if self.start == 0:
                first.env.reset(first.env_seed)
            seconds = compile_loop(first.agent, first.env)
            if seconds > _LONG_COMPILATION:
                self.progress.message(f"compiling the loop took {seconds:.1f} s; the next start finds it on disk")
        if config.num_runs > 1:
            return self.repetitions.turns(self.start, config.steps, config.checkpoint_period)
        return turns(
            first.agent,
            first.env,
            first.recorder,
            compiled=self.repetitions.compiled,
            env_seed=first.env_seed,
            start=self.start,
            stop=config.steps,
            periods=(config.eval_period, config.checkpoint_period),
        )

    def _should_stop(self) -> bool:
        return self.signals.received is not None

    def _evaluate(self, count: int) -> bool:
        """Evaluate the policy and write the row; return whether it was the best so far."""
        if self.eval_env is None:
            self.eval_env = make_env(self.config.env, training=False)
            self._closing.callback(self.eval_env.close)
        epsilon = float(getattr(self.eval_env, "evaluation_epsilon", 0.0))
        seconds = self._seconds()
        result = evaluate(
            self.agent.policy(),
            self.eval_env,
            self.config.eval_episodes,
            evaluation_seed(self.config.seed),
            epsilon=epsilon,
            should_stop=self._should_stop,
        )
        self.eval_due = result is None  # then it is made up for when the run goes on
        if result is None:
            return False
        summary = result.summary()
        terms = report_terms(self.eval_env, self.config.env.id, summary["return_mean"], epsilon)
        self.last_eval = {**summary, **terms}
        numbers = {name: value for name, value in self.last_eval.items() if isinstance(value, float)}
        clock = {} if seconds is None else {TIME_KEY: seconds}
        self.trackers.write(count, {f"eval/{name}": value for name, value in numbers.items()} | clock)
        if self.config.track.video:
            self._film(count)
        mean = self.last_eval["return_mean"]
        if math.isnan(mean) or (self.best is not None and mean <= self.best):
            return False
        self.best, self.best_step = mean, count
        return True

    def _seconds(self) -> float | None:
        """Return the seconds of training so far, those of earlier sessions up to their last checkpoint included."""
        if self.seconds_before is None:
            return None
        return round(self.seconds_before + time.perf_counter() - self.began, 3)

    def _film(self, count: int) -> None:
        """Film an episode of the policy, and show it; training goes on whatever becomes of that."""
        path = self.run.folder / "videos" / f"step_{count:09d}.gif"
        settings = self.config.env
        settings = dataclasses.replace(settings, num_envs=1, kwargs={**settings.kwargs, **drawing_kwargs(settings.id)})
        try:
            path.parent.mkdir(exist_ok=True)
            with contextlib.closing(make_env(settings, training=False)) as env:
                epsilon = float(getattr(env, "evaluation_epsilon", 0.0))
                seed = evaluation_seed(self.config.seed)
                film(self.agent.policy(), env, path, seed=seed, epsilon=epsilon, should_stop=self._should_stop)
        except Exception as error:  # whatever a renderer may raise
            self.progress.message(f"warning: no video of step {count}: {error}")
        else:
            self.trackers.log_video(count, path)

    def _save(self, step: int) -> None:
        state = self.repetitions.state_dict()
        loop: State = {
            "recorder": state["recorder"],
            "best": self.best,
            "best_step": self.best_step,
            "eval_due": self.eval_due,
            "last_eval": self.last_eval,
            "last_means": self.last_means,
        }
        self.trackers.sync()  # the rows before the checkpoint must not be lost after it
        components = {"agent": state["agent"], "env": state["env"], "loop": loop}
        about = {
            "versions": versions(),
            "threads": self.config.threads,
            "seconds": self._seconds(),
            "rows": self.trackers.num_rows,
        }
        self.run.store.save(step, components, about)
        if self.best is not None and self.best_step == step:
            self.run.store.mark_best(step, self.best)

    def _finish(self, step: int) -> RunResult:
        summary = {
            "agent": self.config.agent,
            "env": self.config.env.id,
            "step": step,
            "steps": self.config.steps,
            "best_eval_return_mean": self.best,
            "last_eval": self.last_eval or None,
        }
        if self.config.num_runs > 1:
            summary |= {"num_runs": self.config.num_runs, "last_means": self.last_means}
        self.run.write_summary(summary)
        return RunResult(self.run.folder, step, step >= self.config.steps, self.signals.received, summary)

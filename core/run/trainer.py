"""Trains: drives the loop, and saves, logs and evaluates on periods of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tengen.checkpoint import Checkpoint, RunLock
from tengen.config import RunConfig, TrackConfig
from tengen.contracts import Agent, Environment
from tengen.envs import make_env
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.loop import interact
from tengen.run.folder import Run, create_run, open_run, replace_config, versions
from tengen.run.recorder import Recorder, crossed
from tengen.run.signals import StopSignals
from tengen.tracking import Progress, make_trackers
from tengen.tracking.trackers import Trackers
from tengen.types import EnvSpec, State
from tengen.video import drawing_kwargs, film

EVAL_SEED = 1_000_000
"""First seed of every evaluation while training: the same episodes in each, and not those that `evaluate` plays."""


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
        env, agent, config = _assemble(config, stack)
        run = create_run(folder, config)
        stack.enter_context(RunLock(folder / "lock"))
        session = _Session(run, env, agent, command)
        preset = f" with the preset {config.preset} (--preset none leaves it out)" if config.preset else ""
        session.progress.message(f"training {config.agent} on {config.env.id}{preset}, run folder {folder}")
        return session.go()


def resume(
    folder: Path,
    *,
    steps: int | None = None,
    device: str | None = None,
    track: TrackConfig | None = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Go on with a run from its latest checkpoint, exactly as if it had never stopped.

    Args:
        folder: The run's folder.
        steps: A new total number of steps; the run's own unless given.
        device: Another device than the run's; the numbers then differ.
        track: Another mirror of the metrics than the run's.
        command: The command line, for the record.

    Raises:
        UserError: There is no run, another process is at it, it has no valid checkpoint, or `steps` is not ahead of it.
    """
    run = open_run(folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(RunLock(folder / "lock"))
        saved = run.store.latest()
        if saved is not None and not saved.resumable:
            raise UserError(
                f"the checkpoint at step {saved.step} of {folder} was kept for its policy only: can't go on"
            )
        done = 0 if saved is None else saved.step
        config = dataclasses.replace(
            run.config,
            steps=steps or run.config.steps,
            device=device or run.config.device,
            track=track or run.config.track,
        )
        if config.steps < done:
            raise UserError(f"{folder} is at step {done} already: --steps must be larger, got {config.steps}")
        env, agent, config = _assemble(config, stack)
        run = replace_config(run, config)
        return _Session(run, env, agent, command, resume_from=saved, resuming=True).go()


def _assemble(config: RunConfig, stack: contextlib.ExitStack) -> tuple[Environment, Agent, RunConfig]:
    """Make the environment and the agent; return the config with what was resolved on this machine."""
    env = make_env(config.env, training=True)
    stack.callback(env.close)
    require_agent_takes(config, env.spec)
    if config.device.startswith("cuda"):
        _compute_deterministically()
    rng = np.random.default_rng(_seeds(config.seed)[0])
    agent: Agent = config.agent_config.build(env.spec, rng, config.device)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(config.threads)  # sums differ between thread counts
    return env, agent, config


def _seeds(seed: int) -> list[np.random.SeedSequence]:
    """Return independent seeds for the agent and the environment."""
    return np.random.SeedSequence(seed).spawn(2)


def _compute_deterministically() -> None:
    import os

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before the first CUDA call
    import torch

    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def require_agent_takes(config: RunConfig, spec: EnvSpec) -> None:
    """Refuse an environment that the agent can't take, saying which agents could.

    Raises:
        UserError: The spaces don't fit.
    """
    from tengen.registry import names, resolve_agent

    reason = type(config.agent_config).refusal(spec)
    if reason is None:
        return
    others = [name for name in names("agents") if resolve_agent(name)[0].refusal(spec) is None]
    raise UserError(
        f"{config.agent} can't be trained on {spec.id}: {reason}. Agents that could: {', '.join(others) or 'none yet'}."
    )


class _Session:
    """One stretch of training, from a start or a checkpoint to the end or an interruption."""

    def __init__(
        self,
        run: Run,
        env: Environment,
        agent: Agent,
        command: Sequence[str],
        *,
        resume_from: Checkpoint | None = None,
        resuming: bool = False,
    ) -> None:
        self.run, self.env, self.agent = run, env, agent
        self.config = run.config
        self.num_envs = env.spec.num_envs
        self.start = 0 if resume_from is None else resume_from.step
        self.signals = StopSignals()
        self.recorder = Recorder(self.num_envs, self.config.log_period, self.start)
        self.best: float | None = None  # the best mean return of an evaluation
        self.eval_due = False  # an evaluation at this step was given up for a signal
        self.eval_env: Environment | None = None
        self.last_eval: dict[str, float] = {}
        self.progress = Progress(self.config.steps, self.start)
        if resume_from is not None:
            self._restore(resume_from)
        run.add_session(command, self.start)
        self.trackers: Trackers = make_trackers(
            run.folder, self.config, resume_step=self.start if resuming else None, progress=self.progress
        )

    def _restore(self, saved: Checkpoint) -> None:
        then, now = saved.meta.get("versions", {}), versions()
        changed = [f"{name} {then[name]} -> {now.get(name)}" for name in then if then[name] != now.get(name)]
        if changed:
            self.progress.message(f"warning: versions changed, numbers may differ: {', '.join(changed)}")
        self.progress.message(f"going on from step {saved.step} of {self.run.folder}")
        state = saved.state()
        self.agent.load_state_dict(state["agent"])
        self.env.load_state_dict(state["env"])
        loop = state["loop"]
        self.recorder.load_state_dict(loop["recorder"])
        self.best, self.eval_due = loop["best"], loop["eval_due"]
        mark = self.run.store.best_mark()
        if self.best is not None and (mark is None or mark.score < self.best):
            self.run.store.mark_best(saved.step, self.best)  # killed between its checkpoint and its mark

    def go(self) -> RunResult:
        """Train until the end or a signal; either way it ends with a checkpoint."""
        count = saved_at = self.start
        env_seed = int(_seeds(self.config.seed)[1].generate_state(1, np.uint64)[0] >> 1)
        try:
            with self.signals:
                if self.eval_due and self._evaluate(count):
                    self._save(count, best=True)
                for tick in interact(self.agent, self.env, self.config.steps, env_seed, self.start):
                    count = tick.num_steps
                    for row in self.recorder.rows(tick):
                        self.trackers.write(count, row)
                    improved = self._crossed(count, self.config.eval_period) and self._evaluate(count)
                    if improved or self._crossed(count, self.config.checkpoint_period):
                        self._save(count, best=improved)
                        saved_at = count
                    if self.signals.received is not None:
                        break
            if saved_at != count or self.eval_due:
                self._save(count)
            return self._finish(count)
        finally:
            self.trackers.close()
            self.progress.close()
            if self.eval_env is not None:
                self.eval_env.close()

    def _crossed(self, count: int, period: int) -> bool:
        return crossed(count, self.num_envs, period)

    def _evaluate(self, count: int) -> bool:
        """Evaluate the policy and write the row; return whether it was the best so far."""
        if self.eval_env is None:
            self.eval_env = make_env(self.config.env, training=False)
        result = evaluate(
            self.agent.policy(),
            self.eval_env,
            self.config.eval_episodes,
            EVAL_SEED,
            epsilon=float(getattr(self.eval_env, "evaluation_epsilon", 0.0)),
            should_stop=lambda: self.signals.received is not None,
        )
        self.eval_due = result is None  # then it is made up for when the run goes on
        if result is None:
            return False
        self.last_eval = result.summary()
        self.trackers.write(count, {f"eval/{name}": value for name, value in self.last_eval.items()})
        if self.config.track.video:
            self._film(count)
        if self.best is not None and self.last_eval["return_mean"] <= self.best:
            return False
        self.best = self.last_eval["return_mean"]
        return True

    def _film(self, count: int) -> None:
        """Film the first episode of the evaluation again, and show it; training goes on whatever becomes of that."""
        path = self.run.folder / "videos" / f"step_{count:09d}.gif"
        settings = self.config.env
        settings = dataclasses.replace(settings, num_envs=1, kwargs={**settings.kwargs, **drawing_kwargs(settings.id)})
        try:
            path.parent.mkdir(exist_ok=True)
            with contextlib.closing(make_env(settings, training=False)) as env:
                epsilon = float(getattr(env, "evaluation_epsilon", 0.0))
                film(self.agent.policy(), env, path, seed=EVAL_SEED, epsilon=epsilon)
        except (UserError, OSError) as error:
            self.progress.message(f"warning: no video of step {count}: {error}")
        else:
            self.trackers.log_video(count, path)

    def _save(self, step: int, *, best: bool = False) -> None:
        loop: State = {"recorder": self.recorder.state_dict(), "best": self.best, "eval_due": self.eval_due}
        self.trackers.sync()  # the rows before the checkpoint must not be lost after it
        components = {"agent": self.agent.state_dict(), "env": self.env.state_dict(), "loop": loop}
        self.run.store.save(step, components, {"versions": versions(), "threads": self.config.threads})
        if best:
            assert self.best is not None
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
        self.run.write_summary(summary)
        return RunResult(self.run.folder, step, step >= self.config.steps, self.signals.received, summary)

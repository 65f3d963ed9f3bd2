"""Trains: drives the loop, and saves, logs and evaluates on periods of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tengen.checkpoint import Checkpoint, RunLock
from tengen.config import Driver, RunConfig, TrackConfig
from tengen.contracts import Agent, CompiledAgent, Environment, TabledEnvironment
from tengen.device import resolve_device, resolve_threads
from tengen.drive import compile_loop, drive, why_not_compiled
from tengen.envs import make_env
from tengen.envs.scores import report_terms
from tengen.errors import UserError
from tengen.evaluate import evaluate
from tengen.loop import interact
from tengen.run.folder import Run, create_run, make_folder, open_run, replace_config, versions
from tengen.run.recorder import Recorder, crossed
from tengen.run.signals import StopSignals
from tengen.tracking import Progress, make_trackers
from tengen.tracking.trackers import Trackers
from tengen.types import EnvSpec, Metrics, State
from tengen.video import drawing_kwargs, film

EVAL_SEED = 1_000_000
"""First seed of every evaluation while training: the same episodes in each, and not those that `evaluate` plays."""


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
        env, agent, config = _assemble(config, stack)
        env.reset(_env_seed(config.seed))  # the loop does it again: one that refuses to start leaves no folder behind
        make_folder(folder)
        stack.enter_context(RunLock(folder / "lock"))
        session = stack.enter_context(_Session(create_run(folder, config), env, agent, command))
        preset = f" with the preset {config.preset} (--preset none leaves it out)" if config.preset else ""
        loop = " by the compiled loop" if config.driver == "compiled" else ""
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
        if steps is not None and steps < done:
            raise UserError(f"{folder} is at step {done} already: --steps must be larger, got {steps}")
        env, agent, config = _assemble(config, stack)
        run = replace_config(run, config)
        session = stack.enter_context(_Session(run, env, agent, command, resume_from=saved, resuming=True))
        return session.go()


def _assemble(config: RunConfig, stack: contextlib.ExitStack) -> tuple[Environment, Agent, RunConfig]:
    """Make the environment and the agent; return the config with what was resolved on this machine."""
    config = dataclasses.replace(config, device=resolve_device(config.device), threads=resolve_threads(config.threads))
    env = make_env(config.env, training=True)
    stack.callback(env.close)
    require_agent_takes(config, env.spec)
    protocol = getattr(env, "base_protocol", None)
    if protocol is not None and config.env.protocol is None:
        config = dataclasses.replace(config, env=dataclasses.replace(config.env, protocol=protocol))
    if config.device.startswith("cuda"):
        _compute_deterministically()
    rng = np.random.default_rng(_seeds(config.seed)[0])
    agent: Agent = config.agent_config.build(env.spec, rng, config.device)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(config.threads)  # sums differ between thread counts
    return env, agent, _with_driver(config, agent, env)


def _with_driver(config: RunConfig, agent: Agent, env: Environment) -> RunConfig:
    """Return a config with the driver of the loop, and what it logs of episodes, decided.

    Raises:
        UserError: It asks for a compiled loop that can't be.
    """
    reason = why_not_compiled(agent, env)
    if config.driver == "compiled" and reason is not None:
        raise UserError(f"--driver compiled can't be had for {config.agent} on {config.env.id}: {reason}; leave it out")
    driver = ("python" if reason else "compiled") if config.driver == "auto" else config.driver
    log_episodes = ("each" if reason else "mean") if config.log_episodes == "auto" else config.log_episodes
    return dataclasses.replace(config, driver=driver, log_episodes=log_episodes)


def _seeds(seed: int) -> list[np.random.SeedSequence]:
    """Return independent seeds for the agent and the environment."""
    return np.random.SeedSequence(seed).spawn(2)


def _env_seed(seed: int) -> int:
    """Return what the environment's first reset takes, in 63 bits."""
    return int(_seeds(seed)[1].generate_state(1, np.uint64)[0] >> 1)


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
        each_episode = self.config.log_episodes == "each"
        self.recorder = Recorder(self.num_envs, self.config.log_period, self.start, each_episode)
        self.best: float | None = None  # the best mean return of an evaluation
        self.best_step = 0
        self.eval_due = False  # an evaluation at this step was given up for a signal
        self.eval_env: Environment | None = None
        self.last_eval: dict[str, Any] = {}
        self._closing = contextlib.ExitStack()
        self.progress = Progress(self.config.steps, self.start)
        self._closing.callback(self.progress.close)
        try:
            if resume_from is not None:
                self._restore(resume_from)
            run.add_session(command, self.start, getattr(env, "protocol", None))
            self.trackers: Trackers = make_trackers(
                run.folder, self.config, resume_step=self.start if resuming else None, progress=self.progress
            )
        except BaseException:
            self._closing.close()
            raise
        self._closing.callback(self.trackers.close)

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
        state = saved.state()
        self.agent.load_state_dict(state["agent"])
        self.env.load_state_dict(state["env"])
        loop = state["loop"]
        self.recorder.load_state_dict(loop["recorder"])
        self.best, self.best_step = loop["best"], loop["best_step"]
        self.eval_due, self.last_eval = loop["eval_due"], loop["last_eval"]
        mark = self.run.store.best_mark()
        if self.best is not None and self.best_step == saved.step and (mark is None or mark.step != saved.step):
            self.run.store.mark_best(saved.step, self.best)  # killed between its checkpoint and its mark

    def go(self) -> RunResult:
        """Train until the end or a signal; either way it ends with a checkpoint."""
        count = saved_at = self.start
        env_seed = _env_seed(self.config.seed)
        with self.signals:
            if self.eval_due:
                self._save_evaluated(count)
            if self.signals.received is None:
                for before, count, rows in self._progress(env_seed):  # count goes on below
                    for step, row in rows:
                        self.trackers.write(step, row)
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

    def _save_evaluated(self, count: int) -> None:
        """Make up for an evaluation that was given up, and save that it was made."""
        self._evaluate(count)
        if not self.eval_due:
            self._save(count)

    def _progress(self, env_seed: int) -> Iterator[tuple[int, int, Iterable[tuple[int, Metrics]]]]:
        """Run the loop by its driver; yield decisions before and after each turn or stretch, and the rows it gave."""
        agent, env, config = self.agent, self.env, self.config
        if config.driver == "python":
            for tick in interact(agent, env, config.steps, env_seed, self.start):
                yield tick.num_steps - self.num_envs, tick.num_steps, self.recorder.rows(tick)
            return
        assert isinstance(agent, CompiledAgent)
        assert isinstance(env, TabledEnvironment)
        if self.start == 0:
            env.reset(env_seed)
        seconds = compile_loop(agent, env)
        if seconds > _LONG_COMPILATION:
            self.progress.message(f"compiling the loop took {seconds:.1f} s; the next start finds it on disk")
        periods = (config.eval_period, config.checkpoint_period)
        for stretch in drive(agent, env, config.steps, self.start, self.recorder.returns, periods):
            yield stretch.before, stretch.num_steps, self.recorder.rows_of_stretch(stretch)

    def _should_stop(self) -> bool:
        return self.signals.received is not None

    def _evaluate(self, count: int) -> bool:
        """Evaluate the policy and write the row; return whether it was the best so far."""
        if self.eval_env is None:
            self.eval_env = make_env(self.config.env, training=False)
            self._closing.callback(self.eval_env.close)
        epsilon = float(getattr(self.eval_env, "evaluation_epsilon", 0.0))
        result = evaluate(
            self.agent.policy(),
            self.eval_env,
            self.config.eval_episodes,
            EVAL_SEED,
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
        self.trackers.write(count, {f"eval/{name}": value for name, value in numbers.items()})
        if self.config.track.video:
            self._film(count)
        if self.best is not None and self.last_eval["return_mean"] <= self.best:
            return False
        self.best, self.best_step = self.last_eval["return_mean"], count
        return True

    def _film(self, count: int) -> None:
        """Film an episode of the policy, and show it; training goes on whatever becomes of that."""
        path = self.run.folder / "videos" / f"step_{count:09d}.gif"
        settings = self.config.env
        settings = dataclasses.replace(settings, num_envs=1, kwargs={**settings.kwargs, **drawing_kwargs(settings.id)})
        try:
            path.parent.mkdir(exist_ok=True)
            with contextlib.closing(make_env(settings, training=False)) as env:
                epsilon = float(getattr(env, "evaluation_epsilon", 0.0))
                film(self.agent.policy(), env, path, seed=EVAL_SEED, epsilon=epsilon, should_stop=self._should_stop)
        except Exception as error:  # whatever a renderer may raise
            self.progress.message(f"warning: no video of step {count}: {error}")
        else:
            self.trackers.log_video(count, path)

    def _save(self, step: int) -> None:
        loop: State = {
            "recorder": self.recorder.state_dict(),
            "best": self.best,
            "best_step": self.best_step,
            "eval_due": self.eval_due,
            "last_eval": self.last_eval,
        }
        self.trackers.sync()  # the rows before the checkpoint must not be lost after it
        components = {"agent": self.agent.state_dict(), "env": self.env.state_dict(), "loop": loop}
        self.run.store.save(step, components, {"versions": versions(), "threads": self.config.threads})
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
        self.run.write_summary(summary)
        return RunResult(self.run.folder, step, step >= self.config.steps, self.signals.received, summary)

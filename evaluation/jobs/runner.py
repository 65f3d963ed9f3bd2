"""Many runs, each a `tengen train` in a process of its own, as many at once as there are cores.

What a run is stands in its folder, so nothing has to be remembered here: a run that is done is left alone, one that was
begun is resumed, and one that is missing is started. So the same call goes on after any interruption, and does nothing
twice. Read `run_all` first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tengen.checkpoint import RunLock
from tengen.config import RunConfig
from tengen.envs.protocols import with_content
from tengen.errors import UserError
from tengen.run import open_run
from tengen.run.signals import StopSignals
from tengen.tracking.jsonl import METRICS_FILE
from tengen.tracking.rows import STEP_KEY

_POLL_PERIOD = 0.2  # seconds
_PATIENCE = 60.0  # seconds to wait for a process of an earlier call that is still saving its run
_TAIL = 4_096  # bytes of a run's metrics, in which its last row is
_OF_THE_MACHINE = ("device", "threads", "driver", "log_episodes", "log_period", "checkpoint_period", "preset")

State = Literal["done", "begun", "missing"]


@dataclass(frozen=True)
class Job:
    """A run that is wanted."""

    name: str
    """What to call it: `dqn on CartPole-v1, seed 3`."""
    agent: str
    """What to call its agent."""
    folder: Path
    """The run's own."""
    config: RunConfig
    """What it is to be."""
    start: tuple[str, ...]
    """Arguments of `tengen train` that start it."""
    resume: tuple[str, ...]
    """Arguments of `tengen train` that go on with it."""
    log: Path
    """Where what it prints is kept."""


@dataclass(frozen=True)
class Failure:
    """A run that could not be made."""

    job: Job
    reason: str


class Display(Protocol):
    """Shows how far the runs are."""

    def show(self, steps: Mapping[str, int], running: Sequence[str], done: int) -> None:
        """Show the steps of each run by its name, which are running, and how many are done."""
        ...

    def message(self, text: str) -> None:
        """Show a line of its own."""
        ...


@dataclass
class _Child:
    job: Job
    process: subprocess.Popen[bytes]


@dataclass
class Outcome:
    """How it went."""

    failures: list[Failure] = field(default_factory=list)
    signal: int | None = None
    """The signal that stopped it, if one did."""
    reused: int = 0
    """Runs that were done before."""


def state_of(job: Job) -> State:
    """Return how far a run is, by what lies in its folder.

    Raises:
        UserError: The folder holds a damaged run.
    """
    if not (job.folder / "config.json").exists():
        return "missing"
    open_run(job.folder)  # refuses damaged settings
    try:
        done = json.loads((job.folder / "summary.json").read_text(encoding="utf-8"))["step"]
    except FileNotFoundError:
        return "begun"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{job.folder / 'summary.json'} is damaged ({error}): remove it to go on with the run"
        ) from error
    return "done" if done >= job.config.steps else "begun"


def refuse_other_settings(jobs: Iterable[Job]) -> None:
    """Refuse runs that lie where these belong and are others; damaged ones are left to `run_all`.

    Raises:
        UserError: There is one.
    """
    for job in jobs:
        try:
            found = open_run(job.folder).config
        except UserError:
            continue
        differing = differences(job.config, found)
        if differing:
            listed = "; ".join(f"{name} is {there} there, and {here} here" for name, here, there in differing[:4])
            raise UserError(
                f"{job.folder} holds a run with other settings ({listed}): choose another --out, or remove it"
            )


def differences(expected: RunConfig, found: RunConfig) -> list[tuple[str, Any, Any]]:
    """Return the settings that decide what is learnt and differ: name, what is expected, what is found."""
    if expected.env.protocol is None:  # the environment then chose its own
        found = _replace_protocol(found, None)
    elif isinstance(found.env.protocol, dict):
        expected = _replace_protocol(expected, with_content(expected.env.protocol))
    ours, theirs = dict(_flat(expected.to_dict())), dict(_flat(found.to_dict()))
    names = [name for name in {**ours, **theirs} if not name.startswith((*_OF_THE_MACHINE, "track."))]
    return [
        (name.replace("agent_config.", "agent."), ours.get(name, "not set"), theirs.get(name, "not set"))
        for name in names
        if json.dumps(ours.get(name)) != json.dumps(theirs.get(name))
    ]


def _replace_protocol(config: RunConfig, protocol: str | dict[str, Any] | None) -> RunConfig:
    return dataclasses.replace(config, env=dataclasses.replace(config.env, protocol=protocol))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def run_all(jobs: Sequence[Job], display: Display, *, num_parallel: int) -> Outcome:
    """Have every job done; return how it went.

    A job that fails is named in the outcome, and the others go on. The first Ctrl-C or SIGTERM lets the running jobs
    save themselves, and returns; a second one ends them at once.

    Args:
        jobs: In the order in which they are begun.
        display: Shows how far they are.
        num_parallel: Jobs at once.
    """
    outcome = Outcome()
    waiting: list[Job] = []
    steps = dict.fromkeys((job.name for job in jobs), 0)
    for job in jobs:
        try:
            done = state_of(job) == "done"
        except UserError as error:
            outcome.failures.append(Failure(job, str(error)))
            display.message(f"{job.name} failed: {error}")
            continue
        outcome.reused += done
        steps[job.name] = job.config.steps if done else last_step(job.folder)
        if not done:
            waiting.append(job)
    if outcome.reused:
        display.message(f"{outcome.reused} of {len(jobs)} runs were done before")
    children: list[_Child] = []
    signals = StopSignals()
    try:
        with signals:
            _work(waiting, children, steps, outcome, display, num_parallel, signals)
    finally:
        for child in children:  # only where something went wrong, or a second signal came
            child.process.kill()
    outcome.signal = signals.received
    return outcome


def _work(
    waiting: list[Job],
    children: list[_Child],
    steps: dict[str, int],
    outcome: Outcome,
    display: Display,
    num_parallel: int,
    signals: StopSignals,
) -> None:
    """Start what waits, look after what runs, until there is neither."""
    since = time.monotonic()
    told = False
    done = outcome.reused
    while waiting or children:
        if signals.received is not None:
            waiting.clear()
            if not told:
                told = True
                display.message(f"stopping: {len(children)} runs are saved first")
                for child in children:
                    child.process.send_signal(signal.SIGTERM)
        for job in waiting[:]:
            if len(children) >= num_parallel:
                break
            if _in_use(job) and time.monotonic() - since < _PATIENCE:
                continue
            waiting.remove(job)
            children.append(_Child(job, start_job(job)))
        for child in children[:]:
            steps[child.job.name] = last_step(child.job.folder)
            if child.process.poll() is None:
                continue
            children.remove(child)
            reason = failure_of(child.job, child.process.returncode, stopped=signals.received is not None)
            if reason is not None:
                outcome.failures.append(Failure(child.job, reason))
                display.message(f"{child.job.name} failed: {reason}")
            elif signals.received is None:
                done += 1
                steps[child.job.name] = child.job.config.steps
        display.show(steps, [child.job.name for child in children], done)
        if waiting or children:
            time.sleep(_POLL_PERIOD)


def start_job(job: Job) -> subprocess.Popen[bytes]:
    """Start a job's process, or the one that goes on with it."""
    arguments = job.resume if state_of(job) == "begun" else job.start
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tengen.cli", "train", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on
            preexec_fn=_die_with_parent,
        )


def _die_with_parent() -> None:
    """Have the kernel end this process, as if by SIGTERM, when its parent is gone, be it by kill -9."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG


def _in_use(job: Job) -> bool:
    """Return whether another process is at a run: one of an earlier call, that is still saving it."""
    lock = job.folder / "lock"
    if not lock.exists():
        return False
    try:
        with RunLock(lock):
            return False
    except UserError:
        return True


def failure_of(job: Job, code: int, *, stopped: bool) -> str | None:
    """Return why a process that has ended did not do its job, or None where it did.

    Args:
        job: What it was to do.
        code: The process's exit code.
        stopped: Whether it was asked to stop.
    """
    if code == 0 or (stopped and code in (128 + signal.SIGTERM, -signal.SIGTERM)):
        return None
    with contextlib.suppress(OSError):
        for line in reversed(job.log.read_text(encoding="utf-8", errors="replace").splitlines()):
            if line.startswith("tengen: error: "):
                return line.removeprefix("tengen: error: ")
    return f"exit code {code}; its output is in {job.log}"


def last_step(folder: Path) -> int:
    """Return the step of a run's last row of metrics, 0 where there is none."""
    try:
        with open(folder / METRICS_FILE, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return int(json.loads(line)[STEP_KEY])
    return 0


def num_cores() -> int:
    """Return the processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

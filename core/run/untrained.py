"""The run of an agent that is complete before its first step, such as one that follows a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tengen.checkpoint import RunLock
from tengen.config import RunConfig
from tengen.contracts import Agent, Environment
from tengen.run.folder import Run, create_run, make_folder, versions
from tengen.run.recorder import Recorder


def save_untrained(
    config: RunConfig,
    folder: Path,
    agent: Agent,
    env: Environment,
    *,
    command: Sequence[str] = (),
    summary: Mapping[str, Any],
) -> Run:
    """Save an agent as a run whose only checkpoint is that of step 0.

    Args:
        config: The run's settings.
        folder: Its own.
        agent: What is saved.
        env: As `config` has it; it is reset, so that a run which is gone on with begins like any other.
        command: The command line, for the record.
        summary: What came out.

    Raises:
        UserError: The folder can't be written, or holds something already.
    """
    make_folder(folder)
    with RunLock(folder / "lock"):
        run = create_run(folder, config)
        run.add_session(command, 0)
        env.reset(config.seed)
        recorder = Recorder(env.spec.num_envs, config.log_period)
        loop = {"recorder": recorder.state_dict(), "best": None, "best_step": 0, "eval_due": False, "last_eval": {}}
        components = {"agent": agent.state_dict(), "env": env.state_dict(), "loop": loop}
        run.store.save(0, components, {"versions": versions(), "threads": config.threads})
        run.write_summary({"agent": config.agent, "env": config.env.id, "step": 0, **summary})
    return run

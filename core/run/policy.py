"""The policy of a run, ready to be evaluated or watched."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tengen.contracts import Agent, Environment, Policy
from tengen.device import resolve_device, resolve_threads
from tengen.envs import make_env
from tengen.errors import UserError
from tengen.run.folder import Run
from tengen.types import EnvSpec


@dataclass(frozen=True)
class LoadedPolicy:
    """An agent, what it does now, and an environment to do it in."""

    agent: Agent
    policy: Policy
    env: Environment
    step: int  # environment steps of training behind it
    rebuild: Callable[[EnvSpec], Agent]  # returns the same agent, made for another environment of the same spaces


def load_policy(
    run: Run,
    checkpoint: str = "latest",
    *,
    num_envs: int = 1,
    env_kwargs: dict[str, Any] | None = None,
    repetition: int = 0,
) -> LoadedPolicy:
    """Load what a run has learnt, without its replay. Torch gets the run's number of threads.

    Args:
        run: The run.
        checkpoint: "latest", "best", or the number of a step.
        num_envs: Environments side by side to play in.
        env_kwargs: Further keyword arguments of the environment.
        repetition: Which of the run's repetitions, from 0.

    Raises:
        UserError: There is no such checkpoint or repetition, or the settings don't fit it.
    """
    if not 0 <= repetition < run.config.num_runs:
        raise UserError(f"--repetition must be from 0 to {run.config.num_runs - 1} for {run.folder}, got {repetition}")
    if checkpoint == "latest":
        saved = run.store.latest(resume=False)
        if saved is None:
            raise UserError(f"{run.folder} has no checkpoint yet: train it first, `tengen train --resume {run.folder}`")
    elif checkpoint == "best":
        saved = run.store.best()
        if saved is None:
            raise UserError(f"{run.folder} has no best checkpoint: it was trained without --eval-period")
    elif checkpoint.isdecimal():
        saved = run.store.load(int(checkpoint), resume=False)
    else:
        raise UserError(f"--checkpoint must be latest, best or a step's number, got {checkpoint!r}")
    settings = dataclasses.replace(
        run.config.env, num_envs=num_envs, kwargs={**run.config.env.kwargs, **(env_kwargs or {})}
    )
    device, state = _device(run.config.device), run.state_of(saved, resume=False)["agent"]
    env = make_env(settings, training=False)

    def build(spec: EnvSpec) -> Agent:
        # The agent is built for the environments that it trained on: its state has their number in it.
        spec = dataclasses.replace(spec, num_envs=run.config.env.num_envs)
        agent: Agent = run.config.agent_config.build(spec, np.random.default_rng(0), device)
        agent.load_state_dict(state if run.config.num_runs == 1 else state["runs"][repetition])
        return agent

    agent = build(env.spec)
    if "torch" in sys.modules:
        import torch

        # Sums differ between thread counts. And many threads that wait for each other in a small network take a hundred
        # times as long where another process has a core.
        torch.set_num_threads(resolve_threads(run.config.threads))
    return LoadedPolicy(agent, agent.policy(), env, saved.step, build)


def _device(trained_on: str) -> str:
    """Return the device that a run was trained on, or the processor where this machine lacks it."""
    try:
        return resolve_device(trained_on)
    except UserError:
        print(f"warning: trained on {trained_on}, which this machine lacks: using the cpu", file=sys.stderr)
        return "cpu"

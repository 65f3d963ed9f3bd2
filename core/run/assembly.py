"""Puts a run's parts together: its environments and agents, with what this machine decides."""

from __future__ import annotations

import contextlib
import dataclasses
import sys

import numpy as np

from tengen.config import RunConfig
from tengen.contracts import Agent, Environment
from tengen.device import resolve_device, resolve_threads
from tengen.drive import why_not_compiled
from tengen.envs import make_env
from tengen.envs.protocols import with_content
from tengen.errors import UserError
from tengen.registry import names, resolve_agent
from tengen.run.recorder import Recorder
from tengen.run.repetitions import Repetition, Repetitions
from tengen.types import EnvSpec


def assemble(config: RunConfig, stack: contextlib.ExitStack, start: int = 0) -> tuple[Repetitions, RunConfig]:
    """Make the environments and the agents, and return the config with what was resolved on this machine.

    Args:
        config: The run's settings.
        stack: Closes the environments.
        start: Decisions made already.

    Raises:
        UserError: A setting, the environment or the agent won't do.
    """
    device = resolve_device(config.device, uses_torch=config.uses_torch)
    config = dataclasses.replace(config, device=device, threads=resolve_threads(config.threads))
    if config.device.startswith("cuda"):
        compute_deterministically()
    parts = [_parts(dataclasses.replace(config, seed=config.seed + r), stack) for r in range(config.num_runs)]
    agent, env = parts[0]
    config = _with_driver(_with_protocol(config, env), agent, env)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(config.threads)  # sums differ between thread counts
    members = []
    for r, (agent, env) in enumerate(parts):
        recorder = Recorder(env.spec.num_envs, config.log_period, start, config.log_episodes == "each")
        members.append(Repetition(agent, env, recorder, _env_seed(config.seed + r)))
    return Repetitions(members, config.driver == "compiled"), config


def _parts(config: RunConfig, stack: contextlib.ExitStack) -> tuple[Agent, Environment]:
    env = make_env(config.env, training=True)
    stack.callback(env.close)
    require_agent_takes(config, env.spec)
    rng = np.random.default_rng(_seeds(config.seed)[0])
    obstacle = getattr(config.agent_config, "obstacle", None)
    if obstacle is not None and (reason := obstacle(config.device)) is not None:
        raise UserError(reason)
    agent: Agent = config.agent_config.build(env.spec, rng, config.device)
    return agent, env


def _with_protocol(config: RunConfig, env: Environment) -> RunConfig:
    """Return a config with the name of the protocol that the environment chose by itself, or the content of a file."""
    chosen = getattr(env, "base_protocol", None)
    if chosen is None:
        return config
    protocol = chosen if config.env.protocol is None else with_content(config.env.protocol)
    return dataclasses.replace(config, env=dataclasses.replace(config.env, protocol=protocol))


def _with_driver(config: RunConfig, agent: Agent, env: Environment) -> RunConfig:
    """Return a config with the driver of the loop, and what it logs of episodes, decided.

    Raises:
        UserError: It asks for a compiled loop that can't be.
    """
    reason = why_not_compiled(agent, env)
    if config.driver == "compiled" and reason is not None:
        raise UserError(f"--driver compiled can't be had for {config.agent} on {config.env.id}: {reason}; leave it out")
    driver = ("python" if reason else "compiled") if config.driver == "auto" else config.driver
    log_episodes = config.log_episodes
    if config.num_runs > 1:
        if log_episodes == "each":
            raise UserError(
                "--log-episodes each is for one run, of several the rows are means: leave one of the two out"
            )
        log_episodes = "mean"
    elif log_episodes == "auto":
        log_episodes = "each" if reason else "mean"
    return dataclasses.replace(config, driver=driver, log_episodes=log_episodes)


def _seeds(seed: int) -> list[np.random.SeedSequence]:
    """Return independent seeds for the agent and the environment."""
    return np.random.SeedSequence(seed).spawn(2)


def _env_seed(seed: int) -> int:
    """Return what the environment's first reset takes, in 63 bits."""
    return int(_seeds(seed)[1].generate_state(1, np.uint64)[0] >> 1)


def compute_deterministically() -> None:
    """Have CUDA compute the same numbers each time, in this process from now on."""
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
    reason = type(config.agent_config).refusal(spec)
    if reason is None:
        return
    others = [name for name in names("agents") if _takes(name, spec)]
    raise UserError(
        f"{config.agent} can't be trained on {spec.id}: {reason}. Agents that could: {', '.join(others) or 'none yet'}."
    )


def _takes(name: str, spec: EnvSpec) -> bool:
    try:
        return resolve_agent(name)[0].refusal(spec) is None
    except Exception:  # a plug-in that is broken, or missing a package, is no suggestion
        return False

"""Options of the commands that play with what a run has learnt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tengen.cli.options import Option
from tengen.errors import UserError

RUN = Option("run", Path, "The run's folder.", positional=True)
CHECKPOINT = Option("checkpoint", str, "latest, best, or the step of a checkpoint.", "latest", "latest|best|STEP")
REPETITION = Option("repetition", int, "Of a run of several at once (train's --num-runs): which, from 0.", 0)
EPSILON = Option(
    "epsilon", float | None, "Probability of a random action; the protocol's own unless given, or 0.", None
)


_MOST = 10**9


def check_episodes(given: Mapping[str, Any]) -> None:
    """Refuse values out of their range.

    Raises:
        UserError: One is.
    """
    for name in ("episodes", "num-envs"):
        if given.get(name, 1) < 1:
            raise UserError(f"--{name} must be at least 1, got {given[name]}")
        if given.get(name, 1) > _MOST:
            raise UserError(f"--{name} must be at most {_MOST}, got {given[name]}")
    most = 2**63 - given["episodes"] - given.get("num-envs", 1)  # the seeds that follow are 64-bit integers too
    if not 0 <= given["seed"] <= most:
        raise UserError(f"--seed must be between 0 and {most}, got {given['seed']}")
    if given["epsilon"] is not None and not 0 <= given["epsilon"] <= 1:
        raise UserError(f"--epsilon must be between 0 and 1, got {given['epsilon']}")


def epsilon_of(given: Mapping[str, Any], env: Any) -> float:
    """Return the epsilon that was given, else the one of the environment's protocol, else 0."""
    return float(getattr(env, "evaluation_epsilon", 0.0) if given["epsilon"] is None else given["epsilon"])

"""The settings of a run, resolved and saved with it. Standard library only.

Precedence, lowest first: the dataclasses' defaults, the preset, the user's file, the command line.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from tengen.envs.config import EnvConfig
from tengen.errors import UserError

Tracking = Literal["none", "wandb", "tensorboard"]


@dataclass(frozen=True)
class TrackConfig:
    """Where metrics go besides the run's own `metrics.jsonl`."""

    to: Tracking = "none"
    """The mirror of the metrics: wandb, tensorboard or none."""
    mode: Literal["online", "offline", "disabled"] = "online"
    """W&B's mode; without a key or network an online run goes offline by itself."""
    project: str = "tengen"
    """W&B project."""
    entity: str | None = None
    """W&B entity (user or team)."""
    group: str | None = None
    """W&B group."""
    name: str | None = None
    """W&B display name; the run folder's name unless given."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    video: bool = False
    """Log a video of one evaluation episode at each evaluation."""


@dataclass(frozen=True)
class RunConfig:
    """All that a run is: with the same versions and threads, the same RunConfig gives the same run."""

    agent: str
    """The agent's registered name."""
    agent_config: Any
    """The agent's config dataclass, resolved."""
    env: EnvConfig = field(default_factory=EnvConfig)
    """The environment."""
    steps: int = 50_000
    """Decisions to train for, summed over environments."""
    seed: int = 0
    """Seed of everything random in the run."""
    device: str = "cpu"
    """Resolved device: cpu, cuda or cuda:N."""
    threads: int = 1
    """Threads of torch on the CPU: a part of the run, since sums differ between thread counts."""
    checkpoint_period: int = 10_000
    """Steps between checkpoints; 0 only at the end."""
    eval_period: int = 0
    """Steps between evaluations; 0 for none."""
    eval_episodes: int = 10
    """Episodes of each of those evaluations."""
    log_period: int = 1_000
    """Steps between rows of training metrics; each finished episode has a row of its own."""
    track: TrackConfig = field(default_factory=TrackConfig)
    """Mirrors of the metrics."""
    preset: str | None = None
    """The preset that was applied."""

    def __post_init__(self) -> None:
        for name in ("steps", "eval_episodes", "log_period", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        for name in ("checkpoint_period", "eval_period", "seed"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return dataclasses.asdict(self)

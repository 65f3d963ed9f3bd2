"""The settings of a run, resolved and saved with it. Standard library only.

Precedence, lowest first: the dataclasses' defaults, the preset, the user's file, the command line.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tengen.envs.config import EnvConfig
from tengen.errors import UserError
from tengen.registry import resolve_agent
from tengen.typed import build, check_values, default_values, overlay, unknown_setting

Tracking = Literal["none", "wandb", "tensorboard"]
Driver = Literal["auto", "compiled", "python"]


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
    job_type: str | None = None
    """W&B job type."""
    name: str | None = None
    """W&B display name; the run folder's name unless given."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    video: bool = False
    """Log a video of one evaluation episode at each evaluation."""


_MOST = {"steps": 2**63 - 1, "eval_episodes": 10**9, "threads": 1024, "num_runs": 65_536}


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
    """Where the agent computes: cpu, cuda or cuda:N; auto takes cuda where there is one."""
    threads: int = 1
    """Threads of torch on the CPU, a part of the run since sums differ between thread counts; 0 takes up to 4."""
    checkpoint_period: int = 10_000
    """Steps between checkpoints; 0 only at the end."""
    eval_period: int = 0
    """Steps between evaluations; 0 for none."""
    eval_episodes: int = 10
    """Episodes of each of those evaluations."""
    log_period: int = 1_000
    """Steps between rows of training metrics."""
    log_episodes: Literal["each", "mean", "auto"] = "auto"
    """A row for each finished episode, or their mean in each period's row; auto: mean where the loop can compile."""
    num_runs: int = 1
    """Independent repetitions with the seeds S, S+1, ..., side by side; metrics are means over them, with intervals."""
    driver: Driver = "auto"
    """Run the loop compiled or step by step, with equal results; auto: compiled where agent and environment can."""
    track: TrackConfig = field(default_factory=TrackConfig)
    """Mirrors of the metrics."""
    preset: str | None = None
    """Settings for this agent and environment (`tengen list presets`) or a .toml, chosen by itself; none: leave out."""

    def __post_init__(self) -> None:
        for name in ("steps", "eval_episodes", "log_period", "num_runs"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        for name in ("checkpoint_period", "eval_period", "seed", "threads"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise UserError(f"--{name.replace('_', '-')} must be at most {most}, got {getattr(self, name)}")
        if self.num_runs > 1 and self.eval_period > 0:
            raise UserError(
                f"--eval-period {self.eval_period} is for one run: leave it out, and evaluate the repetitions when they"
                " are done, or leave --num-runs out"
            )

    @property
    def uses_torch(self) -> bool:
        """Whether the agent computes with torch, as far as it says."""
        return bool(getattr(self.agent_config, "uses_torch", True))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return dataclasses.asdict(self)


PLACES: Mapping[tuple[str, str], str] = {
    ("env", "id"): "env",
    ("env", "num_envs"): "num_envs",
    ("env", "protocol"): "protocol",
    ("track", "to"): "track",
}
"""Settings that go by a shorter name than their place in RunConfig says: `--num-envs`, not `--env.num-envs`."""


def run_config_from_dict(values: Mapping[str, Any], where: str = "config.json") -> RunConfig:
    """Return the settings that `RunConfig.to_dict` gave, also after a trip through JSON.

    Args:
        values: Nested dicts; fields that are missing get their defaults.
        where: What to blame for a wrong value.

    Raises:
        UserError: A setting is missing, unknown, of the wrong type, or out of its range.
    """
    for name in ("agent", "agent_config"):
        if name not in values:
            raise UserError(f"{where}: the setting {name!r} is missing")
    if not isinstance(values["agent"], str):
        raise UserError(f"{where}: agent must be a text, got {values['agent']!r}")
    try:
        return make_run_config(values["agent"], check_settings(values["agent"], values, where))
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def read_settings_file(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file, in RunConfig's shape and not yet checked.

    Its keys are the names of the command line's options; a dotted one is a table. `agent`, `env` and `track` are either
    a name or a table (`[agent]` with the agent's fields and maybe its `name`).

    Raises:
        UserError: The file can't be read or isn't TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the settings file {path} can't be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise UserError(f"the settings file {path} is not TOML: {error}") from error
    return from_short_names(values, str(path))


def from_short_names(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return settings given by the names of options in RunConfig's shape.

    Raises:
        UserError: A setting is given twice.
    """
    result: dict[str, Any] = {}

    def put(value: Any, *path: str) -> None:
        table = result
        for name in path[:-1]:
            table = table.setdefault(name, {})
        if path[-1] in table:
            raise UserError(f"{where}: {'.'.join(path)} is given twice")
        table[path[-1]] = value

    by_name = {short: path for path, short in PLACES.items()}
    for name, value in values.items():
        if name == "agent" and isinstance(value, Mapping):
            for key, item in value.items():
                put(item, *(("agent",) if key == "name" else ("agent_config", key)))
        elif isinstance(value, Mapping) and name in ("env", "track"):
            for key, item in value.items():
                put(item, name, key)
        elif name in by_name:
            put(value, *by_name[name])
        elif name == "agent_config":
            raise unknown_setting(name, ["agent"], where)
        else:
            put(value, name)
    return result


def default_settings(agent: str) -> dict[str, Any]:
    """Return the defaults of a run with an agent, its variant's changes included."""
    config_class, changes = resolve_agent(agent)
    defaults = {**default_values(RunConfig), "agent": agent, "agent_config": default_values(config_class)}
    return lay_over(agent, defaults, check_settings(agent, {"agent_config": changes}, f"the variant {agent}"))


def check_settings(agent: str, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return settings in RunConfig's shape with their types checked, `agent_config` by the agent's own class.

    Raises:
        UserError: A setting is unknown or has the wrong type.
    """
    rest = {name: value for name, value in values.items() if name != "agent_config"}
    checked = check_values(RunConfig, rest, where)
    if "agent_config" in values:
        checked["agent_config"] = check_values(resolve_agent(agent)[0], values["agent_config"], where, "agent.")
    return checked


def lay_over(agent: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay checked settings over others."""
    result = overlay(below, above, RunConfig)
    agent_class = resolve_agent(agent)[0]
    result["agent_config"] = overlay(below.get("agent_config", {}), above.get("agent_config", {}), agent_class)
    return result


def make_run_config(agent: str, settings: Mapping[str, Any]) -> RunConfig:
    """Make a RunConfig of checked settings.

    An agent whose schedules need to know how long it will train has a field `total_steps`, by default None; it is
    filled in from `steps` here, once: a run that goes on for longer leaves it as it is.

    Raises:
        UserError: A value is out of its range.
    """
    refuse_unsaved(settings)
    agent_settings = settings["agent_config"]
    if "total_steps" in agent_settings and agent_settings["total_steps"] is None:
        agent_settings = {**agent_settings, "total_steps": settings["steps"]}
    agent_config = build(resolve_agent(agent)[0], agent_settings)
    return build(RunConfig, {**settings, "agent": agent, "agent_config": agent_config})


def refuse_unsaved(value: Any, *path: str) -> None:
    """Refuse values that a run's settings can't be saved with, wherever they are among them.

    Raises:
        UserError: There is a whole number that has no place in 64 bits, a NaN, or a date.
    """
    name = ".".join(path).replace("agent_config", "agent")
    if isinstance(value, Mapping):
        for key, part in value.items():
            refuse_unsaved(part, *path, key)
    elif isinstance(value, list | tuple):
        for part in value:
            refuse_unsaved(part, *path)
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise UserError(f"{name} must be below 2**63, got {value}")
    elif isinstance(value, float) and math.isnan(value):
        raise UserError(f"{name} must be a number, got {value}")
    elif not isinstance(value, bool | int | float | str | None):
        raise UserError(f"{name} must be a number, a text, true or false, got {type(value).__name__} {value}")

"""`tengen train`: start a run, or go on with one."""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import os
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from tengen.cli.options import REQUIRED, Command, Option, Parsed, asks_for_help, parse, peek
from tengen.config import (
    PLACES,
    RunConfig,
    TrackConfig,
    check_settings,
    default_settings,
    from_short_names,
    lay_over,
    make_run_config,
    read_settings_file,
)
from tengen.device import resolve_device, resolve_threads
from tengen.errors import UserError
from tengen.presets import Preset, find_preset, get_preset, read_preset_file
from tengen.registry import names, resolve_agent, summarise_agent
from tengen.typed import build, field_docs, field_types, is_union, to_values

if TYPE_CHECKING:
    from tengen.run import RunResult

_CHANGEABLE = ("resume", "steps", "device", "driver", "track")  # when a run goes on

_EXAMPLES = (
    "tengen train dqn --env CartPole-v1",
    "tengen train dqn --env ALE/Breakout-v5 --protocol machado2018 --seed 1 --run-dir runs/mine",
    "tengen train q_learning --env Taxi-v4 --num-runs 8",
    "tengen train dqn --env Acrobot-v1 --steps 200000 --agent.learning-rate 1e-3 --agent.hidden 64 64",
    "tengen train dqn --env CartPole-v1 --config mine.toml --track wandb --track.tags a b",
    "tengen train --resume runs/mine --steps 2000000",
)

_SPECIAL = (
    Option("run-dir", Path | None, "The run's own folder; runs/ENV/AGENT/TIME-seedN-PID unless given.", None, "DIR"),
    Option(
        "resume",
        Path | None,
        "Go on with this run; only --steps, --device, --driver and --track* may differ.",
        None,
        "RUN",
    ),
    Option("config", Path | None, "A TOML file of settings, by the names of these options.", None, "FILE"),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    command_line = ["tengen", "train", *arguments]
    if peek(arguments, "resume") is not None and not asks_for_help(arguments):
        return _resume(arguments, command_line)
    return _start(arguments, command_line)


def _start(arguments: Sequence[str], command_line: Sequence[str]) -> int:
    resolved = resolve(arguments)
    if resolved is None:
        return 0
    config, folder = resolved
    config = dataclasses.replace(config, device=resolve_device(config.device, uses_torch=config.uses_torch))

    from tengen.run import train

    return _report(train(config, folder or default_folder(config), command=command_line))


def resolve(arguments: Sequence[str]) -> tuple[RunConfig, Path | None] | None:
    """Return the settings of a new run, and its folder where one is given; None after printing the help asked for.

    The device may still be "auto".

    Raises:
        UserError: A setting is unknown, missing or wrong.
    """
    path = peek(arguments, "config")
    file = {} if path is None else read_settings_file(Path(path))
    agent = _agent_name(arguments, file)
    if agent is None:  # help was asked for, of no agent in particular
        parse(_command(None), [*_SPECIAL, *_run_options(default_settings("random"), None)], ["--help"])
        return None
    file = check_settings(agent, file, str(path))
    env_id = peek(arguments, "env") or file.get("env", {}).get("id")
    preset = _preset(agent, env_id, peek(arguments, "preset") or file.get("preset"))
    settings = _without_env({**default_settings(agent), "device": "auto"})
    for layer in (_preset_settings(agent, preset), file):
        settings = lay_over(agent, settings, layer)
    settings["preset"] = None if preset is None else preset.name
    options = [*_SPECIAL, *_run_options(settings, agent)]
    parsed = parse(_command(agent), options, arguments[1:] if arguments[:1] == [agent] else arguments)
    if parsed is None:
        return None
    settings = lay_over(agent, settings, _settings_of(parsed, settings, agent))
    settings["preset"] = None if preset is None else preset.name
    settings["threads"] = resolve_threads(settings["threads"])
    return make_run_config(agent, settings), parsed.values["run-dir"]


def _resume(arguments: Sequence[str], command_line: Sequence[str]) -> int:
    from tengen.run import open_run, resume

    text = peek(arguments, "resume")
    if not text or text.startswith("--"):
        raise UserError("--resume needs a value: the run's folder")
    folder = Path(text)
    config = open_run(folder).config
    if not arguments[0].startswith("-"):
        raise UserError(f"a run goes on with its own agent, {config.agent}: leave {arguments[0]!r} out")
    options = [*_SPECIAL, *_run_options(to_values(config), config.agent)]
    parsed = parse(_command(config.agent), options, arguments)
    assert parsed is not None, "help was asked for"
    for name in sorted(parsed.given):
        if name.partition(".")[0] not in _CHANGEABLE:
            raise UserError(
                f"--{name} can't change when a run goes on, only --steps, --device, --driver and --track* can: leave "
                "it out, or start a new run"
            )
    given = _settings_of(parsed, to_values(config), config.agent)
    if given["steps"] < 1:
        raise UserError(f"--steps must be at least 1, got {given['steps']}")
    tracks = any(name.partition(".")[0] == "track" for name in parsed.given)
    return _report(
        resume(
            folder,
            steps=given["steps"] if "steps" in parsed.given else None,
            device=resolve_device(given["device"], uses_torch=config.uses_torch) if "device" in parsed.given else None,
            driver=given["driver"] if "driver" in parsed.given else None,
            track=build(TrackConfig, given["track"]) if tracks else None,
            command=command_line,
        )
    )


def _agent_name(arguments: Sequence[str], file: Mapping[str, Any]) -> str | None:
    """Return the agent's name; None when only help is asked for."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0]
    agent = file.get("agent")
    if isinstance(agent, str):
        return agent
    if asks_for_help(arguments):
        return None
    raise UserError(
        f"say which agent to train, first of all: `{_EXAMPLES[0]}`. Agents: {', '.join(names('agents'))}."
        " Or go on with a run: `tengen train --resume RUN`"
    )


def _preset(agent: str, env_id: str | None, chosen: str | None) -> Preset | None:
    if chosen is None:
        return None if env_id is None else find_preset(agent, env_id)
    if chosen == "none":
        return None
    preset = read_preset_file(Path(chosen)) if chosen.endswith(".toml") else get_preset(chosen)
    if preset.agent != agent:
        raise UserError(f"the preset {preset.name} is for {preset.agent}, not for {agent}: choose another, or none")
    return preset


def _preset_settings(agent: str, preset: Preset | None) -> dict[str, Any]:
    if preset is None:
        return {}
    where = f"the preset {preset.name}"
    return check_settings(agent, from_short_names(preset.settings, where), where)


def _command(agent: str | None) -> Command:
    if agent is None:
        about = f"AGENT is one of: {', '.join(names('agents'))}. `tengen train AGENT --help` lists its own settings."
        return Command("tengen train AGENT", f"Train an agent, or go on with a run. {about}", _EXAMPLES)
    about = " ".join(summarise_agent(agent).split())
    return Command(f"tengen train {agent}", f"Train {agent}: {about}", _EXAMPLES)


def _without_env(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without an environment's id: a run has to name its own."""
    return {**settings, "env": {name: value for name, value in settings["env"].items() if name != "id"}}


def _run_options(settings: Mapping[str, Any], agent: str | None) -> list[Option]:
    """Return the options of a run and of its agent, with the defaults that apply."""
    options = []
    for path, (kind, doc) in _leaves(agent).items():
        default = _get(settings, path)
        metavar = None
        if get_origin(kind) is dict:
            kind, default, metavar = str, json.dumps(default, default=str), "TABLE"
        elif is_union(kind):  # what a file's name may stand for, too, is given by that name
            kind = functools.reduce(operator.or_, (part for part in get_args(kind) if get_origin(part) is not dict))
            default = default.get("name") if isinstance(default, dict) else default
        options.append(Option(_option_name(path), kind, doc, default, metavar))
    return sorted(options, key=lambda option: option.name != "env")


def _leaves(agent: str | None) -> dict[tuple[str, ...], tuple[Any, str]]:
    """Return type and documentation of each setting by its path in RunConfig."""
    found: dict[tuple[str, ...], tuple[Any, str]] = {}

    def visit(cls: type[Any], *path: str) -> None:
        docs = field_docs(cls)
        for name, kind in field_types(cls).items():
            if dataclasses.is_dataclass(kind):
                assert isinstance(kind, type)
                visit(kind, *path, name)
            elif kind is not Any and (path or name != "agent"):
                found[*path, name] = (kind, docs.get(name, ""))

    visit(RunConfig)
    if agent is not None:
        visit(resolve_agent(agent)[0], "agent_config")
    return found


def _option_name(path: tuple[str, ...]) -> str:
    short = PLACES.get((path[0], path[-1])) if len(path) == 2 else None
    head = "agent" if path[0] == "agent_config" else path[0]
    return (short or ".".join([head, *path[1:]])).replace("_", "-")


def _get(settings: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = settings
    for name in path:
        if name not in value:
            return REQUIRED
        value = value[name]
    return value


def _settings_of(parsed: Parsed, below: Mapping[str, Any], agent: str) -> dict[str, Any]:
    """Return the values of options in RunConfig's shape."""
    settings: dict[str, Any] = {}
    for path, (kind, _) in _leaves(agent).items():
        name, default = _option_name(path), _get(below, path)
        value = parsed.values[name]
        if name not in parsed.given and isinstance(default, dict):
            value = default
        elif get_origin(kind) is dict:
            value = parse_table(value, name)
        table = settings
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = value
    return settings


def parse_table(text: str, name: str) -> dict[str, Any]:
    """Return the table that a text says in TOML (`{a = 1}`) or JSON (`{"a": 1}`).

    Raises:
        UserError: It says something else.
    """
    for read in (json.loads, lambda text: tomllib.loads(f"table = {text}")["table"]):
        try:
            table = read(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(table, dict):
            return table
    example = "'{difficulty = 3}' or '{\"difficulty\": 3}'"
    raise UserError(f"--{name} must be a table such as {example}, got {text[:200]!r}")


def default_folder(config: RunConfig) -> Path:
    """Return a folder that does not exist yet: runs/ENV/AGENT/TIME-seedN-PID."""
    parent = Path("runs") / config.env.id.replace("/", "-").replace(":", "-") / config.agent.replace(":", "-")
    name = f"{datetime.now():%Y%m%d-%H%M%S}-seed{config.seed}-{os.getpid()}"  # two may start in the same second
    folder, number = parent / name, 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def _report(result: RunResult) -> int:
    """Say how a session ended, and return the exit code."""
    if result.signal is not None:
        print(
            f"stopped by {signal.Signals(result.signal).name} at step {result.step}, which is saved; "
            f"go on with `tengen train --resume {result.folder}`",
            file=sys.stderr,
        )
        return 128 + result.signal
    print(f"{result.folder}: {result.step} steps done")
    means = result.summary.get("last_means")
    if means:
        print(
            f"return {means['charts/episodic_return']:.6g} +- {means['charts/episodic_return_ci95']:.3g} (95%), mean of"
            f" the last episodes of {result.summary['num_runs']} runs"
        )
    print(f"`tengen evaluate {result.folder}` plays whole episodes with what it has learnt", file=sys.stderr)
    return 0

"""A run's settings as a preset file, which `tengen train --preset` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tengen.config import default_settings


def preset_text(agent: str, env: str, source: str, settings: Mapping[str, Any]) -> str:
    """Return a run's settings as a preset file: the environment's, and the agent's that differ from its defaults.

    Args:
        agent: Its registered name.
        env: The environment's id.
        source: Where the settings come from.
        settings: The run's `config.json`.
    """
    name = re.sub("[^a-z0-9_-]", "-", f"sweep-{agent}-{env}".lower())  # a bare key of TOML
    defaults = default_settings(agent)
    lines = [f"[{name}]", f'for = {{ agent = "{agent}", env = "{env}" }}', f"source = {json.dumps(source)}"]
    lines.append(f"steps = {settings['steps']}")
    if settings["env"]["num_envs"] != 1:
        lines.append(f"num_envs = {settings['env']['num_envs']}")
    own = {key: settings["env"][key] for key in ("kwargs", "action_mask") if settings["env"][key]}
    if own:
        lines += ["", f"[{name}.env]", *(f"{key} = {_toml(value)}" for key, value in own.items())]
    lines += ["", f"[{name}.agent]"]
    for key, value in settings["agent_config"].items():
        default = defaults["agent_config"].get(key)
        if value is None and default is not None:
            lines.append(f"# {key} is none, which a preset can't say: give --agent.{key.replace('_', '-')} none")
        elif json.dumps(value) != json.dumps(default) and key != "total_steps":
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)

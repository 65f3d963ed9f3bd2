"""The settings of finished runs: which of them belong to the task, which to the agent, and how two are told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tengen.evaluation.comparison.finished import FinishedRun

# Settings that decide nothing about what is learnt, or that the task or the seed stand for.
_NOT_THE_AGENTS = ("seed", "preset", "num_runs", "driver", "checkpoint_period", "log_period", "log_episodes")
MACHINES = ("device", "threads")
_TASKS = ("env.id", "env.protocol", "env.action_mask", "env.kwargs")


def task_settings(run: FinishedRun) -> dict[str, Any]:
    """Return the settings of the environment itself but its protocol; its keyword arguments may be flattened."""
    own = [name for name in run.settings if name.startswith(_TASKS) and not name.startswith("env.protocol")]
    return {name: run.settings[name] for name in own}


def agent_settings(run: FinishedRun) -> dict[str, Any]:
    """Return the settings that decide what is learnt, and how it is judged, by dotted names."""
    return {
        name: value
        for name, value in run.settings.items()
        if name not in (*_NOT_THE_AGENTS, *MACHINES) and not name.startswith(("track.", *_TASKS))
    }


def differing_names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of settings that are not the same in all."""
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({setting_key(each.get(name, "absent")) for each in settings}) > 1]


def short(value: Any) -> str:
    """Return a setting's value for a label: as it is, or its beginning."""
    if isinstance(value, float):
        text = f"{value:g}"
    else:
        text = setting_key(value) if isinstance(value, list | dict) else str(value)
    return text if len(text) <= 30 else text[:27] + "..."


def setting_key(value: Any) -> str:
    """Return text by which settings are told to be equal."""
    return json.dumps(value, sort_keys=True, default=str)

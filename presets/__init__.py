"""Data: presets, protocols and score tables; and the loader of presets.

A preset is the settings that an agent does well with on an environment. Each is a table in a TOML file of this folder;
its keys are the names of the command line's options, as in a user's settings file. Standard library only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from tengen.errors import UserError, did_you_mean

__all__ = ["Preset", "find_preset", "get_preset", "presets", "read_preset_file"]


@dataclass(frozen=True)
class Preset:
    """Settings for an agent on the environments that a pattern names."""

    name: str
    """The table's name."""
    agent: str
    """The agent's registered name."""
    env: str
    """A pattern of environment ids, such as `ALE/*`."""
    source: str
    """Where the settings come from."""
    settings: Mapping[str, Any]
    """By the names of the command line's options."""


@cache
def presets() -> dict[str, Preset]:
    """Return all presets by name, sorted; a pattern that is more exact comes before its rival."""
    found: dict[str, Preset] = {}
    files = (entry for entry in resources.files("tengen.presets").iterdir() if entry.name.endswith(".toml"))
    for entry in sorted(files, key=lambda entry: entry.name):
        for name, table in tomllib.loads(entry.read_text(encoding="utf-8")).items():
            settings = dict(table)
            fits = settings.pop("for")
            assert name not in found, f"two presets are called {name}"
            found[name] = Preset(name, fits["agent"], fits["env"], settings.pop("source"), settings)
    return dict(sorted(found.items()))


def find_preset(agent: str, env_id: str) -> Preset | None:
    """Return the preset for an agent on an environment; of several that fit, the one with the longest pattern."""
    fitting = [preset for preset in presets().values() if preset.agent == agent and fnmatchcase(env_id, preset.env)]
    return max(fitting, key=lambda preset: len(preset.env), default=None)


def read_preset_file(path: Path) -> Preset:
    """Return the preset of a file of one's own: one table, as in this folder's files; it is called by its path.

    Raises:
        UserError: The file can't be read, or holds anything else.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the preset file {path} can't be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise UserError(f"the preset file {path} is not TOML: {error}") from error
    (only,) = tables.values() if len(tables) == 1 else (None,)
    table = dict(only) if isinstance(only, dict) else {}
    fits = table.pop("for", None)
    if not isinstance(fits, dict) or not all(isinstance(fits.get(name), str) for name in ("agent", "env")):
        raise UserError(
            f"the preset file {path} must hold one table, with for = {{ agent = ..., env = ... }}, such as"
            " `tengen sweep` writes; give a file of plain settings as --config"
        )
    return Preset(str(path), fits["agent"], fits["env"], str(table.pop("source", path)), table)


def get_preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        UserError: There is no such preset.
    """
    known = presets()
    if name not in known:
        raise UserError(
            f"no preset is called {name!r}.{did_you_mean(name, list(known))} Known: {', '.join(known)}, or none."
        )
    return known[name]

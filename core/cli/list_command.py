"""`tengen list`: the names that commands take."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal

from tengen.cli.options import Command, Option, parse

Kind = Literal["agents", "envs", "presets", "protocols", "planners"]

_COMMAND = Command(
    "tengen list",
    "List the names that commands take.",
    ("tengen list agents", "tengen list envs", "tengen list presets --json"),
)
_OPTIONS = (
    Option("kind", Kind, "What to list: agents, envs, presets, protocols or planners.", positional=True),
    Option("json", bool, "Print one JSON object.", False),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    entries = _LISTS[parsed.values["kind"]]()
    if parsed.values["json"]:
        print(json.dumps({parsed.values["kind"]: entries}))
    else:
        width = max((len(name) for name in entries), default=0)
        for name, about in entries.items():
            print(f"{name:<{width}}  {about}")
    return 0


def _agents() -> dict[str, str]:
    from tengen.registry import names, summarise_agent

    return {name: _first_line(summarise_agent, name) for name in names("agents")}


def _first_line(summarise: Callable[[str], str], name: str) -> str:
    from tengen.errors import UserError

    try:
        return summarise(name).strip().split("\n")[0]
    except UserError as error:  # a plug-in that can't be loaded hides no other
        return str(error)


def _envs() -> dict[str, str]:
    from tengen.registry import names

    return {
        **dict.fromkeys(names("envs"), "registered"),
        "ALE/<Game>-v5": "any Atari game, as in ALE/Breakout-v5, under a protocol",
        "MinAtar/<Game>-v1": "Asterix, Breakout, Freeway, Seaquest or SpaceInvaders on 10x10 (extra minatar)",
        "<Gymnasium id>": "any environment that Gymnasium knows, with its version, as in CartPole-v1",
        "<module>:<id>": "the same, after importing a module that registers it",
    }


def _presets() -> dict[str, str]:
    from tengen.presets import presets

    return {name: f"{preset.agent} on {preset.env}: {preset.source}" for name, preset in presets().items()}


def _protocols() -> dict[str, str]:
    from tengen.envs.protocols import load_protocol, protocol_names

    return {name: load_protocol(name).reference for name in protocol_names()}


def _planners() -> dict[str, str]:
    from tengen.registry import names, resolve_planner

    return {
        name: _first_line(lambda name: str(resolve_planner(name).__doc__ or ""), name) for name in names("planners")
    }


_LISTS = {"agents": _agents, "envs": _envs, "presets": _presets, "protocols": _protocols, "planners": _planners}

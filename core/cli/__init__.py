"""The command line. Standard library only until a command is known, so that `tengen --help` is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from tengen.cli.guard import guarded

__all__ = ["main"]

_COMMANDS = {
    "train": "train an agent, or go on with a run",
    "evaluate": "play whole episodes with what a run has learnt, and report the returns",
    "play": "write a GIF or MP4 of a run's policy playing",
    "inspect": "draw the values and the policy that a run has learnt",
    "plan": "find values and a policy by dynamic programming over transition tables",
    "perceive": "fit networks to examples, such as records of games, and test them",
    "compare": "train agents with several seeds, or take finished runs, and say what the evidence says",
    "gtp": "play Go with programs that speak the Go Text Protocol",
    "match": "play matches of Go between engines, with a referee",
    "sweep": "look for good settings of an agent on an environment",
    "checkpoint": "show a run's latest checkpoint and the digest of its state",
    "list": "list agents, environments, presets, protocols or planners",
}

_EXAMPLES = """\
examples:
  tengen train dqn --env CartPole-v1
  tengen train dqn --env ALE/Breakout-v5 --protocol machado2018 --run-dir runs/mine
  tengen train --resume runs/mine --steps 2000000
  tengen evaluate runs/mine --episodes 100 --json
  tengen plan value_iteration --env FrozenLake-v1
  tengen list envs"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 1: a wanted return missed, 2: bad input, a full disk, 128 + N: signal N."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _dispatch(arguments))


def _dispatch(arguments: list[str]) -> int:
    from tengen.errors import UserError, did_you_mean

    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    command, *rest = arguments
    if command in ("-V", "--version"):
        from tengen import __version__

        print(f"tengen {__version__}")
        return 0
    if command not in _COMMANDS:
        known = list(_COMMANDS)
        raise UserError(
            f"there is no command {command!r}.{did_you_mean(command, known)} Commands: {', '.join(known)}; "
            "see `tengen --help`."
        )
    code: int = import_module(f"tengen.cli.{command}_command").run(rest)
    return code


def _help() -> str:
    lines = [f"  {command:<12} {what}" for command, what in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: tengen COMMAND [OPTIONS]",
            "",
            "One loop for every kind of reinforcement-learning agent.",
            "",
            "commands:",
            *lines,
            "",
            "options:",
            "  -h, --help   of a command, too: tengen train dqn --help",
            "  --version",
            "",
            _EXAMPLES,
        ]
    )

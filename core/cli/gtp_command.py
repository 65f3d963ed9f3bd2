"""`tengen gtp`: an engine for programs that speak the Go Text Protocol, such as Sabaki and GoGui."""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tengen.cli.options import Command, Option, Parsed, parse
from tengen.errors import UserError

_COMMAND = Command(
    "tengen gtp",
    "Play Go over standard input and output by the Go Text Protocol (GTP) version 2, with analysis.",
    (
        "tengen gtp",
        "tengen gtp --size 19 --time 5 --threads 2",
        "tengen gtp --player mcts --playouts 20000",
        "tengen gtp --network runs/mine --time 2",
    ),
)
PLAYER_OPTIONS = (
    Option(
        "network",
        str | None,
        "A network: file, run or a shipped one's name; none: light playouts. Unless given, the one for the size.",
        "shipped",
        "FILE|NAME|RUN|none",
    ),
    Option("player", str | None, "In place of --network, a player as `tengen match` names them.", None, "PLAYER"),
    Option("playouts", int | None, "Simulations a move; until the time is over unless given.", None, "N"),
    Option("time", float | None, "Seconds a move; 1 unless --playouts or the other side's clock says more.", None, "S"),
    Option("threads", int, "Threads for playouts, or the network.", 1),
    Option("size", int, "Of the board, 2 to 19.", 9),
    Option("komi", float, "Points for White.", 7.5),
    Option("rules", str, "tromp-taylor or chinese.", "tromp-taylor"),
    Option("resign", float | None, "Win rate below which it resigns; none: never.", 0.03),
    Option("seed", int | None, "Of what it draws; another each time unless given.", None),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, PLAYER_OPTIONS, arguments)
    if parsed is None:
        return 0

    from tengen.evaluation.go.gtp_commands import COMMANDS
    from tengen.evaluation.go.server import serve

    engine = make_engine(parsed)
    with io.FileIO(sys.stdin.fileno(), closefd=False) as source:
        serve(engine, COMMANDS, source, sys.stdout.buffer)
    return 0


def make_engine(parsed: Parsed) -> Any:
    """Return the engine that the options ask for.

    Raises:
        UserError: They can't be had.
    """
    import numpy as np

    from tengen.envs.go.rules import named_rules
    from tengen.evaluation.go.engine import Engine
    from tengen.evaluation.go.rehearsal import Rehearsed

    given = parsed.values
    rules = named_rules(given["rules"], size=given["size"], komi=given["komi"])
    spec = _spec(parsed)
    settings = spec.settings(given["playouts"], given["time"], given["resign"])
    settings = dataclasses.replace(settings, removes_dead=given["rules"] != "tromp-taylor")
    if given["seed"] is not None and given["seed"] < 0:
        raise UserError(f"--seed must be 0 or more, got {given['seed']}")
    seed = int(np.random.default_rng().integers(2**31)) if given["seed"] is None else given["seed"]
    return Engine(Rehearsed(spec.maker()), rules, settings, seed)


def _spec(parsed: Parsed) -> Any:
    """Return whom the options mean."""
    from tengen.evaluation.go.specs import MOST_THREADS, PlayerSpec, parse_player

    given = parsed.values
    if not 1 <= given["threads"] <= MOST_THREADS:
        raise UserError(f"--threads must be between 1 and {MOST_THREADS}, got {given['threads']}")
    if {"player", "network"} <= parsed.given:
        raise UserError("--player and --network both say who plays: give one of them")
    if given["player"] is not None:
        spec = parse_player(given["player"])
        if spec.kind == "command":
            raise UserError(f"--player must be one of ours, such as mcts or network:FILE, got {given['player']!r}")
        return spec if "threads=" in spec.text else dataclasses.replace(spec, threads=given["threads"])
    network = given["network"]
    if network is None:
        return PlayerSpec("mcts", "mcts", threads=given["threads"])
    source = "" if network == "shipped" else str(Path(network).expanduser())
    return PlayerSpec(network, "network", source, threads=given["threads"])

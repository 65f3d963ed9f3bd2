"""Engines to test the Go Text Protocol with, and what an answer must look like."""

from __future__ import annotations

import re

from tengen.envs.go.rules import Rules
from tengen.evaluation.go.engine import Engine, EngineSettings
from tengen.evaluation.go.gtp import answer
from tengen.evaluation.go.gtp_commands import COMMANDS
from tengen.evaluation.go.specs import parse_player

ANSWER = re.compile(r"[=?][0-9]*( [^\n]*)?(\n[^\n]+)*\n\n")
"""An answer: a status, maybe a number, a space and text; no empty line but the one that ends it."""


def engine(player: str = "random", size: int = 9, seed: int = 1, **settings: object) -> Engine:
    rules = Rules.tromp_taylor(size)
    return Engine(parse_player(player).maker(), rules, EngineSettings(**{"playouts": 8, **settings}), seed)  # type: ignore[arg-type]


def ask(player: Engine, line: str) -> str | None:
    """What is written in answer to a line; an analysis ends as if the next line had come."""
    found = answer(line, player, COMMANDS, interrupted=lambda: True)
    if found is None:
        return None
    text = "".join(f"{part}\n" for part in found.lines) + "\n"
    assert ANSWER.fullmatch(text), text
    return text


def say(player: Engine, *lines: str) -> str:
    """The last of some lines' answers, all of which must be `=`."""
    text: str | None = ""
    for line in lines:
        text = ask(player, line)
        assert text is not None
        assert text.startswith("="), f"{line}: {text}"
    assert text is not None
    return text[1:].strip()

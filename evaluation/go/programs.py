"""How a game is begun with a program that speaks GTP: whether it speaks at all, and by which rules is played."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from tengen.envs.go.gtp_client import EngineError, GTPClient, RefusedError
from tengen.envs.go.rules import Rules
from tengen.evaluation.go.kata_rules import kata_rules

START_SECONDS: Final = 60.0
"""For a program to start in, which may have a network to load; one that has said nothing by then speaks no GTP."""


def begin_game(client: GTPClient, rules: Rules, seconds: float) -> None:
    """Begin a game on an empty board, and tell a program the rules that it has words for.

    Args:
        client: The program.
        rules: That the referee enforces.
        seconds: For its first answer.

    Raises:
        EngineError: It does not speak GTP, or can't play so.
    """
    _require_gtp(client, seconds)
    client.send(f"boardsize {rules.size}")
    client.send("clear_board")
    client.send(f"komi {rules.komi:g}")
    if client.knows("kata-set-rules"):
        _tell_rules(client, rules)


def _require_gtp(client: GTPClient, seconds: float) -> None:
    try:
        client.send("protocol_version", seconds)
    except RefusedError:
        raise
    except EngineError as error:
        if not client.alive:
            raise
        raise EngineError(
            f"{error}; it seems not to speak GTP: is an option missing, as in `gnugo --mode gtp`?"
        ) from error


def _tell_rules(client: GTPClient, rules: Rules) -> None:
    """Tell it the rules in the most exact of the ways that it understands."""
    ways = ways_to_say(rules)
    for way in ways:
        try:
            client.send(f"kata-set-rules {way}")
            return
        except RefusedError:
            if way == ways[-1]:
                raise


def ways_to_say(rules: Rules) -> tuple[str, ...]:
    """Return what the referee enforces as arguments of `kata-set-rules`, the most exact first.

    The dictionary is that of KataGo's GTP extensions; older programs know no `friendlyPassOk`, which is false since all
    stones left on the board count. The names say less: KataGo's `chinese` has simple ko and dead stones taken off.
    """
    # Without handicap: a program may take several first moves of Black's for handicap stones.
    rules = rules if rules.handicap else replace(rules, handicap_bonus="none")
    parts = kata_rules(rules)
    exact = [json.dumps(each, separators=(",", ":")) for each in ({**parts, "friendlyPassOk": False}, parts)]
    if not rules.suicide:
        return (*exact, "chinese-ogs", "chinese")
    is_named = (rules.ko, rules.scoring, rules.handicap_bonus) == ("positional", "area", "none")
    return ("tromp-taylor",) if is_named else (*exact, "tromp-taylor")

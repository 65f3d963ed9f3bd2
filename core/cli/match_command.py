"""`tengen match`: games of Go between two players, ours or programs that speak GTP."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tengen.cli.options import Command, Option, parse
from tengen.errors import UserError

_COMMAND = Command(
    "tengen match",
    "Play a match of Go between two players. A player is `mcts`, `mcts:playouts=2000,threads=2`, `network:FILE`"
    " (search), `policy:FILE` (no search), `random`, a run's folder, or the command line of a program that speaks GTP."
    " Ours make 1000 playouts a move unless told otherwise.",
    (
        'tengen match mcts:playouts=2000 "gnugo --mode gtp --level 10 --chinese-rules" --games 200',
        "tengen match mcts:playouts=4000 mcts:playouts=1000 --games 100 --parallel 2 --json",
        "tengen match policy:mine.safetensors random --size 19 --opening-moves 4 --out matches/mine",
    ),
)
_OPTIONS = (
    Option("a", str, "The first player; black in the first game.", positional=True),
    Option("b", str, "The second player.", positional=True),
    Option("games", int, "Games in all; an even number, so that colours are shared alike.", 200),
    Option("size", int, "Of the board, 2 to 19.", 9),
    Option("komi", float, "Points for White.", 7.5),
    Option("rules", str, "tromp-taylor or chinese. Either way all stones left on the board count.", "chinese"),
    Option(
        "out",
        Path | None,
        "The match's folder; one that has games goes on. matches/A-B-SIZE unless given.",
        None,
        "DIR",
    ),
    Option("seed", int, "Of openings and of what players draw.", 0),
    Option("opening-moves", int, "Random first moves, the same for the two games of a pair.", 0),
    Option("timeout", float, "Seconds in which a program must answer.", 120.0),
    Option("parallel", int, "Games at once.", 1),
    Option("json", bool, "Print one JSON object.", False),
)

_MOST_GAMES = 1_000_000


def run(arguments: Sequence[str]) -> int:
    """Run the command."""
    parsed = parse(_COMMAND, _OPTIONS, arguments)
    if parsed is None:
        return 0
    given = parsed.values
    if not 1 <= given["games"] <= _MOST_GAMES:
        raise UserError(f"--games must be from 1 to {_MOST_GAMES}, got {given['games']}")
    if given["parallel"] < 1:
        raise UserError(f"--parallel must be at least 1, got {given['parallel']}")
    result = _play(given)
    if given["json"]:
        print(json.dumps(result))
    else:
        print(_report(result))
    return 0


def _play(given: Mapping[str, Any]) -> dict[str, Any]:
    from tengen.envs.go.rules import named_rules
    from tengen.evaluation.go.game import long_games
    from tengen.evaluation.go.match import MatchSettings, play_match

    rules = long_games(named_rules(given["rules"], size=given["size"], komi=given["komi"]))
    settings = MatchSettings(given["a"], given["b"], rules, given["seed"], given["opening-moves"], given["timeout"])
    folder = given["out"] or Path("matches") / f"{_slug(given['a'])}-{_slug(given['b'])}-{given['size']}"
    print(f"games are kept in {folder}", file=sys.stderr)
    return play_match(settings, folder, given["games"], parallel=given["parallel"], on_game=_progress(given["games"]))


def _progress(num_games: int) -> Callable[[Any, Any], None]:
    def show(game: Any, games: Any) -> None:
        wins = [sum(other.winner == name for other in games) for name in "AB"]
        detail = f", {game.detail}" if game.detail else ""
        print(
            f"game {game.number + 1} of {num_games}: {game.result} (A was {'black' if game.black == 'A' else 'white'},"
            f" {game.moves} moves, {game.reason}{detail}); A {wins[0]} to {wins[1]}",
            file=sys.stderr,
            flush=True,
        )

    return show


def _report(result: Mapping[str, Any]) -> str:
    low, high = result["win_rate_ci95"]
    elo_low, elo_high = (_elo(value, sign) for value, sign in zip(result["elo_ci95"], "-+", strict=True))
    lines = [
        f"{name.upper()}: {result[name]['player']} ({result[name]['name']} {result[name]['version']})" for name in "ab"
    ]
    lines.append(
        f"A won {result['wins']}, drew {result['draws']} and lost {result['losses']} of {result['games']} games:"
        f" {100 * result['win_rate']:.1f}% (95% interval {100 * low:.1f} to {100 * high:.1f})"
    )
    sign = "+" if result["win_rate"] > 0.5 else "-"
    lines.append(f"Elo difference {_elo(result['elo'], sign)} ({elo_low} to {elo_high})")
    for color in ("black", "white"):
        part = result[f"a_as_{color}"]
        lines.append(f"  as {color}: {part['wins']} of {part['games']}")
    lines.append("ended by " + ", ".join(f"{reason}: {count}" for reason, count in result["reasons"].items()))
    lines += [f"{name.upper()} took {result[name]['seconds_per_move']} s a move" for name in "ab"]
    if result["said_otherwise"]:
        lines.append(f"in {result['said_otherwise']} games a program thinks that the other side has won")
    if result["distinct_games"] < result["games"]:
        lines.append(
            f"only {result['distinct_games']} games are distinct: --opening-moves would tell more of them apart"
        )
    return "\n".join(lines)


def _elo(value: float | None, sign: str) -> str:
    return f"{sign}infinity" if value is None else f"{value:+.0f}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=]+", "_", text).strip("_")[:60] or "player"

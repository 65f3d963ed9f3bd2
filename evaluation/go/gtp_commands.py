"""The commands of GTP that an engine understands: setting up, playing, scoring. `COMMANDS` has all of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tengen.envs.go.coordinates import BLACK, WHITE, fixed_handicap, letter_of, vertex_of
from tengen.envs.go.endings import chains
from tengen.envs.go.rules import Rules
from tengen.errors import UserError
from tengen.evaluation.go.board_text import board_text
from tengen.evaluation.go.game import IllegalMoveError
from tengen.evaluation.go.gtp import SYNTAX_ERROR, Call, Command, CommandError, color, integer, number, vertex, word
from tengen.evaluation.go.gtp_analysis import ANALYSIS
from tengen.evaluation.go.kata_rules import BONUSES, KATA_NAMES, kata_rules, rules_by_kata_name
from tengen.evaluation.go.record import read_game
from tengen.evaluation.go.referee import result_text

_STATUSES: Final = ("alive", "dead", "seki")
_MOST_FREE_HANDICAP: Final = 20  # however many more it is asked for (section 4.1.2 lets it)

_GOGUI: Final = (
    ("string", "Final Score", "final_score"),
    ("plist", "Dead Stones", "final_status_list dead"),
    ("dboard", "Ownership", "tengen-ownership"),
    ("pspairs", "Win Rates", "tengen-win_rates"),
    ("string", "Show Board", "showboard"),
    ("string", "Rules", "kata-get-rules"),
)
"""Analysis that GoGui can show: kind of the answer, label, command."""


def _protocol_version(call: Call) -> str:
    return "2"


def _name(call: Call) -> str:
    return "Tengen"


def _version(call: Call) -> str:
    from tengen import __version__

    return __version__


def _known_command(call: Call) -> str:
    return "true" if word(call, 0) in call.commands else "false"


def _list_commands(call: Call) -> str:
    return "\n".join(sorted(call.commands))


def _quit(call: Call) -> str:
    return ""


def _boardsize(call: Call) -> str:
    size = integer(word(call, 0))
    try:
        call.engine.new_game(replace(call.engine.rules, size=size))
    except UserError as error:
        print(f"tengen: error: boardsize {size}: {' '.join(str(error).split())}", file=sys.stderr)  # GTP has no room
        raise CommandError("unacceptable size") from error
    return ""


def _clear_board(call: Call) -> str:
    call.engine.new_game()
    return ""


def _komi(call: Call) -> str:
    call.engine.set_rules(replace(call.engine.rules, komi=number(word(call, 0))))
    return ""


def _play(call: Call) -> str:
    side = color(word(call, 0))
    text = word(call, 1)
    if text.lower() == "resign":  # what some controllers tell of the other side; the board stays as it is
        return ""
    action = vertex(text, call.engine.game.size)
    try:
        call.engine.play(side, action)
    except IllegalMoveError as error:
        raise CommandError(str(error)) from error
    return ""


def _genmove(call: Call) -> str:
    chosen = call.engine.genmove(color(word(call, 0)))
    return "resign" if chosen.action is None else vertex_of(chosen.action, call.engine.game.size)


def _reg_genmove(call: Call) -> str:
    chosen = call.engine.choose(color(word(call, 0)))
    assert chosen.action is not None
    return vertex_of(chosen.action, call.engine.game.size)


def _undo(call: Call) -> str:
    try:
        call.engine.undo()
    except ValueError:
        raise CommandError("cannot undo") from None
    return ""


def _final_score(call: Call) -> str:
    return result_text(call.engine.score())


def _final_status_list(call: Call) -> str:
    status = word(call, 0)
    if status not in _STATUSES:
        raise CommandError("invalid status")
    engine = call.engine
    if status == "seki":  # alive, by area
        return ""
    # The end by rules under which nothing is removed: as it is counted. Before it: how stones look.
    counted = engine.game.over and not engine.removes_dead
    dead = np.zeros_like(engine.game.board, np.bool_) if counted else engine.dead()
    wanted = [chain for chain in chains(engine.game.board) if dead[chain[0]] == (status == "dead")]
    return "\n".join(" ".join(_vertices((y * engine.game.size + x for y, x in chain), call)) for chain in wanted)


def _time_settings(call: Call) -> str:
    main, period, stones = (integer(word(call, index)) for index in range(3))
    call.engine.clock.set(main, period, stones)
    return ""


def _time_left(call: Call) -> str:
    call.engine.clock.left(color(word(call, 0)), integer(word(call, 1)), integer(word(call, 2)))
    return ""


def _loadsgf(call: Call) -> str:
    path, before = Path(word(call, 0)), None
    if len(call.arguments) > 1:
        before = integer(call.arguments[1])
    try:
        record = read_game(path)
        moves = record.moves if before is None else record.moves[: max(before - 1, 0)]
        board, rules = record.board, call.engine.rules
        handicap = int((board > 0).sum()) if record.to_move == WHITE and not (board < 0).any() else 0
        komi = rules.komi if record.komi is None else record.komi
        rules = replace(rules, size=record.size, komi=komi)
        call.engine.set_up(board, record.to_move, handicap, rules, moves)
    except (UserError, ValueError) as error:
        raise CommandError(f"cannot load file: {error}") from error
    return ""


def _showboard(call: Call) -> str:
    game = call.engine.game
    last = game.moves[-1].action if game.moves and game.moves[-1].action < game.size**2 else None
    return "\n".join(["", *board_text(game.board.tolist(), last=last), f"to move: {letter_of(game.to_move)}"])


def _fixed_handicap(call: Call) -> str:
    stones = integer(word(call, 0))
    _require_empty(call)
    try:
        points = fixed_handicap(stones, call.engine.game.size)
    except ValueError as error:
        raise CommandError(str(error)) from error
    return _place(call, points)


def _place_free_handicap(call: Call) -> str:
    stones = integer(word(call, 0))
    _require_empty(call)
    size = call.engine.game.size
    if not 2 <= stones < size * size:
        raise CommandError("invalid handicap")
    stones = min(stones, _MOST_FREE_HANDICAP)
    for count in range(stones, 1, -1):  # the fixed points as far as there are any, then others, far from the edge
        try:
            points = fixed_handicap(count, size)
            break
        except ValueError:
            points = []
    rest = sorted(set(range(size * size)) - set(points), key=lambda point: -_distance_to_edge(point, size))
    return _place(call, [*points, *rest[: stones - len(points)]])


def _set_free_handicap(call: Call) -> str:
    size = call.engine.game.size
    points = [vertex(text, size) for text in call.arguments]
    if not 2 <= len(points) < size * size or len(set(points)) < len(points) or size * size in points:
        raise CommandError("bad vertex list")
    _require_empty(call)
    _place(call, points)
    return ""


def _kata_set_rules(call: Call) -> str:
    text = " ".join(call.arguments)
    if not text:
        raise CommandError(SYNTAX_ERROR)
    engine = call.engine
    if text.startswith("{"):
        rules, removes_dead = _rules_in(text, engine.rules, engine.settings.removes_dead)
    else:
        rules, removes_dead = _rules_named(text, engine.rules)
    engine.set_rules(rules)
    engine.settings = replace(engine.settings, removes_dead=removes_dead)
    return ""


def _kata_get_rules(call: Call) -> str:
    engine = call.engine
    return json.dumps({**kata_rules(engine.rules), "friendlyPassOk": engine.settings.removes_dead})


def _gogui_analyze_commands(call: Call) -> str:
    return "\n".join("/".join(line) for line in _GOGUI)


def _rules_named(text: str, rules: Rules) -> tuple[Rules, bool]:
    """Return rules by a name, and whether dead stones are removed."""
    name = text.lower().replace("_", "-")  # KGS writes new_zealand
    if name not in KATA_NAMES:
        raise CommandError(f"unknown rules: {', '.join(KATA_NAMES)}, or a dictionary as kata-get-rules shows")
    named = rules_by_kata_name(name, size=rules.size, komi=rules.komi, max_moves=rules.max_moves)
    return named, name != "tromp-taylor"


def _rules_in(text: str, rules: Rules, removes_dead: bool) -> tuple[Rules, bool]:
    """Return rules changed by KataGo's dictionary, and whether dead stones are removed; what it lacks stays."""
    try:
        given = json.loads(text)
        if str(given.get("tax", "NONE")).upper() != "NONE" or given.get("hasButton", False):
            raise CommandError("unsupported rules: tax and button")
        bonuses: dict[str, Any] = {theirs: ours for ours, theirs in BONUSES.items()}
        bonus = bonuses[str(given.get("whiteHandicapBonus", BONUSES[rules.handicap_bonus])).upper()]
        # KataGo's word for it: one may pass before the dead stones are taken.
        removes_dead = given.get("friendlyPassOk", removes_dead)
        if not isinstance(removes_dead, bool):
            raise CommandError(f"friendlyPassOk must be true or false, got {json.dumps(removes_dead)}")
        changes: dict[str, Any] = {
            "ko": str(given.get("ko", rules.ko)).lower(),
            "scoring": str(given.get("scoring", rules.scoring)).lower(),
            "suicide": given.get("suicide", rules.suicide),
            "handicap_bonus": bonus,
        }
    except (ValueError, KeyError, AttributeError, RecursionError):
        raise CommandError("unknown rules: a name, or a dictionary as kata-get-rules shows") from None
    return replace(rules, **changes), removes_dead


def _require_empty(call: Call) -> None:
    if call.engine.game.board.any():
        raise CommandError("board not empty")


def _place(call: Call, points: list[int]) -> str:
    size = call.engine.game.size
    board = np.zeros(size * size, np.int8)
    board[points] = BLACK
    try:
        call.engine.set_up(board.reshape(size, size), WHITE, len(points))
    except ValueError:
        raise CommandError("bad vertex list") from None
    return " ".join(_vertices(points, call))


def _vertices(points: Iterable[int], call: Call) -> list[str]:
    return [vertex_of(point, call.engine.game.size) for point in points]


def _distance_to_edge(point: int, size: int) -> int:
    y, x = divmod(point, size)
    return min(y, x, size - 1 - y, size - 1 - x)


COMMANDS: Final[dict[str, Command]] = {
    "protocol_version": _protocol_version,
    "name": _name,
    "version": _version,
    "known_command": _known_command,
    "list_commands": _list_commands,
    "quit": _quit,
    "boardsize": _boardsize,
    "clear_board": _clear_board,
    "komi": _komi,
    "play": _play,
    "genmove": _genmove,
    "reg_genmove": _reg_genmove,
    "undo": _undo,
    "final_score": _final_score,
    "final_status_list": _final_status_list,
    "time_settings": _time_settings,
    "time_left": _time_left,
    "loadsgf": _loadsgf,
    "showboard": _showboard,
    "fixed_handicap": _fixed_handicap,
    "place_free_handicap": _place_free_handicap,
    "set_free_handicap": _set_free_handicap,
    "kata-set-rules": _kata_set_rules,
    "kata-get-rules": _kata_get_rules,
    "gogui-analyze_commands": _gogui_analyze_commands,
    **ANALYSIS,
}

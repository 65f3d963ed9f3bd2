"""A game in a file: SGF, read for `loadsgf`, and written for the games of a match. Parsing is sgfmill's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sgfmill import sgf

from tengen.envs.go.coordinates import BLACK, WHITE
from tengen.envs.go.rules import Rules
from tengen.errors import UserError

_MOST_BYTES = 1 << 22
_NAMES = {("area", "positional", True, "none"): "Tromp-Taylor", ("area", "positional", False, "n"): "Chinese"}
"""Of rules: scoring, ko, suicide, White's bonus for handicap stones."""


class GameRecord(NamedTuple):
    """A game's main line."""

    size: int
    komi: float | None
    board: NDArray[np.int8]  # [N, N], stones set up before the first move
    to_move: int  # at the start
    moves: list[tuple[int, int]]  # colour and action


def read_game(path: Path) -> GameRecord:
    """Return the game in an SGF file.

    Raises:
        UserError: It can't be read, is no SGF, or has stones set up between moves.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{str(path)!r} can't be read: {reason}") from error
    try:
        # Latin 1 decodes any bytes; what is read here is ASCII.
        game = sgf.Sgf_game.from_bytes(data, override_encoding="iso-8859-1")
        return _main_line(game)
    except (ValueError, KeyError, IndexError, RecursionError) as error:  # what sgfmill raises for damaged files
        raise UserError(f"{str(path)!r} is no game of Go in SGF: {' '.join(str(error).split())[:80]}") from error


def _main_line(game: sgf.Sgf_game) -> GameRecord:
    size, root = game.get_size(), game.get_root()
    board = np.zeros((size, size), np.int8)
    black, white, _ = root.get_setup_stones()
    for points, color in ((black, BLACK), (white, WHITE)):
        for row, column in points:
            board[size - 1 - row, column] = color
    moves: list[tuple[int, int]] = []
    for node in game.get_main_sequence():
        if node is not root and node.has_setup_stones():
            raise ValueError("stones are set up after the first node")
        name, point = node.get_move()
        if name is not None:
            action = size * size if point is None else (size - 1 - point[0]) * size + point[1]
            moves.append((BLACK if name == "b" else WHITE, action))
    if moves:
        to_move = moves[0][0]
    elif root.has_property("PL"):
        to_move = BLACK if root.get("PL") == "b" else WHITE
    else:
        to_move = WHITE if black and not white else BLACK
    return GameRecord(size, game.get_komi() if root.has_property("KM") else None, board, to_move, moves)


def write_game(
    size: int,
    komi: float,
    moves: Sequence[tuple[int, int]],
    *,
    black: str,
    white: str,
    result: str,
    properties: Mapping[str, str] | None = None,
    handicap: NDArray[np.int8] | None = None,
) -> bytes:
    """Return a game as an SGF file.

    Args:
        size: N.
        komi: Points for White, without those that the rules give for handicap stones.
        moves: Colours and actions.
        black: Black's name.
        white: White's name.
        result: As `B+3.5`.
        properties: Further properties of the root: rules (RU), comment (C) ...
        handicap: Black stones on the board at the start, int8 [N, N]; none unless given.
    """
    game = sgf.Sgf_game(size=size)
    root = game.get_root()
    root.set("KM", komi)
    root.set("PB", black)
    root.set("PW", white)
    root.set("RE", result)
    for name, value in (properties or {}).items():
        root.set(name, value)
    if handicap is not None and handicap.any():
        points = [(size - 1 - int(y), int(x)) for y, x in zip(*np.nonzero(handicap > 0), strict=True)]
        root.set("HA", len(points))
        root.set_setup_stones(points, [])
    for color, action in moves:
        node = game.extend_main_sequence()
        point = None if action == size * size else (size - 1 - action // size, action % size)
        node.set_move("b" if color == BLACK else "w", point)
    serialised: bytes = game.serialise()
    return serialised


def rules_text(rules: Rules) -> str:
    """Return rules as the property RU tells them: by a name, or in KataGo's notation where they have none."""
    parts = (rules.scoring, rules.ko, rules.suicide, rules.handicap_bonus)
    name = _NAMES.get(parts)
    if name is not None:
        return name
    bonus = {"none": "", "n": "whbN", "n-1": "whbN-1"}[rules.handicap_bonus]
    return f"ko{rules.ko.upper()}score{rules.scoring.upper()}taxNONEsui{int(rules.suicide)}{bonus}"

"""A game in a file: SGF, read for `loadsgf`, and written for the games of a match. Parsing is sgfmill's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sgfmill import sgf, sgf_grammar

from tengen.envs.go.coordinates import BLACK
from tengen.envs.go.rules import Rules
from tengen.envs.go.sgf_game import PARSE_ERRORS, BadGameError, SGFGame, game_of, in_a_line
from tengen.errors import UserError

_MOST_BYTES = 1 << 22
_NAMES = {("area", "positional", True, "none"): "Tromp-Taylor", ("area", "positional", False, "n"): "Chinese"}
"""Of rules: scoring, ko, suicide, White's bonus for handicap stones."""


def read_game(path: Path) -> SGFGame:
    """Return the first game in an SGF file.

    Raises:
        UserError: It can't be read, or is no game that can be used.
    """
    data = _contents(path)
    try:
        return game_of(sgf_grammar.parse_sgf_game(data))
    except (BadGameError, *PARSE_ERRORS) as error:
        reason = str(error) if isinstance(error, BadGameError) else in_a_line(error)
        raise UserError(f"{str(path)!r} has no game of Go that can be loaded: {reason}") from error


def _contents(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # to open a named pipe would wait for somebody to write to it
            raise UserError(f"{str(path)!r} is no plain file")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{str(path)!r} can't be read: {reason}") from error
    if len(data) > _MOST_BYTES:
        raise UserError(f"{str(path)!r} is too large for a game: it has more than {_MOST_BYTES} bytes")
    return data


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

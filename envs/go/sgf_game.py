"""One game of Go out of an SGF tree that sgfmill has parsed: what reading records and `loadsgf` have in common.

Only the main line counts. Whether its moves are legal is not asked here.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go.coordinates import BLACK, WHITE

PARSE_ERRORS: Final = (ValueError, KeyError, IndexError, RecursionError)
"""What sgfmill raises for damaged files."""

_COLORS: Final = {"b": BLACK, "w": WHITE}
_SET_UP: Final = {"AB": BLACK, "AW": WHITE, "AE": 0}


class SGFGame(NamedTuple):
    """A game as its file tells it."""

    size: int
    board: NDArray[np.int8]  # [N, N], stones set up before the first move
    to_move: int  # at the start
    moves: list[tuple[int, int]]  # colour and action
    komi: float | None  # None unknown
    result: str
    date: str
    rules: str


class BadGameError(Exception):
    """A tree is no game of Go that can be used.

    Attributes:
        reason: Short and general: what is counted.
        detail: E.g. the number of the move; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def game_of(tree: Any, size: int | None = None) -> SGFGame:
    """Return the game of a tree.

    Args:
        tree: As sgfmill's parser returns it.
        size: The only board size to take; None for all.

    Raises:
        BadGameError: It is damaged, no Go, on another board, or has stones set up after the first move.
    """
    from sgfmill import sgf

    try:
        # Latin 1 decodes any bytes: what is read here is ASCII, and names of players may be in whatever they like.
        game = sgf.Sgf_game.from_coarse_game_tree(tree, override_encoding="iso-8859-1")
        kind, found = _text(game.get_root(), "GM"), game.get_size()
        if kind.lstrip("0") not in ("", "1"):
            raise BadGameError("not a game of Go", f"GM[{kind[:20]}]")
        if size is not None and found != size:
            raise BadGameError("another board size", f"{found}x{found}")
        return _read(game.get_root(), game.get_main_sequence(), found)
    except PARSE_ERRORS as error:
        raise BadGameError("damaged", in_a_line(error)) from error


def in_a_line(error: Exception) -> str:
    """Return the beginning of an error's text."""
    return " ".join(str(error).split())[:80]


def _read(root: Any, nodes: list[Any], size: int) -> SGFGame:
    board = np.zeros((size, size), np.int8)
    moves: list[tuple[int, int]] = []
    told = ""
    for node in nodes:
        if node.has_setup_stones():
            if moves:
                raise BadGameError("stones set up during the game", f"after move {len(moves)}")
            _set_up(node, board)
        if not moves:
            told = _text(node, "PL").lower() or told
        move = _move(node, size, len(moves) + 1)
        if move is not None:
            moves.append(move)
    handicapped = (board == BLACK).any() and not (board == WHITE).any()
    to_move = moves[0][0] if moves else _COLORS.get(told, WHITE if handicapped else BLACK)
    texts = (_text(root, name) for name in ("RE", "DT", "RU"))
    return SGFGame(size, board, to_move, moves, _komi(_text(root, "KM")), *texts)


def _set_up(node: Any, board: NDArray[np.int8]) -> None:
    size = len(board)
    for name, color in _SET_UP.items():
        if node.has_property(name):
            try:
                points = node.get(name)
            except ValueError as error:
                written = "".join(f"[{_shown(raw)}]" for raw in node.get_raw_list(name)[:3])
                raise BadGameError("damaged", f"{name}{written} are no points of a {size}x{size} board") from error
            for row, column in points:  # from the bottom, from the left
                board[size - 1 - row, column] = color


def _move(node: Any, size: int, number: int) -> tuple[int, int] | None:
    """Return a node's move as colour and action, or None where it has none."""
    try:
        name, point = node.get_move()
    except ValueError as error:
        name, raw = node.get_raw_move()
        written = f"{name.upper()}[{_shown(raw)}]"
        raise BadGameError("damaged", f"move {number}: {written} is no point of a {size}x{size} board") from error
    if name is None:
        return None
    return _COLORS[name], size * size if point is None else (size - 1 - point[0]) * size + point[1]


def _shown(raw: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in raw[:20])


def _text(node: Any, name: str) -> str:
    return node.get_raw(name).decode("iso-8859-1").strip() if node.has_property(name) else ""


def _komi(text: str) -> float | None:
    try:
        komi = float(text)
    except ValueError:
        return None
    return komi if math.isfinite(komi) else None

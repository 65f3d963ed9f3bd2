"""Names of points: actions of the simulator, vertices of GTP, letters of SGF, and back.

An action is `y * N + x` with y from the top row and x from the left; `N * N` is pass. A GTP vertex names the column by
a letter without I and the row from the bottom: on 9x9 action 0 is A9, and 80 is J1. SGF has two letters, x then y from
the top; an empty text, or `tt` up to 19x19, is pass.
"""

from __future__ import annotations

import re
from typing import Final

BLACK: Final = 1
WHITE: Final = -1

COLUMNS: Final = "ABCDEFGHJKLMNOPQRST"
"""Letters of columns from the left, as far as 19; there is no I."""

PASS: Final = "pass"

_VERTEX = re.compile(r"([A-HJ-T])([1-9][0-9]?)", re.ASCII)
_SGF_LETTERS = "abcdefghijklmnopqrs"
_COLORS: Final = {"b": BLACK, "black": BLACK, "w": WHITE, "white": WHITE}


def vertex_of(action: int, size: int) -> str:
    """Return an action's GTP vertex, `D4` or `pass`."""
    assert 0 <= action <= size * size, f"{action} is no action on {size}x{size}"
    if action == size * size:
        return PASS
    y, x = divmod(action, size)
    return f"{COLUMNS[x]}{size - y}"


def action_of(vertex: str, size: int) -> int:
    """Return the action of a GTP vertex in either case.

    Raises:
        ValueError: It is none of this board.
    """
    if vertex.lower() == PASS:
        return size * size
    match = _VERTEX.fullmatch(vertex.upper())
    if match is not None:
        x, row = COLUMNS.index(match[1]), int(match[2])
        if x < size and row <= size:
            return (size - row) * size + x
    raise ValueError(f"{vertex!r} is no vertex of a {size}x{size} board: A1 to {COLUMNS[size - 1]}{size}, or pass")


def sgf_of(action: int, size: int) -> str:
    """Return an action's two letters of SGF; empty for pass."""
    assert 0 <= action <= size * size, f"{action} is no action on {size}x{size}"
    if action == size * size:
        return ""
    y, x = divmod(action, size)
    return _SGF_LETTERS[x] + _SGF_LETTERS[y]


def action_of_sgf(letters: str, size: int) -> int:
    """Return the action of two letters of SGF.

    Raises:
        ValueError: They are none of this board.
    """
    if letters in ("", "tt"):
        return size * size
    if len(letters) == 2:
        x, y = _SGF_LETTERS.find(letters[0]), _SGF_LETTERS.find(letters[1])
        if 0 <= x < size and 0 <= y < size:
            return y * size + x
    raise ValueError(f"{letters!r} is no point of a {size}x{size} board in SGF")


def color_of(name: str) -> int:
    """Return 1 for black or b, -1 for white or w, in either case.

    Raises:
        ValueError: It is neither.
    """
    color = _COLORS.get(name.lower())
    if color is None:
        raise ValueError(f"{name!r} is no color: black (b) or white (w)")
    return color


def letter_of(color: int) -> str:
    """Return B or W."""
    return "B" if color == BLACK else "W"


def fixed_handicap(stones: int, size: int) -> list[int]:
    """Return the points of a handicap as GTP fixes them (version 2, section 4.1.1).

    Raises:
        ValueError: There are none for so many stones on this board.
    """
    most = most_fixed_handicap(size)
    if not 2 <= stones <= most:
        raise ValueError(f"invalid handicap: 2 to {most} stones" if most else f"no fixed handicap on {size}x{size}")
    low = 2 if size < 12 else 3
    high, middle = size - 1 - low, size // 2
    corners = [(low, low), (high, high), (low, high), (high, low)]
    sides = [(low, middle), (high, middle), (middle, low), (middle, high)]
    if stones <= 4:
        points = corners[:stones]
    else:
        points = corners + sides[: (stones - 4) // 2 * 2] + [(middle, middle)] * (stones % 2)
    return [(size - 1 - row) * size + x for x, row in points]


def most_fixed_handicap(size: int) -> int:
    """Return the most stones of a fixed handicap; 0 where the board is too small for any."""
    if size < 7:
        return 0
    return 9 if size % 2 and size >= 9 else 4

"""A board as text, with coordinates: X black, O white, `+` the star points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tengen.envs.go.coordinates import COLUMNS

SYMBOLS = {1: "X", -1: "O", 0: "."}


def board_text(
    board: Sequence[Sequence[int]], marks: Mapping[int, str] | None = None, last: int | None = None
) -> list[str]:
    """Return a board's lines, none of them empty.

    Args:
        board: Rows from the top; 1 black, -1 white, 0 empty.
        marks: By point (`y * N + x`), a character to show in place of what is there.
        last: The point to put in brackets.
    """
    size = len(board)
    stars = star_points(size)
    letters = "   " + " ".join(COLUMNS[:size])
    lines = [letters]
    for y, row in enumerate(board):
        text = ""
        for x, stone in enumerate(row):
            point = y * size + x
            symbol = "+" if not stone and point in stars else SYMBOLS[int(stone)]
            symbol = (marks or {}).get(point, symbol)
            before = "(" if point == last else ")" if x and point - 1 == last else " "
            text += before + symbol
        text += ")" if last is not None and last == y * size + size - 1 else " "
        lines.append(f"{size - y:2}{text}{size - y}")
    return [*lines, letters]


def star_points(size: int) -> frozenset[int]:
    """Return the points that boards have a dot on."""
    if size < 7:
        return frozenset()
    low = 2 if size < 12 else 3
    lines = [low, size - 1 - low]
    points = {y * size + x for y in lines for x in lines}
    if size % 2:
        middle = size // 2
        points.add(middle * size + middle)
        if size >= 15:
            points |= {y * size + middle for y in lines} | {middle * size + x for x in lines}
    return frozenset(points)

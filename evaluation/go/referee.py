"""The referee of a match: whether a move is legal, and who has won, whatever the engines say.

Legality is the simulator's, under the rules that were agreed on. The score is counted here a second time, by flood fill
on the plain board as Tromp and Taylor's rules say it: a point is a colour's if a stone of it stands there, or if empty
points lead from it to that colour only. All stones on the board count as alive.
"""

from __future__ import annotations

from collections.abc import Sequence

from tengen.envs.go.coordinates import BLACK, WHITE

Board = Sequence[Sequence[int]]
"""Rows from the top: 1 black, -1 white, 0 empty."""


def area(board: Board) -> tuple[int, int]:
    """Return the points of black and of white."""
    size = len(board)
    points = {BLACK: 0, WHITE: 0}
    seen: set[tuple[int, int]] = set()
    for y in range(size):
        for x in range(size):
            if board[y][x]:
                points[board[y][x]] += 1
            elif (y, x) not in seen:
                region, borders = _region(board, y, x)
                seen |= region
                if len(borders) == 1:
                    points[borders.pop()] += len(region)
    return points[BLACK], points[WHITE]


def score(board: Board, komi: float) -> float:
    """Return black's points less white's and the komi."""
    black, white = area(board)
    return black - white - komi


def result_text(margin: float) -> str:
    """Return a result as GTP and SGF write it: B+3.5, W+0.5, or 0 for a draw."""
    if margin == 0:
        return "0"
    return f"{'B' if margin > 0 else 'W'}+{abs(margin):g}"


def _region(board: Board, y: int, x: int) -> tuple[set[tuple[int, int]], set[int]]:
    """Return the empty points connected with one, and the colours that they reach."""
    size, region, borders = len(board), {(y, x)}, set()
    queue = [(y, x)]
    while queue:
        row, column = queue.pop()
        for ny, nx in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if not (0 <= ny < size and 0 <= nx < size):
                continue
            if board[ny][nx]:
                borders.add(board[ny][nx])
            elif (ny, nx) not in region:
                region.add((ny, nx))
                queue.append((ny, nx))
    return region, borders

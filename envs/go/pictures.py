"""A board as a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go.coordinates import fixed_handicap, most_fixed_handicap

CELL = 24
"""Pixels of a point."""

_WOOD, _LINE, _BLACK, _WHITE, _MARK = (220, 179, 92), (90, 70, 30), (20, 20, 20), (245, 245, 245), (200, 50, 40)


def draw(board: NDArray[np.int8], last: int = -1) -> NDArray[np.uint8]:
    """Return a board [N, N] as a picture, uint8 [24 N, 24 N, 3]. A ring marks the action `last`, if it is a point."""
    size = len(board)
    picture = np.empty((CELL * size, CELL * size, 3), np.uint8)
    picture[:] = _WOOD
    middle = CELL // 2
    for k in range(size):
        at, end = k * CELL + middle, CELL * size - middle
        picture[at, middle : end + 1] = _LINE
        picture[middle : end + 1, at] = _LINE
    y, x = np.mgrid[:CELL, :CELL] - (middle - 0.5)
    distance = np.hypot(x, y)
    for point in fixed_handicap(most_fixed_handicap(size), size) if most_fixed_handicap(size) else []:
        _tile(picture, point, size)[distance < 3] = _LINE
    for point in np.flatnonzero(board).tolist():
        _tile(picture, point, size)[distance < middle - 1] = _BLACK if board.ravel()[point] > 0 else _WHITE
    if 0 <= last < size * size:
        _tile(picture, last, size)[np.abs(distance - CELL / 4) < 1] = _MARK
    return picture


def _tile(picture: NDArray[np.uint8], point: int, size: int) -> NDArray[np.uint8]:
    top, left = CELL * (point // size), CELL * (point % size)
    return picture[top : top + CELL, left : left + CELL]

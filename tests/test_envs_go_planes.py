"""Planes of Go against a slow drawing of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from go_records import SlowBoard, random_game

from tengen.envs.go.planes import encode, num_planes
from tengen.errors import UserError


class Row(NamedTuple):
    board: Any
    to_move: Any
    ko: Any
    last: Any


def rows(size: int, num_moves: int, rng: np.random.Generator) -> tuple[list[SlowBoard], Row]:
    """Play a game at random; return every position of it."""
    moves = random_game(size, num_moves, rng)
    board, colour = SlowBoard(size), 1
    boards, colours, kos, lasts = [], [], [], []
    for ply, move in enumerate(moves):
        boards.append(board.copy())
        colours.append(colour)
        kos.append(-1 if board.ko is None else board.ko[0] * size + board.ko[1])
        lasts.append((moves[:ply][::-1] + [-1] * 8)[:8])
        board.play(None if move == size**2 else divmod(move, size), colour)
        colour = -colour
    stacked = np.stack([board.array() for board in boards])
    return boards, Row(stacked, np.array(colours, np.int8), np.array(kos, np.int16), np.array(lasts, np.int16))


def slow_planes(board: SlowBoard, colour: int, last: list[int]) -> Any:
    size = board.size
    planes = np.zeros((23, size, size), np.uint8)
    planes[3] = colour == 1
    for y in range(size):
        for x in range(size):
            stone = board.stones.get((y, x))
            if stone is None:
                planes[2, y, x] = 1
                refused, captured, liberties = board.copy().play((y, x), colour)
                if refused is None:
                    planes[16, y, x] = 1
                    if captured:
                        planes[16 + min(captured, 3), y, x] = 1
                    if liberties <= 3:
                        planes[19 + liberties, y, x] = 1
                continue
            own = stone == colour
            planes[0 if own else 1, y, x] = 1
            liberties = len(board.liberties((y, x)))
            if liberties <= 3:
                planes[(3 if own else 6) + liberties, y, x] = 1
    if board.ko is not None:
        planes[(10, *board.ko)] = 1
    for k, move in enumerate(last[:5]):
        if 0 <= move < size * size:
            planes[(11 + k, *divmod(move, size))] = 1
    return planes


@pytest.mark.parametrize(("size", "seed"), [(3, 0), (4, 1), (5, 2), (7, 3)])
def test_planes_are_what_a_slow_board_draws(size: int, seed: int) -> None:
    boards, row = rows(size, 12 * size, np.random.default_rng(seed))
    drawn = encode(row, "standard")
    assert drawn.dtype == np.uint8
    for b, board in enumerate(boards):
        expected = slow_planes(board, int(row.to_move[b]), row.last[b].tolist())
        assert (drawn[b] == expected).all(), np.argwhere(drawn[b] != expected)[0]


def test_planes_turn_with_the_board() -> None:
    size = 6
    _, row = rows(size, 60, np.random.default_rng(4))
    points = np.rot90(np.arange(size * size).reshape(size, size)).ravel()
    goes = np.append(np.argsort(points), [size * size, -1])
    turned = Row(
        np.ascontiguousarray(np.rot90(row.board, axes=(1, 2))), row.to_move, goes[row.ko], goes[row.last.astype(int)]
    )
    for planes in ("standard", "board"):
        assert (encode(turned, planes) == np.rot90(encode(row, planes), axes=(2, 3))).all()


def test_rows_of_a_batch_do_not_leak() -> None:
    _, row = rows(5, 30, np.random.default_rng(7))
    together = encode(row)
    for b in range(0, 30, 7):
        alone = encode(Row(*(leaf[b : b + 1] for leaf in row)))
        assert (alone[0] == together[b]).all()


def test_colours_swap_with_the_side_to_move_but_for_the_plane_that_tells_it() -> None:
    _, row = rows(5, 30, np.random.default_rng(8))
    swapped = encode(row._replace(board=-row.board, to_move=-row.to_move))
    plain = encode(row)
    assert (swapped[:, [0, 1, *range(4, 23)]] == plain[:, [0, 1, *range(4, 23)]]).all()
    assert (swapped[:, 3] == 1 - plain[:, 3]).all()


def test_the_bare_board_is_one_plane_of_signs() -> None:
    board = np.array([[[1, 0], [-1, 0]]], np.int8)
    row = Row(board, np.array([-1], np.int8), np.array([-1], np.int16), np.full((1, 8), -1, np.int16))
    assert encode(row, "board").tolist() == [[[[-1, 0], [1, 0]]]]
    assert num_planes("board") == 1


def test_unknown_planes_are_refused_with_a_hint() -> None:
    with pytest.raises(UserError, match="Did you mean 'standard'"):
        num_planes("standart")

"""The rules of Go as plainly as can be: lists, sets of whole positions for superko, and no hashing. Slow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tengen.envs.go.coordinates import fixed_handicap
from tengen.envs.go.rules import Refusal, Rules

Position = tuple[int, ...]


def neighbours(point: int, size: int) -> list[int]:
    y, x = divmod(point, size)
    around = [(y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)]
    return [a * size + b for a, b in around if 0 <= a < size and 0 <= b < size]


def group(position: Position, start: int, size: int) -> tuple[set[int], set[int]]:
    """The points of one colour that hang together with a point, and the points beside them."""
    inside, beside, waiting = {start}, set(), [start]
    while waiting:
        for point in neighbours(waiting.pop(), size):
            if position[point] != position[start]:
                beside.add(point)
            elif point not in inside:
                inside.add(point)
                waiting.append(point)
    return inside, beside


def liberties(position: Position, stone: int, size: int) -> int:
    return sum(position[point] == 0 for point in group(position, stone, size)[1])


def after_stone(position: Position, point: int, color: int, size: int) -> tuple[Position, int, int]:
    """The board after a stone, and how many stones of the other side and of its own are gone."""
    board = list(position)
    board[point] = color
    counts = []
    for gone in (-color, color):
        dead = [p for p in range(size * size) if board[p] == gone and liberties(tuple(board), p, size) == 0]
        for p in dead:
            board[p] = 0
        counts.append(len(dead))
    return tuple(board), counts[0], counts[1]


def owners(position: Position, size: int) -> list[int]:
    result = list(position)
    for point in range(size * size):
        if position[point] == 0:
            touched = {position[p] for p in group(position, point, size)[1]}
            result[point] = touched.pop() if len(touched) == 1 else 0
    return result


class TwinGame:
    """One game."""

    def __init__(self, rules: Rules, board: NDArray[np.int8] | None = None, to_move: int = 1) -> None:
        self.rules, self.size = rules, rules.size
        stones: list[int] = [0] * rules.num_points if board is None else [int(s) for s in board.ravel()]
        self.to_move = to_move
        if rules.handicap and not rules.free_handicap and board is None:
            for point in fixed_handicap(rules.handicap, rules.size):
                stones[point] = 1
            self.to_move = -1
        self.position: Position = tuple(stones)
        self.ko = -1
        self.moves: list[int] = []
        self.passes = 0
        self.captured = {1: 0, -1: 0}
        self.seen: set[Any] = {self._situation(self.position, self.to_move)}

    def _situation(self, position: Position, to_move: int) -> Any:
        return (position, to_move) if self.rules.ko == "situational" else position

    def _placing(self) -> bool:
        return self.rules.free_handicap and len(self.moves) < self.rules.handicap

    def _next(self) -> int:
        more = self.rules.free_handicap and len(self.moves) + 1 < self.rules.handicap
        return self.to_move if more else -self.to_move

    @property
    def over(self) -> bool:
        return self.passes >= 2

    def refusal(self, action: int) -> Refusal:
        if self.over:
            return Refusal.GAME_OVER
        if action == self.rules.pass_action:
            return Refusal.PLACING if self._placing() else Refusal.NONE
        if len(self.moves) >= self.rules.move_limit:
            return Refusal.MOVE_LIMIT
        if self.position[action] != 0:
            return Refusal.OCCUPIED
        board, _, own = after_stone(self.position, action, self.to_move, self.size)
        if own and (own == 1 or not self.rules.suicide):
            return Refusal.SUICIDE
        if action == self.ko:
            return Refusal.KO
        if self.rules.ko != "simple" and self._situation(board, self._next()) in self.seen:
            return Refusal.SUPERKO
        return Refusal.NONE

    def legal(self) -> list[bool]:
        return [self.over or self.refusal(action) == Refusal.NONE for action in range(self.rules.pass_action + 1)]

    def play(self, action: int) -> None:
        assert self.refusal(action) == Refusal.NONE, self.refusal(action)
        mover, following, ko = self.to_move, self._next(), -1
        if action == self.rules.pass_action:
            self.passes = 2 if len(self.moves) >= self.rules.move_limit else self.passes + 1
        else:
            self.passes = 0
            before = self.position
            self.position, taken, own = after_stone(before, action, mover, self.size)
            self.captured[mover] += taken
            self.captured[-mover] += own
            alone = group(self.position, action, self.size)[0] == {action}
            if taken == 1 and alone and liberties(self.position, action, self.size) == 1:
                ko = next(p for p in range(self.size**2) if before[p] != 0 and self.position[p] == 0)
        self.ko, self.to_move = ko, following
        self.moves.append(action)
        self.seen.add(self._situation(self.position, self.to_move))

    def score(self) -> float:
        whose = owners(self.position, self.size)
        if self.rules.scoring == "territory":
            empty = sum(owner for owner, stone in zip(whose, self.position, strict=True) if stone == 0)
            return empty + self.captured[1] - self.captured[-1] - self.rules.total_komi
        return sum(whose) - self.rules.total_komi

    def board(self) -> NDArray[np.int8]:
        return np.array(self.position, np.int8).reshape(self.size, self.size)

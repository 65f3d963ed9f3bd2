"""SGF files and a slow, obvious twin of Go for the tests of records and planes."""

from __future__ import annotations

import numpy as np

Point = tuple[int, int]  # y from the top, x from the left


class SlowBoard:
    """A board as a dictionary, chains found anew for every question."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stones: dict[Point, int] = {}
        self.ko: Point | None = None

    def beside(self, point: Point) -> list[Point]:
        y, x = point
        around = [(y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)]
        return [(a, b) for a, b in around if 0 <= a < self.size and 0 <= b < self.size]

    def chain(self, point: Point) -> set[Point]:
        found, waiting = {point}, [point]
        while waiting:
            for other in self.beside(waiting.pop()):
                if other not in found and self.stones.get(other) == self.stones[point]:
                    found.add(other)
                    waiting.append(other)
        return found

    def liberties(self, point: Point) -> set[Point]:
        return {other for stone in self.chain(point) for other in self.beside(stone) if other not in self.stones}

    def copy(self) -> SlowBoard:
        other = SlowBoard(self.size)
        other.stones, other.ko = dict(self.stones), self.ko
        return other

    def play(self, point: Point | None, colour: int) -> tuple[str | None, int, int]:
        """Play, or say why not; with how many stones were captured, and the liberties of the chain afterwards."""
        if point is None:
            self.ko = None
            return None, 0, 0
        if point in self.stones:
            return "occupied", 0, 0
        if point == self.ko:
            return "ko", 0, 0
        before = dict(self.stones)
        self.stones[point] = colour
        captured: set[Point] = set()
        for other in self.beside(point):
            if self.stones.get(other) == -colour and not self.liberties(other):
                taken = self.chain(other)
                captured |= taken
                for stone in taken:
                    del self.stones[stone]
        if not self.liberties(point):
            self.stones = before
            return "suicide", 0, 0
        single = len(self.chain(point)) == 1 and len(captured) == 1 and len(self.liberties(point)) == 1
        self.ko = next(iter(captured)) if single else None
        return None, len(captured), len(self.liberties(point))

    def array(self) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
        board = np.zeros((self.size, self.size), np.int8)
        for point, colour in self.stones.items():
            board[point] = colour
        return board


def random_game(size: int, num_moves: int, rng: np.random.Generator) -> list[int]:
    """Return the actions of a random legal game, with a pass now and then."""
    board, colour = SlowBoard(size), 1
    moves: list[int] = []
    while len(moves) < num_moves:
        action = int(rng.integers(size * size + 1))
        point = None if action == size * size else divmod(action, size)
        if point is None and rng.random() < 0.7:
            continue
        if board.play(point, colour)[0] is None:
            moves.append(action)
            colour = -colour
        elif all(board.copy().play((y, x), colour)[0] for y in range(size) for x in range(size)):
            moves.append(size * size)
            board.play(None, colour)
            colour = -colour
    return moves


def sgf_text(size: int, moves: list[int], first: str = "B", root: str = "") -> str:
    """Return a game as SGF."""
    letters = "abcdefghijklmnopqrs"
    colours = "BW" if first == "B" else "WB"
    nodes = [
        f";{colours[i % 2]}[{'' if a == size * size else letters[a % size] + letters[a // size]}]"
        for i, a in enumerate(moves)
    ]
    return f"(;GM[1]FF[4]SZ[{size}]{root}{''.join(nodes)})"

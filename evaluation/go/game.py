"""A game of Go as it stands, for whoever plays or referees one: moves of either colour, taken back at will.

The simulator knows strict turns and ends a game after two passes. GTP knows neither: a colour may move twice, and a
game may go on after its end. So a pass is put in for the side that was left out, and passes that would end the game
are forgotten when another move follows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tengen.envs.go.coordinates import vertex_of
from tengen.envs.go.rules import MOST_MOVES, Refusal, Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.types import Array, Bools


class IllegalMoveError(ValueError):
    """The rules forbid a move; the message says why."""


class Move(NamedTuple):
    """A stone, or a pass."""

    color: int
    action: int


class Stage(NamedTuple):
    """A position, and the action that led to it from the stage before."""

    states: GoStates  # of one game
    action: int  # -1: none did


class Game:
    """Rules, moves, and all positions so far.

    Args:
        simulator: The rules.
        board: Stones set up before the first move, int8 [N, N]; the rules' own beginning unless given.
        to_move: Who is to move on that board: 1 black, -1 white.

    Raises:
        ValueError: A chain that was set up has no liberties.
    """

    def __init__(self, simulator: Go, board: Array | None = None, to_move: int = 1) -> None:
        self.simulator = simulator
        self.moves: list[Move] = []
        start = simulator.init(np.random.default_rng(0), 1) if board is None else simulator.setup(board[None], to_move)
        self.line = [Stage(start, -1)]  # with the passes that were put in
        self._lengths = [1]  # of `line` after each move
        self._turned: dict[int, list[Stage]] = {}  # `line` as it ends with a colour to move, where that was asked for

    @property
    def size(self) -> int:
        """N."""
        return self.simulator.rules.size

    @property
    def states(self) -> GoStates:
        """The position."""
        return self.line[-1].states

    @property
    def board(self) -> Array:
        """Stones, int8 [N, N]: 1 black, -1 white; rows from the top."""
        board: Array = self.states.board[0]
        return board

    @property
    def to_move(self) -> int:
        """Whose turn it would be."""
        return int(self.states.to_move[0])

    @property
    def over(self) -> bool:
        """Whether the last two moves were passes."""
        return self.passes() >= 2

    @property
    def start(self) -> Array:
        """Stones before the first move, int8 [N, N]."""
        board: Array = self.line[0].states.board[0]
        return board

    @property
    def placed(self) -> int:
        """With how many of the moves so far Black placed handicap stones where he liked."""
        rules = self.simulator.rules
        return min(rules.handicap, len(self.moves)) if rules.free_handicap else 0

    def play(self, color: int, action: int) -> None:
        """Play a move.

        Raises:
            IllegalMoveError: The rules forbid it; nothing has changed.
        """
        line = self._turned_to(color)
        after, reasons = self.simulator.play(line[-1].states, np.array([action]))
        if reasons[0]:
            where = vertex_of(action, self.size)
            raise IllegalMoveError(f"illegal move {where}: {Refusal(int(reasons[0])).sentence()}")
        self.line = [*line, Stage(after, action)]
        self.moves.append(Move(color, action))
        self._lengths.append(len(self.line))
        self._turned.clear()

    def turned(self, color: int) -> Game:
        """Return the game as one who is asked for a colour's move has to see it: it goes on, and it is their turn.

        Raises:
            IllegalMoveError: It is White's, and Black has handicap stones left to place.
        """
        game = self.under(self.simulator)
        game.line = self._turned_to(color)
        return game

    def undo(self) -> None:
        """Take back the last move.

        Raises:
            ValueError: There is none.
        """
        if not self.moves:
            raise ValueError("no move to take back")
        self.moves.pop()
        self._lengths.pop()
        del self.line[self._lengths[-1] :]
        self._turned.clear()

    def legal(self, color: int) -> Bools:
        """Return the legal actions of a colour, [A]; IllegalMoveError where it can't be its turn, as for `turned`."""
        legal: Bools = self.simulator.legal(self._turned_to(color)[-1].states)[0]
        return legal

    def score(self, dead: Bools | None = None) -> float:
        """Return black's points less white's and komi, if the board is counted as it is, less dead stones [N, N]."""
        return float(self.simulator.score(self.states, None if dead is None else dead[None])[0])

    def owners(self, dead: Bools) -> Array:
        """Return whose each point is once dead stones [N, N] are taken, [N, N]: 1 black's, -1 white's, 0 nobody's."""
        left = self.states._replace(board=np.where(dead, np.int8(0), self.states.board))
        owners: Array = self.simulator.ownership(left)[0]
        return owners

    def passes(self) -> int:
        """Return with how many passes in a row the moves so far end."""
        count = 0
        while count < len(self.moves) and self.moves[-1 - count].action == self.size**2:
            count += 1
        return count

    def under(self, simulator: Go) -> Game:
        """Return the same game under rules that differ in komi, scoring, or room for more moves only."""
        game = Game(simulator, self.start, int(self.line[0].states.to_move[0]))
        room = game.states.history.shape[1]
        game.line = [Stage(_with_room(stage.states, room), stage.action) for stage in self.line]
        game.moves, game._lengths = list(self.moves), list(self._lengths)
        return game

    def _turned_to(self, color: int) -> list[Stage]:
        """Return the line with a colour to move at its end.

        Until the next move these are the same stages each time, so that what is found out about them can be kept.
        """
        if self.to_move == color and not self.states.over[0]:
            return list(self.line)
        if color not in self._turned:
            self._turned[color] = self._with_turn_passed(color)
        return list(self._turned[color])

    def _with_turn_passed(self, color: int) -> list[Stage]:
        line = self.line[: self._lengths[-1]]  # without what an earlier change of turns put in
        if line[-1].states.over[0]:
            line[-1] = Stage(_going_on(line[-1].states), -1)
        if int(line[-1].states.to_move[0]) != color:
            passed, reasons = self.simulator.play(line[-1].states, np.array([self.size**2]))
            if reasons[0]:
                raise IllegalMoveError(f"illegal move: {Refusal(int(reasons[0])).sentence()}")
            line.append(Stage(_going_on(passed), -1))
        return line


def long_games(rules: Rules, played: int = 0) -> Rules:
    """Return rules with room for a game that is played on until the last dead stone has been taken.

    Args:
        rules: Any; those that have a limit of moves keep it.
        played: Moves so far, after which there is as much room again. There is none beyond 32000 moves in all.
    """
    if rules.max_moves:
        return rules
    return replace(rules, max_moves=min(played + max(3 * rules.size**2, 64), MOST_MOVES))


def _with_room(states: GoStates, room: int) -> GoStates:
    """Return a position with room for so many entries of history, the same where it has that already."""
    missing = room - states.history.shape[1]
    return states._replace(history=np.pad(states.history, ((0, 0), (0, missing)))) if missing > 0 else states


def _going_on(states: GoStates) -> GoStates:
    """Return a position as if nobody had passed."""
    return states._replace(passes=np.zeros_like(states.passes))


def own_eyes(boards: Array, color: int) -> Bools:
    """Return the points of boards [..., N, N] that are a colour's single eyes: playing there is hardly ever good.

    All four neighbours are its own, and the other side has fewer than two of the diagonal points, at the edge none.
    """
    size = boards.shape[-1]
    rim = [(0, 0)] * (boards.ndim - 2) + [(1, 1), (1, 1)]
    own, other = np.pad(boards == color, rim, constant_values=True), np.pad(boards == -color, rim)

    def shifted(points: Array, down: int, right: int) -> Array:
        moved: Array = points[..., 1 + down : 1 + down + size, 1 + right : 1 + right + size]
        return moved

    enclosed = shifted(own, -1, 0) & shifted(own, 1, 0) & shifted(own, 0, -1) & shifted(own, 0, 1)
    hostile = np.zeros(boards.shape, np.int64)
    for down, right in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        hostile += shifted(other, down, right)
    hostile[..., [0, -1], :] += 1
    hostile[..., 1:-1, [0, -1]] += 1
    eyes: Bools = (boards == 0) & enclosed & (hostile < 2)
    return eyes

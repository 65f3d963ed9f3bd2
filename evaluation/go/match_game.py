"""One game of a match with a referee: moves are checked by the agreed rules, and the end is scored independently."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tengen.envs.go.coordinates import BLACK, WHITE, letter_of, vertex_of
from tengen.envs.go.gtp_client import EngineError, StartError
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.evaluation.go.game import Game, IllegalMoveError
from tengen.evaluation.go.players import Player
from tengen.evaluation.go.referee import result_text, score

_INWARD = 2  # lines that an opening's random moves keep from the edge, on boards from 7x7


@dataclass(frozen=True)
class GamePlan:
    """A game that is to be played.

    Attributes:
        number: From 0.
        black: Who is black, A or B.
        seed: Of what the players draw.
        opening: The first moves, which nobody chooses; black's first.
    """

    number: int
    black: str
    seed: int
    opening: tuple[int, ...]


@dataclass(frozen=True)
class GameResult:
    """What came of a game.

    Attributes:
        number: From 0.
        black: Who was black, A or B.
        winner: A, B, or none for a draw.
        result: As SGF writes it: B+3.5, W+R (resigned), B+F (forfeited), 0.
        reason: score, resign, move limit, illegal move, or engine error.
        detail: Of an error.
        moves: How many, the opening's included.
        digest: Of the moves: equal games have equal ones.
        said: The scores that programs think the game has, by A and B.
        thought: Seconds by A and B, summed over their moves.
        slowest: Seconds by A and B, of the slowest move.
    """

    number: int
    black: str
    winner: str | None
    result: str
    reason: str
    detail: str
    moves: int
    digest: str
    said: Mapping[str, str]
    thought: Mapping[str, float]
    slowest: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def plan_game(number: int, seed: int, rules: Rules, opening_moves: int) -> GamePlan:
    """Return a game of a match: colours alternate, and the two games of a pair have the same opening."""
    size = rules.size
    rng = np.random.default_rng([seed, 1, number // 2])
    points = np.arange(size * size).reshape(size, size)
    inner = points[_INWARD:-_INWARD, _INWARD:-_INWARD] if size >= 7 else points
    opening = _first_legal(rng.permutation(inner.reshape(-1)).tolist(), rules, opening_moves)
    own = int(np.random.default_rng([seed, 2, number]).integers(2**31))
    return GamePlan(number, "AB"[number % 2], own, opening)


def _first_legal(points: Sequence[int], rules: Rules, count: int) -> tuple[int, ...]:
    """Return the first points on which the colours can play in turn; those that are illegal by then are left out."""
    if count == 0:
        return ()
    game, color = Game(Go(rules)), BLACK
    for point in points:
        with contextlib.suppress(IllegalMoveError):
            game.play(color, point)
            color = -color
        if len(game.moves) == count:
            break
    return tuple(move.action for move in game.moves)


class StoppedError(Exception):
    """A game was given up, since nobody waits for it."""


def play_game(
    plan: GamePlan,
    players: Mapping[str, Player],
    rules: Rules,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[GameResult, Game]:
    """Play a game to its end.

    Args:
        plan: Which.
        players: A and B.
        rules: Agreed on.
        should_stop: Asked before each move.

    Raises:
        StartError: A player is a program that can't be started.
        StoppedError: It was to stop.
    """
    names = {BLACK: plan.black, WHITE: "B" if plan.black == "A" else "A"}
    table = _Table(Game(Go(rules)), names, players, should_stop)
    try:
        table.begin(plan.seed)
        ending = table.play(plan.opening)
    except _ForfeitError as error:
        ending = -error.color, f"{letter_of(-error.color)}+F", error.reason, str(error)
    winner, result, reason, detail = ending
    said = table.said_scores() if reason == "score" else {}
    moves = table.game.moves
    text = " ".join(f"{move.color}:{move.action}" for move in moves)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    result_ = GameResult(
        plan.number,
        plan.black,
        names.get(winner),
        result,
        reason,
        detail,
        len(moves),
        digest,
        said,
        {name: round(seconds, 3) for name, seconds in table.thought.items()},
        {name: round(seconds, 3) for name, seconds in table.slowest.items()},
    )
    return result_, table.game


class _ForfeitError(Exception):
    """A player has lost by what it did."""

    def __init__(self, color: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.color = color
        self.reason = reason


class _Table:
    """A board between two players."""

    def __init__(
        self, game: Game, names: Mapping[int, str], players: Mapping[str, Player], should_stop: Callable[[], bool]
    ) -> None:
        self.game = game
        self.thought = {"A": 0.0, "B": 0.0}
        self.slowest = {"A": 0.0, "B": 0.0}
        self._names = names
        self._players = players
        self._should_stop = should_stop

    def begin(self, seed: int) -> None:
        """Have both players begin; one that fails has lost, unless there is none: that is nobody's play."""
        for color, name in sorted(self._names.items(), key=lambda item: item[1]):
            try:
                self._players[name].begin(self.game.simulator.rules, seed)
            except StartError:
                raise
            except EngineError as error:
                raise _ForfeitError(color, "engine error", str(error)) from error

    def play(self, opening: Sequence[int]) -> tuple[int, str, str, str]:
        """Play; return the winner's colour (0 for a draw), the result, the reason, and a detail."""
        color = BLACK
        for point in opening:
            self.game.play(color, point)
            for side in (color, -color):
                self._tell(side, color, point)
            color = -color
        while not self.game.over:
            if self._should_stop():
                raise StoppedError
            if not self.game.legal(color)[:-1].any() and len(self.game.moves) >= self.game.simulator.rules.move_limit:
                return self._counted("move limit")
            action = self._ask(color)
            if action is None:
                return -color, f"{letter_of(-color)}+R", "resign", ""
            try:
                self.game.play(color, action)
            except IllegalMoveError as error:
                raise _ForfeitError(color, "illegal move", str(error)) from error
            self._tell(-color, color, action)
            color = -color
        return self._counted("score")

    def said_scores(self) -> dict[str, str]:
        """Return what players think of the end, those that have a view of their own."""
        said = {}
        for name, player in self._players.items():
            try:
                text = player.said_score()
            except EngineError:
                continue
            if text is not None:
                said[name] = text
        return said

    def _counted(self, reason: str) -> tuple[int, str, str, str]:
        rules = self.game.simulator.rules
        margin = score(self.game.board.tolist(), rules.total_komi)
        assert margin == self.game.score(), f"the referee counts {margin}, the simulator {self.game.score()}"
        return (margin > 0) - (margin < 0), result_text(margin), reason, ""

    def _ask(self, color: int) -> int | None:
        name, began = self._names[color], time.monotonic()
        try:
            action = self._players[name].genmove(color)
        except EngineError as error:
            raise _ForfeitError(color, "engine error", str(error)) from error
        seconds = time.monotonic() - began
        self.thought[name] += seconds
        self.slowest[name] = max(self.slowest[name], seconds)
        return action

    def _tell(self, side: int, color: int, action: int) -> None:
        try:
            self._players[self._names[side]].play(color, action)
        except EngineError as error:
            # It may refuse a move that is legal by the agreed rules: then it plays by others, and that is its mistake.
            where = vertex_of(action, self.game.size)
            raise _ForfeitError(side, "engine error", f"at {letter_of(color)} {where}: {error}") from error

"""A player of Go: a game, a thinker, and what lies between: when to pass, to resign, and how long to think.

Start reading at `genmove`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from tengen.envs.go.coordinates import BLACK, WHITE
from tengen.envs.go.endings import dead_stones, estimated_ownership
from tengen.envs.go.rules import MOST_MOVES, Rules
from tengen.envs.go.simulator import Go
from tengen.errors import UserError
from tengen.evaluation.go.clock import Clock
from tengen.evaluation.go.game import Game, Move, long_games
from tengen.evaluation.go.thinkers import Maker, Thought, sensible
from tengen.planners.mcts.budget import Budget
from tengen.types import Array, Bools

_RESIGN_TURNS = 3  # in a row with a hopeless value, before it resigns
_CLEAR: Final = 0.5  # of how far a point is one side's, from 0 to 1, where a game that ends now is counted rightly
_SETTLED: Final = 0.95  # of the same, where by territory neither side plays any more
_FIRST_LOOK: Final = 0.05  # seconds until an analysis says something for the first time


@dataclass(frozen=True)
class EngineSettings:
    """How an engine plays.

    Raises:
        UserError: A value is out of its range.
    """

    playouts: int | None = None
    """Simulations a move; None: until the time is over."""
    seconds: float | None = None
    """Seconds a move; None: until the playouts are done, or 1 without playouts. A controller's clock may give less."""
    resign: float | None = 0.03
    """Resign when the win rate was below this for three turns in a row; None: never."""
    removes_dead: bool = False
    """Whether a game's final score leaves out stones that look dead, as players would agree on. Tromp-Taylor's does
    not."""

    def __post_init__(self) -> None:
        if self.playouts is not None and self.playouts < 1:
            raise UserError(f"playouts must be at least 1, got {self.playouts}")
        if self.seconds is not None and not 0 < self.seconds <= 86400:
            raise UserError(f"time must be more than 0 seconds, and a day at most, got {self.seconds:g}")
        if self.resign is not None and not 0 <= self.resign < 0.5:
            raise UserError(f"resign must be a win rate from 0 to below 0.5, got {self.resign:g}")


class Chosen(NamedTuple):
    """What an engine did on its turn."""

    action: int | None  # None: it resigns
    thought: Thought | None  # None: nothing needed thinking about


class Engine:
    """A player, whose turn comes when it is asked.

    Args:
        maker: Makes what thinks.
        rules: Of the first game. Where their `max_moves` is 0, a game may have any number of moves, up to 32000.
        settings: How to play.
        seed: Of all that is drawn.
    """

    def __init__(
        self, maker: Maker, rules: Rules | None = None, settings: EngineSettings | None = None, seed: int = 0
    ) -> None:
        self.settings = settings or EngineSettings()
        self.clock = Clock()
        self.game: Game
        self.handicap: int  # of the stones set up
        self._maker = maker
        self._seed = seed
        self._rules = rules or Rules()
        self._ownership: tuple[object, Array] | None = None  # the position, and whose its points will be
        self.new_game()

    @property
    def rules(self) -> Rules:
        """Of the game; the komi is that which was set, without a bonus for handicap stones."""
        return self._rules

    def new_game(self, rules: Rules | None = None, seed: int | None = None) -> None:
        """Begin a game as its rules say; UserError, and nothing changes, where the thinker can't play by them.

        Args:
            rules: Other rules from now on.
            seed: Another seed from now on: the same seed plays the same game.
        """
        rules = rules or self._rules
        self._begin(rules, Game(self._simulator(rules)), seed=seed)

    def set_rules(self, rules: Rules) -> None:
        """Go on with the same board under other rules of the same size; UserError where they can't be played by."""
        assert rules.size == self._rules.size, "another size needs a new game"
        # What superko looks back on is kept as the rule of ko needs it.
        if (rules.ko, rules.max_moves) == (self._rules.ko, self._rules.max_moves):
            self._go_on_under(_with_bonus(rules, self.handicap))
        elif not self.game.moves and not self.game.start.any():
            self.new_game(rules)
        else:
            raise UserError("the rule of ko can be changed on an empty board only: clear_board first")
        self._rules = rules

    def set_up(
        self,
        board: Array,
        to_move: int,
        handicap: int = 0,
        rules: Rules | None = None,
        moves: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Begin a game from a board int8 [N, N]; where that can't be, nothing changes.

        Args:
            board: 1 black, -1 white.
            to_move: Whose turn it is.
            handicap: How many of the stones are a handicap, for which the rules may give White points.
            rules: Other rules from now on.
            moves: Colours and actions that are played on it.

        Raises:
            ValueError: A chain has no liberties.
            IllegalMoveError: One of the moves is illegal.
            UserError: The thinker can't play by the rules.
        """
        rules = rules or self._rules
        moves = list(moves)
        game = Game(self._simulator(_with_bonus(rules, handicap), len(moves)), board, to_move)
        for color, action in moves:
            game.play(color, action)
        self._begin(rules, game, handicap)

    def _simulator(self, rules: Rules, played: int = 0) -> Go:
        """Return what knows the rules, with room for many more moves than there were."""
        return Go(long_games(rules, played), self._maker.planes(rules.size))

    def _go_on_under(self, rules: Rules) -> None:
        """Go on with the game under other rules, or with more room; what was thought of it is forgotten."""
        simulator = self._simulator(rules, int(self.game.states.moves[0]))
        self._thinker = self._maker(simulator)  # may fail; nothing has changed by then
        self.game = self.game.under(simulator)

    def _make_room(self) -> None:
        """See to it that where the rules have no limit of moves the game is far from that of its simulator."""
        limit, played = self.game.simulator.rules.move_limit, int(self.game.states.moves[0])
        if self._rules.max_moves == 0 and limit < MOST_MOVES and limit - played <= self._rules.num_points:
            self._go_on_under(_with_bonus(self._rules, self.handicap))

    def _begin(self, rules: Rules, game: Game, handicap: int = 0, seed: int | None = None) -> None:
        """Make a game that was prepared the engine's own."""
        self._thinker = self._maker(game.simulator)  # may fail; nothing has changed by then
        self._rules, self.game, self.handicap = rules, game, handicap
        self._seed = self._seed if seed is None else seed
        self._rng = np.random.default_rng(self._seed)
        self._hopeless = {BLACK: 0, WHITE: 0}
        self.clock.restart()

    def play(self, color: int, action: int) -> None:
        """Play a move for either side.

        Raises:
            IllegalMoveError: The rules forbid it.
        """
        self._make_room()
        self.game.play(color, action)

    def genmove(
        self,
        color: int,
        on_thought: Callable[[Thought], None] | None = None,
        period: float = 1.0,
        only: Bools | None = None,
    ) -> Chosen:
        """Choose a move for a side, and play it.

        Args:
            color: Whose turn it is.
            on_thought: Called with what is thought so far, every `period` seconds.
            period: Seconds.
            only: The actions [A] to choose among; as in `analyze`.
        """
        began = time.monotonic()
        chosen = self.choose(color, on_thought, period, only)
        self.clock.spend(color, time.monotonic() - began)
        if chosen.thought is not None:
            hopeless = self.settings.resign is not None and (chosen.thought.best.value + 1) / 2 < self.settings.resign
            self._hopeless[color] = self._hopeless[color] + 1 if hopeless else 0
            if self._hopeless[color] >= _RESIGN_TURNS:
                return Chosen(None, chosen.thought)
        assert chosen.action is not None
        self.game.play(color, chosen.action)
        return chosen

    def choose(
        self,
        color: int,
        on_thought: Callable[[Thought], None] | None = None,
        period: float = 1.0,
        only: Bools | None = None,
    ) -> Chosen:
        """Choose a move for a side without playing it; see `genmove`."""
        self._make_room()
        game, pass_action = self.game, self.game.size**2
        wins = color * (self.score() if self._by_territory else game.score()) > 0
        allowed = self._allowed(color, only)
        passed = bool(game.moves) and game.moves[-1] == Move(-color, pass_action)
        if allowed[-1] and wins and (passed or (self._by_territory and self._nothing_is_open())):
            return Chosen(pass_action, None)  # the game ends, or may, and is won
        if not allowed[:-1].any():
            return Chosen(pass_action, None)
        thought = self._think(game.turned(color), allowed, self._budget(color), on_thought, period)
        return Chosen(thought.best.action, thought)

    def analyze(
        self, color: int, period: float, interrupted: Callable[[], bool], only: Bools | None = None
    ) -> Iterator[Thought]:
        """Yield what is thought of a side's moves, every `period` seconds, until interrupted; once at the least.

        Args:
            color: Whose moves.
            period: Seconds.
            interrupted: Says when to end.
            only: The actions [A] to look at; all that make sense, unless given or none of these does.
        """
        self._make_room()
        allowed = self._allowed(color, only)
        game = self.game.turned(color)
        yield self._thinker.think(game, allowed, Budget(seconds=min(period, _FIRST_LOOK)), self._rng)
        while not interrupted():
            began = time.monotonic()
            yield self._thinker.think(game, allowed, Budget(seconds=period), self._rng, interrupted)
            # What takes no time to think of, as one look of a network, is not said more often for it.
            while not interrupted() and time.monotonic() - began < period:
                time.sleep(0.005)

    def undo(self) -> None:
        """Take back a move; ValueError where there is none."""
        self.game.undo()
        self._hopeless = {BLACK: 0, WHITE: 0}

    def ownership(self, game: Game | None = None) -> Array:
        """Return whose each point will be, [N, N] from -1 white to 1 black; see `estimated_ownership`.

        Args:
            game: Of these rules; the engine's own unless given.
        """
        game = game or self.game
        if self._ownership is None or self._ownership[0] is not game.states:
            self._ownership = game.states, estimated_ownership(game.board, np.random.default_rng(self._seed))
        return self._ownership[1]

    def dead(self) -> Bools:
        """Return the stones [N, N] that look dead, chains as a whole: their points will be the other side's."""
        return dead_stones(self.game.board, self.ownership())

    def score(self) -> float:
        """Return black's points less white's and komi, as the game stands."""
        return self.game.score(self.dead() if self.removes_dead else None)

    @property
    def removes_dead(self) -> bool:
        """Whether the score leaves out stones that look dead: as the settings say, and always by territory.

        To take them costs points there.
        """
        return self.settings.removes_dead or self._by_territory

    @property
    def _by_territory(self) -> bool:
        return self._rules.scoring == "territory"

    def _nothing_is_open(self) -> bool:
        """Return whether each point is clearly the side's who has it once dead stones are taken."""
        return bool((self.game.owners(self.dead()) * self.ownership() >= _CLEAR).all())

    def _allowed(self, color: int, only: Bools | None) -> Bools:
        """Return the actions [A] to think about."""
        allowed = sensible(self.game, color)
        if self._by_territory and allowed[-1]:  # a move costs a point where nothing is to be had or lost any more
            allowed[:-1] &= np.abs(self.ownership()).reshape(-1) < _SETTLED
        return allowed & only if only is not None and (allowed & only).any() else allowed

    def _budget(self, color: int) -> Budget:
        settings = self.settings
        limits = [settings.seconds, self.clock.seconds(color, len(self.game.moves), self.game.size**2)]
        given = [limit for limit in limits if limit is not None]
        if not given and settings.playouts is None:
            given = [1.0]
        return Budget(settings.playouts, min(given) if given else None)

    def _think(
        self,
        game: Game,
        allowed: Bools,
        budget: Budget,
        on_thought: Callable[[Thought], None] | None,
        period: float,
    ) -> Thought:
        """Think as much as the budget allows, in stretches where somebody listens."""
        if on_thought is None:
            return self._thinker.think(game, allowed, budget, self._rng)
        deadline, simulations = budget.deadline(), budget.simulations
        while True:
            seconds = max(min(period, deadline - time.monotonic()), 0.0)
            thought = self._thinker.think(game, allowed, Budget(simulations, seconds), self._rng)
            on_thought(thought)
            if simulations is not None:
                simulations -= thought.simulations
            if (
                time.monotonic() >= deadline
                or thought.simulations == 0
                or (simulations is not None and simulations <= 0)
            ):
                return thought


def _with_bonus(rules: Rules, handicap: int) -> Rules:
    """Return rules with White's bonus for handicap stones in the komi."""
    bonus = {"none": 0, "n": handicap, "n-1": max(0, handicap - 1)}[rules.handicap_bonus]
    return replace(rules, komi=rules.komi + bonus)

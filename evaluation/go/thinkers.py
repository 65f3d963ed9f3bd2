"""What chooses moves: a tree search over playouts or a network, a network by itself, or chance.

A thinker belongs to one simulator and is asked about games of it. It keeps what it knows of a game, so that thinking in
several short stretches is as good as in one, and what was found out about the opponent's reply is not lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from tengen.envs.go.simulator import Go
from tengen.evaluation.go.game import Game, own_eyes
from tengen.planners.mcts.budget import Budget
from tengen.planners.mcts.evaluators import NetworkFunction, masked_softmax
from tengen.planners.mcts.result import SearchResult
from tengen.planners.mcts.search import Search
from tengen.types import Array, Bools


class Candidate(NamedTuple):
    """A move that was thought about."""

    action: int
    visits: int
    value: float  # in [-1, 1], for the side to move
    prior: float  # probability, before any search
    variation: tuple[int, ...]  # what is expected to follow, with this move as the first

    @property
    def win_rate(self) -> float:
        """The value as a share of games won."""
        return (self.value + 1) / 2


class Thought(NamedTuple):
    """What came of thinking."""

    candidates: tuple[Candidate, ...]  # the best first
    value: float  # in [-1, 1], for the side to move
    simulations: int  # new ones; 0: thinking on would find out nothing more

    @property
    def best(self) -> Candidate:
        """What to play."""
        return self.candidates[0]


class Thinker(Protocol):
    """Chooses moves."""

    def think(
        self,
        game: Game,
        allowed: Bools,
        budget: Budget,
        rng: np.random.Generator,
        should_stop: Callable[[], bool] | None = None,
    ) -> Thought:
        """Think about the side to move's actions, [A] of which some are allowed; at least one candidate comes back."""
        ...


class Maker(Protocol):
    """Makes thinkers for rules that may change from game to game."""

    def planes(self, size: int) -> str:
        """Return what the simulator must show, on boards of a size."""
        ...

    def __call__(self, simulator: Go) -> Thinker:
        """Return a thinker; UserError where it can't play under these rules."""
        ...


class RandomThinker:
    """Any sensible move: none fills an eye of its own, and it passes only when there is no other."""

    def think(
        self,
        game: Game,
        allowed: Bools,
        budget: Budget,
        rng: np.random.Generator,
        should_stop: Callable[[], bool] | None = None,
    ) -> Thought:
        """Draw a move."""
        actions = np.flatnonzero(allowed[:-1])
        action = int(rng.choice(actions)) if len(actions) else game.size**2
        return Thought((Candidate(action, 1, 0.0, 1.0 / max(len(actions), 1), (action,)),), 0.0, 0)


class PolicyThinker:
    """A network's own first choice, without search."""

    def __init__(self, simulator: Go, function: NetworkFunction) -> None:
        self._simulator = simulator
        self._function = function

    def think(
        self,
        game: Game,
        allowed: Bools,
        budget: Budget,
        rng: np.random.Generator,
        should_stop: Callable[[], bool] | None = None,
    ) -> Thought:
        """Evaluate the position once. It passes only where it would win by that, or has no other move."""
        if allowed[:-1].any() and game.to_move * game.score() <= 0:
            allowed = np.append(allowed[:-1], False)
        logits, values = self._function(self._simulator.observe(game.states))
        priors = masked_softmax(np.asarray(logits), allowed[None])[0]
        value = float(np.asarray(values)[0])
        order = np.argsort(-priors, kind="stable")[: int(allowed.sum())].tolist()
        return Thought(tuple(Candidate(a, 1, value, float(priors[a]), (a,)) for a in order), value, 0)


class SearchThinker:
    """A tree search."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._root: object = None  # the states that the tree begins with
        self._allowed = np.empty(0, np.bool_)  # the actions [A] that the root's visits were shared out among

    def think(
        self,
        game: Game,
        allowed: Bools,
        budget: Budget,
        rng: np.random.Generator,
        should_stop: Callable[[], bool] | None = None,
    ) -> Thought:
        """Search on from what is known."""
        self._follow(game, allowed)
        self._root = None  # a tree whose search fails halfway is not gone on with
        result = self._search.run(budget, rng, should_stop)
        self._root, self._allowed = game.states, allowed
        return self._thought(result, allowed)

    def _follow(self, game: Game, allowed: Bools) -> None:
        """Make the game's position the root. Where actions are allowed that were not, the tree is grown anew.

        They would have none of the visits, and another would be the most visited without having been compared to them.
        """
        line = game.line
        known = [index for index, stage in enumerate(line) if stage.states is self._root]
        later = line[known[0] + 1 :] if known else []
        if not known or any(stage.action < 0 for stage in later) or (not later and (allowed & ~self._allowed).any()):
            self._search.reset(game.states, allowed[None])
            return
        if not later:
            self._search.restrict(allowed[None])
        for stage in later:
            self._search.advance(np.array([stage.action]), stage.states, allowed[None] if stage is line[-1] else None)

    def _thought(self, result: SearchResult, allowed: Bools) -> Thought:
        visits, values, priors = result.visits[0], result.values[0], result.priors[0]
        best = int(result.actions[0])
        tried = [action for action in np.flatnonzero((visits > 0) & allowed).tolist() if action != best]
        tried.sort(key=lambda action: (-visits[action], -values[action]))
        candidates = []
        for action in [best, *tried]:
            line = tuple(self._search.principal_variation(0, action)) or (action,)
            candidates.append(
                Candidate(action, int(visits[action]), float(values[action]), float(priors[action]), line)
            )
        return Thought(tuple(candidates), float(result.value[0]), result.num_simulations)


def sensible(game: Game, color: int) -> Bools:
    """Return the legal actions [A] that fill no eye of one's own; all where no other is left, and no pass."""
    eyes: Array = own_eyes(game.board, color).reshape(-1)
    legal = game.legal(color)
    allowed = legal.copy()
    allowed[:-1] &= ~eyes
    return allowed if allowed.any() else legal

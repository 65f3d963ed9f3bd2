"""Whose the points of an unfinished board will be: played on at random, many times, without filling eyes."""

from __future__ import annotations

import numpy as np

from tengen.evaluation.go.game import Game, own_eyes
from tengen.types import Array

_GAMES = 64


def estimated_ownership(game: Game, rng: np.random.Generator, num_games: int = _GAMES) -> Array:
    """Return the mean owner of each point, [N, N] from -1 white to 1 black, over random games from a position.

    Superko and the simulator's own idea of an end are left to it; a game that does not end is scored as it stands.
    """
    simulator, size = game.simulator, game.size
    start = game.states._replace(passes=np.zeros_like(game.states.passes))
    states = start.rows(np.zeros(num_games, np.int64))
    for _ in range(3 * size * size):
        legal = simulator.legal(states)[:, :-1]
        boards = states.board * states.to_move[:, None, None]
        eyes = own_eyes(boards, 1).reshape(num_games, -1)
        open_ = legal & ~eyes
        weights = np.where(open_, rng.random(open_.shape), -1.0)
        actions = np.where(open_.any(axis=1), weights.argmax(axis=1), size * size)
        actions[states.over] = size * size
        states, _ = simulator.play(states, actions)
        if states.over.all():
            break
    owners: Array = simulator.ownership(states).mean(axis=0)
    return owners

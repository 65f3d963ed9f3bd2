"""The tree search finds what minimax finds, and keeps to its budgets."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
import pytest
from mcts_games import CONNECT_FOUR_ENDS, RandomTree, connect_four_values, played, tictactoe_values

from tengen.contracts import Simulator
from tengen.envs.connect_four import ConnectFour
from tengen.envs.tictactoe import TicTacToe
from tengen.planners.mcts import (
    Budget,
    Search,
    SearchResult,
    SearchSettings,
    light_playouts,
    root_report,
)
from tengen.planners.mcts.settings import SelectRule

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled
INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])
SIMULATIONS = 1500


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def searched(
    game: Simulator, states: Any, worth: Mapping[int, float], settings: SearchSettings, *, within: float
) -> SearchResult:
    """Search a position whose actions have these values, see that the best is found, and return the result."""
    search = Search(game, light_playouts(game), settings)
    search.reset(states)
    result = search.run(Budget(simulations=SIMULATIONS), rng())
    best = int(result.actions[0])
    assert worth[best] == max(worth.values())
    assert result.values[0, best] == pytest.approx(worth[best], abs=within)
    return result


SETTINGS = [
    SearchSettings(),
    SearchSettings(rave_equivalence=50.0, expand_visits=3, leaves=4, exploration=0.3),
    SearchSettings(rule="puct", leaves=4),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["uct", "rave", "puct"])
@pytest.mark.parametrize("moves", [[0, 4, 1], [4, 0, 8], [0, 8, 4, 2], [4, 1, 0, 8, 2], [0, 1, 4]])
def test_on_tic_tac_toe_the_most_visited_move_is_a_minimax_move(settings: SearchSettings, moves: list[int]) -> None:
    game = TicTacToe()
    state = played(game, moves)
    result = searched(game, state, tictactoe_values(state[0].tobytes()), settings, within=0.25)
    assert result.visits[0].sum() == SIMULATIONS
    assert not result.visits[0][state[0] != 0].any()


@pytest.mark.parametrize("settings", SETTINGS, ids=["uct", "rave", "puct"])
@pytest.mark.parametrize("columns", CONNECT_FOUR_ENDS)
def test_at_the_end_of_connect_four_the_most_visited_move_is_a_minimax_move(
    settings: SearchSettings, columns: str
) -> None:
    game = ConnectFour()
    states = played(game, [int(column) - 1 for column in columns])
    searched(game, states, connect_four_values(states), settings, within=0.1)


@pytest.mark.parametrize("rule", ["uct", "puct"])
@pytest.mark.parametrize("seed", range(5))
def test_values_converge_to_minimax_on_games_with_rewards_on_the_way(seed: int, rule: SelectRule) -> None:
    game = RandomTree(seed)
    search = Search(game, game.network, SearchSettings(rule=rule, exploration=0.5))
    search.reset(game.init(rng(), 1))
    result = search.run(Budget(simulations=4000 if not INTERPRETED else 1200), rng())
    worth = game.action_values(0)
    best = int(result.actions[0])
    assert worth[best] == max(worth.values())
    assert result.values[0, best] == pytest.approx(worth[best], abs=0.1)


def test_a_number_of_simulations_is_kept_to_whatever_the_batch() -> None:
    game = TicTacToe()
    for leaves, overlap in itertools.product((1, 7, 64), (False, True)):
        search = Search(game, light_playouts(game), SearchSettings(leaves=leaves, overlap=overlap))
        search.reset(game.init(rng(), 3))
        result = search.run(Budget(simulations=50), rng())
        assert result.num_simulations == 50
        np.testing.assert_array_equal(result.visits.sum(axis=1), 50)


@pytest.mark.parametrize("overlap", [False, True])
def test_a_search_ends_when_its_time_is_up_or_it_is_told_to_stop(
    overlap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = TicTacToe()
    search = Search(game, light_playouts(game), SearchSettings(overlap=overlap))
    search.reset(game.init(rng(), 1))
    clock = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(clock))  # a second passes from one look to the next
        assert search.run(Budget(seconds=7), rng()).num_simulations == 7
    asked = iter([False, False, True])
    assert search.run(Budget(), rng(), should_stop=lambda: next(asked)).num_simulations == 3


def test_the_principal_variation_follows_the_most_visited_and_the_report_shows_it() -> None:
    game = TicTacToe()
    search = Search(game, light_playouts(game))
    search.reset(played(game, [0, 4, 1]))
    search.run(Budget(simulations=2000), rng())
    line = search.principal_variation(0)
    assert line[0] == 2  # O must block
    assert search.principal_variation(0, 8)[:2] == [8, 2]  # else X wins
    report = root_report(search, 0, name=lambda action: f"<{action}>").splitlines()
    assert report[0].startswith("value ")
    assert report[2].split()[0] == "<2>"
    assert report[2].split()[4:] == [f"<{action}>" for action in line[1:]]

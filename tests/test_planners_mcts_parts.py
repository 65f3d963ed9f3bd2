"""The parts around the tree: what judges leaves, settings, budgets, and what is read off a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mcts_games import RandomTree, played

from tengen.envs.connect_four import ConnectFour, ConnectFourStates
from tengen.envs.tictactoe import TicTacToe
from tengen.errors import UserError
from tengen.planners.mcts import (
    Budget,
    Search,
    SearchResult,
    SearchSettings,
    both,
    light_playouts,
    mixed,
    network,
    policy_guess,
    sample_actions,
    should_resign,
)
from tengen.planners.mcts.evaluators import Evaluation, masked_softmax
from tengen.planners.mcts.seeds import Seeds, hashed
from tengen.planners.mcts.settings import SelectRule
from tengen.planners.mcts.states import same_states, take_states
from tengen.types import Array, Bools

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def a_result(visits: list[int], values: list[float], value: float = 0.0) -> SearchResult:
    shares = np.array([visits]) / max(sum(visits), 1)
    best = np.array([int(np.argmax(visits))])
    return SearchResult(
        np.array([visits]), np.array([values]), np.array([value]), shares.astype(np.float32), shares, best, sum(visits)
    )


def exact_random_value(game: TicTacToe, state: Array) -> float:
    """Return what a position is worth on average if both sides play at random, by going through all games."""
    worth = []
    for action in np.flatnonzero(state[0] == 0):
        after, reward, discount = game.step(state, np.array([action]), rng())
        worth.append(float(reward[0]) + (float(discount[0]) * exact_random_value(game, after) if discount[0] else 0.0))
    return sum(worth) / len(worth)


def test_playouts_by_steps_are_worth_what_random_play_is() -> None:
    game = TicTacToe()
    state = played(game, [0, 4, 8, 2])
    many = np.repeat(state, 4000, axis=0)
    judged = light_playouts(game)(many, None, hashed(np.arange(4000, dtype=np.uint64), 0))
    assert judged.values.mean() == pytest.approx(exact_random_value(game, state), abs=0.05)
    assert judged.first is not None
    assert not judged.first[:, [0, 2, 4, 8]].any()  # taken already
    np.testing.assert_array_equal(judged.first.sum(axis=1)[judged.values == 0], 1)  # a draw fills five squares, 3 to 2


def test_several_playouts_of_a_leaf_are_averaged() -> None:
    game = ConnectFour()
    states = game.init(rng(), 50)
    seeds = np.arange(50, dtype=np.uint64)
    one, four = light_playouts(game)(states, None, seeds), light_playouts(game, playouts=4)(states, None, seeds)
    assert set(np.unique(one.values)) <= {-1.0, 0.0, 1.0}
    assert len(np.unique(four.values)) > 3
    assert four.values.std() < one.values.std()
    alone = light_playouts(game, playouts=4)(take_states(states, np.array([7])), None, seeds[7:8])
    assert alone.values[0] == four.values[7]


def by_columns(observation: Array) -> tuple[Array, Array]:
    """A network of connect four that likes columns with many own stones."""
    own = observation[:, 0].sum(axis=1)  # [M, 7]
    return own - 0.5 * np.arange(7), np.tanh(observation[:, 0].sum(axis=(1, 2)) - observation[:, 1].sum(axis=(1, 2)))


def test_a_network_gives_priors_of_legal_actions_and_values() -> None:
    game = ConnectFour()
    pairs = zip(played(game, [2] * 6), played(game, [1]), strict=True)
    states = ConnectFourStates(*(np.concatenate(pair) for pair in pairs))
    legal = game.legal(states)
    judged = network(game, by_columns)(states, legal, np.zeros(2, np.uint64))
    assert judged.priors is not None
    assert judged.priors[0, 2] == 0
    np.testing.assert_allclose(judged.priors.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(judged.values, [0.0, np.tanh(-1.0)], rtol=1e-6)
    assert network(game, by_columns)(states, None, np.zeros(2, np.uint64)).priors is None


def test_a_network_may_look_from_any_side_and_its_priors_are_turned_back() -> None:
    game = ConnectFour()
    states = ConnectFourStates(*(np.repeat(leaf, 64) for leaf in played(game, [0, 3, 0])))
    seeds = hashed(np.arange(64, dtype=np.uint64), 0)
    judged = network(game, by_columns, symmetries=True)(states, game.legal(states), seeds)
    assert judged.priors is not None
    plain = masked_softmax(by_columns(game.observe(states))[0], game.legal(states))[0]
    mirrored = masked_softmax(by_columns(game.observe(states)[..., ::-1])[0], game.legal(states))[0][::-1]
    from_here = np.isclose(judged.priors, plain).all(axis=1)
    from_there = np.isclose(judged.priors, mirrored).all(axis=1)
    assert (from_here ^ from_there).all()
    assert 10 < from_here.sum() < 54


def test_a_network_and_playouts_are_mixed() -> None:
    game = RandomTree(1)
    other = RandomTree(2)
    states, seeds = np.array([0, 1, 2]), np.zeros(3, np.uint64)
    judged = mixed(game.network, other.network, 0.25)(states, game.legal(states), seeds)
    np.testing.assert_allclose(judged.values, 0.75 * game.guessed[:3] + 0.25 * other.guessed[:3])
    assert judged.priors is not None
    np.testing.assert_array_equal(judged.priors, game.network(states, None, seeds).priors)


def test_a_search_with_a_network_finds_a_win() -> None:
    game = ConnectFour()
    search = Search(game, network(game, by_columns, symmetries=True), SearchSettings(rule="puct", leaves=4))
    search.reset(played(game, [3, 0, 3, 0, 3, 1]))
    result = search.run(Budget(simulations=60), rng())
    assert result.actions[0] == 3
    assert result.values[0, 3] == 1.0


@pytest.mark.parametrize("broken", ["logits", "values"])
@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_a_network_that_answers_with_no_numbers_is_refused(rule: SelectRule, broken: str) -> None:
    def diverged(observation: Array) -> tuple[Array, Array]:
        logits, values = by_columns(observation)
        return (logits * np.nan, values) if broken == "logits" else (logits, values * np.nan)

    game = ConnectFour()
    search = Search(game, network(game, diverged), SearchSettings(rule=rule))
    search.reset(played(game, [3]))
    with pytest.raises(UserError, match="a network answers with nan or inf"):
        search.run(Budget(simulations=8), rng())


def test_a_policy_that_guesses_no_numbers_is_refused() -> None:
    game = ConnectFour()
    states = played(game, [3])
    guess = policy_guess(game, lambda observation: (np.full((len(observation), 7), np.nan, np.float32), np.zeros(1)))
    with pytest.raises(UserError, match="a network answers with nan or inf"):
        guess(states, game.legal(states))


@pytest.mark.parametrize("rule", ["uct", "puct", "gumbel"])
def test_values_that_are_no_numbers_lead_to_no_edge_that_is_not_there(rule: SelectRule) -> None:
    game = ConnectFour()

    def judge(states: Any, legal: Bools | None, seeds: Seeds) -> Evaluation:
        priors = None if legal is None else np.full(legal.shape, np.nan, np.float32)
        return Evaluation(priors, np.full(len(seeds), np.nan))

    search = Search(game, judge, SearchSettings(rule=rule, leaves=4, max_nodes=50))
    search.reset(played(game, [3]))
    assert search.run(Budget(simulations=100), rng()).visits.sum() == 100


def test_actions_are_drawn_by_visits_and_temperature() -> None:
    result = a_result([10, 30, 0], [0.0, 0.1, 0.0])
    assert sample_actions(result, 0.0, [rng()]).tolist() == [1]
    draws = np.array([sample_actions(result, 1.0, [rng(seed)])[0] for seed in range(800)])
    np.testing.assert_allclose(np.bincount(draws, minlength=3) / 800, [0.25, 0.75, 0], atol=0.05)
    cold = np.array([sample_actions(result, 0.5, [rng(seed)])[0] for seed in range(800)])
    np.testing.assert_allclose(np.bincount(cold, minlength=3) / 800, [0.1, 0.9, 0], atol=0.04)


@pytest.mark.parametrize(
    ("visits", "values", "value", "lost"),
    [
        ([5, 5], [-0.95, -0.99], -0.97, True),
        ([5, 5], [-0.5, -0.99], -0.97, False),
        ([5, 5], [-0.95, -0.99], -0.5, False),
        ([0, 0], [0.0, 0.0], 0.0, False),
    ],
)
def test_a_game_is_resigned_where_even_the_best_is_lost(
    visits: list[int], values: list[float], value: float, lost: bool
) -> None:
    assert should_resign(a_result(visits, values, value), -0.9).tolist() == [lost]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "ucb"}, "the rule of a search must be uct, puct or gumbel, got 'ucb'"),
        (
            {"rule": "gumbel", "overlap": True},
            "overlap is for the rules uct and puct: gumbel needs all visits of a half to judge it",
        ),
        ({"leaves": 0}, "leaves of a search must be at least 1, got 0"),
        ({"virtual_loss": -1.0}, "virtual_loss of a search must be 0 or more, and finite, got -1"),
        ({"noise": 1.5}, "noise of a search must be between 0 and 1, and finite, got 1.5"),
        ({"exploration_base": 0.0}, "exploration_base of a search must be greater than 0, and finite, got 0"),
        ({"exploration": float("inf")}, "exploration of a search must be 0 or more, and finite, got inf"),
        ({"fpu": float("nan")}, "fpu of a search must be none or a number above -inf, got nan"),
        ({"fpu": -float("inf")}, "fpu of a search must be none or a number above -inf, got -inf"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        SearchSettings(**settings)
    assert str(refused.value) == message


def test_budgets_out_of_their_range_are_refused() -> None:
    with pytest.raises(UserError, match="simulations must be 0 or more, got -1"):
        Budget(simulations=-1)
    with pytest.raises(UserError, match="seconds must be 0 or more, and finite, got inf"):
        Budget(seconds=float("inf"))


def test_rules_with_chance_are_refused() -> None:
    class Dice(RandomTree):
        deterministic = False

    game = Dice(0)
    with pytest.raises(ValueError, match="Dice can't be searched"):
        Search(game, game.network)


def test_states_are_compared_row_by_row() -> None:
    one = (np.arange(6).reshape(3, 2), np.array([1, 2, 3]))
    other = (np.array([[0, 1], [2, 9], [4, 5]]), np.array([1, 2, 4]))
    assert same_states(one, other).tolist() == [True, False, False]


# --- Guesses ---


def ahead_by_columns() -> tuple[ConnectFour, Any, Array]:
    game = ConnectFour()
    states = ConnectFourStates(*(np.repeat(leaf, 2) for leaf in played(game, [0, 0, 0, 0, 0, 0])))
    return game, states, game.legal(states)


def test_a_policy_guesses_as_many_won_playouts_as_the_root_of_its_probability() -> None:
    game, states, legal = ahead_by_columns()
    values, counts = policy_guess(game, by_columns, won=50.0)(states, legal)
    probabilities = masked_softmax(by_columns(game.observe(states))[0], legal)
    np.testing.assert_array_equal(values[legal], 1.0)
    np.testing.assert_allclose(counts, 50 * np.sqrt(probabilities), rtol=1e-6)
    assert not counts[:, 0].any(), "the column is full"


def test_two_guesses_add_their_playouts_up() -> None:
    game, states, legal = ahead_by_columns()

    def lost(states: Any, legal: Array) -> tuple[Array, Array]:
        return np.full(legal.shape, -1.0, np.float32), np.where(legal, 10, 0).astype(np.float32)

    policy = policy_guess(game, by_columns, won=50.0)
    values, counts = both(policy, lost)(states, legal)
    won = policy(states, legal)[1]
    np.testing.assert_allclose(counts, won + np.where(legal, 10, 0), rtol=1e-6)
    np.testing.assert_allclose((values * counts)[legal], (won - 10)[legal], rtol=1e-5)
    assert np.isfinite(values).all()


def test_a_search_looks_first_where_a_policy_guesses() -> None:
    game = ConnectFour()
    settings = SearchSettings(rave_equivalence=100.0, expand_visits=2)
    for favourite in (1, 5):

        def policy(planes: Array, favourite: int = favourite) -> tuple[Array, Array]:
            return np.tile(5.0 * (np.arange(7) == favourite), (len(planes), 1)), np.zeros(len(planes))

        search = Search(game, light_playouts(game), settings, policy_guess(game, policy, won=1000.0))
        search.reset(game.init(rng(), 1))
        assert search.run(Budget(simulations=100), rng()).actions[0] == favourite

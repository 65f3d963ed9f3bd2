"""Gumbel AlphaZero: that search improves the policy however few its simulations, as the paper proves."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from mcts_games import RandomTree

from tengen.planners.mcts import Budget, Search, SearchResult, SearchSettings
from tengen.types import Floats

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled

INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])
GAMES = 60 if INTERPRETED else 1500


def searched(game: RandomTree, num_games: int, simulations: int, settings: SearchSettings) -> SearchResult:
    search = Search(game, game.network, settings)
    search.reset(game.init(np.random.default_rng(0), num_games))
    return search.run(Budget(simulations=simulations), np.random.default_rng(7))


def worth(game: RandomTree) -> Floats:
    """Return the exact values of the root's actions [A]; 0 for illegal ones."""
    values = np.zeros(game.num_actions)
    for action, value in game.action_values(0).items():
        values[action] = value
    return values


@pytest.mark.parametrize("simulations", [2, 4, 7, 16])
@pytest.mark.parametrize("seed", range(4))
def test_with_exact_values_the_move_played_is_better_than_the_priors_on_average(seed: int, simulations: int) -> None:
    """Section 3: E[q(A)] >= sum of pi(a) q(a), where q of an action is known once it was visited."""
    game = RandomTree(seed, num_actions=8, depth=1)
    result = searched(game, GAMES, simulations, SearchSettings(rule="gumbel"))
    values = worth(game)
    before = float(result.priors[0] @ values)
    played = values[result.actions]
    assert played.mean() > before - 3 * played.std() / np.sqrt(GAMES)
    if simulations > 2:
        assert played.mean() > before


@pytest.mark.parametrize("simulations", [1, 2, 4, 7, 16])
@pytest.mark.parametrize("seed", range(4))
def test_with_exact_values_the_improved_policy_is_worth_no_less_than_the_prior(seed: int, simulations: int) -> None:
    """Appendix C: where all are visited, in every single game; else, with v_mix for the others, on average."""
    game = RandomTree(seed, num_actions=8, depth=1)
    values = worth(game)
    legal = game.legal(np.zeros(1, np.int64))[0]
    prior = np.where(legal, np.exp(game.logits[0]), 0.0)
    game.guessed[0] = float(prior @ values / prior.sum())
    result = searched(game, 40, simulations, SearchSettings(rule="gumbel"))
    gain = result.policy @ values - result.priors.astype(np.float64) @ values
    assert gain.mean() >= -1e-6
    everything = (result.visits[:, legal] > 0).all(axis=1)
    assert (gain[everything] >= -1e-6).all()
    assert everything.all() == (simulations >= legal.sum())
    assert not result.policy[:, ~legal].any()
    np.testing.assert_allclose(result.policy.sum(axis=1), 1)


def test_without_noise_the_best_of_the_likeliest_moves_is_played() -> None:
    for seed in range(6):
        game = RandomTree(seed, num_actions=8, depth=1)
        result = searched(
            game, 1, 32, SearchSettings(rule="gumbel", gumbel_noise=0.0, considered=4, gumbel_scale=100.0)
        )
        values, priors = worth(game), result.priors[0]
        likeliest = np.argsort(-priors, kind="stable")[: min(4, int((priors > 0).sum()))]
        assert result.actions[0] == likeliest[values[likeliest].argmax()]
        assert set(np.flatnonzero(result.visits[0])) == set(likeliest.tolist())


def test_visits_at_the_root_are_those_of_sequential_halving() -> None:
    """16 simulations of 4 actions: 2 rounds of 8, so 4 actions 2 times each, then 2 of them 4 times each."""
    game = RandomTree(3, num_actions=8, depth=1)
    result = searched(game, 20, 16, SearchSettings(rule="gumbel", considered=4, leaves=3))
    for visits in result.visits:
        assert sorted(visits[visits > 0].tolist()) == [2, 2, 6, 6]


def test_deeper_down_visits_follow_the_improved_policy() -> None:
    """Below the root the shares of visits come to within one visit of it (equation 14), as it is in the end."""
    game = RandomTree(11, num_actions=4, depth=2)
    settings = SearchSettings(rule="gumbel", considered=1, gumbel_noise=0.0, gumbel_visits=2.0, gumbel_scale=0.5)
    search = Search(game, game.network, settings)
    search.reset(game.init(np.random.default_rng(0), 1))
    result = search.run(Budget(simulations=200), np.random.default_rng(0))
    child = np.array([4 * 0 + 1 + int(result.actions[0])])
    search.advance(result.actions, child)
    below = search.result()
    assert below.visits.sum() > 100
    np.testing.assert_allclose(below.visits[0] / below.visits.sum(), below.policy[0], atol=0.1)


def test_an_unknown_number_of_simulations_is_refused() -> None:
    game = RandomTree(0)
    search = Search(game, game.network, SearchSettings(rule="gumbel"))
    search.reset(game.init(np.random.default_rng(0), 1))
    with pytest.raises(ValueError, match="gumbel needs a number of simulations"):
        search.run(Budget(seconds=1.0), np.random.default_rng(0))

"""Go as an environment: Tengen's own contract, Gymnasium's check, opponents, settings."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import tengen.envs
from tengen.actions import random_actions
from tengen.envs import EnvConfig, make_env
from tengen.envs.go.environment import make_game
from tengen.envs.go.gymnasium_env import GoEnv
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.envs.opponent import AgainstOpponent
from tengen.envs.tictactoe import TicTacToe
from tengen.errors import UserError
from tengen.testing import check_environment, check_simulator
from tengen.types import Ints, TimeStep

ID = "tengen/Go-v0"
RNG = np.random.default_rng(0)  # Go draws nothing


def make(num_envs: int = 1, **kwargs: Any) -> Any:
    return make_env(EnvConfig(ID, num_envs=num_envs, kwargs=kwargs), training=True)


def passes(step: TimeStep, rng: np.random.Generator) -> Ints:
    return np.full(len(step.reward), 9)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 3, "ko": "situational", "suicide": True},
        {"size": 4, "max_moves": 12},
        {"size": 4, "handicap": 3, "free_handicap": True, "rules": "chinese"},
        {"size": 3, "opponent": "random", "max_moves": 30},
    ],
    ids=str,
)
def test_games_keep_the_contracts_of_environments_and_simulators(settings: dict[str, Any]) -> None:
    alone = "opponent" not in settings
    check_environment(lambda num_envs: make(num_envs, **settings), num_steps=60, deterministic=alone)
    check_simulator(make_game(settings)[1], num_steps=60)


@pytest.mark.parametrize("side", ["first", "second", "random"])
def test_any_game_can_be_played_against_an_opponent(side: str) -> None:
    check_simulator(AgainstOpponent(TicTacToe(), "random", side), num_steps=40)


def test_self_play_alternates_by_its_discount_and_is_cut_at_the_move_limit() -> None:
    env = make(2, size=2, max_moves=4, komi=0.5)
    env.reset(0)
    for moves in ([0, 4], [4, 4]):
        step = env.step(np.array(moves))
    assert step.discount.tolist() == [-1.0, 0.0]
    assert step.reward.tolist() == [0.0, 1.0]  # white, who passed last, has the komi
    step = env.reset_done()
    for moves in ([4, 1], [0, 2]):
        if step.last[0]:
            step = env.reset_done()
        assert step.legal is not None
        moves = [a if step.legal[row, a] else 4 for row, a in enumerate(moves)]
        step = env.step(np.array(moves))


def test_truncation_leaves_the_discount_alone() -> None:
    env = make(1, size=3, max_moves=3)
    env.reset(0)
    for move in (0, 1, 2):
        step = env.step(np.array([move]))
    assert step.last.tolist() == [True]
    assert step.discount.tolist() == [-1.0]
    assert step.legal is not None
    assert np.flatnonzero(step.legal[0]).tolist() == [9]  # what search finds beyond the limit
    _, reward, discount = env.spec.simulator.step(step.state, np.array([9]))
    assert discount.tolist() == [0.0]
    assert reward.tolist() == [1.0]  # white's, by komi


def test_an_opponent_answers_within_the_step() -> None:
    env = make(3, size=3, opponent=passes, color="white", komi=0.5)
    step = env.reset(0)
    assert step.state.to_move.tolist() == [-1, -1, -1]
    assert step.state.passes.tolist() == [1, 1, 1]
    step = env.step(np.array([4, 4, 9]))
    assert step.reward.tolist() == [0.0, 0.0, 1.0]  # two passes, and white has the komi
    assert step.discount.tolist() == [1.0, 1.0, 0.0]
    assert step.state.to_move.tolist()[:2] == [-1, -1]
    assert not env.spec.alternates
    assert step.observation[0, 0].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]  # the agent's stone, seen by itself


def test_an_opponent_that_ends_the_game_pays_its_reward_to_the_other_side() -> None:
    env = make(1, size=3, opponent=passes, color="black", komi=0.5)
    env.reset(0)
    step = env.step(np.array([4]))
    step = env.step(np.array([9]))  # the opponent has passed before
    assert step.reward.tolist() == [1.0]
    env = make(1, size=3, opponent=passes, color="black", komi=8.5)
    env.reset(0)
    assert env.step(np.array([9])).reward.tolist() == [-1.0]  # the opponent's pass ends it


def test_black_moves_second_where_handicap_stones_lie_on_the_board() -> None:
    def first_legal(step: TimeStep, rng: np.random.Generator) -> Ints:
        assert step.legal is not None
        actions: Ints = step.legal.argmax(axis=1)
        return actions

    for color, stones in (("black", 1), ("white", 0)):
        env = make(1, size=9, handicap=2, opponent=first_legal, color=color)
        state = env.reset(0).state
        assert state.to_move.tolist() == [1 if color == "black" else -1]
        assert (state.board == -1).sum() == stones


def test_an_opponent_places_all_its_free_handicap_stones_at_once() -> None:
    env = make(1, size=4, handicap=3, free_handicap=True, opponent="random", color="white")
    state = env.reset(3).state
    assert (state.board == 1).sum() == 3
    assert state.to_move.tolist() == [-1]


def test_colors_are_drawn_for_each_game() -> None:
    colors = make(40, size=3, opponent="random").reset(0).state.to_move
    assert set(colors.tolist()) == {1, -1}


def test_an_opponent_that_cheats_is_found_out() -> None:
    def cheat(step: TimeStep, rng: np.random.Generator) -> Ints:
        return np.zeros(len(step.reward), np.int64)

    env = make(1, size=3, opponent=cheat, color="black")
    env.reset(0)
    with pytest.raises(ValueError, match="not 1 legal actions"):
        env.step(np.array([0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 20}, "a Go board is from 2x2 to 19x19, got size 20"),
        ({"size": 1}, "a Go board is from 2x2 to 19x19, got size 1"),
        ({"size": "9"}, "got size '9'"),
        ({"ko": "positionall"}, "Did you mean 'positional'"),
        ({"komi": float("nan")}, "komi must be a number of points"),
        ({"komi": 1000.5}, "komi must be within 1000 points"),
        ({"suicide": 1}, "suicide must be true or false"),
        ({"scoring": "stones"}, "scoring must be one of area, territory"),
        ({"handicap": 1}, "handicap on 9x9 must be 0 or from 2 to 9, got 1"),
        ({"size": 8, "handicap": 5}, "handicap on 8x8 must be 0 or from 2 to 4, got 5"),
        ({"size": 5, "handicap": 2}, "handicap on 5x5 must be 0, got 2"),
        ({"max_moves": -1}, "max_moves must be 0"),
        ({"rules": "tromp"}, "Did you mean 'tromp-taylor'"),
        ({"komii": 7}, "Go has no setting 'komii'. Did you mean 'komi'"),
        ({"planes": "bored"}, "Did you mean 'board'"),
        ({"color": "black"}, "needs an opponent"),
        ({"opponent": "gnugo"}, "an opponent must be 'random'"),
        ({"opponent": "random", "color": "red"}, "color must be one of black, white, random"),
        ({"opponent": "random", "color": ["black"]}, "color must be one of black, white, random, got ['black']"),
        ({"opponent": ["random"]}, "an opponent must be 'random'"),
        ({"rules": []}, "no rules of Go are called []"),
        ({"planes": ["board"]}, "planes must be one of board, standard, got ['board']"),
        ({"ko": ["simple"]}, "Go's ko must be one of"),
        ({"size": [9]}, "got size [9]"),
        ({"komi": [7.5]}, "komi must be a number of points"),
        ({"handicap": [2]}, "must be 0 or from 2 to 9, got [2]"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        make(**settings)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_protocol_is_refused() -> None:
    with pytest.raises(UserError, match="has no protocol 'nature2015'"):
        make_env(EnvConfig(ID, protocol="nature2015"), training=False)


@pytest.mark.parametrize("settings", [{"size": 5}, {"size": 3, "opponent": "random", "render_mode": "rgb_array"}])
@pytest.mark.filterwarnings("ignore:.*not within the observation space:UserWarning")
def test_gymnasium_finds_nothing_wrong(settings: dict[str, Any]) -> None:
    assert tengen.envs  # its import registers the id
    check_env(gym.make(ID, **settings).unwrapped)


def test_gymnasium_knows_the_id_after_either_import() -> None:
    for code in (
        "import gymnasium, tengen.envs; print(gymnasium.make('tengen/Go-v0', size=7).action_space.n)",
        "import gymnasium; print(gymnasium.make('tengen.envs.go.gymnasium_env:tengen/Go-v0', size=7).action_space.n)",
    ):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "50\n"


def test_a_gymnasium_game_is_that_of_the_simulator() -> None:
    env, go = gym.make(ID, size=3, komi=1.5), Go(Rules(size=3, komi=1.5))
    observation, info = env.reset(seed=1)
    states, rng = go.init(RNG, 1), np.random.default_rng(4)
    while True:
        np.testing.assert_array_equal(observation, go.observe(states)[0])
        np.testing.assert_array_equal(info["action_mask"], go.legal(states)[0])
        assert info["to_move"] == states.to_move[0]
        action = int(rng.choice(np.flatnonzero(info["action_mask"])))
        observation, reward, terminated, truncated, info = env.step(action)
        states, rewards, discounts = go.step(states, np.array([action]))
        assert (reward, info["discount"]) == (rewards[0], discounts[0])
        assert terminated == (discounts[0] == 0)
        assert truncated == (not terminated and states.moves[0] == go.rules.move_limit)
        if terminated or truncated:
            break
    assert info.get("score") == (go.score(states)[0] if terminated else None)
    with pytest.raises(gym.error.ResetNeeded):
        env.unwrapped.step(0)


def test_an_illegal_action_loses_at_once() -> None:
    env = GoEnv(size=3)
    env.reset()
    env.step(4)
    _, reward, terminated, _, info = env.step(4)
    assert (reward, terminated, info["discount"]) == (-1.0, True, 0.0)
    assert info["refusal"] == "the point is occupied"


def test_a_gymnasium_game_against_an_opponent_repeats_with_its_seed() -> None:
    def play(seed: int) -> list[list[int]]:
        env = GoEnv(size=4, opponent="random", max_moves=40)
        observation, info = env.reset(seed=seed)
        seen, done = [observation.ravel().tolist()], False
        while not done:
            observation, _, done, truncated, info = env.step(int(info["action_mask"].argmax()))
            assert not truncated
            seen.append(observation.ravel().tolist())
        return seen

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_boards_are_drawn_in_letters_and_as_pictures() -> None:
    env = GoEnv(size=2, render_mode="ansi")
    env.reset()
    env.step(1)
    env.step(2)
    assert env.render() == ". X\nO .\n"
    picture = GoEnv(size=9, render_mode="rgb_array")
    picture.reset()
    before = picture.render()
    picture.step(0)
    after = picture.render()
    assert after.dtype == np.uint8
    assert after.shape == (216, 216, 3)
    assert (before != after)[:24, :24].any()
    assert not (before != after)[24:].any()


def test_thousands_of_games_go_side_by_side() -> None:
    env = make(3000, size=3, komi=0.5)
    step, rng = env.reset(0), np.random.default_rng(0)
    ended = 0
    for _ in range(15):
        step = env.step(random_actions(step, 10, rng))
        ended += int(step.last.sum())
        assert isinstance(step.state, GoStates)
        step = env.reset_done()
    assert ended > 100

"""Tic-tac-toe: the rules against exhaustive play, and self-play's signs."""

from __future__ import annotations

import numpy as np
import pytest

from tengen.envs import EnvConfig, make_env
from tengen.envs.simulated import SimulatedEnvironment
from tengen.envs.tictactoe import Boards, TicTacToe
from tengen.errors import UserError
from tengen.types import Array, Floats, Ints

RNG = np.random.default_rng(0)  # the game draws nothing


def board(drawing: str) -> Boards:
    """Read a drawing in which `o` are the marks of the side to move and `x` its opponent's."""
    return np.array([[{"o": 1, "x": -1, ".": 0}[mark] for mark in drawing.replace(" ", "")]], np.int8)


def expand(states: Boards) -> tuple[Ints, Boards, Floats, Floats]:
    """Play every legal action in every state: the states' numbers, and what follows."""
    game = TicTacToe()
    parents, actions = np.nonzero(game.legal(states))
    return parents, *game.step(states[parents], actions, RNG)


def test_every_game_is_played_once() -> None:
    states = TicTacToe().init(RNG, 1)
    games, wins = [], []
    positions = {states[0].tobytes()}
    while len(states):
        _, states, reward, discount = expand(states)
        positions |= {state.tobytes() for state in np.unique(states, axis=0)}
        games.append(int((discount == 0).sum()))
        wins.append(int(reward.sum()))
        states = states[discount != 0]
    assert games == [0, 0, 0, 0, 1440, 5328, 47952, 72576, 127872]
    assert sum(games) == 255_168
    assert (sum(wins[0::2]), sum(wins[1::2])) == (131_184, 77_904)  # X, O
    assert len(positions) == 5_478  # a board and whose turn it is: seen by the mover, boards of X and O never coincide


def plain_minimax(marks: tuple[int, ...], mover: int) -> int:
    """The value for the side to move, written without any of the code under test."""
    lines = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
    if any(all(marks[square] == -mover for square in line) for line in lines):
        return -1
    if 0 not in marks:
        return 0
    options = [(*marks[:s], mover, *marks[s + 1 :]) for s in range(9) if marks[s] == 0]
    return max(-plain_minimax(option, -mover) for option in options)


def negamax(states: Boards) -> Floats:
    """The values by the backup that every agent uses: reward + discount * v(next)."""
    parents, after, reward, discount = expand(states)
    values = reward.copy()
    going_on = discount != 0
    if going_on.any():
        values[going_on] += discount[going_on] * negamax(after[going_on])
    best = np.full(len(states), -np.inf)
    np.maximum.at(best, parents, values)
    return best


def test_perfect_play_is_a_draw() -> None:
    assert negamax(TicTacToe().init(RNG, 1)).tolist() == [0.0]


def test_the_backup_with_discount_minus_one_is_minimax() -> None:
    states = TicTacToe().init(RNG, 1)
    seen = set()
    for ply in range(8):
        _, states, _, discount = expand(states)
        states = np.unique(states[discount != 0], axis=0)
        if ply >= 2:  # the plain search of earlier boards is slow
            chosen = states[:: max(1, len(states) // 12)]
            expected = [plain_minimax(tuple(state.tolist()), 1) for state in chosen]
            assert negamax(chosen).tolist() == expected
            seen |= set(expected)
    assert seen == {-1, 0, 1}


def test_a_taken_square_is_never_legal_and_all_are_where_the_game_is_over() -> None:
    game = TicTacToe()
    states = game.init(RNG, 1)
    for _ in range(9):
        _, states, _, discount = expand(states)
        over, legal = discount == 0, game.legal(states)
        assert legal[over].all()
        np.testing.assert_array_equal(legal[~over], states[~over] == 0)
        states = np.unique(states[~over], axis=0)


@pytest.mark.parametrize(
    ("drawing", "action", "reward", "discount"),
    [
        ("oo. xx. ...", 2, 1.0, 0.0),
        ("xx. oo. ...", 5, 1.0, 0.0),
        ("o.. ox. .x.", 6, 1.0, 0.0),
        ("oxx .o. x..", 8, 1.0, 0.0),
        ("xxo xo. ...", 6, 1.0, 0.0),
        ("oxo oxx x.o", 7, 0.0, 0.0),  # the last square, and no line: a draw
        ("xx. oo. ...", 8, 0.0, -1.0),  # no block: the other side will win
    ],
)
def test_a_move_is_rewarded_to_the_side_that_made_it(drawing: str, action: int, reward: float, discount: float) -> None:
    before = board(drawing)
    after, rewards, discounts = TicTacToe().step(before, np.array([action]), RNG)
    assert (rewards[0], discounts[0]) == (reward, discount)
    np.testing.assert_array_equal(before, board(drawing))  # what was given is left alone
    turned = -before
    turned[0, action] = -1
    np.testing.assert_array_equal(after, turned)  # seen by the other side


def test_a_finished_game_stays_as_it_is() -> None:
    won = board("xxx oo. ...")
    for action in (0, 5):  # a taken square, and one that would complete a line
        after, reward, discount = TicTacToe().step(won, np.array([action]), RNG)
        np.testing.assert_array_equal(after, won)
        assert (reward[0], discount[0]) == (0.0, 0.0)


def test_a_taken_square_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="taken"):
        TicTacToe().step(board("x.. ... ..."), np.array([0]), RNG)


def make(num_envs: int = 1, **kwargs: str) -> SimulatedEnvironment:
    env = make_env(EnvConfig("tengen/TicTacToe-v0", num_envs=num_envs, kwargs=kwargs), training=True)
    assert isinstance(env, SimulatedEnvironment)
    return env


def test_the_environment_is_the_game_in_self_play() -> None:
    env = make(2)
    assert env.spec.has_legal
    assert isinstance(env.spec.simulator, TicTacToe)
    assert env.spec.num_actions == 9
    step = env.reset(0)
    assert step.observation.dtype == np.float32
    assert step.observation.shape == (2, 9)
    moves: list[Ints] = [np.array(pair) for pair in ((0, 0), (3, 4), (1, 8), (4, 2), (2, 6))]
    for ply, move in enumerate(moves):
        assert step.legal is not None
        np.testing.assert_array_equal(step.legal, step.state == 0)
        assert step.first.all() == (ply == 0)
        step = env.step(move)
    assert step.reward.tolist() == [1.0, 0.0]  # X has the top row; the other game goes on
    assert step.discount.tolist() == [0.0, -1.0]
    assert step.last.tolist() == [True, False]
    assert step.observation[0].tolist() == [-1, -1, -1, 1, 1, 0, 0, 0, 0]  # O, who would be next, sees the end
    before = step
    step = env.reset_done()
    assert step.first.tolist() == [True, False]
    assert not step.observation[0].any()
    np.testing.assert_array_equal(step.observation[1], before.observation[1])


def test_a_picture_shows_x_and_o_whoever_is_to_move() -> None:
    env = make(render_mode="rgb_array")
    env.reset(0)
    x, o = (30, 80, 200), (200, 50, 40)

    def colours(picture: Array) -> set[tuple[int, ...]]:
        return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()} & {x, o}

    assert env.render().dtype == np.uint8
    assert env.render().shape == (96, 96, 3)
    assert colours(env.render()) == set()
    env.step(np.array([0]))
    assert colours(env.render()[:33, :33]) == {x}
    env.step(np.array([8]))
    assert colours(env.render()[:33, :33]) == {x}
    assert colours(env.render()[64:, 64:]) == {o}


def test_settings_that_it_does_not_have_are_refused() -> None:
    with pytest.raises(UserError, match=r"no settings but render_mode='rgb_array', got \{'size': '4'\}"):
        make(size="4")
    with pytest.raises(UserError, match="has no protocol 'nature2015'"):
        make_env(EnvConfig("tengen/TicTacToe-v0", protocol="nature2015"), training=False)

"""Connect four: the rules against slow ones and published counts, and values that are known."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from mcts_games import CONNECT_FOUR_ENDS, connect_four_values

from tengen.contracts import PlayoutSimulator, SymmetricSimulator
from tengen.envs import EnvConfig, make_env
from tengen.envs.connect_four import ConnectFour, ConnectFourStates
from tengen.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled

RNG = np.random.default_rng(0)  # the game draws nothing
GAME = ConnectFour()
INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])


def played(columns: str) -> tuple[ConnectFourStates, float, float]:
    """Play columns 1 to 7; return the state, and the last reward and discount."""
    states, reward, discount = GAME.init(RNG, 1), 0.0, -1.0
    for column in columns:
        states, (reward,), (discount,) = GAME.step(states, np.array([int(column) - 1]))
    return states, float(reward), float(discount)


def drawn(states: ConnectFourStates) -> str:
    """Draw the first board: `o` the side to move, `x` the other."""
    own, other = GAME.observe(states)[0]
    marks = np.where(own == 1, "o", np.where(other == 1, "x", "."))
    return "\n".join("".join(row) for row in marks)


class Slow:
    """The rules as lists of columns, bottom first."""

    def __init__(self) -> None:
        self.columns: list[list[int]] = [[] for _ in range(7)]

    def wins(self, column: int, side: int) -> bool:
        """Drop a stone; return whether it makes four in a line."""
        self.columns[column].append(side)
        x, y = column, len(self.columns[column]) - 1
        lines = [(1, 0), (0, 1), (1, 1), (1, -1)]
        return any(self._run(x, y, dx, dy, side) + self._run(x, y, -dx, -dy, side) >= 3 for dx, dy in lines)

    def _run(self, x: int, y: int, dx: int, dy: int, side: int) -> int:
        length = 0
        while self._at(x + dx, y + dy) == side:
            x, y, length = x + dx, y + dy, length + 1
        return length

    def _at(self, x: int, y: int) -> int:
        return self.columns[x][y] if 0 <= x < 7 and 0 <= y < len(self.columns[x]) else 0


def test_random_games_are_played_as_by_slow_rules() -> None:
    rng = np.random.default_rng(1)
    ends = {"won": 0, "drawn": 0}
    for _ in range(5 if INTERPRETED else 150):
        states, slow, side = GAME.init(RNG, 1), Slow(), 1
        while True:
            legal = np.array([len(column) < 6 for column in slow.columns])
            np.testing.assert_array_equal(GAME.legal(states)[0], legal)
            column = int(rng.choice(np.flatnonzero(legal)))
            won = slow.wins(column, side)
            states, reward, discount = GAME.step(states, np.array([column]))
            side = -side
            seen = [[{side: "o", -side: "x", 0: "."}[slow._at(x, y)] for x in range(7)] for y in range(5, -1, -1)]
            assert drawn(states).split("\n") == ["".join(row) for row in seen]
            full = sum(len(c) for c in slow.columns) == 42
            assert (reward[0], discount[0]) == (float(won), 0.0 if won or full else -1.0)
            if won or full:
                ends["won" if won else "drawn"] += 1
                assert GAME.legal(states).all()
                break
    assert ends["won"] > 0


def test_the_numbers_of_positions_are_the_published_ones() -> None:
    """OEIS A212693: positions after n moves, those after a win included but not played on."""
    expected = [1, 7, 49, 238, 1120, 4263, 16422, 54859] + ([] if INTERPRETED else [184275])
    states = GAME.init(RNG, 1)
    counts = [1]
    going_on = np.ones(1, np.bool_)
    while len(counts) < len(expected):
        legal = GAME.legal(states) & going_on[:, None]
        parents, actions = np.nonzero(legal)
        states, _, discount = GAME.step(ConnectFourStates(*(leaf[parents] for leaf in states)), actions)
        _, first = np.unique(states.own.astype(object) * 2**49 + states.taken.astype(object), return_index=True)
        states = ConnectFourStates(*(leaf[first] for leaf in states))
        going_on = discount[first] != 0
        counts.append(len(first))
    assert counts == expected


def test_a_finished_game_stays_as_it_is() -> None:
    won, reward, discount = played("4455667")
    assert (reward, discount) == (1.0, 0.0)
    after, again, still = GAME.step(won, np.array([0]))
    np.testing.assert_array_equal(after, won)
    assert (again[0], still[0]) == (0.0, 0.0)
    np.testing.assert_array_equal(GAME.playouts(won, np.arange(1, dtype=np.uint64)).value, 0.0)


def test_lines_do_not_run_from_a_columns_top_into_the_next() -> None:
    states, reward, _ = played("211117171")  # one side has the top three of column 1 and the lowest of column 2
    assert drawn(states).split("\n") == ["x......", "x......", "x......", "o......", "x.....o", "ox....o"]
    assert reward == 0.0
    assert GAME.legal(states)[0].tolist() == [False, True, True, True, True, True, True]


# Ends of games, of which the side to move wins, loses or draws.
@pytest.mark.parametrize(("columns", "expected"), list(zip(CONNECT_FOUR_ENDS, (-1, 1, 0), strict=True)))
def test_ends_of_games_have_their_known_values(columns: str, expected: int) -> None:
    states, _, discount = played(columns)
    assert discount == -1.0
    assert max(connect_four_values(states).values()) == expected


def test_playouts_are_games_by_the_rules_and_each_depends_on_its_seed_alone() -> None:
    states = ConnectFourStates(*(np.repeat(leaf, 400) for leaf in played("4435")[0]))
    seeds = np.arange(400, dtype=np.uint64)
    value, first = GAME.playouts(states, seeds)
    assert set(np.unique(value).tolist()) <= {-1.0, 0.0, 1.0}
    assert 0.1 < (value > 0).mean() < 0.9
    assert first is not None
    assert ((first != 0).sum(axis=1) >= 1).all()
    again = GAME.playouts(ConnectFourStates(*(leaf[::-1] for leaf in states)), seeds[::-1])
    np.testing.assert_array_equal(again.value[::-1], value)
    assert again.first is not None
    np.testing.assert_array_equal(again.first[::-1], first)


def test_a_playout_one_move_from_its_end_takes_each_move_as_often() -> None:
    states, _, _ = played("7422341735647741166133573473242566")
    open_columns = int(GAME.legal(states).sum())
    num_games = 300 if INTERPRETED else 4000
    many = ConnectFourStates(*(np.repeat(leaf, num_games) for leaf in states))
    played_out = GAME.playouts(many, np.random.default_rng(2).integers(2**64, size=num_games, dtype=np.uint64))
    assert played_out.first is not None
    assert open_columns >= 2
    exact = _random_value(states)
    assert played_out.value.mean() == pytest.approx(exact, abs=4 / np.sqrt(num_games))


def _random_value(states: ConnectFourStates) -> float:
    """Return what a position is worth on average if both sides play at random, by going through all games."""
    worth = []
    for action in np.flatnonzero(GAME.legal(states)[0]):
        after, reward, discount = GAME.step(states, np.array([action]))
        worth.append(float(reward[0]) - (_random_value(after) if discount[0] else 0.0))
    return sum(worth) / len(worth)


def test_the_mirrored_board_is_the_board_of_mirrored_moves() -> None:
    here, there = played("4435171"), played("4453717")
    np.testing.assert_array_equal(GAME.transform(GAME.observe(here[0]), 1), GAME.observe(there[0]))
    np.testing.assert_array_equal(GAME.symmetry_actions, [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]])
    assert isinstance(GAME, SymmetricSimulator)
    assert isinstance(GAME, PlayoutSimulator)


def test_it_is_an_environment_of_two_sides() -> None:
    env = make_env(EnvConfig("tengen/ConnectFour-v0", num_envs=2), training=True)
    step = env.reset(0)
    assert env.spec.alternates
    assert step.observation.shape == (2, 2, 6, 7)
    for column in (0, 1, 0, 1, 0, 1, 0):
        step = env.step(np.array([column, column]))
    assert step.reward.tolist() == [1.0, 1.0]
    assert step.last.all()


def test_settings_are_refused_and_a_picture_is_drawn() -> None:
    with pytest.raises(UserError, match="no settings but"):
        make_env(EnvConfig("tengen/ConnectFour-v0", kwargs={"width": 9}), training=True)
    with pytest.raises(UserError, match="no protocol"):
        make_env(EnvConfig("tengen/ConnectFour-v0", protocol="nature2015"), training=True)
    picture = GAME.render(played("44")[0])
    assert picture.shape == (174, 203, 3)
    assert picture[-15, 101].tolist() == [245, 200, 40]  # who began, below
    assert picture[-44, 101].tolist() == [205, 45, 40]

"""The cases that rules of Go are known by: superko, suicide, counts of positions, scores, handicap, records."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from go_twin import TwinGame, after_stone, liberties, owners
from numpy.typing import NDArray

from tengen.envs.go import _board_kernels as kernels
from tengen.envs.go import _game_kernels as game_kernels
from tengen.envs.go import _move_kernels as move_kernels
from tengen.envs.go.rules import Ko, Refusal, Rules, Scoring, named_rules
from tengen.envs.go.simulator import Go
from tengen.envs.go.states import GoStates
from tengen.errors import UserError

INTERPRETED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]  # numba sets its settings by name
RNG = np.random.default_rng(0)  # Go draws nothing


def stones(drawing: str) -> NDArray[np.int8]:
    """Read a board: X black, O white."""
    rows = [row.split() for row in drawing.strip().splitlines()]
    return np.array([[[{"X": 1, "O": -1, ".": 0}[point] for point in row] for row in rows]], np.int8)


def drawn(states: GoStates) -> str:
    return "\n".join(" ".join(".XO"[stone] for stone in row) for row in states.board[0].tolist())


def same(states: GoStates, drawing: str) -> bool:
    return drawn(states).split() == drawing.split()


def play(go: Go, states: GoStates, *points: tuple[int, int]) -> tuple[GoStates, Refusal]:
    """Play (y, x) after (y, x), all but the last of which must be legal; (-1, -1) passes."""
    reason = Refusal.NONE
    for y, x in points:
        assert reason == Refusal.NONE, (y, x)
        action = go.rules.pass_action if y < 0 else y * go.rules.size + x
        legal = action < go.num_actions and bool(go.legal(states)[0, action])
        states, reasons = go.play(states, np.array([action]))
        reason = Refusal(int(reasons[0]))
        assert legal == (reason == Refusal.NONE)
    return states, reason


PASS = (-1, -1)

SEND_TWO = """
. O . O .
X X O O .
. . X X .
. . . . .
. . . . ."""


@pytest.mark.parametrize(
    ("ko", "returned"), [("positional", Refusal.SUPERKO), ("situational", Refusal.NONE), ("simple", Refusal.NONE)]
)
def test_sending_two_returning_one(ko: Ko, returned: Refusal) -> None:
    """White gives two stones, black takes both, and white takes one back: the board is as it was, and black to move."""
    go = Go(Rules.tromp_taylor(5, ko=ko))
    states = go.setup(stones(SEND_TWO), -1)
    states, reason = play(go, states, (0, 0), (0, 2), (0, 1))
    assert reason == returned
    if returned == Refusal.NONE:
        assert same(states, SEND_TWO)
        assert states.captured.tolist() == [[2, 1]]
        # Black passes, and white would begin the round again: two white stones with black to move have been there.
        again = Refusal.SUPERKO if ko == "situational" else Refusal.NONE
        assert play(go, states, PASS, (0, 0))[1] == again


TRIPLE_KO = """
. X O . . . . . . . .
X O . O . . . . . . .
. X O . . . . . . . .
. . . . . . . . . . .
. X O . . . . . . . .
X . X O . . . . . . .
. X O . . . . . . . .
. . . . . . . . . . .
. X O . . . . . . . .
X O . O . . . . . . .
. X O . . . . . . . ."""


@pytest.mark.parametrize(
    ("ko", "sixth"), [("positional", Refusal.SUPERKO), ("situational", Refusal.SUPERKO), ("simple", Refusal.NONE)]
)
def test_a_triple_ko_comes_round_after_six_moves(ko: Ko, sixth: Refusal) -> None:
    go = Go(Rules(size=11, ko=ko))
    states = go.setup(stones(TRIPLE_KO), 1)
    states, reason = play(go, states, (1, 2), (5, 1), (9, 2), (1, 1), (5, 2))
    assert reason == Refusal.NONE
    assert states.captured.tolist() == [[3, 2]]
    states, reason = play(go, states, (9, 1))
    assert reason == sixth
    assert same(states, TRIPLE_KO) == (sixth == Refusal.NONE)


def test_a_ko_can_be_taken_back_after_an_exchange_elsewhere() -> None:
    drawing = """
    . X O . .
    X O . O .
    . X O . .
    . . . . .
    . . . . ."""
    for ko in ("positional", "situational", "simple"):
        go = Go(Rules(size=5, ko=ko))
        states, _ = play(go, go.setup(stones(drawing), 1), (1, 2))
        assert states.ko.tolist() == [6]
        assert play(go, states, (1, 1))[1] == Refusal.KO
        states, _ = play(go, states, (4, 4), (4, 3))
        assert states.ko.tolist() == [-1]
        states, reason = play(go, states, (1, 1))
        assert reason == Refusal.NONE
        assert states.ko.tolist() == [7]


def test_a_single_stone_may_not_kill_itself_under_any_rules() -> None:
    drawing = """
    . X .
    X . .
    . . ."""
    for suicide in (False, True):
        for ko in ("positional", "situational", "simple"):
            go = Go(Rules(size=3, suicide=suicide, ko=ko))
            states = go.setup(stones(drawing), -1)
            assert play(go, states, (0, 0))[1] == Refusal.SUICIDE
            assert not go.legal(states)[0, 0]


def test_several_stones_may_where_suicide_is_allowed() -> None:
    drawing = """
    O . X .
    X X X .
    . . . .
    . . . ."""
    states = Go(Rules(size=4)).setup(stones(drawing), -1)
    assert play(Go(Rules(size=4)), states, (0, 1))[1] == Refusal.SUICIDE
    go = Go(Rules.tromp_taylor(4))
    after, reason = play(go, go.setup(stones(drawing), -1), (0, 1))
    assert reason == Refusal.NONE
    assert after.captured.tolist() == [[2, 0]]
    assert same(after, drawing.replace("O", "."))
    assert after.ko.tolist() == [-1]


def test_a_move_that_captures_is_no_suicide() -> None:
    drawing = """
    . O X .
    O X X .
    X X . .
    . . . ."""
    go = Go(Rules(size=4))
    after, reason = play(go, go.setup(stones(drawing), 1), (0, 0))
    assert reason == Refusal.NONE
    assert after.captured.tolist() == [[2, 0]]


@pytest.mark.parametrize(("size", "number"), [(1, 1), (2, 57), (3, 12_675)])
def test_the_numbers_of_legal_positions_are_those_known(size: int, number: int) -> None:
    """OEIS A094777 (Tromp and Farneback, "Combinatorics of Go", 2007)."""
    if INTERPRETED and size == 3:
        pytest.skip("the interpreter takes minutes")
    assert kernels.count_legal_positions(size) == number


@pytest.mark.slow
def test_the_number_of_legal_positions_on_4x4_is_that_known() -> None:
    assert kernels.count_legal_positions(4) == 24_318_165


def random_boards(size: int, number: int, seed: int) -> list[TwinGame]:
    """Boards out of random games that nobody passes in."""
    rng, games = np.random.default_rng(seed), []
    for _ in range(number):
        game = TwinGame(Rules(size=size, ko="simple", max_moves=30_000))
        for _ in range(int(rng.integers(1, 2 * size * size))):
            points = np.flatnonzero(game.legal()[:-1])
            if not len(points):
                break
            game.play(int(rng.choice(points)))
        games.append(game)
    return games


@pytest.mark.parametrize("size", [3, 5, 6])
def test_liberties_captures_and_owners_are_those_of_the_twin(size: int) -> None:
    twins, go = random_boards(size, 3 if INTERPRETED else 20, seed=size), Go(Rules(size=size))
    states = go.setup(np.stack([twin.board() for twin in twins]))
    states = states._replace(to_move=np.array([twin.to_move for twin in twins], np.int8))
    found, taken, owned = go.liberties(states.board), go.captures(states), go.ownership(states)
    for row, twin in enumerate(twins):
        position = twin.position
        expected = [liberties(position, p, size) if position[p] else 0 for p in range(size * size)]
        assert found[row].ravel().tolist() == expected
        captures = [
            after_stone(position, p, twin.to_move, size)[1] if position[p] == 0 else 0 for p in range(size * size)
        ]
        assert taken[row].ravel().tolist() == captures
        assert owned[row].ravel().tolist() == owners(position, size)


DEAD = """
. X . . O
X X X O O
. . X O .
X X X O O
. O X O ."""


@pytest.mark.parametrize("scoring", ["area", "territory"])
def test_dead_stones_are_taken_before_the_score_is(scoring: Scoring) -> None:
    """A white stone in black's corner. Area: the stone less, its point and one more. Territory: those, a prisoner."""
    go = Go(Rules(size=5, komi=0, scoring=scoring))
    states = go.setup(stones(DEAD))
    mask = np.zeros((1, 5, 5), np.bool_)
    mask[0, 4, 1] = True
    gain = float(go.score(states, mask)[0] - go.score(states)[0])
    assert gain == {"area": 3.0, "territory": 3.0}[scoring]
    assert np.array_equal(states.board, stones(DEAD))


COUNTED = """
. X X O .
X X X O O
. . X O O
X X X O O
. X X O ."""


@pytest.mark.parametrize(
    ("rules", "score"),
    [
        (Rules(size=5, komi=0.5), 15 - 10 - 0.5),
        (Rules(size=5, komi=-3), 15 - 10 + 3),
        (Rules(size=5, komi=0.5, scoring="territory"), 4 - 2 - 0.5),
        (Rules(size=5, komi=0, free_handicap=True, handicap=4, handicap_bonus="n"), 15 - 10 - 4),
        (Rules(size=5, komi=0, free_handicap=True, handicap=4, handicap_bonus="n-1"), 15 - 10 - 3),
    ],
)
def test_a_score_is_points_and_komi_and_the_bonus(rules: Rules, score: float) -> None:
    go = Go(rules)
    assert go.score(go.setup(stones(COUNTED))).tolist() == [score]


def test_white_wins_by_komi_and_a_draw_is_worth_nothing() -> None:
    for komi, reward in ((0.5, 1.0), (0.0, 0.0), (-0.5, -1.0)):
        go = Go(Rules(size=3, komi=komi))
        states, _, _ = go.step(go.init(RNG, 1), np.array([9]))
        _, rewards, discounts = go.step(states, np.array([9]))  # white moves last
        assert (rewards.tolist(), discounts.tolist()) == ([reward], [0.0])


def test_handicap_stones_lie_where_the_standard_wants_them() -> None:
    go = Go(Rules.chinese(9, handicap=5))
    states = go.init(RNG, 2)
    assert states.to_move.tolist() == [-1, -1]
    assert np.argwhere(states.board[1] == 1).tolist() == [[2, 2], [2, 6], [4, 4], [6, 2], [6, 6]]
    assert go.rules.total_komi == 12.5
    assert go.score(states).tolist() == [81 - 12.5] * 2


def test_black_places_free_handicap_stones_before_white_moves() -> None:
    go = Go(Rules(size=4, handicap=3, free_handicap=True))
    states, seen = go.init(RNG, 1), []
    assert not go.legal(states)[0, 16]
    assert play(go, states, PASS)[1] == Refusal.PLACING
    for point in (0, 5, 10, 3):
        states, _, discount = go.step(states, np.array([point]))
        seen.append((int(states.to_move[0]), float(discount[0])))
    assert seen == [(1, 1.0), (1, 1.0), (-1, -1.0), (1, -1.0)]
    assert go.legal(states)[0, 16]


def test_at_the_move_limit_a_pass_ends_the_game() -> None:
    go = Go(Rules(size=3, max_moves=2, komi=0.5))
    states, _ = play(go, go.init(RNG, 1), (0, 0), (1, 1))
    assert np.flatnonzero(go.legal(states)[0]).tolist() == [9]
    assert play(go, states, (2, 2))[1] == Refusal.MOVE_LIMIT
    after, reward, discount = go.step(states, np.array([9]))
    assert (reward.tolist(), discount.tolist()) == ([-1.0], [0.0])
    assert go.legal(after).all()


def test_an_illegal_step_is_our_own_mistake_and_says_why() -> None:
    go = Go(Rules(size=3))
    states, _ = play(go, go.init(RNG, 1), (0, 0))
    with pytest.raises(AssertionError, match="illegal action 0 in row 0: the point is occupied"):
        go.step(states, np.array([0]))
    assert play(go, states, (3, 1))[1] == Refusal.OFF_BOARD


def test_a_board_with_a_dead_chain_can_not_be_set_up() -> None:
    with pytest.raises(ValueError, match="no liberties"):
        Go(Rules(size=2)).setup(np.ones((1, 2, 2), np.int8))
    with pytest.raises(ValueError, match="expected"):
        Go(Rules(size=3)).setup(np.ones((1, 2, 2), np.int8))


@pytest.mark.parametrize("ko", ["positional", "situational", "simple"])
def test_a_record_is_replayed_to_its_first_illegal_move(ko: Ko) -> None:
    go = Go(Rules(size=11, ko=ko))
    start = go.setup(stones(TRIPLE_KO), 1)
    points = [(1, 2), (5, 1), (9, 2), (1, 1), (5, 2), (9, 1), (10, 10)]
    actions = np.array([y * 11 + x for y, x in points])
    record = go.replay(actions, start=start)
    if ko == "simple":
        assert (record.played, record.refusal, len(record.boards)) == (7, Refusal.NONE, 7)
    else:
        assert (record.played, record.refusal, len(record.boards)) == (5, Refusal.SUPERKO, 5)
    states = start
    for k in range(record.played):
        np.testing.assert_array_equal(record.boards[k], states.board[0])
        states, _ = go.play(states, actions[k : k + 1])
    for mine, expected in zip(record.states, states, strict=True):
        np.testing.assert_array_equal(mine, expected)
    assert start.moves.tolist() == [0]


def test_a_record_may_let_a_side_move_twice_and_go_on_after_passes() -> None:
    go = Go(Rules(size=3, ko="situational"))
    record = go.replay(np.array([0, 1, 9, 9, 9, 2]), np.array([1, 1, -1, 1, -1, 1], np.int8), keep_boards=False)
    assert (record.played, record.refusal, len(record.boards)) == (6, Refusal.NONE, 0)
    assert record.states.board[0].tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert record.states.to_move.tolist() == [-1]


@pytest.mark.parametrize("suicide", [False, True])
@pytest.mark.parametrize("ko", ["positional", "situational", "simple"])
def test_random_games_are_the_twins_with_every_legal_move_counted(ko: Ko, suicide: bool) -> None:
    size, limit = 3, 60
    rules = Rules(size=size, ko=ko, suicide=suicide, max_moves=limit)
    law = move_kernels.Law({"simple": 0, "positional": 1, "situational": 2}[ko], suicide, limit, 0)
    record, choices = np.zeros(limit, np.int16), np.zeros(limit, np.int16)
    for seed in range(1, 4 if INTERPRETED else 30):
        key = np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
        moves = game_kernels.random_game(size, law, key, record, choices)
        twin = TwinGame(rules)
        for k in range(moves):
            assert choices[k] == sum(twin.legal())
            twin.play(int(record[k]))
        assert twin.over or moves == limit


def test_rules_have_names() -> None:
    assert named_rules("tromp-taylor", size=7, ko="situational") == Rules(7, suicide=True, ko="situational")
    assert named_rules("chinese", handicap=2).total_komi == 9.5
    with pytest.raises(UserError, match="no rules of Go are called 'japanese'"):
        named_rules("japanese")


def test_a_copy_of_a_row_is_a_whole_game() -> None:
    go = Go(Rules(size=4))
    states = go.init(RNG, 3)
    for _ in range(12):
        legal = go.legal(states)
        states, _, _ = go.step(states, np.array([RNG.choice(np.flatnonzero(row[:-1])) for row in legal]))
    one = states.rows(1).copy()
    legal = go.legal(states)
    np.testing.assert_array_equal(go.legal(one)[0], legal[1])
    moved, _ = go.play(one, np.array([16]))
    np.testing.assert_array_equal(moved.board[0], states.board[1])
    np.testing.assert_array_equal(one.passes, states.passes[1:2])

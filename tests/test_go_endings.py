"""Ends of games: which stones are dead, whose the points are, and the playouts that tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from go_endings import counted_game
from go_records import sgf_text
from gtp_helpers import engine, say
from numpy.typing import NDArray

from tengen.envs.go import _ending_kernels as kernels
from tengen.envs.go import endings
from tengen.envs.go._chain_kernels import can_breathe, load, make_chains, padded, press
from tengen.envs.go.coordinates import action_of
from tengen.envs.go.endings import dead_stones, estimated_ownership, final_owners
from tengen.envs.go.games import collect
from tengen.envs.go.rule_names import allows_suicide, counting_rules
from tengen.envs.go.rules import Rules
from tengen.envs.go.sgf import Record, parse_records
from tengen.envs.go.simulator import Go
from tengen.envs.go.tactics import final_boards
from tengen.evaluation.go.game import Game, long_games
from tengen.evaluation.go.record import rules_text

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled

INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])
GAMES = 8 if INTERPRETED else 400

# X and O are alive, x and o dead.
SEKI_OF_SHARED_LIBERTIES = """
    .XO.XO.
    XXO.XOO
    .XOOXO.
    XXOXXOO
    .XOXOO.
    XXOXO..
    .XOXO.."""
SEKI_WITH_AN_EYE_EACH = """
    .X.O.OX
    XXXOOOX
    OOOXXXX
    .OOXX.X
    OOOX.XX
    .OOXXX.
    OOOX.XX"""
BENT_FOUR_IN_THE_CORNER = """
    XX.oX.X
    XoooXXX
    .oXXX.X
    ooX.XXX
    XXXXX.X
    .X.XXXX
    XXXX.X."""
NAKADE_OF_THREE = """
    .X.oX.X
    ooooXXX
    XXXX.X.
    .X.XXXX
    XXXX.X.
    .X.XXXX
    XXXX.X."""
NAKADE_OF_FIVE = """
    ..oX.X.
    X.oXXXX
    .ooX.X.
    ooXXXXX
    XXX.X.X
    .X.XXXX
    XXXX.X."""
TWO_EYES_IN_A_CORNER = """
    .O.OX.X
    OOOOXXX
    XXXX.X.
    .X.XXXX
    XXXX.X.
    .X.XXXX
    XXXX.X."""
FOUR_IN_A_ROW = """
    ....OX.
    OOOOOXX
    XXXXXX.
    .X.X.XX
    XXXXXXX
    .X.X.X.
    XXXXXXX"""
A_LONE_STONE_ON_EITHER_SIDE = """
    ....XO.O.
    .o..XO.OO
    ....XOO..
    ....XO.x.
    ..XXXO...
    XXX.XOOOO
    ....XXXXO
    .o....X.X
    ......XXX"""
A_BIG_DEAD_GROUP = """
    .XXXXXXXX
    XXoooooXX
    Xoo.oooX.
    XoooooXXX
    XXoooXX.X
    OXXXXXXXX
    OOOOOOOOO
    .OO.O.O.O
    OOOOOOOOO"""
POSITIONS = {
    name.lower().replace("_", " "): drawing
    for name, drawing in list(globals().items())
    if name.isupper() and isinstance(drawing, str)
}


def read(drawing: str) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return a drawing's stones, and which of them are dead."""
    rows = drawing.split()
    stones = [[{"X": 1, "O": -1, ".": 0}[mark.upper()] for mark in row] for row in rows]
    return np.array(stones, np.int8), np.array([[mark.islower() for mark in row] for row in rows])


def swapped(drawing: str) -> str:
    return drawing.translate(str.maketrans("XOxo", "OXox"))


@pytest.mark.skipif(INTERPRETED, reason="hundreds of games")
@pytest.mark.parametrize("colors", ["as drawn", "swapped"])
@pytest.mark.parametrize("name", POSITIONS)
def test_stones_are_dead_or_alive_as_drawn(name: str, colors: str) -> None:
    stones, dead = read(POSITIONS[name] if colors == "as drawn" else swapped(POSITIONS[name]))
    for seed in range(5):
        ownership = estimated_ownership(stones, np.random.default_rng(seed))
        assert (dead_stones(stones, ownership) == dead).all(), seed


def test_shared_liberties_of_a_seki_are_nobodys() -> None:
    stones, _ = read(SEKI_OF_SHARED_LIBERTIES)
    ownership = estimated_ownership(stones, np.random.default_rng(0), 10)
    assert ownership[:2, 3].tolist() == [0, 0]
    assert (ownership[stones != 0] == stones[stones != 0]).all()


GNU_GOS_GAME = """
    E5 D4 C3 C4 D3 E4 E3 F4 F3 G4 H2 C7 B4 B5 B3 H3 G2 G7 A5 B6 J3 J4 J2 A6 G3 H4 A4 pass pass"""
"""GNU Go 3.8 against itself at level 1, seed 21, which calls E5 dead and counts W+30.5."""


@pytest.mark.skipif(INTERPRETED, reason="hundreds of games")
def test_a_finished_game_is_counted_as_gnu_go_counts_it() -> None:
    player = engine()
    say(player, "kata-set-rules chinese")
    for number, vertex in enumerate(GNU_GOS_GAME.split()):
        say(player, f"play {'bw'[number % 2]} {vertex}")
    assert say(player, "final_status_list dead") == "E5"
    assert say(player, "final_score") == "W+30.5"


@contextlib.contextmanager
def patched_games() -> Iterator[None]:
    """Look at fewer games, so that it is soon done where kernels run uncompiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endings, "_GAMES_OF_A_RECORD", 4 if INTERPRETED else 200)
        yield


def gnu_gos_record(result: str = "W+30.5", komi: str = "7.5", rules: str = "Chinese") -> Record:
    """Return GNU Go's game as a record."""
    moves = [action_of(vertex, 9) for vertex in GNU_GOS_GAME.split()]
    text = sgf_text(9, moves, root=f"KM[{komi}]RU[{rules}]RE[{result}]DT[2017-03-01]")
    (found,) = parse_records("x.sgf", text.encode(), 9)
    assert isinstance(found, Record)
    return found


@pytest.mark.skipif(INTERPRETED, reason="hundreds of games")
def test_a_record_that_was_counted_tells_whose_each_point_was() -> None:
    owners = final_owners(gnu_gos_record())
    assert owners is not None
    game = Game(Go(long_games(Rules.chinese(9, 7.5))))
    for number, vertex in enumerate(GNU_GOS_GAME.split()):
        game.play(1 - 2 * (number % 2), action_of(vertex, 9))
    dead = np.zeros((9, 9), np.bool_)
    dead.flat[action_of("E5", 9)] = True
    assert game.board[dead] == 1
    assert (owners == game.owners(dead)).all()
    assert owners.sum() == -23  # 30.5 points less the komi
    assert owners[dead] == -1


@pytest.mark.skipif(INTERPRETED, reason="hundreds of games")
@pytest.mark.parametrize(
    ("result", "komi", "rules", "known"),
    [
        ("W+30.5", "7.5", "Chinese", True),
        ("W+29.5", "6.5", "Chinese", True),
        ("W+29.5", "7.5", "Chinese", False),  # another count
        ("W+30.5", "", "Chinese", False),
        ("W+30.5", "1e9", "Chinese", False),
        ("W+R", "7.5", "Chinese", False),
        ("B+9.5", "7.5", "Chinese", False),  # all stones counted as alive, and then much is nobody's
        ("W+31.5", "7.5", "Japanese", True),
        ("W+31.5", "7.5", "Chinese", False),
    ],
)
def test_owners_are_known_where_the_count_can_be_followed(result: str, komi: str, rules: str, known: bool) -> None:
    assert (final_owners(gnu_gos_record(result, komi, rules)) is not None) == known


CONTESTED = "(;SZ[7]KM[7.5]RU[{rules}]RE[W+7.5];B[dd];W[de];B[];W[])"
"""Nothing is settled: with all stones alive, and a komi of 7.5, any such board is won by that."""


@pytest.mark.parametrize("rules", ["Japanese", "Chinese", ""])
def test_a_count_that_is_met_by_chance_tells_nothing(rules: str) -> None:
    (record,) = parse_records("x.sgf", CONTESTED.format(rules=rules).encode(), 7)
    assert isinstance(record, Record)
    assert Go(Rules(7, 7.5)).score(Go(Rules(7, 7.5)).replay(np.array(record.moves)).states) == [-7.5]
    with patched_games():
        assert final_owners(record) is None


HANDICAP = (
    "(;SZ[5]HA[2]KM[0.5]RU[{rules}]RE[{result}]AB[ca][cb]AW[da];W[db];B[cc];W[dc];B[cd];W[dd];B[ce];W[de];B[];W[])"
)
"""Walls down the middle, with stones set up of both colours; White moves first. Black has 15 points, White 10."""


@pytest.mark.parametrize(
    ("rules", "result", "known"),
    [
        *(("Chinese", "B+2.5", True), ("AGA", "B+3.5", True), ("NZ", "B+4.5", True), ("", "B+4.5", True)),
        *(("Chinese", "B+4.5", False), ("Chinese", "W+2.5", False)),
    ],
)
def test_a_record_with_stones_set_up_and_white_first_tells_owners(rules: str, result: str, known: bool) -> None:
    (record,) = parse_records("x.sgf", HANDICAP.format(rules=rules, result=result).encode(), 5)
    assert isinstance(record, Record)
    with patched_games():
        owners = final_owners(record)
    assert (owners is not None) == known
    assert owners is None or (owners == [1, 1, 1, -1, -1]).all()


@pytest.mark.skipif(INTERPRETED, reason="hundreds of games")
@pytest.mark.parametrize(
    ("rules", "result", "whose"),
    [("Chinese", "B+1.5", -1), ("Japanese", "B+3.5", -1), ("Chinese", "B+7.5", 1), ("Japanese", "B+9.5", None)],
)
def test_a_dead_stone_is_left_on_the_board_by_area_alone(rules: str, result: str, whose: int | None) -> None:
    text = HANDICAP.format(rules=rules, result=result).replace("[cb]", "[cb][ec]")  # within White's walls
    (record,) = parse_records("x.sgf", text.encode(), 5)
    assert isinstance(record, Record)
    owners = final_owners(record)
    assert (None if owners is None else owners[2, 4]) == whose


def test_a_record_with_an_illegal_move_tells_nothing() -> None:
    text = HANDICAP.format(rules="Chinese", result="B+2.5")
    for more, known in (("", True), (";B[ca]", False)):
        (record,) = parse_records("x.sgf", text.replace(")", f"{more})").encode(), 5)
        assert isinstance(record, Record)
        with patched_games():
            assert (final_owners(record) is not None) == known


@pytest.mark.parametrize(("rules", "known"), [("Tromp-Taylor", True), ("Chinese", False)])
def test_suicide_is_played_in_a_record_whose_rules_allow_it(rules: str, known: bool) -> None:
    moves = ";B[ab];W[];B[bb];W[];B[ca];W[aa];B[dd];W[ba]"
    text = f"(;SZ[5]KM[0.5]RU[{rules}]RE[B+24.5]{moves};B[];W[])"
    (record,) = parse_records("x.sgf", text.encode(), 5)
    assert isinstance(record, Record)
    with patched_games():
        assert (final_owners(record) is not None) == known


@pytest.mark.parametrize(
    ("name", "scoring", "komi", "suicide"),
    [
        *(("Japanese", "territory", 0.5, False), ("japanese", "territory", 0.5, False)),
        *(("Korean", "territory", 0.5, False), ("Chinese", "area", 3.5, False), ("AGA", "area", 2.5, False)),
        *(("", "area", 0.5, False), ("NZ", "area", 0.5, True), ("Tromp-Taylor", "area", 0.5, True)),
        ("koSIMPLEscoreTERRITORYtaxNONEsui0", "territory", 0.5, False),
        ("koPOSITIONALscoreAREAtaxNONEsui1whbN", "area", 3.5, True),
        ("koSITUATIONALscoreAREAtaxNONEsui0whbN-1", "area", 2.5, False),
    ],
)
def test_records_are_counted_by_the_rules_that_they_name(name: str, scoring: str, komi: float, suicide: bool) -> None:
    rules = counting_rules(19, 0.5, name, 3)
    assert (rules.scoring, rules.total_komi, rules.suicide) == (scoring, komi, suicide)
    assert allows_suicide(name) == suicide
    assert counting_rules(19, 0.5, name, 0).total_komi == 0.5


@pytest.mark.parametrize("bonus", ["none", "n", "n-1"])
@pytest.mark.parametrize("scoring", ["area", "territory"])
@pytest.mark.parametrize("ko", ["simple", "positional"])
@pytest.mark.parametrize("suicide", [False, True])
def test_the_rules_that_a_game_is_saved_with_are_read_again(scoring: Any, bonus: Any, ko: Any, suicide: bool) -> None:
    rules = Rules(9, 6.5, scoring, suicide, ko, 4, handicap_bonus=bonus)
    again = counting_rules(9, 6.5, rules_text(rules), 4)
    assert (again.scoring, again.suicide, again.total_komi) == (rules.scoring, rules.suicide, rules.total_komi)


@pytest.mark.skipif(INTERPRETED, reason="hundreds of games")
def test_games_give_owners_as_the_side_to_move_sees_them_however_turned() -> None:
    other = Record("y.sgf", 9, (0, 1), 1, (), 1, 20170302, 7.5, "Chinese")
    games, census = collect([other, gnu_gos_record()], 9, owners=True)
    assert games.num_owned == census.notes["of which it is known whose each point was in the end"] == 1
    owners = final_owners(gnu_gos_record())
    numbers, plies = np.array([1, 1, 0]), np.array([4, 29, 1])
    plain, go = games.sample(numbers, plies), Go(Rules(9))
    assert plain.owner is not None
    board, (black, end, unknown) = plain.board[1], plain.owner
    assert owners is not None
    assert (black == owners).all()
    assert (end == -owners).all()
    assert not unknown.any()
    assert games.select(np.array([True, False])).num_owned == 0
    assert games.select(np.array([False, True])).num_owned == 1
    for k in range(8):
        turned = games.sample(numbers, plies, np.full(3, k))
        assert turned.owner is not None
        assert (turned.board[1] == go.transform(board, k)).all()
        assert (turned.owner[1] == go.transform(end, k)).all()


def test_final_boards_depend_on_the_seeds_alone_and_either_side_begins() -> None:
    board = np.zeros((3, 3), np.int8)
    seeds = np.arange(12).astype(np.uint64)
    ends = final_boards(board, seeds)
    assert (ends == final_boards(board, seeds)).all()
    assert (ends[:6] == final_boards(board, seeds[:6])).all()
    assert len({end.tobytes() for end in ends}) > 2
    between = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [-1, -1, -1, -1]], np.int8)
    points = final_boards(between, np.arange(200).astype(np.uint64)).sum(axis=(1, 2))
    assert points[::2].mean() > 1 > -1 > points[1::2].mean()


def slow_look(stones: NDArray[np.int8], y: int, x: int, color: int) -> bool:
    """Whether a stone puts its own chain of two or more into atari, takes none, and isn't a shape to kill by."""
    after, n = stones.copy(), len(stones)
    after[y, x] = color

    def around(point: tuple[int, int]) -> list[tuple[int, int]]:
        v, u = point
        return [(b, a) for b, a in ((v - 1, u), (v + 1, u), (v, u - 1), (v, u + 1)) if 0 <= b < n and 0 <= a < n]

    def chain(start: tuple[int, int]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        found, liberties, waiting = {start}, set(), [start]
        while waiting:
            for other in around(waiting.pop()):
                if after[other] == 0:
                    liberties.add(other)
                elif after[other] == after[start] and other not in found:
                    found.add(other)
                    waiting.append(other)
        return found, liberties

    if any(after[other] == -color and not chain(other)[1] for other in around((y, x))):
        return False
    own, liberties = chain((y, x))
    if len(liberties) != 1 or len(own) == 1:
        return False
    (last,) = liberties
    if all(after[other] == color for other in around(last)):
        return True
    degrees = sorted(sum(other in own for other in around(stone)) for stone in own)
    bent = any(len(around(stone)) == 2 and set(around(stone)) <= own for stone in own) and len(own) == 4
    known = [[2, 2, 2, 2], [1, 1, 1, 3], [1, 1, 1, 1, 4], [1, 2, 2, 2, 3], [1, 1, 2, 2, 2, 4]]
    return len(own) > 3 and not bent and degrees not in known


def test_moves_that_throw_stones_away_are_those_of_a_slow_look() -> None:
    size, chains, rng = 5, make_chains(5), np.random.default_rng(0)
    go, seen = Go(Rules(size)), []
    states = go.init(rng, 3 if INTERPRETED else 200)
    for _ in range(40):
        legal = go.legal(states)
        states = go.step(states, np.array([rng.choice(np.flatnonzero(row)) for row in legal]))[0]
        for stones in states.board:
            load(chains, stones)
            for y, x in zip(*(stones == 0).nonzero(), strict=True):
                p, w = padded(int(y) * size + int(x), size), np.uint64(size + 1)
                for color in (1, 2):
                    if not can_breathe(chains, w, np.uint64(p), color):
                        continue
                    press(chains, w, np.uint64(p), -1)
                    found = kernels.throws_away(chains, w, np.uint64(p), color)
                    press(chains, w, np.uint64(p), 1)
                    assert found == slow_look(stones, int(y), int(x), 3 - 2 * color), (stones, y, x, color)
                    seen.append(found)
    assert INTERPRETED or 500 < sum(seen) < len(seen) - 500


@pytest.mark.parametrize(("rules", "scoring", "komi"), [("Japanese", "territory", 0.5), ("Chinese", "area", 2.5)])
def test_a_record_is_counted_by_the_rules_that_it_names(rules: str, scoring: str, komi: float, tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    path.write_text(f"(;SZ[19]KM[0.50]RU[{rules}]RE[W+3.50]AB[dd][pp];W[pd])", "utf-8")
    found = counted_game(path)
    assert found is not None
    game, margin = found
    assert (game.simulator.rules.scoring, game.simulator.rules.komi, margin) == (scoring, komi, -3.5)
    path.write_text("(;SZ[19]KM[6.5]RE[W+Resign];B[dd])", "utf-8")
    assert counted_game(path) is None

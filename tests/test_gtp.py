"""The Go Text Protocol: what the specification says, answered by an engine."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest
from gtp_helpers import ask, engine, say

from tengen.envs.go.coordinates import action_of
from tengen.evaluation.go.game import long_games
from tengen.evaluation.go.gtp import Request, parse
from tengen.evaluation.go.gtp_commands import COMMANDS


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("name", Request("", "name", ())),
        ("12 play b C3\r\n", Request("12", "play", ("b", "C3"))),
        ("\tplay \t w\tD4  ", Request("", "play", ("w", "D4"))),
        ("play b C3 # a comment # more", Request("", "play", ("b", "C3"))),
        ("na\x00m\x07e\x7f", Request("", "name", ())),
        ("007 quit", Request("007", "quit", ())),
        ("3name", Request("3", "name", ())),
        ("42", Request("42", "", ())),
        ("-1 name", Request("", "-1", ("name",))),
        ("loadsgf /tmp/\u00e4 b.sgf", Request("", "loadsgf", ("/tmp/\u00e4", "b.sgf"))),
    ],
)
def test_a_line_is_read_as_the_specification_says(line: str, request_: Request) -> None:
    assert parse(line) == request_


@pytest.mark.parametrize("line", ["", "\n", "   \t ", "# only a comment", "\x01\x02\r", "  # x"])
def test_a_line_without_a_command_has_no_answer(line: str) -> None:
    assert parse(line) is None
    assert ask(engine(), line) is None


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("protocol_version", "= 2\n\n"),
        ("1 protocol_version", "=1 2\n\n"),
        ("name", "= Tengen\n\n"),
        ("known_command genmove", "= true\n\n"),
        ("known_command fly", "= false\n\n"),
        ("7 fly", "?7 unknown command\n\n"),
        ("42", "?42 unknown command\n\n"),
        ("boardsize 20", "? unacceptable size\n\n"),
        ("boardsize 1", "? unacceptable size\n\n"),
        ("boardsize nine", "? syntax error\n\n"),
        ("boardsize", "? syntax error\n\n"),
        ("play b", "? syntax error\n\n"),
        ("play b Z9", "? invalid color or coordinate\n\n"),
        ("play b I5", "? invalid color or coordinate\n\n"),
        ("play green C3", "? invalid color or coordinate\n\n"),
        ("genmove", "? syntax error\n\n"),
        ("undo", "? cannot undo\n\n"),
        ("komi much", "? syntax error\n\n"),
        ("komi nan", "? syntax error\n\n"),
        ("komi 1e999", "? syntax error\n\n"),
        ("fixed_handicap 1", "? invalid handicap: 2 to 9 stones\n\n"),
        ("set_free_handicap C3 C3", "? bad vertex list\n\n"),
        ("set_free_handicap pass C3", "? bad vertex list\n\n"),
        ("final_status_list tired", "? invalid status\n\n"),
        ("time_left b 10", "? syntax error\n\n"),
        (
            "loadsgf /nowhere/game.sgf",
            "? cannot load file: '/nowhere/game.sgf' can't be read: No such file or directory\n\n",
        ),
        ("lz-analyze b x", "? syntax error\n\n"),
        ("kata-set-rules {", "? unknown rules: a name, or a dictionary as kata-get-rules shows\n\n"),
    ],
)
def test_a_command_is_answered_as_the_specification_says(line: str, answer: str) -> None:
    assert ask(engine(), line) == answer


def test_a_komi_beyond_the_board_is_refused_in_words() -> None:
    player = engine()
    answer = ask(player, "komi 5000")
    assert answer is not None
    assert answer.startswith("? komi must be ")
    assert player.rules.komi == 7.5


def test_every_command_of_the_issue_is_known_and_listed() -> None:
    wanted = """protocol_version name version known_command list_commands quit boardsize clear_board komi play genmove
        undo final_score final_status_list time_settings time_left loadsgf showboard fixed_handicap place_free_handicap
        set_free_handicap reg_genmove lz-analyze lz-genmove_analyze kata-analyze kata-set-rules kata-get-rules
        gogui-analyze_commands"""
    player = engine()
    assert set(wanted.split()) <= set(COMMANDS)
    assert say(player, "list_commands").split("\n") == sorted(COMMANDS)
    for line in say(player, "gogui-analyze_commands").split("\n"):
        _, _, command = line.split("/")
        assert command.split()[0] in COMMANDS


def test_an_illegal_move_says_why_and_changes_nothing() -> None:
    player = engine()
    say(player, "play b C3")
    assert ask(player, "play w C3") == "? illegal move C3: the point is occupied\n\n"
    say(player, "play b B2", "play b A1", "play b C1", "play b A3", "play b D2")
    assert len(player.game.moves) == 6


def test_a_move_that_would_take_back_a_ko_is_illegal() -> None:
    player = engine()
    black, white = ("D5", "C4", "D3"), ("E5", "F4", "E3", "D4")
    say(player, *(f"play b {point}" for point in black), *(f"play w {point}" for point in white), "play b E4")
    assert ask(player, "play w D4") == "? illegal move D4: the move takes back a ko at once\n\n"
    say(player, "play w J9", "play b J1", "play w D4")


def test_a_color_may_move_twice_and_a_game_go_on_after_two_passes() -> None:
    player = engine()
    say(player, "play b C3", "play b C4", "play w pass", "play b pass")
    assert player.game.over
    say(player, "play b pass", "play w D4", "genmove w", "undo", "undo")
    assert player.game.over
    assert player.game.board[9 - 3, 2] == 1


@pytest.mark.parametrize("ko", ["positional", "simple"])
def test_a_game_has_any_number_of_moves(ko: str) -> None:
    player = engine("mcts", size=3)
    say(player, f'kata-set-rules {{"ko": "{ko}"}}')
    for _ in range(300):  # passes of both sides, of which a game may have any number
        say(player, "play b pass", "play w pass")
    say(player, "play b B2", "play w A1", "genmove b", *["undo"] * 303)
    assert len(player.game.moves) == 300
    say(player, "play b A1")
    assert ask(player, "play w A1") == "? illegal move A1: the point is occupied\n\n"


def test_superko_looks_back_beyond_the_room_that_a_game_began_with() -> None:
    player = engine(size=5)
    say(
        player,
        *(f"play b {point}" for point in ("B4", "A3", "B2")),
        *(f"play w {point}" for point in ("C4", "D3", "C2")),
    )
    say(player, "play b C3", "play w B3")  # White takes the ko
    for _ in range(150):
        say(player, "play b pass", "play w pass")
    assert ask(player, "play b C3") == "? illegal move C3: the move repeats an earlier position\n\n"
    say(player, "play b E1", "play w E5", "play b C3")


def test_a_match_keeps_its_limit_of_moves() -> None:
    player = engine(size=3)
    player.new_game(long_games(player.rules))
    say(player, *["play b pass"] * 32)  # White's are put in
    assert ask(player, "play b B2") == "? illegal move B2: the move limit has been reached\n\n"


def test_undo_leads_back_to_every_earlier_position() -> None:
    player = engine(size=5)
    boards = []
    for turn in range(30):
        boards.append(say(player, "showboard"))
        say(player, f"genmove {'bw'[turn % 2]}")
    for board in reversed(boards):
        say(player, "undo")
        assert say(player, "showboard") == board
    assert ask(player, "undo") == "? cannot undo\n\n"


def test_the_board_is_shown_with_coordinates_and_the_last_move() -> None:
    player = engine(size=5)
    assert say(player, "play b C3", "play w E1", "showboard").split("\n") == [
        "A B C D E",
        " 5 . . . . . 5",
        " 4 . . . . . 4",
        " 3 . . X . . 3",
        " 2 . . . . . 2",
        " 1 . . . .(O)1",
        "   A B C D E",
        "to move: B",
    ]


def test_the_final_score_is_counted_by_area_and_komi() -> None:
    player = engine(size=5)
    say(player, "komi 0.5", *(f"play b C{row}" for row in range(1, 6)))
    assert say(player, "final_score") == "B+24.5"
    say(player, *(f"play w D{row}" for row in range(1, 6)))
    assert say(player, "final_score") == "B+4.5"  # 15 to 10
    assert say(player, "komi 5", "final_score") == "0"
    assert say(player, "komi 7.5", "final_score") == "W+2.5"
    assert player.game.board.any(), "komi leaves the board alone"


def test_stones_that_are_as_good_as_taken_are_dead() -> None:
    player = engine(size=7)
    say(player, *(f"play b D{row}" for row in range(1, 8)), *(f"play b {point}" for point in ("E6", "F6", "E2", "F2")))
    say(player, "play b B6", "play b B2", "play w A4")
    assert say(player, "final_status_list dead") == "A4"
    alive = say(player, "final_status_list alive").split("\n")
    assert sum(len(chain.split()) for chain in alive) == 13
    assert say(player, "final_status_list seki") == ""
    assert say(player, "final_score") == "B+21.5", "Tromp and Taylor leave every stone where it is"
    assert say(player, "kata-set-rules chinese", "final_score") == "B+41.5"


def test_at_the_end_stones_are_listed_as_they_are_counted() -> None:
    player = engine(size=5)
    say(player, *(f"play b C{row}" for row in range(1, 6)), "play w A3")
    assert say(player, "final_status_list dead") == "A3", "as they look, while the game goes on"
    say(player, "play b pass", "play w pass")
    assert say(player, "final_status_list dead") == ""
    assert "A3" in say(player, "final_status_list alive")
    assert say(player, "kata-set-rules chinese", "final_status_list dead") == "A3"


def test_fixed_handicaps_are_set_and_the_turn_is_whites() -> None:
    player = engine()
    assert set(say(player, "fixed_handicap 4").split()) == {"C3", "G7", "C7", "G3"}
    assert player.game.to_move == -1
    assert ask(player, "fixed_handicap 2") == "? board not empty\n\n"
    assert ask(player, "undo") == "? cannot undo\n\n"
    assert len(set(say(player, "clear_board", "place_free_handicap 12").split())) == 12
    say(player, "clear_board", "set_free_handicap A1 B2 J9")
    assert int((player.game.board > 0).sum()) == 3


@pytest.mark.parametrize(("size", "asked", "placed"), [(19, 21, 20), (19, 360, 20), (9, 80, 20), (3, 8, 8)])
def test_of_a_free_handicap_as_many_stones_are_placed_as_make_sense(size: int, asked: int, placed: int) -> None:
    player = engine(size=size)
    vertices = say(player, f"place_free_handicap {asked}").split()
    assert len(set(vertices)) == len(vertices) == placed == int((player.game.board > 0).sum())


@pytest.mark.parametrize("asked", [0, 1, 81, 999])
def test_a_free_handicap_without_stones_or_without_room_is_refused(asked: int) -> None:
    assert ask(engine(), f"place_free_handicap {asked}") == "? invalid handicap\n\n"


def test_whites_bonus_for_handicap_stones_depends_on_the_rules() -> None:
    player = engine()
    assert say(player, "fixed_handicap 3", "final_score") == "B+73.5"
    say(player, 'kata-set-rules {"whiteHandicapBonus": "N"}')
    assert say(player, "final_score") == "B+70.5"
    say(player, 'kata-set-rules {"whiteHandicapBonus": "N-1"}')
    assert say(player, "final_score") == "B+71.5"
    assert json.loads(say(player, "kata-get-rules"))["whiteHandicapBonus"] == "N-1"


def test_rules_come_and_go_as_katagos_dictionary() -> None:
    player = engine()
    rules = {"ko": "SITUATIONAL", "scoring": "TERRITORY", "suicide": False, "tax": "NONE", "whiteHandicapBonus": "0"}
    say(player, f"kata-set-rules {json.dumps(rules)}")
    assert json.loads(say(player, "kata-get-rules")) == {"friendlyPassOk": False, "hasButton": False, **rules}
    say(player, "play b C3")
    answer = ask(player, "kata-set-rules tromp-taylor")
    assert answer == "? the rule of ko can be changed on an empty board only: clear_board first\n\n"


@pytest.mark.parametrize("name", ["tromp-taylor", "chinese"])
def test_rules_that_are_given_back_change_nothing(name: str) -> None:
    player = engine()
    rules = say(player, f"kata-set-rules {name}", "kata-get-rules")
    before = player.rules, player.settings
    for text in (rules, "{}"):
        say(player, f"kata-set-rules {text}")
        assert (player.rules, player.settings) == before


@pytest.mark.parametrize(
    ("name", "ko", "suicide", "bonus"),
    [
        ("chinese-kgs", "POSITIONAL", False, "N"),
        ("chinese-ogs", "POSITIONAL", False, "N"),
        ("aga", "SITUATIONAL", False, "N-1"),
        ("bga", "SITUATIONAL", False, "N-1"),
        ("new-zealand", "SITUATIONAL", True, "0"),
        ("new_zealand", "SITUATIONAL", True, "0"),
    ],
)
def test_other_countries_rules_have_names_too(name: str, ko: str, suicide: bool, bonus: str) -> None:
    player = engine()
    rules = json.loads(say(player, "komi 6", f"kata-set-rules {name}", "kata-get-rules"))
    assert (rules["ko"], rules["suicide"], rules["whiteHandicapBonus"]) == (ko, suicide, bonus)
    assert (rules["scoring"], rules["friendlyPassOk"], player.rules.komi) == ("AREA", True, 6)


def test_rules_that_tax_groups_are_unknown() -> None:
    answer = ask(engine(), "kata-set-rules japanese")
    assert answer is not None
    assert answer.startswith("? unknown rules: tromp-taylor, chinese, chinese-ogs, ")


def test_dead_stones_are_removed_where_the_rules_let_players_pass_before() -> None:
    player = engine()
    say(player, 'kata-set-rules {"friendlyPassOk": true}')
    assert player.settings.removes_dead
    say(player, 'kata-set-rules {"friendlyPassOk": false}')
    assert not player.settings.removes_dead
    answer = ask(player, 'kata-set-rules {"friendlyPassOk": 1}')
    assert answer == "? friendlyPassOk must be true or false, got 1\n\n"


SGF = "(;FF[4]GM[1]SZ[9]KM[6.5]AB[cc][gg];W[gc];B[cg];W[tt];B[ee])"


def test_a_game_is_loaded_up_to_a_move(tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    path.write_text(SGF, "utf-8")
    player = engine(size=5)
    say(player, f"loadsgf {path}")
    assert (player.game.size, player.rules.komi, len(player.game.moves)) == (9, 6.5, 4)
    assert player.game.board.reshape(-1)[action_of("E5", 9)] == 1
    say(player, f"loadsgf {path} 2")
    assert [move.action for move in player.game.moves] == [action_of("G7", 9)]
    assert player.game.to_move == 1
    assert int(player.game.board.sum()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(;",
        "no game",
        "(;SZ[25])",
        "(;SZ[9];B[cc];W[cc])",
        "(;SZ[9];B[zz])",
        "(;SZ[5]AB[aa:ee])",
        "(;SZ[9];B[cc];AB[dd])",
    ],
)
def test_a_damaged_game_is_refused_and_the_board_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "game.sgf"
    path.write_text(text, "utf-8")
    player = engine(size=7)
    say(player, "play b C3")
    before = say(player, "showboard")
    answer = ask(player, f"loadsgf {path}")
    assert answer is not None
    assert answer.startswith("? cannot load file: ")
    assert say(player, "showboard") == before
    say(player, "genmove w", "undo", "undo")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(;GM[3]SZ[9];B[ee])", "not a game of Go: GM[3]"),
        ("(;SZ[9];B[ee];W[zz])", "damaged: move 2: W[zz] is no point of a 9x9 board"),
        ("(;SZ[9];B[cc];AB[dd])", "stones set up during the game: after move 1"),
        ("no game", "no SGF data found"),
    ],
)
def test_it_is_said_why_a_game_can_not_be_loaded(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "game.sgf"
    path.write_text(text, "utf-8")
    expected = f"? cannot load file: {str(path)!r} has no game of Go that can be loaded: {reason}\n\n"
    assert ask(engine(), f"loadsgf {path}") == expected


def test_what_is_no_plain_file_is_not_loaded(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sgf")
    (tmp_path / "folder").mkdir()
    for name in ("pipe.sgf", "folder"):
        answer = ask(engine(), f"loadsgf {tmp_path / name}")
        assert answer == f"? cannot load file: {str(tmp_path / name)!r} is no plain file\n\n"


def test_a_game_is_loaded_without_its_komi_where_that_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    for komi in ("KM[]", "KM[6,5]", "KM[nan]", ""):
        path.write_text(f"(;SZ[9]{komi};B[ee])", "utf-8")
        player = engine()
        say(player, "komi 5.5", f"loadsgf {path}")
        assert (player.rules.komi, len(player.game.moves)) == (5.5, 1)


def test_stones_may_be_set_up_in_the_second_node(tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    path.write_text("(;SZ[9]HA[2];AB[cc][gg]PL[W])", "utf-8")
    player = engine()
    say(player, f"loadsgf {path}")
    assert (int(player.game.board.sum()), player.game.to_move, player.handicap) == (2, -1, 2)


def test_a_game_that_can_not_be_loaded_leaves_handicap_clock_and_draws_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    path.write_text("(;SZ[9]AB[cc];W[dd];B[dd])", "utf-8")
    player, twin = engine(), engine()
    for each in (player, twin):
        say(each, "kata-set-rules chinese", "fixed_handicap 4", "genmove w", "time_settings 60 0 0", "time_left b 9 3")
    answer = ask(player, f"loadsgf {path}")
    assert answer is not None
    assert answer.startswith("? cannot load file: illegal move D6")
    for line in ("komi 7.5", "final_score", "genmove b", "showboard"):
        assert say(player, line) == say(twin, line)
    assert player.clock.seconds(1, 0, 81) == pytest.approx(twin.clock.seconds(1, 0, 81), rel=0.1)
    assert player.handicap == 4


def test_a_small_board_leaves_the_komi_as_it_is() -> None:
    player = engine()
    assert say(player, "boardsize 2", "final_score") == "W+7.5"
    assert say(player, "boardsize 9", "final_score") == "W+7.5"


def test_a_larger_board_begins_a_new_game() -> None:
    player = engine()
    say(player, "play b C3", "boardsize 19", "play w T19")
    assert player.game.size == 19
    assert say(player, "showboard").count("\n") == 21


def test_genmove_after_a_pass_ends_a_won_game_by_passing() -> None:
    player = engine("mcts", size=5)
    say(player, *(f"play b C{row}" for row in range(1, 6)), "play w pass")
    assert say(player, "genmove b") == "pass"
    assert player.game.over


def test_the_same_seed_plays_the_same_game() -> None:
    def moves(seed: int) -> list[str]:
        player = engine("mcts", size=5, seed=seed)
        return [say(player, f"genmove {'bw'[turn % 2]}") for turn in range(8)]

    assert moves(1) == moves(1)
    assert moves(1) != moves(2)


def test_an_engine_resigns_only_after_three_hopeless_turns() -> None:
    player = engine("mcts", size=5, playouts=60, resign=0.4)
    hopeless = ("komi -25", *(f"play b C{row}" for row in range(1, 6)), "play b B3", "play b D3")
    say(player, *hopeless)
    for _ in range(2):
        assert say(player, "genmove w") != "resign"
        say(player, "play b pass")
    assert say(player, "genmove w") == "resign"
    never = engine("mcts", size=5, playouts=60, resign=None)
    say(never, *hopeless)
    assert "resign" not in [say(never, "genmove w") for _ in range(6)]


# --- Garbage ---


def garbage(rng: random.Random) -> str:
    """A line that may be anything, and often is nearly a command."""
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(chr(rng.randrange(0, 0x250)) for _ in range(rng.randrange(60)))
    words = [rng.choice([*COMMANDS, "fly", "", "#", "PLAY"]) for _ in range(1)]
    pieces = ["b", "w", "black", "C3", "pass", "resign", "a20", "I5", "-1", "0", "7", "9", "19", "1e400", "nan", "\x00"]
    pieces += [
        "99999999999999999999",
        "\u0663",
        "{}",
        '{"ko": 3}',
        "[" * 500,
        "interval",
        "maxmoves",
        "true",
        "ownership",
    ]
    pieces += ["\ud800", "#", "dead", "alive", "/dev/null", "chinese", "1_0", "+5", "avoid", "\u3000", "E5", "D4", "A1"]
    words += [rng.choice(pieces) for _ in range(rng.randrange(6))]
    if rng.random() < 0.3:
        words.insert(0, rng.choice(["1", "4294967296", "00", "-3", "1.5", "\u0661"]))
    line = rng.choice([" ", " ", " ", "\t", "  "]).join(words)
    if kind == 1 and line:
        position = rng.randrange(len(line))
        line = line[:position] + chr(rng.randrange(256)) + line[position + 1 :]
    return line


def fuzz(player: str, num_lines: int, seed: int) -> None:
    rng = random.Random(seed)
    tested = engine(player, size=5, playouts=2)
    for number in range(num_lines):
        line = garbage(rng)
        if rng.random() < 0.95:  # they take their time
            for slow in ("analyze", "win_rates", "tengen-ownership", "final_score", "final_status_list"):
                line = line.replace(slow, slow[:-1])
        request, answer = parse(line), ask(tested, line)
        assert (answer is None) == (request is None), repr(line)
        if request is None or answer is None:
            continue
        status, identity = answer[0], answer[1:].split(" ")[0].split("\n")[0]
        assert identity == request.identity, repr(line)
        assert "internal error" not in answer, f"{line!r}: {answer}"
        assert status == "?" or request.command in COMMANDS, repr(line)
        if number % 50 == 0 and tested.game.size > 7:
            say(tested, "boardsize 5")  # so that thousands of lines don't take minutes


def test_two_thousand_lines_of_garbage_are_survived() -> None:
    fuzz("random", 1900, seed=1)
    fuzz("mcts", 100, seed=2)


@pytest.mark.slow
def test_a_hundred_thousand_lines_of_garbage_are_survived() -> None:
    fuzz("random", 99_000, seed=3)
    fuzz("mcts", 1000, seed=4)


def test_analysis_leaves_out_moves_that_are_to_be_avoided_and_no_others() -> None:
    player = engine("mcts", size=5, playouts=50)
    say(player, "play b C3")
    free = set(re.findall(r"info move (\w+)", say(player, "lz-analyze w 1")))
    assert {"C2", "C4"} < free
    avoiding = set(re.findall(r"info move (\w+)", say(player, "lz-analyze w 1 avoid w C2,C4 1")))
    assert avoiding >= free - {"C2", "C4"}, "what was found out about them is kept"
    assert not avoiding & {"C2", "C4"}
    assert set(re.findall(r"info move (\w+)", say(player, "kata-analyze w 1 allow w C2,C4 1"))) == {"C2", "C4"}
    theirs = say(player, "lz-analyze w 1 avoid b C2,C4 1")  # the other side's moves are not at the root
    assert {"C2", "C4"} < set(re.findall(r"info move (\w+)", theirs))
    assert say(player, "lz-analyze w 1 allow w C2 1 maxmoves 1").count("info move") == 1


def visits(line: str) -> int:
    """How many visits a line of analysis has in all."""
    return sum(int(count) for count in re.findall(r"visits (\d+)", line))


def test_a_restricted_analysis_does_not_lead_the_next_thought() -> None:
    player = engine("mcts", size=5, playouts=100)
    restricted = say(player, *["lz-analyze b 100 allow b A1 1"] * 5)
    assert visits(restricted) > 100, "the next thought could not outweigh it"
    assert say(player, "reg_genmove b") != "A1"


def test_a_thought_goes_on_from_an_analysis_of_the_same_moves_or_more() -> None:
    player = engine("mcts", size=5, playouts=1)
    analysis = say(player, *["lz-analyze b 5"] * 3)
    fewer = say(player, "lz-analyze b 1 avoid b A1 1")
    assert visits(fewer) > visits(analysis) / 2, "the others keep what they have"
    again = say(player, "lz-genmove_analyze b 1 avoid b A1 1")
    assert visits(again) == visits(fewer) + 1


@pytest.mark.parametrize("kind", ["lz", "kata"])
def test_a_move_is_chosen_among_those_that_are_not_to_be_avoided(kind: str) -> None:
    for point in ("A1", "B2", "E5"):
        player = engine("mcts", size=5, playouts=50)
        assert say(player, f"{kind}-genmove_analyze b 10 allow b {point} 1").endswith(f"play {point}")
    player = engine("mcts", size=2, playouts=50)
    assert re.search(r"play (B2|pass)$", say(player, f"{kind}-genmove_analyze b 10 avoid b A1,A2,B1 1"))


def test_a_won_game_is_not_ended_by_a_pass_that_is_to_be_avoided() -> None:
    player = engine("mcts", size=5)
    say(player, *(f"play b C{row}" for row in range(1, 6)), "play w pass")
    assert not say(player, "lz-genmove_analyze b 10 avoid b pass 1").endswith("pass")


def test_questions_about_either_side_leave_the_turn_as_it_was() -> None:
    player = engine("mcts", size=5, playouts=5)
    before = say(player, "play b C3", "showboard")
    assert before.endswith("to move: W")
    for question in ("reg_genmove b", "lz-analyze b 1", "kata-analyze b 1 ownership true", "tengen-win_rates b"):
        assert say(player, question, "showboard") == before, question
    over = say(player, "play w pass", "play b pass", "play w pass", "showboard")
    for side in "bw":
        assert say(player, f"reg_genmove {side}", "showboard") == over
    assert player.game.over


def test_what_was_found_out_of_turn_is_kept_for_the_move() -> None:
    player = engine("mcts", size=5, playouts=1)
    analysis = say(player, "play b C3", *["lz-analyze b 5"] * 3)
    move = say(player, "lz-genmove_analyze b 1")
    assert visits(move) == visits(analysis) + 1
    reply = say(player, *["lz-analyze b 5"] * 3)
    played, count = re.findall(r"info move (\w+) visits (\d+)", reply)[0]
    assert visits(say(player, f"play b {played}", "lz-genmove_analyze w 1")) > int(count) / 2 > 1

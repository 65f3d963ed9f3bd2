"""Go against a person in the terminal."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from gtp_helpers import engine, say

from tengen.cli import main
from tengen.envs.go.coordinates import BLACK, WHITE, action_of
from tengen.envs.go.rules import Rules
from tengen.envs.go.simulator import Go
from tengen.evaluation.go.engine import Engine
from tengen.evaluation.go.game import Game, IllegalMoveError
from tengen.evaluation.go.makers import RandomMaker
from tengen.evaluation.go.play import Session
from tengen.evaluation.go.record import read_game


def played(
    lines: list[str], human: int = BLACK, player: str = "mcts", size: int = 5, rules: Rules | None = None
) -> tuple[Session, list[str]]:
    """A session in which a person typed some lines, and the texts that were shown, with the prompts.

    By rules of its own it is against random moves.
    """
    shown: list[str] = []
    typed: Iterator[str] = iter(lines)

    def ask(prompt: str) -> str:
        shown.append(prompt)
        for line in typed:
            return line
        raise EOFError

    opponent = engine(player, size=size, resign=None) if rules is None else Engine(RandomMaker(), rules)
    session = Session(opponent, human, ask, shown.append)
    session.run()
    return session, shown


def test_the_board_is_shown_with_the_move_and_the_win_rate() -> None:
    _, shown = played(["c3"])
    assert shown[1].splitlines()[0] == "   A B C D E"
    assert shown[2] == "1. Black: "
    assert " 3 . . X" in shown[3]
    assert "(O)" in shown[3]
    assert shown[4].startswith("White plays ")
    assert "Your win rate: " in shown[4]
    assert shown[5] == "3. Black: "


def test_the_engine_begins_when_the_person_is_white() -> None:
    _, shown = played([], human=WHITE)
    assert shown[0].startswith("You play White (O)")
    assert "(X)" in shown[2]
    assert shown[-1] == "2. White: "


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("z9", "'z9' is no vertex of a 5x5 board: A1 to E5, or pass"),
        ("hnit", "Did you mean 'hint'?"),
        ("undo", "no move of yours to take back"),
        ("save", "As in: save game.sgf"),
        ("save /nowhere/at/all/game.sgf", "can't be written"),
    ],
)
def test_what_makes_no_sense_is_said_so(line: str, message: str) -> None:
    _, shown = played([line])
    assert message in shown[3]
    assert shown[4] == "1. Black: "


def test_an_illegal_move_is_explained() -> None:
    _, shown = played(["c3", "c3"])
    assert "That is an illegal move C3: the point is occupied." in shown


def test_undo_takes_back_the_move_and_its_answer() -> None:
    _, shown = played(["c3", "undo"])
    assert shown[-2].count("X") == shown[-2].count("O") == 0
    assert shown[-1] == "1. Black: "


def test_hints_are_letters_on_the_board_and_in_a_table() -> None:
    session, shown = played(["hint"])
    board, _, table = shown[3].partition("     move  win rate  visits")
    assert "a" in board
    rows = table.splitlines()[1:]
    assert rows[0].startswith("  a  ")
    assert rows[0].split()[2].endswith("%")
    assert not session._engine.game.moves, "a hint plays nothing"


def test_two_passes_end_the_game_and_the_score_is_told() -> None:
    _, shown = played(["pass", "c3", "undo"])
    assert "White plays pass." in shown
    assert "Both passed. W+7.5, with all stones counted as alive." in shown
    assert any(text.startswith("The game is over: W+7.5. new, undo") for text in shown)
    assert "The game is over: new begins another, undo takes back a move." in shown
    assert shown[-1] == "1. Black: "


def test_the_score_says_which_stones_look_dead() -> None:
    walls = [*(f"d{row}" for row in range(1, 8)), "e6", "f6", "e2", "f2", "b6", "b2"]
    session, shown = played([], size=7)
    for line in walls:
        session._engine.play(BLACK, action_of(line, 7))
    session._engine.play(WHITE, action_of("a4", 7))
    session._obey("score")
    assert shown[-1] == "B+41.5 if A4 are dead, as they look; B+21.5 with all stones counted as alive."


def test_resigning_ends_the_game() -> None:
    _, shown = played(["c3", "resign", "d4", "new"])
    assert any(text.startswith("The game is over: W+R") for text in shown)
    assert shown[-1] == "1. Black: "


def test_a_game_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    played(["c3", f"save {path}"])
    record = read_game(path)
    assert len(record.moves) == 2
    assert record.moves[0] == (BLACK, 12)


def test_the_rules_handicap_is_on_the_board_and_white_begins() -> None:
    rules = Rules(size=7, handicap=4, handicap_bonus="n", max_moves=200)
    session, shown = played(["new"], rules=rules)
    game = session._engine.game
    assert int((game.start > 0).sum()) == 4
    assert [move.color for move in game.moves] == [WHITE]
    assert shown[1].count("X") == 4
    assert game.score() == 4 - 1 - 7.5 - 4


def test_a_person_places_handicap_stones_before_white_moves() -> None:
    rules = Rules(size=5, handicap=3, free_handicap=True, max_moves=200)
    session, shown = played(["a1", "pass", "b2", "undo", "hint", "c3", "d4"], rules=rules)
    game = session._engine.game
    assert [move.color for move in game.moves] == [BLACK, BLACK, BLACK, WHITE]
    assert (game.board > 0).sum() == 3
    assert "Black places 3 stones before White's first move." in shown
    assert "That is an illegal move pass: black has handicap stones left to place." in shown


def test_an_engine_places_handicap_stones_where_there_is_room_for_nothing_else() -> None:
    rules = Rules(size=3, handicap=8, free_handicap=True, max_moves=200)
    session, shown = played([], human=WHITE, rules=rules)
    assert [move.color for move in session._engine.game.moves] == [BLACK] * 8
    assert (session._engine.game.board > 0).sum() == 8
    assert shown[-1] == "9. White: "


def test_white_can_not_move_while_handicap_stones_are_placed() -> None:
    game = Game(Go(Rules(size=5, handicap=2, free_handicap=True)))
    game.play(BLACK, 0)
    with pytest.raises(IllegalMoveError, match="black has handicap stones left to place"):
        game.play(WHITE, 6)
    assert (len(game.moves), int(game.board.sum()), game.to_move) == (1, 1, BLACK)


def test_a_run_is_played_by_its_rules_handicap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    game = ["--env", "tengen/Go-v0", "--env.kwargs", "{size=7, handicap=4}"]
    assert main(["train", "random", *game, "--steps", "5", "--device", "cpu", "--run-dir", run]) == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("quit\n"))
    assert main(["play", run, "--human", "--color", "white"]) == 0
    out = capsys.readouterr().out
    assert (out.count("X"), out.count("1. White: ")) == (4, 1)


@pytest.mark.parametrize(
    ("bonus", "free", "name"),
    [("n", False, "Chinese"), ("n", True, "Chinese"), ("n-1", False, "koPOSITIONALscoreAREAtaxNONEsui0whbN-1")],
)
def test_a_saved_handicap_game_has_the_same_score_when_it_is_loaded(
    tmp_path: Path, bonus: Literal["n", "n-1"], free: bool, name: str
) -> None:
    path = tmp_path / "game.sgf"
    rules = Rules(size=7, handicap=4, free_handicap=free, handicap_bonus=bonus, max_moves=200)
    session, _ = played(["a1", "b2", "c3", "d4", f"save {path}"], rules=rules)
    game = session._engine.game
    text = path.read_text()
    assert "KM[7.5]" in text
    assert f"RU[{name}]" in text
    assert "HA[4]" in text
    loader = engine()
    say(loader, f'kata-set-rules {{"whiteHandicapBonus": "{bonus.upper()}"}}', f"loadsgf {path}")
    assert (loader.game.board == game.board).all()
    assert (loader.handicap, loader.rules.komi, loader.game.score()) == (4, 7.5, game.score())


def test_a_game_without_handicap_is_saved_with_its_rules(tmp_path: Path) -> None:
    path = tmp_path / "game.sgf"
    played(["c3", f"save {path}"])
    assert "RU[Tromp-Taylor]" in path.read_text()


def test_the_command_plays_from_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("help\nd4\nquit\n"))
    words = ["play", "go", "--size", "7", "--handicap", "2", "--color", "white", "--network", "none", "--playouts", "8"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "You play White (O)" in out
    assert "hint" in out
    assert "Black plays" in out


def test_a_network_is_no_run_to_play_against(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "go_policy_9x9", "--human"]) == 2
    assert capsys.readouterr().err == (
        "tengen: error: go_policy_9x9 is no run of `tengen train`; against a network,"
        " `tengen play go --network go_policy_9x9`\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--color green", "--color must be black or white, got 'green'"),
        ("--size 20", "2x2 to 19x19"),
        ("--handicap 7 --size 7", "--handicap 7 is wrong on 7x7"),
        ("--network nowhere.safetensors", "there is no network file nowhere.safetensors"),
        ("--playouts 0", "playouts must be at least 1"),
        ("--time -1", "time must be more than 0"),
        ("--threads 0", "--threads must be between 1 and 1024, got 0"),
        ("--threads 1000000000000", "--threads must be between 1 and 1024"),
        ("--resign 0.7", "resign must be a win rate"),
        ("--seed -1", "--seed must be 0 or more"),
        ("--player gnuggo", "no program is called 'gnuggo'"),
        ("--player 'sh -c x'", "--player must be one of ours"),
    ],
)
def test_wrong_options_are_one_clear_line(options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["play", "go"], ["gtp"]):
        if command == ["gtp"] and ("--color" in options or "--handicap" in options):
            continue
        assert main([*command, *shlex.split(options)]) == 2
        err = capsys.readouterr().err.splitlines()
        assert len(err) == 1
        assert message in err[0]

"""Matches of Go: the referee, the games' plan, what is kept, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gtp_helpers import engine, say
from sgfmill import sgf

from tengen.cli import main
from tengen.envs.go.gtp_client import EngineError, find_program
from tengen.envs.go.rules import Rules
from tengen.envs.go.sgf import Record, parse_records
from tengen.envs.go.simulator import Go
from tengen.errors import UserError
from tengen.evaluation.go.game import Game, IllegalMoveError, long_games
from tengen.evaluation.go.match import MatchSettings, play_match
from tengen.evaluation.go.match_game import plan_game
from tengen.evaluation.go.players import CommandPlayer
from tengen.evaluation.go.programs import ways_to_say
from tengen.evaluation.go.record import read_game, write_game
from tengen.evaluation.go.referee import area, result_text, score
from tengen.evaluation.go.specs import parse_player
from tengen.perception.network_file import Card, make_network, save_network

needs_gnugo = pytest.mark.skipif(find_program("gnugo") is None, reason="GNU Go is not installed")
RULES = long_games(Rules.chinese(5, 0.5))


# --- The referee ---


@pytest.mark.parametrize(
    ("rows", "points"),
    [
        (["...", "...", "..."], (0, 0)),
        (["...", ".X.", "..."], (9, 0)),
        ([".X.", "XO.", "..."], (3, 1)),
        (["X.O", "X.O", "X.O"], (3, 3)),
        (["XX.", ".XO", "OOO"], (3, 4)),
        ([".XO.", "XXO.", "OOOO", "...."], (4, 12)),
    ],
)
def test_an_area_is_stones_and_what_reaches_one_color_only(rows: list[str], points: tuple[int, int]) -> None:
    board = [[{"X": 1, "O": -1, ".": 0}[symbol] for symbol in row] for row in rows]
    assert area(board) == points


def test_the_referee_counts_as_the_simulator_does() -> None:
    rng = np.random.default_rng(3)
    for size in (2, 5, 9, 19):
        simulator = Go(Rules.tromp_taylor(size, 1.5))
        for density in (0.05, 0.3, 0.6):
            board = rng.choice([-1, 0, 1], (size, size), p=[density / 2, 1 - density, density / 2]).astype(np.int8)
            while (doomed := (simulator.liberties(board[None])[0] == 0) & (board != 0)).any():
                board[doomed] = 0
            assert score(board.tolist(), 1.5) == simulator.score(simulator.setup(board[None]))[0]


@pytest.mark.parametrize(("margin", "text"), [(3.5, "B+3.5"), (-0.5, "W+0.5"), (0.0, "0"), (81.0, "B+81")])
def test_a_result_is_written_as_in_sgf(margin: float, text: str) -> None:
    assert result_text(margin) == text


# --- The plan ---


def test_a_match_has_no_handicap() -> None:
    with pytest.raises(UserError, match="a match has no handicap: leave it out of the rules, got 2"):
        MatchSettings("random", "random", Rules(handicap=2))


def test_colors_alternate_and_pairs_share_an_opening() -> None:
    plans = [plan_game(number, 7, Rules(9), 4) for number in range(40)]
    assert [plan.black for plan in plans[:4]] == ["A", "B", "A", "B"]
    assert all(plans[i].opening == plans[i + 1].opening for i in range(0, 40, 2))
    assert len({plan.opening for plan in plans}) == 20
    assert len({plan.seed for plan in plans}) == 40
    for plan in plans:
        assert len(set(plan.opening)) == 4
        assert all(2 <= point // 9 <= 6 and 2 <= point % 9 <= 6 for point in plan.opening)
    assert plan_game(3, 7, Rules(9), 4) == plans[3]
    assert plan_game(3, 8, Rules(9), 4) != plans[3]


def test_an_opening_leaves_out_the_points_that_the_rules_refuse_and_no_others() -> None:
    left_out = 0
    for seed in range(40):
        opening = plan_game(0, seed, RULES, 12).opening
        assert len(opening) == 12
        game = Game(Go(RULES))
        drawn = np.random.default_rng([seed, 1, 0]).permutation(25).tolist()
        for point in drawn[: drawn.index(opening[-1]) + 1]:
            color = -1 if len(game.moves) % 2 else 1
            if point in opening:
                game.play(color, point)
            else:
                left_out += 1
                with pytest.raises(IllegalMoveError):
                    game.play(color, point)
        assert tuple(move.action for move in game.moves) == opening
    assert left_out > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty command line"),
        ("mtcs", "no player, and no program is called 'mtcs'. Did you mean 'mcts'"),
        ("mcts:playout=3", "no setting 'playout'.*Did you mean 'playouts'"),
        ("mcts:playouts=many", "playouts in .* must be a whole number, got 'many'"),
        ("mcts:threads=0", "threads of .* must be between 1 and 1024"),
        ("mcts:leaves=none", "leaves in .* must be a whole number, got 'none'"),
        ("mcts:virtual_loss=none", "virtual_loss in .* must be a number, got 'none'"),
        ("mcts:fast", "'fast' in 'mcts:fast' is no setting"),
        ("mcts:exploration=-1", "exploration of a search must be"),
        ("random:exploration=1", "random has no setting 'exploration'"),
        ("no-such-engine --gtp", "no program is called 'no-such-engine'"),
        ("mcts:play=heavy", "play in .* must be one of light, atari, shapes, got 'heavy'"),
        ("mcts:backend=torch", "mcts has no setting 'backend'"),
    ],
)
def test_what_names_no_player_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_player(text)


def test_a_players_settings_are_read_from_its_name() -> None:
    spec = parse_player("mcts:playouts=50,threads=2,resign=0.1,leaves=4,fpu=none,guess=false")
    assert (spec.kind, spec.playouts, spec.threads, spec.resign, spec.guess) == ("mcts", 50, 2, 0.1, False)
    assert dict(spec.search) == {"leaves": 4, "fpu": None}
    assert spec.settings(1000, 3.0, None).playouts == 50
    assert spec.settings(1000, 3.0, None).seconds is None
    assert parse_player("random").settings(10, None, 0.2).playouts == 10
    assert parse_player("mcts:resign=none").settings(10, None, 0.2).resign == 0
    assert parse_player(f"{sys.executable} -c pass").command == (sys.executable, "-c", "pass")


# --- Matches ---


def settings(a: str = "random", b: str = "mcts:playouts=20", **changes: Any) -> MatchSettings:
    return replace(MatchSettings(a, b, RULES, seed=5), **changes)


def games_of(folder: Path) -> list[dict[str, Any]]:
    """The games of a match without what depends on the clock."""
    lines = (folder / "games.jsonl").read_text("utf-8").splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name not in ("thought", "slowest")}
        for line in lines
    ]


def test_a_match_keeps_its_games_and_says_who_is_better(tmp_path: Path) -> None:
    result = play_match(settings(), tmp_path, 8)
    assert result["games"] == 8
    assert result["wins"] + result["losses"] + result["draws"] == 8
    assert result["losses"] >= 6, "20 playouts beat chance"
    assert result["a_as_black"]["games"] == result["a_as_white"]["games"] == 4
    assert result["errors"] == []
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == result
    for number, game in enumerate(games_of(tmp_path)):
        assert game["number"] == number
        record = sgf.Sgf_game.from_bytes((tmp_path / "sgf" / f"game-{number + 1:04}.sgf").read_bytes())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", record.get_root().get("DT"))
        assert len(record.get_main_sequence()) == game["moves"] + 1
        assert record.get_root().get("RE") == game["result"]


def test_a_records_moves_are_legal_and_lead_to_its_result(tmp_path: Path) -> None:
    play_match(settings("random", "random"), tmp_path, 4)
    for path in sorted((tmp_path / "sgf").iterdir()):
        record = read_game(path)
        game = Game(Go(RULES))
        for color, action in record.moves:
            game.play(color, action)
        assert game.over
        assert f"RE[{result_text(score(game.board.tolist(), 0.5))}]" in path.read_text("utf-8")


@pytest.mark.parametrize(("rules", "name"), [(RULES, "Chinese"), (Rules.tromp_taylor(5, 0.5), "Tromp-Taylor")])
def test_a_record_says_by_which_rules_it_was_played(tmp_path: Path, rules: Rules, name: str) -> None:
    play_match(settings("random", "random", rules=rules), tmp_path, 1)
    (record,) = parse_records("it", (tmp_path / "sgf" / "game-0001.sgf").read_bytes(), size=5)
    assert isinstance(record, Record)
    assert record.rules == name


def test_a_match_goes_on_where_it_ended_and_comes_out_the_same(tmp_path: Path) -> None:
    whole = play_match(settings(), tmp_path / "whole", 6)
    play_match(settings(), tmp_path / "parts", 2)
    played: list[int] = []
    parts = play_match(settings(), tmp_path / "parts", 6, on_game=lambda game, games: played.append(game.number))
    assert played == [2, 3, 4, 5]
    assert games_of(tmp_path / "parts") == games_of(tmp_path / "whole")
    assert (parts["wins"], parts["distinct_games"]) == (whole["wins"], whole["distinct_games"])


def test_games_side_by_side_are_those_one_after_the_other(tmp_path: Path) -> None:
    play_match(settings(opening_moves=2), tmp_path / "one", 6)
    play_match(settings(opening_moves=2), tmp_path / "two", 6, parallel=3)
    assert games_of(tmp_path / "one") == games_of(tmp_path / "two")


def test_a_match_killed_and_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    def command(folder: str) -> list[str]:
        words = "match random mcts:playouts=30 --games 6 --size 5 --komi 0.5 --seed 5 --out"
        return [sys.executable, "-m", "tengen.cli", *words.split(), str(tmp_path / folder)]

    subprocess.run(command("whole"), check=True, capture_output=True)
    running = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = tmp_path / "killed" / "games.jsonl"
    until = time.monotonic() + 120
    while not kept.exists() and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert len(games_of(tmp_path / "killed")) < 6, "it was killed too late"
    subprocess.run(command("killed"), check=True, capture_output=True)
    assert games_of(tmp_path / "killed") == games_of(tmp_path / "whole")


def test_a_folder_of_another_match_is_refused(tmp_path: Path) -> None:
    play_match(settings("random", "random"), tmp_path, 1)
    with pytest.raises(UserError, match=r"holds a match with other settings \(seed\)"):
        play_match(settings("random", "random", seed=6), tmp_path, 1)
    with pytest.raises(UserError, match=r"other settings \(b, rules\)"):
        play_match(settings("random", "mcts", rules=replace(RULES, komi=1.5)), tmp_path, 1)
    (tmp_path / "games.jsonl").write_text('{"half', "utf-8")
    with pytest.raises(UserError, match=r"games\.jsonl is damaged"):
        play_match(settings("random", "random"), tmp_path, 1)


def small_network(path: Path, seed: int) -> None:
    """Write a network of random weights for 5x5."""
    architecture = {"class": "ResidualTower", "parameters": {"planes": 1, "width": 8, "blocks": 1}}
    torch.manual_seed(seed)
    save_network(path, make_network(architecture), Card(architecture, "board", 5))


def test_a_match_does_not_go_on_with_a_network_trained_anew(tmp_path: Path) -> None:
    path, folder = tmp_path / "net.safetensors", tmp_path / "match"
    small_network(path, 0)
    played = settings(f"policy:{path}", "random")
    play_match(played, folder, 2)
    small_network(path, 1)
    with pytest.raises(UserError, match=r"holds games of another A: it was sha256 \w{64}, and is sha256 \w{64};"):
        play_match(played, folder, 4)
    assert len(games_of(folder)) == 2
    small_network(path, 0)
    assert play_match(played, folder, 4)["games"] == 4


def test_a_match_does_not_go_on_with_what_a_run_has_learnt_since(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "match"
    words = ["train", "random", "--env", "tengen/Go-v0", "--env.kwargs", "{size=5}", "--device", "cpu"]
    assert main([*words, "--steps", "8", "--run-dir", str(run)]) == 0
    rules = long_games(Rules(5))
    play_match(MatchSettings(str(run), "random", rules), folder, 1)
    play_match(MatchSettings(str(run), "random", rules), folder, 2)
    assert main(["train", "--resume", str(run), "--steps", "16"]) == 0
    with pytest.raises(UserError, match="holds games of another A"):
        play_match(MatchSettings(str(run), "random", rules), folder, 3)


def test_a_match_does_not_go_on_with_another_version_of_a_program(tmp_path: Path) -> None:
    command = script(tmp_path, '"= resign"')
    folder, engine_file = tmp_path / "match", tmp_path / "engine.py"
    play_match(settings("random", command), folder, 1)
    newer = engine_file.read_text("utf-8").replace(
        '"genmove":', '"version":\n        answer = "= 2"\n    elif command == "genmove":'
    )
    engine_file.write_text(newer, "utf-8")
    with pytest.raises(UserError, match="holds games of another B: it was name , version , and is name , version 2;"):
        play_match(settings("random", command), folder, 2)


def test_a_match_without_a_note_of_its_players_goes_on_and_gets_one(tmp_path: Path) -> None:
    play_match(settings("random", "random"), tmp_path, 1)
    note = tmp_path / "players.json"
    note.unlink()
    assert play_match(settings("random", "random"), tmp_path, 2)["games"] == 2
    assert json.loads(note.read_text("utf-8")) == {"A": {}, "B": {}}
    note.write_text("[]", "utf-8")
    with pytest.raises(UserError, match=r"players\.json is damaged"):
        play_match(settings("random", "random"), tmp_path, 2)


@pytest.mark.parametrize("out", ["file", "file/x", "locked", "plain"])
def test_a_folder_that_cannot_be_made_is_one_clear_line(
    tmp_path: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept", "utf-8")
    (tmp_path / "locked" / "lock").mkdir(parents=True)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "sgf").touch()
    words = ["match", "random", "random", "--size", "5", "--games", "1", "--out", str(tmp_path / out)]
    assert main(words) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith(f"tengen: error: the match's folder {tmp_path / out} can't be written: ")
    assert err.endswith("; give another --out")
    assert (tmp_path / "file").read_text("utf-8") == "kept"


# --- Engines that misbehave ---


def script(tmp_path: Path, reply: str) -> str:
    """The command line of an engine that answers `=`, and to genmove what an expression of `color` and `turn` says."""
    code = f"""
        import sys
        turn = 0
        for line in sys.stdin:
            number, command, *words = line.split()
            answer = "="
            if command == "known_command":
                answer = "= false"
            elif command == "genmove":
                turn += 1
                color = words[0]
                answer = {reply}
            elif command == "quit":
                break
            print(answer[0] + number + answer[1:] + "\\n", flush=True)
    """
    path = tmp_path / "engine.py"
    path.write_text(textwrap.dedent(code), "utf-8")
    return shlex.join([sys.executable, str(path)])


@pytest.mark.parametrize(
    ("reply", "reason", "detail"),
    [
        ('"= A1"', "illegal move", "illegal move A1"),
        ('"= Z9"', "engine error", "no move: 'Z9' is no vertex of a 5x5 board"),
        ('"? tired"', "engine error", "refused `genmove [BW]`: 'tired'"),
        ('sys.exit(3) or ""', "engine error", "ended with code 3 at `genmove"),
        ('"= resign"', "resign", ""),
    ],
)
def test_an_engine_that_misbehaves_loses(tmp_path: Path, reply: str, reason: str, detail: str) -> None:
    import re

    result = play_match(settings(script(tmp_path, reply), "random"), tmp_path / "match", 2)
    assert result["losses"] == 2
    assert result["reasons"] == {reason: 2}
    for error in result["errors"]:
        assert re.search(detail, error)


@pytest.mark.parametrize("reply", ['"? no"', '"= A1"'])
def test_a_match_is_given_up_when_an_engine_fails_again_and_again(tmp_path: Path, reply: str) -> None:
    with pytest.raises(EngineError, match=r"3 games in a row ended by an error of A: .*(refused|illegal move A1)"):
        play_match(settings(script(tmp_path, reply), "random"), tmp_path / "match", 9)
    assert len(games_of(tmp_path / "match")) == 3


def dying(tmp_path: Path, starts: str) -> str:
    """The command line of an engine that resigns, and at some of its starts, by an expression of `start`, just dies."""
    code = f"""
        import sys
        with open(__file__ + ".starts", "a+") as file:
            file.write("x")
            file.flush()
            file.seek(0)
            start = len(file.read())
        for line in sys.stdin:
            number, command, *words = line.split()
            if command == "komi" and {starts}:
                sys.exit(7)
            text = {{"genmove": " resign", "known_command": " false"}}.get(command, "")
            print("=" + number + text + "\\n", flush=True)
    """
    path = tmp_path / "dying.py"
    path.write_text(textwrap.dedent(code), "utf-8")
    return shlex.join([sys.executable, str(path)])


def test_an_engine_that_dies_before_its_first_move_loses_that_game(tmp_path: Path) -> None:
    result = play_match(settings("random", dying(tmp_path, "start in (3, 4, 6)")), tmp_path / "match", 6)
    assert result["wins"] == 6
    assert [game["reason"] for game in games_of(tmp_path / "match")] == [
        "resign", "engine error", "engine error", "resign", "engine error", "resign"
    ]  # fmt: skip
    assert all("ended with code 7 at `komi" in error for error in result["errors"])


def test_a_match_is_given_up_when_an_engine_dies_at_every_start(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"3 games in a row ended by an error of B: .* ended with code 7"):
        play_match(settings("random", dying(tmp_path, "start > 2")), tmp_path / "match", 9)
    assert len(games_of(tmp_path / "match")) == 4


def test_a_program_that_is_no_longer_there_loses_no_game(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexec {dying(tmp_path, 'False')}\n", "utf-8")
    program.chmod(0o755)
    with pytest.raises(EngineError, match="there is no program"):
        play_match(settings("random", str(program)), tmp_path / "match", 4, on_game=lambda *_: program.unlink())
    assert len(games_of(tmp_path / "match")) == 1


def test_an_engine_that_is_too_slow_loses(tmp_path: Path) -> None:
    slow = script(tmp_path, '__import__("time").sleep(60) or "= pass"')
    result = play_match(settings("random", slow, timeout=0.5), tmp_path / "match", 1)
    assert result["wins"] == 1
    assert "gave no answer to `genmove" in result["errors"][0]


# --- What programs are told ---

POSITIONAL = (
    '{"ko":"POSITIONAL","scoring":"AREA","tax":"NONE","suicide":false,"hasButton":false,"whiteHandicapBonus":"0"'
)


def rules_told(tmp_path: Path, rules: Rules, refused: str) -> list[str]:
    """What an engine that refuses some rules, by an expression of `text`, is told of them."""
    code = f"""
        import sys
        for line in sys.stdin:
            number, command, *words = line.split()
            text = " ".join(words)
            answer = "= true"
            if command == "kata-set-rules":
                print(text, file=open(sys.argv[1], "a"))
                answer = "? no" if {refused} else "="
            print(answer[0] + number + answer[1:] + "\\n", flush=True)
    """
    path, told = tmp_path / "engine.py", tmp_path / "told"
    path.write_text(textwrap.dedent(code), "utf-8")
    player = CommandPlayer((sys.executable, str(path), str(told)), 30.0)
    try:
        player.begin(rules, 0)
    finally:
        player.close()
    return told.read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ("False", [POSITIONAL + ',"friendlyPassOk":false}']),
        ("'friendly' in text", [POSITIONAL + ',"friendlyPassOk":false}', POSITIONAL + "}"]),
        ("'{' in text", [POSITIONAL + ',"friendlyPassOk":false}', POSITIONAL + "}", "chinese-ogs"]),
        ("text != 'chinese'", [POSITIONAL + ',"friendlyPassOk":false}', POSITIONAL + "}", "chinese-ogs", "chinese"]),
    ],
)
def test_a_program_is_told_the_rules_as_exactly_as_it_understands(
    tmp_path: Path, refused: str, told: list[str]
) -> None:
    assert rules_told(tmp_path, RULES, refused) == told


def test_tromp_taylors_rules_are_told_by_name_and_others_with_suicide_in_full(tmp_path: Path) -> None:
    assert rules_told(tmp_path, Rules.tromp_taylor(5), "False") == ["tromp-taylor"]
    rules = Rules.tromp_taylor(9, ko="situational", handicap=2, handicap_bonus="n-1")
    assert ways_to_say(rules)[-1] == "tromp-taylor"
    told = json.loads(ways_to_say(rules)[0])
    assert (told["ko"], told["suicide"], told["whiteHandicapBonus"]) == ("SITUATIONAL", True, "N-1")


def test_a_program_that_refuses_all_rules_cannot_begin(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="refused `kata-set-rules chinese`"):
        rules_told(tmp_path, RULES, "True")


@pytest.mark.parametrize(
    "rules", [RULES, Rules.tromp_taylor(5, 0.5), Rules.chinese(9, 0.5, ko="situational", handicap=2)]
)
def test_our_engine_understands_the_rules_that_programs_are_told(rules: Rules) -> None:
    for way in ways_to_say(rules):
        if way == "chinese-ogs":
            continue
        player = engine(size=rules.size)
        say(player, f"kata-set-rules {way}")
        understood = player.rules
        assert (understood.suicide, understood.scoring) == (rules.suicide, rules.scoring)
        if way.startswith("{"):
            assert understood.ko == rules.ko
            assert understood.handicap_bonus == (rules.handicap_bonus if rules.handicap else "none")


@pytest.mark.parametrize(
    ("player", "message"),
    [
        ("no-such-engine", "no program is called 'no-such-engine'"),
        ("sh -c 'exit 4'", "ended with code 4 at `protocol_version`"),
        ("mcts:rule=fast", "must be uct, puct or gumbel"),
        ("mcts:rule=gumbel,time=0.05", "the rule gumbel divides up a number of playouts"),
    ],
)
def test_a_player_that_cannot_begin_is_one_clear_line(
    tmp_path: Path, player: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["match", player, "random", "--games", "1", "--out", str(tmp_path / "match")]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("tengen: error: ")
    assert message in err
    assert not (tmp_path / "match").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--size 20", "2x2 to 19x19"),
        ("--games 0", "--games must be from 1 to 1000000"),
        ("--parallel 0", "--parallel must be at least 1"),
        ("--rules japanese", "no rules of Go are called 'japanese'"),
        ("--opening-moves 90", "opening moves must be"),
        ("--timeout 0", "timeout must be more than 0"),
        ("--seed -1", "seed must be 0 or more"),
    ],
)
def test_wrong_options_are_one_clear_line(options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["match", "random", "random", *options.split()]) == 2
    assert message in capsys.readouterr().err


def test_the_report_of_a_match_is_for_people_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["match", "random", "random", "--games", "2", "--size", "5", "--out", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "of 2 games" in out
    assert "95% interval" in out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["games"] == 2


# --- Against GNU Go ---


@needs_gnugo
def test_games_with_gnu_go_end_without_an_error(tmp_path: Path) -> None:
    rules = long_games(Rules.chinese(7, 5.5))
    command = "gnugo --mode gtp --level 1 --chinese-rules --seed {seed}"
    played = settings("mcts:playouts=20", command, rules=rules)
    result = play_match(played, tmp_path / "one", 4)
    assert result["errors"] == []
    assert result["b"]["name"] == "GNU Go"
    play_match(played, tmp_path / "two", 4, parallel=2)
    assert games_of(tmp_path / "one") == games_of(tmp_path / "two")


@needs_gnugo
def test_our_engine_as_a_program_ends_games_with_gnu_go_without_an_error(tmp_path: Path) -> None:
    ours = f"{sys.executable} -m tengen.cli gtp --network none --playouts 20"
    theirs = "gnugo --mode gtp --level 1 --chinese-rules --seed {seed}"
    result = play_match(settings(ours, theirs, rules=long_games(Rules.chinese(7, 5.5))), tmp_path / "match", 2)
    assert result["errors"] == []
    assert (result["a"]["name"], result["b"]["name"]) == ("Tengen", "GNU Go")


# --- Records and games ---


def test_a_written_game_is_read_back(tmp_path: Path) -> None:
    moves = [(1, 0), (-1, 25), (1, 24), (-1, 7)]
    path = tmp_path / "game.sgf"
    path.write_bytes(write_game(5, 6.5, moves, black="x ] \\ y", white="w", result="B+R"))
    record = read_game(path)
    assert (record.size, record.komi, record.moves, record.to_move) == (5, 6.5, moves, 1)
    assert not record.board.any()


def test_an_illegal_move_leaves_a_game_as_it_was() -> None:
    game = Game(Go(RULES))
    game.play(1, 3)
    before = game.states
    for color in (1, -1):
        with pytest.raises(IllegalMoveError, match="D5: the point is occupied"):
            game.play(color, 3)
    assert game.states is before
    assert len(game.moves) == 1


def test_asking_for_either_color_puts_in_one_pass_at_most() -> None:
    game = Game(Go(RULES))
    game.play(1, 3)
    for color in (1, -1, 1, -1, 1):
        game = game.turned(color)
        assert game.to_move == color
        assert len(game.line) <= 3
    game.play(-1, 4)
    assert [stage.action for stage in game.line] == [-1, 3, 4], "the pass that was put in is gone"


def test_ctrl_c_leaves_at_once_and_keeps_what_is_finished(tmp_path: Path) -> None:
    slow = script(tmp_path, '__import__("time").sleep(0.02 * turn ** 2) or "= pass" if turn > 1 else "= A1"')
    words = ["match", "random", slow, "--games", "500", "--size", "5", "--parallel", "2", "--out", str(tmp_path / "m")]
    running = subprocess.Popen(
        [sys.executable, "-m", "tengen.cli", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # it may be ignored where tests are run
    )
    kept = tmp_path / "m" / "games.jsonl"
    until = time.monotonic() + 120
    while not kept.exists() and time.monotonic() < until:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    try:
        _, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130
    assert err.splitlines()[-1] == "tengen: error: interrupted"
    assert games_of(tmp_path / "m")

"""A policy against an opponent: who moves when, whose return it is, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tengen.cli import main
from tengen.contracts import Environment
from tengen.envs import EnvConfig, make_env
from tengen.errors import UserError
from tengen.evaluate import Evaluation
from tengen.evaluation import opponents
from tengen.evaluation.go.programs import ways_to_say
from tengen.evaluation.opponents import GTPOpponent, PolicyOpponent, evaluate_against, make_opponent, outcome_terms
from tengen.types import Ints, TimeStep

PROGRAM = """
import sys
moves = iter({moves!r})
for line in sys.stdin:
    number, command, *rest = line.split()
    with open({log!r}, "a") as log:
        log.write(" ".join([command, *rest]) + "\\n")
    print(f"={{number}} {{next(moves) if command == 'genmove' else ''}}\\n", flush=True)
    if command == "quit":
        break
"""


class Ordered:
    """Plays the first legal action, or the last; remembers what it was shown."""

    def __init__(self, *, last: bool) -> None:
        self.last = last
        self.seen: list[TimeStep] = []

    def act(self, step: TimeStep, rng: np.random.Generator) -> Ints:
        self.seen.append(step)
        assert step.legal is not None
        legal = step.legal[:, ::-1] if self.last else step.legal
        first: Ints = legal.argmax(axis=1)
        return step.legal.shape[1] - 1 - first if self.last else first


def tictactoe(num_envs: int = 1) -> Environment:
    return make_env(EnvConfig("tengen/TicTacToe-v0", num_envs=num_envs), training=False)


@pytest.mark.parametrize("num_envs", [1, 2, 3, 5])
def test_who_moves_first_alternates_and_returns_are_the_policys(num_envs: int) -> None:
    """Squares in order from the top left and from the bottom right: whoever begins has a row of three first."""
    policy, opponent = Ordered(last=False), Ordered(last=True)
    done: list[float] = []
    evaluation = evaluate_against(
        policy,
        PolicyOpponent(opponent),
        tictactoe(num_envs),
        5,
        0,
        on_episode=lambda number, value: done.append(value),
    )
    assert evaluation.returns.tolist() == [1, -1, 1, -1, 1]
    assert evaluation.lengths.tolist() == [5] * 5
    assert sorted(done) == [-1, -1, 1, 1, 1]
    terms = outcome_terms(evaluation.returns)
    assert (terms["wins"], terms["draws"], terms["losses"], terms["win_rate"]) == (3, 0, 2, 0.6)


def test_each_is_shown_the_rows_alone_in_which_it_is_to_move() -> None:
    policy, opponent = Ordered(last=False), Ordered(last=True)
    evaluate_against(policy, PolicyOpponent(opponent), tictactoe(4), 4, 0)
    assert [len(step.reward) for step in policy.seen[:2]] == [2, 2]
    for player in (policy, opponent):
        for step in player.seen:
            np.testing.assert_array_equal(step.observation, step.state.astype(np.float32))
    assert {tuple(np.abs(step.state).sum(axis=1) % 2) for step in policy.seen[:2]} == {(0, 0), (1, 1)}


def program(folder: Path, moves: list[str]) -> tuple[str, Path]:
    log = folder / "log"
    (folder / "engine.py").write_text(PROGRAM.format(moves=moves, log=str(log)))
    return f"{sys.executable} {folder / 'engine.py'}", log


def go_env() -> Environment:
    from tengen.envs.go.environment import make

    return make(EnvConfig("tengen/Go-v0", kwargs={"size": 3, "komi": 0.5}), training=False)


def played_against(command: str, num_games: int = 1) -> tuple[Evaluation, list[str]]:
    """Return what came of games against a program, in the first of which it is second, and its errors."""
    env = go_env()
    opponent = GTPOpponent(command, env.spec.simulator, 1)
    try:
        return evaluate_against(Ordered(last=False), opponent, env, num_games, 0), opponent.errors
    finally:
        opponent.close()


def test_a_gtp_program_is_told_of_moves_and_asked_for_its_own(tmp_path: Path) -> None:
    command, log = program(tmp_path, ["B2", "pass", "pass"])
    opponent = make_opponent(f"gtp:{command}", go_env(), lambda folder: Ordered(last=True))
    try:
        evaluation = evaluate_against(Ordered(last=True), opponent, go_env(), 2, 0)  # it passes always
    finally:
        opponent.close()
    said = log.read_text().split("\n")
    begun = ["protocol_version", "boardsize 3", "clear_board", "komi 0.5", "known_command kata-set-rules"]
    assert said[:5] == begun
    assert said[5:9] == ["play b pass", "genmove w", "play b pass", "genmove w"]
    assert said[9:14] == begun
    assert said[14:16] == ["genmove b", "play w pass"]
    assert evaluation.returns.tolist() == [-1, 1]  # it has the middle in the first; in the second komi decides


def test_a_program_that_knows_rules_is_told_those_of_the_environment_as_in_a_match(tmp_path: Path) -> None:
    command, log = program(tmp_path, ["B2", "pass"])
    source = tmp_path / "engine.py"
    source.write_text(
        source.read_text().replace("if command == 'genmove' else ''", "if command == 'genmove' else 'true'")
    )
    played_against(command)
    exact = ways_to_say(go_env().spec.simulator.rules)[0]  # type: ignore[union-attr]
    assert log.read_text().split("\n")[5] == f"kata-set-rules {exact}"


def test_a_program_that_speaks_no_gtp_is_given_up_long_before_a_move_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opponents, "START_SECONDS", 0.3)
    why = r"no answer to `protocol_version` within 0.3 s; .* it seems not to speak GTP: .* `gnugo --mode gtp`"
    with pytest.raises(UserError, match=why):
        played_against("cat")


def test_a_program_that_resigns_has_lost(tmp_path: Path) -> None:
    command, _ = program(tmp_path, ["B2", "resign"])
    evaluation, errors = played_against(command)
    assert evaluation.returns.tolist() == [1]
    assert evaluation.lengths.tolist() == [3]
    assert not errors


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *((text, "answered no move") for text in ("Z9", "B2 B3", "hello")),
        ("A3", "played A3, which is illegal here"),
    ],
)
def test_a_program_that_answers_no_legal_move_has_lost_the_game_and_is_started_anew(
    tmp_path: Path, answer: str, error: str
) -> None:
    command, log = program(tmp_path, [answer])
    evaluation, errors = played_against(command)
    assert evaluation.returns.tolist() == [1]
    assert len(errors) == 1
    assert error in errors[0]
    assert log.read_text().count("clear_board") == 2


def test_a_program_that_dies_has_lost_the_game(tmp_path: Path) -> None:
    command, _ = program(tmp_path, ["B2"])  # at its second move it has none left
    evaluation, errors = played_against(command)
    assert evaluation.returns.tolist() == [1]
    assert "ended with code 1 at `genmove w`" in errors[0]


def test_a_program_that_fails_again_and_again_is_given_up(tmp_path: Path) -> None:
    command, _ = program(tmp_path, ["hello"])
    with pytest.raises(UserError, match=r"3 games in a row ended by an error of the opponent: .* answered no move"):
        played_against(command, 5)


def test_a_game_of_go_that_is_cut_counts_as_it_stands() -> None:
    """Two sides that never pass fill a board of 2x2 again and again; one komi gives the game to white, one to black."""
    from tengen.envs.go.environment import make

    returns = {}
    for komi in (-4.5, 4.5):
        env = make(EnvConfig("tengen/Go-v0", kwargs={"size": 2, "komi": komi, "ko": "simple"}), training=False)
        evaluation = evaluate_against(Ordered(last=False), PolicyOpponent(Ordered(last=False)), env, 2, 0)
        returns[komi] = evaluation.returns.tolist()
        limit = env.spec.simulator.rules.move_limit  # type: ignore[union-attr]
        assert evaluation.lengths.tolist() == [limit, limit]
    assert returns == {-4.5: [1, -1], 4.5: [-1, 1]}


def test_the_command_plays_a_run_against_others_and_refuses_what_is_no_opponent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [tmp_path / "one", tmp_path / "other", tmp_path / "cart"]
    for folder, env in zip(runs, ["tengen/TicTacToe-v0", "tengen/ConnectFour-v0", "CartPole-v1"], strict=True):
        assert main(["train", "random", "--env", env, "--steps", "1", "--run-dir", str(folder)]) == 0
    capsys.readouterr()
    for opponent in ("random", str(runs[0])):
        assert main(["evaluate", str(runs[0]), "--opponent", opponent, "--episodes", "6", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["opponent"] == opponent
        assert said["wins"] + said["draws"] + said["losses"] == 6
    refused = [
        (runs[0], ["gtp:gnugo"], "a program that speaks GTP plays Go, not tengen/TicTacToe-v0"),
        (runs[0], [str(runs[1])], f"the opponent {runs[1]} plays tengen/ConnectFour-v0, not tengen/TicTacToe-v0"),
        (runs[2], ["random"], "--opponent is for games in which two sides alternate, CartPole-v1 is none"),
        (runs[0], ["random", "--epsilon", "0.5"], "--epsilon can't be had with --opponent, got 0.5"),
        (runs[0], ["nobody"], "nobody is not a run"),
    ]
    for run, arguments, message in refused:
        assert main(["evaluate", str(run), "--opponent", *arguments]) == 2
        assert message in capsys.readouterr().err

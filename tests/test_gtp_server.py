"""`tengen gtp` as programs see it: a process with two pipes."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from gtp_helpers import engine

from tengen.envs.go.gtp_client import GTPClient
from tengen.evaluation.go.gtp_commands import COMMANDS
from tengen.evaluation.go.server import MOST_LINE_BYTES, serve
from tengen.planners.mcts.budget import Budget
from tengen.planners.mcts.result import SearchResult
from tengen.planners.mcts.search import Generators, Search

COMMAND = [sys.executable, "-m", "tengen.cli", "gtp", "--network", "none", "--playouts", "20", "--size", "5"]
_MOVE = r"(?:[A-HJ-T][0-9]{1,2}|pass)"
LZ = re.compile(
    rf"info move {_MOVE} visits [0-9]+ winrate [0-9]{{1,5}} prior [0-9]{{1,5}} lcb [0-9]{{1,5}} order [0-9]+"
    rf" pv {_MOVE}(?: {_MOVE})*"
)
_RATE = r"(?:0\.[0-9]+|1\.0+)"
KATA = re.compile(
    rf"info move {_MOVE} visits [0-9]+ utility -?{_RATE} winrate {_RATE} prior {_RATE} lcb {_RATE} order [0-9]+"
    rf" pv {_MOVE}(?: {_MOVE})*"
)


def served(source: bytes, player: str = "random") -> bytes:
    """What is written in answer to an input."""
    sink = io.BytesIO()
    serve(engine(player, size=5), COMMANDS, io.BytesIO(source), sink)
    return sink.getvalue()


def test_answers_come_in_order_until_quit() -> None:
    assert served(b"1 name\n\n# nothing\n2 fly\nquit\n3 name\n") == b"=1 Tengen\n\n?2 unknown command\n\n= \n\n"


def test_the_end_of_the_input_ends_it_also_in_the_middle_of_a_line() -> None:
    assert served(b"name\nname") == b"= Tengen\n\n" * 2
    assert served(b"") == b""


def test_bytes_that_are_no_text_and_lines_without_end_are_survived() -> None:
    assert served(b"\xff\xfe\x00\n") == b"? unknown command\n\n"
    assert served(b"x" * (3 * MOST_LINE_BYTES) + b"\nname\n") == b"? unknown command\n\n= Tengen\n\n"
    assert served(b"1 loadsgf \xff\xe4\n").startswith(b"?1 cannot load file: ")


def test_an_analysis_ends_when_the_next_line_comes() -> None:
    out = served(b"lz-analyze b 1\n2 name\n", "mcts").decode()
    answer, rest = out.split("\n\n", 1)
    assert rest == "=2 Tengen\n\n"
    head, *lines = answer.split("\n")
    assert head == "="
    for line in lines:
        assert re.fullmatch(rf"{LZ.pattern}(?: {LZ.pattern})*", line)


@pytest.mark.parametrize("player", ["mcts", "random"])
def test_lines_of_an_analysis_can_be_read(player: str) -> None:
    out = served(b"kata-analyze 1 maxmoves 2 ownership true\n\nkata-genmove_analyze w 1\n", player).decode()
    analysis, generated, _ = out.split("\n\n")
    for line in analysis.split("\n")[1:]:
        moves, _, owners = line.partition(" ownership ")
        found = KATA.findall(moves)
        assert " ".join(found) == moves
        assert 1 <= len(found) <= 2
        assert len(owners.split()) == 25
        assert all(-1 <= float(owner) <= 1 for owner in owners.split())
    head, *lines, move = generated.split("\n")
    assert head == "="
    assert re.fullmatch(rf"play {_MOVE}", move)
    assert lines
    for line in lines:
        assert " ".join(KATA.findall(line)) == line


@pytest.mark.parametrize("command", ["lz-analyze b 1", "kata-genmove_analyze b 1"])
def test_an_analysis_that_fails_halfway_is_ended_and_the_next_line_answered(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, failures = Search.run, [MemoryError("no room\nfor nodes")]

    def failing(
        search: Search, budget: Budget, rng: Generators, stop: Callable[[], bool] | None = None
    ) -> SearchResult:
        found = run(search, budget, rng, stop)
        if failures:
            raise failures.pop()
        return found

    monkeypatch.setattr(Search, "run", failing)
    out = served(f"1 {command}\n2 showboard\n3 reg_genmove b\n".encode(), "mcts").decode()
    first, board, move, _ = out.split("\n\n")
    assert first == "=1"
    assert "to move: B" in board
    assert re.fullmatch(rf"=3 {_MOVE}", move)
    assert capsys.readouterr().err == f"tengen: error: {command.split()[0]} broke off: MemoryError: no room for nodes\n"


def test_candidates_of_an_analysis_are_ordered_and_their_rates_are_rates() -> None:
    out = served(b"lz-analyze b 1\n", "mcts").decode().split("\n\n")[0].split("\n")[-1]
    visits = [int(text) for text in re.findall(r"visits ([0-9]+)", out)]
    assert visits == sorted(visits, reverse=True)
    assert [int(text) for text in re.findall(r"order ([0-9]+)", out)] == list(range(len(visits)))
    for rate, lower in re.findall(r"winrate ([0-9]+) .*? lcb ([0-9]+)", out):
        assert 0 <= int(lower) <= int(rate) <= 10_000


@pytest.fixture(scope="module")
def client() -> Iterator[GTPClient]:
    with GTPClient(COMMAND, timeout=120) as client:
        yield client


def test_the_process_speaks_gtp(client: GTPClient) -> None:
    assert client.send("name") == "Tengen"
    assert client.send("boardsize 5") == ""
    assert re.fullmatch(_MOVE, client.send("genmove b"))
    assert client.knows("lz-analyze")


def test_an_analysis_goes_on_until_it_is_interrupted() -> None:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write("1 lz-analyze b 2\n")
        assert process.stdout.readline() == "=1\n"
        visits = []
        for _ in range(6):
            line = process.stdout.readline()
            visits.append(sum(int(text) for text in re.findall(r"visits ([0-9]+)", line)))
        assert visits == sorted(visits)
        assert visits[-1] > visits[0], "it thinks on"
        process.stdin.write("\n")
        until = time.monotonic() + 60
        while process.stdout.readline() != "\n" and time.monotonic() < until:
            pass
        process.stdin.write("2 play b C3\n")
        assert [process.stdout.readline() for _ in range(2)] == ["=2 \n", "\n"]
        process.stdin.write("quit\n")
        assert process.wait(60) == 0


def test_whoever_stops_reading_ends_it_quietly() -> None:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.close()
        process.stdin.write(b"list_commands\n" * 10)
        process.stdin.close()
        assert process.wait(60) == 128 + 13
        assert process.stderr.read() == b""

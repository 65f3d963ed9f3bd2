"""Names of points, and a child that speaks GTP or should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tengen.envs.go.coordinates import (
    action_of,
    action_of_sgf,
    color_of,
    fixed_handicap,
    letter_of,
    most_fixed_handicap,
    sgf_of,
    vertex_of,
)
from tengen.envs.go.gtp_client import EngineError, GTPClient, RefusedError, find_program, split_command

needs_gnugo = pytest.mark.skipif(find_program("gnugo") is None, reason="GNU Go is not installed")


# --- Names of points ---


@pytest.mark.parametrize(
    ("size", "action", "vertex", "letters"),
    [
        (9, 0, "A9", "aa"),
        (9, 8, "J9", "ia"),
        (9, 80, "J1", "ii"),
        (9, 81, "pass", ""),
        (19, 15 * 19 + 3, "D4", "dp"),
        (19, 18, "T19", "sa"),
        (2, 2, "A1", "ab"),
    ],
)
def test_points_are_called_as_gtp_and_sgf_call_them(size: int, action: int, vertex: str, letters: str) -> None:
    assert vertex_of(action, size) == vertex
    assert sgf_of(action, size) == letters


@pytest.mark.parametrize("size", [2, 9, 13, 19])
def test_every_name_leads_back_to_its_action(size: int) -> None:
    for action in range(size * size + 1):
        assert action_of(vertex_of(action, size), size) == action
        assert action_of(vertex_of(action, size).lower(), size) == action
        assert action_of_sgf(sgf_of(action, size), size) == action


@pytest.mark.parametrize("vertex", ["", "I5", "A0", "A10", "K1", "5", "A", "A01", "AA1", "A1 ", "A-1", "A٣", "passe"])
def test_what_is_no_vertex_of_the_board_is_refused(vertex: str) -> None:
    with pytest.raises(ValueError, match="no vertex of a 9x9 board: A1 to J9"):
        action_of(vertex, 9)


@pytest.mark.parametrize("letters", ["a", "aj", "AA", "aaa", "a1", " "])
def test_what_is_no_point_in_sgf_is_refused(letters: str) -> None:
    with pytest.raises(ValueError, match="9x9"):
        action_of_sgf(letters, 9)


def test_colors_have_two_names_each() -> None:
    assert [color_of(name) for name in ("b", "Black", "W", "white")] == [1, 1, -1, -1]
    assert [letter_of(color) for color in (1, -1)] == ["B", "W"]
    with pytest.raises(ValueError, match="'green'"):
        color_of("green")


@pytest.mark.parametrize("size", range(2, 20))
def test_fixed_handicaps_are_distinct_points_and_as_many_as_asked(size: int) -> None:
    for stones in range(2, most_fixed_handicap(size) + 1):
        assert len(set(fixed_handicap(stones, size))) == stones
    with pytest.raises(ValueError, match="handicap"):
        fixed_handicap(most_fixed_handicap(size) + 1, size)


@needs_gnugo
def test_fixed_handicaps_are_those_of_gnu_go() -> None:
    with GTPClient("gnugo --mode gtp --level 1") as engine:
        for size in range(5, 20):
            engine.send(f"boardsize {size}")
            for stones in range(2, most_fixed_handicap(size) + 1):
                engine.send("clear_board")
                theirs = engine.send(f"fixed_handicap {stones}").split()
                assert {action_of(vertex, size) for vertex in theirs} == set(fixed_handicap(stones, size))


# --- A child that speaks GTP ---


def script(tmp_path: Path, code: str) -> list[str]:
    """The command line of an engine written for a test; `answer(line)` is called for each line."""
    path = tmp_path / "engine.py"
    path.write_text(textwrap.dedent(code), "utf-8")
    return [sys.executable, "-u", str(path)]


@needs_gnugo
def test_gnu_go_answers() -> None:
    with GTPClient("gnugo --mode gtp --level 1") as engine:
        assert engine.send("name") == "GNU Go"
        assert engine.send("protocol_version") == "2"
        assert engine.knows("genmove")
        assert not engine.knows("fly")
        with pytest.raises(RefusedError, match="gnugo refused `play b Z9`: 'invalid color or coordinate'"):
            engine.send("play b Z9")
        assert engine.send("showboard").count("\n") > 10
        assert engine.alive
    assert not engine.alive


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-engine --gtp", "there is no program 'no-such-engine'"),
        ("", "an empty command line"),
        ("gnugo 'open", "is no command line"),
    ],
)
def test_what_is_no_program_is_refused(command: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        GTPClient(command)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(3)", "ended with code 3 at `name`$"),
        ("import sys; sys.exit('no weights')", "ended with code 1 at `name`; its last words: 'no weights'"),
        ("import os; os.close(1); input(); input()", "closed its output at `name`|ended with code"),
        ("while True: print('spam' * 1000)", "speaks no GTP: to `name` it wrote on and on, beginning with 'spam"),
        ("import sys\nwhile True: sys.stdout.write('x' * 4096)", "speaks no GTP: to `name` it wrote on and on"),
        ("input(); print('=77 Bot\\n'); input()", "answered '=77 Bot' to command number 1, 'name': out of step"),
    ],
)
def test_an_engine_that_misbehaves_is_named_in_one_line(tmp_path: Path, code: str, message: str) -> None:
    with GTPClient(script(tmp_path, code), timeout=30) as engine:
        with pytest.raises(EngineError, match=message) as caught:
            engine.send("name")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", ["", "print('=1 half an answer')\n"])
def test_an_engine_is_not_waited_for_without_end(tmp_path: Path, code: str) -> None:
    with (
        GTPClient(script(tmp_path, f"{code}import time; time.sleep(60)")) as engine,
        pytest.raises(EngineError, match=r"gave no answer to `name` within 0\.3 s"),
    ):
        engine.send("name", timeout=0.3)


def test_a_silent_engines_noise_is_shown() -> None:
    with (
        GTPClient("sh -c 'echo hello; sleep 60'", timeout=2) as engine,
        pytest.raises(EngineError, match=r"no answer .* it wrote 'hello', which is no answer of GTP"),
    ):
        engine.send("name")


def test_noise_before_an_answer_and_a_missing_number_are_forgiven(tmp_path: Path) -> None:
    code = "print('Welcome to Bot 1.0\\n')\nwhile True:\n    input()\n    print('= \\tBot\\r\\n\\r')"
    with GTPClient(script(tmp_path, code), timeout=20) as engine:
        assert engine.send("name") == "Bot"
        assert engine.send("name") == "Bot"


def test_an_answer_of_several_lines_comes_whole(tmp_path: Path) -> None:
    code = "import sys\nfor line in sys.stdin:\n    print('=' + line.split()[0] + ' \\n A B\\n2 . .\\n1 . X\\n')"
    with GTPClient(script(tmp_path, code), timeout=20) as engine:
        assert engine.send("showboard") == "A B\n2 . .\n1 . X"


def test_an_engine_that_talks_much_on_standard_error_holds_nobody_up(tmp_path: Path) -> None:
    code = """
        import sys
        for line in sys.stdin:
            sys.stderr.write("thinking " * 200_000)
            print("=" + line.split()[0] + " ok\\n")
    """
    with GTPClient(script(tmp_path, code), timeout=20) as engine:
        assert [engine.send("name") for _ in range(3)] == ["ok"] * 3


def test_closing_ends_the_engine_and_its_children_though_they_refuse(tmp_path: Path) -> None:
    code = """
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        for line in sys.stdin:
            print("=" + line.split()[0] + f" {child.pid}\\n") if line.strip() != "quit" else None
        import time
        time.sleep(100)
    """
    engine = GTPClient(script(tmp_path, code), timeout=20)
    child = int(engine.send("name"))
    os.kill(child, 0)
    engine.close()
    engine.close()
    assert not engine.alive
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        # An orphan stays in the table until whoever adopts it has looked: a zombie is dead enough.
        state = Path(f"/proc/{child}/stat")
        if state.exists() and state.read_text("utf-8").rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the engine's child outlived it")


def test_an_engine_killed_in_a_game_is_reported(tmp_path: Path) -> None:
    code = "import os, sys\nfor line in sys.stdin:\n    print('=' + line.split()[0] + f' {os.getpid()}\\n')"
    with GTPClient(script(tmp_path, code), timeout=20) as engine:
        os.kill(int(engine.send("name")), signal.SIGKILL)
        with pytest.raises(EngineError, match="ended with code -9 at `genmove b`"):
            engine.send("genmove b")


def test_command_lines_are_split_as_a_shell_would() -> None:
    assert split_command("a 'b c' d") == ["a", "b c", "d"]
    assert split_command(("a", "b c")) == ["a", "b c"]


def test_no_engine_is_left_when_its_owner_dies(tmp_path: Path) -> None:
    engine = "import os, sys\nprint(os.getpid(), file=open('pid', 'w'))\nfor line in sys.stdin: print('=1 x\\n')"
    owner = f"""
        import os, signal
        from tengen.envs.go.gtp_client import GTPClient
        GTPClient({script(tmp_path, engine)!r}, timeout=20).send("name")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(owner)], cwd=tmp_path, check=False)
    pid = int((tmp_path / "pid").read_text("utf-8"))
    until = time.monotonic() + 10
    while time.monotonic() < until:  # its input has ended
        try:
            state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the engine outlived its owner")

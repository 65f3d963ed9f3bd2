"""Benchmarks refuse what they can't do before they begin, and import what they need."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dqn_atari
import dqn_cartpole
import dqn_learning
import minatar_games
import pytest
from _command import output_file, write_table

from tengen.errors import UserError


@pytest.mark.parametrize("side", ["tengen, compiled", "plain torch", "lean torch"])
def test_the_time_to_a_threshold_is_refused_without_both_sides_that_are_compared(
    side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dqn_cartpole, "reach", lambda *_: pytest.fail("it trains"))
    with pytest.raises(SystemExit) as stopped:
        dqn_cartpole.main(["--to-threshold", "--sides", side, "--out", str(tmp_path / "out.csv")])
    assert stopped.value.code == 2
    assert "'tengen, compiled' with 'plain torch': --sides must have both" in capsys.readouterr().err


def test_a_precision_that_there_is_not_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dqn_atari, "make_player", lambda *_: pytest.fail("it trains"))
    with pytest.raises(SystemExit) as stopped:
        dqn_atari.main(["--precision", "float32", "foo", "--out", str(tmp_path / "out.csv")])
    assert stopped.value.code == 2
    assert "argument --precision: invalid choice: 'foo'" in capsys.readouterr().err


def test_that_of_go_imports_torch_for_searches_only() -> None:
    folder = Path(dqn_cartpole.__file__).parent
    code = "import go, sys; go.sides; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=60)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--rounds", "0"], "argument --rounds: must be a whole number of at least 1, got '0'"),
        (["--steps", "many"], "argument --steps: must be a whole number of at least 1, got 'many'"),
        (["--seed", "-1"], "argument --seed: must be a whole number of at least 0, got '-1'"),
        (["--out", "."], "argument --out: must be a file, and . is a folder"),
    ],
)
def test_an_argument_that_can_t_be_is_refused_before_anything_is_measured(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        dqn_cartpole.main(options)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_folder_of_a_table_is_made_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.csv"
    assert output_file(str(path)) == path
    assert path.parent.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(argparse.ArgumentTypeError, match="can't be made"):
        output_file(str(tmp_path / "file" / "table.csv"))


def test_a_table_takes_rows_with_and_without_names_and_stays_whole_where_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, ("a", "b"), [{"b": 2}, (3, "x,y")])
    written = path.read_text()
    assert written == 'a,b\n,2\n3,"x,y"\n'
    with pytest.raises(AssertionError, match="columns without a head"):
        write_table(path, ("a", "b"), [{"c": 1}])
    assert path.read_text() == written
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("main", "arguments", "complaint"),
    [
        (dqn_atari.main, ["--env", "ALE/Brakeout-v5"], "Did you mean 'ALE/Breakout-v5'"),
        (dqn_atari.main, ["--protocol", "foo"], "no protocol is called 'foo'"),
        (dqn_learning.main, ["--env", "Brakeout-v1"], "no environment is called 'Brakeout-v1'"),
        (minatar_games.main, ["rainbwo", "--runs", "runs"], "Did you mean 'rainbow'"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_measured(
    main: Callable[[list[str]], object], arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=complaint):
        main([*arguments, "--out", str(tmp_path / "out.csv")])


def test_the_table_of_another_benchmark_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is not a table of this benchmark's"):
        dqn_learning.main(["--out", str(path)])
    assert path.read_text() == "a,b\n1,2\n"


def test_a_benchmark_ends_in_one_line_and_exit_code_2() -> None:
    script = Path(dqn_cartpole.__file__).parent / "seeds.py"
    options = ["dqm", "--env", "CartPole-v1", "--steps", "1", "--seeds", "0", "--runs", "runs"]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Did you mean 'dqn'" in done.stderr

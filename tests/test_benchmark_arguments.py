"""Benchmarks refuse what they can't do before they begin, and import what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dqn_atari
import dqn_cartpole
import pytest


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

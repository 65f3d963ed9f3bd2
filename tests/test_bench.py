"""`make bench`: each benchmark gets its own options, and one that fails does not keep the next from running."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / "Makefile").exists(), reason="needs make and the checkout"
)

RECORD = """#!/bin/sh
echo "$@" >> "$0.log"
case "$1" in {failing}) exit 3 ;; esac
"""


def bench(folder: Path, failing: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run it with a Python that notes how it was called; return how it ended, and the calls."""
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(RECORD.format(failing=failing))
    python.chmod(0o755)
    (folder / ".dev").touch()
    arguments = ["STARTUP_ARGS=--runs 5", "DQN_ATARI_ARGS=--steps 8 --threads 2"]
    command = ["make", "bench", f"VENV={folder}", f"--assume-old={folder}/.dev", *arguments]
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    done = subprocess.run(command, cwd=ROOT, env=outer, capture_output=True, text=True, timeout=60, check=False)
    return done, (folder / "bin" / "python.log").read_text().splitlines()


CALLS = [
    "benchmarks/startup.py --runs 5",
    "benchmarks/dqn_atari.py --steps 8 --threads 2",
    "benchmarks/dqn_cartpole.py",
    "benchmarks/replay.py",
    "benchmarks/act.py",
]


def test_each_benchmark_gets_its_own_options(tmp_path: Path) -> None:
    done, calls = bench(tmp_path, failing="none")
    assert calls == CALLS
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("failing", ["benchmarks/startup.py", "benchmarks/dqn_atari.py"])
def test_the_others_run_where_one_fails_and_the_end_is_a_failure_that_names_it(failing: str, tmp_path: Path) -> None:
    done, calls = bench(tmp_path, failing)
    assert calls == CALLS
    assert done.returncode == 2
    assert f"make bench: failed: {failing}\n" in done.stderr

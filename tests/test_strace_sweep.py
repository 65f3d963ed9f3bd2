"""A real process is killed at each write, fsync, rename and unlink of a save, through strace's fault injection.

Unlike the seam of the crash sweep this sees every system call, whoever makes it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import checkpoint_states
import pytest
from checkpoint_states import make_state, make_store

from tengen.checkpoint import digest_state

CALLS = ("write", "fsync", "rename", "unlink", "rmdir", "mkdir", "openat")
SCRIPT = [sys.executable, "-B", checkpoint_states.__file__]


def reason_to_skip() -> str | None:
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed (Debian: apt-get install strace)"
    tried = subprocess.run([strace, "-f", "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


def traced(folder: Path, step: int, log: Path, *options: str) -> int:
    command = ["strace", "-f", "-y", "-o", str(log), *options, *SCRIPT, str(folder), str(step)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_after_a_kill_at_any_system_call_of_a_save_the_state_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    start, folder, log = tmp_path / "start", tmp_path / "run", tmp_path / "strace.log"
    for step in (9, 20, 30):
        make_store(start).save(step, make_state(step), {})
    digests = {digest_state(make_state(30)), digest_state(make_state(43))}
    seen = []
    for call in CALLS:
        # Which calls are the save's: those from the first to the last that name the run's folder.
        shutil.copytree(start, folder)
        assert traced(folder, 43, log, "-e", f"trace={call}") == 0
        lines = [line for line in log.read_text().splitlines() if re.search(rf"\b{call}\(", line)]
        numbers = [number for number, line in enumerate(lines, 1) if str(folder) in line]
        shutil.rmtree(folder)
        assert numbers, f"a save makes no {call}"
        for number in numbers:
            shutil.copytree(start, folder)
            code = traced(folder, 43, log, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
            assert code in (-9, 137), f"{call} {number} was to kill: {code}"
            newest = make_store(folder).latest()
            assert newest is not None
            seen.append(newest.digest())
            make_store(folder).save(50, make_state(50), {})
            assert make_store(folder).load().digest() == digest_state(make_state(50))
            shutil.rmtree(folder)
    assert set(seen) == digests

"""The lock that keeps a second process off a run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tengen.checkpoint import RunLock
from tengen.errors import UserError

HOLD = (
    "import sys, pathlib; from tengen.checkpoint import RunLock\n"
    "with RunLock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def test_a_second_process_is_refused_by_name_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=re.escape(f"{tmp_path} is in use by process {holder.pid};")):
            RunLock(path).acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with RunLock(path):
            pass


def test_a_second_lock_of_the_same_process_is_refused_until_the_first_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = RunLock(path).acquire()
    with pytest.raises(UserError, match=f"in use by process {os.getpid()};"):
        RunLock(path).acquire()
    first.release()
    first.release()
    with RunLock(path), pytest.raises(UserError, match="in use"):
        RunLock(path).acquire()


def test_an_error_inside_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), RunLock(path):
        raise KeyError
    RunLock(path).acquire().release()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see that the child has begun to wait")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_does_not_hold_the_lock_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    read_end, write_end = os.pipe()
    lock = RunLock(path).acquire()
    child = os.fork()
    if child == 0:
        os.close(write_end)
        os.read(read_end, 1)  # lives until the parent closes its end
        os._exit(0)
    try:
        # A child that starts does not take the lock from its parent, either.
        with pytest.raises(UserError, match="in use"):
            RunLock(path).acquire()
        os.close(read_end)
        lock.release()
        # The child may need a moment to get as far as to close what it inherited; wait for its sleep in `read`.
        _wait_until_asleep(child)
        RunLock(path).acquire().release()
    finally:
        os.close(write_end)
        os.waitpid(child, 0)


def _wait_until_asleep(process: int) -> None:
    while Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S":
        pass


def test_what_an_earlier_process_left_in_the_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(b"\xff" * 100)
    with RunLock(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert path.read_text() == ""


def test_a_folder_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not open the lock .*No such file"):
        RunLock(tmp_path / "none" / "lock").acquire()

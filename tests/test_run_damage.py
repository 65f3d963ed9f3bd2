"""A whole run that is killed inside a save goes on to the same end, and a flipped bit on its disk is noticed."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from run_helpers import cartpole, digest, rows

from tengen.checkpoint import CheckpointStore
from tengen.checkpoint.files import DamagedCheckpointError
from tengen.run import open_run, resume, train

KILLED = 9

# A process that has trained before it forks may not train after it everywhere, so the forks get a parent of their own.
SWEEP = """
import os, re, shutil, sys
from itertools import count
from pathlib import Path
import gymnasium, torch.optim  # once, not in each child
import tengen.agents.dqn.agent
import tengen.agents.dqn.learner
from tengen.checkpoint import files
from tengen.run import resume

KILLED = int(sys.argv[2])
start = Path(sys.argv[1])
os.fsync = lambda handle: None  # changes nothing for a process that is killed

def kill_at(number):
    numbers = count()
    def hook(operation, path):
        if next(numbers) == number:
            if operation == "fsync" and path.is_file():
                os.truncate(path, path.stat().st_size // 2)
            os._exit(KILLED)
    return hook

def act(hook, name):
    folder = start.with_name(name)
    shutil.copytree(start, folder)
    child = os.fork()
    if child == 0:
        try:
            files.hook = hook
            resume(folder, steps=400)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

log = start.with_name("operations")
def note(operation, path):
    kind = re.sub("[0-9a-f]{64}|[0-9]+", "N", str(path.relative_to(start.with_name("not killed"))))
    with log.open("a") as file:
        print(operation, kind, file=file)

assert act(note, "not killed") == 0
kinds = log.read_text().splitlines()
for number in sorted({kinds.index(kind) for kind in kinds if not kind.startswith("write ")}):  # fsync truncates as well
    assert act(kill_at(number), f"killed {number:03d} {kinds[number].replace('/', ' ')}") == KILLED, number
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_a_kill_at_each_kind_of_operation_of_its_saves_a_run_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)
    config = cartpole(400, checkpoint_period=100)
    train(config, tmp_path / "straight")
    train(cartpole(200, checkpoint_period=100), tmp_path / "start")
    command = [sys.executable, "-c", SWEEP, str(tmp_path / "start"), str(KILLED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    killed = sorted(tmp_path.glob("killed *"))
    assert len(killed) > 20
    for folder in killed:
        resume(folder, steps=400)
        assert digest(folder) == digest(tmp_path / "straight"), folder.name
        assert rows(folder) == rows(tmp_path / "straight"), folder.name
        store = open_run(folder).store
        resumable = {step: store.load(step, resume=step >= 300).resumable for step in store.steps()}
        assert resumable == {100: False, 200: False, 300: True, 400: True}, folder.name


def test_a_flipped_bit_anywhere_in_the_newest_checkpoint_of_a_run_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tengen.run.folder.CheckpointStore", partial(CheckpointStore, chunk_bytes=5_000))
    train(cartpole(400), tmp_path)
    store = open_run(tmp_path).store
    manifest = store.load().manifest
    chunks = [tmp_path / "checkpoints" / "chunks" / chunk.file_name for chunk in manifest.chunks()]
    paths = [*sorted((tmp_path / "checkpoints" / "step_000000400").iterdir()), *chunks]
    assert len(chunks) > 2
    generator = np.random.default_rng(0)
    for i in range(64):
        path = paths[i % len(paths)]
        whole = path.read_bytes()
        at, bit = int(generator.integers(len(whole))), int(generator.integers(8))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        with pytest.raises(DamagedCheckpointError):
            store.load(400)
        path.write_bytes(whole)
    store.load(400)

"""Optuna's journal in a sweep's folder, which several processes write to and any of them may be killed at.

Both locks are the kernel's (flock): they end with the process that holds them, so nobody waits for one that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

STARTUP_TRIALS = 5
"""Trials that are chosen at random, and not pruned."""

Pruner = Literal["median", "none"]


def open_study(folder: Path, pruner: Pruner) -> optuna.Study:
    """Return the study of a sweep's folder, begun where there is none."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / "journal.log"
    with _quiet():
        lock: Any = JournalLock(path)  # Optuna's type for it is private
        storage = JournalStorage(JournalFileBackend(str(path), lock))
        study = optuna.create_study(storage=storage, study_name="sweep", direction="maximize", load_if_exists=True)
    study.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
        if pruner == "median"
        else optuna.pruners.NopPruner()
    )
    return study


def sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """Return what chooses the settings of one trial: by its own seed, so that no two processes draw the same."""
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with _quiet():
        return optuna.samplers.TPESampler(
            seed=own_seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True, multivariate=True
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental features
        yield


@contextlib.contextmanager
def alone(path: Path) -> Iterator[int]:
    """Hold a file's lock, waiting for whoever holds it; yield the file's handle."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


class JournalLock:
    """Optuna's lock on its journal. Whoever gets it cuts off a line that a killed process did not finish.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = contextlib.ExitStack()

    def acquire(self) -> bool:
        """Take the lock."""
        handle = self._held.enter_context(alone(self._path))
        whole = _end_of_whole_lines(handle)
        if whole < os.fstat(handle).st_size:
            os.ftruncate(handle, whole)
        return True

    def release(self) -> None:
        """Give it back."""
        self._held.close()


def _end_of_whole_lines(handle: int) -> int:
    """Return where the last whole line of a file ends."""
    stop = os.fstat(handle).st_size
    while stop > 0:
        start = max(0, stop - 4_096)
        found = os.pread(handle, stop - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop = start
    return 0

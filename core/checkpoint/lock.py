"""The lock that keeps a second process off a run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tengen.errors import UserError


class RunLock:
    """Holds a file locked until it is released, or its process ends in whatever way.

    Used as a context manager, or through `acquire` and `release`. The file stays; only the lock on it counts. A forked
    child does not hold the lock on.

    Args:
        path: The file, in the folder that it guards.
        what: What the folder holds, for the message of a lock that is held.
        option: The command-line option that chooses another folder, for the same.
    """

    def __init__(self, path: Path, what: str = "run", option: str = "--run-dir") -> None:
        self._path = path
        self._what = what
        self._option = option
        self._handle: int | None = None

    def acquire(self) -> Self:
        """Take the lock; UserError where another process (or another RunLock of this one) holds it."""
        assert self._handle is None, "the lock is held already"
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise UserError(f"could not open the lock {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            os.close(handle)
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise UserError(
                f"the {self._what} {self._path.parent} is in use by {who}; "
                f"wait for it, stop it, or choose another {self._option}"
            ) from error
        except OSError as error:
            os.close(handle)
            raise UserError(f"could not lock {self._path}: {error.strerror}") from error
        self._handle = handle
        os.register_at_fork(after_in_child=self._drop)
        return self

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            self._drop()

    def _drop(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

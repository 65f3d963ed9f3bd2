"""The only place where checkpoints touch the disk for writing.

Every operation announces itself to `hook` first, so that a test can kill the process, or fail as a full disk does, at
each one of them. Readers open without following links and never read more than they were told to expect.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from tengen.errors import UserError

PART_BYTES: Final = 1 << 20
"""Files are written in parts of this many bytes, each of them a write of its own."""

hook: Callable[[str, Path], None] | None = None
"""Called with ("write" | "fsync" | "rename" | "unlink" | "mkdir" | "rmdir", path) before each operation; for tests."""


class DamagedCheckpointError(UserError):
    """A file of a checkpoint is missing, or is not what was written."""


class UnreadableCheckpointError(DamagedCheckpointError):
    """The machine refused to read a file of a checkpoint. What it holds may be whole, and readable a moment later."""


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _announce(operation: str, path: Path) -> None:
    if hook is not None:
        hook(operation, path)


def write_new(path: Path, data: bytes) -> None:
    """Create a file that must not exist yet, and have its contents reach the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            _announce("write", path)
            view = view[os.write(handle, view[:PART_BYTES]) :]
        _announce("fsync", path)
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(path: Path, data: bytes) -> None:
    """Give a file new contents at one instant: after a crash it holds the old or the new ones."""
    beside = temporary(path)
    if beside.is_symlink() or beside.exists():
        remove_tree(beside)
    try:
        write_new(beside, data)
        rename(beside, path)
    except BaseException:
        remove_all([beside])
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Give a plain JSON file new contents at one instant; OSError where the disk refuses."""
    replace(path, json.dumps(value, indent=2).encode() + b"\n")


def temporary(path: Path) -> Path:
    """The name that a file or folder is written under before it is renamed."""
    return path.with_name(f".new-{path.name}")


def sync_folder(path: Path) -> None:
    """Have the names in a folder reach the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _announce("fsync", path)
        os.fsync(handle)
    finally:
        os.close(handle)


def rename(source: Path, target: Path) -> None:
    """Give a file or folder another name in the same folder, replacing a file that has it."""
    _announce("rename", source)
    source.rename(target)


def unlink(path: Path) -> None:
    """Remove a file."""
    _announce("unlink", path)
    path.unlink()


def make_folder(path: Path) -> None:
    """Create a folder, and those above it, unless they exist."""
    if not path.is_dir():
        make_folder(path.parent)
        _announce("mkdir", path)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a file, a link, or a folder with everything in it."""
    if path.is_symlink() or not path.is_dir():
        unlink(path)
        return
    for entry in sorted(path.iterdir()):
        remove_tree(entry)
    _announce("rmdir", path)
    path.rmdir()


def remove_all(paths: Iterable[Path]) -> None:
    """Remove what can be removed and leave the rest, as the clean-up after a failure needs."""
    for path in paths:
        try:
            if path.is_symlink() or path.exists():
                remove_tree(path)
        except OSError:
            continue


def read_plain(path: Path, most: int) -> bytes:
    """The contents of a plain file of at most `most` bytes; DamagedCheckpointError for anything else."""
    return _read(path, lambda size: None if size <= most else f"is {size} bytes long, more than the {most} allowed")


def read_verified(path: Path, size: int, digest: str) -> bytes:
    """The contents of a plain file that has exactly this size and SHA-256; DamagedCheckpointError for anything else."""
    data = _read(path, lambda found: None if found == size else f"is {found} bytes long instead of {size}")
    if sha256(data) != digest:
        raise DamagedCheckpointError(f"{path} is damaged: its SHA-256 is not the recorded one")
    return data


def _read(path: Path, complaint: Callable[[int], str | None]) -> bytes:
    # Not blocking, because a named pipe in place of the file would wait for a writer forever.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = _NOT_THERE.get(error.errno or 0)
        if reason is None:
            raise _unreadable(path, error) from error
        raise DamagedCheckpointError(f"{path} {reason}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedCheckpointError(f"{path} is not a plain file")
        wrong = complaint(status.st_size)
        if wrong is not None:
            raise DamagedCheckpointError(f"{path} {wrong}")
        with open(handle, "rb", closefd=False) as file:
            return file.read(status.st_size)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(handle)


_NOT_THERE: Final = {
    errno.ENOENT: "is missing",
    errno.ELOOP: "is a link",
    errno.ENOTDIR: "is missing: its folder is none",
    errno.ENXIO: "is not a plain file",
}
"""What the errors of opening a file say for certain. Any other may pass: no memory, too many files, a disk's hiccup."""


def _unreadable(path: Path, error: OSError) -> UnreadableCheckpointError:
    return UnreadableCheckpointError(f"{path} cannot be read: {error.strerror}")

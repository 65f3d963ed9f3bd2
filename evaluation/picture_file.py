"""Files that pictures are written to. Light: what a user named is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tengen.checkpoint.files import replace
from tengen.errors import UserError

UNDATED: dict[str, dict[str, Any]] = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
"""Metadata by what a file's name may end in: the same picture is the same file."""


def check_name(path: Path) -> None:
    """Refuse a file that no picture can be written to.

    Raises:
        UserError: Its name ends in something else, or its folder is missing.
    """
    if path.suffix.lower() not in UNDATED:
        *others, last = UNDATED
        raise UserError(f"a picture's file must end in {', '.join(others)} or {last}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise UserError(f"the folder of {str(path)!r} does not exist: make it first, or choose another file")
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder: name a file")


def write(path: Path, data: bytes) -> None:
    """Give a file new contents at one instant.

    Raises:
        UserError: It can't be written.
    """
    try:
        replace(path, data)
    except OSError as error:
        raise UserError(f"{str(path)!r} can't be written: {error.strerror or error}; choose another file") from error

"""What the benchmarks share as commands: arguments that are checked before anything is measured, and their tables."""

from __future__ import annotations

import csv
import io
import math
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tengen.checkpoint.files import replace


def positive_int(text: str) -> int:
    """Return an argument that must be a whole number of at least 1."""
    return _whole(text, 1)


def non_negative_int(text: str) -> int:
    """Return an argument that must be a whole number of at least 0, such as a seed."""
    return _whole(text, 0)


def positive_float(text: str) -> float:
    """Return an argument that must be a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def output_file(text: str) -> Path:
    """Return the path of a file to write, and make its folder: hours of work must not end for want of one."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"must be a file, and {text} is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentTypeError(f"{path.parent} can't be made: {error.strerror}") from None
    return path


def write_table(path: Path, head: Sequence[str], rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> None:
    """Write a CSV, whole or not at all; what a row that is a mapping lacks is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        if isinstance(row, Mapping):
            assert row.keys() <= set(head), f"columns without a head: {row.keys() - set(head)}"
            row = [row.get(name, "") for name in head]
        writer.writerow(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, text.getvalue().encode())


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ArgumentTypeError(f"must be a whole number of at least {least}, got {text!r}")
    return value

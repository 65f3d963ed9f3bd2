"""JSON files that carry their own checksum, so that it is verified before anything is parsed.

The text is `{"sha256": "<64 digits>",` on the first line and the rest of the object after it; the digits are the
SHA-256 of everything behind that line, and the line itself has only one form, so no flipped bit goes unseen.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tengen.checkpoint import files

MOST_BYTES: Final = 1 << 28
"""No sealed file is larger; a million rows of Atari frames need a manifest of about 0.3 MB."""

_HEAD: Final = b'{"sha256": "%s",\n'
_HEAD_BYTES: Final = len(_HEAD) - 2 + 64


def seal(content: dict[str, Any]) -> bytes:
    """The text of a sealed file with this content."""
    rest = b'"content": ' + json.dumps(content, indent=1, allow_nan=False).encode() + b"}\n"
    return _HEAD % files.sha256(rest).encode() + rest


def read_sealed(path: Path) -> dict[str, Any]:
    """The content of a sealed file; DamagedCheckpointError where the file is not exactly what `seal` gave."""
    data = files.read_plain(path, MOST_BYTES)
    rest = data[_HEAD_BYTES:]
    if data[:_HEAD_BYTES] != _HEAD % files.sha256(rest).encode():
        raise files.DamagedCheckpointError(f"{path} is damaged: its own checksum does not hold")
    content = parse(path, data).get("content")
    if not isinstance(content, dict):
        raise files.DamagedCheckpointError(f"{path} is malformed: it has no content")
    return content


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in some bytes that were verified; DamagedCheckpointError where they hold something else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise files.DamagedCheckpointError(f"{path} is malformed: {error}") from error
    if not isinstance(value, dict):
        raise files.DamagedCheckpointError(f"{path} is malformed: not a JSON object")
    return value

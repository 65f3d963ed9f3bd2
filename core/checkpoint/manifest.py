"""What a checkpoint consists of: sizes and SHA-256 of its files, and the chunks its row logs lie in.

A manifest holds no file names: they follow from component names and chunk contents, which are checked, so nothing in
it can point outside the checkpoint's folders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from tengen.checkpoint import sealed
from tengen.checkpoint.files import DamagedCheckpointError
from tengen.checkpoint.tree import DTYPES

FORMAT: Final = 1
NAME: Final = "manifest.json"
SUFFIXES: Final = (".json", ".safetensors")
COMPONENT: Final = re.compile(r"(?!manifest$)[a-z][a-z0-9_]{0,63}")
"""What a component may be called."""

_MOST_DIMENSIONS: Final = 32
_MOST_ITEMS: Final = 1 << 40
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """The size in bytes and the SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class FieldEntry:
    """The dtype of a field of a row log, and the shape of one row of it."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """The size of one row in bytes."""
        return np.dtype(self.dtype).itemsize * prod(self.shape)


@dataclass(frozen=True)
class ChunkEntry:
    """A file that holds the rows start..stop-1 of a row log."""

    start: int
    stop: int
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The name says the rows and the contents: equal numbers from another timeline give another name."""
        return f"{self.start:012d}-{self.stop:012d}-{self.sha256}.safetensors"


CHUNK_NAME: Final = re.compile(r"\d{12,}-\d{12,}-[0-9a-f]{64}\.safetensors")


@dataclass(frozen=True)
class LogEntry:
    """The rows start..stop-1 of a row log, and the chunks that hold them; the first may hold older rows as well."""

    start: int
    stop: int
    rows_per_chunk: int
    fields: Mapping[str, FieldEntry]
    chunks: tuple[ChunkEntry, ...]

    def emptied(self) -> LogEntry:
        """The same log with all of its rows gone; numbering goes on where it was."""
        return replace(self, start=self.stop, chunks=())


@dataclass(frozen=True)
class Manifest:
    """Everything about a checkpoint but its contents.

    Attributes:
        step: Decisions made when it was taken.
        resumable: Its row logs are there. Without them it serves for its policy only.
        components: The two files of each component, by component and suffix.
        logs: By component and then by name.
        meta: What the run wanted to remember besides the state (JSON values, as `tree.encode` gives them).
    """

    step: int
    resumable: bool
    components: Mapping[str, Mapping[str, FileEntry]]
    logs: Mapping[str, Mapping[str, LogEntry]]
    meta: Any = field(default_factory=dict)

    def retired(self) -> Manifest:
        """The same checkpoint kept for its policy only."""
        logs = {name: {key: entry.emptied() for key, entry in group.items()} for name, group in self.logs.items()}
        return replace(self, resumable=False, logs=logs)

    def chunks(self) -> list[ChunkEntry]:
        """All chunks of all row logs."""
        return [chunk for group in self.logs.values() for entry in group.values() for chunk in entry.chunks]

    def to_bytes(self) -> bytes:
        """The text of the manifest's file."""
        return sealed.seal({"format": FORMAT, **asdict(self)})


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a checkpoint's folder; DamagedCheckpointError where it is not exactly what was written."""
    path = folder / NAME
    content = sealed.read_sealed(path)
    try:
        return _manifest(content)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedCheckpointError(f"{path} is malformed: {error or type(error).__name__}") from error


def _manifest(content: dict[str, Any]) -> Manifest:
    if type(content["format"]) is not int or content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}; this version of Tengen reads format {FORMAT}")
    if type(content["resumable"]) is not bool:
        raise ValueError("resumable is not true or false")
    components = {
        _component(name): {
            suffix: FileEntry(_count(group[suffix]["size"]), _digest(group[suffix]["sha256"])) for suffix in SUFFIXES
        }
        for name, group in content["components"].items()
    }
    logs = {
        _component(name): {key: _log(entry) for key, entry in group.items()} for name, group in content["logs"].items()
    }
    return Manifest(_count(content["step"]), content["resumable"], components, logs, content["meta"])


def _log(entry: dict[str, Any]) -> LogEntry:
    fields = {name: _field(value) for name, value in entry["fields"].items()}
    chunks = tuple(
        ChunkEntry(_count(c["start"]), _count(c["stop"]), _count(c["size"]), _digest(c["sha256"]))
        for c in entry["chunks"]
    )
    log = LogEntry(_count(entry["start"]), _count(entry["stop"]), _count(entry["rows_per_chunk"]), fields, chunks)
    row_bytes = sum(value.row_bytes for value in fields.values())
    at = chunks[0].start if chunks else log.start
    if not at <= log.start <= log.stop:
        raise ValueError(f"a log from row {log.start} to {log.stop} in chunks from {at} can't be right")
    for chunk in chunks:
        if chunk.start != at or chunk.stop <= at or (chunk.stop - at) * row_bytes > chunk.size:
            raise ValueError(f"the rows of chunk {chunk.file_name} can't be right")
        at = chunk.stop
    if at != log.stop:
        raise ValueError(f"the chunks end at row {at}, the log at {log.stop}")
    return log


def _field(value: dict[str, Any]) -> FieldEntry:
    if value["dtype"] not in DTYPES:
        raise ValueError(f"unknown dtype {value['dtype']!r}")
    if type(value["shape"]) is not list:
        raise ValueError(f"{value['shape']!r} is not a shape")
    entry = FieldEntry(value["dtype"], tuple(_count(size) for size in value["shape"]))
    if len(entry.shape) > _MOST_DIMENSIONS or prod(max(1, size) for size in entry.shape) > _MOST_ITEMS:
        raise ValueError(f"no row has the shape {entry.shape}")
    return entry


def _component(name: str) -> str:
    if not COMPONENT.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a component")
    return name


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _digest(value: Any) -> str:
    if type(value) is not str or not _SHA256.fullmatch(value):
        raise ValueError(f"{value!r} is not a SHA-256")
    return value

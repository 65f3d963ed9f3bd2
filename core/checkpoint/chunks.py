"""Row logs on disk: immutable chunk files that checkpoints share, and their lazy reader.

Chunk k of a log covers the rows k*C to (k+1)*C-1 by insertion number. A chunk that is full is written once; the newest,
still growing one is a file of its own in each checkpoint. Files are named by their contents, so that rows of a
discarded timeline, which may have the same numbers, are never taken for current ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from tengen.checkpoint import files
from tengen.checkpoint.manifest import ChunkEntry, FieldEntry, LogEntry
from tengen.checkpoint.tree import check_array, check_text
from tengen.contracts import RowLog
from tengen.types import Array


def fields_of(log: RowLog, name: str) -> dict[str, FieldEntry]:
    """The fields of a row log, sorted by name; TypeError where they can't be kept. `name` is for the message."""
    fields = {}
    for key, array in sorted(log.read(log.start, log.start).items()):
        if check_text(key, name) == "__metadata__":
            raise TypeError(f"{name}: safetensors keeps the name {key!r} for itself; call the field something else")
        fields[key] = FieldEntry(check_array(array, f"{name}/{key}").dtype.name, array.shape[1:])
    return fields


def rows_of(log: RowLog, fields: Mapping[str, FieldEntry], start: int, stop: int) -> dict[str, Array]:
    """The rows start..stop-1 in C order, checked against the log's fields."""
    rows = log.read(start, stop)
    if sorted(rows) != list(fields):
        raise TypeError(f"a row log gave the fields {sorted(rows)} after {list(fields)}")
    for key, entry in fields.items():
        array = rows[key]
        if array.dtype.name != entry.dtype or array.shape != (stop - start, *entry.shape):
            raise TypeError(
                f"a row log gave {array.dtype.name} {list(array.shape)} as field {key!r} of the rows "
                f"{start} to {stop - 1}, where its other rows are {entry.dtype} {list(entry.shape)}"
            )
    return {key: check_array(rows[key], key) for key in fields}


class FileRowLog:
    """A row log in chunk files, read when rows are asked for; each chunk is verified each time it is read."""

    def __init__(self, folder: Path, entry: LogEntry) -> None:
        self._folder = folder
        self._entry = entry
        self._last: tuple[ChunkEntry, dict[str, Array]] | None = None

    @property
    def start(self) -> int:
        """The number of the oldest row."""
        return self._entry.start

    @property
    def stop(self) -> int:
        """One more than the number of the newest row."""
        return self._entry.stop

    def read(self, start: int, stop: int) -> dict[str, Array]:
        """Return the rows start..stop-1, in new arrays; DamagedCheckpointError where a file is not what was written."""
        if not self.start <= start <= stop <= self.stop:
            raise IndexError(f"rows {start} to {stop} of a log that holds {self.start} to {self.stop}")
        rows = {name: np.empty((stop - start, *entry.shape), entry.dtype) for name, entry in self._entry.fields.items()}
        for chunk in self._entry.chunks:
            first, last = max(start, chunk.start), min(stop, chunk.stop)
            if first < last:
                for name, array in self._rows(chunk).items():
                    rows[name][first - start : last - start] = array[first - chunk.start : last - chunk.start]
        return rows

    def _rows(self, chunk: ChunkEntry) -> dict[str, Array]:
        if self._last is None or self._last[0] is not chunk:
            self._last = None  # so that only one chunk is held at a time
            self._last = (chunk, self._load(chunk))
        return self._last[1]

    def _load(self, chunk: ChunkEntry) -> dict[str, Array]:
        path = self._folder / chunk.file_name
        arrays = parse_arrays(path, files.read_verified(path, chunk.size, chunk.sha256))
        found = {name: FieldEntry(array.dtype.name, array.shape[1:]) for name, array in arrays.items()}
        lengths = {array.shape[:1] for array in arrays.values()}
        if found != dict(self._entry.fields) or not lengths <= {(chunk.stop - chunk.start,)}:
            raise files.DamagedCheckpointError(f"{path} is malformed: it holds other fields than the manifest says")
        return arrays


def parse_arrays(path: Path, data: bytes) -> dict[str, Array]:
    """The arrays in a safetensors file whose bytes were verified."""
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise files.DamagedCheckpointError(f"{path} is malformed: {error}") from error


class ChunkWriter:
    """Writes row logs, each chunk once.

    A log may have an attribute `timeline`: an object that is another one as soon as rows changed in any way but by
    being appended or dropped at the start (because a state was loaded). Where the log of the same name was saved with
    the same timeline before, only its new rows are read. Any other log is read in full, and only chunks that the disk
    does not hold yet are written.

    Attributes:
        created: The files that came into being since `created` was last cleared.
    """

    def __init__(self, folder: Path, chunk_bytes: int) -> None:
        self._folder = folder
        self._chunk_bytes = chunk_bytes
        self._known: dict[str, tuple[object, dict[int, ChunkEntry]]] = {}
        self._whole: set[ChunkEntry] = set()  # written or verified by this process
        self.created: list[Path] = []

    def save(self, log: RowLog, name: str) -> LogEntry:
        """Have all live rows of a log on disk.

        Args:
            log: Its rows start..stop-1 are kept.
            name: The same at each save; also for error messages.
        """
        fields = fields_of(log, name)
        rows_per_chunk = max(1, self._chunk_bytes // max(1, sum(entry.row_bytes for entry in fields.values())))
        timeline = getattr(log, "timeline", None)
        known = self._known_chunks(name, timeline)
        start, stop = log.start, log.stop
        chunks = []
        for begin in range(start - start % rows_per_chunk, stop, rows_per_chunk):
            first, last = max(start, begin), min(stop, begin + rows_per_chunk)
            chunk = known.get(last)
            if chunk is None or not begin <= chunk.start <= first or not self._has(chunk):
                chunk = self._write(rows_of(log, fields, first, last), first, last)
            chunks.append(chunk)
        # Also where nothing is new: a crash may have come between a chunk's rename and this.
        files.sync_folder(self._folder)
        self._known[name] = (timeline, {chunk.stop: chunk for chunk in chunks})
        return LogEntry(start, stop, rows_per_chunk, fields, tuple(chunks))

    def distrust(self) -> None:
        """Take nothing for granted any more: a chunk was found damaged."""
        self._whole.clear()

    def _known_chunks(self, name: str, timeline: object) -> dict[int, ChunkEntry]:
        """The chunks of the log that was saved under a name before, by where they stop, if it was the same log."""
        before, chunks = self._known.pop(name, (None, {}))
        return chunks if timeline is not None and before is timeline else {}

    def _write(self, rows: dict[str, Array], start: int, stop: int) -> ChunkEntry:
        data = safetensors.numpy.save(rows)
        chunk = ChunkEntry(start, stop, len(data), files.sha256(data))
        if not self._has(chunk):
            path = self._folder / chunk.file_name
            beside = files.temporary(path)
            self.created.append(beside)
            files.write_new(beside, data)
            if path.is_dir():
                files.remove_tree(path)
            if not path.exists():
                self.created.append(path)
            files.rename(beside, path)
            self._whole.add(chunk)
        return chunk

    def _has(self, chunk: ChunkEntry) -> bool:
        """Whether the disk holds a chunk; it is read to find out, unless this process has done so before."""
        path = self._folder / chunk.file_name
        try:
            if chunk not in self._whole:
                files.read_verified(path, chunk.size, chunk.sha256)
                self._whole.add(chunk)
            return path.stat().st_size == chunk.size
        except (OSError, files.DamagedCheckpointError):
            self._whole.discard(chunk)
            return False

"""One checkpoint on disk, as it is read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from tengen.checkpoint import files, sealed, tree
from tengen.checkpoint.chunks import FileRowLog, parse_arrays
from tengen.checkpoint.digest import digest_state
from tengen.checkpoint.manifest import LogEntry, Manifest, read_manifest
from tengen.contracts import RowLog
from tengen.errors import UserError
from tengen.types import Array, State


class Checkpoint:
    """A checkpoint whose manifest was found whole. Every other file is verified each time it is read."""

    def __init__(self, folder: Path, chunk_folder: Path) -> None:
        self._folder = folder
        self._chunk_folder = chunk_folder
        self._manifest = read_manifest(folder)
        self._meta = self._decode(folder / "manifest.json", self._manifest.meta, {}, {})

    @property
    def step(self) -> int:
        """The decisions made when it was taken."""
        return self._manifest.step

    @property
    def meta(self) -> dict[str, Any]:
        """What was saved with it besides the state."""
        return dict(self._meta)

    @property
    def resumable(self) -> bool:
        """Whether the run can go on from it. An older one is kept for its policy only, without row logs."""
        return self._manifest.resumable

    @property
    def manifest(self) -> Manifest:
        """Its parts."""
        return self._manifest

    def state(self, resume: bool = True) -> dict[str, State]:
        """Return the state tree of each component.

        Args:
            resume: Whether row logs are wanted. Otherwise they are empty, and no replay is read.

        Raises:
            DamagedCheckpointError: A file is not what was written. Row logs are read only when they are asked for rows,
                and raise it then.
            UserError: Row logs are wanted, but this checkpoint is kept for its policy only.
        """
        if resume and not self.resumable:
            raise UserError(f"{self._folder} is kept for its policy only; go on from a later checkpoint")
        manifest = self._manifest if resume else self._manifest.retired()
        return {name: self._component(name, manifest.logs.get(name, {})) for name in manifest.components}

    def digest(self) -> str:
        """The digest of the whole state (`digest_state`), row logs included; reads every file."""
        return digest_state(self.state())

    def verify(self, resume: bool = True) -> None:
        """Read all files once and compare them with the manifest; DamagedCheckpointError where one differs.

        Args:
            resume: Whether the row logs are read as well.
        """
        self.state(resume=False)
        if resume:
            for chunk in self._manifest.chunks():
                files.read_verified(self._chunk_folder / chunk.file_name, chunk.size, chunk.sha256)

    def _component(self, name: str, logs: dict[str, LogEntry] | Any) -> State:
        data = {}
        for suffix, entry in self._manifest.components[name].items():
            data[suffix] = files.read_verified(self._folder / f"{name}{suffix}", entry.size, entry.sha256)
        arrays = parse_arrays(self._folder / f"{name}.safetensors", data[".safetensors"])
        path = self._folder / f"{name}.json"
        return self._decode(path, sealed.parse(path, data[".json"]), arrays, logs)

    def _decode(self, path: Path, document: Any, arrays: dict[str, Array], logs: dict[str, LogEntry]) -> dict[str, Any]:
        def log(name: str) -> RowLog:
            return FileRowLog(self._chunk_folder, logs[name])

        try:
            value = tree.decode(document, arrays, log)
        except (KeyError, ValueError, TypeError, RecursionError, struct.error) as error:
            raise files.DamagedCheckpointError(f"{path} is malformed: {error!r}") from error
        if not isinstance(value, dict):
            raise files.DamagedCheckpointError(f"{path} is malformed: not a tree")
        return value

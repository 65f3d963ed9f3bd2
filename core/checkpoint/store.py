"""The checkpoints of a run.

    checkpoints/
      step_000050000/    manifest.json, and <component>.json with <component>.safetensors for each component
      chunks/            the row logs' rows, shared by the checkpoints that name them
      best.json          the step of the best policy and its score

A checkpoint is written beside (".new-"), synced, and renamed: it is there as a whole or not at all. The newest two can
be gone on from; older ones are kept for their policy only. What a crash leaves behind, the next `save` removes, but
nothing that merely could not be read, for it may be whole. Nothing but `save` and `mark_best` ever writes, so that a
run can be evaluated while it trains.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import safetensors.numpy

from tengen.checkpoint import files, sealed, tree
from tengen.checkpoint.checkpoint import Checkpoint
from tengen.checkpoint.chunks import ChunkWriter
from tengen.checkpoint.files import DamagedCheckpointError, UnreadableCheckpointError
from tengen.checkpoint.manifest import CHUNK_NAME, COMPONENT, NAME, FileEntry, LogEntry, Manifest, read_manifest
from tengen.errors import UserError
from tengen.types import State

NUM_RESUMABLE: Final = 2
"""So many of the newest checkpoints can be gone on from."""

_FOLDER: Final = re.compile(r"step_(\d{9,})(~?)")


class BestMark(NamedTuple):
    """Which checkpoint has the best policy, and how good it was."""

    step: int
    score: float


def _print_warning(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


class CheckpointStore:
    """Saves checkpoints into a folder, and finds the newest one that is whole.

    Args:
        folder: The run's `checkpoints/`; need not exist.
        keep: How many older checkpoints stay for their policy, besides the best.
        chunk_bytes: About how large a full chunk file of a row log is.
        warn: Is told in one line of each damaged checkpoint that was passed over.
    """

    def __init__(
        self,
        folder: Path,
        keep: int = 10,
        chunk_bytes: int = 1 << 23,
        warn: Callable[[str], None] = _print_warning,
    ) -> None:
        self._folder = folder
        self._chunk_folder = folder / "chunks"
        self._keep = keep
        self._warn = warn
        self._chunks = ChunkWriter(self._chunk_folder, chunk_bytes)
        self._damaged: set[int] = set()
        self._unreadable: set[int] = set()  # may be whole

    def steps(self) -> list[int]:
        """The steps of all checkpoints, oldest first, whole or not."""
        return sorted(self._folders())

    def save(self, step: int, components: Mapping[str, State], meta: Mapping[str, Any]) -> None:
        """Save a state as the newest checkpoint.

        Checkpoints of a later step are removed: the run went back, so they belong to a timeline that was discarded.

        Args:
            step: The decisions made so far. A checkpoint of the same step is replaced.
            components: A state tree for each, by name.
            meta: What to remember besides; no part of the digest.

        Raises:
            TypeError: Something in a tree can't be kept; the message names its path. Nothing was written.
            UserError: The disk refused. What was written is removed, and earlier checkpoints are as they were.
        """
        encoded = {name: self._encode(name, state) for name, state in components.items()}
        note = tree.encode(dict(meta), "meta")
        if note.arrays or note.logs:
            raise TypeError(f"{next(iter([*note.arrays, *note.logs]))}: meta takes JSON values only")
        self._chunks.created.clear()
        try:
            self._clean_up()
            logs = {name: self._save_logs(name, part) for name, part in encoded.items() if part.logs}
            self._write(step, encoded, logs, note.document)
        except BaseException as error:
            self._undo(step)
            if isinstance(error, OSError):
                raise UserError(
                    f"could not write checkpoint at step {step} to {self._folder}: {error.strerror or error}; "
                    + self._intact()
                ) from error
            raise
        self._damaged.discard(step)
        try:
            self._tidy(step)
        except OSError as error:
            raise UserError(
                f"could not clear old checkpoints in {self._folder}: {error.strerror or error}; " + self._intact()
            ) from error

    def latest(self, resume: bool = True) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or None where none was ever saved.

        Args:
            resume: Whether the run shall go on from it: row logs are verified as well, and checkpoints kept for their
                policy only do not count.

        Raises:
            UserError: There are checkpoints, but none can be used; the message says why.
        """
        found: list[str] = []
        for step, folder in sorted(self._folders().items(), reverse=True):
            try:
                checkpoint = self._open(step, folder, resume)
            except DamagedCheckpointError as error:
                (self._unreadable if isinstance(error, UnreadableCheckpointError) else self._damaged).add(step)
                found.append(str(error))
                continue
            if resume and not checkpoint.resumable:
                found.append(f"the one at step {step} is kept for its policy only")
                continue
            for reason in found:
                self._warn(f"{reason}; using the checkpoint at step {step}")
            return checkpoint
        if found:
            raise UserError(f"no checkpoint in {self._folder} can be used: " + "; ".join(found))
        return None

    def load(self, step: int | None = None, resume: bool = True) -> Checkpoint:
        """Return the checkpoint of a step, verified, or the newest one.

        Args:
            step: None for the newest one that is whole.
            resume: Whether row logs, where it has them, are verified as well.

        Raises:
            UserError: There is none, or it is damaged.
        """
        if step is None:
            newest = self.latest(resume)
            if newest is None:
                raise UserError(f"there is no checkpoint in {self._folder}")
            return newest
        folder = self._folders().get(step)
        if folder is None:
            there = ", ".join(map(str, self.steps())) or "none"
            raise UserError(f"there is no checkpoint of step {step} in {self._folder}; there are: {there}")
        return self._open(step, folder, resume)

    def best(self, resume: bool = False) -> Checkpoint | None:
        """Return the checkpoint marked as the best, verified, or None where none is marked."""
        mark = self.best_mark()
        return None if mark is None else self.load(mark.step, resume)

    def best_mark(self) -> BestMark | None:
        """Which checkpoint is marked as the best; None where none is, or, with a warning, where the mark is damaged."""
        try:
            return self._read_mark()
        except UnreadableCheckpointError as error:
            self._warn(f"no checkpoint counts as the best: {error}")
            return None

    def mark_best(self, step: int, score: float) -> None:
        """Remember which checkpoint is the best so far; it is kept from then on.

        Args:
            step: Of a checkpoint that is there.
            score: Its mean evaluation return, or what else was compared.
        """
        assert step in self._folders(), f"no checkpoint of step {step}"
        try:
            files.replace(self._folder / "best.json", sealed.seal({"step": step, "score": float(score).hex()}))
        except OSError as error:
            raise UserError(
                f"could not mark the checkpoint at step {step} in {self._folder} as the best: {error.strerror or error}"
            ) from error

    def _read_mark(self) -> BestMark | None:
        path = self._folder / "best.json"
        if not path.is_symlink() and not path.exists():
            return None
        try:
            content = sealed.read_sealed(path)
            return BestMark(int(content["step"]), float.fromhex(content["score"]))
        except UnreadableCheckpointError:
            raise
        except (DamagedCheckpointError, KeyError, ValueError, TypeError) as error:
            self._warn(f"no checkpoint counts as the best: {path}: {error}")
            return None

    def _open(self, step: int, folder: Path, resume: bool) -> Checkpoint:
        try:
            checkpoint = Checkpoint(folder, self._chunk_folder)
            if checkpoint.step != step:
                raise DamagedCheckpointError(f"{folder} holds the checkpoint of another step, {checkpoint.step}")
            checkpoint.verify(resume)
        except DamagedCheckpointError:
            self._chunks.distrust()
            raise
        return checkpoint

    def _folders(self) -> dict[int, Path]:
        """Where the checkpoint of each step is: a crash while one was replaced leaves only the old one, set aside."""
        folders: dict[int, Path] = {}
        try:
            entries = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UserError(f"could not read {self._folder}: {error.strerror}") from error
        for path in entries:  # "step_1" comes before "step_1~"
            match = _FOLDER.fullmatch(path.name)
            if match and path.name == _folder_name(int(match[1])) + match[2]:
                folders.setdefault(int(match[1]), path)
        return folders

    def _encode(self, name: str, state: State) -> tree.Encoded:
        assert COMPONENT.fullmatch(name), f"{name!r} can't be the name of a component"
        if not isinstance(state, dict):
            raise TypeError(f"/{name}: a state is a dict, not {type(state).__name__}")
        return tree.encode(state, f"/{name}")

    def _save_logs(self, name: str, part: tree.Encoded) -> dict[str, LogEntry]:
        return {key: self._chunks.save(log, key) for key, log in part.logs.items()}

    def _write(
        self,
        step: int,
        encoded: Mapping[str, tree.Encoded],
        logs: Mapping[str, Mapping[str, LogEntry]],
        meta: Any,
    ) -> None:
        folder = self._folder / _folder_name(step)
        beside, aside = files.temporary(folder), _aside(folder)
        files.make_folder(beside)
        components = {name: _write_component(beside, name, part) for name, part in encoded.items()}
        manifest = Manifest(step, True, components, logs, meta)
        files.write_new(beside / NAME, manifest.to_bytes())
        files.sync_folder(beside)
        if folder.exists():
            files.rename(folder, aside)
        try:
            files.rename(beside, folder)
            files.sync_folder(self._folder)
        except BaseException:  # an interrupt too: chunks that the folder names are removed next
            if folder.exists() and not beside.exists():
                files.rename(folder, beside)
            raise

    def _clean_up(self) -> None:
        """Remove what a crash left behind, and put back what it left aside."""
        files.make_folder(self._chunk_folder)
        self._remove_leftovers(self._folder)
        self._remove_leftovers(self._chunk_folder)
        for folder in self._folders().values():
            if folder.name.endswith("~"):
                files.rename(folder, folder.with_name(folder.name[:-1]))
            else:
                self._remove_aside(folder)
                if folder.is_dir():
                    self._remove_leftovers(folder)

    def _remove_leftovers(self, folder: Path) -> None:
        for path in sorted(folder.glob(".new-*")):
            files.remove_tree(path)

    def _remove_aside(self, folder: Path) -> None:
        aside = _aside(folder)
        if aside.exists():
            self._remove_folder(aside)

    def _undo(self, step: int) -> None:
        """Remove what a save that failed has written."""
        folder = self._folder / _folder_name(step)
        files.remove_all([files.temporary(folder), *self._chunks.created])
        if _aside(folder).exists() and not folder.exists():
            try:
                files.rename(_aside(folder), folder)
            except OSError:
                return  # it is found under the name that it has as well

    def _intact(self) -> str:
        """What is left, for the message of a save that failed."""
        earlier = [other for other in self.steps() if other not in self._damaged]
        return f"the last checkpoint at step {earlier[-1]} is intact" if earlier else "there is no earlier checkpoint"

    def _tidy(self, step: int) -> None:
        """Keep what is to be kept beside the checkpoint of this step, which has just been saved.

        What can't be read now is left as it is, and counts for nothing.
        """
        self._remove_aside(self._folder / _folder_name(step))
        folders = self._folders()
        manifests, unread = self._manifests(step, folders)
        unsure = unread | self._unreadable
        older = sorted(manifests.keys() - unsure)[:-NUM_RESUMABLE]
        for other in self._spare(step, older):
            del manifests[other]
        # Oldest first, so that of a discarded timeline none but its last checkpoint is ever the newest.
        for other in sorted(folders.keys() - manifests.keys() - unread):
            self._remove_folder(folders[other])
        for other in older:
            if other in manifests and manifests[other].resumable:
                manifests[other] = manifests[other].retired()
                files.replace(folders[other] / NAME, manifests[other].to_bytes())
        self._damaged.clear()
        self._unreadable.clear()
        if not unread:  # else who knows which chunks they name
            self._collect(manifests)

    def _manifests(self, step: int, folders: Mapping[int, Path]) -> tuple[dict[int, Manifest], set[int]]:
        """Return the manifests of the whole checkpoints up to a step, and the steps of those that can't be read."""
        manifests: dict[int, Manifest] = {}
        unread = set()
        for other, folder in folders.items():
            if other > step or other in self._damaged:
                continue
            try:
                manifests[other] = read_manifest(folder)
            except UnreadableCheckpointError as error:
                self._warn(f"{error}; the checkpoint at step {other} is left as it is")
                unread.add(other)
            except DamagedCheckpointError:
                continue
        return manifests, unread

    def _spare(self, step: int, older: list[int]) -> list[int]:
        """Return which of the older checkpoints are too many; a mark of the best that was discarded is removed."""
        try:
            best = self._read_mark()
        except UnreadableCheckpointError as error:
            self._warn(f"{error}; no checkpoint is removed, since any may be the best")
            return []
        if best is not None and best.step > step:
            files.unlink(self._folder / "best.json")
            best = None
        spare = [other for other in older if best is None or other != best.step]
        return spare[: max(0, len(spare) - self._keep)]

    def _collect(self, manifests: Mapping[int, Manifest]) -> None:
        """Remove the chunks that no manifest names. Manifests that stopped naming them are on disk by now."""
        named = {chunk.file_name for manifest in manifests.values() for chunk in manifest.chunks()}
        for path in sorted(self._chunk_folder.iterdir()):
            if CHUNK_NAME.fullmatch(path.name) and path.name not in named:
                files.remove_tree(path)

    def _remove_folder(self, folder: Path) -> None:
        """Remove a checkpoint so that a crash halfway leaves no half of it under its name."""
        gone = files.temporary(folder)
        files.rename(folder, gone)
        files.sync_folder(self._folder)
        files.remove_tree(gone)


def _folder_name(step: int) -> str:
    return f"step_{step:09d}"


def _aside(folder: Path) -> Path:
    """The name of a checkpoint while another of the same step takes its place."""
    return folder.with_name(f"{folder.name}~")


def _write_component(folder: Path, name: str, part: tree.Encoded) -> dict[str, FileEntry]:
    contents = {
        ".json": json.dumps(part.document, indent=1, allow_nan=False).encode() + b"\n",
        ".safetensors": safetensors.numpy.save(part.arrays),
    }
    for suffix, data in contents.items():
        files.write_new(folder / f"{name}{suffix}", data)
    return {suffix: FileEntry(len(data), files.sha256(data)) for suffix, data in contents.items()}

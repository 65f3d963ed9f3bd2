"""Reads recorded games: SGF files in folders and archives, bad ones counted with the reason.

Parsing is sgfmill's; what a game is made of, `sgf_game.py`'s. Whether its moves are legal is not asked here: see
`tengen.envs.go.games`.
"""

from __future__ import annotations

import lzma
import math
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from tengen.envs.go.coordinates import BLACK, WHITE
from tengen.envs.go.sgf_game import PARSE_ERRORS, BadGameError, game_of, in_a_line
from tengen.errors import UserError

DAMAGE: Final = (
    *(OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError),
    *(tarfile.TarError, zipfile.BadZipFile),
)
"""What reading a damaged archive may raise."""

_MOST_BYTES: Final = 1 << 20  # a file larger than that is no game
_ARCHIVES: Final = (".tar.gz", ".tgz", ".tar", ".zip")
_COUNTED: Final = re.compile(r"([BW])\+(\d{1,3}(?:\.\d+)?)", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?")


class Record(NamedTuple):
    """One game as its file tells it; points are actions, `y * N + x` from the top left, N * N for a pass."""

    name: str  # where it was found
    size: int
    moves: tuple[int, ...]
    first: int  # who moves first: 1 black, -1 white
    stones: tuple[int, ...]  # what is set up before: p for black, -1 - p for white
    result: int  # 1 black won, -1 white won, 0 unknown or a draw
    date: int  # year * 10000 + month * 100 + day; 0 unknown; the day is 0 where only the month is known
    komi: float
    rules: str
    margin: float | None = None  # black's points less white's and komi, as agreed; None where it was not counted


class BadRecord(NamedTuple):
    """A file that is no game we can use."""

    name: str
    reason: str  # short and general: what is counted
    detail: str = ""  # e.g. the number of the move


def read_records(paths: Sequence[Path], size: int | None = 19, min_moves: int = 1) -> Iterator[Record | BadRecord]:
    """Yield every game of folders (searched through), archives and files, in the order of their names.

    Args:
        paths: Folders, archives (.tar.gz, .tgz, .tar, .zip), .sgf files.
        size: The only board size to take; None for all.
        min_moves: Games of fewer moves are bad ones.

    Raises:
        UserError: A path does not exist or is an archive that can't be read.
    """
    for name, data in _files(paths):
        yield from parse_records(name, data, size, min_moves)


def parse_records(name: str, data: bytes, size: int | None = 19, min_moves: int = 1) -> list[Record | BadRecord]:
    """Return the game of an SGF file, or why there is none; of a collection each, as NAME#1, NAME#2 and so on.

    Args:
        name: Where it was found.
        data: The file.
        size: The only board size to take; None for all.
        min_moves: Games of fewer moves are bad ones.
    """
    from sgfmill import sgf_grammar

    if len(data) > _MOST_BYTES:
        return [BadRecord(name, "too large", f"{len(data)} bytes")]
    try:
        trees = sgf_grammar.parse_sgf_collection(data)
    except PARSE_ERRORS as error:
        try:
            tree = sgf_grammar.parse_sgf_game(data)
        except PARSE_ERRORS:
            return [BadRecord(name, "damaged", in_a_line(error))]
        return [_record(f"{name}#1", tree, size, min_moves), BadRecord(f"{name}#2", "damaged", in_a_line(error))]
    names = [name] if len(trees) == 1 else [f"{name}#{number}" for number in range(1, len(trees) + 1)]
    return [_record(own, tree, size, min_moves) for own, tree in zip(names, trees, strict=True)]


def _record(name: str, tree: Any, size: int | None, min_moves: int) -> Record | BadRecord:
    try:
        game = game_of(tree, size)
    except BadGameError as error:
        return BadRecord(name, error.reason, error.detail)
    for number, ((before, _), (color, _)) in enumerate(pairwise(game.moves), 2):
        if color == before:
            return BadRecord(name, "the same side moves twice", f"move {number}")
    if len(game.moves) < min_moves:
        return BadRecord(name, "too short", f"{len(game.moves)} moves")
    flat = game.board.reshape(-1)
    return Record(
        name,
        game.size,
        tuple(action for _, action in game.moves),
        game.to_move,
        (*np.flatnonzero(flat == BLACK).tolist(), *sorted((-1 - np.flatnonzero(flat == WHITE)).tolist())),
        _result(game.result),
        _date(game.date),
        math.nan if game.komi is None else game.komi,
        game.rules,
        _margin(game.result),
    )


def _result(text: str) -> int:
    return {"B+": 1, "W+": -1}.get(text[:2].upper(), 0)


def _margin(text: str) -> float | None:
    """Return black's points less white's of a RE property; None where the game was not counted."""
    if text.lower() in ("0", "draw"):
        return 0.0
    match = _COUNTED.fullmatch(text.upper())
    return None if match is None else float(match[2]) * (1 if match[1] == "B" else -1)


def _date(text: str) -> int:
    """Return the first date of a DT property as a number; 0 where there is none."""
    match = _DATE.search(text)
    return 0 if match is None else int(match[1]) * 10000 + int(match[2]) * 100 + int(match[3] or 0)


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of every .sgf file."""
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
        if not (path.is_dir() or path.is_file()):
            raise UserError(f"{path} is neither a plain file nor a folder: choose another")
        inside = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
        for entry in inside:
            lower = entry.name.lower()
            try:
                if lower.endswith(".sgf"):
                    yield str(entry), entry.read_bytes()[: _MOST_BYTES + 1]
                elif lower.endswith(".zip"):
                    yield from _zip_members(entry)
                elif lower.endswith(_ARCHIVES):
                    yield from _tar_members(entry)
            except DAMAGE as error:
                reason = " ".join(str(error).split())
                raise UserError(f"{entry} can't be read: {reason}; mend it or take it away") from error


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            if member.filename.lower().endswith(".sgf"):
                with archive.open(member) as file:
                    yield f"{path}:{member.filename}", file.read(_MOST_BYTES + 1)


def _tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:  # in their own order: sorting would seek back and forth in a compressed file
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and member.name.lower().endswith(".sgf"):
                yield f"{path}:{member.name}", file.read(_MOST_BYTES + 1)
        assert archive.fileobj is not None
        while archive.fileobj.read(_MOST_BYTES):  # to the very end, where the checksum is that tells of silent damage
            pass

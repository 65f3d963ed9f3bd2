"""Reads recorded games: SGF files in folders and archives, bad ones counted with the reason.

Parsing is sgfmill's. Only the main line of a game counts. Whether its moves are legal is not asked here: see
`tengen.envs.go.games`.
"""

from __future__ import annotations

import contextlib
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tengen.errors import UserError

DAMAGE: Final = (
    *(OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError),
    *(tarfile.TarError, zipfile.BadZipFile),
)
"""What reading a damaged archive may raise."""

_DAMAGED: Final = (ValueError, KeyError, IndexError, RecursionError)
"""What sgfmill raises for damaged files."""

_MOST_BYTES: Final = 1 << 20  # a file larger than that is no game
_ARCHIVES: Final = (".tar.gz", ".tgz", ".tar", ".zip")
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
    except _DAMAGED as error:
        try:
            tree = sgf_grammar.parse_sgf_game(data)
        except _DAMAGED:
            return [BadRecord(name, "damaged", _short(error))]
        return [_parse(f"{name}#1", tree, size, min_moves), BadRecord(f"{name}#2", "damaged", _short(error))]
    names = [name] if len(trees) == 1 else [f"{name}#{number}" for number in range(1, len(trees) + 1)]
    return [_parse(own, tree, size, min_moves) for own, tree in zip(names, trees, strict=True)]


def _parse(name: str, tree: Any, size: int | None, min_moves: int) -> Record | BadRecord:
    from sgfmill import sgf

    try:
        # Latin 1 decodes any bytes: what is read here is ASCII, and names of players may be in whatever they like.
        game = sgf.Sgf_game.from_coarse_game_tree(tree, override_encoding="iso-8859-1")
        kind = _text(game.get_root(), "GM")
        if kind.lstrip("0") not in ("", "1"):
            return BadRecord(name, "not a game of Go", f"GM[{kind[:20]}]")
        found = game.get_size()
        if size is not None and found != size:
            return BadRecord(name, "another board size", f"{found}x{found}")
        record = _read_game(name, game, found)
    except _DAMAGED as error:
        return BadRecord(name, "damaged", _short(error))
    if isinstance(record, Record) and len(record.moves) < min_moves:
        return BadRecord(name, "too short", f"{len(record.moves)} moves")
    return record


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80]


def _read_game(name: str, game: Any, size: int) -> Record | BadRecord:
    root = game.get_root()
    nodes = game.get_main_sequence()
    moves: list[int] = []
    first = last = 0
    for node in nodes:
        color, point = node.get_move()
        if node is not root and node.has_setup_stones():
            if moves:
                return BadRecord(name, "stones set up during the game", f"after move {len(moves)}")
            return BadRecord(name, "stones set up outside the first node")
        if color is None:
            continue
        colour = 1 if color == "b" else -1
        if colour == last:
            return BadRecord(name, "the same side moves twice", f"move {len(moves) + 1}")
        first, last = first or colour, colour
        moves.append(_action(point, size))
    black, white, _ = root.get_setup_stones()
    stones = sorted(_action(point, size) for point in black)
    stones += sorted(-1 - _action(point, size) for point in white)
    return Record(
        name,
        size,
        tuple(moves),
        first or 1,
        tuple(stones),
        _result(_text(root, "RE")),
        _date(_text(root, "DT")),
        _komi(_text(root, "KM")),
        _text(root, "RU"),
    )


def _action(point: tuple[int, int] | None, size: int) -> int:
    """Return the action of sgfmill's (row from the bottom, column from the left), or of a pass."""
    return size * size if point is None else (size - 1 - point[0]) * size + point[1]


def _text(root: Any, name: str) -> str:
    return root.get_raw(name).decode("iso-8859-1").strip() if root.has_property(name) else ""


def _result(text: str) -> int:
    return {"B+": 1, "W+": -1}.get(text[:2].upper(), 0)


def _date(text: str) -> int:
    """Return the first date of a DT property as a number; 0 where there is none."""
    match = _DATE.search(text)
    return 0 if match is None else int(match[1]) * 10000 + int(match[2]) * 100 + int(match[3] or 0)


def _komi(text: str) -> float:
    with contextlib.suppress(ValueError):
        return float(text)
    return float("nan")


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of every .sgf file."""
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
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

"""Many recorded games as a few arrays: checked, without duplicates, split by date, and positions made on the fly.

35,000 games of 19x19 take some megabytes: positions are played again from the moves, in compiled code, when a batch
wants them. What was read is kept on disk as a plain .npz beside a digest of the inputs.

Shape letters: B positions, G games, N points along a side.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tengen.checkpoint.files import replace as replace_file
from tengen.envs.go._board_kernels import count_liberties
from tengen.envs.go._record_kernels import KO, NUM_LAST, OCCUPIED, SUICIDE, first_illegal, positions, symmetry_table
from tengen.envs.go.endings import final_owners
from tengen.envs.go.rule_names import allows_suicide
from tengen.envs.go.sgf import DAMAGE, BadRecord, Record, read_records
from tengen.errors import UserError
from tengen.types import Array, Bools, Ints

NUM_SYMMETRIES = 8

_TOLD_OF = 5_000  # games, between lines on how far it is
_FORMAT = 2  # of the file; raised whenever reading games changes
_OWNERS_FORMAT = 2  # raised whenever `endings.final_owners` would give others
_REASONS = {OCCUPIED: "the point is occupied", KO: "it takes a ko back at once", SUICIDE: "it is suicide"}
_ARRAYS = ("moves", "starts", "first", "stones", "stone_starts", "results", "dates", "komi")
_WITH_OWNERS = (*_ARRAYS, "owners")


class Sample(NamedTuple):
    """Positions out of games, and what was played in them."""

    board: NDArray[np.int8]  # [B, N, N]
    to_move: NDArray[np.int8]  # [B]
    ko: NDArray[np.int16]  # [B]
    last: NDArray[np.int16]  # [B, 8]
    action: Ints  # [B], the move that was played; -1 after a game's last one
    outcome: NDArray[np.float32]  # [B], 1 where the side to move won the game, -1 where it lost, 0 unknown
    owner: NDArray[np.int8] | None = None  # [B, N, N], as `Games.owners`, but 1 the side to move, -1 the other


@dataclass(frozen=True)
class Games:
    """G games of one board size."""

    size: int
    moves: NDArray[np.int16]  # of all games, one after the other
    starts: Ints  # [G + 1]
    first: NDArray[np.int8]  # [G], who moves first
    stones: NDArray[np.int16]  # set up in all games: p for black, -1 - p for white
    stone_starts: Ints  # [G + 1]
    results: NDArray[np.int8]  # [G], 1 black won, -1 white won, 0 unknown
    dates: NDArray[np.int32]  # [G], 20170431 for the last day of April 2017, 20170400 for the month, 0 unknown
    komi: NDArray[np.float32]  # [G]
    owners: NDArray[np.int8] | None = None
    """[G, N, N], whose each point was in the end: 1 black's, -1 white's, 0 nobody's; all 0 where it is unknown. None
    where nobody asked."""

    def __len__(self) -> int:
        return len(self.first)

    @property
    def num_positions(self) -> int:
        """Positions of which the move that was played is known, in all games."""
        return len(self.moves)

    def select(self, mask: Bools) -> Games:
        """Return the games of a mask [G]."""
        index = np.flatnonzero(mask)
        moves, starts = _take(self.moves, self.starts, index)
        stones, stone_starts = _take(self.stones, self.stone_starts, index)
        return Games(
            self.size,
            moves,
            starts,
            self.first[index],
            stones,
            stone_starts,
            self.results[index],
            self.dates[index],
            self.komi[index],
            None if self.owners is None else self.owners[index],
        )

    @property
    def owned(self) -> Bools:
        """Of which games it is known whose each point was in the end, [G]."""
        if self.owners is None:
            return np.zeros(len(self), np.bool_)
        return np.asarray(self.owners.any(axis=(1, 2)))

    @property
    def num_owned(self) -> int:
        """How many those are."""
        return int(self.owned.sum())

    @property
    def _arrays(self) -> tuple[str, ...]:
        return _ARRAYS if self.owners is None else _WITH_OWNERS

    def between(self, after: int | None = None, before: int | None = None) -> Games:
        """Return the games of dates from `after` on and earlier than `before`; those without a date are in neither."""
        mask = self.dates > 0
        if after is not None:
            mask &= self.dates >= after
        if before is not None:
            mask &= self.dates < before
        return self.select(mask)

    def without(self, others: Games) -> Games:
        """Return the games that are not among others."""
        known = {others.key(game) for game in range(len(others))}
        return self.select(np.array([self.key(game) not in known for game in range(len(self))], np.bool_))

    def key(self, game: int) -> bytes:
        """Return what two records of the same game have in common: board, stones and moves, turned alike."""
        moves = self.moves[self.starts[game] : self.starts[game + 1]]
        stones = self.stones[self.stone_starts[game] : self.stone_starts[game + 1]]
        return game_key(self.size, int(self.first[game]), stones, moves)

    def digest(self) -> str:
        """Return a digest of all games."""
        digest = hashlib.sha256(f"{self.size}".encode())
        for name in self._arrays:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()

    def position_of(self, index: Ints) -> tuple[Ints, Ints]:
        """Return game and ply of positions by their number, 0 to `num_positions` - 1, [B] each."""
        games = np.searchsorted(self.starts, index, side="right") - 1
        return games, index - self.starts[games]

    def sample(self, games: Ints, plies: Ints, symmetries: Ints | None = None) -> Sample:
        """Return positions by their games and plies.

        Args:
            games: [B].
            plies: [B], moves made before; up to the game's number of moves.
            symmetries: [B], 0 to 7: how to turn each one; not at all unless given.
        """
        num, points = len(games), self.size * self.size
        if num and not (games.min() >= 0 and games.max() < len(self) and plies.min() >= 0):
            raise IndexError(f"there are {len(self)} games, and plies begin at 0")
        if (plies > np.diff(self.starts)[games]).any():
            raise IndexError("a game has fewer moves than that")
        board = np.empty((num, points), np.int8)
        to_move, ko = np.empty(num, np.int8), np.empty(num, np.int16)
        last, action = np.empty((num, NUM_LAST), np.int16), np.empty(num, np.int64)
        turned = np.zeros(num, np.int64) if symmetries is None else np.asarray(symmetries, np.int64)
        positions(
            self.moves,
            self.starts,
            self.first,
            self.stones,
            self.stone_starts,
            self.size,
            np.asarray(games, np.int64),
            np.asarray(plies, np.int64),
            turned,
            board,
            to_move,
            ko,
            last,
            action,
        )
        outcome = (self.results[games] * to_move).astype(np.float32)
        owner = self._owners_turned(games, turned, to_move)
        return Sample(board.reshape(num, self.size, self.size), to_move, ko, last, action, outcome, owner)

    def _owners_turned(self, games: Ints, symmetries: Ints, to_move: NDArray[np.int8]) -> NDArray[np.int8] | None:
        """Return whose each point was at the end of games [B], turned, and as the side to move [B] sees it."""
        if self.owners is None:
            return None
        flat = self.owners[games].reshape(len(games), -1)
        turned = np.empty_like(flat)
        np.put_along_axis(turned, symmetry_table(self.size)[symmetries, :-1], flat, axis=1)
        return (turned * to_move[:, None]).reshape(-1, self.size, self.size)


@dataclass
class Census:
    """What became of all the files."""

    num_files: int = 0
    num_games: int = 0
    num_positions: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # why files were left out
    bad: list[BadRecord] = field(default_factory=list)  # each of them
    notes: Counter[str] = field(default_factory=Counter)  # what is odd about games that were kept

    def lines(self) -> list[str]:
        """Return the counts as lines of text."""
        left_out = [f"  left out: {count:,} {reason}" for reason, count in self.reasons.most_common()]
        notes = [f"  of the games: {count:,} {note}" for note, count in self.notes.most_common()]
        head = f"{self.num_files:,} files: {self.num_games:,} games of {self.num_positions:,} moves"
        return [head, *left_out, *notes]


def collect(
    records: Sequence[Record | BadRecord], size: int, *, owners: bool = False, tell: Callable[[str], None] | None = None
) -> tuple[Games, Census]:
    """Return games that are legal and of which no other is a duplicate, and what became of the others.

    Args:
        records: What was read.
        size: N.
        owners: Tell whose each point was in the end, where that is known.
        tell: Is told in a line what takes time.
    """
    census = Census(num_files=len(records))
    seen: dict[bytes, str] = {}
    kept: list[Record] = []
    for record in records:
        problem = record if isinstance(record, BadRecord) else _problem(record, seen)
        if problem is not None:
            census.bad.append(problem)
            census.reasons[problem.reason] += 1
            continue
        assert isinstance(record, Record)
        kept.append(record)
        for odd, note in ((not record.result, "without a result"), (not record.date, "without a date")):
            census.notes[note] += odd
    games = _pack(kept, size)
    if owners:
        games = replace(games, owners=_owners(kept, size, tell))
        census.notes["of which it is known whose each point was in the end"] = games.num_owned
    census.num_games, census.num_positions = len(games), games.num_positions
    return games, census


def _owners(records: Sequence[Record], size: int, tell: Callable[[str], None] | None) -> NDArray[np.int8]:
    """Return whose each point was at the end of games [G, N, N]; all 0 where it is unknown."""
    owners = np.zeros((len(records), size, size), np.int8)
    for number, record in enumerate(records):
        if tell is not None and number % _TOLD_OF == 0:
            tell(f"whose the points were: {number:,} of {len(records):,} games")
        found = final_owners(record)
        if found is not None:
            owners[number] = found
    return owners


def _problem(record: Record, seen: dict[bytes, str]) -> BadRecord | None:
    """Return why a game is left out, or None."""
    moves, stones = np.array(record.moves, np.int16), np.array(record.stones, np.int16)
    if len(stones) and _are_without_liberties(stones, record.size):
        return BadRecord(record.name, "set-up stones without liberties")
    index, code = first_illegal(moves, record.first, stones, record.size, allows_suicide(record.rules))
    if index >= 0:
        return BadRecord(record.name, "an illegal move", f"move {index + 1}: {_REASONS[code]}")
    key = game_key(record.size, record.first, stones, moves)
    if key in seen:
        return BadRecord(record.name, "a duplicate", f"of {seen[key]}")
    seen[key] = record.name
    return None


def _are_without_liberties(stones: Array, size: int) -> bool:
    board = np.zeros((1, size, size), np.int8)
    board.reshape(-1)[np.where(stones >= 0, stones, -1 - stones)] = np.where(stones >= 0, 1, -1)
    liberties = np.empty(board.shape, np.int16)
    count_liberties(board, liberties)
    return bool(((liberties == 0) & (board != 0)).any())


def game_key(size: int, first: int, stones: Array, moves: Array) -> bytes:
    """Return what two records of the same game have in common."""
    digest = hashlib.sha256(f"{size} {first} {len(stones)}".encode())
    digest.update(np.sort(stones).astype("<i2").tobytes())
    digest.update(np.asarray(moves).astype("<i2").tobytes())
    return digest.digest()


def _pack(records: Sequence[Record], size: int) -> Games:
    return Games(
        size,
        np.array([move for record in records for move in record.moves], np.int16),
        np.cumsum([0, *(len(record.moves) for record in records)], dtype=np.int64),
        np.array([record.first for record in records], np.int8),
        np.array([stone for record in records for stone in record.stones], np.int16),
        np.cumsum([0, *(len(record.stones) for record in records)], dtype=np.int64),
        np.array([record.result for record in records], np.int8),
        np.array([record.date for record in records], np.int32),
        np.array([record.komi for record in records], np.float32),
    )


def _take(values: Array, starts: Ints, index: Ints) -> tuple[Array, Ints]:
    """Return some of the pieces of an array that is cut at `starts`, and where they then begin."""
    lengths = np.diff(starts)[index]
    begins = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = np.repeat(starts[index] - begins[:-1], lengths) + np.arange(begins[-1])
    return values[places], begins


def load_games(
    paths: Sequence[Path],
    size: int = 19,
    min_moves: int = 1,
    cache: Path | None = None,
    tell: Callable[[str], None] | None = None,
    *,
    owners: bool = False,
) -> tuple[Games, Census | None]:
    """Return all good games of folders and archives; from the cache where it holds these very inputs.

    Args:
        paths: As `read_records` takes them.
        size: N.
        min_moves: Games of fewer moves are left out.
        cache: A folder for what was read; None keeps nothing.
        tell: Is told in a line what takes time.
        owners: Tell whose each point was in the end, where that is known.

    Returns:
        The games, and what became of all files; None instead where the cache had them.

    Raises:
        UserError: There is no game to be found.
    """
    names = _WITH_OWNERS if owners else _ARRAYS
    kind = f"go-owned{_OWNERS_FORMAT}" if owners else "go"
    file = None if cache is None else cache / f"{kind}-{size}-{inputs_digest(paths, size, min_moves)[:16]}.npz"
    if file is not None and (found := _read_cache(file, size, names)) is not None:
        return found, None
    if tell is not None:
        tell(f"reading games from {', '.join(map(str, paths))}")
    games, census = collect(list(read_records(paths, size, min_moves)), size, owners=owners, tell=tell)
    if not len(games):
        raise UserError(_nothing(paths, census, size))
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, _to_bytes(games, names))
        except OSError as error:
            raise UserError(f"the games can't be kept in {file.parent}: {error.strerror or error}") from error
    return games, census


def _nothing(paths: Sequence[Path], census: Census, size: int) -> str:
    where = ", ".join(map(str, paths))
    if not census.num_files:
        return f"there is no .sgf file, and no archive with one (.tar.gz, .tgz, .tar, .zip), in {where}"
    examples = "; ".join(f"{reason}: {count}" for reason, count in census.reasons.most_common(3))
    first = census.bad[0]
    return (
        f"none of the {census.num_files} SGF files in {where} is a game of {size}x{size} that can be used ({examples};"
        f" the first is {first.name}: {first.reason} {first.detail})"
    )


def inputs_digest(paths: Sequence[Path], size: int, min_moves: int) -> str:
    """Return a digest of the names, sizes and times of all files, and of how they are read."""
    digest = hashlib.sha256(f"{_FORMAT} {size} {min_moves}".encode())
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
        for entry in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if entry.is_file():
                status = entry.stat()
                digest.update(f"{entry.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def default_cache() -> Path:
    """Return the folder where games that were read are kept: `tengen/games` in the user's cache folder."""
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "tengen" / "games"


def _to_bytes(games: Games, names: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: getattr(games, name) for name in names})
    return buffer.getvalue()


def _read_cache(path: Path, size: int, names: Sequence[str]) -> Games | None:
    """Return the games of a file that `load_games` wrote; None where it is not there or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Games(size, **{name: arrays[name] for name in names})
    except (KeyError, *DAMAGE):
        return None

"""A match of two players: colours alternate, finished games are kept at once, and an interrupted match goes on.

A match is a folder: `match.json` (who, by which rules), `players.json` (by what they are known again: networks by their
contents, programs by what they say they are), `games.jsonl` (a line for each finished game, replaced whole, so that it
never holds half a line), `sgf/`, and `results.json` once all are played. A game depends on its number and
the match's seed alone: a match that was interrupted comes out as if it had not been, where players are deterministic.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tengen.checkpoint import files
from tengen.envs.go.gtp_client import EngineError
from tengen.envs.go.rules import Rules
from tengen.errors import UserError
from tengen.evaluation.go.elo import Standing
from tengen.evaluation.go.game import Game
from tengen.evaluation.go.match_game import GameResult, StoppedError, plan_game, play_game
from tengen.evaluation.go.players import Player, make_player, marks_of
from tengen.evaluation.go.record import rules_text, write_game
from tengen.evaluation.go.specs import PlayerSpec, parse_player

_MOST_BYTES: Final = 1 << 28
_MOST_ERRORS: Final = 3
"""Games in a row that one side may lose by its errors before the match is given up."""
_ERRORS: Final = ("engine error", "illegal move")
"""Reasons why a game was lost that are errors."""


@dataclass(frozen=True)
class MatchSettings:
    """What decides the games of a match.

    Attributes:
        a: The name of player A, which is black in the first game.
        b: The name of player B.
        rules: Agreed on.
        seed: Of openings and players.
        opening_moves: Random first moves of each pair of games.
        timeout: Seconds in which a program must answer.
    """

    a: str
    b: str
    rules: Rules
    seed: int = 0
    opening_moves: int = 0
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"seed must be 0 or more, got {self.seed}")
        if self.rules.handicap:
            raise UserError(f"a match has no handicap: leave it out of the rules, got {self.rules.handicap}")
        inner = (self.rules.size - 4) ** 2 if self.rules.size >= 7 else self.rules.size**2
        if not 0 <= self.opening_moves <= inner // 2:
            raise UserError(f"opening moves must be 0 to {inner // 2} on this board, got {self.opening_moves}")
        if not 0 < self.timeout < 86400:
            raise UserError(f"timeout must be more than 0 seconds, and less than a day, got {self.timeout:g}")


def play_match(
    settings: MatchSettings,
    folder: Path,
    num_games: int,
    *,
    parallel: int = 1,
    on_game: Callable[[GameResult, Sequence[GameResult]], None] | None = None,
) -> dict[str, Any]:
    """Play the games that are missing, and return what came out, as JSON values.

    Args:
        settings: Who, and how.
        folder: The match's own.
        num_games: In all.
        parallel: Games at once.
        on_game: Called with each game that ends, and all so far.

    Raises:
        UserError: The folder holds another match or is in use, or a player can't be had or fails again and again.
    """
    specs = {name: parse_player(text) for name, text in (("A", settings.a), ("B", settings.b))}
    # Whatever can be wrong with a player is said before there is a folder.
    with contextlib.ExitStack() as stack:
        identities, marks = {}, {}
        for name, spec in specs.items():
            player = make_player(spec, settings.rules, settings.timeout)
            stack.callback(player.close)
            player.begin(settings.rules, 0)
            identities[name] = player.identity()
            marks[name] = marks_of(spec, player, settings.rules.size)
    with _locked(folder):
        store = MatchStore(folder, settings, marks)
        missing = [number for number in range(num_games) if number not in store.games]

        def make() -> dict[str, Player]:
            return {name: _known_again(spec, settings, marks[name]) for name, spec in specs.items()}

        _Hall(settings, store, make, identities, on_game).play(missing, parallel)
        results = summarize(settings, store.sorted(num_games), identities)
        files.write_json(folder / "results.json", results)
        return results


def _known_again(spec: PlayerSpec, settings: MatchSettings, marks: dict[str, str]) -> Player:
    """Return a player; UserError where it has learnt since it was noted what it knows."""
    player = make_player(spec, settings.rules, settings.timeout)
    if spec.kind != "command" and marks_of(spec, player, settings.rules.size) != marks:
        raise UserError(f"{spec.source} has changed since the match began: end its training first, or play a copy")
    return player


class MatchStore:
    """The finished games of a match, on the disk.

    Args:
        folder: The match's own.
        settings: The match's.
        marks: By what A and B are known again.

    Raises:
        UserError: The folder holds another match, one of players that have changed since, or damaged files.
    """

    def __init__(self, folder: Path, settings: MatchSettings, marks: dict[str, dict[str, str]]) -> None:
        self.folder = folder
        self.games: dict[int, GameResult] = {}
        mine = {**asdict(settings), "rules": asdict(settings.rules)}
        path = folder / "match.json"
        if path.exists():
            saved = _read_json(path)
            if saved != mine:
                names = [name for name in mine if not isinstance(saved, dict) or saved.get(name) != mine[name]]
                raise UserError(
                    f"{folder} holds a match with other settings ({', '.join(names)}): give another --out, or remove it"
                )
        else:
            files.write_json(path, mine)
        self._require_same(marks)
        if (folder / "games.jsonl").exists():
            for line in files.read_plain(folder / "games.jsonl", _MOST_BYTES).decode().splitlines():
                game = _read_game(line, folder)
                self.games[game.number] = game

    def _require_same(self, marks: dict[str, dict[str, str]]) -> None:
        """Compare players with those that the match was begun with, or keep by what they are known again."""
        path = self.folder / "players.json"
        if not path.exists():
            files.write_json(path, marks)
            return
        saved = _read_json(path)
        if not isinstance(saved, dict) or saved.keys() != marks.keys():
            raise UserError(f"{path} is damaged: it names no players; give another --out, or remove it")
        for name, mine in marks.items():
            theirs = saved[name]
            if theirs != mine:
                raise UserError(
                    f"{self.folder} holds games of another {name}: it was {_shown(theirs)}, and is {_shown(mine)};"
                    " give another --out, or remove it"
                )

    def add(self, result: GameResult, record: bytes) -> None:
        """Keep a finished game: its record first, so that none is missing after a crash."""
        files.replace(self.folder / "sgf" / f"game-{result.number + 1:04}.sgf", record)
        self.games[result.number] = result
        lines = [json.dumps(game.as_json()) for game in self.sorted()]
        files.replace(self.folder / "games.jsonl", "".join(f"{line}\n" for line in lines).encode())

    def sorted(self, num_games: int | None = None) -> list[GameResult]:
        """Return the games by number, those below `num_games`."""
        return [self.games[n] for n in sorted(self.games) if num_games is None or n < num_games]


class _Hall:
    """Where games are played, several at once."""

    def __init__(
        self,
        settings: MatchSettings,
        store: MatchStore,
        make: Callable[[], dict[str, Player]],
        identities: dict[str, dict[str, str]],
        on_game: Callable[[GameResult, Sequence[GameResult]], None] | None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._make = make
        self._identities = identities
        self._on_game = on_game
        self._lock = threading.Lock()
        self._errors = {"A": 0, "B": 0}  # in a row
        self._stopped = False

    def play(self, numbers: Sequence[int], parallel: int) -> None:
        """Play games; the first error ends them all."""
        waiting = iter(numbers)
        workers = max(min(parallel, len(numbers)), 1)
        with ThreadPoolExecutor(workers, "match") as pool:
            futures = [pool.submit(self._work, waiting) for _ in range(workers)]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stopped = True
                raise

    def _work(self, waiting: Iterator[int]) -> None:
        with contextlib.ExitStack() as stack:
            players = self._make()
            for player in players.values():
                stack.callback(player.close)
            while not self._stopped:
                with self._lock:
                    number = next(waiting, None)
                if number is None:
                    return
                try:
                    self._one(number, players)
                except StoppedError:
                    return
                except BaseException:
                    self._stopped = True
                    raise

    def _one(self, number: int, players: dict[str, Player]) -> None:
        settings = self._settings
        plan = plan_game(number, settings.seed, settings.rules, settings.opening_moves)
        result, game = play_game(plan, players, settings.rules, lambda: self._stopped)
        with self._lock:
            self._store.add(result, self._record(result, game))
            if self._on_game is not None:
                self._on_game(result, self._store.sorted())
            self._count_errors(result)

    def _count_errors(self, result: GameResult) -> None:
        loser = {"A": "B", "B": "A"}.get(result.winner or "")
        for name in "AB":
            failed = name == loser and result.reason in _ERRORS
            self._errors[name] = self._errors[name] + 1 if failed else 0
            if self._errors[name] >= _MOST_ERRORS:
                raise EngineError(f"{_MOST_ERRORS} games in a row ended by an error of {name}: {result.detail}")

    def _record(self, result: GameResult, game: Game) -> bytes:
        rules = self._settings.rules
        names = {name: f"{who['name']} {who['version']}" for name, who in self._identities.items()}
        texts = {"A": self._settings.a, "B": self._settings.b}
        white = "B" if result.black == "A" else "A"
        return write_game(
            rules.size,
            rules.total_komi,
            [(move.color, move.action) for move in game.moves],
            black=f"{names[result.black]} ({texts[result.black]})",
            white=f"{names[white]} ({texts[white]})",
            result=result.result,
            properties={
                "GC": f"{result.reason} {result.detail}".strip(),
                "DT": datetime.date.today().isoformat(),
                "RU": rules_text(rules),
                "GN": f"{result.number + 1}",
            },
        )


def summarize(
    settings: MatchSettings, games: Sequence[GameResult], identities: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """Return the results of a match from A's side, as JSON values."""
    by_color = {
        color: _standing([game for game in games if (game.black == "A") == (color == "black")]).summary()
        for color in ("black", "white")
    }
    reasons: dict[str, int] = {}
    for game in games:
        reasons[game.reason] = reasons.get(game.reason, 0) + 1
    return {
        "a": {"player": settings.a, **identities["A"], **_pace(games, "A")},
        "b": {"player": settings.b, **identities["B"], **_pace(games, "B")},
        **_standing(games).summary(),
        "a_as_black": by_color["black"],
        "a_as_white": by_color["white"],
        "reasons": dict(sorted(reasons.items())),
        "errors": [f"game {game.number + 1}: {game.detail}" for game in games if game.detail],
        "said_otherwise": sum(_said_otherwise(game) for game in games),
        "distinct_games": len({game.digest for game in games}),
        "moves_mean": sum(game.moves for game in games) / len(games) if games else None,
        "rules": asdict(settings.rules),
        "seed": settings.seed,
        "opening_moves": settings.opening_moves,
    }


def _standing(games: Sequence[GameResult]) -> Standing:
    counts = [sum(game.winner == winner for game in games) for winner in ("A", None, "B")]
    return Standing(*counts)


def _pace(games: Sequence[GameResult], name: str) -> dict[str, float | None]:
    """Return a side's seconds a move. Of a game's moves it made about half."""
    moves = sum(game.moves / 2 for game in games)
    return {
        "seconds_per_move": round(sum(game.thought[name] for game in games) / moves, 4) if moves else None,
        "seconds_slowest_move": max((game.slowest[name] for game in games), default=None),
    }


def _said_otherwise(game: GameResult) -> bool:
    """Return whether a program thinks that the other side has won a game that was scored."""
    return any(text[:1].upper() in "BW" and text[:1].upper() != game.result[:1] for text in game.said.values() if text)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made where there is none, for this process."""
    try:
        files.make_folder(folder / "sgf")
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(
            f"the match's folder {folder} can't be written: {error.strerror}; give another --out"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process plays the match in {folder}: wait for it, or give another --out"
            ) from None
        yield
    finally:
        os.close(handle)


def _shown(marks: object) -> str:
    """Return by what a player is known again, in words."""
    if not isinstance(marks, dict) or not marks:
        return "one of which nothing is known"
    return ", ".join(f"{name} {value}" for name, value in marks.items())


def _read_json(path: Path) -> Any:
    try:
        return json.loads(files.read_plain(path, _MOST_BYTES))
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is damaged: it is no JSON; give another --out, or remove it") from error


def _read_game(line: str, folder: Path) -> GameResult:
    try:
        return GameResult(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise UserError(f"{folder / 'games.jsonl'} is damaged: give another --out, or remove it") from error

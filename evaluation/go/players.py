"""Players of a match: our engines in this process, and programs that speak GTP. Both are asked in the same way."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from tengen.envs.go.coordinates import action_of, letter_of, vertex_of
from tengen.envs.go.gtp_client import EngineError, GTPClient, RefusedError
from tengen.envs.go.rules import Rules
from tengen.evaluation.go.engine import Engine
from tengen.evaluation.go.programs import START_SECONDS, begin_game
from tengen.evaluation.go.rehearsal import Rehearsed
from tengen.evaluation.go.specs import PlayerSpec

_PLAYOUTS = 1000  # of our engines, unless told otherwise
_RESIGN = 0.03


class Player(Protocol):
    """Takes part in games, one after the other. Whatever goes wrong with it is an `EngineError`."""

    def begin(self, rules: Rules, seed: int) -> None:
        """Begin a game on an empty board, in which all that it draws comes from a seed, if it can be told."""
        ...

    def play(self, color: int, action: int) -> None:
        """Take note of a move."""
        ...

    def genmove(self, color: int) -> int | None:
        """Return its move, which it has noted; None: it resigns."""
        ...

    def said_score(self) -> str | None:
        """Return what it thinks the finished game's score is, as `B+3.5`; None where it can't say."""
        ...

    def identity(self) -> dict[str, str]:
        """Return its name and version."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class EnginePlayer:
    """An engine of ours."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, rules: Rules, seed: int) -> None:
        """Begin a game."""
        self._engine.new_game(rules, seed)

    def play(self, color: int, action: int) -> None:
        """Take note of a move."""
        self._engine.play(color, action)

    def genmove(self, color: int) -> int | None:
        """Return its move."""
        return self._engine.genmove(color).action

    def said_score(self) -> str | None:
        """It counts as the referee does."""
        return None

    def identity(self) -> dict[str, str]:
        """Return its name and version."""
        from tengen import __version__

        return {"name": "Tengen", "version": __version__}

    def close(self) -> None:
        """Nothing to free."""


class CommandPlayer:
    """A program that speaks GTP, started anew for each game.

    So a game depends on nothing but its seed, which `{seed}` in the command line stands for, and one that has died is
    back in the next.

    Args:
        command: The words of the command line.
        timeout: Seconds for an answer.
    """

    def __init__(self, command: tuple[str, ...], timeout: float) -> None:
        self._command = command
        self._timeout = timeout
        self._client: GTPClient | None = None
        self._size = 0

    def begin(self, rules: Rules, seed: int) -> None:
        """Start the program, and tell it the rules that GTP has words for."""
        self.close()
        self._client = client = GTPClient(
            [word.replace("{seed}", str(seed)) for word in self._command], timeout=self._timeout
        )
        self._size = rules.size
        begin_game(client, rules, max(self._timeout, START_SECONDS))

    def play(self, color: int, action: int) -> None:
        """Take note of a move."""
        self._asked.send(f"play {letter_of(color)} {vertex_of(action, self._size)}")

    def genmove(self, color: int) -> int | None:
        """Return its move."""
        text = self._asked.send(f"genmove {letter_of(color)}")
        if text.lower() == "resign":
            return None
        try:
            return action_of(text, self._size)
        except ValueError as error:
            raise EngineError(f"{self._asked.program} answered genmove by what is no move: {error}") from error

    def said_score(self) -> str | None:
        """Return what it thinks the score is."""
        try:
            return self._asked.send("final_score")
        except RefusedError:
            return None

    def identity(self) -> dict[str, str]:
        """Return its name and version, as it says them."""
        return {"name": self._asked.send("name"), "version": self._asked.send("version")}

    def close(self) -> None:
        """End the program."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def _asked(self) -> GTPClient:
        assert self._client is not None, "a player needs `begin` first"
        return self._client


def make_player(spec: PlayerSpec, rules: Rules, timeout: float) -> Player:
    """Return the player of a name.

    Raises:
        UserError: It can't be had.
    """
    if spec.kind == "command":
        return CommandPlayer(spec.command, timeout)
    return EnginePlayer(Engine(Rehearsed(spec.maker()), rules, spec.settings(_PLAYOUTS, None, _RESIGN)))


def marks_of(spec: PlayerSpec, player: Player, size: int) -> dict[str, str]:
    """Return by what a player is known again: a program by what it says it is, one of ours by what it has learnt."""
    if spec.kind == "command":
        return player.identity()
    digest = _learnt_digest(spec, size)
    return {} if digest is None else {"sha256": digest}


def _learnt_digest(spec: PlayerSpec, size: int) -> str | None:
    """Return the SHA-256 of a player's network file, or one of its run's agent; None where it has learnt nothing."""
    if spec.kind not in ("network", "policy"):
        return None
    from tengen.evaluation.go.makers import shipped_network
    from tengen.perception.network_file import named_network

    if not spec.source:
        path = shipped_network(size)
        return None if path is None else _file_digest(path)
    if Path(spec.source).is_dir():
        return _run_digest(Path(spec.source))
    return _file_digest(named_network(spec.source))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run_digest(folder: Path) -> str | None:
    """Return a digest of what plays of a run's latest checkpoint, agent or fitted network, from those of its files."""
    from tengen.run import open_run
    from tengen.run.fitted import fit_checkpoint
    from tengen.run.folder import is_fit

    fitted = is_fit(folder)
    saved = fit_checkpoint(folder) if fitted else open_run(folder).store.latest(resume=False)
    if saved is None:
        return None
    entries = sorted(saved.manifest.components["learner" if fitted else "agent"].items())
    return hashlib.sha256("".join(f"{suffix} {entry.sha256}\n" for suffix, entry in entries).encode()).hexdigest()

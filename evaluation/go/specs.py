"""Names of players, as the command line takes them: `mcts:playouts=2000`, `network:FILE`, a run, a command line.

`parse_player` reads one; `PlayerSpec.maker` gives what thinks. Heavy imports wait until then.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tengen.envs.go.gtp_client import find_program, split_command
from tengen.errors import UserError, did_you_mean
from tengen.planners.mcts.settings import SearchSettings

if TYPE_CHECKING:
    from tengen.evaluation.go.engine import EngineSettings
    from tengen.evaluation.go.thinkers import Maker

KINDS: Final = ("mcts", "network", "policy", "random")
"""Our own: search over light playouts; search with a network; a network without search; chance."""

MOST_THREADS: Final = 1024
_OWN: Final = {"playouts": int, "time": float, "threads": int, "resign": float}
_SWITCH: Final = ("true", "false")
_CHOICES: Final = {
    "play": ("mcts", ("light", "atari", "shapes")),
    "guess": ("mcts", _SWITCH),
    "backend": ("network policy", ("torch", "openvino")),
    "any_size": ("network policy", _SWITCH),
}
"""Settings with a few values, and whose they are."""
_SEARCH: Final = {field.name: field for field in dataclasses.fields(SearchSettings)}
_HINT: Final = (
    "players are mcts, mcts:playouts=2000, network:FILE, policy:FILE, random, a run's folder, or a command line"
)


@dataclass(frozen=True)
class PlayerSpec:
    """Who plays, and how.

    Raises:
        UserError: So many threads there can't be.

    Attributes:
        text: As it was given.
        kind: One of `KINDS`, or `command`.
        source: The network's file or run; empty for none.
        command: The words of a command line.
        playouts: Simulations a move; None: as the caller says.
        seconds: Seconds a move; None: as the caller says.
        threads: For playouts or the network.
        resign: The win rate below which it resigns; None: as the caller says.
        play: How playouts go: light, atari or shapes.
        guess: Whether `mcts` begins with guesses of what moves are worth.
        backend: What computes a network: torch or openvino.
        any_size: Whether a network may play on a board of another size than it was trained on.
        playout_weight: Share of playouts in the value of leaves, beside a network's.
        search: Fields of `SearchSettings` that differ from the kind's own.
    """

    text: str
    kind: str
    source: str = ""
    command: tuple[str, ...] = ()
    playouts: int | None = None
    seconds: float | None = None
    threads: int = 1
    resign: float | None = None
    play: str = "shapes"
    guess: bool = True
    backend: str = "torch"
    any_size: bool = False
    playout_weight: float = 0.0
    search: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise UserError(f"threads of {self.text!r} must be between 1 and {MOST_THREADS}, got {self.threads}")

    def maker(self) -> Maker:
        """Return what makes its thinkers, ours only.

        Raises:
            UserError: A network can't be read, or a setting is out of its range.
        """
        from tengen.evaluation.go import makers

        changes = dict(self.search)
        if self.kind == "random":
            return makers.RandomMaker()
        if self.kind == "mcts":
            return makers.playout_maker(changes, self.threads, self.play, self.guess)
        assert self.kind in ("network", "policy"), f"{self.kind} has no maker"
        return makers.network_maker(
            self.source,
            changes,
            self.threads,
            searches=self.kind == "network",
            backend=self.backend,
            playout_weight=self.playout_weight,
            any_size=self.any_size,
        )

    def settings(self, playouts: int | None, seconds: float | None, resign: float | None) -> EngineSettings:
        """Return how an engine plays it, given what holds where the name says nothing of its own.

        Raises:
            UserError: A setting is out of its range, or the rule gumbel has no number of playouts.
        """
        from tengen.evaluation.go.engine import EngineSettings

        if self.playouts is not None or self.seconds is not None:
            playouts, seconds = self.playouts, self.seconds
        if playouts is None and dict(self.search).get("rule") == "gumbel":
            raise UserError(f"the rule gumbel divides up a number of playouts: give {self.text!r} playouts=N")
        return EngineSettings(playouts, seconds, resign if self.resign is None else self.resign)


def parse_player(text: str) -> PlayerSpec:
    """Return the player of a name.

    Raises:
        UserError: It names none.
    """
    kind, colon, rest = text.strip().partition(":")
    if kind in KINDS and " " not in kind:
        return _own(text.strip(), kind, [item.strip() for item in rest.split(",")] if colon else [])
    if os.path.isdir(os.path.expanduser(text)):
        return PlayerSpec(text, "network", str(Path(text).expanduser()))
    words = split_command(text)
    if find_program(words[0]) is None:
        known = [*KINDS, "gnugo --mode gtp"]
        raise UserError(
            f"{text!r} is no player, and no program is called {words[0]!r}.{did_you_mean(text, known)} {_HINT}"
        )
    return PlayerSpec(text, "command", command=tuple(words))


def _own(text: str, kind: str, items: list[str]) -> PlayerSpec:
    found: dict[str, Any] = {}
    search: list[tuple[str, Any]] = []
    source = ""
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            if kind not in ("network", "policy") or source or not item:
                raise UserError(f"{item!r} in {text!r} is no setting: write them as in mcts:playouts=2000,threads=2")
            source = str(Path(item).expanduser())
        elif (name, value.lower()) == ("resign", "none"):
            found[name] = 0.0  # a win rate is never below it
        elif name in _OWN:
            found[name] = _value(text, name, value, _OWN[name])
        elif name in _CHOICES and kind in _CHOICES[name][0].split():
            choices = _CHOICES[name][1]
            if value not in choices:
                raise UserError(f"{name} in {text!r} must be one of {', '.join(choices)}, got {value!r}")
            found[name] = value == "true" if choices == _SWITCH else value
        elif name == "playout_weight" and kind == "network":
            found[name] = _value(text, name, value, float)
        elif name in _SEARCH and kind in ("mcts", "network"):
            search.append((name, _search_value(text, name, value)))
        else:
            known = [*_OWN, *_CHOICES, "playout_weight", *_SEARCH]
            raise UserError(
                f"{kind} has no setting {name!r} (in {text!r}).{did_you_mean(name, known)} See `tengen gtp --help`"
            )
    if "time" in found:
        found["seconds"] = found.pop("time")
    spec = PlayerSpec(text, kind, source, search=tuple(search), **found)
    if not 0 <= spec.playout_weight <= 1:
        raise UserError(f"playout_weight in {text!r} must be between 0 and 1, got {spec.playout_weight:g}")
    # Wrong values are refused here; whether they fit the rule is seen when the player is made.
    SearchSettings(**{name: value for name, value in search if name != "rave_equivalence"})
    return spec


def _search_value(text: str, name: str, value: str) -> Any:
    default = getattr(SearchSettings(), name)
    if isinstance(default, str):
        return value
    if isinstance(default, bool):
        if value not in _SWITCH:
            raise UserError(f"{name} in {text!r} must be {' or '.join(_SWITCH)}, got {value!r}")
        return value == "true"
    if value.lower() == "none" and default is None:
        return None
    return _value(text, name, value, int if isinstance(default, int) else float)


def _value(text: str, name: str, value: str, kind: type) -> Any:
    try:
        return kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{name} in {text!r} must be {what}, got {value!r}") from None

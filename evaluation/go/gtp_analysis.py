"""Analysis over GTP as Leela Zero and KataGo call it, for Sabaki, Lizzie and KaTrain, and boards of numbers for GoGui.

`lz-analyze` and its kin take `[COLOR] [CENTISECONDS] [KEY VALUE ...]`. Values are as seen by the side to move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Final, NamedTuple

import numpy as np

from tengen.envs.go.coordinates import vertex_of
from tengen.evaluation.go.engine import Chosen, Engine
from tengen.evaluation.go.game import Game
from tengen.evaluation.go.gtp import SYNTAX_ERROR, Call, Command, CommandError, color, integer, vertex, word
from tengen.evaluation.go.thinkers import Candidate, Thought
from tengen.types import Bools

_Z: Final = 1.96
"""Standard errors below the mean that the lower confidence bound lies."""

_MOST_SECONDS = 3600.0


class _Wanted(NamedTuple):
    """What an analysis was asked for."""

    color: int
    period: float  # seconds
    most_moves: int
    ownership: bool
    only: Bools | None  # the actions [A] to look at


def _options(call: Call, *, needs_color: bool = False) -> _Wanted:
    """Return the arguments of an analysis."""
    words = list(call.arguments)
    size = call.engine.game.size
    side, period, most, ownership = call.engine.game.to_move, 1.0, 10**9, False
    named: list[tuple[str, int, list[int]]] = []  # avoid or allow, whose, which actions
    if words and not words[0].isdigit() and words[0].lower() in ("b", "w", "black", "white"):
        side = color(words.pop(0))
    elif needs_color and (not words or words[0].isdigit()):
        raise CommandError(SYNTAX_ERROR)
    if words and words[0].isdigit():
        period = _seconds(words.pop(0))
    while words:
        key = words.pop(0)
        if key in ("avoid", "allow"):
            named.append((key, *_named_moves(words, size)))
            continue
        if not words:
            raise CommandError(SYNTAX_ERROR)
        value = words.pop(0)
        if key == "interval":
            period = _seconds(value)
        elif key == "maxmoves":
            most = max(integer(value), 1)
        elif key in ("ownership", "movesOwnership", "ownershipStdev", "pvVisits", "rootInfo"):
            if value not in ("true", "false"):
                raise CommandError(SYNTAX_ERROR)
            ownership |= key == "ownership" and value == "true"
        elif key == "minmoves":
            integer(value)
        else:
            raise CommandError(f"unknown key {key!r}: interval, minmoves, maxmoves, avoid, allow or ownership")
    return _Wanted(
        side, period, most, ownership, _only([(key, moves) for key, whose, moves in named if whose == side], size)
    )


def _named_moves(words: list[str], size: int) -> tuple[int, list[int]]:
    """Take COLOR VERTICES MOVES off the words: whose moves, and which. Only the next move is looked at in this way."""
    if len(words) < 3:
        raise CommandError(SYNTAX_ERROR)
    whose = color(words.pop(0))
    moves = [vertex(text, size) for text in words.pop(0).split(",")]
    integer(words.pop(0))
    return whose, moves


def _only(named: list[tuple[str, list[int]]], size: int) -> Bools | None:
    """Return the actions [A] that are allowed, or not to be avoided; None where nothing was said."""
    if not named:
        return None
    allows = any(key == "allow" for key, _ in named)
    only = np.full(size**2 + 1, not allows)
    for key, moves in named:
        only[moves] = key == "allow"
    return only


def _seconds(text: str) -> float:
    return min(max(integer(text), 1) / 100, _MOST_SECONDS)


def _lz_analyze(call: Call) -> Iterator[str]:
    return _analyze(call, lz_line)


def _kata_analyze(call: Call) -> Iterator[str]:
    return _analyze(call, kata_line)


def _lz_genmove_analyze(call: Call) -> Iterator[str]:
    return _genmove_analyze(call, lz_line)


def _kata_genmove_analyze(call: Call) -> Iterator[str]:
    return _genmove_analyze(call, kata_line)


def _analyze(call: Call, line: Callable[[Thought, int], str]) -> Iterator[str]:
    wanted, engine = _options(call), call.engine  # wrong arguments are refused before anything is written
    game = engine.game.turned(wanted.color)

    def lines() -> Iterator[str]:
        for thought in engine.analyze(wanted.color, wanted.period, call.interrupted, wanted.only):
            yield _line(engine, game, thought, wanted, line)

    return lines()


def _genmove_analyze(call: Call, line: Callable[[Thought, int], str]) -> Iterator[str]:
    wanted, engine = _options(call), call.engine
    game = engine.game.turned(wanted.color)

    def lines() -> Iterator[str]:
        # The engine calls back with what it thinks, and lines are pulled from here: a thread lies between.
        thoughts: SimpleQueue[Thought | Chosen | BaseException] = SimpleQueue()

        def choose() -> None:
            try:
                thoughts.put(engine.genmove(wanted.color, thoughts.put, wanted.period, wanted.only))
            except BaseException as error:
                thoughts.put(error)

        thread = Thread(target=choose, name="gtp-genmove")
        thread.start()
        while not isinstance(found := thoughts.get(), Chosen):
            if isinstance(found, BaseException):
                raise found
            yield _line(engine, game, found, wanted, line)
        thread.join()
        move = "resign" if found.action is None else vertex_of(found.action, engine.game.size)
        yield f"play {move}"

    return lines()


def _line(engine: Engine, game: Game, thought: Thought, wanted: _Wanted, line: Callable[[Thought, int], str]) -> str:
    shown = thought._replace(candidates=thought.candidates[: wanted.most_moves])
    text = line(shown, game.size)
    if wanted.ownership:
        owners = (engine.ownership(game) * wanted.color).reshape(-1).tolist()
        text += " ownership " + " ".join(f"{owner:.3f}" for owner in owners)
    return text


def lz_line(thought: Thought, size: int) -> str:
    """Return a line of `lz-analyze`: rates are in ten-thousandths."""
    return " ".join(
        f"info move {vertex_of(candidate.action, size)} visits {candidate.visits}"
        f" winrate {_parts(candidate.win_rate)} prior {_parts(candidate.prior)}"
        f" lcb {_parts(lower_bound(candidate))} order {order} pv {_variation(candidate, size)}"
        for order, candidate in enumerate(thought.candidates)
    )


def kata_line(thought: Thought, size: int) -> str:
    """Return a line of `kata-analyze`: rates are fractions. What it does not know, scores, it leaves out."""
    return " ".join(
        f"info move {vertex_of(candidate.action, size)} visits {candidate.visits}"
        f" utility {candidate.value:.6f} winrate {candidate.win_rate:.6f} prior {candidate.prior:.6f}"
        f" lcb {lower_bound(candidate):.6f} order {order} pv {_variation(candidate, size)}"
        for order, candidate in enumerate(thought.candidates)
    )


def lower_bound(candidate: Candidate) -> float:
    """Return the lower end of a win rate's 95% interval, each visit taken for a game; in [0, 1]."""
    rate, visits = candidate.win_rate, max(candidate.visits, 1)
    return min(max(rate - _Z * math.sqrt(max(rate * (1 - rate), 0.0) / visits + 0.25 / visits**2), 0.0), 1.0)


def _parts(rate: float) -> int:
    return min(max(round(rate * 10_000), 0), 10_000)


def _variation(candidate: Candidate, size: int) -> str:
    return " ".join(vertex_of(action, size) for action in candidate.variation)


def _ownership(call: Call) -> str:
    rows = call.engine.ownership().tolist()
    return "\n".join(["", *(" ".join(f"{owner:.3f}" for owner in row) for row in rows)])


def _win_rates(call: Call) -> str:
    """Answer with a look at the position: points, and the win rate in per cent."""
    engine = call.engine
    side = color(word(call, 0)) if call.arguments else engine.game.to_move
    thought = next(engine.analyze(side, 1.0, lambda: True))
    points = [candidate for candidate in thought.candidates if candidate.action < engine.game.size**2]
    return " ".join(f"{vertex_of(c.action, engine.game.size)} {100 * c.win_rate:.0f}" for c in points[:10])


ANALYSIS: Final[dict[str, Command]] = {
    "lz-analyze": _lz_analyze,
    "lz-genmove_analyze": _lz_genmove_analyze,
    "kata-analyze": _kata_analyze,
    "kata-genmove_analyze": _kata_genmove_analyze,
    "tengen-ownership": _ownership,
    "tengen-win_rates": _win_rates,
}

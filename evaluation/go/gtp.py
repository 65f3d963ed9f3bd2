"""GTP version 2 (draft 2 of its specification) as a function from lines to answers; no input, no output, no state.

Start at `answer`. The commands are in `gtp_commands.py` and `gtp_analysis.py`; `server.py` reads and writes.
"""

from __future__ import annotations

import math
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from tengen.envs.go.coordinates import action_of, color_of
from tengen.errors import UserError

if TYPE_CHECKING:
    from tengen.evaluation.go.engine import Engine

SYNTAX_ERROR: Final = "syntax error"

_DISCARDED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\n]")  # control characters but the tab; section 2.2
_IDENTITY = re.compile(r"[0-9]+", re.ASCII)
_INT = re.compile(r"[0-9]{1,9}", re.ASCII)
_FLOAT = re.compile(r"[-+]?([0-9]{1,15}\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", re.ASCII)


class CommandError(Exception):
    """What to answer a command that failed, after the `?`."""


class Request(NamedTuple):
    """A command as it came."""

    identity: str  # its number, or empty
    command: str
    arguments: tuple[str, ...]


class Call(NamedTuple):
    """What a command gets."""

    engine: Engine
    arguments: tuple[str, ...]
    interrupted: Callable[[], bool]  # whether the next line has arrived, which ends an analysis
    commands: Mapping[str, Command]  # all that there are


Command = Callable[[Call], str | Iterator[str]]
"""Returns the answer's text, or its lines one at a time while it thinks."""


class Answer(NamedTuple):
    """An answer to be written, line by line, and ended by an empty line."""

    lines: Iterable[str]
    quits: bool = False


def parse(line: str) -> Request | None:
    """Return the command in a line, without comments and control characters; None where it holds none."""
    text = _DISCARDED.sub("", line.partition("#")[0]).replace("\t", " ")
    words = [word for word in text.split(" ") if word]
    if not words:
        return None
    match = _IDENTITY.match(words[0])
    identity = "" if match is None else match[0]
    words[0] = words[0][len(identity) :]  # a number may run into its command, as GNU Go reads it
    if not words[0]:
        words.pop(0)
    command = words.pop(0) if words else ""
    return Request(identity, command, tuple(words))


def answer(
    line: str, engine: Engine, commands: Mapping[str, Command], interrupted: Callable[[], bool] = lambda: False
) -> Answer | None:
    """Return what to write in answer to a line; None for a line without a command. The engine is modified in place.

    Whatever the line holds, this raises nothing: a command that fails is answered by `?` and leaves the engine as it
    was.
    """
    request = parse(line)
    if request is None:
        return None
    command = commands.get(request.command)
    if command is None:
        return _failure(request, "unknown command")
    try:
        result = command(Call(engine, request.arguments, interrupted, commands))
        if isinstance(result, str):
            lines: Iterable[str] = _head_and_rest(f"={request.identity}", result)
        else:
            lines = _stream(request, result)
    except (CommandError, UserError) as error:
        return _failure(request, str(error))
    except Exception as error:
        # A mistake of ours must not end a game that somebody plays: it is reported, and the engine goes on.
        traceback.print_exc(file=sys.stderr)
        return _failure(request, f"internal error: {type(error).__name__}")
    return Answer(lines, quits=request.command == "quit")


def word(call: Call, index: int) -> str:
    """Return an argument.

    Raises:
        CommandError: There is none.
    """
    if index >= len(call.arguments):
        raise CommandError(SYNTAX_ERROR)
    return call.arguments[index]


def integer(text: str) -> int:
    """Return an unsigned integer of at most nine digits; CommandError for anything else."""
    if not _INT.fullmatch(text):
        raise CommandError(SYNTAX_ERROR)
    return int(text)


def number(text: str) -> float:
    """Return a finite number; CommandError for anything else."""
    if not _FLOAT.fullmatch(text) or not math.isfinite(value := float(text)):
        raise CommandError(SYNTAX_ERROR)
    return value


def color(text: str) -> int:
    """Return 1 for black, -1 for white; CommandError for anything else."""
    try:
        return color_of(text)
    except ValueError:
        raise CommandError("invalid color or coordinate") from None


def vertex(text: str, size: int) -> int:
    """Return the action of a vertex; CommandError for anything else."""
    try:
        return action_of(text, size)
    except ValueError:
        raise CommandError("invalid color or coordinate") from None


def _failure(request: Request, message: str) -> Answer:
    return Answer([f"?{request.identity} {' '.join(_plain(message).split()) or 'failed'}"])


def _head_and_rest(head: str, text: str) -> list[str]:
    """Return an answer's lines; none of them empty, since an empty line ends an answer."""
    first, *rest = text.split("\n")
    return [f"{head} {_plain(first)}", *(_plain(line) for line in rest if line.strip())]


def _stream(request: Request, lines: Iterator[str]) -> Iterator[str]:
    """Yield an answer's lines as they come. One that fails halfway ends there, since a `?` would come too late."""
    yield f"={request.identity}"
    try:
        for line in lines:
            if line.strip():
                yield _plain(line)
    except Exception as error:
        cause = str(error) if isinstance(error, (CommandError, UserError)) else f"{type(error).__name__}: {error}"
        print(f"tengen: error: {request.command} broke off: {' '.join(cause.split())}", file=sys.stderr)


def _plain(text: str) -> str:
    return _DISCARDED.sub(" ", text).replace("\t", " ")

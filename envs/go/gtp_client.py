"""A program that speaks GTP (version 2), run as a child: commands out, answers in, nothing waited for without end.

Whatever it does wrong (no such program, no answer in time, no GTP, its death) is an `EngineError` of one line. A
command that it refuses is a `RefusedError`: the program is well, and the next command can follow.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from tengen.errors import UserError

_ANSWER = re.compile(r"([=?])([0-9]*)[ \t]?(.*)", re.ASCII | re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_GAMES: Final = ("/usr/games", "/usr/local/games")
"""Where systems put games such as GNU Go, often beside the search path."""

_MOST_NOISE = 1 << 20  # bytes before an answer, or in one, after which a program is taken to speak no GTP
_KEPT_ERRORS = 2000  # bytes of its standard error, for messages
_GRACE = 2.0  # seconds to leave by itself after `quit`
_LESS_GRACE = 0.2  # for a program that has not answered anything


class EngineError(UserError):
    """A program that should speak GTP is dead, silent, or speaks something else."""


class StartError(EngineError):
    """There is no such program, or the machine can't start it."""


class RefusedError(EngineError):
    """A program answered a command with `?`."""


class GTPClient:
    """A running engine.

    Args:
        command: The command line, as one text (split as a shell would) or in words.
        timeout: Seconds to wait for an answer unless a call says otherwise.

    Raises:
        StartError: There is no such program, or it can't be started.
    """

    def __init__(self, command: str | Sequence[str], *, timeout: float = 60.0) -> None:
        self._argv = split_command(command)
        self._timeout = timeout
        self.program = os.path.basename(self._argv[0])
        self._next_id = 1
        self._has_answered = False
        self._ended = False  # its standard output
        self._heard = bytearray()  # of standard output, not yet taken
        self._errors = bytearray()
        path = find_program(self._argv[0])
        if path is None:
            raise StartError(
                f"there is no program {self._argv[0]!r} to play against: install it, or give its full path"
            )
        try:
            self._process = subprocess.Popen(
                [path, *self._argv[1:]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is ours to handle; and a group to be killed whole
            )
        except OSError as error:
            raise StartError(f"{self._argv[0]!r} can't be started: {error.strerror}") from error
        self._selector = selectors.DefaultSelector()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._process.poll() is None

    def send(self, command: str, timeout: float | None = None) -> str:
        """Return what the program answers to a command, without the `=`.

        Args:
            command: The command and its arguments.
            timeout: Seconds to wait.

        Raises:
            RefusedError: It answered `?`.
            EngineError: It died, said nothing in time, or answered something that is no GTP.
        """
        assert "\n" not in command, f"two lines in {command!r}"
        identity, self._next_id = self._next_id, self._next_id + 1
        self._write(f"{identity} {command}\n", command)
        limit = self._timeout if timeout is None else timeout
        answer = self._read_answer(command, time.monotonic() + limit, limit)
        match = _ANSWER.fullmatch(answer)
        assert match is not None
        # A program may leave the number out; another number is an answer to something else.
        if match[2] not in ("", str(identity)):
            raise self._error(f"answered {_short(answer)} to command number {identity}, {command!r}: out of step")
        self._has_answered = True
        text = match[3].strip()
        if match[1] == "?":
            raise RefusedError(f"{self.program} refused `{command}`: {_short(text) if text else 'no reason given'}")
        return text

    def knows(self, command: str) -> bool:
        """Return whether the program says that it knows a command.

        Raises:
            EngineError: It is dead, silent, or speaks no GTP.
        """
        try:
            return self.send(f"known_command {command}") == "true"
        except RefusedError:
            return False

    def close(self) -> None:
        """Ask the program to quit, and end it and all of its children if it does not. May be called twice."""
        process = self._process
        with contextlib.suppress(EngineError):
            if self.alive:
                self._write("quit\n", "quit")
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._wait(_GRACE if self._has_answered else _LESS_GRACE)
            # Its children, too, which may outlive it; the group's number can't be reused while one of them lives.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        process.wait()
        self._selector.close()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()

    def _wait(self, seconds: float) -> None:
        """Wait for the end, reading on so that a last word into a full pipe holds nobody up."""
        until = time.monotonic() + seconds
        while self.alive and self._listen(until):
            pass
        self._process.wait(max(until - time.monotonic(), 0.0))

    def _write(self, line: str, command: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode("utf-8", "surrogateescape"))
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._death(command) from None

    def _read_answer(self, command: str, deadline: float, limit: float) -> str:
        """Return the next answer's lines; what comes before its first `=` or `?` is noise."""
        lines: list[str] = []
        noise, read = "", 0
        while True:
            line = self._read_line(deadline)
            if line is None:
                if self._ended:
                    raise self._death(command)
                said = f"; it wrote {_short(noise)}, which is no answer of GTP" if noise else ""
                raise self._error(f"gave no answer to `{command}` within {limit:g} s{said}")
            read += len(line) + 1
            if read > _MOST_NOISE:
                raise self._error(f"speaks no GTP: to `{command}` it wrote on and on, beginning with {_short(noise)}")
            text = _CONTROL.sub("", line.decode("utf-8", "replace"))
            if lines and not text.strip(" \t"):
                return "\n".join(lines)
            if lines or _ANSWER.match(text):
                lines.append(text)
                noise = noise or text
            elif text.strip():
                noise = noise or text

    def _read_line(self, deadline: float) -> bytes | None:
        """Return the next line without its end; None at the deadline, or where nothing more can come."""
        while True:
            end = self._heard.find(b"\n")
            if end >= 0:
                line = bytes(self._heard[:end])
                del self._heard[: end + 1]
                return line
            if len(self._heard) > _MOST_NOISE or not self._listen(deadline):
                line = bytes(self._heard)
                self._heard.clear()
                return line if len(line) > _MOST_NOISE else None

    def _listen(self, deadline: float) -> bool:
        """Take what has been written; return False at the deadline, or where standard output has ended."""
        remaining = deadline - time.monotonic()
        if remaining <= 0 or self._ended:
            return False
        for key, _ in self._selector.select(remaining):
            data = os.read(key.fd, 1 << 16)
            is_output = key.fileobj is self._process.stdout
            if is_output:
                self._heard += data
            else:
                self._errors += data
                del self._errors[:-_KEPT_ERRORS]
            if not data:
                self._selector.unregister(key.fileobj)
                self._ended |= is_output
                if is_output:
                    return False
        return True

    def _death(self, command: str) -> EngineError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        until = time.monotonic() + 0.2
        self._ended = False
        while self._selector.get_map() and self._listen(until):  # its last words
            pass
        self._ended = True
        code = self._process.returncode
        how = "closed its output" if code is None else f"ended with code {code}"
        last = self._errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return self._error(f"{how} at `{command}`" + (f"; its last words: {_short(last)}" if last else ""))

    def _error(self, what: str) -> EngineError:
        return EngineError(f"the engine {shlex.join(self._argv)!r} {what}")


def split_command(command: str | Sequence[str]) -> list[str]:
    """Return a command line's words.

    Raises:
        EngineError: It is empty, or its quotes don't match.
    """
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise EngineError(f"{command!r} is no command line: {error}") from error
    if not words:
        raise EngineError("an empty command line: give one such as 'gnugo --mode gtp'")
    return words


def find_program(name: str) -> str | None:
    """Return the path of a program on the search path, or in a system's folder of games."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(os.path.expanduser(name), path=os.pathsep.join([path, *_GAMES]))


def _short(text: str) -> str:
    """Return the beginning of a text, in quotes, on one line."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else f"{line[:77]}...")

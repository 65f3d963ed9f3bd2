"""An engine that speaks GTP over a pair of streams: reads a line, writes an answer, until `quit` or the input's end.

A thread does the reading, so that an analysis can go on until the next line has arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, Final

from tengen.evaluation.go.gtp import Command, answer

if TYPE_CHECKING:
    from tengen.evaluation.go.engine import Engine

MOST_LINE_BYTES: Final = 1 << 16
"""A longer line is cut: no command has as much to say, and garbage without an end must not fill the memory."""


def serve(engine: Engine, commands: Mapping[str, Command], source: BinaryIO, sink: BinaryIO) -> None:
    """Answer all commands of a stream. BrokenPipeError where nobody reads the answers.

    Args:
        engine: Who answers.
        commands: What it understands.
        source: Read from as bytes come: an unbuffered file, since a thread that waits in a buffered one would hold its
            lock when the program ends.
        sink: Written to.
    """
    lines: SimpleQueue[bytes | None] = SimpleQueue()
    # A daemon: after `quit` it may still wait for a line that never comes.
    threading.Thread(target=_read, args=(source, lines), name="gtp-input", daemon=True).start()
    while (line := lines.get()) is not None:
        found = answer(line.decode("utf-8", "surrogateescape"), engine, commands, interrupted=lambda: not lines.empty())
        if found is None:
            continue
        for text in found.lines:
            sink.write(_encoded(text))
            sink.flush()
        sink.write(b"\n")
        sink.flush()
        if found.quits:
            return


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace") + b"\n"


def _read(source: BinaryIO, lines: SimpleQueue[bytes | None]) -> None:
    """Put each line, or its beginning, into the queue, and at the end None."""
    line, dropping = b"", False
    try:
        while data := source.read(MOST_LINE_BYTES):
            *ended, rest = data.split(b"\n")
            for part in ended:
                if not dropping:
                    lines.put((line + part)[:MOST_LINE_BYTES])
                line, dropping = b"", False
            line += rest
            if len(line) > MOST_LINE_BYTES:  # of a line too long, the rest is dropped
                if not dropping:
                    lines.put(line[:MOST_LINE_BYTES])
                line, dropping = b"", True
        if line and not dropping:
            lines.put(line)
    finally:
        lines.put(None)

"""`metrics.jsonl`, the truth about a run: one JSON object a line, in the order of the global steps.

Every line is `{"global_step": N, "charts/...": ...}` in strict JSON. JSON has no NaN or infinities, so these are the
strings "NaN", "Infinity" and "-Infinity" (which `float` in Python and `Number` in JavaScript both understand).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from tengen.errors import UserError
from tengen.tracking.rows import STEP_KEY, Row, plain, spell, unspell
from tengen.types import Metrics

METRICS_FILE = "metrics.jsonl"
"""Its name in a run's folder."""


class JsonlTracker:
    """Appends rows to a file. A row is in the file when `write` returns, so a killed process loses none.

    Args:
        path: The file. Its folder exists.
        resume_step: None for a new file. Otherwise the step that the run goes on from: rows after it are cut away,
            since the run writes them again, and so is a last line that a killed process left unfinished.
        resume_rows: How many rows came before that, where the run knows: more rows of the same step are cut away, too.

    Attributes:
        num_rows: Rows in the file.
        num_damaged: Damaged lines that were left out on resume, of rows that the run doesn't write again.

    Raises:
        UserError: The file can't be written, or a new run would overwrite another run's metrics.
    """

    def __init__(
        self, path: str | os.PathLike[str], resume_step: int | None = None, resume_rows: int | None = None
    ) -> None:
        self._path = Path(path)
        self._last_step = -1
        self.num_rows = self.num_damaged = 0
        try:
            if resume_step is not None:
                self._last_step, self.num_rows, self.num_damaged = _cut_back(self._path, resume_step, resume_rows)
            elif self._path.exists() and self._path.stat().st_size:
                raise UserError(
                    f"{self._path} already holds the metrics of a run; resume that run or choose another folder"
                )
            # Unbuffered: a line is appended by one system call, and nothing is left over that `close` could fail on.
            self._file = FileIO(self._path, "ab")
            self._size = self._path.stat().st_size
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def write(self, step: int, metrics: Metrics) -> None:
        """Append one row.

        Raises:
            UserError: The disk is full, or the file can't be written for another reason.
        """
        assert step >= self._last_step, f"step {step} was written after step {self._last_step}"
        assert STEP_KEY not in metrics, f"{STEP_KEY} is the row's own"
        self._last_step = step
        row = {STEP_KEY: step} | {name: spell(value) for name, value in plain(metrics).items()}
        line = memoryview(json.dumps(row, allow_nan=False).encode() + b"\n")
        written = 0
        try:
            while written < len(line):  # a nearly full disk takes a part of the line before it refuses
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
            raise _unwritable(self._path, error) from error
        self._size += len(line)
        self.num_rows += 1

    def sync(self) -> None:
        """Return when all rows would survive a loss of power; called before a checkpoint that counts on them.

        Raises:
            UserError: The disk refuses.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: str | os.PathLike[str]) -> list[Row]:
    """Return the rows of a `metrics.jsonl`, oldest first; a last line that isn't finished is left out.

    Raises:
        UserError: There is no such file, or a line other than the last is damaged.
    """
    rows = []
    try:
        for number, (_, row) in enumerate(lines := list(_lines(Path(path))), start=1):
            if row is not None:
                rows.append(row)
            elif number < len(lines):
                raise UserError(f"line {number} of {path} is damaged; remove the line to read the others")
    except OSError as error:
        raise UserError(f"can't read the metrics {path}: {error.strerror or error}") from error
    return rows


def _lines(path: Path) -> Iterator[tuple[bytes, Row | None]]:
    """Yield each line and its row, or None where it isn't one."""
    with open(path, "rb") as file:
        for line in file:
            try:
                row = json.loads(line)
                good = isinstance(row, dict) and isinstance(row.get(STEP_KEY), int)
            except ValueError:  # also a UnicodeDecodeError
                good = False
            yield line, {name: unspell(value) for name, value in row.items()} if good else None


def _cut_back(path: Path, resume_step: int, resume_rows: int | None) -> tuple[int, int, int]:
    """Keep the readable rows up to `resume_step`, all or nothing: the old file stands until the new one is on the disk.

    Returns the last step kept, or -1, the number of rows kept, and that of damaged lines among them.
    """
    if not path.exists():
        return -1, 0, 0
    last_step, num_rows, num_damaged = -1, 0, 0
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            for number, (line, row) in enumerate(_lines(path)):
                if number == resume_rows or (row is not None and row[STEP_KEY] > resume_step):
                    break
                if row is None:
                    num_damaged += line.endswith(b"\n")  # else it is the last line, left unfinished
                    continue
                last_step = row[STEP_KEY]
                num_rows += 1
                file.write(line if line.endswith(b"\n") else line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return last_step, num_rows, num_damaged


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"can't write the metrics {path}: {error.strerror or error}; make room or make the folder writable, then resume"
    )

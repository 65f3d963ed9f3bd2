"""What was measured beside what is expected: when the two agree, the printed table, the CSV.

The expected numbers of a sampled quantity were sampled themselves, over 300 to 2000 runs that nobody kept. Their
standard error is therefore taken to be that of `EXPECTED_RUNS` runs which scatter as ours do: the least number said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from _command import write_table

from tengen.types import Array

EXPECTED_RUNS = 300
"""Runs behind an expected number that was sampled; the fewest that its source speaks of, so that its error is not
understated."""

STANDARD_ERRORS = 3.0
"""Combined standard errors that two numbers may differ by."""

ROUNDING = 0.55
"""Units of the last printed digit: half a one, and half a one of the digit after it, as some numbers were rounded twice
(10 / (1 - 0.9**5) * 0.9 is 21.977485, and stands as 21.978)."""

COLUMNS = (
    "item",
    "quantity",
    "ours",
    "standard_error",
    "repetitions",
    "expected",
    "expected_standard_error",
    "verdict",
    "gated",
    "seed",
    "settings",
    "note",
)


@dataclass(frozen=True)
class Row:
    """One number of ours beside one that is expected. Make it with `exact` or `sampled`.

    Attributes:
        quantity: What the number is.
        ours: Ours.
        error: Its standard error; 0 where it is exact.
        repetitions: Runs behind it; 0 where it is exact.
        expected: As printed, so that its last digit is known; "" where there is none to compare with.
        expected_error: Its standard error; 0 where it is exact.
        gated: Every setting behind the expected number is known: a row that is off is a failure.
        settings: Those of ours.
        note: What a reader needs to judge it by.
        item: The figure or table it is of.
        seed: Of all of the item's runs.
    """

    quantity: str
    ours: float
    error: float
    repetitions: int
    expected: str
    expected_error: float
    gated: bool
    settings: str = ""
    note: str = ""
    item: str = ""
    seed: int = 0

    @property
    def allowed(self) -> float:
        """How far apart the two may be: three combined standard errors, and rounding."""
        digits = Decimal(self.expected).as_tuple().exponent
        assert isinstance(digits, int), f"{self.expected} is no number"
        combined = math.hypot(self.error, self.expected_error)
        return STANDARD_ERRORS * combined + ROUNDING * 10.0**digits

    @property
    def agrees(self) -> bool:
        """Whether the two agree; True where there is nothing to compare with."""
        return not self.expected or abs(self.ours - float(self.expected)) <= self.allowed

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        if not self.expected:
            return "-"
        return "agrees" if self.agrees else "OFF" if self.gated else "differs"


def exact(
    quantity: str, ours: float, expected: str = "", *, gated: bool = True, settings: str = "", note: str = ""
) -> Row:
    """Return the row of a number that was computed and not sampled."""
    return Row(quantity, float(ours), 0.0, 0, expected, 0.0, gated and bool(expected), settings, note)


def sampled(
    quantity: str,
    values: Array,
    expected: str = "",
    *,
    gated: bool = True,
    settings: str = "",
    note: str = "",
    expected_is_exact: bool = False,
) -> Row:
    """Return the row of a mean.

    Args:
        quantity: What it is the mean of.
        values: Of each run, [R], at least 2.
        expected: As printed; "": nothing to compare with.
        gated: Every setting behind the expected number is known.
        settings: Those of ours.
        note: What a reader needs to judge it by.
        expected_is_exact: The expected number has no error beyond its rounding.
    """
    spread = float(np.std(values, ddof=1))
    theirs = spread / math.sqrt(EXPECTED_RUNS) if expected and not expected_is_exact else 0.0
    count = len(values)
    error = spread / math.sqrt(count)
    return Row(
        quantity, float(np.mean(values)), error, count, expected, theirs, gated and bool(expected), settings, note
    )


def table(rows: Sequence[Row]) -> str:
    """Return the rows as lines of text, those of an item together."""
    lines, item = [], None
    width = max((len(row.quantity) for row in rows), default=0)
    for row in rows:
        if row.item != item:
            item = row.item
            lines.append(item)
        ours = number(row.ours) + (f" +- {row.error:.2g}" if row.error else "")
        gate = "" if row.gated or not row.expected else " (not gated)"
        lines.append(f"  {row.quantity:{width}}  {ours:>20}  {row.expected:>9}  {row.verdict}{gate}".rstrip())
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Return one line that counts what agrees, and one for each gated row that is off."""
    gated, others = [row for row in rows if row.gated], [row for row in rows if row.expected and not row.gated]
    agreeing = sum(row.agrees for row in gated)
    lines = [
        f"{agreeing} of {len(gated)} gated rows agree, and {sum(row.agrees for row in others)} of {len(others)} others"
        f" ({len(rows) - len(gated) - len(others)} have nothing to compare with)"
    ]
    lines += [
        f"OFF: {row.item}: {row.quantity}: {number(row.ours)}, expected {row.expected}, allowed +- {row.allowed:.2g}"
        for row in off(rows)
    ]
    return "\n".join(lines)


def off(rows: Sequence[Row]) -> list[Row]:
    """Return the gated rows that do not agree."""
    return [row for row in rows if row.gated and not row.agrees]


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows to a file that is replaced whole, or not at all."""
    write_table(path, COLUMNS, map(_cells, rows))


def number(value: float) -> str:
    """Return a number with six significant digits."""
    return f"{value:.6g}"


def _cells(row: Row) -> list[str]:
    return [
        row.item,
        row.quantity,
        number(row.ours),
        f"{row.error:.3g}" if row.error else "",
        str(row.repetitions) if row.repetitions else "",
        row.expected,
        f"{row.expected_error:.3g}" if row.expected_error else "",
        row.verdict,
        "yes" if row.gated else "no",
        str(row.seed) if row.repetitions else "",
        row.settings,
        row.note,
    ]

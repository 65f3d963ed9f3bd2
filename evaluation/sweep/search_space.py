"""What a sweep may choose from: a distribution for each field, as it is written on the command line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tengen.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from optuna.trial import Trial

_KINDS = ("uniform", "loguniform", "int", "logint", "choice")
_EXAMPLE = "agent.learning_rate=loguniform(1e-5,1e-2)"


@dataclass(frozen=True)
class Field:
    """A field and its distribution."""

    name: str
    """As the option of `tengen train` is called, with underscores: `agent.learning_rate`."""
    kind: str
    """uniform, loguniform, int, logint or choice."""
    values: tuple[str, ...]
    """Both ends, or what there is to choose from, as they were written."""

    def suggest(self, trial: Trial) -> str:
        """Return a value as the command line takes it."""
        if self.kind == "choice":
            return str(trial.suggest_categorical(self.name, self.values))
        low, high = map(float, self.values)
        if self.kind in ("int", "logint"):
            return str(trial.suggest_int(self.name, int(low), int(high), log=self.kind == "logint"))
        return repr(trial.suggest_float(self.name, low, high, log=self.kind == "loguniform"))

    def ends(self) -> tuple[str, ...]:
        """Return values to try a setting with before anything is trained."""
        return self.values

    def __str__(self) -> str:
        return f"{self.name}={self.kind}({','.join(self.values)})"


def parse_field(text: str) -> Field:
    """Return a field of `NAME=KIND(VALUES)`, or `NAME=KIND:VALUE:VALUE`, which no shell minds.

    Raises:
        UserError: It is something else, or its ends are not in order.
    """
    name, equals, what = text.partition("=")
    kind, _, rest = what.replace("(", ":", 1).removesuffix(")").partition(":")
    values = tuple(part for part in re.split("[,:]", rest) if part)
    if not (name and equals and values):
        raise UserError(f"--field takes NAME=KIND(VALUES), as in '{_EXAMPLE}', got {text!r}")
    if kind not in _KINDS:
        hint = did_you_mean(kind, list(_KINDS))
        raise UserError(f"--field {text}: there is no kind {kind!r}.{hint} Kinds: {', '.join(_KINDS)}.")
    if kind != "choice":
        _check_ends(text, kind, values)
    return Field(name.replace("-", "_"), kind, values)


def _check_ends(text: str, kind: str, values: tuple[Any, ...]) -> None:
    try:
        low, high = map(float, values)
    except ValueError:
        raise UserError(f"--field {text}: {kind} takes two numbers, the least and the greatest value") from None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"--field {text}: both ends must be finite")
    if not low < high:
        raise UserError(f"--field {text}: the least value must be below the greatest")
    if kind.startswith("log") and not low > 0:
        raise UserError(f"--field {text}: {kind} needs values above 0")
    if kind in ("int", "logint") and not (low.is_integer() and high.is_integer()):
        raise UserError(f"--field {text}: {kind} takes whole numbers")

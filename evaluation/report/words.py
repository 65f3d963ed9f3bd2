"""Numbers as a reader likes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tengen.evaluation.separation import number


def amount(value: Any) -> str:
    """Return a score, or a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    value = float(value)
    return number(value) if math.isfinite(value) else "never"


def interval(parts: Sequence[Any]) -> str:
    """Return `value (low to high)`."""
    value, low, high = parts
    return f"{amount(value)} ({amount(low)} to {amount(high)})"


def duration(seconds: Any) -> str:
    """Return a time in the unit that suits it."""
    if seconds is None:
        return "\N{EN DASH}"
    seconds = float(seconds)
    if not math.isfinite(seconds):
        return "never"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.{1 if minutes < 10 else 0}f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def steps(value: Any) -> str:
    """Return a number of steps."""
    if value is None:
        return "\N{EN DASH}"
    value = float(value)
    return f"{value:,.0f}" if math.isfinite(value) else "never"


def reached(found: Mapping[str, Any] | None, unit: Any = steps) -> tuple[str, str, str]:
    """Return how many runs reached a threshold, and the median of when, and its interval."""
    if found is None:
        return "\N{EN DASH}", "\N{EN DASH}", ""
    many = f"{found['reached']} of {found['runs']}"
    value, low, high = found["median"]
    if not found["reached"]:
        return many, "never", ""
    return many, unit(value), f"{unit(low)} to {unit(high)}"


def setting_text(value: Any) -> str:
    """Return a setting's value as a reader would say it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(setting_text, value)) or "none"
    return f"{value:.12g}" if isinstance(value, float) else str(value)

"""Checks that configurations share; standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from tengen.errors import UserError

_WIDEST = 1_000_000


def check_widths(name: str, widths: Sequence[int]) -> None:
    """Refuse widths of layers, UserError, that no network has."""
    if not all(1 <= width <= _WIDEST for width in widths):
        raise UserError(f"agent.{name} must be widths from 1 to {_WIDEST:,}, got {tuple(widths)}")


def check_learning_rates(first: float, last: float | None) -> None:
    """Refuse step sizes, UserError, that are no numbers, or of the wrong sign."""
    if not 0 < first < inf:
        raise UserError(f"agent.learning_rate must be greater than 0, and finite, got {first}")
    if last is not None and not 0 <= last < inf:
        raise UserError(f"agent.learning_rate_end must not be negative, and finite, got {last}")

"""At which komi a network's values count. Planes don't show it: values are of the games that were learnt from."""

from __future__ import annotations

from typing import Final

_OF_RECORDS: Final = (0.0, 9.0)
"""Komi of records of games: 0.5 to 7.5 on KGS, and a little more either way."""
_NEAR: Final = 0.5
"""Points from the one komi of games that were played for learning, as a run's are."""


def is_learnt(komi: float, learnt: float | None) -> bool:
    """Return whether values count at a komi, that with White's bonus for handicap stones.

    Args:
        komi: Of the game.
        learnt: That the network was trained with; None: those of records.
    """
    low, high = _OF_RECORDS if learnt is None else (learnt - _NEAR, learnt + _NEAR)
    return low <= komi <= high

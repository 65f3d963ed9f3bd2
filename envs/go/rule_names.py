"""What records say of their rules (SGF's RU), as far as legality and counting go: a name, or KataGo's notation.

A name that is not known here, or none at all, stands for area, simple ko and no suicide, without points for handicap.
"""

from __future__ import annotations

from typing import Final

from tengen.envs.go.rules import Bonus, Rules, Scoring

_SUICIDE: Final = ("nz", "new zealand", "new-zealand", "goe", "ing", "tromp")
_TERRITORY: Final = ("japan", "jp", "korea")
_BONUS: Final[dict[str, Bonus]] = {"chinese": "n", "aga": "n-1"}
_NOTATION: Final = ("ko", "score", "tax", "sui")  # KataGo's: koSIMPLEscoreTERRITORYtaxNONEsui0whbN-1


def counting_rules(size: int, komi: float, name: str, handicap: int) -> Rules:
    """Return the rules by which a record was counted. Its ko is not asked for.

    Args:
        size: N.
        komi: The record's.
        name: Its rules.
        handicap: Stones that Black set up; what White gets for them is made part of the komi.
    """
    scoring: Scoring = "territory" if _by_territory(name.lower()) else "area"
    bonus = {"none": 0, "n": handicap, "n-1": max(0, handicap - 1)}[_bonus(name.lower())]
    return Rules(size, komi + bonus, scoring, allows_suicide(name), ko="simple", max_moves=2000)


def allows_suicide(name: str) -> bool:
    """Return whether rules allow the suicide of several stones."""
    lower = name.lower()
    return "sui1" in lower if _is_notation(lower) else lower.startswith(_SUICIDE)


def _by_territory(lower: str) -> bool:
    return "scoreterritory" in lower if _is_notation(lower) else lower.startswith(_TERRITORY)


def _bonus(lower: str) -> Bonus:
    if _is_notation(lower):
        return "n-1" if "whbn-1" in lower else "n" if "whbn" in lower else "none"
    return next((bonus for beginning, bonus in _BONUS.items() if lower.startswith(beginning)), "none")


def _is_notation(lower: str) -> bool:
    return lower.startswith(_NOTATION[0]) and all(part in lower for part in _NOTATION)

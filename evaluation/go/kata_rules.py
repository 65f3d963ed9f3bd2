"""Rules as KataGo's GTP extensions write them, which other programs have taken up."""

from __future__ import annotations

from typing import Any, Final

from tengen.envs.go.rules import Rules

BONUSES: Final = {"none": "0", "n": "N", "n-1": "N-1"}
"""White's points for handicap stones, and KataGo's words for them."""


def kata_rules(rules: Rules) -> dict[str, Any]:
    """Return rules as KataGo's dictionary, without `friendlyPassOk`, of which rules say nothing."""
    return {
        "ko": rules.ko.upper(),
        "scoring": rules.scoring.upper(),
        "tax": "NONE",
        "suicide": rules.suicide,
        "hasButton": False,
        "whiteHandicapBonus": BONUSES[rules.handicap_bonus],
    }

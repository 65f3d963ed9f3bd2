"""Rules as KataGo's GTP extensions write them, which other programs have taken up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tengen.envs.go.rules import NAMED, Rules, named_rules

BONUSES: Final = {"none": "0", "n": "N", "n-1": "N-1"}
"""White's points for handicap stones, and KataGo's words for them."""

_CHANGED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "chinese-ogs": ("chinese", {}),
    "chinese-kgs": ("chinese", {}),
    "aga": ("chinese", {"ko": "situational", "handicap_bonus": "n-1"}),
    "bga": ("chinese", {"ko": "situational", "handicap_bonus": "n-1"}),
    "new-zealand": ("tromp-taylor", {"ko": "situational"}),
}

KATA_NAMES: Final = (*NAMED, *_CHANGED)
"""What sets of rules are called (KataGo's docs/GTP_Extensions.md), without those that tax groups or have a button.

`chinese` is the rule as written, with positional superko, as throughout Tengen; KataGo's has simple ko.
"""


def rules_by_kata_name(name: str, **changes: Any) -> Rules:
    """Return one of `KATA_NAMES` with some fields changed."""
    base, differences = _CHANGED.get(name, (name, {}))
    return replace(named_rules(base, **changes), **differences)


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

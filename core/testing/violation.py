"""How a broken rule of a contract is reported."""

from __future__ import annotations

from typing import TypeAlias

Rules: TypeAlias = dict[str, str]
"""What each rule says, by the rule's name."""


class Violation(AssertionError):
    """A rule of a contract is broken.

    Attributes:
        rule: The rule's name, a key of the suite's rules.
    """

    def __init__(self, rules: Rules, rule: str, seen: str) -> None:
        super().__init__(f"[{rule}] {rules[rule]} Seen: {seen}.")
        self.rule = rule

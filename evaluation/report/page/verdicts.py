"""The page's first section: what the evidence says, and what has to be known before believing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tengen.evaluation.report.page.elements import Markup, tag

_SHOWN = 8  # further ones that separate nothing are folded away


def verdicts(found: Mapping[str, Any]) -> Markup:
    """Return the verdicts, those over all tasks first; of many, those that separate nothing are folded away."""
    pairs = [("", pair) for pair in found["aggregate"]["pairs"]] if found["aggregate"] else []
    several = len(found["tasks"]) > 1
    for task in found["tasks"]:
        pairs += [(task["name"] if several else "", pair) for pair in task["pairs"]]
    pairs.sort(key=lambda pair: not pair[1]["separated"])
    shown, folded = pairs, []
    if len(pairs) > _SHOWN:
        shown = [pair for pair in pairs if pair[1]["separated"]]
        folded = [pair for pair in pairs if not pair[1]["separated"]]
    items = [_verdict(place, pair) for place, pair in shown]
    content: list[Any] = [tag("h2", "What the evidence says")]
    if not pairs:
        content.append(tag("p", "There is one agent, and nothing to compare it with."))
    elif not shown:
        content.append(tag("p", "No two agents are separated by the evidence."))
    content.append(tag("ul", items, class_="verdicts") if items else None)
    if folded:
        more = tag("ul", [_verdict(place, pair) for place, pair in folded], class_="verdicts")
        content.append(tag("details", tag("summary", f"{len(folded)} pairs that the evidence does not separate"), more))
    return tag("section", content, id="findings")


def _verdict(place: str, pair: Mapping[str, Any]) -> Markup:
    lead, facts = pair["words"]
    mark, word = (
        ("\N{HEAVY CHECK MARK}", "Separated.") if pair["separated"] else ("\N{ALMOST EQUAL TO}", "Not separated.")
    )
    if min(pair["runs"]) < 2:
        mark, word = "?", "Too few runs."
    where = tag("span", f"{place}: ") if place else None
    return tag(
        "li",
        tag("span", mark, class_="mark", role="img", aria_label=word),
        tag(
            "div",
            where,
            tag("span", lead + ".", class_="lead"),
            tag("p", facts[:1].upper() + facts[1:], class_="facts"),
        ),
        class_="separated" if pair["separated"] else None,
    )


def notes(found: Mapping[str, Any]) -> Markup | None:
    """Return what has to be known before believing it; None where there is nothing."""
    if not found["notes"]:
        return None
    items = [tag("li", note) for note in found["notes"]]
    return tag("section", tag("h2", "Before you believe it"), tag("ul", items), class_="notes", id="notes")

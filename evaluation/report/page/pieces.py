"""What several sections of the page are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tengen.evaluation.report.page.elements import Markup, table, tag
from tengen.evaluation.report.words import amount


def chart(kind: str, caption: str, class_: str = "") -> Markup:
    """Return the place that the script draws a chart of some kind into."""
    return tag(
        "figure",
        tag(
            "div",
            tag("noscript", "The chart needs a script; the tables hold its numbers."),
            class_=f"plot {class_}".strip(),
            data_chart=kind,
        ),
        tag("figcaption", caption),
    )


def folded(summary: str, *content: Any) -> Markup:
    """Return content that opens on request."""
    return tag("details", tag("summary", summary), content)


def ranged(parts: Sequence[Any]) -> list[Any]:
    """Return a value with its interval below it."""
    value, low, high = parts
    return [amount(value), tag("span", f"{amount(low)} to {amount(high)}", class_="low")]


def pair_table(pairs: Sequence[Mapping[str, Any]]) -> Markup:
    """Return all that is known about pairs of agents."""
    heading = ["pair", "difference", "P(first is better)", "p", "p, corrected", "seed by seed", "p, seed by seed"]
    rows = []
    for pair in pairs:
        paired = pair["paired"]
        rows.append(
            [
                f"{pair['a']} \N{MINUS SIGN} {pair['b']}",
                tag("span", ranged(pair["difference"])),
                tag("span", ranged(pair["probability_of_improvement"])),
                amount(pair["p_value"]),
                amount(pair["p_adjusted"]),
                tag("span", ranged(paired["difference"])) if paired else "\N{EN DASH}",
                f"{amount(paired['p_value'])} ({paired['pairs']} seeds)" if paired else "\N{EN DASH}",
            ]
        )
    return table(
        heading, rows, caption="Permutation tests, corrected by Holm for the number of pairs; 95% bootstrap intervals."
    )

"""The section of all tasks together, on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tengen.evaluation.report.page.elements import Markup, table, tag
from tengen.evaluation.report.page.pieces import chart, folded, pair_table, ranged
from tengen.evaluation.report.words import amount


def whole_section(whole: Mapping[str, Any]) -> Markup:
    """Return the section over all tasks."""
    one = {"human": "a human tester", "optimal": "the optimal score", "best agent": "the best agent's mean"}[
        whole["normalization"]
    ]
    names = {"mean": "mean", "median": "median", "iqm": "IQM", "optimality_gap": "optimality gap"}
    rows = [[agent["name"], *(tag("span", ranged(agent["scores"][key])) for key in names)] for agent in whole["agents"]]
    scale = [[name, amount(ends["low"]), amount(ends["high"])] for name, ends in whole["scale"].items()]
    return tag(
        "section",
        tag("h2", "All tasks together"),
        tag("p", f"Scores are on one scale: 0 is random play, 1 is {one}.", class_="facts"),
        tag("ul", class_="legend", aria_label="Agents; press one to hide it"),
        table(
            ["agent", *names.values()],
            rows,
            caption="Normalised final scores with 95% bootstrap intervals. A smaller optimality gap is better.",
        ),
        tag("h3", "Sample efficiency"),
        chart("part", "Interquartile mean over all runs of all tasks, by the part of the steps that is done."),
        tag("h3", "Performance profiles"),
        chart("profile", "The part of runs above each normalised score, the mean over tasks."),
        chart("pairs", "Differences of mean normalised scores with 95% intervals.", "rows") if whole["pairs"] else None,
        folded("All pairs", pair_table(whole["pairs"])) if whole["pairs"] else None,
        folded("The scale", table(["task", "0", "1"], scale, caption="What counts as 0 and as 1.")),
        id="all",
        data_task="all",
    )

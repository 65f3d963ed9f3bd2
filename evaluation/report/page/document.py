"""The page: one HTML file that holds its style, its script and its data, and asks no network for anything.

Texts and tables are written here and can be read without a script; charts are drawn by `page.js` from the data that
`chart_data` thins. A policy in the head forbids every request, whatever a name may hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from tengen.evaluation.report.films import Film
from tengen.evaluation.report.page.chart_data import chart_data
from tengen.evaluation.report.page.elements import Markup, data, tag
from tengen.evaluation.report.page.film_section import embedded
from tengen.evaluation.report.page.making import making, methods
from tengen.evaluation.report.page.task import task_section
from tengen.evaluation.report.page.verdicts import notes, verdicts
from tengen.evaluation.report.page.whole import whole_section
from tengen.evaluation.report.words import steps

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def page(found: Mapping[str, Any], films: Sequence[Film] = ()) -> str:
    """Return the page of a comparison.

    Args:
        found: What `findings.results` returned, with the `command` that makes it again.
        films: To be shown; those that are too large are named instead.
    """
    title = _title(found)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(_resource("page.css"))),
    )
    shown = embedded(films)
    body = tag(
        "body",
        tag("a", "Skip to the findings", href="#findings", class_="skip"),
        tag("svg", width="0", height="0", aria_hidden="true"),  # from which the script learns what SVG is
        _header(found, title),
        tag(
            "main",
            verdicts(found),
            notes(found),
            _contents(found),
            whole_section(found["aggregate"]) if found["aggregate"] else None,
            [
                task_section(task, k, [film for film in shown if film[0].task == task["name"]])
                for k, task in enumerate(found["tasks"])
            ],
            making(found),
            methods(found),
        ),
        tag(
            "footer",
            tag("p", "Made by Tengen. The same numbers are in results.json and in the CSV files beside this page."),
        ),
        data(chart_data(found), id="data"),
        tag("script", Markup(_resource("page.js"))),
    )
    return "<!doctype html>\n" + str(tag("html", head, body, lang="en"))


def _resource(name: str) -> str:
    return (resources.files("tengen.evaluation.report.page") / name).read_text(encoding="utf-8")


def _title(found: Mapping[str, Any]) -> str:
    agents, tasks = found["agents"], found["tasks"]
    who = _listed(agents) if len(agents) <= 4 else f"{len(agents)} agents"
    return f"{who} on {tasks[0]['name'] if len(tasks) == 1 else f'{len(tasks)} tasks'}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _header(found: Mapping[str, Any], title: str) -> Markup:
    runs = sum(len(agent["runs"]) for task in found["tasks"] for agent in task["agents"])
    budgets = sorted({task["steps"] for task in found["tasks"]})
    facts = [
        f"{runs} {'run' if runs == 1 else 'runs'}",
        f"{steps(budgets[0])}{f' to {steps(budgets[-1])}' if len(budgets) > 1 else ''} steps each",
        "scores of separate evaluations, never of training's own episodes",
    ]
    return tag(
        "header",
        tag("div", tag("h1", title), tag("p", " \N{MIDDLE DOT} ".join(facts), class_="facts")),
        tag("button", "Dark", type="button", id="theme", hidden=True),
    )


def _contents(found: Mapping[str, Any]) -> Markup | None:
    if len(found["tasks"]) < 2:
        return None
    links = [tag("li", tag("a", "All tasks", href="#all"))] if found["aggregate"] else []
    links += [tag("li", tag("a", task["name"], href=f"#task-{k}")) for k, task in enumerate(found["tasks"])]
    return tag("nav", tag("ul", links), aria_label="Tasks")

"""The section of one task: curves, scores, differences, films, settings, runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tengen.evaluation.report.page.elements import Markup, joined, table, tag
from tengen.evaluation.report.page.film_section import Shown, film_section
from tengen.evaluation.report.page.pieces import chart, folded, pair_table, ranged
from tengen.evaluation.report.words import amount, duration, interval, reached, setting_text, steps

_ROWS = 9  # of a curve, in its table
_MOST = 16  # settings that are shown at once


def task_section(task: Mapping[str, Any], place: int, films: Sequence[Shown]) -> Markup:
    """Return the section of a task, the `place`-th of the comparison."""
    protocol = f"protocol {task['protocol'].get('name', 'unnamed')}, " if task["protocol"] else ""
    episodes = " or ".join(map(str, task["eval_episodes"]))
    facts = f"{protocol}{steps(task['steps'])} steps, {episodes} episodes in each evaluation"
    timed = any(agent["time_curve"] for agent in task["agents"])
    training = any(run["training"]["steps"] for agent in task["agents"] for run in agent["runs"])
    several = len(task["agents"]) > 1
    return tag(
        "section",
        tag("h2", task["name"]),
        tag("p", facts, class_="facts"),
        tag("h3", "Learning curves"),
        _controls(place, timed),
        tag("ul", class_="legend", aria_label="Agents; press one to hide it"),
        chart("curve", "Mean return of separate evaluations. The band is the mean's 95% bootstrap interval over runs."),
        folded("The curves' numbers", _curve_table(task)),
        tag("h3", "Final scores"),
        chart("dots", "Each run, the mean (upright line) and its 95% interval (bar).", "rows"),
        _score_table(task),
        tag("h3", "Differences") if several else None,
        chart(
            "pairs",
            "The first agent's mean minus the second's, with 95% intervals. A check mark says: separated.",
            "rows",
        )
        if several
        else None,
        folded("All pairs", pair_table(task["pairs"])) if several else None,
        tag("h3", "Performance profiles"),
        chart("profile", "The part of runs whose final score is above each value; a higher line is better."),
        film_section(films),
        _settings(task),
        folded("Every run", _run_table(task)),
        folded(
            "Returns of training's own episodes",
            tag("p", "They include exploration, and are never compared.", class_="soft"),
            chart("training", "Means over stretches of training's episodes: of all runs, and thin of each."),
        )
        if training
        else None,
        _protocol(task),
        id=f"task-{place}",
        data_task=place,
    )


def _controls(place: Any, timed: bool) -> Markup:
    axis = None
    if timed:
        choices = [("steps", "Over steps", True), ("time", "Over time", False)]
        inputs = [
            (
                tag("input", type="radio", name=f"axis-{place}", id=f"{value}-{place}", value=value, checked=checked),
                tag("label", text, for_=f"{value}-{place}"),
            )
            for value, text, checked in choices
        ]
        axis = tag("div", inputs, class_="switch", role="radiogroup", aria_label="What the curves run over")
    seeds = tag("label", tag("input", type="checkbox", name=f"{place}-seeds"), "Each run", class_="check")
    return tag("div", axis, seeds, class_="controls")


def _score_table(task: Mapping[str, Any]) -> Markup:
    solved = task["threshold"] is not None
    heading = ["agent", "runs", "mean", "IQM", "median", "spread", "time"]
    if solved:
        heading += [f"reached {amount(task['threshold'])}", "steps to it", "time to it"]
    rows = []
    for agent in task["agents"]:
        scores = agent["scores"]
        row = [agent["name"], len(agent["runs"])]
        row += [tag("span", ranged(scores[key])) for key in ("mean", "iqm", "median")]
        row += [amount(agent["spread"]), duration(agent["seconds"])]
        if solved:
            many, *in_steps = reached(agent["steps_to_threshold"])
            _, *in_time = reached(agent["seconds_to_threshold"], duration)
            row += [many, *(tag("span", value, tag("span", ends, class_="low")) for value, ends in (in_steps, in_time))]
        rows.append(row)
    for name, score in task["references"].items():
        filler = [""] * (len(heading) - 3)
        rows.append([f"{name} ({task['score_table'] or 'given'})", "", amount(score), *filler])
    words = f"Final scores after {steps(task['steps'])} steps with 95% intervals; the spread is the standard deviation."
    if solved:
        words += f" {amount(task['threshold'])} is {_whose(task['threshold_source'])}."
    return table(heading, rows, caption=words)


def _whose(source: str) -> str:
    return {"a human tester": "a human tester's score", "as given": "the threshold that was given"}.get(
        source, f"{source} threshold"
    )


def _curve_table(task: Mapping[str, Any]) -> Markup:
    agents = task["agents"]
    every = sorted({step for agent in agents for step in agent["curve"]["steps"]})
    chosen = every if len(every) <= _ROWS else [every[round(k * (len(every) - 1) / (_ROWS - 1))] for k in range(_ROWS)]
    rows = []
    for step in chosen:
        row: list[Any] = [steps(step)]
        for agent in agents:
            curve = agent["curve"]
            if step in curve["steps"]:
                k = curve["steps"].index(step)
                row.append(interval([curve["mean"][k], curve["low"][k], curve["high"][k]]))
            else:
                row.append("\N{EN DASH}")
        rows.append(row)
    words = "Mean return with its 95% interval" + (
        f" at {len(chosen)} of {len(every)} evaluations" if len(chosen) < len(every) else ""
    )
    return table(["step", *(agent["name"] for agent in agents)], rows, caption=words)


def _run_table(task: Mapping[str, Any]) -> Markup:
    rows = []
    for agent in task["agents"]:
        for k, run in enumerate(agent["runs"]):
            times = agent["steps_to_threshold"]
            rows.append(
                [
                    f"{agent['name']}, seed {run['seed']}",
                    amount(run["score"]),
                    amount(run["best"]),
                    steps(run["steps"]),
                    steps(times["at"][k]) if times else "\N{EN DASH}",
                    duration(run["seconds"]),
                    run["folder"],
                ]
            )
    heading = ["run", "final", "best", "steps", "threshold at", "time", "folder"]
    return table(heading, rows, caption="The best evaluation is no score: it is picked by hindsight.")


def _settings(task: Mapping[str, Any]) -> Markup:
    differing = task["settings_differences"]
    names = [agent["name"] for agent in task["agents"]]
    if not differing:
        return joined([tag("h3", "Settings"), tag("p", "All agents have the same settings.", class_="soft")])
    shared = {name for name, values in differing.items() if len({json.dumps(each) for each in values.values()}) > 1}
    rows = {name: _setting_row(name, values, names) for name, values in differing.items()}
    found: list[Markup] = [tag("h3", "Settings that differ")]
    for title, chosen in (
        ("settings with different values", [row for name, row in rows.items() if name in shared]),
        ("settings that only some agents have", [row for name, row in rows.items() if name not in shared]),
    ):
        if not chosen:
            continue
        words = f"{len(chosen)} {title}" if len(chosen) > 1 else f"1 {title.replace('settings', 'setting')}"
        made = table(["setting", *names], chosen, caption=f"{words}; a dash: no such setting.", kind=None)
        found.append(made if chosen[0][0] in shared and len(chosen) <= _MOST else folded(words, made))
    return joined(found)


def _setting_row(setting: str, values: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [setting, *(setting_text(values[name]) if name in values else "\N{EN DASH}" for name in names)]


def _protocol(task: Mapping[str, Any]) -> Markup | None:
    if not task["protocol"]:
        return None
    rows = [[name, setting_text(value)] for name, value in task["protocol"].items()]
    return folded(
        "The protocol",
        table(["knob", "value"], rows, caption="What decided how the game was shown and scored.", kind=None),
    )

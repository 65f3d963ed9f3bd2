"""The numbers as Markdown for a README, and as CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tengen.evaluation.report.words import amount, duration, interval, reached


def markdown(found: Mapping[str, Any]) -> str:
    """Return verdicts, notes and tables of final scores."""
    parts = [
        "## What the evidence says",
        note_list(found["verdicts"] or ["Nothing to compare."]),
    ]
    if found["notes"]:
        parts += ["", "### Notes", "", note_list(found["notes"])]
    if found["aggregate"]:
        parts += ["", *_aggregate(found["aggregate"])]
    for task in found["tasks"]:
        parts += ["", f"### {escaped(task['name'])}", "", *task_table(task)]
    if found.get("command"):
        parts += ["", "Made by:", "", "```console", shlex.join(found["command"]).replace("`", "'"), "```"]
    parts.insert(1, "")
    return "\n".join(parts) + "\n"


def note_list(sentences: Sequence[str]) -> str:
    """Return sentences as a list."""
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def task_table(task: Mapping[str, Any]) -> list[str]:
    """Return the lines of what agents scored on a task: a sentence, and a table."""
    protocol = f", protocol {task['protocol'].get('name', 'unnamed')}" if task["protocol"] else ""
    heading = ["agent", "runs", "mean (95%)", "IQM (95%)", "median", "time"]
    solved = task["threshold"] is not None
    if solved:
        heading += [f"reached {amount(task['threshold'])}", "steps to it (median, 95%)"]
    rows = []
    for agent in task["agents"]:
        scores = agent["scores"]
        row = [agent["name"], str(len(agent["runs"])), interval(scores["mean"]), interval(scores["iqm"])]
        row += [amount(scores["median"][0]), duration(agent["seconds"])]
        if solved:
            many, median, ends = reached(agent["steps_to_threshold"])
            row += [many, f"{median} ({ends})" if ends else median]
        rows.append(row)
    words = f"Final return after {task['steps']:,} steps{escaped(protocol)}, by separate evaluations."
    return [words, "", *_table(heading, rows)]


def _aggregate(whole: Mapping[str, Any]) -> list[str]:
    names = {"mean": "mean", "median": "median", "iqm": "IQM", "optimality_gap": "optimality gap"}
    rows = [[agent["name"], *(interval(agent["scores"][key]) for key in names)] for agent in whole["agents"]]
    words = f"0 is random play, 1 is {whole['normalization']}; 95% stratified bootstrap intervals."
    return ["### All tasks, normalised", "", words, "", *_table(["agent", *names.values()], rows)]


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    return lines + ["| " + " | ".join(escaped(cell) for cell in row) + " |" for row in rows]


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    flat = " ".join(text.split())
    for mark in "\\`*_{}[]<>|#":
        flat = flat.replace(mark, "\\" + mark)
    return flat


def csv_files(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the CSV files by their names."""
    runs, scores, pairs, curves = [], [], [], []
    for task in found["tasks"]:
        protocol = (task["protocol"] or {}).get("name", "")
        for agent in task["agents"]:
            place = [task["name"], protocol, agent["name"]]
            runs += [_run(place, run, agent, k) for k, run in enumerate(agent["runs"])]
            parts = [part for key in ("mean", "iqm", "median") for part in agent["scores"][key]]
            scores.append([*place, len(agent["runs"]), *parts, agent["seconds"]])
            curve = agent["curve"]
            points = zip(curve["steps"], curve["mean"], curve["low"], curve["high"], strict=True)
            curves += [[*place, *point] for point in points]
        for pair in task["pairs"]:
            facts = [*pair["difference"], *pair["probability_of_improvement"], pair["p_value"], pair["p_adjusted"]]
            pairs.append([task["name"], protocol, pair["a"], pair["b"], *facts, pair["separated"]])
    place = ["task", "protocol", "agent"]
    ends = [f"{key}{end}" for key in ("mean", "iqm", "median") for end in ("", "_low", "_high")]
    facts = [f"{key}{end}" for key in ("difference", "probability_of_improvement") for end in ("", "_low", "_high")]
    return {
        "runs.csv": _csv([*place, "seed", "score", "best", "steps", "seconds", "steps_to_threshold", "folder"], runs),
        "scores.csv": _csv([*place, "runs", *ends, "seconds"], scores),
        "pairs.csv": _csv(["task", "protocol", "a", "b", *facts, "p_value", "p_adjusted", "separated"], pairs),
        "curves.csv": _csv([*place, "step", "mean", "low", "high"], curves),
    }


def _run(place: Sequence[str], run: Mapping[str, Any], agent: Mapping[str, Any], k: int) -> list[Any]:
    times = agent["steps_to_threshold"]
    to_threshold = None if times is None else times["at"][k]
    return [*place, *(run[name] for name in ("seed", "score", "best", "steps", "seconds")), to_threshold, run["folder"]]


def _csv(heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

"""A comparison in a few lines, for a terminal or another program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tengen.evaluation.report.words import amount, duration, interval


def summary(found: Mapping[str, Any]) -> str:
    """Return a comparison as lines for a terminal."""
    lines = []
    for task in found["tasks"]:
        protocol = f", protocol {task['protocol']['name']}" if task["protocol"] else ""
        if task["name"].endswith(protocol):  # it is part of the name where others differ in it
            protocol = ""
        lines.append(f"{task['name']} after {task['steps']:,} steps{protocol}")
        rows = [["agent", "runs", "mean (95%)", "IQM (95%)", "time"]]
        for agent in task["agents"]:
            scores = agent["scores"]
            times = duration(agent["seconds"])
            rows.append(
                [agent["name"], str(len(agent["runs"])), interval(scores["mean"]), interval(scores["iqm"]), times]
            )
        rows += [[f"{name} (known)", "", amount(value), "", ""] for name, value in task["references"].items()]
        widths = [max(len(row[k]) for row in rows) for k in range(5)]
        lines += [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        lines.append("")
    lines += [*found["verdicts"], *(f"note: {note}" for note in found["notes"])]
    return "\n".join(lines)


def brief(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores, verdicts and notes as JSON values."""
    tasks = [
        {
            "name": task["name"],
            "steps": task["steps"],
            "agents": [{"name": agent["name"], **agent["scores"]} for agent in task["agents"]],
        }
        for task in found["tasks"]
    ]
    return {"tasks": tasks, "verdicts": found["verdicts"], "notes": found["notes"]}

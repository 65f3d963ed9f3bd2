"""Learning curves as a picture, for a README."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tengen.evaluation.drawing import LEGEND, new_figure

COLOURS = ("#0072b2", "#c8500a", "#00785a", "#a8417f", "#7a6200", "#2b7fb8", "#5b5b5b", "#8c2d04")
"""After Okabe & Ito (2008), which all readers can tell apart; darker, so that they show on white."""

DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)))
"""Lines differ by more than colour."""

_COLUMNS = 3


def curves_figure(found: Mapping[str, Any]) -> Figure:
    """Return a figure with the learning curves of each task: means with their intervals over steps."""
    tasks = found["tasks"]
    columns = min(_COLUMNS, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = new_figure(4.4 * columns if columns > 1 else 6.4, 3.4 * rows + 0.5, "")
    places = {name: k for k, name in enumerate(found["agents"])}
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    lines: dict[str, Any] = {}
    for k, (axes, task) in enumerate(zip(grid, tasks, strict=False)):
        lines |= _draw(axes, task, places)
        if k % columns == 0:
            axes.set_ylabel("return of separate evaluations")
    for axes in grid[len(tasks) :]:
        axes.set_axis_off()
    figure.legend(lines.values(), lines.keys(), loc="outside upper center", ncols=min(4, len(lines)), **LEGEND)
    return figure


def _draw(axes: Axes, task: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    lines = {}
    for agent in task["agents"]:
        curve, k = agent["curve"], places[agent["name"]]
        if not curve["steps"]:
            continue
        colour = COLOURS[k % len(COLOURS)]
        axes.fill_between(curve["steps"], curve["low"], curve["high"], color=colour, alpha=0.18, linewidth=0)
        (line,) = axes.plot(
            curve["steps"], curve["mean"], color=colour, linestyle=DASHES[k % len(DASHES)], linewidth=1.6
        )
        lines[escaped(f"{agent['name']} ({len(agent['runs'])})")] = line
    axes.set_title(escaped(task["name"]))
    axes.set_xlabel("steps")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.ticklabel_format(axis="x", style="plain")
    axes.xaxis.set_major_formatter(lambda value, _: short_steps(value))
    return lines


def short_steps(value: float) -> str:
    """Return a number of steps as an axis has it: 50k, 1.5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def escaped(text: str) -> str:
    """Return text in which matplotlib finds no mathematics."""
    return text.replace("$", r"\$")

"""Values and greedy arrows on grids.

H W a grid, C its H * W cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from tengen.evaluation.drawing import LEGEND, PROBABILITIES, VALUES, ink, limits, new_figure, numerals
from tengen.evaluation.inspection.grid_marks import acted_in, draw_marks, marks, marks_legend
from tengen.evaluation.inspection.learnt import Learnt
from tengen.evaluation.inspection.places import GridPanel, Grids
from tengen.types import Floats

_WALL, _TRAP, _GOAL, _START = (0.27, 0.27, 0.31), (0.78, 0.36, 0.33), (1.0, 1.0, 1.0), (1.0, 0.55, 0.05)
_MOST_TICKS = 24

# Sides of a cell in inches.
_LARGEST, _ROOM_FOR_NUMBERS, _ROOM_FOR_MARKS, _ROOM_FOR_LINES = 0.95, 0.5, 0.12, 0.05


def grid_figure(grids: Grids, learnt: Learnt, title: str) -> Figure:
    """Return a figure of grids: a colour for each value, and what the policy does, as finely as there is room for.

    Args:
        grids: The grids, all of one size.
        learnt: Of all states, as the panels number them.
        title: Its headline.
    """
    panels = [panel for row in grids.panels for panel in row if panel is not None]
    rows, columns = len(grids.panels), max(map(len, grids.panels))
    height, width = panels[0].layout.height, panels[0].layout.width
    side = min(_LARGEST, 8.0 / (width * columns), 6.5 / (height * rows))
    figure = new_figure(max(columns * (width * side + 0.3) + 1.7, 5.0), rows * (height * side + 0.35) + 1.1, title)
    all_axes = np.asarray(figure.subplots(rows, columns, squeeze=False))
    of_cells = [learnt.rows(panel.states) for panel in panels]
    marked = side >= _ROOM_FOR_MARKS and learnt.decides
    colours = _colours(panels, of_cells)
    places = [
        (axes, panel)
        for axes_row, panel_row in zip(all_axes, grids.panels, strict=True)
        for axes, panel in zip(axes_row, panel_row, strict=True)
    ]
    own = iter(of_cells)
    for axes, panel in places:
        if panel is None:
            axes.set_axis_off()
        else:
            _draw(axes, panel, next(own), colours, side, marked=marked)
            _name(axes, panel, alone=len(panels) == 1)
    bar = figure.colorbar(colours, ax=all_axes, shrink=0.9, aspect=25)
    bar.set_label(learnt.about_v if learnt.v is not None else "probability of the likeliest action")
    handles = _legend(panels)
    if marked:
        handles += marks_legend(panels, [marks(panel, cells) for panel, cells in zip(panels, of_cells, strict=True)])
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), **LEGEND)
    return figure


def _colours(panels: list[GridPanel], of_cells: list[Learnt]) -> ScalarMappable:
    """Return the colours of values, or of probabilities where there are no values."""
    if of_cells[0].v is None:
        return ScalarMappable(Normalize(0.0, 1.0), PROBABILITIES)
    shown = [_shown(cells)[acted_in(panel)] for panel, cells in zip(panels, of_cells, strict=True)]
    return ScalarMappable(limits(np.concatenate(shown)), VALUES)


def _shown(cells: Learnt) -> Floats:
    return cells.v if cells.v is not None else cells.probabilities.max(1)


def _draw(axes: Any, panel: GridPanel, cells: Learnt, colours: ScalarMappable, side: float, *, marked: bool) -> None:
    """Draw a grid with what is learnt of its cells [C]."""
    layout, values, free = panel.layout, _shown(cells), acted_in(panel)
    background = np.asarray(colours.to_rgba(values))  # [C, 4]
    for states, fill in ((layout.walls, _WALL), (layout.traps, _TRAP), (layout.goals, _GOAL)):
        background[list(states), :3] = fill
    inks = ink(background)
    image = background.reshape(layout.height, layout.width, 4)
    axes.imshow(image, interpolation="nearest" if side >= _ROOM_FOR_LINES else "auto")
    if side >= _ROOM_FOR_LINES:
        _draw_lines(axes, panel, side)
    if side >= _ROOM_FOR_MARKS:
        _write_letters(axes, panel, inks, side)
    if marked:
        draw_marks(axes, panel, marks(panel, cells), inks, side, raised=0.1 if side >= _ROOM_FOR_NUMBERS else 0.0)
    if side >= _ROOM_FOR_NUMBERS:
        for state, text in zip(np.flatnonzero(free).tolist(), numerals(values[free]), strict=True):
            row, column = divmod(state, layout.width)
            place = (column, row + 0.36) if marked else (column, row)
            axes.text(*place, text, ha="center", va="center", fontsize=7.5 if marked else 9, color=inks[state])
    for state in layout.starts:
        row, column = divmod(state, layout.width)
        corner = (column - 0.46, row - 0.46)
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=_START, linewidth=side * 3 + 0.6))


def _draw_lines(axes: Any, panel: GridPanel, side: float) -> None:
    """Draw lines between the cells, and the walls between them."""
    height, width = panel.layout.height, panel.layout.width
    thickness = min(side * 2, 0.6)
    axes.hlines(np.arange(1, height) - 0.5, -0.5, width - 0.5, color="white", linewidth=thickness)
    axes.vlines(np.arange(1, width) - 0.5, -0.5, height - 0.5, color="white", linewidth=thickness)
    for state in panel.bars:
        row, column = divmod(state, width)
        axes.vlines(column + 0.5, row - 0.5, row + 0.5, color="black", linewidth=2.5)


def _write_letters(axes: Any, panel: GridPanel, inks: Floats, side: float) -> None:
    """Write G into goals, and the panel's own letters into corners."""
    size = min(side * 30, 13)
    centred = {"ha": "center", "va": "center", "weight": "bold"}
    for state in panel.layout.goals:
        row, column = divmod(state, panel.layout.width)
        axes.text(column, row, "G", fontsize=size, color=inks[state], **centred)
    for state, letter in panel.letters.items():
        row, column = divmod(state, panel.layout.width)
        axes.text(column - 0.32, row - 0.28, letter, fontsize=size * 0.7, color=inks[state], **centred)


def _name(axes: Any, panel: GridPanel, *, alone: bool) -> None:
    """Write the title, and number rows and columns where there is room."""
    height, width = panel.layout.height, panel.layout.width
    axes.set(title=panel.title, xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    if not alone:
        axes.set(xticks=[], yticks=[])
        return
    axes.set(xlabel="column", ylabel="row")
    if max(height, width) <= _MOST_TICKS:
        axes.set_xticks(range(width), panel.columns or None)
        axes.set_yticks(range(height))


def _legend(panels: list[GridPanel]) -> list[Any]:
    """Return what those cells mean that do occur."""
    layouts = [panel.layout for panel in panels]
    handles = []
    if any(layout.starts for layout in layouts):
        handles.append(Patch(fill=False, edgecolor=_START, linewidth=2, label="start"))
    for name, colour, found in (
        ("goal", _GOAL, any(layout.goals for layout in layouts)),
        ("hole or cliff", _TRAP, any(layout.traps for layout in layouts)),
        ("wall", _WALL, any(layout.walls for layout in layouts)),
    ):
        if found:
            handles.append(Patch(facecolor=colour, edgecolor="grey", label=name))
    return handles

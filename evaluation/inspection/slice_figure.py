"""Values and policy over real observations of one part, or of more than two: as lines, or as slices by pairs of parts.

K parts of an observation, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from tengen.evaluation.drawing import LEGEND, VALUES, limits, new_figure
from tengen.evaluation.inspection.chart_figure import choice_legend, draw_choices, draw_values
from tengen.evaluation.inspection.learnt import Learnt
from tengen.evaluation.inspection.places import Axis, Chart
from tengen.types import Floats

MOST_PARTS = 6
_PANEL = 2.1  # inches


def line_figure(axis: Axis, learnt: Learnt, actions: Sequence[str], title: str) -> Figure:
    """Return a figure of lines over the only part of an observation: of q, else of the policy and of v.

    Args:
        axis: The points.
        learnt: Of the points.
        actions: Names of the actions [A].
        title: The figure's headline.
    """
    rows: list[tuple[str, Floats, Sequence[str]]] = []
    if learnt.q is not None:
        rows.append(("q(s, a)", learnt.q, actions))
    elif learnt.decides:
        rows.append(("probability", learnt.probabilities, actions))
    if learnt.q is None and learnt.v is not None:
        rows.append((learnt.about_v, learnt.v[:, None], [""]))
    figure = new_figure(6.0, 3.0 * len(rows) + 0.8, title)
    for axes, (about, table, labels) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        for column, label in enumerate(labels):
            axes.plot(axis.points, table[:, column], label=label)
        axes.set(xlabel=axis.name, ylabel=about)
        axes.grid(alpha=0.3)
        if len(labels) > 1:
            axes.legend(**LEGEND)
    return figure


def slice_figure(
    slices: Sequence[tuple[Chart, Learnt]], axes: Sequence[Axis], actions: Sequence[str], title: str, where: str
) -> Figure:
    """Return a square of slices: values below the diagonal, what the policy does above it.

    Args:
        slices: For each pair of parts a chart, x before y, and what is learnt of its points.
        axes: Of each part [K].
        actions: Names of the actions [A].
        title: The figure's headline.
        where: What the parts are that aren't in a slice.
    """
    size = len(axes)
    figure = new_figure(_PANEL * size + 1.0, _PANEL * size + 0.9, title)
    squares = np.asarray(figure.subplots(size, size, squeeze=False))
    place = {axis.name: part for part, axis in enumerate(axes)}
    values = [learnt.v for _, learnt in slices if learnt.v is not None]
    colours = ScalarMappable(limits(np.concatenate(values) if values else np.zeros(1)), VALUES)
    for part, axis in enumerate(axes):
        square = squares[part, part]
        square.set_axis_off()
        square.text(0.5, 0.5, axis.name, ha="center", va="center", wrap=True, transform=square.transAxes)
    for chart, learnt in slices:
        x, y = place[chart.x.name], place[chart.y.name]
        if learnt.v is not None:
            draw_values(squares[y, x], chart, learnt.v.reshape(chart.states.shape), colours)
        turned = Chart("", chart.y, chart.x, chart.states.T)
        draw_choices(squares[x, y], turned, learnt.rows(turned.states.ravel()))
    for (row, column), square in np.ndenumerate(squares):
        square.tick_params(labelsize=6)
        square.set_xlabel(axes[column].name if row == size - 1 else "", fontsize=7)
        square.set_ylabel(axes[row].name if column == 0 else "", fontsize=7)
    if values:
        bar = figure.colorbar(colours, ax=squares, shrink=0.6, aspect=30)
        bar.set_label(f"below the diagonal: {slices[0][1].about_v}")
    handles = choice_legend(max((learnt for _, learnt in slices), key=lambda one: one.undecided.any()), actions)
    about, columns = f"above the diagonal: the policy; all other parts {where}", min(len(handles), 6)
    figure.legend(handles=handles, title=about, loc="outside lower center", ncols=columns, **LEGEND)
    return figure

"""Values and policy over real observations of one part, or of more than two: as lines, or as slices by pairs of parts.

K parts of an observation, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from tengen.evaluation.chart_figure import choice_legend, draw_choices, draw_values
from tengen.evaluation.drawing import LEGEND, VALUES, limits, new_figure
from tengen.evaluation.learnt import Learnt
from tengen.evaluation.places import Axis, Chart

MOST_PARTS = 6
_PANEL = 2.1  # inches


def line_figure(axis: Axis, learnt: Learnt, actions: Sequence[str], title: str) -> Figure:
    """Return a figure of lines over the only part of an observation: of q, else of v and the policy.

    Args:
        axis: The points.
        learnt: Of the points.
        actions: Names of the actions [A].
        title: The figure's headline.
    """
    figure = new_figure(6.0, 4.0, title)
    axes = figure.subplots()
    table, about = (learnt.q, "q(s, a)") if learnt.q is not None else (learnt.probabilities, "probability")
    for action, name in enumerate(actions):
        axes.plot(axis.points, table[:, action], label=name)
    axes.set_xlabel(axis.name)
    axes.set_ylabel(about)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=min(len(actions), 6), **LEGEND)
    return figure


def slice_figure(
    slices: Sequence[tuple[Chart, Learnt]], axes: Sequence[Axis], actions: Sequence[str], title: str
) -> Figure:
    """Return a square of slices: values below the diagonal, what the policy does above it.

    Args:
        slices: For each pair of parts a chart, x before y, and what is learnt of its points.
        axes: Of each part [K].
        actions: Names of the actions [A].
        title: The figure's headline.
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
    together = slices[0][1]
    handles = choice_legend(together, actions)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 6),
        title=("above the diagonal: the policy; all other parts in the middle of their range"),
        **LEGEND,
    )
    return figure

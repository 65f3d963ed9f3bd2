"""Policies and values of states that lie on two axes: cards, cars, or a plane of real observations.

R rows, C columns, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tengen.evaluation.drawing import LEGEND, VALUES, action_colours, limits, new_figure
from tengen.evaluation.inspection.learnt import Learnt
from tengen.evaluation.inspection.places import Axis, Chart
from tengen.types import Array, Floats

_UNDECIDED = (0.85, 0.85, 0.85)
_PANEL = 3.6  # inches
_MOST_TICKS = 16
_ERROR = 0.1  # by how much costs may be on the wrong side of zero, as a part of the greatest


def chart_figure(charts: Sequence[Chart], learnt: Learnt, actions: Sequence[str], title: str) -> Figure:
    """Return a figure with a row for each chart: what the policy does, and the values as a surface.

    Values below zero are costs, and are drawn as such.

    Args:
        charts: Where states lie.
        learnt: Of all states, as the charts number them.
        actions: Names of the actions [A], where the charts have no better ones.
        title: The figure's headline.
    """
    together = learnt.rows(np.concatenate([chart.states.ravel() for chart in charts]))
    decides = together.decides
    num_columns = decides + (learnt.v is not None)
    figure = new_figure(max(_PANEL * 1.3 * num_columns, 5.0), _PANEL * len(charts) + 0.8, title)
    for row, chart in enumerate(charts):
        own = learnt.rows(chart.states.ravel())
        if decides:
            axes = figure.add_subplot(len(charts), num_columns, row * num_columns + 1)
            draw_choices(axes, chart, own)
            axes.set_title(f"policy{_of(chart)}")
        if learnt.v is not None:
            assert own.v is not None
            surface: Any = figure.add_subplot(len(charts), num_columns, (row + 1) * num_columns, projection="3d")
            _draw_surface(surface, chart, own.v.reshape(chart.states.shape), together)
    if decides:
        handles = choice_legend(together, charts[0].actions or actions)
        about, columns = charts[0].about_actions or None, min(len(handles), 12)
        figure.legend(handles=handles, title=about, loc="outside lower center", ncols=columns, **LEGEND)
    return figure


def draw_choices(axes: Any, chart: Chart, learnt: Learnt) -> None:
    """Draw what the policy does: a colour for each action, the paler the less probable it is.

    Args:
        axes: Where.
        chart: The places of states [R, C].
        learnt: Of its states [R * C].
    """
    image = choice_colours(learnt).reshape(*chart.states.shape, 4)
    axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest", extent=_extent(chart))
    _name(axes, chart.x, chart.y)
    if chart.x.labels or chart.y.labels:  # cells that are counted
        for axis, span in ((chart.x, axes.axvline), (chart.y, axes.axhline)):
            for point in axis.points[:-1]:
                span(point + 0.5, color="white", linewidth=0.5)


def choice_colours(learnt: Learnt) -> Array:
    """Return a colour for the likeliest action of each observation [N, 4]; grey where none is better than others."""
    num_actions = learnt.probabilities.shape[1]
    likeliest = learnt.probabilities.argmax(1)
    colours = action_colours(num_actions)(likeliest)
    sure = (learnt.probabilities.max(1) * num_actions - 1.0) / max(num_actions - 1, 1)  # 0 for an even policy
    pale = (1.0 - np.clip(sure, 0.15, 1.0))[:, None]
    colours[:, :3] += pale * (1.0 - colours[:, :3])
    colours[learnt.undecided] = to_rgba(_UNDECIDED)
    return np.asarray(colours)


def choice_legend(learnt: Learnt, actions: Sequence[str]) -> list[Patch]:
    """Return which colour is which action."""
    colours = action_colours(len(actions))
    handles = [Patch(facecolor=colours(a), edgecolor="grey", label=name) for a, name in enumerate(actions)]
    if learnt.undecided.any():
        handles.append(Patch(facecolor=_UNDECIDED, edgecolor="grey", label="no preference"))
    return handles


def is_cost(v: Floats) -> bool:
    """Return whether values are below zero, but for what an approximation errs."""
    return bool(v.min() < 0.0 and v.max() < -_ERROR * v.min())


def _draw_surface(axes: Any, chart: Chart, v: Floats, together: Learnt) -> None:
    """Draw values [R, C] as heights, on the scale of all charts together."""
    assert together.v is not None
    cost = is_cost(together.v)
    heights, scale = (-v, limits(-together.v)) if cost else (v, limits(together.v))
    x, y = np.meshgrid(_spread(chart.x.points), _spread(chart.y.points))
    heights = heights.repeat(x.shape[0] // heights.shape[0], 0).repeat(x.shape[1] // heights.shape[1], 1)
    axes.plot_surface(
        x, y, heights, cmap=VALUES, norm=scale, rstride=1, cstride=1, linewidth=0.2, edgecolor=(0, 0, 0, 0.35)
    )
    axes.set_zlim(scale.vmin, scale.vmax)
    _name(axes, chart.x, chart.y)
    axes.set_box_aspect((1.2, 1.2, 0.75), zoom=1.0)
    axes.view_init(elev=32, azim=-125)
    axes.tick_params(labelsize=7, pad=0)
    axes.set_title(f"{_cost_name(together) if cost else together.about_v}{_of(chart)}")


def _spread(points: Array) -> Array:
    """Return points of which a surface can be made: of a single one, its two sides."""
    return points if len(points) > 1 else points + np.array([-0.5, 0.5])


def _cost_name(learnt: Learnt) -> str:
    return f"cost to go, -{learnt.about_v.partition(',')[0] if learnt.q is None else 'max q(s, a)'}"


def _of(chart: Chart) -> str:
    return f": {chart.title}" if chart.title else ""


def _name(axes: Any, x: Axis, y: Axis) -> None:
    axes.set_xlabel(x.name)
    axes.set_ylabel(y.name)
    for axis, put in ((x, axes.set_xticks), (y, axes.set_yticks)):
        if axis.labels:
            put(axis.points, axis.labels)
        elif np.issubdtype(axis.points.dtype, np.integer):
            put(axis.points[:: -(-len(axis.points) // _MOST_TICKS)])


def _extent(chart: Chart) -> tuple[float, float, float, float]:
    """Return the ends of a picture whose pixels are centred on the points."""
    ends: list[float] = []
    for axis in (chart.x, chart.y):
        width = (axis.points[-1] - axis.points[0]) / max(len(axis.points) - 1, 1)
        half = width / 2 or 0.5  # of a single point
        ends += [float(axis.points[0] - half), float(axis.points[-1] + half)]
    return ends[0], ends[1], ends[2], ends[3]


def draw_values(axes: Any, chart: Chart, v: Floats, colours: ScalarMappable) -> None:
    """Draw values [R, C] as colours."""
    axes.imshow(
        colours.to_rgba(v),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=_extent(chart),
    )
    _name(axes, chart.x, chart.y)

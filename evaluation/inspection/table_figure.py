"""A table as it is: the value of each action in each state as a heat map, states from left to right.

N states, K parts of a state's number, A actions, G columns drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from tengen.errors import UserError
from tengen.evaluation.drawing import PROBABILITIES, VALUES, ink, limits, new_figure, numerals
from tengen.evaluation.inspection.learnt import Learnt
from tengen.types import Floats

MOST_STATES = 5_000_000
_MOST_COLUMNS = 1_000
_ROOM_FOR_NUMBERS = 200  # cells at most
_MOST_LABELS = 32


class Columns(NamedTuple):
    """How states are drawn: G columns, each the mean of `size` states that follow one another; the last may have less.

    Where that is possible the states of a column differ in the last parts of their number only.
    """

    size: int
    averaged: int  # how many of the last parts; 0: none, or they are no whole parts


def columns_of(sizes: Sequence[int]) -> Columns:
    """Return how to draw states whose numbers have parts of some sizes [K]."""
    num_states = int(np.prod(sizes))
    if num_states <= _MOST_COLUMNS:
        return Columns(1, 0)
    block = 1
    for averaged, size in enumerate(reversed(sizes), 1):
        block *= size
        if num_states // block <= _MOST_COLUMNS:
            if averaged == len(sizes):
                break
            return Columns(block, averaged)
    return Columns(-(-num_states // _MOST_COLUMNS), 0)


def check_size(env_id: str, num_states: int) -> None:
    """Refuse a table of which a picture would show nothing.

    Raises:
        UserError: It is too large.
    """
    if num_states > MOST_STATES:
        raise UserError(
            f"the table of {env_id} has {num_states:,} states, and a picture can show the means of at most"
            f" {MOST_STATES:,}: use fewer bins"
        )


def table_figure(
    learnt: Learnt, sizes: Sequence[int], parts: Sequence[str], actions: Sequence[str], title: str
) -> Figure:
    """Return a figure of a table: q where there is one, else the policy's probabilities, and v where it isn't max q.

    Args:
        learnt: Of the states [N].
        sizes: Values of each part of a state's number [K].
        parts: What the parts are [K].
        actions: Names of the actions [A].
        title: The figure's headline.
    """
    columns = columns_of(sizes)
    table, about = (learnt.q, "q(s, a)") if learnt.q is not None else (learnt.probabilities, "probability")
    line = learnt.v if learnt.q is None else None
    flat = not learnt.decides
    num_rows = (not flat) + (line is not None)
    num_groups, num_actions = -(-len(table) // columns.size), table.shape[1]
    width, height = min(max(0.5 * num_groups + 2.5, 5.0), 12.0), min(max(0.35 * num_actions + 1.6, 2.4), 7.0)
    figure = new_figure(width, height * (not flat) + 2.6 * (line is not None), title)
    all_axes = list(np.asarray(figure.subplots(num_rows, 1, squeeze=False))[:, 0])
    if not flat:
        axes = all_axes.pop(0)
        if columns.size > 1:  # most states of a large table were never seen, and would drown the others
            table = np.where(learnt.undecided[:, None], np.nan, table)
        drawn = means(table, columns.size)
        scale = limits(drawn) if learnt.q is not None else Normalize(0.0, 1.0)
        colours = ScalarMappable(scale, VALUES if learnt.q is not None else PROBABILITIES)
        _draw_table(axes, drawn, colours, actions)
        _name_states(axes, num_groups, columns, sizes, parts)
        if columns.size > 1:
            axes.set_xlabel(f"{axes.get_xlabel()}, of the states with a preference; white: there is none")
        figure.colorbar(colours, ax=axes, aspect=15).set_label(about)
    if line is not None:
        axes = all_axes.pop(0)
        axes.plot(means(line[:, None], columns.size)[:, 0], ".-" if num_groups <= 64 else "-", linewidth=1.0)
        axes.set_ylabel(learnt.about_v.partition(",")[0])
        axes.grid(alpha=0.3)
        _name_states(axes, num_groups, columns, sizes, parts)
    return figure


def means(table: Floats, size: int) -> Floats:
    """Return the means of each `size` rows that follow one another, [G, A]; NaN doesn't count."""
    if size == 1:
        return table
    starts = np.arange(0, len(table), size)
    known = np.isfinite(table)
    sums = np.add.reduceat(np.where(known, table, 0.0), starts, axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / np.add.reduceat(known.astype(np.float64), starts, axis=0))


def _draw_table(axes: Any, table: Floats, colours: ScalarMappable, actions: Sequence[str]) -> None:
    """Draw a heat map [G, A], with numbers where there is room; what isn't known is left white."""
    image = np.asarray(colours.to_rgba(table.T))
    image[~np.isfinite(table.T)] = 1.0
    axes.imshow(image, aspect="auto", interpolation="nearest")
    axes.set_ylabel("action")
    if len(actions) <= _MOST_LABELS:
        axes.set_yticks(range(len(actions)), actions)
    if table.size <= _ROOM_FOR_NUMBERS and len(table) <= 16:
        texts = np.array(numerals(table.ravel())).reshape(table.shape)
        for column, action in np.argwhere(np.isfinite(table)):
            colour = ink(image[action, column])
            axes.text(column, action, texts[column, action], ha="center", va="center", fontsize=7.5, color=colour)


def _name_states(axes: Any, num_groups: int, columns: Columns, sizes: Sequence[int], parts: Sequence[str]) -> None:
    """Say what the columns are."""
    kept = len(sizes) - columns.averaged
    name = "state" if len(sizes) == 1 else f"state: {', '.join(parts[:kept])}"
    name += " (the last one runs fastest)" if kept > 1 else ""
    if columns.size > 1:
        over = f"over {', '.join(parts[kept:])}" if columns.averaged else f"of {columns.size:,} states"
        name += f"\neach column is the mean {over}"
    axes.set_xlabel(name)
    if num_groups <= _MOST_LABELS:
        axes.set_xticks(range(num_groups))
    axes.set_xlim(-0.5, num_groups - 0.5)

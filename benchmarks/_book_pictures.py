"""What several pictures share: values on a grid, arrows for actions, curves with their error.

H W a grid, S states, A actions, R runs, X points of a curve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tengen.envs.book import GridLayout
from tengen.types import Array, Bools, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def heat(axes: Axes, values: Floats, title: str) -> None:
    """Draw values [H, W] as colours."""
    axes.imshow(values, cmap="YlGnBu", alpha=0.7)
    axes.set(title=title, xticks=[], yticks=[])


def numbers(axes: Axes, values: Floats, form: str) -> None:
    """Write each value [H, W] into its cell."""
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row + 0.32, form.format(value), ha="center", va="center", fontsize=8)


def arrows(axes: Axes, layout: GridLayout | None, taken: Bools) -> None:
    """Draw an arrow for each action taken [S, A]."""
    assert layout is not None
    still = layout.goals | layout.walls | layout.traps
    for state, action in zip(*np.nonzero(taken[: layout.num_states]), strict=True):
        if int(state) not in still:
            row, column = divmod(int(state), layout.width)
            down, right = layout.moves[action]
            axes.annotate(
                "",
                (column + 0.3 * right, row - 0.12 + 0.3 * down),
                (column, row - 0.12),
                arrowprops={"arrowstyle": "->", "lw": 0.8},
            )


def curve(axes: Axes, x: Array, runs: Array, label: str, **style: Any) -> None:
    """Draw the mean over runs [R, X], and a band of two standard errors about it."""
    mean, error = runs.mean(0), runs.std(0, ddof=1) / np.sqrt(len(runs))
    (line,) = axes.plot(x, mean, label=label, lw=1.2, **style)
    axes.fill_between(x, mean - 2 * error, mean + 2 * error, color=line.get_color(), alpha=0.2, lw=0)


def finish(axes: Axes, title: str, x: str, y: str) -> None:
    """Name the axes and what is drawn."""
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)

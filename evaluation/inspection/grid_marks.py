"""What is drawn of a policy into the cells of a grid: arrows, letters, rings and dots.

C cells, A actions, M marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from tengen.evaluation.inspection.learnt import Learnt
from tengen.evaluation.inspection.places import GridPanel
from tengen.types import Bools, Floats, Ints

_PALE = 0.35  # how strongly an equally good action is drawn
_LEAST = 0.05  # probability that gets an arrow
_ALONE, _SHARED = 0.56, 0.32  # lengths of an arrow, in cells
_GAP = 0.06  # between the middle of a cell and the arrows that share it
_SHORTEST = 0.4  # of what is hardly ever taken, as a part of those


@dataclass(frozen=True)
class Marks:
    """What is drawn: M signs, each for an action in a cell.

    Attributes:
        cell: [M].
        action: [M].
        length: [M], 1 for an action that is taken for sure; the less, the less probable it is.
        taken: [M], False for an action that is as good as the best and is not taken.
        undecided: The cells in which nothing tells the actions apart.
    """

    cell: Ints
    action: Ints
    length: Floats
    taken: Bools
    undecided: Ints


def acted_in(panel: GridPanel) -> Bools:
    """Return the cells [C] in which somebody acts: not walls, and not where an episode ends."""
    layout = panel.layout
    free = np.ones(layout.num_states, np.bool_)
    free[[*layout.walls, *layout.goals, *layout.traps]] = False
    return free


def marks(panel: GridPanel, learnt: Learnt) -> Marks:
    """Return what to draw of a policy.

    Args:
        panel: The grid.
        learnt: Of its cells [C].
    """
    free = acted_in(panel)
    undecided = learnt.undecided & free
    taken = learnt.probabilities >= _LEAST
    drawn = (taken | learnt.best) & (free & ~undecided)[:, None]
    cell, action = drawn.nonzero()
    is_taken = taken[cell, action]
    length = np.where(is_taken, _SHORTEST + (1.0 - _SHORTEST) * learnt.probabilities[cell, action], 1.0)
    return Marks(cell, action, length, is_taken, np.flatnonzero(undecided))


def draw_marks(axes: Any, panel: GridPanel, drawn: Marks, inks: Floats, side: float, raised: float) -> None:
    """Draw arrows for moves, letters for other actions, a ring for staying, and a dot where nothing is decided.

    Args:
        axes: Where; a cell is 1 wide, and its centre at (column, row).
        panel: The grid.
        drawn: What.
        inks: Of each cell [C, 3].
        side: Of a cell, in inches.
        raised: Above the cell's centre, in cells.
    """
    row, column = np.divmod(drawn.cell, panel.layout.width)
    steps = [move if isinstance(move, tuple) else (0, 0) for move in panel.moves]
    delta = np.array(steps, np.float64)[drawn.action]  # [M, 2], rows and columns
    moving = delta.any(1)
    alone = np.bincount(drawn.cell, minlength=panel.layout.num_states)[drawn.cell] == 1
    norm = np.where(moving, np.hypot(*delta.T), 1.0)
    towards = delta / norm[:, None]
    length = drawn.length * np.where(alone, _ALONE, _SHARED)
    reach = towards * length[:, None]
    tail = np.stack([row - raised, column], axis=1) + towards * np.where(alone, -length / 2, _GAP)[:, None]
    colour = np.concatenate([inks[drawn.cell], np.where(drawn.taken, 1.0, _PALE)[:, None]], axis=1)  # [M, 4]
    axes.quiver(
        *tail[moving].T[::-1],
        *reach[moving].T[::-1],
        color=colour[moving],
        angles="xy",
        scale_units="xy",
        scale=1.0,
        units="x",
        width=0.05,
        headwidth=3.6,
        headlength=3.4,
        headaxislength=3.1,
        minlength=0.0,
        zorder=3,
    )
    for at in np.flatnonzero(~moving):
        move = panel.moves[drawn.action[at]]
        x, y = float(column[at]), float(row[at]) - raised
        if isinstance(move, str):
            axes.text(x, y, _letter(move), ha="center", va="center", fontsize=min(side * 30, 13), color=colour[at])
        else:
            axes.plot(x, y, "o", fillstyle="none", markersize=side * 14, color=colour[at])
    row, column = np.divmod(drawn.undecided, panel.layout.width)
    axes.scatter(column, row - raised, s=(side * 7) ** 2, c=inks[drawn.undecided], zorder=3, linewidths=0)


def marks_legend(panels: Sequence[GridPanel], drawn: Sequence[Marks]) -> list[Line2D]:
    """Return what those marks mean that do occur."""

    def sign(marker: str, size: float, label: str, alpha: float = 1.0) -> Line2D:
        filled: dict[str, Any] = {"color": "none", "markerfacecolor": "black", "markeredgewidth": 0}
        return Line2D([], [], marker=marker, markersize=size, label=label, alpha=alpha, **filled)

    handles = []
    probable = any((own.taken & (own.length < 1)).any() for own in drawn)
    if any(len(own.cell) for own in drawn):
        label = "policy: the longer, the likelier" if probable else "what the policy does"
        handles.append(sign(r"$\rightarrow$", 11, label))
    if any((~own.taken).any() for own in drawn):
        handles.append(sign(r"$\rightarrow$", 11, "equally good", _PALE))
    if any(len(own.undecided) for own in drawn):
        handles.append(sign("o", 4, "no preference"))
    used = {panel.moves[a] for panel, own in zip(panels, drawn, strict=True) for a in np.unique(own.action)}
    handles += [sign(f"${_letter(word)}$", 6, word) for word in sorted(move for move in used if isinstance(move, str))]
    if any(move == (0, 0) for move in used):
        handles.append(
            Line2D([], [], marker="o", color="none", markeredgecolor="black", fillstyle="none", label="stay")
        )
    return handles


def _letter(word: str) -> str:
    return word[0].upper()

"""Values and policies as text: on the environment's grid where it has one, else as a table.

S states, H W the grid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tengen.envs.config import EnvConfig

if TYPE_CHECKING:
    from tengen.envs.book import GridLayout
    from tengen.planners.dynamic_programming import Plan

SMALL = 1_000  # states that are written out one by one in JSON
_MOST_ROWS = 64  # of a table, and cells along the side of a grid
_MOST_COLUMNS = 20

_ARROWS = {
    (-1, 0): "^",
    (1, 0): "v",
    (0, -1): "<",
    (0, 1): ">",
    (0, 0): "o",
    (-1, -1): "NW",
    (-1, 1): "NE",
    (1, -1): "SW",
    (1, 1): "SE",
}


def picture(config: EnvConfig, plan: Plan) -> str:
    """Return values and policy as text; an empty one where there are too many states to be looked at."""
    from tengen.evaluation.inspection.places import layout_at

    layout = layout_at(config)
    if layout is not None and layout.height <= _MOST_ROWS and layout.width <= _MOST_COLUMNS:
        return f"{_grid(layout, lambda state: _value(layout, plan, state))}\n\n{_moves(layout, plan)}"
    if len(plan.v) > _MOST_ROWS:
        return ""
    rows = [("state", "value", "action")]
    rows += [(str(s), f"{v:.4f}", str(a)) for s, (v, a) in enumerate(zip(plan.v, plan.policy, strict=True))]
    return "\n".join(f"{state:>5}{value:>12}{action:>8}" for state, value, action in rows)


def _value(layout: GridLayout, plan: Plan, state: int) -> str:
    return "#" if state in layout.walls else f"{plan.v[state]:.4g}"


def _moves(layout: GridLayout, plan: Plan) -> str:
    """Return the policy on the grid, with `#` for walls, `G` for goals and `x` for traps."""
    signs = layout.text().replace("\n", "")

    def move(state: int) -> str:
        if signs[state] in "#xG":
            return signs[state]
        action = int(plan.policy[state])
        return _ARROWS.get(layout.moves[action], str(action)) if layout.moves else str(action)

    return _grid(layout, move)


def _grid(layout: GridLayout, cell: Callable[[int], str]) -> str:
    cells = [[cell(row * layout.width + column) for column in range(layout.width)] for row in range(layout.height)]
    width = max(len(text) for row in cells for text in row) + 1
    return "\n".join("".join(f"{text:>{width}}" for text in row) for row in cells)

"""Mazes of Sutton & Barto (2018), chapter 8, two of which change under the agent.

Reward is +1 for entering the goal, else 0. Actions are 0 up, 1 right, 2 down, 3 left; one that would enter a wall or
leave the grid stays.
"""

from __future__ import annotations

from tengen.envs.book._base import Change, GridLayout, TabularEnv, check_at_least
from tengen.envs.book._grids import FOUR_MOVES, destinations, grid_tables
from tengen.tables import TransitionTables

_DYNA = """\
.......#G
..#....#.
S.#....#.
..#......
.....#...
.........
"""
_LEFT_OPEN = """\
........G
.........
.........
.########
.........
...S.....
"""
_RIGHT_OPEN = _LEFT_OPEN.replace(".########", "########.")
_BOTH_OPEN = _LEFT_OPEN.replace(".########", ".#######.")


class DynaMaze(TabularEnv):
    """The maze on which planning speeds learning up (Example 8.1, figure 8.2): 47 free cells, 14 steps at best.

    Args:
        scale: Each cell becomes scale * scale cells, those of the goal all goals, and the start is the top left one of
            its own: the larger mazes of prioritized sweeping (Example 8.4), with 47 * scale**2 free cells.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: The scale is below 1.
    """

    def __init__(self, scale: int = 1, render_mode: str | None = None) -> None:
        check_at_least("DynaMaze", 1, scale=scale)
        layout = parse_maze(_DYNA, scale)
        super().__init__(_maze_tables(layout), layout, render_mode=render_mode)


class BlockingMaze(TabularEnv):
    """The wall's opening moves from its right end to its left (Example 8.2): 10 steps at best, 16 after the change.

    Args:
        change_step: Environment steps, over episodes, after which it changes.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: `change_step` is below 1.
    """

    def __init__(self, change_step: int = 1000, render_mode: str | None = None) -> None:
        check_at_least("BlockingMaze", 1, change_step=change_step)
        before, after = parse_maze(_RIGHT_OPEN), parse_maze(_LEFT_OPEN)
        changes = [Change(change_step, _maze_tables(after), after)]
        super().__init__(_maze_tables(before), before, render_mode=render_mode, changes=changes)


class ShortcutMaze(TabularEnv):
    """A second opening appears, on the right (Example 8.3): 16 steps at best, 10 after the change.

    Args:
        change_step: Environment steps, over episodes, after which it changes.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: `change_step` is below 1.
    """

    def __init__(self, change_step: int = 3000, render_mode: str | None = None) -> None:
        check_at_least("ShortcutMaze", 1, change_step=change_step)
        before, after = parse_maze(_LEFT_OPEN), parse_maze(_BOTH_OPEN)
        changes = [Change(change_step, _maze_tables(after), after)]
        super().__init__(_maze_tables(before), before, render_mode=render_mode, changes=changes)


def parse_maze(text: str, scale: int = 1) -> GridLayout:
    """Return the layout of a drawn maze (`#` wall, `G` goal, `S` start), each cell grown to scale * scale cells."""
    lines = text.split()
    height, width = len(lines) * scale, len(lines[0]) * scale
    cells: dict[str, set[int]] = {sign: set() for sign in ".#GS"}
    for row in range(height):
        for column in range(width):
            cells[lines[row // scale][column // scale]].add(row * width + column)
    return GridLayout(
        height,
        width,
        FOUR_MOVES,
        starts=frozenset({min(cells["S"])}),
        goals=frozenset(cells["G"]),
        walls=frozenset(cells["#"]),
    )


def _maze_tables(layout: GridLayout) -> TransitionTables:
    return grid_tables(layout, destinations(layout), reward=0.0, goal_reward=1.0)

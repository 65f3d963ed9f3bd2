"""Gridworlds of Sutton & Barto (2018), chapters 3, 4 and 6, and one of any size.

Unless it says otherwise, actions are 0 up, 1 right, 2 down, 3 left, and one that would leave the grid stays.
"""

from __future__ import annotations

import numpy as np

from tengen.envs.book._base import GridLayout, TabularEnv, check_at_least
from tengen.envs.book._grids import FOUR_MOVES, KINGS_MOVES, STAY, destinations, grid_tables
from tengen.tables import make_tables
from tengen.types import Array

WIND = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
"""Of the windy gridworld: rows that each column's wind carries upward."""


class Gridworld(TabularEnv):
    """A continuing 5 by 5 grid (Example 3.5, figures 3.2 and 3.5).

    Every action in A (row 0, column 1) leads to row 4 of its column with reward 10, in B (row 0, column 3) to row 2
    with reward 5. Leaving the grid is held back with reward -1; every other step gives 0. It begins anywhere.

    Args:
        render_mode: "ansi" or "rgb_array".
    """

    def __init__(self, render_mode: str | None = None) -> None:
        layout = GridLayout(5, 5, FOUR_MOVES)
        to = destinations(layout)
        reward = np.where(to == np.arange(25)[:, None], -1.0, 0.0)
        for state, target, gain in ((1, 21, 10.0), (3, 13, 5.0)):
            to[state], reward[state] = target, gain
        ones = np.ones(to.size)
        tables = make_tables(np.arange(to.size + 1), ones, to.ravel(), reward.ravel(), ones, np.full(25, 1 / 25))
        super().__init__(tables, layout, render_mode=render_mode)


class SmallGridworld(TabularEnv):
    """A 4 by 4 grid that ends in two opposite corners, top left and bottom right (Example 4.1, figure 4.1).

    The reward is -1 a step. It begins in any other cell.

    Args:
        render_mode: "ansi" or "rgb_array".
    """

    def __init__(self, render_mode: str | None = None) -> None:
        layout = GridLayout(4, 4, FOUR_MOVES, goals=frozenset({0, 15}))
        super().__init__(grid_tables(layout, destinations(layout), reward=-1.0), layout, render_mode=render_mode)


class OpenGrid(TabularEnv):
    """An empty square grid, from the top left corner to the bottom right one, with reward -1 a step.

    Not of the book: it shows what a planner does with many states. A million of them (size 1000) take seconds to build.

    Args:
        size: Cells on a side.
        render_mode: "ansi" or "rgb_array".

    Raises:
        UserError: The size is below 2.
    """

    def __init__(self, size: int = 10, render_mode: str | None = None) -> None:
        check_at_least("OpenGrid", 2, size=size)
        layout = GridLayout(size, size, FOUR_MOVES, starts=frozenset({0}), goals=frozenset({size * size - 1}))
        super().__init__(grid_tables(layout, destinations(layout), reward=-1.0), layout, render_mode=render_mode)


class WindyGridworld(TabularEnv):
    """A crosswind blows upward through the middle of the grid (Example 6.5); reward -1 a step until the goal.

    Args:
        kings_moves: Diagonal moves too, eight in all (Exercise 6.9).
        no_move: A further action that leaves moving to the wind (Exercise 6.9).
        stochastic: Where there is wind, it is a row stronger or weaker a third of the time each (Exercise 6.10).
        render_mode: "ansi" or "rgb_array".
    """

    def __init__(
        self,
        kings_moves: bool = False,
        no_move: bool = False,
        stochastic: bool = False,
        render_mode: str | None = None,
    ) -> None:
        moves = (KINGS_MOVES if kings_moves else FOUR_MOVES) + ((STAY,) if no_move else ())
        layout = GridLayout(7, 10, moves, starts=frozenset({30}), goals=frozenset({37}))
        wind = np.array(WIND)
        to = destinations(layout, -wind)
        probability: Array | None = None
        if stochastic:
            varied = [destinations(layout, -(wind + change)) for change in (0, 1, -1)]
            to = np.stack(varied, axis=-1)  # [S, A, 3]
            windy = (wind > 0)[np.arange(layout.num_states) % layout.width][:, None, None]
            probability = np.broadcast_to(np.where(windy, 1 / 3, [1.0, 0.0, 0.0]), to.shape)
        super().__init__(grid_tables(layout, to, reward=-1.0, probability=probability), layout, render_mode=render_mode)

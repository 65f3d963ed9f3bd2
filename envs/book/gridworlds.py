"""Gridworlds of Sutton & Barto (2018), chapters 3, 4 and 6, and one of any size.

Unless it says otherwise, actions are 0 up, 1 right, 2 down, 3 left, and one that would leave the grid stays.
"""

from __future__ import annotations

import numpy as np

from tengen.envs.book._base import GridLayout, TabularEnv
from tengen.envs.book._grids import FOUR_MOVES, KINGS_MOVES, STAY, destinations, grid_tables
from tengen.types import Array

WIND = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
"""Of the windy gridworld: rows that each column's wind carries upward."""


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
            varied = [destinations(layout, -(wind + change * (wind > 0))) for change in (0, 1, -1)]
            to = np.stack(varied, axis=-1)  # [S, A, 3]
            windy = (wind > 0)[np.arange(layout.num_states) % layout.width][:, None, None]
            probability = np.broadcast_to(np.where(windy, 1 / 3, [1.0, 0.0, 0.0]), to.shape)
        super().__init__(grid_tables(layout, to, reward=-1.0, probability=probability), layout, render_mode=render_mode)
